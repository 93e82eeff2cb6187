//! The end of the day and the night after it: the room is switched off from the page, and the night shift brings what is new.

use std::collections::BTreeMap;
use std::net::UdpSocket;

use anyhow::{Context as _, ensure};
use inventory::lessons::Grid;
use serde_json::{Value, json};

use super::api::{number, text};
use super::now;
use super::story::{LIMIT, Pc, ROOM, Story};
use crate::vm::VirtualPc;

impl Story {
    /// Has the whole room switched off and waits until each of these PCs has powered itself off.
    pub(super) fn switch_off_the_room(&mut self, names: &[&'static str]) -> anyhow::Result<()> {
        let room = self.school.api.find("/rooms", "name", ROOM)?.context("the room is gone")?;
        let begun = now();
        let answer = self
            .school
            .api
            .post(&format!("/rooms/{}/power", text(&room, "id")), &json!({ "power": "off" }))?;
        ensure!(number(&answer, "asked") == names.len() as u64, "not all PCs can be switched off: {answer}");
        let mut going = Vec::new();
        for name in names {
            // From now on it may be off.
            going.push((*name, self.pcs.remove(name).with_context(|| format!("{name} is not there"))?));
        }
        for (name, mut pc) in going {
            let ended = self.wait(&format!("{name} powers itself off"), LIMIT, |_| pc.vm.off())?;
            ensure!(ended.success(), "{name} did not power itself off: {ended}");
            self.off.insert(name, pc);
        }
        let took = now().duration_since(begun).as_secs_f64();
        self.milestone(&format!("{ROOM} is switched off from the page: all PCs were off after {took:.1} s"));
        Ok(())
    }

    /// A newer version of the program comes while everything is off. The night shift calls the PCs, which hear it on their cards as if
    /// those were their own, has it installed and switches them off again; in the morning the report says so.
    pub(super) fn let_a_night_pass(&mut self, names: &[&'static str]) -> anyhow::Result<()> {
        let program = self.put_into_catalogue("1.1")?;
        let room = text(&self.school.api.find("/rooms", "name", ROOM)?.context("the room is gone")?, "id");
        let ears = self.bridge.computer("asleep", LISTENER_CARD)?;
        ears.ip(&format!("address add {LISTENER}/24 dev eth0\n"))?;
        let ears = ears.inside(|| Ok(UdpSocket::bind(("0.0.0.0", 9))?))?;
        ears.set_nonblocking(true)?;
        // Nobody teaches until the night is over, whatever the clock on this computer says.
        self.school.api.put("/lesson-times", &json!(Grid::default()))?;
        let begun = now();
        self.school.api.put(&format!("/rooms/{room}/night"), &tonight())?;
        let mut night = Night { ears, awake: BTreeMap::new(), asleep_again: Vec::new() };
        self.wait("the PCs are woken, get the program and are switched off", LIMIT, |story| {
            night.hear(story)?;
            night.see_off(story)?;
            Ok((night.asleep_again.len() == names.len()).then_some(()))
        })?;
        let took = now().duration_since(begun).as_secs_f64();
        for name in names {
            let version = self.version_on(&program, name)?;
            ensure!(version == "1.1", "{name} has version {version:?} of the program");
        }
        self.milestone(&format!(
            "night fell: {} PCs were woken by magic packets, updated and switched off in {took:.1} s",
            names.len()
        ));
        let report = self.wait("the morning report", LIMIT, |story| {
            let report = story.school.api.get("/night")?;
            let ready = report.pointer("/rooms/0/ready").and_then(Value::as_u64).unwrap_or_default();
            Ok((ready == names.len() as u64).then_some(report))
        })?;
        ensure!(report.pointer("/rooms/0/others") == Some(&json!([])), "the report names a PC: {report}");
        self.milestone(&format!("the morning report: {ROOM} {0}/{0} ready", names.len()));
        Ok(())
    }
}

/// The PCs in the night.
struct Night {
    /// Hears what their cards would.
    ears: UdpSocket,
    awake: BTreeMap<&'static str, Pc>,
    asleep_again: Vec<&'static str>,
}

impl Night {
    /// Starts the firmware of each PC that is called.
    fn hear(&mut self, story: &mut Story) -> anyhow::Result<()> {
        let mut packet = [0; 200];
        while let Ok(length) = self.ears.recv(&mut packet) {
            let packet = packet.get(..length).unwrap_or_default();
            let mut called = None;
            for (name, pc) in &story.off {
                called = called.or((packet == magic_packet(&pc.config.mac)?).then_some(*name));
            }
            // A PC that is up hears it too, and does nothing.
            let Some(name) = called.filter(|name| !self.asleep_again.contains(name)) else { continue };
            let Some(mut pc) = story.off.remove(name) else { continue };
            pc.vm = VirtualPc::start(&pc.config)?;
            self.awake.insert(name, pc);
            story.milestone(&format!("{name} is woken by a magic packet"));
        }
        Ok(())
    }

    /// Takes note of each PC that has powered itself off.
    fn see_off(&mut self, story: &mut Story) -> anyhow::Result<()> {
        let mut gone = Vec::new();
        for (name, pc) in &mut self.awake {
            if let Some(ended) = pc.vm.off()? {
                ensure!(ended.success(), "{name} did not power itself off: {ended}");
                gone.push(*name);
            }
        }
        for name in gone {
            story.off.extend(self.awake.remove_entry(name));
            self.asleep_again.push(name);
        }
        Ok(())
    }
}

/// A night shift that begins this minute and lasts for some hours.
fn tonight() -> Value {
    let now = inventory::lessons::local(inventory::clock::now());
    let begins =
        u16::try_from(now.hour()).unwrap_or_default() * 60 + u16::try_from(now.minute()).unwrap_or_default();
    let ends = (begins + 4 * 60) % (24 * 60);
    let evenings = [true; 7];
    json!({ "evenings": evenings, "begins": begins, "ends": ends, "image": false, "switch_off": true })
}

/// As the card of a PC that is off looks for it: six bytes FF, then its own address sixteen times.
fn magic_packet(mac: &str) -> anyhow::Result<Vec<u8>> {
    let mac: Result<Vec<u8>, _> = mac.split(':').map(|octet| u8::from_str_radix(octet, 16)).collect();
    Ok([vec![0xff; 6], mac?.repeat(16)].concat())
}

const LISTENER: &str = "10.77.0.250";
const LISTENER_CARD: &str = "52:54:00:77:00:fa";
