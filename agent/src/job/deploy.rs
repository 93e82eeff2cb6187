//! A deploy job. The order of its steps is what makes it safe to interrupt: see [`images::deploy`].

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use ed25519_dalek::VerifyingKey;
use images::blockdev::{BlockDev, FileDev};
use images::chunk::{ChunkSource, Hash};
use images::deploy::{self, Deploy, DeployError, Options, Written};
use images::disks;
use images::manifest::{Manifest, ManifestId};
use images::protocol::{Finish, Job, Phase, Task};
use images::reserved::{self, Journal};
use images::used::FsKind;

use super::chunks::HttpChunks;
use super::reporter::Reporter;
use super::{Context, Done, JobError};
use crate::drivers::ServerDrivers;
use crate::efi::{self, SystemPartition};
use crate::hardware;
use crate::line::Line;
use crate::machine;
use crate::personalise::{self, Settings, Systems};
use crate::swarm::{Swarm, SwarmError};

pub(super) fn run(
    context: &Context<'_>,
    line: &Line,
    job: &Job,
    reporter: &Reporter<'_>,
) -> Result<Done, JobError> {
    let Task::Deploy { manifest: id, signing_key, hostname, disk: previous, swarm: token, .. } = &job.task
    else {
        return Err(JobError::Manifest("this is no deploy job".into()));
    };
    let candidates = context.machine.candidates();
    let disk = &disks::choose(&candidates, previous.as_deref())?.disk;
    let path = context.machine.device(&disk.name);
    let bytes = line.ask(|client| client.manifest(&job.id)).map_err(JobError::Fetch)?;
    let manifest = Arc::new(trusted(&bytes, id, signing_key)?);
    drop(bytes);
    let dev = FileDev::open_write(&path).map_err(|source| JobError::Open { path: path.clone(), source })?;
    let mut deploy = Deploy::new(&dev, &manifest, &job.id).map_err(JobError::Deploy)?;
    let has_ntfs = deploy.layout().placements.iter().any(|p| p.kind == FsKind::Ntfs);
    if has_ntfs && deploy.chunks_are_written() && !deploy.is_finished() {
        // The power went while it was being personalised, and an NTFS has no journal that Linux writes. What stands on the disk
        // is compared with the image, and what differs is written again.
        begin_again(&dev, &manifest, &job.id).map_err(|e| JobError::Deploy(DeployError::Journal(e)))?;
        deploy = Deploy::new(&dev, &manifest, &job.id).map_err(JobError::Deploy)?;
    }
    line.screen().note(&format!(
        "writing to {} ({} bytes), of which {} are there from before",
        disk.name,
        dev.len_bytes(),
        deploy.resumed_bytes()
    ));
    let memory = hardware::memory(&context.machine.root);
    let swarm = token.and_then(|token| {
        let disk = FileDev::open_read(&path).ok()?;
        let disk = Written::new(Box::new(disk), manifest.clone(), deploy.layout().clone());
        join(line, Swarm::start(line, &job.id, token, context.identity, disk, memory))
    });
    let server = HttpChunks::new(line, &job.id);
    let source: &dyn ChunkSource = swarm.as_ref().map_or(&server, |swarm| swarm);
    let mut kept_bytes = 0;
    let mut shortcomings = Vec::new();
    // Every system leaves a copy of its loader here. Where there are two, it is the one that offers both.
    let mut loader = efi::DEFAULT_LOADER;
    if !deploy.is_finished() {
        deploy.wipe_table().map_err(JobError::Deploy)?;
        machine::write_identity(&dev, context.identity, line.client().server()).map_err(JobError::Key)?;
        reporter.phase(Phase::Transfer, manifest.data_bytes());
        let mut progress = |at: deploy::Progress| {
            reporter.done(at.done_bytes, at.total_bytes);
            let peer_bytes = swarm.as_ref().map_or(0, Swarm::peer_bytes);
            reporter.moved(swarm.as_ref().map_or(server.moved_bytes(), Swarm::moved_bytes), peer_bytes);
            if let Some(swarm) = &swarm {
                swarm.wrote(at.batches);
            }
            if reporter.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let written = deploy.write_chunks(source, &options(memory, swarm.is_some()), &mut progress);
        let written = written.map_err(|error| match error {
            DeployError::Cancelled => JobError::Cancelled,
            other => JobError::Deploy(other),
        })?;
        kept_bytes = written.kept_bytes;
        reporter.phase(Phase::Personalise, 0);
        let settings = Settings {
            hostname: hostname.clone(),
            server: line.client().server().to_owned(),
            ca_pem: context.ca_pem.to_vec(),
            manifest: id.clone(),
            binary: fs::read(&context.binary)
                .map_err(|source| JobError::Open { path: context.binary.clone(), source })?,
        };
        let drivers = ServerDrivers::new(line, &job.id, &context.machine.root);
        let systems = personalise::run(
            &path,
            dev.sector_bytes(),
            deploy.layout(),
            &settings,
            &drivers,
            &context.mount_point,
        );
        match systems {
            Ok(systems) => {
                tell(line, &systems, hostname);
                if systems.windows.is_some() && systems.linux.is_none() {
                    loader = efi::WINDOWS_LOADER;
                }
                shortcomings = systems.notes.into_iter().map(|(shortcoming, _)| shortcoming).collect();
            }
            Err(error) => {
                // Whatever half-done state this left: the next try begins with the first chunk.
                let _ = begin_again(&dev, &manifest, &job.id);
                return Err(error.into());
            }
        }
        reporter.phase(Phase::Finish, 0);
        deploy.commit_table().map_err(JobError::Deploy)?;
    }
    start_from_disk(context, line, &deploy, loader);
    let finish = Finish::Ok {
        shortcomings,
        bytes: manifest.data_bytes(),
        transferred: swarm.as_ref().map_or(server.moved_bytes(), Swarm::moved_bytes),
        disk: disks::identity(disk).unwrap_or_default().to_owned(),
        resumed_bytes: deploy.resumed_bytes(),
        kept_bytes,
        peer_bytes: swarm.as_ref().map_or(0, Swarm::peer_bytes),
    };
    Ok(Done { finish, swarm })
}

fn begin_again(dev: &FileDev, manifest: &Manifest, job: &str) -> io::Result<()> {
    let journal =
        Journal { job: job.into(), manifest: manifest.id(), done: 0, zeroed: false, finished: false };
    reserved::write_journal(dev, &journal)?;
    dev.sync()
}

fn tell(line: &Line, systems: &Systems, hostname: &str) {
    if let Some(number) = systems.linux {
        line.screen().note(&format!("partition {number} is now {hostname}"));
    }
    if let Some((number, name)) = &systems.windows {
        line.screen().note(&format!("partition {number} is now the Windows PC {name}"));
    }
    if systems.linux.is_none() && systems.windows.is_none() {
        line.screen().note("neither Linux nor Windows was found in the image: the host name is not set");
    }
    for (_, note) in &systems.notes {
        line.screen().note(note);
    }
}

/// Takes part in the room's exchange. A PC that cannot gets everything from the server.
fn join(line: &Line, begun: Result<Swarm, SwarmError>) -> Option<Swarm> {
    let refused = |error: &SwarmError| {
        line.screen().note(&format!("no exchange with the room's other PCs: {error}"));
    };
    begun.inspect_err(refused).ok()
}

/// Chunks that come through other PCs come later: more are asked for at once, as far as the memory allows.
fn options(memory: u64, swarm: bool) -> Options {
    let usual = Options::default();
    if !swarm {
        return usual;
    }
    let threads = usize::try_from(memory / MEMORY_PER_FETCH).unwrap_or(FETCHES_MAX);
    Options { fetch_threads: threads.clamp(usual.fetch_threads, FETCHES_MAX), ..usual }
}

/// Each fetch holds a batch and what it is made of. More at a time than these would only be in each other's way on the line.
const MEMORY_PER_FETCH: u64 = 64 << 20;
const FETCHES_MAX: usize = 8;

/// The manifest, if it is the one that the job names and signed with the key that the job names.
fn trusted(bytes: &[u8], id: &str, signing_key: &str) -> Result<Manifest, JobError> {
    let bad = |why: &str| JobError::Manifest(why.to_owned());
    let id: ManifestId = id.parse().map_err(|_| bad("the job names no manifest"))?;
    // 32 bytes in hexadecimal digits are written like a hash.
    let key: Hash = signing_key.parse().map_err(|_| bad("the job names no signing key"))?;
    let key = VerifyingKey::from_bytes(key.as_bytes()).map_err(|_| bad("the signing key is none"))?;
    let manifest =
        Manifest::parse_signed(bytes, &key).map_err(|error| JobError::Manifest(error.to_string()))?;
    if manifest.id() != id { Err(bad("it is another image's")) } else { Ok(manifest) }
}

/// Firmware that refuses costs only the detour over the network at the next start.
fn start_from_disk(context: &Context<'_>, line: &Line, deploy: &Deploy<'_>, loader: &str) {
    if !context.efivars.exists() {
        return;
    }
    let Some(esp) = SystemPartition::of(&deploy.layout().table) else {
        line.screen()
            .note("the image has no EFI system partition: this PC starts by UEFI and may not start from it");
        return;
    };
    match efi::boot_disk_next(&context.efivars, &esp, loader) {
        Ok(number) => line.screen().note(&format!("boot entry {number:04X} is next")),
        Err(error) => line.screen().note(&format!("the firmware does not take a boot entry: {error}")),
    }
}
