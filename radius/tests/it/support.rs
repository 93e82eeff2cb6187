//! A school with one access point, and clients that are real.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use inventory::ca::Authority;
use inventory::config::Site;
use inventory::vault::Vault;
use inventory::wlan::{NewAccessPoint, Rule, Settings, Then, Vlan, Who, server_name};
use inventory::{AccessPointId, By, Inventory, Role, RoomId, UserId, clock};
use radius::{Config, Handle};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// The password of everybody.
pub(crate) const PASSWORD: &str = "richtig und lang";
/// The access point that is known.
pub(crate) const KNOWN: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// One that is not.
pub(crate) const STRANGE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// A school.
pub(crate) struct School {
    pub(crate) dir: TempDir,
    pub(crate) site: Site,
    pub(crate) inventory: Inventory,
    pub(crate) vault: Vault,
    pub(crate) access_point: AccessPointId,
    pub(crate) room: RoomId,
    pub(crate) secret: String,
    pub(crate) ports: (u16, u16),
}

/// What a client was told.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) joined: bool,
    pub(crate) vlan: Option<String>,
    pub(crate) text: String,
}

pub(crate) fn by() -> By<'static> {
    By { actor: "test", at: clock::now() }
}

impl School {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let site = Site { data_dir: dir.path().to_owned(), ..Site::default() };
        Authority::ensure(&site.keys_dir(), "Testschule").unwrap();
        let inventory = Inventory::open(&site.database_url()).await.unwrap();
        let vault = Vault::open(&site.keys_dir()).unwrap();
        let room = inventory.create_room(by(), "Turnhalle").await.unwrap().id;
        let new = NewAccessPoint { name: "AP Halle", range: "127.0.0.2".parse().unwrap(), room: Some(room) };
        let access_point = inventory.add_access_point(by(), &vault, new).await.unwrap();
        let secret = inventory.access_point_secret(&vault, access_point).await.unwrap();
        let ports = (free_port(), free_port());
        // FreeRADIUS runs as another account, and has to reach its folder.
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
        Self { dir, site, inventory, vault, access_point, room, secret, ports }
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            listen: Ipv4Addr::LOCALHOST.into(),
            auth_port: self.ports.0,
            accounting_port: self.ports.1,
            run_dir: self.dir.path().join("radius"),
            ..Config::default()
        }
    }

    pub(crate) async fn run(&self) -> Handle {
        let mut handle = radius::run(&self.site, self.config(), self.inventory.clone()).await.unwrap();
        handle.ready().await.unwrap();
        handle
    }

    pub(crate) async fn add(&self, name: &str, role: Role) -> UserId {
        let hash = inventory::password::hash(PASSWORD).unwrap();
        self.inventory.create_user(by(), name, &hash, role).await.unwrap()
    }

    pub(crate) async fn rules(&self, rules: Vec<Rule>, peap: bool) {
        let (_, version) = self.inventory.wlan().await.unwrap();
        let settings = Settings { rules, peap, ..Settings::default() };
        self.inventory.set_wlan(by(), version, &settings).await.unwrap();
    }

    /// The file of a client that signs in inside a tunnel.
    pub(crate) fn tunnel(&self, method: &str, inner: &str, name: &str, password: &str) -> PathBuf {
        self.client(&format!(
            "eap={method}\n identity=\"{name}\"\n anonymous_identity=\"anonymous\"\n password=\"{password}\"\n phase2=\"auth={inner}\""
        ))
    }

    /// The file of a client; it trusts the school's authority and the name in its profiles.
    pub(crate) fn client(&self, lines: &str) -> PathBuf {
        self.client_of(lines, &server_name(&self.site.zone))
    }

    pub(crate) fn client_of(&self, lines: &str, server: &str) -> PathBuf {
        let path = self.dir.path().join(format!("client-{}.conf", uuid()));
        let ca = self.site.keys_dir().join("ca.pem");
        let text = format!(
            "network={{\n ssid=\"Schule\"\n key_mgmt=WPA-EAP\n {lines}\n ca_cert=\"{}\"\n domain_match=\"{server}\"\n}}\n",
            ca.display()
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Asks as that access point for a card whose address ends so.
    pub(crate) async fn ask(&self, client: &Path, card: u8) -> Told {
        self.ask_as(KNOWN, client, card, 0).await
    }

    pub(crate) async fn ask_as(&self, from: Ipv4Addr, client: &Path, card: u8, again: u32) -> Told {
        let out = Command::new("eapol_test")
            .arg("-c")
            .arg(client)
            // Whoever is not answered need not wait long to know it.
            .args(["-t", if from == KNOWN { "12" } else { "2" }])
            .args(["-a", "127.0.0.1", "-s", &self.secret, "-N", "30:s:AA-BB-CC-DD-EE-01:Schule"])
            .args(["-p", &self.ports.0.to_string(), "-A", &from.to_string(), "-r", &again.to_string()])
            .args(["-M", &format!("02:00:00:00:00:{card:02x}")])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .expect("Debian's package eapoltest is installed");
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let vlan = text.lines().skip_while(|line| !line.contains("Attribute 81 ")).nth(1);
        let vlan = vlan.and_then(|line| line.trim().strip_prefix("Value: ")).map(digits);
        Told { joined: text.trim_end().ends_with("SUCCESS"), vlan, text }
    }

    /// Sends a packet of these attributes as an access point does; gives the answer, empty when there was none.
    pub(crate) async fn packet(&self, from: Ipv4Addr, kind: &str, attributes: &str) -> String {
        let port = if kind == "acct" { self.ports.1 } else { self.ports.0 };
        let mut child = Command::new("radclient")
            .args(["-x", "-r", "1", "-t", "3", &format!("127.0.0.1:{port}"), kind, &self.secret])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("Debian's package freeradius-utils is installed");
        let text = format!("Packet-Src-IP-Address = {from}\n{attributes}");
        child.stdin.take().unwrap().write_all(text.as_bytes()).await.unwrap();
        let out = child.wait_with_output().await.unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        text.split_once("Received").map(|(_, answer)| answer.to_owned()).unwrap_or_default()
    }
}

pub(crate) fn rule(who: Who, vlan: u16) -> Rule {
    let then = Then::Join { vlan: Some(Vlan::try_from(vlan).unwrap()) };
    Rule { who, then, hours: None, until: None, devices_max: None }
}

/// What the hexadecimal digits of a value spell.
fn digits(hex: &str) -> String {
    let pairs = hex.as_bytes().chunks(2).filter_map(|pair| std::str::from_utf8(pair).ok());
    pairs.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).map(char::from).collect()
}

fn uuid() -> String {
    UserId::random().to_string()
}

fn free_port() -> u16 {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}
