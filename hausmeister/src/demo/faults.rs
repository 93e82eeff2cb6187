//! The demo's hard day (`--faults`): the plug is pulled while a PC is written, and the server is killed in the middle.

use anyhow::{Context as _, ensure};

use super::api::{number, text};
use super::now;
use super::story::{FIRST_IMAGE, LIMIT, PCS, Pc, Story};

impl Story {
    /// A PC is unplugged at 30 % and the server dies at 60 %; the job goes on each time and nothing is done twice.
    pub(super) fn tell_of_faults(&mut self) -> anyhow::Result<()> {
        let (name, firmware) = PCS[0];
        self.switch_on(name, firmware)?;
        self.wait_on_list(name)?;
        self.approve(name, FIRST_IMAGE)?;

        self.wait_transferred(name, 30)?;
        let config = self.pc(name)?.config.clone();
        let before = self.address_of(name)?;
        ensure!(!before.is_empty(), "the page shows no address of {name}");
        let Pc { vm, device, .. } = self.pcs.remove(name).context("it is gone")?;
        vm.pull_plug()?;
        self.milestone(&format!("the plug of {name} is pulled"));
        ensure!(partition_table_is_empty(&config.disk)?, "the half-written disk of {name} could boot");
        self.plug_in(name, config)?;
        self.pc(name)?.device = device;
        self.milestone(&format!("{name} is plugged in again"));

        self.wait_transferred(name, 60)?;
        ensure!(self.school.api.list("/waiting")?.is_empty(), "{name} was not recognised");
        ensure!(self.address_of(name)? == before, "{name} got another address");
        self.restart_server()?;
        self.milestone("the server was killed (kill -9) and started again");

        let state = self.wait(&format!("{name} imaged"), LIMIT, |story| story.job_done(&[name], name))?;
        let resumed = number(&state, "result.resumed_bytes");
        ensure!(resumed > 0, "{name} began again from the start");
        self.pc(name)?.manifest = text(&state, "result.manifest");
        self.milestone(&format!("{name} is imaged; {} MiB were not transferred again", resumed >> 20));
        self.wait_own_system(&[name])?;
        ensure!(self.address_of(name)? == before, "{name} got another address");
        Ok(())
    }

    /// Waits until that percentage of the running job's bytes is on the disk.
    fn wait_transferred(&mut self, name: &'static str, percent: u64) -> anyhow::Result<()> {
        self.wait(&format!("{name} written to {percent} %"), LIMIT, |story| {
            ensure!(story.job_done(&[name], name)?.is_none(), "the job was over before the fault");
            let device = story.pc(name)?.device.clone();
            let job = story.school.api.find("/jobs", "device", &device)?.context("no job")?;
            let (done, total) =
                (number(&job, "state.progress.done_bytes"), number(&job, "state.progress.total_bytes"));
            let transferring = text(&job, "state.progress.phase") == "transfer";
            Ok((transferring && total > 0 && done * 100 >= total * percent).then_some(()))
        })?;
        self.progress.milestone(now(), &format!("{name} is written to {percent} %"));
        Ok(())
    }

    fn address_of(&mut self, name: &str) -> anyhow::Result<String> {
        let device = self.school.api.find("/devices", "name", name)?.context("the device is gone")?;
        let address = text(&device, "observed.address");
        let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
        Ok(host.to_owned())
    }
}

/// Whether neither a BIOS nor UEFI firmware finds anything to start on a disk: no boot code, no table at either end.
fn partition_table_is_empty(disk: &std::path::Path) -> anyhow::Result<bool> {
    use std::os::unix::fs::FileExt as _;
    let file = std::fs::File::open(disk)?;
    let length = file.metadata()?.len();
    let mut first = [0; 34 * 512];
    let mut last = [0; 512];
    file.read_exact_at(&mut first, 0)?;
    file.read_exact_at(&mut last, length.saturating_sub(512))?;
    Ok(first.iter().chain(&last).all(|byte| *byte == 0))
}
