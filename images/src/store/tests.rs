//! The chunk store: several users, kills, damage.

use super::*;
use crate::manifest::{ChunkTable, Filesystem, Header, Identity, Partition, TableKind};
use crate::used::FsKind;
use ed25519_dalek::SigningKey;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use tempfile::TempDir;
use uuid::Uuid;

pub(super) fn chunk(seed: u64) -> (Hash, Stored) {
    let mut content = vec![0; CHUNK_BYTES];
    // A third noise, so that records have different lengths and compressing does something.
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut content[..CHUNK_BYTES / 3]);
    (Hash::of(&content), Stored::pack(&content).unwrap())
}

pub(super) fn chunks(seeds: std::ops::Range<u64>) -> Vec<(Hash, Stored)> {
    seeds.map(chunk).collect()
}

pub(super) fn manifest(chunks: &[(Hash, Stored)]) -> Manifest {
    let mut table = ChunkTable::default();
    table.push_zeros(0, 2).unwrap();
    for (number, (hash, _)) in (5..).zip(chunks) {
        table.push(number, *hash).unwrap();
    }
    let header = Header {
        image: "test".into(),
        created_at: 1,
        chunk_bytes: 65536,
        sector_bytes: 512,
        disk_bytes: 64 << 20,
        table: TableKind::Gpt { disk: Uuid::from_u128(1) },
        boot_code: String::new(),
        partitions: vec![Partition {
            number: 1,
            identity: Identity::Gpt {
                type_guid: Uuid::from_u128(2),
                unique: Uuid::from_u128(3),
                name: String::new(),
                attributes: 0,
            },
            first_lba: 2048,
            sectors: 65536,
            filesystem: Filesystem { kind: FsKind::Raw, uuid: None, min_bytes: 0, used_bytes: 0 },
            grow: false,
        }],
    };
    Manifest::new(header, vec![table]).unwrap().sign(&SigningKey::from_bytes(&[1; 32]))
}

pub(super) fn files(dir: &Path, folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir.join(folder)).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

#[track_caller]
pub(super) fn assert_has(store: &Store, chunks: &[(Hash, Stored)]) {
    for (hash, stored) in chunks {
        assert!(store.contains(hash));
        assert_eq!(store.stored(hash).unwrap().as_ref(), Some(stored));
    }
}

#[test]
fn chunks_come_back_before_and_after_the_pack_is_finished_and_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let all = chunks(0..20);
    assert_eq!(store.ingest(&all).unwrap(), 20);
    assert_eq!(store.ingest(&all[3..9]).unwrap(), 0, "kept once");
    assert_has(&store, &all);
    store.sync().unwrap();
    assert_has(&store, &all);
    assert_eq!(store.ingest(&all).unwrap(), 0);
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_has(&store, &all);
    assert_eq!(store.stored(&chunk(99).0).unwrap(), None);
    assert_eq!(files(dir.path(), PACKS).len(), 2);
}

#[test]
fn the_chunk_of_zeros_is_always_there_and_never_stored() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let zeros = Stored::pack(&[0; CHUNK_BYTES]).unwrap();
    assert!(store.contains(&Hash::zero_chunk()));
    assert_eq!(store.ingest(&[(Hash::zero_chunk(), zeros)]).unwrap(), 0);
    let mut out = vec![1; CHUNK_BYTES];
    store.stored(&Hash::zero_chunk()).unwrap().unwrap().unpack_into(&Hash::zero_chunk(), &mut out).unwrap();
    assert!(files(dir.path(), PACKS).is_empty());
}

#[test]
fn a_chunk_that_is_not_what_it_claims_to_be_is_not_stored_nor_is_anything_beside_it() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let wrong = (chunk(1).0, chunk(2).1);
    let error = store.ingest(&[chunk(0), wrong]).unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }));
    assert!(!store.contains(&chunk(0).0));
}

#[test]
fn a_full_pack_is_finished_and_the_next_begun() {
    let dir = TempDir::new().unwrap();
    let store = Store::open_with(dir.path(), 100_000).unwrap();
    let all = chunks(0..30);
    store.ingest(&all).unwrap();
    store.sync().unwrap();
    assert!(files(dir.path(), PACKS).len() >= 12);
    assert_has(&store, &all);
}

#[test]
fn killed_at_any_byte_every_whole_chunk_before_is_kept_and_none_after() {
    let dir = TempDir::new().unwrap();
    let all = chunks(0..5);
    let store = Store::open(dir.path()).unwrap();
    store.ingest(&all).unwrap();
    store.sync().unwrap();
    drop(store);
    let pack = fs::read(&files(dir.path(), PACKS)[1]).unwrap();
    let mut ends = vec![0];
    for (_, stored) in &all {
        ends.push(ends.last().unwrap() + pack::HEADER_BYTES + stored.stored_len());
    }
    assert_eq!(*ends.last().unwrap(), pack.len());
    let mut cuts: Vec<usize> =
        ends.iter().flat_map(|e| [e.saturating_sub(1), *e, e + 1, e + 40, e + 5000]).collect();
    cuts.retain(|c| *c <= pack.len());
    for cut in cuts {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join(PACKS)).unwrap();
        fs::write(dir.path().join(PACKS).join("00000001.pack"), &pack[..cut]).unwrap();
        let store = Store::open(dir.path()).unwrap();
        let whole = ends.iter().filter(|e| **e > 0 && **e <= cut).count();
        assert_has(&store, &all[..whole]);
        assert!(all[whole..].iter().all(|(h, _)| !store.contains(h)), "cut at {cut}");
        assert_eq!(store.ingest(&all).unwrap(), all.len() - whole);
        store.sync().unwrap();
        assert_has(&store, &all);
        assert_has(&Store::open(dir.path()).unwrap(), &all);
    }
}

#[test]
fn a_lost_index_is_written_anew_also_when_a_chunk_in_the_middle_is_damaged() {
    let dir = TempDir::new().unwrap();
    let all = chunks(0..6);
    let store = Store::open(dir.path()).unwrap();
    store.ingest(&all).unwrap();
    store.sync().unwrap();
    drop(store);
    let [index, pack] = &files(dir.path(), PACKS)[..] else { panic!("one pack and its index") };
    let third: usize = all[..2].iter().map(|(_, s)| s.stored_len() + pack::HEADER_BYTES).sum();
    let file = OpenOptions::new().write(true).open(pack).unwrap();
    file.write_all_at(&[0xee; 9], third as u64 + 100).unwrap();
    for broken in [&b""[..], b"HAUSIDX1", b"HAUSIDX1\xff\xff\xff\xff", b"nonsense, and longer than a header"]
    {
        fs::write(index, broken).unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert_has(&store, &all[..2]);
        assert_has(&store, &all[3..]);
        assert!(!store.contains(&all[2].0));
    }
}

#[test]
fn a_damaged_chunk_is_named_and_a_new_upload_repairs_it() {
    let dir = TempDir::new().unwrap();
    let all = chunks(0..4);
    let store = Store::open(dir.path()).unwrap();
    store.ingest(&all).unwrap();
    let id = store.publish(&manifest(&all)).unwrap();
    let pack = files(dir.path(), PACKS)[1].clone();
    let second = (all[0].1.stored_len() + pack::HEADER_BYTES) as u64;
    OpenOptions::new().write(true).open(&pack).unwrap().write_all_at(&[0xaa], second + 77).unwrap();
    match store.stored(&all[1].0).unwrap_err() {
        StoreError::Damaged { hash, pack: path, offset } => {
            assert_eq!((hash, path, offset), (all[1].0, pack.clone(), second));
        }
        other => panic!("{other}"),
    }
    assert!(!store.contains(&all[1].0), "it will be asked for");
    // Another process finds the damage by itself and remembers it beyond a restart.
    let other = Store::open(dir.path()).unwrap();
    assert!(other.contains(&all[1].0));
    let scrub = other.scrub(&mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(
        scrub,
        Scrub { chunks: 4, damaged: vec![all[1].0], broken_images: vec![id], interrupted: false }
    );
    drop(other);
    let other = Store::open(dir.path()).unwrap();
    assert!(!other.contains(&all[1].0));
    assert_eq!(store.ingest(&all).unwrap(), 1);
    store.sync().unwrap();
    assert_has(&store, &all);
    assert_has(&other, &all[2..]);
    assert_eq!(
        other.stored(&all[1].0).unwrap().as_ref(),
        Some(&all[1].1),
        "found in a pack that another process wrote"
    );
    assert_eq!(other.scrub(&mut |_| ControlFlow::Continue(())).unwrap().broken_images, []);
}

#[test]
fn an_image_is_published_only_whole_and_signed() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let all = chunks(0..4);
    let image = manifest(&all);
    store.ingest(&all[1..]).unwrap();
    match store.publish(&image).unwrap_err() {
        StoreError::Incomplete { missing: 1, first } => assert_eq!(first, all[0].0),
        other => panic!("{other}"),
    }
    assert_eq!(store.manifests().unwrap(), []);
    store.ingest(&all[..1]).unwrap();
    let unsigned = Manifest::new(image.header().clone(), vec![ChunkTable::default()]).unwrap();
    assert!(matches!(store.publish(&unsigned), Err(StoreError::Unsigned)));
    let id = store.publish(&image).unwrap();
    assert_eq!(id, image.id());
    assert_eq!(store.publish(&image).unwrap(), id, "twice is the same");
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.manifests().unwrap(), [id]);
    assert_eq!(store.manifest(&id).unwrap().unwrap(), image);
    assert_eq!(store.manifest_bytes(&id).unwrap().unwrap(), image.to_bytes());
    assert!(store.manifest(&Hash::of(b"other")).unwrap().is_none());
}

#[test]
fn a_damaged_manifest_is_named_and_half_written_files_vanish() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let all = chunks(0..1);
    store.ingest(&all).unwrap();
    let id = store.publish(&manifest(&all)).unwrap();
    let path = dir.path().join(MANIFESTS).join(id.to_string());
    fs::write(dir.path().join(MANIFESTS).join("x.new"), b"half").unwrap();
    fs::write(dir.path().join(PACKS).join("00000001.index.new"), b"half").unwrap();
    let whole = fs::read(&path).unwrap();
    for damaged in [&whole[..whole.len() - 1], &whole[..10], b""] {
        fs::write(&path, damaged).unwrap();
        assert!(matches!(store.manifest(&id), Err(StoreError::Manifest { .. })));
    }
    assert_eq!(store.scrub(&mut |_| ControlFlow::Continue(())).unwrap().broken_images, [id]);
    Store::open(dir.path()).unwrap();
    assert_eq!(files(dir.path(), MANIFESTS), [path]);
    assert_eq!(files(dir.path(), PACKS).len(), 2);
}

#[test]
fn a_second_process_neither_disturbs_nor_cuts_the_pack_of_the_first() {
    let dir = TempDir::new().unwrap();
    let first = Store::open(dir.path()).unwrap();
    let all = chunks(0..6);
    first.ingest(&all[..3]).unwrap();
    let second = Store::open(dir.path()).unwrap();
    assert!(!second.contains(&all[0].0), "not finished yet");
    second.ingest(&all[2..5]).unwrap();
    first.ingest(&all[5..]).unwrap();
    let id = first.publish(&manifest(&[all[0].clone(), all[5].clone()])).unwrap();
    assert_eq!(second.manifests().unwrap(), [id]);
    assert_eq!(second.stored(&all[0].0).unwrap().as_ref(), Some(&all[0].1));
    second.sync().unwrap();
    assert_eq!(first.stored(&all[4].0).unwrap().as_ref(), Some(&all[4].1));
    assert_eq!(files(dir.path(), PACKS).len(), 4);
}

#[test]
fn many_threads_read_and_write_at_once() {
    let dir = TempDir::new().unwrap();
    let store = Store::open_with(dir.path(), 200_000).unwrap();
    let all = chunks(0..40);
    std::thread::scope(|scope| {
        for n in 0..4 {
            let (store, all) = (&store, &all);
            scope.spawn(move || {
                for at in 0..all.len() {
                    let own = &all[(at + n * 10) % all.len()];
                    store.ingest(std::slice::from_ref(own)).unwrap();
                    assert_has(store, std::slice::from_ref(own));
                    if at % 13 == 0 {
                        store.sync().unwrap();
                    }
                }
            });
        }
    });
    store.sync().unwrap();
    assert_has(&store, &all);
    assert_eq!(store.scrub(&mut |_| ControlFlow::Continue(())).unwrap().chunks, 40, "each is kept once");
}

/// A small file system of its own, so that it can be full. Needs root, as all tests of this workspace do.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn new() -> SmallDisk {
        let dir = TempDir::new().unwrap();
        let flags = nix::mount::MsFlags::empty();
        nix::mount::mount(Some("tmpfs"), dir.path(), Some("tmpfs"), flags, Some("size=400k")).unwrap();
        SmallDisk(dir)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(self.0.path(), nix::mount::MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_full_disk_is_told_and_what_was_accepted_is_kept() {
    let disk = SmallDisk::new();
    let dir = disk.0.path().join("store");
    let store = Store::open(&dir).unwrap();
    let all = chunks(0..40);
    let mut kept = 0;
    let error = loop {
        match store.ingest(&all[kept..=kept]) {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    assert!(error.to_string().contains("free some space"));
    assert!(kept >= 10);
    assert!(!store.contains(&all[kept].0));
    assert_has(&store, &all[..kept]);
    // Not even the index fits until somebody makes room.
    let ballast = disk.0.path().join("ballast");
    let _ = fs::write(&ballast, vec![1; 400 << 10]);
    assert!(matches!(store.sync(), Err(StoreError::Full { .. })));
    assert!(matches!(store.publish(&manifest(&all[..kept])), Err(StoreError::Full { .. })));
    assert_eq!(store.manifests().unwrap(), []);
    assert_has(&store, &all[..kept]);
    fs::remove_file(&ballast).unwrap();
    let pad = files(&dir, PACKS);
    assert!(pad.iter().all(|p| p.extension().unwrap() == "pack"), "{pad:?}");
    drop(store);
    // With a full disk the server starts without the pack; with room it finds everything.
    fs::write(&ballast, vec![1; 1]).unwrap();
    let _ = fs::write(&ballast, vec![1; 400 << 10]);
    let store = Store::open(&dir).unwrap();
    assert!(!store.contains(&all[0].0));
    drop(store);
    fs::remove_file(&ballast).unwrap();
    OpenOptions::new()
        .write(true)
        .open(&pad[0])
        .unwrap()
        .set_len(fs::metadata(&pad[0]).unwrap().len() - 1)
        .unwrap();
    assert_has(&Store::open(&dir).unwrap(), &all[..kept - 1]);
}
