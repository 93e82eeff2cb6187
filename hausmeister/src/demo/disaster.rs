//! The demo's worst day: the server's disk is gone, and everything comes back from a backup.

use std::fs;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::api::number;
use super::now;
use super::story::{LIMIT, Story};
use crate::vm::VirtualPc;

impl Story {
    /// The server is backed up, dies, and loses everything; with nothing but the backup and its phrase it comes back as it was, and
    /// a PC that knows it still trusts it.
    pub(super) fn lose_the_server(&mut self, name: &'static str) -> anyhow::Result<()> {
        let place = self.work_dir.join("other-disk");
        let place = place.to_str().context("a folder with a strange name")?;
        let said = self.plan().says(&["backup", "setup", "--to", place])?;
        let phrase = said.lines().find_map(|line| line.trim().strip_prefix("Recovery phrase"));
        let paper = self.work_dir.join("paper");
        fs::write(&paper, phrase.context("no recovery phrase was said")?.trim())?;
        let begun = now();
        self.plan().says(&["backup", "now"])?;
        let took = now().duration_since(begun).as_secs_f64();
        self.milestone(&format!("a backup of everything, images too, was made in {took:.1} s"));

        let before = self.known()?;
        self.school.kill()?;
        fs::remove_dir_all(self.work_dir.join("data"))?;
        fs::remove_file(self.work_dir.join("hausmeister.toml"))?;
        self.milestone("the server's disk is gone");
        let begun = now();
        let paper = paper.to_str().context("a folder with a strange name")?;
        self.plan().says(&["restore", "--from", place, "--phrase-file", paper, "--yes"])?;
        self.start_server()?;
        let took = now().duration_since(begun).as_secs_f64();
        ensure!(self.known()? == before, "something is not as it was");
        self.milestone(&format!(
            "on an empty machine the server was back, with all it knew, after {took:.1} s"
        ));

        let seen = self.last_seen(name)?;
        let mut pc = self.off.remove(name).with_context(|| format!("{name} is not switched off"))?;
        pc.vm = VirtualPc::start(&pc.config)?;
        self.pcs.insert(name, pc);
        self.wait(&format!("{name} reports to the server that came back"), LIMIT, |story| {
            Ok((story.last_seen(name)? > seen).then_some(()))
        })?;
        self.milestone(&format!("{name} is switched on and reports to it"));
        Ok(())
    }

    /// What the server knows, as far as it does not change by itself.
    fn known(&self) -> anyhow::Result<Vec<Value>> {
        let mut known = Vec::new();
        for (path, fields) in [
            ("/devices", &["id", "name", "room", "key", "desired_image"][..]),
            ("/images", &["id", "name", "versions"]),
            ("/networks", &["id", "cidr", "pool_first", "pool_last"]),
            ("/ipads", &["id", "name"]),
        ] {
            for entry in self.school.api.list(path)? {
                known.extend(fields.iter().map(|field| entry.get(field).cloned().unwrap_or_default()));
            }
        }
        Ok(known)
    }

    fn last_seen(&self, name: &str) -> anyhow::Result<u64> {
        let device = self.school.api.find("/devices", "name", name)?.context("the device is gone")?;
        Ok(number(&device, "last_seen"))
    }
}
