//! Backups: which there are, making one, and bringing the server back to one after a look at what that would undo.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use inventory::backup::{BackupKind, BackupRun, Facts};
use inventory::{UnixMillis, clock};

use crate::app::App;
use crate::backups;
use crate::failure::Answer;
use crate::fields::Id;
use crate::format;
use crate::lang::Lang;
use crate::notices;
use crate::page::{Here, Page, Visit};
use crate::pages::Me;
use crate::texts::Texts;
use crate::views::{Badge, When};

#[derive(Template)]
#[template(path = "backups.html")]
pub(crate) struct BackupsPage {
    pub(crate) p: Page,
    /// The repository, and when the next backup is made.
    pub(crate) place: Option<(String, String)>,
    pub(crate) states: Vec<StateRow>,
    pub(crate) runs: Vec<RunRow>,
}

/// A state that can be brought back.
pub(crate) struct StateRow {
    pub(crate) id: String,
    pub(crate) at: String,
    pub(crate) facts: Facts,
}

/// Something that was asked for.
pub(crate) struct RunRow {
    pub(crate) at: When,
    pub(crate) what: &'static str,
    pub(crate) who: String,
    pub(crate) state: Badge,
    /// Why it failed, or how much was new.
    pub(crate) result: String,
}

/// `GET /backups`
pub(crate) async fn show(State(app): State<App>, visit: Visit) -> Answer {
    let found = backups::read(&app).await?;
    let now = clock::now();
    let states = found.snapshots.into_iter().map(|snapshot| StateRow {
        id: snapshot.id,
        at: format::time(visit.lang, snapshot.at),
        facts: snapshot.facts,
    });
    visit.show(&BackupsPage {
        p: visit.page(Here::Backups),
        place: found.place.map(|place| (place.repository, format::time(visit.lang, place.next_at))),
        states: states.collect(),
        runs: found.runs.into_iter().take(RUNS_SHOWN).map(|run| row(visit.lang, now, run)).collect(),
    })
}

fn row(lang: Lang, now: UnixMillis, run: BackupRun) -> RunRow {
    let t = Texts::of(lang);
    let result = match &run.result.error {
        Some(error) => notices::said(lang, error, "").0,
        None if run.result.new_bytes > 0 => {
            format!("{} {}", format::bytes(lang, run.result.new_bytes), t.backup_new_bytes)
        }
        None => String::new(),
    };
    RunRow {
        at: When::new(lang, now, run.asked_at),
        what: match run.kind {
            BackupKind::Backup => t.backup_made,
            BackupKind::Drill => t.backup_drill,
            BackupKind::Restore => t.backup_restore,
        },
        state: t.backup_state(run.state, run.percent),
        who: run.asked_by,
        result,
    }
}

/// `POST /backups`
pub(crate) async fn back_up(State(app): State<App>, Extension(me): Me, visit: Visit) -> Answer {
    let asked = backups::ask(&app, &me, BackupKind::Backup).await;
    visit.go_done("/backups", asked.map(|_| Texts::of(visit.lang).said_backup.to_owned()))
}

/// `POST /backups/drill`
pub(crate) async fn drill(State(app): State<App>, Extension(me): Me, visit: Visit) -> Answer {
    let asked = backups::ask(&app, &me, BackupKind::Drill).await;
    visit.go_done("/backups", asked.map(|_| Texts::of(visit.lang).said_drill.to_owned()))
}

#[derive(Template)]
#[template(path = "backup.html")]
pub(crate) struct BackupPage {
    pub(crate) p: Page,
    pub(crate) id: String,
    pub(crate) at: String,
    /// What there was and is: name, then, today.
    pub(crate) facts: Vec<(&'static str, u64, u64)>,
    pub(crate) newer: bool,
    pub(crate) loses: String,
    /// How often, what, and by whom.
    pub(crate) changes: Vec<(usize, String, String)>,
}

/// `GET /backups/{id}`
pub(crate) async fn preview(State(app): State<App>, visit: Visit, Id(id): Id<String>) -> Answer {
    let t = Texts::of(visit.lang);
    let found = backups::preview(&app, &id).await?;
    let (then, now) = (&found.snapshot.facts, &found.now);
    let total = found.changes.iter().map(|lost| lost.times).sum();
    let changes = found.changes.iter().take(CHANGES_SHOWN);
    visit.show(&BackupPage {
        p: visit.page(Here::Backups),
        id,
        at: format::time(visit.lang, found.snapshot.at),
        facts: vec![
            (t.devices, then.devices, now.devices),
            (t.rooms, then.rooms, now.rooms),
            (t.people, then.people, now.people),
            (t.backup_versions, then.images, now.images),
        ],
        newer: found.newer,
        loses: t.backup_loses(total),
        changes: changes
            .map(|lost| (lost.times, t.change(&lost.entity, &lost.action), lost.actor.clone()))
            .collect(),
    })
}

/// `POST /backups/{id}`
pub(crate) async fn restore(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<String>,
) -> Answer {
    let asked = backups::restore(&app, &me, &id).await;
    visit.go_done("/backups", asked.map(|_| Texts::of(visit.lang).said_restore.to_owned()))
}

const RUNS_SHOWN: usize = 30;
const CHANGES_SHOWN: usize = 30;
