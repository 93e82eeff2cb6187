//! Files of people and devices on their way into the inventory: read, compared, looked at, taken over.
//!
//! What was uploaded, and the first passwords that come of it, lie in memory only and for an hour at most: they are names of pupils and
//! at times passwords, and belong into no table. They are shown to nobody but the person who uploaded them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use inventory::import::devices::{DeviceRow, read_devices};
use inventory::import::people::{PersonRow, read_people};
use inventory::import::{
    Applied, Counts, DeviceWish, File, Fleet, Form, Kind, Options, People, PersonWish, Plan, Undone, Verdict,
    plan_devices, plan_people,
};
use inventory::{By, ImportId, Inventory, Role, UnixMillis, UserId, clock};
use tokio::task::spawn_blocking;

use crate::app::{App, SignedIn};
use crate::failure::{Answer, Failure};
use crate::first_password::{First, hash_all};
use crate::problem::Problem;

/// What a person uploads.
pub(crate) struct Upload {
    pub(crate) file_name: String,
    pub(crate) bytes: Vec<u8>,
    /// Whether whoever is missing in it is to be removed.
    pub(crate) complete: bool,
    /// The role of people of whom the file says none.
    pub(crate) role: Role,
    /// The room of new devices of which the file says none.
    pub(crate) room: String,
}

/// Uploads that are looked at.
#[derive(Default)]
pub(crate) struct Uploads(Mutex<Vec<Arc<Draft>>>);

/// An upload.
pub(crate) struct Draft {
    pub(crate) id: ImportId,
    pub(crate) kind: Kind,
    pub(crate) file_name: String,
    pub(crate) form: Form,
    owner: UserId,
    at: UnixMillis,
    source: Source,
    options: Options,
    state: Mutex<State>,
}

enum Source {
    People(File<PersonRow>),
    Devices(File<DeviceRow>, String),
}

/// How far an upload is.
#[derive(Clone)]
pub(crate) enum State {
    /// It waits for the person. `outdated` tells that the plan was made anew because somebody changed the inventory.
    Planned { plan: Arc<Planned>, outdated: bool },
    /// It is being taken over.
    Applying,
    /// It is taken over; the first passwords of new people.
    Done(Arc<[NewAccount]>),
    /// It could not be taken over; nothing was changed.
    Failed(Failure),
}

/// What a file would change, and what it was compared with.
pub(crate) enum Planned {
    People(People, Plan<PersonWish>),
    Devices(Fleet, Plan<DeviceWish>),
}

/// What a new person needs to sign in.
pub(crate) struct NewAccount {
    pub(crate) class: String,
    pub(crate) name: String,
    pub(crate) login: String,
    pub(crate) password: First,
}

impl Planned {
    pub(crate) fn counts(&self) -> Counts {
        match self {
            Self::People(_, plan) => plan.counts(),
            Self::Devices(_, plan) => plan.counts(),
        }
    }

    pub(crate) fn is_alarming(&self) -> bool {
        match self {
            Self::People(_, plan) => plan.is_alarming(),
            Self::Devices(_, plan) => plan.is_alarming(),
        }
    }

    fn does_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::People(_, plan), Self::People(_, other)) => plan == other,
            (Self::Devices(_, plan), Self::Devices(_, other)) => plan == other,
            _ => false,
        }
    }
}

impl Draft {
    pub(crate) fn state(&self) -> State {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_planned(&self) -> bool {
        matches!(*self.lock(), State::Planned { .. })
    }

    fn is_running(&self) -> bool {
        matches!(*self.lock(), State::Applying)
    }
}

impl Uploads {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Draft>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an upload in the place of the person's earlier one of the kind, and of old ones. When there are too many, the oldest goes,
    /// and of those that were taken over, whose passwords somebody may still need, the last.
    fn keep(&self, draft: Arc<Draft>) {
        let mut drafts = self.lock();
        let same = |old: &Draft| old.owner == draft.owner && old.kind == draft.kind && old.is_planned();
        drafts.retain(|old| old.is_running() || !(same(old) || is_old(old)));
        while drafts.len() >= DRAFTS_MAX {
            let oldest = drafts.iter().position(|old| old.is_planned()).unwrap_or_default();
            drafts.remove(oldest);
        }
        drafts.push(draft);
    }

    /// The upload of that person.
    pub(crate) fn find(&self, me: &SignedIn, kind: Kind, id: ImportId) -> Option<Arc<Draft>> {
        let mut drafts = self.lock();
        drafts.retain(|draft| draft.is_running() || !is_old(draft));
        drafts.iter().find(|d| d.id == id && d.kind == kind && d.owner == me.user.id).cloned()
    }

    /// Forgets an upload, and with it the first passwords.
    pub(crate) fn forget(&self, me: &SignedIn, kind: Kind, id: ImportId) {
        self.lock().retain(|d| d.id != id || d.kind != kind || d.owner != me.user.id || d.is_running());
    }

    /// Forgets what lies too long.
    pub(crate) fn tidy(&self) {
        self.lock().retain(|draft| draft.is_running() || !is_old(draft));
    }
}

fn is_old(draft: &Draft) -> bool {
    clock::now().millis_since(draft.at) > KEPT_MILLIS
}

/// Reads an upload and says what it would change. Nothing is written.
pub(crate) async fn read(app: &App, me: &SignedIn, kind: Kind, upload: Upload) -> Answer<Arc<Draft>> {
    let Upload { file_name, bytes, complete, role, room } = upload;
    let read = spawn_blocking(move || match kind {
        Kind::People => read_people(&bytes, role).map(|file| (file.form.clone(), Source::People(file))),
        Kind::Devices => read_devices(&bytes).map(|file| (file.form.clone(), Source::Devices(file, room))),
    });
    let read = read.await.map_err(|_| Failure::Internal)?;
    let (form, source) = read.map_err(|problem| Failure::field("file", Problem::File(problem)))?;
    let draft = Arc::new(Draft {
        id: ImportId::random(),
        kind,
        file_name: file_name.chars().filter(|c| !c.is_control()).take(FILE_NAME_CHARS_MAX).collect(),
        form,
        owner: me.user.id,
        at: clock::now(),
        source,
        options: Options { complete },
        state: Mutex::new(State::Applying),
    });
    let plan = Arc::new(compare(&app.inventory, &draft).await?);
    *draft.lock() = State::Planned { plan, outdated: false };
    app.uploads.keep(draft.clone());
    Ok(draft)
}

/// Compares a file with what is there.
async fn compare(inventory: &Inventory, draft: &Arc<Draft>) -> Answer<Planned> {
    let (people, fleet) = match draft.kind {
        Kind::People => (inventory.people_for_import().await?, Fleet::default()),
        Kind::Devices => (People::default(), inventory.fleet_for_import().await?),
    };
    let draft = draft.clone();
    let planned = spawn_blocking(move || match &draft.source {
        Source::People(file) => {
            let plan = plan_people(file, &people, draft.options);
            Planned::People(people, plan)
        }
        Source::Devices(file, room) => {
            let plan = plan_devices(file, &fleet, room, draft.options);
            Planned::Devices(fleet, plan)
        }
    });
    planned.await.map_err(|_| Failure::Internal)
}

/// Takes an upload over. `removals` is what the person typed. Waits for it a while; who asks later is told how far it is.
pub(crate) async fn apply(
    app: &App,
    me: &SignedIn,
    kind: Kind,
    id: ImportId,
    removals: Option<usize>,
) -> Answer<Arc<Draft>> {
    let draft = app.uploads.find(me, kind, id).ok_or(Failure::Refused(Problem::UploadGone))?;
    let plan = {
        let mut state = draft.lock();
        let State::Planned { plan, .. } = &*state else { return Ok(draft.clone()) };
        let plan = plan.clone();
        let removed = plan.counts().removed;
        if plan.is_alarming() && removals != Some(removed) {
            return Err(Failure::field("removals", Problem::Removals(removed)));
        }
        *state = State::Applying;
        plan
    };
    // A task of its own: a browser that goes away leaves nothing half done, and thousands of passwords may take longer than a request.
    let (inventory, actor, working) = (app.inventory.clone(), me.user.name.clone(), draft.clone());
    let task = tokio::spawn(async move {
        let state = match carry_out(&inventory, &actor, &working, plan).await {
            Ok(state) => state,
            Err(failure) => State::Failed(failure),
        };
        *working.lock() = state;
    });
    let _ = tokio::time::timeout(WAIT, task).await;
    Ok(draft)
}

async fn carry_out(
    inventory: &Inventory,
    actor: &str,
    draft: &Arc<Draft>,
    shown: Arc<Planned>,
) -> Answer<State> {
    let accounts = accounts(&shown);
    let passwords: Vec<First> = accounts.iter().map(|account| account.password.clone()).collect();
    let hashes = spawn_blocking(move || hash_all(&passwords)).await.map_err(|_| Failure::Internal)?;
    let hashes = hashes.map_err(|error| Failure::Refused(Problem::Password(error)))?;
    let about = (draft.id, draft.file_name.as_str());
    for _ in 0..ATTEMPTS {
        let fresh = compare(inventory, draft).await?;
        if !fresh.does_the_same(&shown) {
            return Ok(State::Planned { plan: Arc::new(fresh), outdated: true });
        }
        let by = By { actor, at: clock::now() };
        let applied = match &fresh {
            Planned::People(school, plan) => inventory.apply_people(by, about, school, plan, &hashes).await?,
            Planned::Devices(school, plan) => inventory.apply_devices(by, about, school, plan).await?,
        };
        if applied == Applied::Done {
            let counts = fresh.counts();
            tracing::info!(import.id = %draft.id, kind = draft.kind.text(), new = counts.new, removed = counts.removed, "a file was taken over");
            return Ok(State::Done(accounts.into()));
        }
    }
    Ok(State::Planned { plan: Arc::new(compare(inventory, draft).await?), outdated: true })
}

/// Who is new, with a first password: the file's, or a random one.
fn accounts(planned: &Planned) -> Vec<NewAccount> {
    let Planned::People(_, plan) = planned else { return Vec::new() };
    let fresh = plan.items.iter().filter(|item| item.verdict == Verdict::New);
    fresh
        .map(|item| NewAccount {
            class: item.wish.join.join(", "),
            name: item.label.clone(),
            login: item.wish.login.clone(),
            password: item.wish.password.as_ref().map_or_else(First::random, |p| First::Chosen(p.0.clone())),
        })
        .collect()
}

/// Takes the last import of its kind back.
pub(crate) async fn undo(app: &App, me: &SignedIn, kind: Kind, id: ImportId) -> Answer<Undone> {
    let undone = app.inventory.undo_import(me.by(), kind, id).await?;
    app.uploads.forget(me, kind, id);
    Ok(undone)
}

/// The first passwords as a table for spreadsheets. What a spreadsheet would take for a formula is kept from being one.
pub(crate) fn password_table(accounts: &[NewAccount], heading: [&str; 4]) -> Answer<Vec<u8>> {
    let plain = |text: &str| {
        let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
        if formula { format!("'{text}") } else { text.to_owned() }
    };
    // With the mark, spreadsheets know the encoding.
    let mut table = csv::WriterBuilder::new().delimiter(b';').from_writer("\u{feff}".as_bytes().to_vec());
    let mut write = |fields: [String; 4]| table.write_record(&fields).map_err(|_| Failure::Internal);
    write(heading.map(str::to_owned))?;
    for account in by_class(accounts).iter().flat_map(|(_, accounts)| accounts) {
        write([
            plain(&account.class),
            plain(&account.name),
            plain(&account.login),
            plain(account.password.text()),
        ])?;
    }
    table.into_inner().map_err(|_| Failure::Internal)
}

/// Accounts by class, as they are handed out.
pub(crate) fn by_class(accounts: &[NewAccount]) -> Vec<(&str, Vec<&NewAccount>)> {
    let mut classes: HashMap<&str, Vec<&NewAccount>> = HashMap::new();
    for account in accounts {
        classes.entry(account.class.as_str()).or_default().push(account);
    }
    let mut classes: Vec<_> = classes.into_iter().collect();
    classes.sort_by_key(|(class, _)| *class);
    classes
}

/// Uploads that are kept at once: each may be tens of megabytes.
const DRAFTS_MAX: usize = 6;
/// How long: an hour.
const KEPT_MILLIS: i64 = 60 * 60 * 1000;
const FILE_NAME_CHARS_MAX: usize = 100;
/// How long a request waits for its import.
const WAIT: Duration = Duration::from_secs(10);
/// Attempts to write, if somebody changes the inventory in between without changing what is to be done.
const ATTEMPTS: usize = 5;
