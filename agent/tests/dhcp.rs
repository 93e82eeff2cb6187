//! The DHCP client against dnsmasq, in network namespaces of its own. Needs root, `ip` and `dnsmasq`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must fail"
)]

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use agent::clock;
use agent::net::{Network, serve_card};

/// Two namespaces with a cable between them; removed when dropped.
struct Lan {
    server: String,
    client: String,
    dnsmasq: Option<Child>,
    dir: tempfile::TempDir,
}

fn ip(arguments: &str) -> bool {
    Command::new("ip").args(arguments.split(' ')).status().unwrap().success()
}

impl Lan {
    fn new() -> Lan {
        let id = std::process::id();
        let (server, client) = (format!("agent-{id}-s"), format!("agent-{id}-c"));
        let lan = Lan { server, client, dnsmasq: None, dir: tempfile::tempdir().unwrap() };
        let (server, client) = (&lan.server, &lan.client);
        for command in [
            format!("netns add {server}"),
            format!("netns add {client}"),
            format!(
                "link add lan0 netns {server} type veth peer name eno1 netns {client} address 52:54:00:77:00:02"
            ),
            format!("-n {server} address add 10.99.0.1/24 dev lan0"),
            format!("-n {server} link set lan0 up"),
        ] {
            assert!(ip(&command), "ip {command}");
        }
        lan
    }

    fn start_dnsmasq(&mut self) {
        let leases = self.dir.path().join("leases");
        let child = Command::new("ip")
            .args(["netns", "exec", &self.server, "dnsmasq", "--conf-file=/dev/null", "--keep-in-foreground"])
            .args(["--port=0", "--interface=lan0", "--bind-interfaces", "--dhcp-authoritative", "--no-ping"])
            .args(["--dhcp-range=10.99.0.50,10.99.0.60,255.255.255.0,2m", "--dhcp-option=3,10.99.0.254"])
            .args(["--user=root", "--pid-file="])
            .arg(format!("--dhcp-leasefile={}", leases.display()))
            .spawn()
            .unwrap();
        self.dnsmasq = Some(child);
    }

    fn addresses(&self) -> String {
        let output = Command::new("ip").args(["-n", &self.client, "-4", "-o", "address"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Waits until the client's addresses are as wished.
    fn until(&self, what: &str, condition: impl Fn(&str) -> bool) -> String {
        let deadline = clock::now() + Duration::from_secs(60);
        loop {
            let addresses = self.addresses();
            if condition(&addresses) {
                return addresses;
            }
            assert!(clock::now() < deadline, "{what}: {addresses}");
            clock::wait(Duration::from_millis(50));
        }
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        if let Some(dnsmasq) = &mut self.dnsmasq {
            let _ = dnsmasq.kill();
            let _ = dnsmasq.wait();
        }
        ip(&format!("netns delete {}", self.server));
        ip(&format!("netns delete {}", self.client));
    }
}

/// Ends a process when the test ends, however it ends.
struct Kill(Child);

impl Drop for Kill {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_card_gets_an_address_and_a_route_from_dnsmasq_and_a_new_one_after_the_cable_was_out() {
    if std::env::var_os("AGENT_TEST_CARD").is_some() {
        // The second process, within the client's namespace.
        serve_card("eno1", [0x52, 0x54, 0, 0x77, 0, 2], &Network::default());
        return;
    }
    let mut lan = Lan::new();
    let own = std::env::current_exe().unwrap();
    let name = "a_card_gets_an_address_and_a_route_from_dnsmasq_and_a_new_one_after_the_cable_was_out";
    // `ip netns exec` mounts a /sys that shows the namespace's cards.
    let client = Command::new("ip")
        .args(["netns", "exec", &lan.client, own.to_str().unwrap(), "--exact", name, "--nocapture"])
        .env("AGENT_TEST_CARD", "1")
        .spawn()
        .unwrap();
    let _client = Kill(client);
    // The first DISCOVER goes unanswered: nobody listens yet.
    lan.start_dnsmasq();
    let addresses = lan.until("an address", |a| a.contains("eno1"));
    let address: Ipv4Addr =
        addresses.split("inet ").nth(1).and_then(|a| a.split('/').next()).unwrap().parse().unwrap();
    assert!((50..=60).contains(&address.octets()[3]), "{addresses}");
    assert!(addresses.contains("/24 brd 10.99.0.255"), "{addresses}");
    let route = || {
        let output = Command::new("ip").args(["-n", &lan.client, "route"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let deadline = clock::now() + Duration::from_secs(10);
    while !route().contains("default via 10.99.0.254 dev eno1") {
        assert!(clock::now() < deadline, "{}", route());
    }
    let leases = fs::read_to_string(lan.dir.path().join("leases")).unwrap();
    assert!(leases.contains("52:54:00:77:00:02") && leases.contains(&address.to_string()), "{leases}");

    assert!(ip(&format!("-n {} link set lan0 down", lan.server)));
    lan.until("no address without a cable", |a| !a.contains("eno1"));
    assert!(ip(&format!("-n {} link set lan0 up", lan.server)));
    lan.until("an address again", |a| a.contains(&address.to_string()));
    assert!(Path::new("/run/netns").join(&lan.client).exists());
}
