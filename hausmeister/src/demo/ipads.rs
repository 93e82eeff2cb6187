//! The demo's iPads: simulated ones, since Apple sells no others. They speak to the server over TLS like real ones.

use std::fs;
use std::thread;

use anyhow::{Context as _, ensure};
use ipad::{Facts, Ipad, Trust};
use serde_json::json;

use super::api::text;
use super::now;
use super::story::{LIMIT, ROOM, Story};

impl Story {
    /// Ten iPads enrol with one link; one of them is found on a bus.
    pub(super) fn tell_of_ipads(&mut self) -> anyhow::Result<()> {
        let room = self.school.api.find("/rooms", "name", ROOM)?.context("the room is gone")?;
        let wish = json!({ "room": text(&room, "id"), "uses": IPADS, "days": 1 });
        let link = text(&self.school.api.post("/invitations", &wish)?, "link");
        let authority =
            fs::read(self.work_dir.join("data/keys/ca.pem")).context("the school's certificate")?;
        let trust = Trust::authority(&authority)?;

        let began = now();
        let enrolling: Vec<_> = (0..IPADS).map(|number| enrol(&link, number, &trust)).collect();
        let mut ipads = Vec::new();
        for thread in enrolling {
            let ipad = thread.join().map_err(|_| anyhow::anyhow!("a simulated iPad fell over"))?;
            ipads.push(ipad.context("an iPad could not enrol")?);
        }
        let took = now().duration_since(began).as_secs_f64();
        let listed = self.school.api.list("/ipads")?;
        ensure!(listed.len() == ipads.len(), "{} of {} iPads are listed", listed.len(), ipads.len());
        self.milestone(&format!(
            "{IPADS} iPads enrolled with one link in {took:.1} s, and are devices of {ROOM}"
        ));

        let lost = ipads.first_mut().context("there is no iPad")?;
        let id =
            self.school.api.find("/ipads", "serial", &lost.facts.serial)?.context("an iPad is not listed")?;
        let path = format!("/ipads/{}", text(&id, "id"));
        let action =
            json!({ "action": "lost_mode", "message": MESSAGE, "phone": "", "reason": "im Bus vergessen" });
        self.school.api.post(&format!("{path}/drastic-actions"), &action)?;
        self.wait("the lost iPad shows where it belongs", LIMIT, |_| {
            lost.connect()?;
            Ok((lost.state.lost.as_deref() == Some(MESSAGE)).then_some(()))
        })?;
        self.school.api.post(&format!("{path}/actions"), &json!({ "action": "lost_mode_off" }))?;
        self.wait("the iPad that was found is usable", LIMIT, |_| {
            lost.connect()?;
            Ok(lost.state.lost.is_none().then_some(()))
        })?;
        self.milestone(&format!("{} was lost, showed \"{MESSAGE}\", and is found", lost.facts.serial));
        Ok(())
    }
}

/// An iPad that enrols and does what it is asked.
fn enrol(link: &str, number: u32, trust: &Trust) -> thread::JoinHandle<anyhow::Result<Ipad>> {
    let (link, trust) = (link.to_owned(), trust.clone());
    thread::spawn(move || {
        let mut ipad = Ipad::enrol(&link, Facts::numbered(number + 1), &trust)?;
        ipad.connect()?;
        Ok(ipad)
    })
}

const IPADS: u32 = 10;
const MESSAGE: &str = "Bitte im Sekretariat abgeben";
