//! The demo's iPads: simulated ones, since Apple sells no others. They speak to the server over TLS like real ones.

use std::fs;
use std::thread;

use anyhow::{Context as _, ensure};
use ipad::{Facts, Ipad, Trust};
use serde_json::json;

use inventory::clock;

use super::api::text;
use super::apple;
use super::now;
use super::story::{LIMIT, ROOM, Story};

impl Story {
    /// Ten iPads enrol with one link, get Wi-Fi and rules, sit an exam; one of them is found on a bus.
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
            let mut ipad = ipad.context("an iPad could not enrol")?;
            self.apple.open_the_store(&mut ipad);
            ipads.push(ipad);
        }
        let took = now().duration_since(began).as_secs_f64();
        let listed = self.school.api.list("/ipads")?;
        ensure!(listed.len() == ipads.len(), "{} of {} iPads are listed", listed.len(), ipads.len());
        self.milestone(&format!(
            "{IPADS} iPads enrolled with one link in {took:.1} s, and are devices of {ROOM}"
        ));

        self.give_rules(&mut ipads)?;
        self.give_an_app(&mut ipads)?;
        self.sit_an_exam(&mut ipads, &text(&room, "id"))?;
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

    fn give_rules(&mut self, ipads: &mut [Ipad]) -> anyhow::Result<()> {
        let wifi = json!({
            "ssid": SSID, "hidden": false, "auto_join": true, "own_address": true,
            "security": { "password": { "standard": "WPA2", "password": "Kreide und Schwamm" } },
        });
        let clip = json!({
            "url": "https://moodle.schule.example", "label": "Moodle", "icon": null, "removable": false, "full_screen": false,
        });
        let parts = json!([
            { "name": "wifi", "title": null, "payload": { "kind": "wifi", "settings": wifi } },
            { "name": "moodle", "title": null, "payload": { "kind": "web_clip", "settings": clip } },
        ]);
        let content = json!({ "presets": ["school_ipad"], "parts": parts });
        let began = now();
        self.school
            .api
            .post("/ipad-rules", &json!({ "name": "Alle iPads", "when": "always", "content": content }))?;
        self.wait_for_all(ipads, "all iPads have Wi-Fi and rules", |ipad| {
            ipad.state.networks() == [SSID] && ipad.state.restricted("allowVPNCreation") == Some(false)
        })?;
        let took = now().duration_since(began).as_secs_f64();
        self.milestone(&format!("{IPADS} iPads have Wi-Fi, Moodle and the school's rules after {took:.1} s"));
        Ok(())
    }

    /// There are fewer licences than iPads: the page names who goes without.
    fn give_an_app(&mut self, ipads: &mut [Ipad]) -> anyhow::Result<()> {
        self.school.api.post("/apps/token", &json!({ "token": apple::token() }))?;
        self.wait("Apple's list of apps is there", LIMIT, |story| {
            Ok(story.school.api.find("/apps", "name", apple::NAME)?.map(|_| ()))
        })?;
        let path = format!("/apps/{}", apple::NUMBER);
        let everybody = json!({ "target": { "kind": "school" }, "install": "required" });
        self.school.api.post(&format!("{path}/assignments"), &everybody)?;
        let has = |ipad: &&Ipad| ipad.state.apps.contains_key(apple::BUNDLE);
        self.wait("the app is on as many iPads as there are licences", LIMIT, |_| {
            for ipad in ipads.iter_mut() {
                ipad.connect()?;
            }
            Ok((ipads.iter().filter(has).count() == apple::LICENCES).then_some(()))
        })?;
        let lacking = self.wait("who goes without is named", LIMIT, |story| {
            let app = story.school.api.get(&path)?;
            let licences =
                app.get("licences").and_then(serde_json::Value::as_array).cloned().unwrap_or_default();
            let lacking = licences.iter().filter(|licence| text(licence, "state") == "lacking").count();
            Ok((lacking == ipads.len() - apple::LICENCES).then_some(lacking))
        })?;
        self.milestone(&format!(
            "{} is on {} iPads; for {lacking} there is no licence, and the page says so",
            apple::NAME,
            apple::LICENCES
        ));
        Ok(())
    }

    fn sit_an_exam(&mut self, ipads: &mut [Ipad], room: &str) -> anyhow::Result<()> {
        let ends_at = clock::now().plus_secs(600);
        let exam = json!({
            "name": "Mathematik", "targets": [{ "kind": "room", "id": room }], "apps": [CALCULATOR], "ends_at": ends_at,
        });
        let exam = text(&self.school.api.post("/exams", &exam)?, "id");
        self.wait_for_all(ipads, "all iPads show the calculator only", |ipad| {
            ipad.state.locked_to() == Some(CALCULATOR)
        })?;
        self.school.api.delete(&format!("/exams/{exam}"))?;
        self.wait_for_all(ipads, "all iPads are out of the exam", |ipad| ipad.state.locked_to().is_none())?;
        self.milestone(&format!("{IPADS} iPads sat an exam with the calculator only, and are as before"));
        Ok(())
    }

    /// Lets every iPad ask until it is as it should be.
    fn wait_for_all(
        &mut self,
        ipads: &mut [Ipad],
        what: &str,
        is: impl Fn(&Ipad) -> bool,
    ) -> anyhow::Result<()> {
        self.wait(what, LIMIT, |_| {
            for ipad in ipads.iter_mut().filter(|ipad| !is(ipad)) {
                ipad.connect()?;
            }
            Ok(ipads.iter().all(&is).then_some(()))
        })
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
const SSID: &str = "Schule";
const CALCULATOR: &str = "com.apple.calculator";
const MESSAGE: &str = "Bitte im Sekretariat abgeben";
