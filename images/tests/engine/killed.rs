//! A process that fills a store and is killed with signal 9, again and again.

use std::io::{BufRead, BufReader};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};

use images::chunk::{CHUNK_BYTES, Hash, Stored};
use images::manifest::{ChunkTable, Filesystem, Header, Identity, Manifest, Partition, TableKind};
use images::store::Store;
use images::used::FsKind;

use crate::tools::noise;

const FOLDER: &str = "HAUSMEISTER_TEST_STORE";

fn chunk(seed: u64) -> (Hash, Stored) {
    let mut content = vec![0; CHUNK_BYTES];
    content[..20_000].copy_from_slice(&noise(&seed.to_string(), 20_000));
    (Hash::of(&content), Stored::pack(&content).unwrap())
}

/// Not a test by itself: started by the one below as a process of its own, with the folder in its environment.
#[test]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let store = Store::open_with(Path::new(&folder), 300_000).unwrap();
    for seed in 0u64.. {
        store.ingest(&[chunk(seed)]).unwrap();
        if seed % 3 == 2 {
            store.sync().unwrap();
            println!("durable {}", seed + 1);
        }
    }
}

#[test]
fn what_was_said_to_be_durable_is_there_after_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    for lines in [1, 2, 5, 9, 14, 20] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::child", "--nocapture"])
            .env(FOLDER, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let said = said.filter_map(|l| l.split_once("durable ")?.1.parse::<u64>().ok()).nth(lines).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let store = Store::open(dir.path()).unwrap();
        for seed in 0..said {
            let (hash, stored) = chunk(seed);
            assert_eq!(store.stored(&hash).unwrap(), Some(stored));
        }
        assert_eq!(store.scrub(&mut |_| ControlFlow::Continue(())).unwrap().damaged, []);
    }
}

/// The images that the child below publishes and takes back: neighbours share half of their chunks.
fn version(number: u64) -> Vec<(Hash, Stored)> {
    (number * 6..number * 6 + 12).map(chunk).collect()
}

/// As [`child`]: publishes versions, takes old ones back and collects, for ever.
#[test]
fn collecting_child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let store = Store::open_with(Path::new(&folder), 200_000).unwrap();
    let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
    for number in 0u64.. {
        let chunks = version(number);
        store.ingest(&chunks).unwrap();
        let manifest = manifest_of(&chunks.iter().map(|(hash, _)| *hash).collect::<Vec<_>>());
        store.publish(&manifest.sign(&key)).unwrap();
        for old in store.manifests().unwrap() {
            let hashes = store.manifest(&old).unwrap().unwrap();
            if !hashes.hashes().any(|h| *h == chunks[0].0) {
                assert!(store.retract(&old, &mut || true).unwrap());
            }
        }
        println!("named {number}");
        store.collect(&mut || true, &mut |_| ControlFlow::Continue(())).unwrap();
    }
}

#[test]
fn a_server_that_is_killed_while_it_collects_loses_nothing_that_an_image_names() {
    let dir = tempfile::tempdir().unwrap();
    for (kill, spins) in (0..24u64).map(|n| (n, n * n * 3000)) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::collecting_child", "--nocapture"])
            .env(FOLDER, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        // Lives until the kill: a child that cannot speak would die by itself.
        let mut said = said.filter(|l| l.contains("named "));
        assert!(said.nth(2 + kill as usize % 3).is_some());
        // Into the middle of the collection, each time a little later.
        for _ in 0..spins {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let manifests = store.manifests().unwrap();
        assert!(!manifests.is_empty());
        for id in manifests {
            for hash in store.manifest(&id).unwrap().unwrap().hashes() {
                assert!(store.stored(hash).unwrap().is_some(), "{hash} of {id}");
            }
        }
    }
    // What the dead left behind is freed as well.
    let store = Store::open(dir.path()).unwrap();
    store.collect(&mut || true, &mut |_| ControlFlow::Continue(())).unwrap();
    let named: usize = store.manifests().unwrap().len() * 12 * 21_000;
    let there: u64 = std::fs::read_dir(dir.path().join("packs"))
        .unwrap()
        .map(|e| e.unwrap().metadata().unwrap().len())
        .sum();
    assert!(there <= 2 * named as u64 + 100_000, "{there} bytes for {named}");
}

fn manifest_of(hashes: &[Hash]) -> Manifest {
    let mut table = ChunkTable::default();
    for (number, hash) in (0..).zip(hashes) {
        table.push(number, *hash).unwrap();
    }
    let identity = Identity::Gpt {
        type_guid: uuid::Uuid::from_u128(2),
        unique: uuid::Uuid::from_u128(3),
        name: String::new(),
        attributes: 0,
    };
    let filesystem = Filesystem { kind: FsKind::Raw, uuid: None, min_bytes: 0, used_bytes: 0 };
    let header = Header {
        image: "x".into(),
        created_at: 1,
        chunk_bytes: 65536,
        sector_bytes: 512,
        disk_bytes: 64 << 20,
        table: TableKind::Gpt { disk: uuid::Uuid::from_u128(1) },
        boot_code: String::new(),
        partitions: vec![Partition {
            number: 1,
            identity,
            first_lba: 2048,
            sectors: 65536,
            filesystem,
            grow: false,
        }],
    };
    Manifest::new(header, vec![table]).unwrap()
}
