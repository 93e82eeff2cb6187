//! The end of the day and the next morning: the room is switched off from the page, and a PC is switched on again by a magic packet.

use std::net::UdpSocket;

use anyhow::{Context as _, ensure};
use serde_json::json;

use super::api::{number, text};
use super::now;
use super::story::{LIMIT, ROOM, Story};
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

    /// Has one of them switched on. A card on the same network hears the packet, and the PC's firmware starts as if it was its own.
    pub(super) fn switch_on_from_afar(&mut self, name: &'static str) -> anyhow::Result<()> {
        let mut pc = self.off.remove(name).with_context(|| format!("{name} is not off"))?;
        let listener = self.bridge.computer("asleep", LISTENER_CARD)?;
        listener.ip(&format!("address add {LISTENER}/24 dev eth0\n"))?;
        let socket = listener.inside(|| Ok(UdpSocket::bind(("0.0.0.0", 9))?))?;
        socket.set_nonblocking(true)?;
        let begun = now();
        self.school.api.post(&format!("/devices/{}/power", pc.device), &json!({ "power": "on" }))?;
        let packet = self.wait(&format!("a magic packet for {name}"), LIMIT, |_| {
            let mut packet = [0; 200];
            Ok(socket.recv(&mut packet).ok().map(|length| packet.get(..length).unwrap_or_default().to_vec()))
        })?;
        ensure!(packet == magic_packet(&pc.config.mac)?, "that is no magic packet for {name}: {packet:?}");
        pc.vm = VirtualPc::start(&pc.config)?;
        self.pcs.insert(name, pc);
        let before = self.school.api.find("/devices", "name", name)?.context("the device is gone")?;
        let seen = number(&before, "last_seen");
        self.wait(&format!("{name} reports after it was woken"), LIMIT, |story| {
            let device = story.school.api.find("/devices", "name", name)?.context("the device is gone")?;
            Ok((number(&device, "last_seen") > seen).then_some(()))
        })?;
        let took = now().duration_since(begun).as_secs_f64();
        self.milestone(&format!("{name} is switched on by a magic packet and reports after {took:.1} s"));
        Ok(())
    }
}

/// As the card of a PC that is off looks for it: six bytes FF, then its own address sixteen times.
fn magic_packet(mac: &str) -> anyhow::Result<Vec<u8>> {
    let mac: Result<Vec<u8>, _> = mac.split(':').map(|octet| u8::from_str_radix(octet, 16)).collect();
    Ok([vec![0xff; 6], mac?.repeat(16)].concat())
}

const LISTENER: &str = "10.77.0.250";
const LISTENER_CARD: &str = "52:54:00:77:00:fa";
