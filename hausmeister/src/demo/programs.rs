//! A program for a room: put into the catalogue from a file, assigned, and soon on every PC.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::api::text;
use super::now;
use super::story::{ROOM, Story};

impl Story {
    /// Builds a Debian package and adds it to the catalogue, as an admin does with a file from its maker. Returns its id.
    pub(super) fn put_into_catalogue(&mut self, version: &str) -> anyhow::Result<String> {
        let tree = self.work_dir.join(PACKAGE);
        fs::create_dir_all(tree.join("DEBIAN"))?;
        fs::create_dir_all(tree.join("usr/share").join(PACKAGE))?;
        fs::write(
            tree.join("DEBIAN/control"),
            format!(
                "Package: {PACKAGE}\nVersion: {version}\nArchitecture: all\nMaintainer: Demo <demo@schule.example>\nDescription: Ein Gruss\n"
            ),
        )?;
        fs::write(tree.join("usr/share").join(PACKAGE).join("gruss"), "Guten Morgen.\n")?;
        let file = self.work_dir.join(format!("{PACKAGE}_{version}_all.deb"));
        let built = Command::new("dpkg-deb")
            .args(["--root-owner-group", "--build"])
            .arg(&tree)
            .arg(&file)
            .output()
            .context("cannot start dpkg-deb")?;
        ensure!(built.status.success(), "dpkg-deb: {}", String::from_utf8_lossy(&built.stderr));
        let uploaded = self
            .school
            .api
            .send(&format!("/software-files?name={PACKAGE}_{version}_all.deb"), &fs::read(&file)?)?;
        let mut package =
            uploaded.get("package").filter(|it| !it.is_null()).cloned().context("the file has gaps")?;
        // The demo's PCs have no package sources: dpkg does what apt would.
        *package.get_mut("install").context("no command")? =
            json!(["dpkg", "--install", format!("{{dir}}/{PACKAGE}_{version}_all.deb")]);
        let added = self.school.api.post("/software", &package)?;
        self.milestone(&format!(
            "the admin puts {PACKAGE} {version} into the catalogue: one file, nothing to type"
        ));
        Ok(text(&added, "id"))
    }

    /// Assigns it to the room and waits until it is on all of these PCs.
    pub(super) fn give_to_room(&mut self, program: &str, names: &[&'static str]) -> anyhow::Result<()> {
        let room = self.school.api.find("/rooms", "name", ROOM)?.context("the room is gone")?;
        let wish =
            json!({ "audience": { "kind": "room", "id": text(&room, "id") }, "wish": { "required": {} } });
        self.school.api.post(&format!("/software/{program}/wishes"), &wish)?;
        let begun = now();
        for name in names {
            self.wait(&format!("{PACKAGE} on {name}"), LIMIT, |story| {
                Ok((story.version_on(program, name)? == "1.0").then_some(()))
            })?;
            let took = now().duration_since(begun).as_secs_f64();
            self.milestone(&format!(
                "{name} has installed {PACKAGE}, {took:.1} s after it was assigned to {ROOM}"
            ));
        }
        Ok(())
    }

    /// The version of the program that a PC said it has; empty if it has none.
    pub(super) fn version_on(&self, program: &str, name: &str) -> anyhow::Result<String> {
        let shown = self.school.api.get(&format!("/software/{program}"))?;
        let pcs = shown.get("pcs").and_then(Value::as_array).cloned().unwrap_or_default();
        let pc = pcs.into_iter().find(|pc| text(pc, "name") == name).unwrap_or_default();
        ensure!(pc.pointer("/last/outcome/failed").is_none(), "{name} says: {pc}");
        Ok(text(&pc, "found.version"))
    }
}

const PACKAGE: &str = "hausmeister-gruss";
const LIMIT: Duration = Duration::from_secs(300);
