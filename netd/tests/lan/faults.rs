//! What must not happen when something fails.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::time::Duration;

use inventory::{LeaseState, Network, NetworkId, clock};

use super::lab::{Lab, RELAY, SERVER, eventually, run};
use super::talk::{ACK, DISCOVER, NAK, OFFER, REQUEST, ask, hear, lease, packet};

const EVERYBODY: Ipv4Addr = Ipv4Addr::BROADCAST;

/// Sends all clients through their conversation at full speed and notes every ACK, until there are `enough`.
fn rush(lab: &Lab, clients: std::ops::Range<u32>, enough: usize) -> HashMap<u32, Ipv4Addr> {
    let socket = lab.relay();
    let mut acked = HashMap::new();
    let began = clock::instant();
    while acked.len() < enough && began.elapsed() < Duration::from_secs(10) {
        for client in clients.clone().filter(|c| !acked.contains_key(c)).take(200).collect::<Vec<_>>() {
            drop(socket.send_to(&packet(DISCOVER, client, true, None), (SERVER, 67)));
        }
        while let Some(heard) = hear(&socket) {
            match heard.kind {
                OFFER => {
                    drop(socket.send_to(&packet(REQUEST, heard.client, true, Some(heard.ip)), (SERVER, 67)));
                }
                ACK => {
                    acked.insert(heard.client, heard.ip);
                    if acked.len() >= enough {
                        break;
                    }
                }
                _ => {}
            }
        }
    }
    acked
}

#[test]
fn after_a_power_cut_every_acknowledged_lease_is_known_and_none_is_given_twice() {
    let mut lab = Lab::new([10, 77, 20, 255]);
    lab.start_server();
    let before = rush(&lab, 0..2000, 700);
    lab.servers[0].kill();
    assert!(before.len() >= 700, "only {} leases in time", before.len());
    // What was on its way when the power went counts too.
    let stored: HashMap<Ipv4Addr, String> = lab.leases().into_iter().map(|l| (l.ip, l.client)).collect();
    for (client, ip) in &before {
        let [a, b, c, d] = client.to_be_bytes();
        let mac = format!("02:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}");
        assert_eq!(stored.get(ip), Some(&mac), "{ip} was acknowledged");
    }
    lab.servers[0].start();
    let after = rush(&lab, 2000..2500, 500);
    assert_eq!(after.len(), 500);
    let mut owners: HashMap<Ipv4Addr, u32> = before.iter().map(|(client, ip)| (*ip, *client)).collect();
    for (client, ip) in after {
        assert_eq!(owners.insert(ip, client), None, "{ip} was given twice");
    }
    let socket = lab.relay();
    for (client, ip) in before.iter().take(20) {
        assert_eq!(lease(&socket, SERVER, *client), Some(*ip), "its client keeps it");
    }
}

#[test]
fn two_servers_on_one_database_never_give_one_address_to_two_clients() {
    let mut lab = Lab::new([10, 77, 1, 39]);
    lab.start_server();
    lab.start_server();
    let sockets = [lab.client("cli0"), lab.client("cli1")];
    // 40 addresses for 40 clients: both servers come across what the other has given.
    let mut given: HashMap<Ipv4Addr, u32> = HashMap::new();
    for client in 0..40 {
        let Some(ip) = lease(&sockets[client as usize % 2], EVERYBODY, client) else { continue };
        assert_eq!(given.insert(ip, client), None, "{ip} was given twice");
    }
    assert!(given.len() >= 38, "only {} of 40 clients got an address", given.len());
    let holders: HashSet<String> = lab.leases().into_iter().map(|l| l.client).collect();
    assert!(holders.len() >= given.len());
}

#[test]
fn an_address_in_foreign_use_is_found_out_before_it_is_acknowledged() {
    let mut lab = Lab::new([10, 77, 1, 1]);
    // Both addresses of the pool are taken by a machine that never asked.
    lab.start_server();
    run(&format!(
        "ip -n {0} addr add 10.77.1.0/16 dev cli0; ip -n {0} addr add 10.77.1.1/16 dev cli0",
        lab.clients.0
    ));
    let socket = lab.client("cli0");
    let offer = ask(&socket, EVERYBODY, &packet(DISCOVER, 7, false, None)).unwrap();
    eventually("both addresses are out of use", || {
        lab.leases().iter().filter(|l| l.state == LeaseState::Declined).count() == 2
    });
    let answer = ask(&socket, EVERYBODY, &packet(REQUEST, 7, false, Some(offer.ip))).unwrap();
    assert_eq!(answer.kind, NAK);
    assert_eq!(ask(&socket, EVERYBODY, &packet(DISCOVER, 7, false, None)), None);
    eventually("notices say so", || {
        let places: Vec<String> = lab.notices().into_iter().map(|n| n.place).collect();
        ["conflict/10.77.1.0", "conflict/10.77.1.1", "pool/PCs"].iter().all(|p| places.contains(&(*p).into()))
    });
}

#[test]
fn garbage_is_counted_and_changes_nothing() {
    let mut lab = Lab::new([10, 77, 1, 99]);
    lab.start_server();
    let socket = lab.relay();
    let good = packet(DISCOVER, 1, true, None);
    let mut long_hardware = good.clone();
    long_hardware[2] = 255;
    let mut bootp = good.clone();
    bootp.truncate(236);
    let mut split = good.clone();
    split.truncate(243);
    for port in [67, 4011] {
        for bytes in [&long_hardware, &bootp, &split, &vec![0; 1], &vec![], &vec![0xff; 1400], &vec![1; 9000]]
        {
            socket.send_to(bytes, (SERVER, port)).unwrap();
        }
    }
    assert!(lease(&socket, SERVER, 1).is_some());
    assert!(lab.servers[0].is_running());
    let log = lab.servers[0].log();
    assert_eq!(log.matches("no DHCP requests were dropped").count(), 3, "once per source: {log}");
}

#[test]
fn a_full_disk_costs_answers_but_no_promises_and_ends_by_itself() {
    // The database lives on a file system of its own that the test fills.
    let mut lab = Lab::new([10, 77, 9, 255]);
    let mount = lab.dir.path().join("small");
    std::fs::create_dir(&mount).unwrap();
    let path = mount.display().to_string();
    run(&format!("mount -t tmpfs -o size=3m none {path}"));
    let _unmount = Unmount(path.clone());
    lab.runtime.block_on(lab.inventory.close());
    // A copy, because closing does not always take the log along: of two connections that go at
    // once each may leave it to the other.
    let (full, small) = (lab.dir.path().join("hausmeister.db"), mount.join("hausmeister.db"));
    let copy = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('VACUUM INTO ?', sys.argv[2:])";
    assert!(Command::new("python3").args(["-c", copy]).args([&full, &small]).status().unwrap().success());
    run(&format!("rm {}*", full.display()));
    std::os::unix::fs::symlink(small, full).unwrap();
    lab.inventory =
        lab.runtime.block_on(inventory::Inventory::open(&super::lab::database_url(&mount))).unwrap();
    lab.start_server();
    let socket = lab.relay();
    assert!(lease(&socket, SERVER, 1).is_some());
    run(&format!("dd if=/dev/zero of={path}/filler bs=4k status=none || true"));
    let mut acked = Vec::new();
    for client in 2..400 {
        let offer = ask(&socket, SERVER, &packet(DISCOVER, client, true, None)).unwrap();
        match ask(&socket, SERVER, &packet(REQUEST, client, true, Some(offer.ip))) {
            Some(answer) => acked.push(answer),
            None => break,
        }
    }
    assert!(acked.len() < 390, "the disk did not fill");
    assert!(acked.iter().all(|answer| answer.kind == ACK), "a promise that cannot be kept is not made");
    run(&format!("rm {path}/filler"));
    let ip = lease(&socket, SERVER, 5000).unwrap();
    assert!(lab.lease(ip).is_some());
    for answer in acked {
        assert!(lab.lease(answer.ip).is_some(), "{answer:?} was acknowledged");
    }
    assert!(lab.servers[0].log().contains("leases could not be written"));
    assert!(lab.servers[0].is_running());
    lab.servers.clear();
    lab.runtime.block_on(lab.inventory.close());
}

#[test]
fn a_locked_database_costs_answers_but_no_offers_and_ends_by_itself() {
    let mut lab = Lab::new([10, 77, 1, 99]);
    lab.start_server();
    let socket = lab.relay();
    let offer = ask(&socket, SERVER, &packet(DISCOVER, 1, true, None)).unwrap();
    let script = "import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute('BEGIN IMMEDIATE')
print('locked', flush=True)
sys.stdin.read()";
    let mut locker = Command::new("python3")
        .args(["-c", script])
        .arg(lab.dir.path().join("hausmeister.db"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    BufReader::new(locker.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
    let request = packet(REQUEST, 1, true, Some(offer.ip));
    assert_eq!(ask(&socket, SERVER, &request), None, "not durable, not acknowledged");
    assert_eq!(lab.lease(offer.ip), None);
    assert_eq!(ask(&socket, SERVER, &packet(DISCOVER, 2, true, None)).unwrap().kind, OFFER);
    drop(locker.stdin.take());
    locker.wait().unwrap();
    eventually("the client gets its address", || {
        ask(&socket, SERVER, &request).is_some_and(|answer| (answer.kind, answer.ip) == (ACK, offer.ip))
    });
    assert!(lab.lease(offer.ip).is_some());
}

#[test]
fn an_interface_that_is_missing_is_reported_and_served_when_it_comes() {
    let mut lab = Lab::new([10, 77, 1, 99]);
    lab.start_server();
    let reported = |lab: &Lab| lab.notices().iter().any(|n| n.place == "interfaces/late0");
    eventually("the missing interface is reported", || reported(&lab));
    run(&format!(
        "ip link add late0 netns {s} type veth peer name cli9 netns {c}
         ip -n {s} addr add 10.88.0.1/16 dev late0
         ip -n {s} link set late0 up
         ip -n {c} link set cli9 up",
        s = lab.servers[0].namespace.0,
        c = lab.clients.0,
    ));
    let late = Network {
        id: NetworkId::random(),
        name: "Late".into(),
        cidr: "10.88.0.0/16".parse().unwrap(),
        router: None,
        pool_first: [10, 88, 1, 0].into(),
        pool_last: [10, 88, 1, 9].into(),
        ..lab.network.clone()
    };
    lab.put_network(&late);
    let socket = lab.client("cli9");
    let mut ip = None;
    eventually("the new interface is served", || {
        ip = lease(&socket, EVERYBODY, 1);
        ip.is_some()
    });
    assert_eq!(ip.unwrap().octets()[1], 88);
    eventually("the notice is gone", || !reported(&lab));
}

struct Unmount(String);

impl Drop for Unmount {
    fn drop(&mut self) {
        run(&format!("umount -l {}", self.0));
    }
}

#[test]
fn a_change_of_the_inventory_counts_at_once_and_a_broken_one_costs_only_itself() {
    let mut lab = Lab::new([10, 77, 1, 99]);
    lab.start_server();
    let socket = lab.relay();
    let ip = lease(&socket, SERVER, 1).unwrap();
    assert_eq!(ip.octets()[2], 1);
    let mut moved = lab.network.clone();
    (moved.pool_first, moved.pool_last) = ([10, 77, 5, 0].into(), [10, 77, 5, 9].into());
    lab.put_network(&moved);
    eventually("the new pool is used", || {
        let offer = ask(&socket, SERVER, &packet(DISCOVER, 2, true, None));
        offer.is_some_and(|offer| offer.ip.octets()[2] == 5)
    });
}

#[test]
fn dropping_the_handle_stops_the_server_and_frees_its_ports() {
    let lab = Lab::new([10, 77, 1, 99]);
    let config = netd::net::Config {
        interfaces: vec!["lo".into()],
        port: 0,
        proxy_port: 0,
        settings: netd::dhcp::Settings::default(),
    };
    let handle = lab.runtime.block_on(netd::net::serve(config, lab.inventory.clone(), Vec::new())).unwrap();
    let [(name, address)] = &handle.addresses()[..] else { panic!("{:?}", handle.addresses()) };
    assert_eq!(name, "lo");
    assert!(std::net::UdpSocket::bind(address).is_err());
    let packets = || handle.counters().received.load(std::sync::atomic::Ordering::Relaxed);
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(b"no DHCP", ("127.0.0.1", address.port())).unwrap();
    eventually("the packet is counted", || packets() == 1);
    let address = *address;
    drop(handle);
    eventually("the port is free", || std::net::UdpSocket::bind(address).is_ok());
}

#[test]
fn another_server_on_the_link_is_found() {
    let mut lab = Lab::new([10, 77, 1, 99]);
    lab.start_server();
    run(&format!("ip -n {} addr add {RELAY}/16 dev cli0", lab.clients.0));
    let probe = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(netd::dhcp::probe("cli0", Duration::from_millis(500))).unwrap()
    };
    let seen = lab.clients.enter(probe);
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0].server, SERVER);
    lab.servers[0].kill();
    assert_eq!(lab.clients.enter(probe), []);
}
