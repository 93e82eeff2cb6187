//! A process that fills a store and is killed with signal 9, again and again.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use images::chunk::{CHUNK_BYTES, Hash, Stored};
use images::store::Store;

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
        assert_eq!(store.scrub().unwrap().damaged, []);
    }
}
