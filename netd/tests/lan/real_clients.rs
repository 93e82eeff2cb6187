//! Clients of Debian.

use std::path::Path;

use inventory::{By, LeaseState, Level};

use super::lab::{Lab, Process, eventually, left, run};

/// A client script that configures the interface and leaves everything else of the machine alone.
fn script(dir: &Path, text: &str) -> String {
    let path = dir.join("script");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    run(&format!("chmod +x {}", path.display()));
    path.display().to_string()
}

#[test]
fn dhclient_gets_an_address_keeps_it_over_a_reboot_and_gives_it_back() {
    let mut lab = Lab::new([10, 77, 1, 99]);
    lab.start_server();
    let dir = lab.dir.path().to_owned();
    let script = script(
        &dir,
        "case $reason in
         BOUND|REBOOT|RENEW) ip addr replace $new_ip_address/16 dev $interface; echo $reason $new_ip_address \
         $new_domain_name_servers $new_domain_name >> $0.log;;
         esac",
    );
    let (leases, pid) = (dir.join("dhclient.leases"), dir.join("dhclient.pid"));
    let (leases, pid) = (leases.display().to_string(), pid.display().to_string());
    let told = || std::fs::read_to_string(format!("{script}.log")).unwrap_or_default();
    let arguments = ["-d", "-sf", &script, "-lf", &leases, "-pf", &pid, "cli0"];
    let start = || -> Process { lab.clients.spawn("dhclient", &arguments) };

    let first = start();
    eventually("dhclient is bound", || told().contains("BOUND"));
    drop(first);
    let line = told();
    let [_, ip, dns, zone] = line.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{line}") };
    assert_eq!((dns, zone), ("10.77.0.1", "schule.internal"));
    let ip = ip.parse().unwrap();
    let lease = lab.lease(ip).unwrap();
    assert_eq!(lease.state, LeaseState::Active);
    assert!((3_590_000..=3_600_000).contains(&left(&lease)), "{lease:?}");

    let again = start();
    eventually("dhclient is bound again", || told().contains("REBOOT"));
    drop(again);
    assert_eq!(told().lines().last().unwrap(), line.trim().replace("BOUND", "REBOOT"));

    // It would send a signal to whoever has that number by then.
    std::fs::remove_file(&pid).unwrap();
    let release = ["-r", "-sf", &script, "-lf", &leases, "-pf", &pid, "cli0"];
    let _release = lab.clients.spawn("dhclient", &release);
    eventually("the address is free", || lab.lease(ip).unwrap().state == LeaseState::Released);
}

#[test]
fn udhcpc_renews_by_unicast() {
    let mut lab = Lab::new([10, 77, 1, 99]);
    lab.start_server();
    let dir = lab.dir.path().to_owned();
    let script = script(
        &dir,
        "case $1 in
         bound|renew) ip addr replace $ip/$mask dev $interface; echo $1 $ip >> $0.log;;
         esac",
    );
    let told = || std::fs::read_to_string(format!("{script}.log")).unwrap_or_default();
    let client = lab.clients.spawn("udhcpc", &["-f", "-i", "cli0", "-s", &script]);
    eventually("udhcpc is bound", || told().contains("bound"));
    let ip = told().split_whitespace().nth(1).unwrap().parse().unwrap();
    let before = lab.lease(ip).unwrap();
    // `ip netns exec` replaces itself by the program.
    run(&format!("kill -USR1 {}", client.0.id()));
    eventually("udhcpc has renewed", || told().contains("renew"));
    assert!(lab.lease(ip).unwrap().expires_at > before.expires_at);
    assert_eq!(lab.leases().len(), 1);
}

#[test]
fn clients_of_a_guarded_network_that_ask_learn_where_the_portal_is() {
    let mut lab = Lab::new([10, 77, 1, 99]);
    lab.site = "portal = \"netz.schule.example\"";
    lab.start_server();
    let dir = lab.dir.path().to_owned();
    let conf = dir.join("dhclient.conf");
    std::fs::write(&conf, "request subnet-mask, routers, domain-name-servers, default-url;\n").unwrap();
    let script = script(
        &dir,
        "case ${1:-$reason} in BOUND) echo \"url $new_default_url.\" >> $0.log;; \
         bound) echo \"hex $opt114.\" >> $0.log;; esac",
    );
    let told = || std::fs::read_to_string(format!("{script}.log")).unwrap_or_default();
    let (leases, pid) = (dir.join("dhclient.leases"), dir.join("dhclient.pid"));
    let [conf, leases, pid] = [conf, leases, pid].map(|path| path.display().to_string());
    let dhclient = |word: &str| {
        let _client = lab
            .clients
            .spawn("dhclient", &["-d", "-cf", &conf, "-sf", &script, "-lf", &leases, "-pf", &pid, "cli0"]);
        eventually("dhclient is bound", || told().contains(word));
    };
    dhclient("url .");

    let by = By { actor: "test", at: inventory::clock::now() };
    let guard = lab.inventory.set_network_gate(by, lab.network.id, Some(Level::Off.into()), None, false);
    lab.runtime.block_on(guard).unwrap();
    eventually("the gate guards", || lab.servers[0].log().contains("the gate guards"));
    std::fs::remove_file(&leases).unwrap();
    let uri = "https://netz.schule.example/captive-portal";
    dhclient(&format!("url {uri}."));

    let hex: String = uri.bytes().map(|byte| format!("{byte:02x}")).collect();
    let _client = lab.clients.spawn("udhcpc", &["-f", "-i", "cli0", "-s", &script, "-O", "114"]);
    eventually("udhcpc is bound", || told().contains(&format!("hex {hex}.")));
    let name = "netz.schule.example";
    run(&format!("ip -n {} addr replace 10.77.1.99/16 dev cli0", lab.clients.0));
    let found = run(&format!("ip netns exec {} dig +short +time=2 @10.77.0.1 {name}", lab.clients.0));
    assert_eq!(found.trim(), "10.77.0.1", "a locked device finds the portal");
}
