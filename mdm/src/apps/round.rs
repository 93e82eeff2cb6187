//! One round with Apps and Books: see what there is, bring it to what is wanted.
//!
//! Everything is written down before Apple is asked for it, and what Apple says of licences counts more than what was written down: a round
//! that is broken off anywhere is done again.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use inventory::mdm::{AppleKind, AppleService, Licence, LicenceChange, LicenceState};
use inventory::{UnixMillis, clock};

use super::client::{Books, Session};
use super::plan::{self, Batch, Held, Plan};
use super::wire::{AppsError, Client, Event, MdmInfo, Service};
use crate::secret::Secret;
use crate::server::Server;

/// Why a round ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The inventory failed.
    #[error("the inventory failed")]
    Inventory(#[from] inventory::Error),
    /// Apple said no, or nothing.
    #[error(transparent)]
    Apps(#[from] AppsError),
    /// Another server manages these licences, and nobody said that this one takes over.
    #[error("another server, {}, manages the licences of this content token", .0.name)]
    Conflict(MdmInfo),
    /// The token cannot be read back.
    #[error("the content token cannot be read back; import it again")]
    Token,
}

/// What a round found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Apple's number and name of the place that the licences belong to.
    pub(super) location: (String, String),
    /// Whether something is still under way at Apple.
    pub(super) open: bool,
}

/// Does a round.
pub(super) async fn round(
    server: &Server,
    books: &Books,
    ours: &MdmInfo,
    known: &AppleService,
) -> Result<Found, Trouble> {
    let session = session(server, books).await?;
    let service = ask(&session, Session::service).await?;
    let client = ask(&session, Session::client).await?;
    let client = manage(&session, client, ours, known).await?;
    let location = client.u_id.clone();
    for pass in 0..PASSES {
        settle(server, &session).await?;
        let held = held(server, &session, location.clone()).await?;
        if pass == 0 {
            name(server, &session, &service, &client).await?;
        }
        let now = clock::now();
        let wishes = server.app_wishes().await?;
        let plan = plan::plan(wishes, &licences(server).await?, &held, now);
        server.inventory.note_app_licences(server.by(now), &plan.changes).await?;
        if plan.is_quiet() {
            break;
        }
        carry_out(server, &session, &service, &held, &plan).await?;
    }
    let open = licences(server).await?.iter().any(|licence| licence.event.is_some());
    Ok(Found { location: (location, client.location_name), open })
}

async fn session(server: &Server, books: &Books) -> Result<Session, Trouble> {
    let sealed = server.inventory.sealed_apple_secret(AppleKind::Apps).await?.ok_or(Trouble::Token)?;
    let token = server.unseal_service(AppleKind::Apps, &sealed).ok_or(Trouble::Token)?;
    let token = String::from_utf8(token).map_err(|_| Trouble::Token)?;
    Ok(books.session(Secret::new(token)))
}

/// Only one server may manage the licences of a place: ours says so, unless another one did and nobody agreed that it ends.
async fn manage(
    session: &Session,
    client: Client,
    ours: &MdmInfo,
    known: &AppleService,
) -> Result<Client, Trouble> {
    let agreed = known.settings.get("take_over").and_then(|id| id.as_str());
    match &client.mdm_info {
        Some(other) if other.id == ours.id => return Ok(client),
        Some(other) if agreed != Some(other.id.as_str()) => return Err(Trouble::Conflict(other.clone())),
        _ => {}
    }
    let ours = ours.clone();
    let after = ask(session, move |session| session.take_over(&ours)).await?;
    // Some answers leave out where we are.
    Ok(Client { mdm_info: after.mdm_info, ..client })
}

/// What Apple says that there is; the catalogue is written down.
async fn held(server: &Server, session: &Session, location: String) -> Result<Held, Trouble> {
    let listed = ask(session, Session::assets).await?;
    let licences = ask(session, Session::assignments).await?.into_iter().collect();
    let mut assets = HashMap::new();
    for asset in listed {
        // The same app under another kind of licence: the one that is of use counts.
        let better = |old: &inventory::mdm::Asset| (asset.usable, asset.total) > (old.usable, old.total);
        if assets.get(&asset.id).is_none_or(better) {
            assets.insert(asset.id, asset);
        }
    }
    let mut catalogue: Vec<_> = assets.values().cloned().collect();
    catalogue.sort_by_key(|asset| asset.id);
    server.inventory.keep_app_catalogue(server.by(clock::now()), &catalogue).await?;
    Ok(Held { assets, licences, location })
}

/// Names apps that have none. A store that does not answer costs names and no licences.
async fn name(server: &Server, session: &Session, service: &Service, client: &Client) -> Result<(), Trouble> {
    let apps = server.inventory.apps().await?;
    let nameless = apps.iter().filter(|app| app.name.is_empty() || app.bundle_id.is_empty());
    let mut found = Vec::new();
    for app in nameless.map(|app| app.id).take(NAMES_AT_ONCE) {
        let (service, country) = (service.clone(), client.country.clone());
        match ask(session, move |session| session.lookup(&service, &country, app)).await {
            Ok(lookup) => found.extend(lookup),
            Err(error) => {
                tracing::info!(app.id = %app, error = &error as &dyn std::error::Error, "the store does not name an app");
                break;
            }
        }
    }
    Ok(server.inventory.name_apps(server.by(clock::now()), &found).await?)
}

/// Gives back first: who waits may get what comes free.
async fn carry_out(
    server: &Server,
    session: &Session,
    service: &Service,
    held: &Held,
    plan: &Plan,
) -> Result<(), Trouble> {
    for (pairs, giving_back) in [(&plan.disassociate, true), (&plan.associate, false)] {
        for batch in plan::batches(pairs, service.assets, service.serials) {
            let (request, assets) = (batch.clone(), held.assets.clone());
            let asked = ask(session, move |session| match giving_back {
                true => session.disassociate(&request, &assets),
                false => session.associate(&request, &assets),
            });
            note_asked(server, &batch, asked.await).await?;
        }
    }
    Ok(())
}

/// A request that Apple refuses at once is refused for all that it is about; the next ones are tried nevertheless.
async fn note_asked(server: &Server, batch: &Batch, asked: Result<String, AppsError>) -> Result<(), Trouble> {
    let now = clock::now();
    let mine = licences(server)
        .await?
        .into_iter()
        .filter(|licence| batch.apps.contains(&licence.app) && batch.serials.contains(&licence.serial));
    let changes: Vec<LicenceChange> = match asked {
        Ok(event) => {
            let state = |state| if state == LicenceState::Returning { state } else { LicenceState::Asked };
            let asked = |licence: Licence| Licence {
                state: state(licence.state),
                event: Some(event.clone()),
                changed_at: now,
                ..licence
            };
            mine.map(asked).map(LicenceChange::Is).collect()
        }
        Err(AppsError::Refused(number, message)) => {
            let failure = super::wire::Failure { number, message, serials: Vec::new(), apps: Vec::new() };
            mine.map(|licence| LicenceChange::Is(plan::failed(licence, &failure, now))).collect()
        }
        Err(error) => return Err(error.into()),
    };
    Ok(server.inventory.note_app_licences(server.by(now), &changes).await?)
}

/// Waits for what is under way, for a while, and notes how it ended.
async fn settle(server: &Server, session: &Session) -> Result<(), Trouble> {
    let events: BTreeSet<String> =
        licences(server).await?.into_iter().filter_map(|licence| licence.event).collect();
    let mut patience = PATIENCE.iter();
    let mut open: Vec<String> = events.into_iter().collect();
    while !open.is_empty() {
        let mut later = Vec::new();
        for event in open {
            let id = event.clone();
            match ask(session, move |session| session.status(&id)).await? {
                Event::Pending => later.push(event),
                ended => note_ended(server, &event, &ended).await?,
            }
        }
        open = later;
        let Some(pause) = patience.next().filter(|_| !open.is_empty()) else { return Ok(()) };
        tokio::time::sleep(*pause).await;
    }
    Ok(())
}

async fn note_ended(server: &Server, event: &str, ended: &Event) -> Result<(), Trouble> {
    let now = clock::now();
    let mine = licences(server).await?.into_iter().filter(|licence| licence.event.as_deref() == Some(event));
    let changes: Vec<LicenceChange> = mine.map(|licence| after(licence, ended, now)).collect();
    Ok(server.inventory.note_app_licences(server.by(now), &changes).await?)
}

/// How a licence is when its request came to that end. Where Apple does not say that it failed for this one, the next look at its list tells.
fn after(licence: Licence, ended: &Event, now: UnixMillis) -> LicenceChange {
    let settled = |state, licence: Licence| {
        LicenceChange::Is(Licence {
            state,
            event: None,
            tries: 0,
            not_before: UnixMillis(0),
            changed_at: now,
            ..licence
        })
    };
    match (ended, licence.state) {
        (Event::Complete, LicenceState::Returning) => LicenceChange::Gone(licence.app, licence.serial),
        (Event::Complete, _) => settled(LicenceState::Assigned, licence),
        (Event::Failed(failures), state) => {
            match failures.iter().find(|failure| failure.is_about(licence.app, &licence.serial)) {
                Some(failure) => LicenceChange::Is(plan::failed(licence, failure, now)),
                None if state == LicenceState::Returning => settled(state, licence),
                None => settled(LicenceState::Wanted, licence),
            }
        }
        (Event::Pending, _) => LicenceChange::Is(licence),
    }
}

async fn licences(server: &Server) -> Result<Vec<Licence>, Trouble> {
    let (licences, problems) = server.inventory.app_licences().await?;
    for problem in problems {
        tracing::warn!(error = &problem as &dyn std::error::Error, "a licence is passed over");
    }
    Ok(licences)
}

/// The requests block, so they are made beside the others.
async fn ask<T: Send + 'static>(
    session: &Session,
    request: impl FnOnce(&Session) -> Result<T, AppsError> + Send + 'static,
) -> Result<T, AppsError> {
    let session = session.clone();
    tokio::task::spawn_blocking(move || request(&session))
        .await
        .unwrap_or(Err(AppsError::Answer("reading it failed")))
}

/// Giving back, getting what came free, and once more for what failed.
const PASSES: usize = 4;
const NAMES_AT_ONCE: usize = 200;
/// About half a minute; Apple needs seconds for a thousand licences.
const PATIENCE: [Duration; 9] = [
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(8),
    Duration::from_secs(8),
];

/// Who we are to Apple: the same as long as iPads reach the school under that address, also after a backup or on another machine.
pub(super) fn ours(url: &str) -> MdmInfo {
    let hash = blake3::derive_key("hausmeister mdm apps and books 2026", url.as_bytes());
    let (id, _) = hash.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
    MdmInfo {
        id: uuid::Builder::from_random_bytes(*id).into_uuid().to_string(),
        name: "Hausmeister".to_owned(),
        metadata: url.chars().take(METADATA_CHARS_MAX).collect(),
    }
}

const METADATA_CHARS_MAX: usize = 200;
