//! Does what is due and what was asked for, one after the other, and writes down what became of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use inventory::backup::{BackupKind, BackupPlace, BackupResult, BackupRun, BackupSnapshot, BackupState};
use inventory::{BackupRunId, By, Inventory, clock};
use jiff::tz::TimeZone;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::place::Place;
use super::restore;
use super::{restic::Snapshot, schedule};
use crate::up::redacted;

/// Runs beside the daemons. Ends when it is dropped.
pub struct Keeper {
    task: JoinHandle<()>,
    prepared: watch::Receiver<bool>,
}

impl Keeper {
    /// Starts it. Without a place it only says so.
    #[must_use]
    pub fn start(place: Option<Place>, inventory: Inventory) -> Self {
        let (prepared_is, prepared) = watch::channel(false);
        let task = tokio::spawn(async move {
            let Some(place) = place else {
                // The page of a server without backups says how to have some.
                if let Err(error) = inventory.set_backup_place(None, Some(&[])).await {
                    tracing::warn!(%error, "cannot write down that no backups are made");
                }
                return;
            };
            Work { place, inventory, prepared_is }.run().await;
        });
        Self { task, prepared }
    }

    /// Comes back when a restore lies ready: the daemons have to stop, and [`restore::finish`] brings the server back.
    pub async fn restore_is_ready(&mut self) {
        if self.prepared.wait_for(|ready| *ready).await.is_err() {
            // It ended by itself: nothing will ever be ready.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Work {
    place: Place,
    inventory: Inventory,
    prepared_is: watch::Sender<bool>,
}

impl Work {
    async fn run(self) {
        let mut changes = self.inventory.follow();
        if let Err(error) = self.settle().await {
            tracing::warn!(error = format!("{error:#}"), "cannot write down what became of backups");
        }
        loop {
            changes.mark_unchanged();
            if let Err(error) = self.round().await {
                tracing::warn!(error = format!("{error:#}"), "backups are looked at again in a minute");
                tokio::time::sleep(LOOK).await;
                continue;
            }
            let _ = tokio::time::timeout(LOOK, changes.changed()).await;
            // Several changes a second are one round.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// What was begun before this process started ended with the process that began it; a restore ended well if it says so.
    async fn settle(&self) -> anyhow::Result<()> {
        let restored = restore::finished(&self.place.site)?;
        let by = By { actor: ACTOR, at: clock::now() };
        for mut run in self.inventory.backup_runs().await? {
            if run.state == BackupState::Running {
                // Of the restored database, the backup that it comes from: that one is whole.
                let whole = restored.is_some() && run.kind == BackupKind::Backup;
                run.state = if whole { BackupState::Done } else { BackupState::Failed };
                run.snapshot =
                    run.snapshot.or_else(|| restored.as_ref().filter(|_| whole).map(|r| r.snapshot.clone()));
                run.result.error = (!whole).then(|| "the server was stopped while it ran".to_owned());
                run.ended_at = Some(by.at);
                self.inventory.keep_backup_run(by, &run).await?;
            }
        }
        if let Some(restored) = restored {
            let run = BackupRun {
                id: BackupRunId::random(),
                kind: BackupKind::Restore,
                state: BackupState::Done,
                snapshot: Some(restored.snapshot.clone()),
                asked_by: restored.asked_by.clone(),
                asked_at: by.at,
                ended_at: Some(by.at),
                percent: 100,
                result: BackupResult { files: restored.files, ..BackupResult::default() },
            };
            let by = By { actor: &restored.asked_by, ..by };
            self.inventory.keep_backup_run(by, &run).await?;
            tracing::info!(
                snapshot = restored.snapshot,
                files = restored.files,
                "the server was brought back to a backup"
            );
        }
        self.show().await
    }

    async fn round(&self) -> anyhow::Result<()> {
        let runs = self.inventory.backup_runs().await?;
        let asked = runs.iter().rev().find(|run| run.state == BackupState::Asked).cloned();
        if let Some(run) = asked {
            return self.carry_out(run).await;
        }
        let zone = TimeZone::system();
        if let Some(kind) = schedule::due(&runs, self.place.config.at, &zone, clock::now()) {
            // That is a change: the next round follows at once.
            let by = By { actor: ACTOR, at: clock::now() };
            self.inventory.ask_backup(by, kind, None).await?;
        }
        Ok(())
    }

    async fn carry_out(&self, mut run: BackupRun) -> anyhow::Result<()> {
        run.state = BackupState::Running;
        self.keep(&run).await?;
        tracing::info!(kind = ?run.kind, asked_by = run.asked_by, "begins");
        let id = run.id;
        let percent = Arc::new(AtomicU8::new(0));
        let outcome = {
            let told = Arc::clone(&percent);
            let progress = move |n: u8| told.store(n, Ordering::Relaxed);
            tokio::select! {
                outcome = self.attempt(&mut run, &progress) => outcome,
                never = self.tell(id, &percent) => match never {},
            }
        };
        run.ended_at = Some(clock::now());
        run.state = if outcome.is_ok() { BackupState::Done } else { BackupState::Failed };
        run.percent = if outcome.is_ok() { 100 } else { percent.load(Ordering::Relaxed) };
        run.result.error = outcome.as_ref().err().map(|error| format!("{error:#}"));
        match &outcome {
            Ok(()) => {
                tracing::info!(kind = ?run.kind, snapshot = run.snapshot, new_bytes = run.result.new_bytes, "done")
            }
            Err(error) => tracing::warn!(kind = ?run.kind, error = format!("{error:#}"), "failed"),
        }
        // A restore that lies ready is written down by the server that it brings back.
        if run.kind == BackupKind::Restore && outcome.is_ok() {
            let _ = self.prepared_is.send(true);
            std::future::pending::<()>().await;
        }
        self.keep(&run).await?;
        self.notice().await?;
        self.show().await
    }

    async fn attempt(
        &self,
        run: &mut BackupRun,
        progress: &(dyn Fn(u8) + Send + Sync),
    ) -> anyhow::Result<()> {
        match run.kind {
            BackupKind::Backup => {
                let made = self.place.back_up(&self.inventory, progress).await?;
                run.snapshot = Some(made.snapshot_id);
                (run.result.bytes, run.result.new_bytes) = (made.total_bytes_processed, made.data_added);
                // Freeing rewrites much of the repository: once a week is enough.
                let sunday = schedule::is_sunday(&TimeZone::system(), clock::now());
                self.place.restic.forget(self.place.config.keep_days, sunday).await?;
            }
            BackupKind::Drill => {
                let snapshot = self.find(run.snapshot.as_deref()).await?;
                self.place.drill(&snapshot, progress).await?;
                run.snapshot = Some(snapshot.shown.id);
            }
            BackupKind::Restore => {
                let snapshot = self.find(run.snapshot.as_deref()).await?;
                // The way back from the way back.
                self.place.back_up(&self.inventory, &|n| progress(n / 4)).await?;
                restore::prepare(&self.place, &snapshot, &run.asked_by, &|n| progress(25 + n / 4 * 3))
                    .await?;
            }
        }
        Ok(())
    }

    /// One backup by its id; the newest without.
    async fn find(&self, id: Option<&str>) -> anyhow::Result<Snapshot> {
        let mut snapshots = self.place.restic.snapshots().await?.into_iter();
        let found = match id {
            Some(id) => snapshots.find(|snapshot| snapshot.shown.id == id),
            None => snapshots.next(),
        };
        found.ok_or_else(|| anyhow::anyhow!("this backup is not there any more"))
    }

    /// Writes down every two seconds how far a run is.
    async fn tell(&self, id: BackupRunId, percent: &AtomicU8) -> std::convert::Infallible {
        let mut told = 0;
        loop {
            tokio::time::sleep(Duration::from_secs(2)).await;
            let now = percent.load(Ordering::Relaxed);
            let by = By { actor: ACTOR, at: clock::now() };
            if now != told && self.inventory.set_backup_percent(by, id, now).await.is_ok() {
                told = now;
            }
        }
    }

    async fn keep(&self, run: &BackupRun) -> anyhow::Result<()> {
        Ok(self.inventory.keep_backup_run(By { actor: &run.asked_by, at: clock::now() }, run).await?)
    }

    /// A person should know while the last attempt of a kind failed.
    async fn notice(&self) -> anyhow::Result<()> {
        let runs = self.inventory.backup_runs().await?;
        let found: Vec<(String, String, String)> = [
            (BackupKind::Backup, "backup", "the last backup was not made"),
            (BackupKind::Drill, "drill", "the backups could not be brought back on trial"),
        ]
        .into_iter()
        .filter_map(|(kind, place, text)| {
            let last = runs.iter().find(|run| run.kind == kind && run.state.is_over())?;
            let error = last.result.error.as_ref()?;
            Some((place.to_owned(), text.to_owned(), error.clone()))
        })
        .collect();
        let by = By { actor: ACTOR, at: clock::now() };
        Ok(self.inventory.set_notices(by, SOURCE, &found).await?)
    }

    /// Writes down which backups there are; what was known stays if the place does not answer.
    async fn show(&self) -> anyhow::Result<()> {
        match self.place.restic.snapshots().await {
            Ok(found) => {
                let shown: Vec<BackupSnapshot> = found.into_iter().map(|snapshot| snapshot.shown).collect();
                self.say_where(Some(&shown)).await
            }
            Err(error) => {
                tracing::warn!(%error, "cannot list backups");
                self.say_where(None).await
            }
        }
    }

    async fn say_where(&self, snapshots: Option<&[BackupSnapshot]>) -> anyhow::Result<()> {
        let place = BackupPlace {
            repository: redacted(&self.place.restic.repository),
            next_at: schedule::next(self.place.config.at, &TimeZone::system(), clock::now()),
        };
        Ok(self.inventory.set_backup_place(Some(&place), snapshots).await?)
    }
}

/// In the change log, for what is done without a person.
const ACTOR: &str = "hausmeister";
const SOURCE: &str = "backup";
const LOOK: Duration = Duration::from_secs(60);
