//! What can be done with programs of PCs, the same for pages and API: survey, upload, add.

mod form;
mod say;

use std::collections::{BTreeMap, HashMap};
use std::io::{ErrorKind, Read as _};

use ::software::import::{Draft, deb, msi};
use ::software::package::{FileHash, FileName, Found, Package, PackageFile, PackageId, System};
use ::software::plan::{Action, Plan, Problem as InTheWay, Reason, Wish};
use ::software::run::Outcome;
use ::software::turn::Turn;
use axum::body::Bytes;
use futures_util::{Stream, StreamExt as _};
use inventory::files::{Incoming, Kept};
use inventory::gate::{GateDevice, Of, Target};
use inventory::lessons::Bell;
use inventory::software::{Book, Entry, Known, SoftwareWish};
use inventory::{Audience, DeviceId, EntryId, Hostname, UnixMillis, WishId, clock};
use tokio::task::spawn_blocking;

use crate::app::{App, SignedIn};
use crate::failure::{Answer, Failure};
use crate::problem::Problem;

pub(crate) use form::{FormValues, package_of};
pub(crate) use say::{say_package, say_reason, say_result, say_state};

/// Everything about programs at one moment.
pub(crate) struct Survey {
    /// By name.
    pub(crate) programs: Vec<Program>,
    /// What people call rooms, groups and devices.
    pub(crate) names: HashMap<Audience, String>,
}

/// A program in all its versions, and how PCs stand to it.
pub(crate) struct Program {
    pub(crate) id: PackageId,
    /// Newest last.
    pub(crate) entries: Vec<Entry>,
    pub(crate) wishes: Vec<SoftwareWish>,
    /// PCs that it concerns: it is there, is to be there or to go, or something became of it. By name.
    pub(crate) pcs: Vec<OnPc>,
}

/// How a PC stands to a program.
pub(crate) struct OnPc {
    pub(crate) device: DeviceId,
    pub(crate) name: Hostname,
    pub(crate) found: Found,
    pub(crate) stand: Stand,
    /// What became of it the last time.
    pub(crate) last: Option<Turn>,
    /// Somebody sits at it, in a lesson.
    pub(crate) in_lesson: bool,
    pub(crate) reported_at: UnixMillis,
}

/// Whether it is as it should be.
#[derive(PartialEq)]
pub(crate) enum Stand {
    /// It is.
    Good,
    /// It will be: this is to be done.
    ToDo(Action, Reason),
    /// It is not, and something is in the way.
    InTheWay(InTheWay),
}

impl Program {
    /// The newest entry: what the program is called by.
    pub(crate) fn newest(&self) -> Option<&Entry> {
        self.entries.last()
    }

    /// PCs where it is as it should be, where something is to be done, and where a person is needed.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let needs_person = |pc: &&OnPc| matches!(pc.stand, Stand::InTheWay(_)) || pc.has_failed();
        let good = self.pcs.iter().filter(|pc| matches!(pc.stand, Stand::Good) && pc.found.present()).count();
        let wrong = self.pcs.iter().filter(needs_person).count();
        let open =
            self.pcs.iter().filter(|pc| matches!(pc.stand, Stand::ToDo(..)) && !pc.has_failed()).count();
        (good, open, wrong)
    }
}

impl OnPc {
    /// Whether the last attempt failed and nothing was done since.
    pub(crate) fn has_failed(&self) -> bool {
        let failed = |turn: &Turn| matches!(turn.outcome, Outcome::Failed(_) | Outcome::NeedsPerson(_));
        !matches!(self.stand, Stand::Good) && self.last.as_ref().is_some_and(failed)
    }
}

/// What a survey is made of.
#[derive(Clone)]
struct Material {
    entries: Vec<Entry>,
    wishes: Vec<SoftwareWish>,
    names: HashMap<Audience, String>,
    known: Vec<Known>,
    devices: Vec<GateDevice>,
    bell: Bell,
}

async fn material(app: &App, of: Option<DeviceId>) -> Answer<Material> {
    let (entries, _) = app.inventory.software_entries().await?;
    let (wishes, _) = app.inventory.software_wishes().await?;
    let names = app.inventory.audience_names().await?;
    let (known, _) = app.inventory.known_software(of).await?;
    let of = of.map_or(Of::School, |device| Of::Target(Target::Device(device)));
    let (devices, _) = app.inventory.gate_devices(of).await?;
    let bell = app.inventory.grid().await?.bell_at(clock::now());
    Ok(Material { entries, wishes, names, known, devices, bell })
}

/// Looks at all programs on all PCs, or on one.
pub(crate) async fn survey(app: &App, of: Option<DeviceId>) -> Answer<Survey> {
    let material = material(app, of).await?;
    spawn_blocking(move || surveyed(material)).await.map_err(|_| Failure::Internal)
}

/// How PCs would stand to programs, where a wish changes that: what the program is called, and the PC.
pub(crate) async fn preview(
    app: &App,
    package: &PackageId,
    audience: Audience,
    wish: Wish,
) -> Answer<Vec<(String, OnPc)>> {
    let now = material(app, None).await?;
    let mut then = now.clone();
    then.wishes.retain(|wish| wish.package != *package || wish.audience != audience);
    let (id, created_by, created_at) = (WishId::random(), String::new(), clock::now());
    let package = package.clone();
    then.wishes.push(SoftwareWish { id, package, audience, wish, created_by, created_at });
    let both = spawn_blocking(move || (surveyed(now), surveyed(then))).await;
    let (now, then) = both.map_err(|_| Failure::Internal)?;
    let before: HashMap<(&PackageId, DeviceId), &Stand> = now
        .programs
        .iter()
        .flat_map(|program| program.pcs.iter().map(|pc| ((&program.id, pc.device), &pc.stand)))
        .collect();
    let mut changes = Vec::new();
    for program in then.programs {
        let name = program.newest().map(|entry| entry.package.name.to_string()).unwrap_or_default();
        let changed =
            |pc: &OnPc| *before.get(&(&program.id, pc.device)).unwrap_or(&&Stand::Good) != &pc.stand;
        changes.extend(program.pcs.into_iter().filter(changed).map(|pc| (name.clone(), pc)));
    }
    Ok(changes)
}

fn surveyed(material: Material) -> Survey {
    let Material { entries, wishes, names, known, devices, bell } = material;
    let name = |audience| names.get(&audience).cloned().unwrap_or_default();
    let (mut book, _) = Book::new(&entries, &wishes, name);
    let mut programs: BTreeMap<PackageId, Program> = BTreeMap::new();
    for entry in &entries {
        let id = entry.package.id.clone();
        let empty = || Program { id, entries: Vec::new(), wishes: Vec::new(), pcs: Vec::new() };
        programs.entry(entry.package.id.clone()).or_insert_with(empty).entries.push(entry.clone());
    }
    for wish in &wishes {
        if let Some(program) = programs.get_mut(&wish.package) {
            program.wishes.push(wish.clone());
        }
    }
    let mut by_device: HashMap<DeviceId, Known> = known.into_iter().map(|pc| (pc.device, pc)).collect();
    let mut devices: Vec<_> =
        devices.into_iter().filter_map(|pc| Some((by_device.remove(&pc.subject.device)?, pc))).collect();
    devices.sort_by(|a, b| a.1.name.cmp(&b.1.name));
    for (known, device) in &devices {
        let plan = book.plan(&device.subject, &known.pc, &known.turns);
        for program in programs.values_mut() {
            program.pcs.extend(on_pc(&program.id, known, &device.name, &plan, &bell));
        }
    }
    let mut programs: Vec<Program> = programs.into_values().collect();
    for program in &mut programs {
        program.entries.sort_by(|a, b| a.package.system.compare(&a.package.version, &b.package.version));
    }
    programs.sort_by_key(|program| program.newest().map(|entry| entry.package.name.as_str().to_lowercase()));
    Survey { programs, names }
}

fn on_pc(id: &PackageId, known: &Known, name: &Hostname, plan: &Plan, bell: &Bell) -> Option<OnPc> {
    let found = known.pc.observed.get(id).cloned().unwrap_or_default();
    let last = known.turns.last.get(id).cloned();
    let step = plan.steps.iter().find(|step| step.package.id == *id);
    let stopped = plan.stopped.iter().find(|stopped| stopped.package == *id);
    let stand = match (step, stopped) {
        (Some(step), _) => Stand::ToDo(step.action.clone(), step.reason.clone()),
        (None, Some(stopped)) => Stand::InTheWay(stopped.problem.clone()),
        (None, None) => Stand::Good,
    };
    let concerns = found.present() || last.is_some() || !matches!(stand, Stand::Good);
    let (device, reported_at) = (known.device, known.pc.reported_at);
    let in_lesson = known.pc.is_left_alone_until(bell).is_some();
    concerns.then(|| OnPc { device, name: name.clone(), found, stand, last, in_lesson, reported_at })
}

/// The entry of that id.
pub(crate) async fn entry(app: &App, id: EntryId) -> Answer<Entry> {
    let (entries, _) = app.inventory.software_entries().await?;
    entries.into_iter().find(|entry| entry.id == id).ok_or(Failure::Gone)
}

/// The program that an entry belongs to, and how all PCs stand to it.
pub(crate) async fn one(app: &App, id: EntryId) -> Answer<(Program, HashMap<Audience, String>)> {
    let Survey { programs, names } = survey(app, None).await?;
    let of = |program: &Program| program.entries.iter().any(|entry| entry.id == id);
    Ok((programs.into_iter().find(of).ok_or(Failure::Gone)?, names))
}

/// Adds a version of a program, whose files were uploaded.
pub(crate) async fn add(app: &App, me: &SignedIn, package: &Package) -> Answer<EntryId> {
    for file in &package.files {
        let FileHash::Blake3(hash) = &file.hash else {
            return Err(Failure::field("file", Problem::NotUploaded(file.name.to_string())));
        };
        let there = tokio::fs::metadata(app.software_files.path(hash)).await;
        if !there.is_ok_and(|about| about.len() == file.size) {
            return Err(Failure::field("file", Problem::NotUploaded(file.name.to_string())));
        }
    }
    Ok(app.inventory.add_software(me.by(), package).await?)
}

/// Takes a file in as it comes, however large, and reads what it says about itself.
pub(crate) async fn take_in<E: std::fmt::Display>(
    app: &App,
    name: &str,
    mut bytes: impl Stream<Item = Result<Bytes, E>> + Unpin,
) -> Answer<(PackageFile, Draft)> {
    let name: FileName = name.parse().map_err(|error| Failure::field("file", Problem::Unfit(error)))?;
    let files = app.software_files.clone();
    let mut incoming = on_disk(move || files.begin()).await?;
    while let Some(piece) = bytes.next().await {
        let piece = piece.map_err(|error| Failure::Malformed(error.to_string()))?;
        if incoming.size() + piece.len() as u64 > FILE_BYTES_MAX {
            return Err(Failure::field("file", Problem::PackageFileTooLarge));
        }
        incoming = written(incoming, piece).await?;
    }
    if incoming.size() == 0 {
        return Err(Failure::field("file", Problem::Missing));
    }
    let kept = on_disk(move || incoming.keep()).await?;
    let file = PackageFile { name, hash: FileHash::Blake3(kept.blake3), size: kept.size };
    let draft = draft(app, &file, kept).await?;
    Ok((file, draft))
}

async fn written(mut incoming: Incoming, piece: Bytes) -> Answer<Incoming> {
    on_disk(move || {
        incoming.write(&piece)?;
        Ok(incoming)
    })
    .await
}

async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> Answer<T> {
    let done = spawn_blocking(work).await.map_err(|_| Failure::Internal)?;
    done.map_err(|error| match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Failure::DiskFull,
        _ => {
            tracing::error!("a file of a program cannot be kept: {error}");
            Failure::Internal
        }
    })
}

/// What an uploaded file says about itself; a draft with gaps, for an installer that says nothing.
async fn draft(app: &App, file: &PackageFile, kept: Kept) -> Answer<Draft> {
    let path = app.software_files.path(&kept.blake3);
    let file = file.clone();
    let read = spawn_blocking(move || {
        let kept = std::fs::File::open(path).map_err(|error| error.to_string())?;
        let name = file.name.as_str().to_lowercase();
        if name.ends_with(".deb") {
            let mut head = Vec::new();
            kept.take(HEAD_BYTES).read_to_end(&mut head).map_err(|error| error.to_string())?;
            let paragraph = deb::control(&head).map_err(|error| error.to_string())?;
            Ok(deb::draft(&paragraph, Some(file)))
        } else if name.ends_with(".msi") {
            let properties = msi::properties(kept).map_err(|error| error.to_string())?;
            Ok(msi::draft(&properties, file))
        } else {
            Ok(Draft { files: vec![file], ..Draft::empty(System::Windows) })
        }
    });
    let read: Result<Draft, String> = read.await.map_err(|_| Failure::Internal)?;
    read.map_err(|error| Failure::field("file", Problem::PackageFile(error)))
}

/// An office suite with all its languages has 5 GB.
const FILE_BYTES_MAX: u64 = 16 << 30;
/// Where a `.deb` says what it is.
const HEAD_BYTES: u64 = 8 << 20;
