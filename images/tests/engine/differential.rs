//! Disks that hold an earlier state of an image: only what differs is fetched, and nothing else of the disk is trusted.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{LazyLock, Mutex};

use images::blockdev::{BlockDev, MemDev};
use images::capture;
use images::chunk::{CHUNK_BYTES, ChunkSource, Hash, Place, TransferError, Wanted, is_zero};
use images::deploy::{Deploy, DeployError, Progress};
use images::manifest::{Content, Manifest};
use images::store::Store;
use images::table;
use proptest::prelude::*;

use crate::disk::{DISK, END, Reference};
use crate::power::Failing;
use crate::roundtrip::{capture, deploy, small};
use crate::tools::{noise, run};

/// A store that remembers what it was asked for.
struct Asked<'s>(&'s Store, Mutex<Vec<Hash>>);

impl ChunkSource for Asked<'_> {
    fn fetch(&self, wanted: &Wanted<'_>, place: &mut Place<'_>) -> Result<(), TransferError> {
        self.1.lock().unwrap().extend_from_slice(wanted.hashes);
        self.0.fetch(wanted, place)
    }
}

fn write(dev: &dyn BlockDev, manifest: &Manifest, store: &Store) -> (Progress, Vec<Hash>) {
    let asked = Asked(store, Mutex::default());
    let mut job = Deploy::new(dev, manifest, "another job").unwrap();
    job.wipe_table().unwrap();
    let mut last = 0;
    let at = job
        .write_chunks(&asked, &small(), &mut |at| {
            assert!(at.done_bytes > last && at.done_bytes <= at.total_bytes);
            last = at.done_bytes;
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(at.done_bytes, at.total_bytes);
    job.commit_table().unwrap();
    (at, asked.1.into_inner().unwrap())
}

/// Changes the root file system of a disk with the commands of debugfs.
fn change(reference: &Reference, disk: &Path, commands: &str) {
    let part = reference.part(disk, 2, 0);
    let script = reference.dir.path().join("script");
    fs::write(&script, commands).unwrap();
    run("debugfs", &["-w", "-f", script.to_str().unwrap(), part.to_str().unwrap()]);
    run("e2fsck", &["-fp", part.to_str().unwrap()]);
    reference.put(disk, &part, 2);
}

/// New contents for some files of the reference, and some new files.
fn update(reference: &Reference) {
    let mut commands = String::new();
    for n in (0..40).step_by(4) {
        let name = format!("datei-{n:02}.bin");
        let path = reference.root.join(&name);
        fs::write(&path, noise(&format!("update {n}"), 9_000 + n * 3000)).unwrap();
        commands += &format!("rm /{name}\nwrite {} /{name}\n", path.display());
    }
    change(reference, &reference.disk, &commands);
}

/// What somebody leaves on a PC: files that stay, and files of which only the content of free blocks tells.
fn use_it(reference: &Reference, disk: &Path) {
    let file = reference.dir.path().join("left-over");
    fs::write(&file, noise("of a pupil", 2 << 20)).unwrap();
    let path = file.display();
    change(
        reference,
        disk,
        &format!("write {path} /spiel\nwrite {path} /gone-1\nwrite {path} /gone-2\nrm /datei-05.bin\n"),
    );
    change(reference, disk, "rm /gone-1\nrm /gone-2\n");
}

/// Chunks of the image that another disk's capture does not have at the same place: what must be fetched at the least.
fn differing(dev: &dyn BlockDev, manifest: &Manifest, scratch: &Path) -> usize {
    let store = Store::open(scratch).unwrap();
    let plan = capture::plan(dev).unwrap();
    let (there, _) = capture::run(dev, &plan, "x", 1, &store, &mut |_| ControlFlow::Continue(())).unwrap();
    let places = |m: &Manifest| -> HashMap<(usize, u32), Hash> {
        m.partitions()
            .enumerate()
            .flat_map(|(p, (_, table))| table.spans().map(move |s| (p, s)).collect::<Vec<_>>())
            .flat_map(|(p, span)| match span.content {
                Content::Zeros(_) => Vec::new(),
                Content::Chunks(hashes) => (span.first..).zip(hashes).map(|(n, h)| ((p, n), *h)).collect(),
            })
            .collect()
    };
    let there = places(&there);
    places(manifest).iter().filter(|(place, hash)| there.get(place) != Some(hash)).count()
}

/// Every chunk of the image stands on the disk as it is, zeros included.
#[track_caller]
fn assert_holds(disk: &[u8], manifest: &Manifest) {
    let layout = images::layout::fit(manifest, disk.len() as u64, 512).unwrap();
    for ((_, table), place) in manifest.partitions().zip(&layout.placements) {
        let part = &disk[place.start as usize..(place.start + place.len) as usize];
        for span in table.spans() {
            let from = span.first as usize * CHUNK_BYTES;
            match span.content {
                Content::Zeros(n) => {
                    assert!(is_zero(&part[from..(from + n as usize * CHUNK_BYTES).min(part.len())]));
                }
                Content::Chunks(hashes) => {
                    for (n, hash) in hashes.iter().enumerate() {
                        let from = from + n * CHUNK_BYTES;
                        let mut chunk = part[from..(from + CHUNK_BYTES).min(part.len())].to_vec();
                        chunk.resize(CHUNK_BYTES, 0);
                        assert!(Hash::of(&chunk) == *hash, "chunk {n} of {span:?}");
                    }
                }
            }
        }
    }
}

struct Scene {
    reference: Reference,
    store: Store,
    first: Manifest,
    second: Manifest,
    /// A PC with the first version that somebody has used.
    used: Vec<u8>,
    /// Chunks of the second version that this PC does not have.
    differing: usize,
}

static SCENE: LazyLock<Scene> = LazyLock::new(|| {
    let reference = Reference::new();
    let store = Store::open(&reference.dir.path().join("store")).unwrap();
    let first = capture(&reference, &store);
    let target = reference.dir.path().join("pc.img");
    let dev = MemDev::new(noise("a used disk", DISK as usize));
    deploy(&dev, &first, &store).unwrap();
    fs::write(&target, dev.content()).unwrap();
    reference.check(&target, (40 << 20) - END);
    use_it(&reference, &target);
    update(&reference);
    let second = capture(&reference, &store);
    let used = fs::read(&target).unwrap();
    let scratch = reference.dir.path().join("scratch");
    let differing = differing(&MemDev::new(used.clone()), &second, &scratch);
    Scene { reference, store, first, second, used, differing }
});

#[test]
fn a_used_pc_with_an_earlier_version_fetches_only_the_chunks_that_differ() {
    let scene = &*SCENE;
    let dev = MemDev::new(scene.used.clone());
    let (at, asked) = write(&dev, &scene.second, &scene.store);
    let all = scene.second.hashes().count();
    let stored: usize = asked.iter().map(|h| scene.store.stored(h).unwrap().unwrap().stored_len()).sum();
    println!(
        "of {all} chunks {} differ and {} were fetched: {} bytes of content, {} as stored",
        scene.differing,
        asked.len(),
        asked.len() * CHUNK_BYTES,
        at.fetched_bytes
    );
    assert_eq!(asked.len(), scene.differing);
    assert!(asked.len() * 2 < all);
    assert_eq!(at.fetched_bytes, stored as u64);
    assert_eq!(at.kept_bytes, ((all - asked.len()) * CHUNK_BYTES) as u64);
    assert_holds(&dev.content(), &scene.second);
    let target = tempfile::NamedTempFile::new().unwrap();
    fs::write(target.path(), dev.content()).unwrap();
    scene.reference.check(target.path(), (40 << 20) - END);
}

#[test]
fn the_same_image_again_on_a_disk_that_nobody_touched_fetches_nothing() {
    let scene = &*SCENE;
    let dev = MemDev::new(noise("old", DISK as usize));
    deploy(&dev, &scene.second, &scene.store).unwrap();
    let before = dev.content();
    let (at, asked) = write(&dev, &scene.second, &scene.store);
    assert_eq!((asked.len(), at.fetched_bytes), (0, 0));
    assert_eq!(at.kept_bytes, (scene.second.hashes().count() * CHUNK_BYTES) as u64);
    let data = ..(DISK - (2 << 20)) as usize;
    assert!(dev.content()[data] == before[data]);
}

#[test]
fn an_older_version_comes_back_from_the_newer_one() {
    let scene = &*SCENE;
    let dev = MemDev::new(scene.used.clone());
    write(&dev, &scene.second, &scene.store);
    let (_, asked) = write(&dev, &scene.first, &scene.store);
    assert!(asked.len() * 2 < scene.first.hashes().count());
    assert_holds(&dev.content(), &scene.first);
}

#[test]
fn a_second_capture_uploads_only_what_is_new() {
    let scene = &*SCENE;
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for hash in scene.first.hashes().collect::<HashSet<_>>() {
        store.ingest(&[(*hash, scene.store.stored(hash).unwrap().unwrap())]).unwrap();
    }
    let old: HashSet<&Hash> = scene.first.hashes().collect();
    let fresh: HashSet<&Hash> = scene.second.hashes().filter(|h| !old.contains(h)).collect();
    let expected: usize = fresh.iter().map(|h| scene.store.stored(h).unwrap().unwrap().stored_len()).sum();
    let dev = images::blockdev::FileDev::open_read(&scene.reference.disk).unwrap();
    let plan = capture::plan(&dev).unwrap();
    let (_, at) = capture::run(&dev, &plan, "x", 1, &store, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(at.uploaded_bytes, expected as u64);
}

#[test]
fn another_or_an_empty_disk_is_not_looked_at_further_and_is_emptied() {
    let scene = &*SCENE;
    for content in [noise("another system", DISK as usize), vec![0; DISK as usize]] {
        let dev = MemDev::new(content).with_discard();
        let (at, asked) = write(&dev, &scene.second, &scene.store);
        assert_eq!((asked.len(), at.kept_bytes), (scene.second.hashes().count(), 0));
        assert_holds(&dev.content(), &scene.second);
    }
}

#[test]
fn sectors_that_cannot_be_read_are_fetched_and_written() {
    struct Unreadable(MemDev, std::ops::Range<u64>);
    impl BlockDev for Unreadable {
        fn len_bytes(&self) -> u64 {
            self.0.len_bytes()
        }
        fn sector_bytes(&self) -> u32 {
            512
        }
        fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<()> {
            if offset < self.1.end && offset + buf.len() as u64 > self.1.start {
                return Err(std::io::ErrorKind::Other.into());
            }
            self.0.read_at(offset, buf)
        }
        fn write_at(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
            self.0.write_at(offset, data)
        }
        fn sync(&self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let scene = &*SCENE;
    let dev = Unreadable(MemDev::new(scene.used.clone()), 14 << 20..15 << 20);
    let (_, asked) = write(&dev, &scene.second, &scene.store);
    assert!(asked.len() > scene.differing);
    assert_holds(&dev.0.content(), &scene.second);
}

fn deploy_again(dev: &dyn BlockDev, scene: &Scene) -> Result<(), DeployError> {
    let mut job = Deploy::new(dev, &scene.second, "another job")?;
    job.wipe_table()?;
    job.write_chunks(&scene.store, &small(), &mut |_| ControlFlow::Continue(()))?;
    job.commit_table()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn a_pc_that_is_unplugged_while_it_is_updated_boots_old_or_new_or_not_at_all_and_is_whole_in_the_end(
        cuts in prop::collection::vec((0u64..120, any::<u64>()), 1..5)
    ) {
        let scene = &*SCENE;
        let mut content = scene.used.clone();
        for (writes, luck) in cuts {
            let dev = Failing::new(content, writes, luck);
            let done = deploy_again(&dev, scene).is_ok();
            content = dev.after_the_cut();
            let dev = MemDev::new(content);
            let state = Deploy::new(&dev, &scene.second, "another job").unwrap();
            prop_assert!(!done || state.is_finished());
            if let Ok(Some(_)) = table::read(&dev) {
                if state.chunks_are_written() {
                    assert_holds(&dev.content(), &scene.second);
                } else {
                    let data = 1 << 20..(DISK - (2 << 20)) as usize;
                    prop_assert!(dev.content()[data.clone()] == scene.used[data]);
                }
            }
            content = dev.content();
        }
        let dev = MemDev::new(content);
        deploy_again(&dev, scene).unwrap();
        assert_holds(&dev.content(), &scene.second);
    }
}
