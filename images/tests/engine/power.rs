//! Power cuts in the middle of a deploy: whatever a disk may forget of what was not synced, the next run finishes.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use images::blockdev::{BlockDev, MemDev};
use images::chunk::CHUNK_BYTES;
use images::deploy::Deploy;
use images::reserved::{self, KeyRecord};
use images::store::Store;
use images::table;
use proptest::prelude::*;

use crate::disk::{END, Reference};
use crate::roundtrip::{capture, deploy, deploy_watched, small};

const LEN: usize = 44 << 20;

/// A disk that loses its power after some writes. Of what was written since the last sync only some reaches the medium,
/// and of the last of it only a part.
pub(crate) struct Failing {
    medium: MemDev,
    pending: Mutex<Vec<(u64, Vec<u8>)>>,
    writes_left: AtomicU64,
    luck: u64,
}

impl Failing {
    pub(crate) fn new(content: Vec<u8>, writes: u64, luck: u64) -> Failing {
        let pending = Mutex::default();
        Failing { medium: MemDev::new(content), pending, writes_left: AtomicU64::new(writes), luck }
    }

    fn spend(&self) -> io::Result<()> {
        let left = self.writes_left.load(Ordering::SeqCst);
        if left == 0 {
            return Err(io::Error::other("no power"));
        }
        self.writes_left.store(left - 1, Ordering::SeqCst);
        Ok(())
    }

    /// What is on the medium when the power comes back.
    pub(crate) fn after_the_cut(self) -> Vec<u8> {
        let mut luck = self.luck;
        for (offset, data) in self.pending.into_inner().unwrap() {
            luck = luck.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let sectors = data.len() / 512;
            let kept = match luck >> 62 {
                0 => 0,
                1 => (luck >> 20) as usize % (sectors + 1),
                _ => sectors,
            };
            self.medium.write_at(offset, &data[..kept * 512]).unwrap();
        }
        self.medium.content()
    }
}

impl BlockDev for Failing {
    fn len_bytes(&self) -> u64 {
        self.medium.len_bytes()
    }

    fn sector_bytes(&self) -> u32 {
        512
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.medium.read_at(offset, buf)?;
        for (at, data) in self.pending.lock().unwrap().iter() {
            let from = offset.max(*at);
            let to = (offset + buf.len() as u64).min(at + data.len() as u64);
            if from < to {
                let piece = &data[(from - at) as usize..(to - at) as usize];
                buf[(from - offset) as usize..(to - offset) as usize].copy_from_slice(piece);
            }
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.spend()?;
        self.pending.lock().unwrap().push((offset, data.to_vec()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.spend()?;
        for (offset, data) in self.pending.lock().unwrap().drain(..) {
            self.medium.write_at(offset, &data)?;
        }
        Ok(())
    }
}

struct Scene {
    reference: Reference,
    store: Store,
    manifest: images::manifest::Manifest,
    /// The disk after a deploy without an accident.
    whole: Vec<u8>,
    /// How many writes and syncs it takes.
    writes: u64,
}

static SCENE: std::sync::LazyLock<Scene> = std::sync::LazyLock::new(|| {
    let reference = Reference::new();
    let store = Store::open(&reference.dir.path().join("store")).unwrap();
    let manifest = capture(&reference, &store);
    let counting = Failing::new(old_disk(), u64::MAX, 0);
    deploy(&counting, &manifest, &store).unwrap();
    let writes = u64::MAX - counting.writes_left.load(Ordering::SeqCst);
    let dev = counting.medium;
    let target = reference.dir.path().join("target.img");
    std::fs::write(&target, dev.content()).unwrap();
    reference.check(&target, (42 << 20) - END);
    assert!(writes > 30, "{writes}");
    Scene { reference, store, manifest, whole: dev.content(), writes }
});

fn key() -> KeyRecord {
    KeyRecord { private_key: vec![8; 90], server: "schule".into() }
}

/// A disk with a bootable system and a device key.
fn old_disk() -> Vec<u8> {
    let dev = MemDev::new(vec![0x99; LEN]);
    reserved::write_key(&dev, &key()).unwrap();
    let kind = images::manifest::TableKind::Gpt { disk: uuid::Uuid::from_u128(3) };
    table::write(&dev, &table::Table { kind, boot_code: [1; 440], entries: Vec::new() }).unwrap();
    dev.content()
}

/// Everything but the journal, which counts how often it was written.
fn without_journal(mut content: Vec<u8>) -> Vec<u8> {
    let place = reserved::range(LEN as u64).unwrap();
    content[place.start as usize + (64 << 10)..place.end as usize].fill(0);
    content
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn after_any_number_of_power_cuts_the_disk_is_the_same_and_never_boots_before_it_is_whole(
        cuts in prop::collection::vec((0u64..1000, any::<u64>()), 1..5)
    ) {
        let scene = &*SCENE;
        let mut content = old_disk();
        let mut before = 0;
        for (thousandths, luck) in cuts {
            let dev = Failing::new(content, scene.writes * thousandths / 1000, luck);
            let done = deploy(&dev, &scene.manifest, &scene.store).is_ok();
            content = dev.after_the_cut();
            let dev = MemDev::new(content);
            prop_assert_eq!(reserved::read_key(&dev).unwrap(), Some(key()));
            let state = Deploy::new(&dev, &scene.manifest, "job").unwrap();
            // A disk that boots is either the old one, of which nothing is lost, or the new one, and whole.
            if let Ok(Some(found)) = table::read(&dev) {
                let boots_new = found.entries.len() == 4;
                prop_assert!(!boots_new || state.chunks_are_written());
                if boots_new {
                    let data = 1 << 20..reserved::range(LEN as u64).unwrap().start as usize;
                    prop_assert!(dev.content()[data.clone()] == scene.whole[data]);
                }
            }
            prop_assert!(state.resumed_bytes() >= before, "what was durable stays so");
            before = state.resumed_bytes();
            prop_assert!(!done || state.is_finished());
            content = dev.content();
        }
        let dev = MemDev::new(content);
        deploy(&dev, &scene.manifest, &scene.store).unwrap();
        prop_assert!(without_journal(dev.content()) == without_journal(scene.whole.clone()));
        prop_assert!(scene.reference.disk.exists());
    }
}

#[test]
fn a_disk_whose_sync_fails_is_not_said_to_hold_what_it_lost() {
    struct NoSync(MemDev, AtomicU64);
    impl BlockDev for NoSync {
        fn len_bytes(&self) -> u64 {
            self.0.len_bytes()
        }
        fn sector_bytes(&self) -> u32 {
            512
        }
        fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
            self.0.read_at(offset, buf)
        }
        fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.0.write_at(offset, data)
        }
        fn sync(&self) -> io::Result<()> {
            // Fails once, as Linux does after a write that it could not carry out, and forgets about it.
            if self.1.fetch_add(1, Ordering::SeqCst) == 3 { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
        }
    }
    let scene = &*SCENE;
    let dev = NoSync(MemDev::new(old_disk()), AtomicU64::new(0));
    deploy(&dev, &scene.manifest, &scene.store).unwrap_err();
    let durable = Deploy::new(&dev, &scene.manifest, "job").unwrap().resumed_bytes();
    let syncs = dev.1.load(Ordering::SeqCst);
    assert_eq!(syncs, 4, "no second sync after the failed one");
    assert!(durable > 0 && durable < scene.manifest.data_bytes());
}

#[test]
fn a_power_cut_costs_no_more_than_one_interval_of_the_journal() {
    let scene = &*SCENE;
    let interval = small().journal_bytes + (small().batch_chunks * CHUNK_BYTES) as u64;
    for writes in (8..scene.writes).step_by(5) {
        let dev = Failing::new(old_disk(), writes, 0);
        let mut written = 0;
        let outcome = deploy_watched(&dev, &scene.manifest, &scene.store, &mut |at| written = at.done_bytes);
        // The disk forgets everything that was not synced.
        let medium = MemDev::new(dev.medium.content());
        let state = Deploy::new(&medium, &scene.manifest, "job").unwrap();
        let lost = written.saturating_sub(state.resumed_bytes());
        assert!(lost <= interval, "{lost} of {written} bytes after {writes} writes");
        assert_eq!(outcome.is_ok(), state.is_finished());
    }
}
