//! Faults: reported by people, opened by the night shift, told by e-mail.

use std::time::Duration;

use inventory::{By, FaultKind, FaultState, Notice, clock};

use crate::app::App;
use crate::failure::Answer;
use crate::night;
use crate::texts::faults::FaultTexts;

/// Faults that nobody has taken, in the school's language, as e-mail tells what is not in order.
pub(crate) async fn notices(app: &App) -> Answer<Vec<Notice>> {
    let t = FaultTexts::of(app.school.lang);
    let open = app.inventory.open_faults().await?.into_iter().filter(|fault| fault.state == FaultState::Open);
    Ok(open
        .filter_map(|fault| {
            let first = fault.events.first()?;
            let said = if first.words.is_empty() { String::new() } else { format!(" – {}", first.words) };
            Some(Notice {
                source: "faults".into(),
                // A fault that comes again later is told again.
                place: format!("{} ({})", fault.place, fault.id.to_string().get(..8).unwrap_or_default()),
                text: format!("{}{said}", t.reported(&first.actor, fault.kind)),
                remedy: t.remedy.to_owned(),
                raised_at: first.at,
            })
        })
        .collect())
}

/// Opens a fault for each PC that the night shift tries in vain, again and again.
pub(crate) async fn watch_nights(app: App) {
    loop {
        if let Err(error) = from_nights(&app).await {
            tracing::warn!(?error, "no faults are made of failed nights");
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// One look at the last night, when it is over.
pub(crate) async fn from_nights(app: &App) -> Answer<()> {
    let devices = app.inventory.devices().await?.0;
    let notes = night::notes(app, night::HISTORY_DAYS).await?;
    let Some(night) = night::latest(app, &devices, &notes).await? else { return Ok(()) };
    if night.running {
        return Ok(());
    }
    let known = app.inventory.faults().await?;
    for room in &night.rooms {
        for pc in room.others.iter().filter(|pc| pc.needs_person()) {
            let since = pc.note.since;
            // Also if it was closed meanwhile: the same night is not reported twice.
            let told = known.iter().any(|fault| {
                let is_it = fault.device == Some(pc.device) && fault.kind == FaultKind::Night;
                is_it && (fault.state != FaultState::Done || fault.changed_at >= since)
            });
            if !told {
                let by = By { actor: "night shift", at: clock::now() };
                app.inventory.report_fault(by, room.room, Some(pc.device), FaultKind::Night, "").await?;
            }
        }
    }
    Ok(())
}

const LOOK: Duration = Duration::from_secs(600);
