//! The night shift: looks at every PC of the rooms that have one, and has done what [`inventory::night`] decides.
//!
//! What is to be done is asked for before it is written down: if the server dies in between, a PC is called once more.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ::software::turn::{Next, next};
use inventory::gate::{GateDevice, Of, Target};
use inventory::night::{Deed, ImageNow, NightNote, NightPlan, PcNow, PcTonight, ProgramsNow, Tonight};
use inventory::software::Known;
use inventory::{
    By, Device, DeviceId, Image, Inventory, Job, JobState, JobTask, Power, PowerAsk, UnixMillis,
};

use jiff::civil::Date;
use tokio::sync::watch;

use crate::software::{Books, Shared};
use crate::stop::{Stop, stopped};

/// Whoever works at night.
pub(crate) struct NightShift {
    pub(crate) inventory: Inventory,
    pub(crate) software: Arc<Books>,
    /// Marked changed when devices or jobs changed.
    pub(crate) changed: watch::Receiver<u64>,
    pub(crate) stop: Stop,
}

/// What is known of the school at one moment.
struct School {
    devices: Vec<Device>,
    images: Vec<Image>,
    /// The newest of each device.
    jobs: HashMap<DeviceId, Job>,
    programs: HashMap<DeviceId, Known>,
    asked: HashMap<DeviceId, PowerAsk>,
    /// By device and evening.
    notes: HashMap<(DeviceId, Date), NightNote>,
    book: Shared,
}

impl NightShift {
    /// Works every night until the daemon ends.
    pub(crate) async fn run(self) {
        let (mut changed, mut stop) = (self.changed.clone(), self.stop.clone());
        loop {
            changed.borrow_and_update();
            if let Err(error) = self.round().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "the night shift pauses");
            }
            // A room that is imaged changes all the time; one look serves all.
            tokio::time::sleep(GATHER).await;
            tokio::select! {
                changed = changed.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(ROUND) => {}
                () = stopped(&mut stop) => return,
            }
        }
    }

    async fn round(&self) -> inventory::Result<()> {
        let now = inventory::clock::now();
        let (plans, problems) = self.inventory.night_plans().await?;
        for problem in problems {
            tracing::warn!(error = &problem as &dyn std::error::Error, "a room has no night shift");
        }
        if plans.is_empty() {
            return Ok(());
        }
        let grid = self.inventory.grid().await?;
        let local = inventory::lessons::local(now);
        let shifts = plans.iter().filter_map(|plan| Some((plan, plan.tonight(&grid, &local)?)));
        let shifts: Vec<(&NightPlan, Tonight)> = shifts.collect();
        let Some(first) = shifts.iter().map(|(_, tonight)| tonight.evening).min() else { return Ok(()) };
        let school = self.school(now, first).await?;
        let mut changed = Vec::new();
        for (plan, tonight) in &shifts {
            changed.extend(self.room(plan, tonight, &school, now).await?);
        }
        if !changed.is_empty() {
            self.inventory.keep_night_notes(by(now), &changed).await?;
        }
        Ok(())
    }

    /// Has done what is to be done in a room; gives what is to be written down.
    async fn room(
        &self,
        plan: &NightPlan,
        tonight: &Tonight,
        school: &School,
        now: UnixMillis,
    ) -> inventory::Result<Vec<PcTonight>> {
        let (subjects, _) = self.inventory.gate_devices(Of::Target(Target::Room(plan.room))).await?;
        let here = |device: &&Device| device.room.id == plan.room && device.key.is_some();
        let evening = tonight.evening;
        let mut changed = Vec::new();
        for device in school.devices.iter().filter(here) {
            let subject = subjects.iter().find(|known| known.subject.device == device.id);
            let before = school.notes.get(&(device.id, evening));
            let (note, deed) = plan.decide(tonight, now, before, &school.pc(device, subject, tonight, now));
            if let Some(deed) = deed
                && let Err(error) = self.carry_out(deed, device, now).await
            {
                // Perhaps a person was faster with another job. The others go on.
                tracing::warn!(device = %device.name, error = &error as &dyn std::error::Error, "not done in the night");
            } else if before != Some(&note) {
                changed.push(PcTonight { device: device.id, evening, note });
            }
        }
        Ok(changed)
    }

    async fn school(&self, now: UnixMillis, since: Date) -> inventory::Result<School> {
        let (jobs, _) = self.inventory.jobs(JOBS_MAX).await?;
        let (open, _) = self.inventory.open_jobs().await?;
        let (programs, _) = self.inventory.known_software(None).await?;
        let (notes, _) = self.inventory.night_notes(since).await?;
        let asked_since = UnixMillis(now.0.saturating_sub(ASKED_MILLIS));
        let asked = self.inventory.power_asks(asked_since, None).await?;
        // The newest job of a device comes first in the list and stays; an open one counts in any case.
        let jobs = jobs.into_iter().rev().chain(open).map(|job| (job.device, job));
        Ok(School {
            devices: self.inventory.devices().await?.0,
            images: self.inventory.images().await?,
            jobs: jobs.collect(),
            programs: programs.into_iter().map(|known| (known.device, known)).collect(),
            asked: asked.into_iter().map(|ask| (ask.device, ask)).collect(),
            notes: notes.into_iter().map(|note| ((note.device, note.evening), note.note)).collect(),
            book: self.software.now().await?,
        })
    }

    async fn carry_out(&self, deed: Deed, device: &Device, now: UnixMillis) -> inventory::Result<()> {
        tracing::info!(device = %device.name, deed = ?deed, "the night shift does something");
        let ask = async |power| self.inventory.ask_power(by(now), &[device.id], power).await.map(|_| ());
        match (deed, device.desired_image) {
            (Deed::Call, _) => ask(Power::On).await,
            (Deed::Restart, _) => ask(Power::Restart).await,
            (Deed::SwitchOff, _) => ask(Power::Off).await,
            (Deed::Deploy, Some(image)) => {
                let task = JobTask::Deploy { image, version: None };
                self.inventory.create_job(by(now), device.id, task).await?;
                ask(Power::Restart).await
            }
            (Deed::Deploy, None) => Ok(()),
        }
    }
}

impl School {
    fn pc(&self, device: &Device, subject: Option<&GateDevice>, tonight: &Tonight, now: UnixMillis) -> PcNow {
        let programs = self.programs.get(&device.id);
        let worked_at = match self.jobs.get(&device.id).map(|job| &job.state) {
            Some(JobState::Running { progress, .. }) => Some(progress.at),
            _ => None,
        };
        PcNow {
            last_seen: device.last_seen.max(worked_at),
            signed_in: programs.is_some_and(|known| known.pc.signed_in),
            image: self.image(device, tonight),
            programs: match (programs, subject) {
                (Some(known), Some(subject)) => self.programs(known, subject, tonight, now),
                _ => ProgramsNow::AsTheyShould,
            },
            asked: self.asked.get(&device.id).copied(),
        }
    }

    fn image(&self, device: &Device, tonight: &Tonight) -> ImageNow {
        match self.jobs.get(&device.id).map(|job| (&job.state, &job.task)) {
            Some((JobState::Queued, _)) => return ImageNow::Queued,
            Some((JobState::Running { .. }, _)) => return ImageNow::Running,
            Some((JobState::Failed { finished_at, reason }, JobTask::Deploy { .. }))
                if *finished_at >= tonight.begins =>
            {
                return ImageNow::Failed(reason.clone());
            }
            Some((JobState::Cancelled { finished_at }, JobTask::Deploy { .. }))
                if *finished_at >= tonight.begins =>
            {
                return ImageNow::TakenBack;
            }
            _ => {}
        }
        let wanted = device.desired_image.and_then(|id| self.images.iter().find(|image| image.id == id));
        match wanted.and_then(|image| image.versions.first()) {
            Some(newest) if device.observed.manifest.as_ref() != Some(&newest.manifest) => ImageNow::Differs,
            _ => ImageNow::AsItShould,
        }
    }

    fn programs(
        &self,
        known: &Known,
        subject: &GateDevice,
        tonight: &Tonight,
        now: UnixMillis,
    ) -> ProgramsNow {
        let plan = self.book.lock().plan(&subject.subject, &known.pc, &known.turns);
        match next(&plan, &known.turns.last, now.0) {
            Next::Step(_) => ProgramsNow::ToDo,
            Next::NotBefore(at) if at < tonight.ends.0 => ProgramsNow::ToDo,
            Next::NotBefore(_) => ProgramsNow::Failed,
            Next::Nothing if plan.steps.is_empty() && plan.stopped.is_empty() => ProgramsNow::AsTheyShould,
            Next::Nothing => ProgramsNow::Failed,
        }
    }
}

fn by(at: UnixMillis) -> By<'static> {
    By { actor: "night shift", at }
}

const ROUND: Duration = Duration::from_secs(15);
const GATHER: Duration = Duration::from_secs(1);
const ASKED_MILLIS: i64 = 30 * 60_000;
const JOBS_MAX: u32 = 5000;
