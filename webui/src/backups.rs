//! Backups: which there are, what bringing one back would undo, and asking for it. Pages and API use the same.

use std::collections::{BTreeMap, HashSet};

use inventory::backup::{BackupKind, BackupPlace, BackupRun, BackupSnapshot, Facts};
use inventory::{BackupRunId, Inventory};
use schemars::JsonSchema;
use serde::Serialize;

use crate::app::{App, SignedIn};
use crate::failure::{Answer, Failure};
use crate::pages::changes::is_told;

/// Which backups there are, and what became of those that were asked for.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Backups {
    /// Where they go; nowhere while nobody set any up.
    pub(crate) place: Option<BackupPlace>,
    /// The newest first.
    pub(crate) snapshots: Vec<BackupSnapshot>,
    /// The newest first.
    pub(crate) runs: Vec<BackupRun>,
}

/// What bringing a backup back would do.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Preview {
    pub(crate) snapshot: BackupSnapshot,
    /// What there is now.
    pub(crate) now: Facts,
    /// Whether a newer program made it: it cannot be brought back before that is installed.
    pub(crate) newer: bool,
    /// What people changed since then, most often first: it would be gone.
    pub(crate) changes: Vec<Lost>,
}

/// What somebody changed.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Lost {
    pub(crate) actor: String,
    pub(crate) entity: String,
    pub(crate) action: String,
    /// How often.
    pub(crate) times: usize,
}

/// Which backups there are.
pub(crate) async fn read(app: &App) -> Answer<Backups> {
    Ok(Backups {
        place: app.inventory.backup_place().await?,
        snapshots: app.inventory.backup_snapshots().await?,
        runs: app.inventory.backup_runs().await?,
    })
}

/// Asks for a backup, or for bringing the newest back on trial.
pub(crate) async fn ask(app: &App, me: &SignedIn, kind: BackupKind) -> Answer<BackupRunId> {
    // Without a place nobody would ever do it.
    app.inventory.backup_place().await?.ok_or(Failure::Gone)?;
    Ok(app.inventory.ask_backup(me.by(), kind, None).await?)
}

/// Asks for bringing the server back to a backup.
pub(crate) async fn restore(app: &App, me: &SignedIn, id: &str) -> Answer<BackupRunId> {
    if preview(app, id).await?.newer {
        return Err(inventory::Error::Conflict("this backup was made by a newer Hausmeister".into()).into());
    }
    Ok(app.inventory.ask_backup(me.by(), BackupKind::Restore, Some(id)).await?)
}

/// What bringing a backup back would do.
pub(crate) async fn preview(app: &App, id: &str) -> Answer<Preview> {
    let snapshots = app.inventory.backup_snapshots().await?;
    let snapshot = snapshots.into_iter().find(|snapshot| snapshot.id == id).ok_or(Failure::NoPage)?;
    let now = app.inventory.facts().await?;
    let newer = snapshot.facts.migration > now.migration;
    let changes = changes(&app.inventory, snapshot.facts.seq).await?;
    Ok(Preview { snapshot, now, newer, changes })
}

/// What people changed after a change. The log is read in windows; what machines report all the time is left out.
async fn changes(inventory: &Inventory, mut since: i64) -> Answer<Vec<Lost>> {
    let people: HashSet<String> = inventory.users().await?.0.into_iter().map(|user| user.name).collect();
    // A program acts in the name of its token.
    let programs: HashSet<String> = inventory.tokens().await?.0.into_iter().map(|token| token.name).collect();
    let mut times: BTreeMap<(String, String, String), usize> = BTreeMap::new();
    for _ in 0..WINDOWS_MAX {
        let window = inventory.changes_since(since, WINDOW).await?;
        let Some(last) = window.last() else { break };
        since = last.seq;
        for change in window {
            let by_person = people.contains(&change.actor) || programs.contains(&change.actor);
            let is_about_backups = matches!(change.entity.as_str(), "backup" | "drill" | "restore");
            if by_person && !is_about_backups && is_told(&change) {
                *times.entry((change.actor, change.entity, change.action)).or_default() += 1;
            }
        }
    }
    let mut lost: Vec<Lost> = times
        .into_iter()
        .map(|((actor, entity, action), times)| Lost { actor, entity, action, times })
        .collect();
    lost.sort_by_key(|lost| std::cmp::Reverse(lost.times));
    Ok(lost)
}

const WINDOW: u32 = 5000;
/// Half a year of a busy school.
const WINDOWS_MAX: usize = 200;
