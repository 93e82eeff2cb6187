//! The store is looked after: damage is found, and what nobody needs is freed.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use images::chunk::Hash;
use images::store::Store;
use inventory::JobTask;

use crate::support::{School, concatenated, finished, manifest, records, some_chunks, until};

fn packs(school: &School) -> Vec<PathBuf> {
    let folder = fs::read_dir(school.site.store_dir().join("packs")).unwrap();
    folder.map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "pack")).collect()
}

#[test]
fn a_scrub_names_the_damaged_chunk_and_the_image_and_a_new_capture_heals_it() {
    let mut school = School::open();
    let chunks = some_chunks(1, 3);
    let (image, signed) = school.image("Debian 12", &chunks);
    school.image("Kiosk", &some_chunks(9, 2));
    let hashes: Vec<Hash> = signed.hashes().copied().collect();
    // The first scrub, of an empty store, is over when it has left its note.
    let note = school.site.store_dir().join("scrubbed");
    until("the first scrub", || note.exists());
    school.stop();
    let file = fs::OpenOptions::new().write(true).open(school.pack()).unwrap();
    file.write_all_at(b"rotten", 200).unwrap();
    fs::remove_file(&note).unwrap();
    school.start();
    until("a notice", || !school.notices().is_empty());
    let notices = school.notices();
    assert_eq!(notices.len(), 1, "the other image is whole: {notices:?}");
    assert_eq!(notices[0].place, "images/Debian 12/1");
    assert!(hashes.iter().any(|hash| notices[0].text.contains(&hash.to_string())), "{}", notices[0].text);
    assert!(notices[0].remedy.contains("capture"), "{}", notices[0].remedy);

    let (reference, capturing) = school.approved("referenz");
    let capture = school.job(capturing, JobTask::Capture { image }).to_string();
    reference.take_job();
    let missing = reference.job(&capture, "missing", &concatenated(&hashes)).ok();
    let at = missing[0].trailing_zeros() as usize;
    assert_eq!(missing[0].count_ones(), 1);
    reference.job(&capture, "upload", &records(&chunks[at..=at])).ok();
    reference.job(&capture, "publish", &manifest("Debian 12", &hashes).to_bytes()).ok();
    reference.post_json(&format!("/v1/jobs/{capture}/finish"), &finished(1, 1, "")).ok();
    // A server that starts looks at once.
    school.stop();
    school.start();
    until("the notice to go", || school.notices().is_empty());
}

#[test]
fn what_a_deleted_image_leaves_is_freed_but_nothing_of_a_capture_that_runs() {
    let mut school = School::open();
    let (gone, kept, uploaded) = (some_chunks(1, 4), some_chunks(40, 4), some_chunks(80, 2));
    let (_, old) = school.image("alt", &gone);
    let (_, new) = school.image("neu", &kept);
    let (pc, device) = school.approved("r204-pc01");
    let (reference, capturing) = school.approved("referenz");
    let image = school.block(school.inventory.ensure_image(crate::support::by(), "drei")).unwrap();
    let capture = school.job(capturing, JobTask::Capture { image }).to_string();
    reference.take_job();
    reference.job(&capture, "upload", &records(&uploaded)).ok();
    let old_chunks: Vec<Hash> = old.hashes().copied().collect();
    let all: Vec<Hash> = old_chunks.iter().copied().chain(uploaded.iter().map(|c| Hash::of(c))).collect();
    school.stop();
    let store = Store::open(&school.site.store_dir()).unwrap();
    assert!(store.retract(&old.id(), &mut || true).unwrap());
    drop(store);
    school.start();

    // The capture was told that the old image's chunks are there, and its own are named by nothing yet.
    assert_eq!(reference.job(&capture, "missing", &concatenated(&all)).ok(), [0]);
    reference.job(&capture, "publish", &manifest("drei", &all[4..]).to_bytes()).ok();
    reference.post_json(&format!("/v1/jobs/{capture}/finish"), &finished(1, 1, "")).ok();
    let before = packs(&school).len();
    school.stop();
    // As it stands there when an image was taken back.
    fs::write(school.site.store_dir().join("garbage"), b"").unwrap();
    school.start();
    until("the old image's pack to go", || packs(&school).len() < before);

    let hashes: Vec<Hash> = new.hashes().copied().collect();
    let images = school.block(school.inventory.images()).unwrap();
    let image = images.iter().find(|i| i.name == "neu").unwrap().id;
    school.deploy_job(device, image);
    let job = pc.take_job();
    assert_eq!(pc.chunks(&job.id, &hashes), kept);
    let store = Store::open(&school.site.store_dir()).unwrap();
    assert!(old_chunks.iter().all(|hash| !store.contains(hash)));
    assert!(all[4..].iter().all(|hash| store.contains(hash)));
}
