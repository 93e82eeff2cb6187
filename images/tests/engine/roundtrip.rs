//! Capture into a store and deploy from it, with plain files as disks.

use std::collections::HashSet;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex};

use ed25519_dalek::SigningKey;
use images::blockdev::{BlockDev, FileDev, MemDev};
use images::capture;
use images::chunk::{CHUNK_BYTES, ChunkSource, Hash, Place, Stored, TransferError, Wanted};
use images::deploy::{Deploy, DeployError, Options, Progress, Written};
use images::layout::FitError;
use images::manifest::{Manifest, TableKind};
use images::reserved::{self, KeyRecord};
use images::store::Store;
use images::table::{self, Table};
use images::used::FsKind;

use crate::disk::{END, ROOT, Reference};
use crate::tools::run;

const MIB: u64 = 1 << 20;

pub(crate) fn capture(reference: &Reference, store: &Store) -> Manifest {
    let dev = FileDev::open_read(&reference.disk).unwrap();
    let plan = capture::plan(&dev).unwrap();
    assert_eq!(plan.warnings, Vec::<String>::new());
    let (manifest, _) =
        capture::run(&dev, &plan, "Raum 204", 7, store, &mut |_| ControlFlow::Continue(())).unwrap();
    let manifest = manifest.sign(&SigningKey::from_bytes(&[9; 32]));
    store.publish(&manifest).unwrap();
    manifest
}

pub(crate) fn deploy(
    dev: &dyn BlockDev,
    manifest: &Manifest,
    source: &dyn ChunkSource,
) -> Result<(), DeployError> {
    deploy_watched(dev, manifest, source, &mut |_| ())
}

/// As [`deploy`]; `progress` is told what it is told.
pub(crate) fn deploy_watched(
    dev: &dyn BlockDev,
    manifest: &Manifest,
    source: &dyn ChunkSource,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), DeployError> {
    let mut deploy = Deploy::new(dev, manifest, "job")?;
    deploy.wipe_table()?;
    deploy.write_chunks(source, &small(), &mut |at| {
        progress(at);
        ControlFlow::Continue(())
    })?;
    deploy.commit_table()
}

/// Small batches and many journals, so that a small image has much of both.
pub(crate) fn small() -> Options {
    Options { fetch_threads: 3, batch_chunks: 5, journal_bytes: 1 << 20 }
}

#[test]
fn a_captured_disk_is_deployed_to_a_larger_one() {
    let reference = Reference::new();
    let before = fs::read(&reference.disk).unwrap();
    let store = Store::open(&reference.dir.path().join("store")).unwrap();
    let manifest = capture(&reference, &store);
    assert!(fs::read(&reference.disk).unwrap() == before, "capturing writes nothing");
    let kinds: Vec<_> = manifest.partitions().map(|(p, _)| (p.filesystem.kind, p.grow)).collect();
    assert_eq!(kinds, [(FsKind::Fat, false), (FsKind::Ext, true), (FsKind::Swap, false)]);
    assert!(manifest.data_bytes() < 16 * MIB, "only what is used: {}", manifest.data_bytes());

    let target = reference.dir.path().join("target.img");
    let len = 60 * MIB + 5 * 512;
    // Full of old content, as a used disk.
    fs::write(&target, vec![0xee; len as usize]).unwrap();
    let dev = FileDev::open_write(&target).unwrap();
    let key = KeyRecord { private_key: vec![4; 100], server: "s".into() };
    reserved::write_key(&dev, &key).unwrap();
    let shift = 58 * MIB - END;
    {
        let mut deploy = Deploy::new(&dev, &manifest, "job-1").unwrap();
        let root = &deploy.layout().placements[1];
        assert_eq!((root.start, root.len, root.grow), (ROOT.0, ROOT.1 + shift, true));
        deploy.wipe_table().unwrap();
        assert!(matches!(deploy.commit_table(), Err(DeployError::TooEarly { done: 0, .. })));
        let mut last = 0;
        let at = deploy
            .write_chunks(&store, &small(), &mut |at| {
                assert!(at.done_bytes > last && at.done_bytes <= at.total_bytes);
                last = at.done_bytes;
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!((at.done_bytes, at.resumed_bytes), (at.total_bytes, 0));
        assert!(at.fetched_bytes > MIB && at.fetched_bytes < at.total_bytes);
        assert!(table::read(&dev).unwrap().is_none(), "nothing boots before the end");
        deploy.commit_table().unwrap();
        assert!(deploy.is_finished());
    }
    assert_eq!(reserved::read_key(&dev).unwrap(), Some(key));
    assert!(run("sgdisk", &["-v", target.to_str().unwrap()]).contains("No problems found"));
    let listing = run("sgdisk", &["-p", target.to_str().unwrap()]);
    assert!(listing.contains("hausmeister") && listing.contains("Teil 3"), "{listing}");
    reference.check(&target, shift);

    // What the agent does next: grow the file system into its partition.
    let part = reference.cut(&target, ROOT.0, ROOT.1 + shift);
    run("e2fsck", &["-fp", part.to_str().unwrap()]);
    run("resize2fs", &[part.to_str().unwrap()]);
    run("e2fsck", &["-fn", part.to_str().unwrap()]);

    // A job that is done stays done.
    let mut again = Deploy::new(&dev, &manifest, "job-1").unwrap();
    assert!(again.is_finished());
    again.wipe_table().unwrap();
    again.write_chunks(&Nothing, &small(), &mut |_| ControlFlow::Continue(())).unwrap();
    again.commit_table().unwrap();
    assert!(table::read(&dev).unwrap().is_some());

    // Captured again, the deployed disk is the same image but for the layout: nothing new in the store.
    let plan = capture::plan(&dev).unwrap();
    assert_eq!(plan.header().partitions.len(), 3, "the reserved place is left out");
    let (second, at) =
        capture::run(&dev, &plan, "again", 8, &store, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(at.uploaded_bytes, 0);
    assert_eq!(second.hashes().collect::<Vec<_>>(), manifest.hashes().collect::<Vec<_>>());
}

#[test]
fn every_chunk_is_read_back_from_the_disk_that_it_was_written_to_unless_it_was_changed() {
    let reference = Reference::new();
    let store = Store::open(&reference.dir.path().join("store")).unwrap();
    let manifest = Arc::new(capture(&reference, &store));
    let dev = MemDev::new(vec![0x11; 50 * MIB as usize]);
    deploy(&dev, &manifest, &store).unwrap();
    let layout = Deploy::new(&dev, &manifest, "job").unwrap().layout().clone();
    let read_back = |content: Vec<u8>| {
        let disk = Written::new(Box::new(MemDev::new(content)), manifest.clone(), layout.clone());
        let batches: Vec<_> = (0..20).map(|number| disk.batch(number)).collect();
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut is_there = |hash: &Hash| {
            let stored = batches.iter().find_map(|batch| batch.chunk(hash));
            stored.is_some_and(|stored| stored.unpack_into(hash, &mut buffer).is_ok())
        };
        manifest.hashes().filter(|hash| is_there(hash)).count()
    };
    let all = manifest.hashes().count();
    assert!(all > 40, "{all}");
    assert_eq!(read_back(dev.content().to_vec()), all);
    // The first byte of the first partition.
    let mut changed = dev.content().to_vec();
    let first = &layout.placements[0];
    changed[usize::try_from(first.start).unwrap()] ^= 1;
    assert!(read_back(changed) < all);
}

struct Nothing;

impl ChunkSource for Nothing {
    fn fetch(&self, _: &Wanted<'_>, _: &mut Place<'_>) -> Result<(), TransferError> {
        Err("nothing was to be fetched".into())
    }
}

#[test]
fn too_small_a_disk_is_refused_with_both_sizes_and_left_alone() {
    let reference = Reference::new();
    let store = Store::open(&reference.dir.path().join("store")).unwrap();
    let manifest = capture(&reference, &store);
    let dev = MemDev::new(vec![5; 40 * MIB as usize]);
    match deploy(&dev, &manifest, &store) {
        Err(DeployError::Fit(FitError::TooSmall { need, have })) => {
            assert_eq!((need, have), (41 * MIB, 40 * MIB))
        }
        other => panic!("{other:?}"),
    }
    assert!(dev.content().iter().all(|b| *b == 5));
    deploy(&MemDev::new(vec![5; 41 * MIB as usize]), &manifest, &store).unwrap();
    let dev = MemDev::new(vec![5; 100 * MIB as usize]).with_sector_bytes(4096);
    assert!(matches!(deploy(&dev, &manifest, &store), Err(DeployError::Fit(FitError::SectorSize { .. }))));
}

/// A store that breaks some chunks on the way.
struct Breaking<'s> {
    store: &'s Store,
    broken: Hash,
    /// How often the chunk still arrives broken.
    times: Mutex<usize>,
}

impl ChunkSource for Breaking<'_> {
    fn fetch(&self, wanted: &Wanted<'_>, place: &mut Place<'_>) -> Result<(), TransferError> {
        self.store.fetch(wanted, &mut |index, stored| {
            let mut times = self.times.lock().unwrap();
            if wanted.hashes[index] != self.broken || *times == 0 {
                return place(index, stored);
            }
            *times -= 1;
            // A whole and well-formed chunk, but another one.
            place(index, &Stored::pack(&[0xbd; CHUNK_BYTES]).unwrap())
        })
    }
}

#[test]
fn a_corrupt_chunk_is_fetched_again_and_if_it_stays_corrupt_not_a_byte_of_it_is_written() {
    let reference = Reference::new();
    let store = Store::open(&reference.dir.path().join("store")).unwrap();
    let manifest = capture(&reference, &store);
    let hashes: Vec<Hash> = manifest.hashes().copied().collect();
    let broken = hashes[hashes.len() / 2];
    let dev = MemDev::new(vec![0x11; 50 * MIB as usize]);
    let source = Breaking { store: &store, broken, times: Mutex::new(usize::MAX) };
    match deploy(&dev, &manifest, &source) {
        Err(DeployError::Corrupt { hash, .. }) => assert_eq!(hash, broken),
        other => panic!("{other:?}"),
    }
    assert!(!dev.content().windows(64).any(|w| w == [0xbd; 64]));
    assert!(table::read(&dev).unwrap().is_none());
    // The same disk goes on where it stopped once the chunk arrives whole.
    let source = Breaking { store: &store, broken, times: Mutex::new(1) };
    let resumed = Deploy::new(&dev, &manifest, "job").unwrap().resumed_bytes();
    assert!(resumed > 0);
    deploy(&dev, &manifest, &source).unwrap();
    let target = reference.dir.path().join("target.img");
    fs::write(&target, dev.content()).unwrap();
    reference.check(&target, 48 * MIB - END);
}

/// A source that answers with less than it was asked for, or not at all.
struct Short;

impl ChunkSource for Short {
    fn fetch(&self, wanted: &Wanted<'_>, _: &mut Place<'_>) -> Result<(), TransferError> {
        if wanted.hashes.len() < 2 { Err("the server is gone".into()) } else { Ok(()) }
    }
}

#[test]
fn a_source_that_answers_too_little_ends_the_deploy_with_a_reason() {
    let reference = Reference::new();
    let store = Store::open(&reference.dir.path().join("store")).unwrap();
    let manifest = capture(&reference, &store);
    let dev = MemDev::new(vec![0; 50 * MIB as usize]);
    assert!(matches!(deploy(&dev, &manifest, &Short), Err(DeployError::Count { asked: 5, got: 0 })));
    let mut deploy = Deploy::new(&dev, &manifest, "job").unwrap();
    let options = Options { batch_chunks: 1, ..small() };
    let error = deploy.write_chunks(&Short, &options, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(error, DeployError::Fetch(_)));
    let error = deploy.write_chunks(&store, &options, &mut |_| ControlFlow::Break(())).unwrap_err();
    assert!(matches!(error, DeployError::Cancelled));
    assert!(matches!(deploy.commit_table(), Err(DeployError::TooEarly { .. })));
}

/// A store whose first batches come late and whose third cannot be had at all.
struct Late<'s>(&'s Store, Mutex<bool>, Condvar);

impl ChunkSource for Late<'_> {
    fn fetch(&self, wanted: &Wanted<'_>, place: &mut Place<'_>) -> Result<(), TransferError> {
        let mut refused = self.1.lock().unwrap();
        if wanted.batch == 2 {
            *refused = true;
            self.2.notify_all();
            return Err("gone".into());
        }
        drop(self.2.wait_while(refused, |refused| !*refused).unwrap());
        self.0.fetch(wanted, place)
    }
}

#[test]
fn what_was_asked_for_before_the_batch_that_cannot_be_had_is_written_and_kept() {
    let reference = Reference::new();
    let store = Store::open(&reference.dir.path().join("store")).unwrap();
    let manifest = capture(&reference, &store);
    let dev = MemDev::new(vec![0; 50 * MIB as usize]);
    let mut job = Deploy::new(&dev, &manifest, "job").unwrap();
    job.wipe_table().unwrap();
    let source = Late(&store, Mutex::new(false), Condvar::new());
    let error = job.write_chunks(&source, &small(), &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(error, DeployError::Fetch(_)), "{error}");
    let resumed = Deploy::new(&dev, &manifest, "job").unwrap().resumed_bytes();
    assert_eq!(resumed, 2 * 5 * CHUNK_BYTES as u64);
}

#[test]
fn another_job_or_image_or_a_new_table_begins_from_the_start() {
    let reference = Reference::new();
    let store = Store::open(&reference.dir.path().join("store")).unwrap();
    let manifest = capture(&reference, &store);
    let dev = MemDev::new(vec![0; 50 * MIB as usize]);
    let mut batches = 0;
    let mut deploy = Deploy::new(&dev, &manifest, "job").unwrap();
    deploy.wipe_table().unwrap();
    let mut stop = |_| {
        batches += 1;
        if batches == 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    assert!(deploy.write_chunks(&store, &small(), &mut stop).is_err());
    let resumed = |manifest: &Manifest, job: &str| Deploy::new(&dev, manifest, job).unwrap().resumed_bytes();
    assert!(resumed(&manifest, "job") > 0);
    assert_eq!(resumed(&manifest, "other"), 0);
    let mut header = manifest.header().clone();
    header.created_at += 1;
    let tables = manifest.partitions().map(|(_, t)| t.clone()).collect();
    assert_eq!(resumed(&Manifest::new(header, tables).unwrap(), "job"), 0);
    let foreign = Table {
        kind: TableKind::Gpt { disk: uuid::Uuid::from_u128(5) },
        boot_code: [0; 440],
        entries: Vec::new(),
    };
    table::write(&dev, &foreign).unwrap();
    assert_eq!(resumed(&manifest, "job"), 0);
}

#[test]
fn an_update_uploads_only_what_changed_and_the_old_version_stays() {
    let reference = Reference::new();
    let store = Store::open(&reference.dir.path().join("store")).unwrap();
    let first = capture(&reference, &store);
    let part = reference.part(&reference.disk, 2, 0);
    let new = reference.dir.path().join("new");
    fs::write(&new, crate::tools::noise("an update", 300_000)).unwrap();
    run("debugfs", &["-w", "-R", &format!("write {} neu.bin", new.display()), part.to_str().unwrap()]);
    run(
        "dd",
        &[
            &format!("if={}", part.display()),
            &format!("of={}", reference.disk.display()),
            "bs=1M",
            "seek=11",
            "conv=notrunc",
            "status=none",
        ],
    );
    let second = capture(&reference, &store);
    let old: HashSet<_> = first.hashes().collect();
    let fresh = second.hashes().filter(|h| !old.contains(h)).count();
    assert!((5..25).contains(&fresh), "{fresh}");
    assert_eq!(store.manifests().unwrap().len(), 2);
    assert!(first.hashes().all(|h| store.contains(h)));
}

#[test]
fn a_capture_can_be_cancelled_and_a_failing_sink_ends_it() {
    struct Full;
    impl images::chunk::ChunkSink for Full {
        fn missing(&self, hashes: &[Hash]) -> Result<Vec<bool>, TransferError> {
            Ok(vec![true; hashes.len()])
        }
        fn upload(&self, _: &[(Hash, Stored)]) -> Result<(), TransferError> {
            Err("the disk of the server is full".into())
        }
    }
    let reference = Reference::new();
    let dev = FileDev::open_read(&reference.disk).unwrap();
    let plan = capture::plan(&dev).unwrap();
    let outcome = capture::run(&dev, &plan, "x", 0, &Full, &mut |_| ControlFlow::Continue(()));
    assert!(matches!(outcome, Err(capture::CaptureError::Upload(_))));
    let store = Store::open(&reference.dir.path().join("store")).unwrap();
    let outcome = capture::run(&dev, &plan, "x", 0, &store, &mut |_| ControlFlow::Break(()));
    assert!(matches!(outcome, Err(capture::CaptureError::Cancelled)));
    assert!(matches!(capture::plan(&MemDev::new(vec![0; 1 << 20])), Err(capture::CaptureError::NoTable)));
}

#[test]
fn the_plan_warns_of_what_would_surprise_later() {
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("full.img");
    fs::File::create(&disk).unwrap().set_len(80 * MIB).unwrap();
    run("sgdisk", &["-n", "1:2048:0", disk.to_str().unwrap()]);
    let plan = capture::plan(&FileDev::open_read(&disk).unwrap()).unwrap();
    assert!(plan.warnings[0].contains("partition 1 is copied as a whole: its file system is unknown"));
    assert!(plan.warnings[1].contains("at least 2 MiB larger"), "{:?}", plan.warnings);
    assert_eq!(plan.warnings.len(), 2);
}

#[test]
fn an_msdos_disk_keeps_its_boot_code_and_the_gap_behind_it() {
    let reference = Reference::new();
    let disk = reference.dir.path().join("msdos.img");
    fs::File::create(&disk).unwrap().set_len(30 * MIB).unwrap();
    let script = reference.dir.path().join("sfdisk");
    fs::write(&script, "label: dos\nlabel-id: 0x12345678\nstart=2048, size=49152, type=83, bootable\n")
        .unwrap();
    run("sh", &["-c", &format!("/sbin/sfdisk -q {} < {}", disk.display(), script.display())]);
    let part = reference.part(&reference.disk, 2, 0);
    run(
        "dd",
        &[
            &format!("if={}", part.display()),
            &format!("of={}", disk.display()),
            "bs=1M",
            "seek=1",
            "conv=notrunc",
            "status=none",
        ],
    );
    let file = fs::OpenOptions::new().write(true).open(&disk).unwrap();
    file.write_all_at(&[0x90; 440], 0).unwrap();
    let stage = crate::tools::noise("second stage", 60_000);
    file.write_all_at(&stage, 512).unwrap();

    let store = Store::open(&reference.dir.path().join("store")).unwrap();
    let dev = FileDev::open_read(&disk).unwrap();
    let plan = capture::plan(&dev).unwrap();
    let (manifest, _) =
        capture::run(&dev, &plan, "alt", 7, &store, &mut |_| ControlFlow::Continue(())).unwrap();
    let manifest = Manifest::parse(&manifest.to_bytes()).unwrap();
    let target = MemDev::new(vec![0xcc; 50 * MIB as usize]);
    deploy(&target, &manifest, &store).unwrap();
    let content = target.content();
    assert!(content[..440] == [0x90; 440] && content[512..60_512] == stage[..]);
    let table = table::read(&target).unwrap().unwrap();
    assert_eq!(table.kind, TableKind::Mbr { signature: 0x1234_5678 });
    assert_eq!((table.entries.len(), table.entries[0].sectors), (1, 47 * 2048));
    let out = reference.dir.path().join("deployed.img");
    fs::write(&out, &content[MIB as usize..25 * MIB as usize]).unwrap();
    run("e2fsck", &["-fn", out.to_str().unwrap()]);
}
