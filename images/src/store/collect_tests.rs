//! Freeing chunks, while others read, capture, publish and die.

use std::ops::ControlFlow;

use super::tests::{assert_has, chunk, chunks, files, manifest};
use super::*;
use proptest::prelude::*;
use tempfile::TempDir;

type Chunks = Vec<(Hash, Stored)>;

fn publish(store: &Store, chunks: &[(Hash, Stored)]) -> ManifestId {
    store.ingest(chunks).unwrap();
    store.publish(&manifest(chunks)).unwrap()
}

fn collect(store: &Store) -> Collected {
    store.collect(&mut || true, &mut |_| ControlFlow::Continue(())).unwrap()
}

fn retract(store: &Store, id: &ManifestId) {
    assert!(store.retract(id, &mut || true).unwrap());
}

fn pack_bytes(dir: &Path) -> u64 {
    files(dir, PACKS)
        .iter()
        .filter(|p| p.extension().unwrap() == "pack")
        .map(|p| p.metadata().unwrap().len())
        .sum()
}

#[test]
fn what_no_image_names_is_freed_and_what_another_names_as_well_stays() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let all = chunks(0..20);
    let old = publish(&store, &all[..16]);
    let new = publish(&store, &[&all[12..16], &all[16..]].concat());
    assert_eq!(collect(&store), Collected::default(), "everything is named");
    let before = pack_bytes(dir.path());
    retract(&store, &old);
    let done = collect(&store);
    assert_eq!((done.packs, done.kept_packs), (1, 0));
    assert!(done.copied_bytes > 0 && done.copied_bytes * 2 < done.dropped_bytes, "{done:?}");
    assert_eq!(pack_bytes(dir.path()), before - done.dropped_bytes + done.copied_bytes);
    for store in [store, Store::open(dir.path()).unwrap()] {
        assert_has(&store, &all[12..]);
        assert!(all[..12].iter().all(|(h, _)| !store.contains(h) && store.stored(h).unwrap().is_none()));
        assert!(store.is_whole(&new).unwrap());
        assert_eq!(collect(&store), Collected::default(), "a second look finds nothing");
    }
    assert_eq!(files(dir.path(), PACKS).len(), 4, "each pack has its index, and nothing else is there");
}

#[test]
fn the_last_image_takes_everything_with_it_and_a_new_one_begins_afresh() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let all = chunks(0..4);
    let id = publish(&store, &all);
    retract(&store, &id);
    assert_eq!(collect(&store).copied_bytes, 0);
    assert!(files(dir.path(), PACKS).is_empty());
    let id = publish(&store, &all);
    assert!(store.is_whole(&id).unwrap());
    assert_has(&Store::open(dir.path()).unwrap(), &all);
}

#[test]
fn a_pack_that_is_mostly_needed_is_left_alone() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let all = chunks(0..10);
    store.ingest(&all).unwrap();
    publish(&store, &all[..6]);
    assert_eq!(collect(&store), Collected::default());
    assert_has(&store, &all);
}

#[test]
fn nothing_is_dropped_while_a_capture_relies_on_it_in_this_process_or_another() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let all = chunks(0..6);
    let id = publish(&store, &all);
    let other = Store::open(dir.path()).unwrap();
    let hold = other.hold().unwrap();
    assert!(!store.retract(&id, &mut || true).unwrap());
    fs::remove_file(dir.path().join(MANIFESTS).join(id.to_string())).unwrap();
    assert_eq!(collect(&store).kept_packs, 1);
    assert_has(&store, &all);
    drop(hold);
    let refused = store.collect(&mut || false, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!((refused.packs, refused.kept_packs), (0, 1));
    assert_eq!(collect(&store).packs, 1);
}

#[test]
fn an_image_that_is_published_while_chunks_are_copied_keeps_its_own() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let all = chunks(0..10);
    store.ingest(&all).unwrap();
    publish(&store, &all[..2]);
    let late = manifest(&all[5..]);
    let done = store
        .collect(&mut || true, &mut |_| {
            store.publish(&late).unwrap();
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!((done.packs, done.kept_packs), (0, 1));
    assert_has(&Store::open(dir.path()).unwrap(), &all);
}

#[test]
fn another_process_reads_on_and_cannot_publish_what_is_gone() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let all = chunks(0..8);
    let old = publish(&store, &all[..6]);
    publish(&store, &[&all[..2], &all[6..]].concat());
    let other = Store::open(dir.path()).unwrap();
    retract(&store, &old);
    assert_eq!(collect(&store).packs, 1);
    // Its view is older, and the file that it has open is there until it lets go.
    assert_has(&other, &all);
    assert!(matches!(other.publish(&manifest(&all[..6])), Err(StoreError::Incomplete { missing: 4, .. })));
    assert_has(&other, &all[..2]);
    assert_has(&other, &all[6..]);
}

#[test]
fn a_manifest_that_cannot_be_read_stops_the_collection() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let all = chunks(0..4);
    let id = publish(&store, &all);
    fs::write(dir.path().join(MANIFESTS).join(id.to_string()), b"rotten").unwrap();
    let outcome = store.collect(&mut || true, &mut |_| ControlFlow::Continue(()));
    assert!(matches!(outcome, Err(StoreError::Manifest { .. })));
    assert_has(&store, &all);
}

#[test]
fn a_pack_with_a_damaged_chunk_that_is_needed_stays_until_the_chunk_was_captured_again() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let all = chunks(0..6);
    store.ingest(&all).unwrap();
    let id = publish(&store, &all[..2]);
    let pack = files(dir.path(), PACKS)[1].clone();
    let file = OpenOptions::new().write(true).open(&pack).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0xaa], 300).unwrap();
    assert_eq!(collect(&store).kept_packs, 1);
    assert!(pack.exists() && !store.is_whole(&id).unwrap());
    assert_has(&store, &all[1..2]);
    publish(&store, &all[..2]);
    assert!(store.is_whole(&id).unwrap());
    assert_eq!(collect(&store).packs, 1);
    assert!(!pack.exists());
    assert_has(&Store::open(dir.path()).unwrap(), &all[..2]);
}

#[test]
fn a_full_disk_or_a_stop_in_the_middle_of_copying_leaves_everything_as_it_was() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let all = chunks(0..10);
    store.ingest(&all).unwrap();
    publish(&store, &all[..3]);
    let before = files(dir.path(), PACKS);
    let done = store.collect(&mut || true, &mut |_| ControlFlow::Break(())).unwrap();
    assert_eq!(done, Collected::default());
    assert_eq!(files(dir.path(), PACKS), before);
    assert_has(&store, &all);
    assert_eq!(collect(&store).packs, 1);
}

/// What a power cut between any two steps of dropping a pack may leave.
#[test]
fn half_a_dropped_pack_is_tidied_up_or_kept_at_the_next_start() {
    for left in ["pack", "index"] {
        let dir = TempDir::new().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let all = chunks(0..3);
        store.ingest(&all).unwrap();
        store.sync().unwrap();
        drop(store);
        for path in files(dir.path(), PACKS).iter().filter(|p| p.extension().unwrap() != left) {
            fs::remove_file(path).unwrap();
        }
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.contains(&all[0].0), left == "pack");
        let id = publish(&store, &all[..2]);
        collect(&store);
        assert!(Store::open(dir.path()).unwrap().is_whole(&id).unwrap());
        assert_has(&store, &all[..2]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn whatever_happens_in_whatever_order_published_images_are_whole_and_little_else_stays(
        steps in prop::collection::vec((0u8..6, 0u64..12, 1u64..8), 1..25)
    ) {
        let dir = TempDir::new().unwrap();
        let mut store = Store::open_with(dir.path(), 90_000).unwrap();
        let mut images: Vec<(ManifestId, Chunks)> = Vec::new();
        for (what, from, count) in steps {
            match what {
                0 | 1 => {
                    let own = chunks(from..from + count);
                    let id = publish(&store, &own);
                    if images.iter().all(|(known, _)| *known != id) {
                        images.push((id, own));
                    }
                }
                2 if !images.is_empty() => {
                    let (id, _) = images.remove(from as usize % images.len());
                    retract(&store, &id);
                }
                3 => drop(store.ingest(&[chunk(from), chunk(from + 100)]).unwrap()),
                4 => {
                    let mut left = count;
                    let pace = &mut |_| {
                        left -= 1;
                        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                    };
                    store.collect(&mut || true, pace).unwrap();
                }
                _ => {
                    drop(store);
                    store = Store::open_with(dir.path(), 90_000).unwrap();
                }
            }
            for (_, own) in &images {
                assert_has(&store, own);
            }
        }
        store.sync().unwrap();
        collect(&store);
        let named: HashSet<Hash> = images.iter().flat_map(|(_, own)| own.iter().map(|(h, _)| *h)).collect();
        let needed: u64 = named.iter().map(|h| store.stored(h).unwrap().unwrap().stored_len() as u64 + 52).sum();
        prop_assert!(pack_bytes(dir.path()) <= needed * 2, "{} for {needed}", pack_bytes(dir.path()));
        let store = Store::open(dir.path()).unwrap();
        for (id, own) in &images {
            assert_has(&store, own);
            prop_assert!(store.is_whole(id).unwrap());
        }
    }
}
