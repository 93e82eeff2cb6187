//! The demo's guarded port: a teacher's own laptop proves its account by IEEE 802.1X, and gets into the network that the rule names.
//!
//! The authenticator is hostapd, the laptop's supplicant is wpa_supplicant, between them lies a cable: what crosses it is what crosses
//! the air to an access point. What a switch with VLANs would do, plug the port into the network that it was told, the demo does.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rand::Rng as _;
use serde_json::{Value, json};

use super::api::{number, text};
use super::now;
use super::story::{ROOM, SERVER, Story};
use crate::vm::Computer;

/// A process that ends with the chapter.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Story {
    /// A laptop with a wrong password stays outside and the page says why; with the right one it is in, and where it should be.
    pub(super) fn tell_of_a_laptop(&mut self) -> anyhow::Result<()> {
        let password: String = (0..16).map(|_| char::from(rand::rng().random_range(b'a'..=b'z'))).collect();
        let api = &self.school.api;
        api.post("/people", &json!({ "name": PERSON, "password": password, "role": "teacher" }))?;
        let room = api.find("/rooms", "name", ROOM)?.context("the room is gone")?;
        let new = json!({ "name": "Dose 8", "range": "127.0.0.1", "room": text(&room, "id") });
        let point = text(&api.post("/wlan/access-points", &new)?, "id");
        let secret = text(&api.post(&format!("/wlan/access-points/{point}/secret"), &json!({}))?, "secret");
        let mut wlan = api.get("/wlan")?;
        let rule = json!({ "who": { "role": "teacher" }, "then": { "join": { "vlan": VLAN } } });
        let rules = wlan.pointer_mut("/settings/rules").and_then(Value::as_array_mut);
        rules.context("the WLAN has no rules")?.insert(0, rule);
        api.put("/wlan", &wlan)?;

        let laptop = Computer::new(PORT, CARD)?;
        let port = self.guard_port(&secret)?;
        let wrong = self.supplicant(&laptop, "geraten und falsch")?;
        let why = self.wait("the laptop is turned away", LIMIT, |story| {
            let refused = story.school.api.get("/wlan/refusals")?;
            let mine = |one: &&Value| text(one, "mac") == CARD;
            Ok(refused.as_array().and_then(|all| all.iter().find(mine)).map(|one| text(one, "reason")))
        })?;
        ensure!(why == "wrong_password", "the page says {why:?}");
        // After a failure a port is deaf for a minute (IEEE 802.1X, quietPeriod); nobody wants to watch that.
        drop((wrong, port));
        let _port = self.guard_port(&secret)?;
        self.milestone("a teacher's own laptop with a wrong password stays outside, and the page says why");

        let begun = now();
        let _right = self.supplicant(&laptop, &password)?;
        let station = self.wait("the laptop joins", LIMIT, |story| {
            let stations = story.school.api.get("/wlan/stations")?;
            let mine = |one: &&Value| text(one, "mac") == CARD;
            Ok(stations.as_array().and_then(|all| all.iter().find(mine)).cloned())
        })?;
        let took = now().duration_since(begun).as_secs_f64();
        ensure!(
            (text(&station, "name").as_str(), number(&station, "vlan")) == (PERSON, VLAN),
            "it joined as {station}"
        );
        ensure!(text(&station, "room") == ROOM, "it is said to be elsewhere: {station}");
        let plugged =
            Command::new("ip").args(["link", "set", PORT, "master", self.bridge.bridge()]).status()?;
        ensure!(plugged.success(), "the port cannot be plugged into the network");
        let address = laptop.ask_for_an_address(&self.work_dir)?.context("the laptop got no address")?;
        let server: Ipv4Addr = SERVER.parse()?;
        ensure!(address.octets()[..3] == server.octets()[..3], "{address} is of another network");
        self.milestone(&format!(
            "with the right one it joins by 802.1X after {took:.1} s, in VLAN {VLAN} as the rule says, and has the address {address}"
        ));
        Ok(())
    }

    /// The authenticator behind which the laptop's cable ends.
    fn guard_port(&self, secret: &str) -> anyhow::Result<Running> {
        let config = self.work_dir.join("hostapd.conf");
        fs::write(
            &config,
            format!(
                "interface={PORT}\ndriver=wired\nieee8021x=1\neap_server=0\neapol_version=2\nown_ip_addr=127.0.0.1\n\
                 nas_identifier=dose8\nauth_server_addr=127.0.0.1\nauth_server_port=1812\nauth_server_shared_secret={secret}\n\
                 acct_server_addr=127.0.0.1\nacct_server_port=1813\nacct_server_shared_secret={secret}\n"
            ),
        )?;
        run(Command::new("hostapd").arg(&config), &self.work_dir.join("hostapd.log"), "hostapd")
    }

    fn supplicant(&self, laptop: &Computer, password: &str) -> anyhow::Result<Running> {
        let config = self.work_dir.join("supplicant.conf");
        let authority = self.work_dir.join("data/keys/ca.pem");
        fs::write(
            &config,
            format!(
                "ap_scan=0\nnetwork={{\n key_mgmt=IEEE8021X\n eapol_flags=0\n eap=TTLS\n phase2=\"auth=PAP\"\n identity=\"{PERSON}\"\n \
                 anonymous_identity=\"anonymous\"\n password=\"{password}\"\n ca_cert=\"{}\"\n domain_match=\"radius.demo.internal\"\n}}\n",
                authority.display()
            ),
        )?;
        let mut command = laptop.command("wpa_supplicant");
        command.args(["-D", "wired", "-i", "eth0", "-c"]).arg(&config);
        run(&mut command, &self.work_dir.join("supplicant.log"), "wpa_supplicant")
    }
}

fn run(command: &mut Command, log: &Path, program: &str) -> anyhow::Result<Running> {
    let log = File::options().create(true).append(true).open(log)?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    match command.spawn() {
        Ok(child) => Ok(Running(child)),
        Err(error) => bail!("{program} cannot be started: {error}"),
    }
}

const PERSON: &str = "herr-wind";
const PORT: &str = "dose8";
const CARD: &str = "02:54:00:77:08:01";
const VLAN: u64 = 20;
const LIMIT: Duration = Duration::from_secs(60);
