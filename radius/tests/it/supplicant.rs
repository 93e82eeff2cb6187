//! A whole way in: Debian's hostapd guards a port (IEEE 802.1X), Debian's wpa_supplicant wants through it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use inventory::Role;
use inventory::wlan::{StationOwner, Who};
use nix::sched::{CloneFlags, unshare};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::support::{KNOWN, PASSWORD, School, by, rule};

/// A process whose words are waited for.
struct Heard {
    child: Child,
    lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
}

impl Heard {
    fn start(program: &str, arguments: &[&str], file: &Path) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).arg(file).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("Debian's packages hostapd and wpasupplicant are installed");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    async fn says(&mut self, words: &str) -> String {
        let found = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                if line.contains(words) {
                    return line;
                }
            }
            panic!("it ended without {words:?}");
        };
        tokio::time::timeout(Duration::from_secs(20), found).await.unwrap_or_else(|_| panic!("no {words:?}"))
    }
}

async fn ip(arguments: &str) {
    let done = Command::new("ip").args(arguments.split(' ')).status().await.unwrap();
    assert!(done.success(), "ip {arguments}");
}

#[tokio::test]
async fn a_laptop_gets_through_a_guarded_port_and_is_known_to_be_there() {
    // A network of its own: the names of its cards meet nobody else's.
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    ip("link set lo up").await;
    ip("link add port type veth peer name laptop").await;
    ip("link set laptop address 02:00:00:00:00:21").await;
    ip("link set port up").await;
    ip("link set laptop up").await;

    let school = School::new().await;
    let lea = school.add("lea", Role::Pupil).await;
    school.rules(vec![rule(Who::Role(Role::Pupil), 20)], false).await;
    let daemon = school.run().await;
    let hostapd = school.dir.path().join("hostapd.conf");
    let (secret, (auth, accounting)) = (&school.secret, school.ports);
    std::fs::write(
        &hostapd,
        format!(
            "interface=port\ndriver=wired\nieee8021x=1\neap_server=0\neapol_version=2\nown_ip_addr={KNOWN}\nradius_client_addr={KNOWN}\n\
             nas_identifier=halle\nauth_server_addr=127.0.0.1\nauth_server_port={auth}\nauth_server_shared_secret={secret}\n\
             acct_server_addr=127.0.0.1\nacct_server_port={accounting}\nacct_server_shared_secret={secret}\n"
        ),
    )
    .unwrap();
    let mut port = Heard::start("hostapd", &["-d"], &hostapd);
    port.says("AP-ENABLED").await;

    let supplicant = school.dir.path().join("supplicant.conf");
    let control = school.dir.path().join("control");
    let network = std::fs::read_to_string(school.tunnel("TTLS", "PAP", "lea", PASSWORD)).unwrap();
    let network = network.replace("WPA-EAP", "IEEE8021X").replace(" ssid=\"Schule\"\n", " eapol_flags=0\n");
    std::fs::write(&supplicant, format!("ctrl_interface={}\nap_scan=0\n{network}", control.display()))
        .unwrap();
    let mut laptop = Heard::start("wpa_supplicant", &["-D", "wired", "-i", "laptop", "-c"], &supplicant);
    laptop.says("CTRL-EVENT-EAP-SUCCESS").await;
    port.says("authorizing port").await;

    let online = async |wanted: bool| {
        let seen = async {
            loop {
                let stations = school.inventory.stations_of_user(lea, by().at).await.unwrap();
                if stations.first().is_some_and(|one| one.online == wanted) {
                    return stations;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), seen)
            .await
            .unwrap_or_else(|_| panic!("online: {wanted}"))
    };
    let station = online(true).await.remove(0);
    assert_eq!(
        (station.mac.to_string().as_str(), station.owner),
        ("02:00:00:00:00:21", StationOwner::User(lea))
    );
    assert_eq!(
        (station.vlan.map(|vlan| vlan.number()), station.room.as_deref()),
        (Some(20), Some("Turnhalle"))
    );

    // It says goodbye, and the port tells us.
    let cli = Command::new("wpa_cli").args(["-i", "laptop", "-p"]).arg(&control).arg("logoff").output().await;
    assert!(cli.unwrap().status.success());
    online(false).await;
    laptop.child.kill().await.unwrap();
    port.child.kill().await.unwrap();
    daemon.stop().await;
}
