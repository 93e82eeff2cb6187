//! Damage, a full disk, a database that does not answer.

use std::os::unix::fs::FileExt as _;

use images::chunk::Hash;
use images::protocol::{Finish, Work};
use inventory::{Inventory, JobState, JobTask};

use crate::support::{School, by, concatenated, finished, manifest, records, some_chunks, until};

/// Flips a byte inside the stored bytes of the first chunk of the first pack.
fn damage(school: &School) {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(school.pack()).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 200).unwrap();
    file.write_all_at(&[byte[0] ^ 0x40], 200).unwrap();
}

#[test]
fn a_damaged_chunk_ends_the_job_with_a_reason_and_a_new_capture_heals_it() {
    let school = School::open();
    let chunks = some_chunks(1, 3);
    let (image, signed) = school.image("Debian 12", &chunks);
    damage(&school);
    let hashes: Vec<Hash> = signed.hashes().copied().collect();
    let (pc, device) = school.approved("r204-pc01");
    let id = school.deploy_job(device, image);
    let job = pc.take_job();

    let answer = pc.job(&job.id, "chunks", &concatenated(&hashes));
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(answer.text().contains("Debian 12") && answer.text().contains("version 1"), "{}", answer.text());
    let JobState::Failed { reason, .. } = school.state(id) else { panic!("{:?}", school.state(id)) };
    assert!(
        reason.contains("Debian 12") && reason.contains("damaged") && reason.contains("again"),
        "{reason}"
    );
    let notices = school.notices();
    assert_eq!(notices.len(), 1);
    assert_eq!((notices[0].source.as_str(), notices[0].place.as_str()), ("deployd", "images/Debian 12/1"));
    let after = pc.job(&job.id, "chunks", &concatenated(&hashes[1..]));
    assert_eq!(after.status, 410);
    assert!(after.text().contains("damaged"), "the agent learns why: {}", after.text());

    // The capture that the remedy asks for brings what is damaged, and nothing else.
    let (reference, capturing) = school.approved("referenz");
    let capture = school.job(capturing, JobTask::Capture { image }).to_string();
    reference.take_job();
    assert_eq!(reference.job(&capture, "missing", &concatenated(&hashes)).ok(), [0b001]);
    reference.job(&capture, "upload", &records(&chunks[..1])).ok();
    reference.job(&capture, "publish", &manifest("Debian 12", &hashes).to_bytes()).ok();

    let id = school.job(device, JobTask::Deploy { image, version: Some(1) });
    let job = pc.take_job();
    assert_eq!(pc.chunks(&job.id, &hashes), chunks);
    pc.post_json(&format!("/v1/jobs/{id}/finish"), &finished(1, 1, "")).ok();
    assert!(school.notices().is_empty(), "a deploy that went well takes the notice back");
}

#[test]
fn a_damaged_or_foreign_manifest_fails_the_job_before_the_pc_wipes_its_disk() {
    let school = School::open();
    let (damaged, signed) = school.image("Kaputt", &some_chunks(1, 2));
    let path = school.site.store_dir().join("manifests").join(signed.id().to_string());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let absent = school.block(school.inventory.ensure_image(by(), "Fehlt")).unwrap();
    school.block(school.inventory.add_version(by(), absent, &"0a".repeat(32), 1)).unwrap();
    let foreign = school.block(school.inventory.ensure_image(by(), "Fremd")).unwrap();
    let other_key = ed25519_dalek::SigningKey::from_bytes(&[8; 32]);
    let forged = manifest("Fremd", &[]).sign(&other_key);
    let store = images::store::Store::open(&school.site.store_dir()).unwrap();
    store.publish(&forged).unwrap();
    school.block(school.inventory.add_version(by(), foreign, &forged.id().to_string(), 1)).unwrap();

    let (pc, device) = school.approved("r204-pc01");
    for (image, name) in [(damaged, "Kaputt"), (absent, "Fehlt"), (foreign, "Fremd")] {
        let id = school.deploy_job(device, image);
        assert_eq!(pc.work(0), Work::Idle, "{name}");
        let JobState::Failed { reason, .. } = school.state(id) else {
            panic!("{name}: {:?}", school.state(id))
        };
        assert!(reason.contains(name) && reason.contains("capture or import"), "{reason}");
    }
    assert_eq!(school.notices().len(), 3);

    // The notice goes with the image; it is looked at when the server starts, and every half minute.
    let mut school = school;
    school.stop();
    school.block(school.inventory.delete_image(by(), foreign)).unwrap();
    school.start();
    until("the notice is taken back", || school.notices().len() == 2);
}

#[test]
fn a_full_disk_ends_the_capture_and_a_later_one_takes_up_what_is_there() {
    let mut school = School::open();
    let (image, old) = school.image("Debian 12", &some_chunks(1, 2));
    let (reference, device) = school.approved("referenz");
    let id = school.job(device, JobTask::Capture { image });
    let job = reference.take_job();
    let chunks = some_chunks(2, 4);
    let hashes: Vec<Hash> = chunks.iter().map(|c| Hash::of(c)).collect();
    reference.job(&job.id, "upload", &records(&chunks[..2])).ok();

    school.stop();
    school.config.reserve_mib = u64::MAX;
    school.start();
    let refused = reference.job(&job.id, "upload", &records(&chunks[2..]));
    assert_eq!(refused.status, 507);
    assert!(refused.text().contains("free space"), "{}", refused.text());
    let JobState::Failed { reason, .. } = school.state(id) else { panic!() };
    assert!(reason.contains("full") && reason.contains("free space"), "{reason}");
    assert_eq!(school.notices()[0].place, "store/space");

    school.stop();
    school.config.reserve_mib = 0;
    school.start();
    assert_eq!(school.notices().len(), 1, "a notice outlives a restart");
    school.job(device, JobTask::Capture { image });
    let job = reference.take_job();
    assert_eq!(reference.job(&job.id, "missing", &concatenated(&hashes)).ok(), [0b1100]);
    reference.job(&job.id, "upload", &records(&chunks[2..])).ok();
    reference.job(&job.id, "publish", &manifest("Debian 12", &hashes).to_bytes()).ok();
    assert!(school.notices().is_empty());

    let (pc, device) = school.approved("r204-pc01");
    school.job(device, JobTask::Deploy { image, version: Some(1) });
    let job = pc.take_job();
    let hashes: Vec<Hash> = old.hashes().copied().collect();
    assert_eq!(pc.chunks(&job.id, &hashes), some_chunks(1, 2), "the old version is untouched");
}

#[test]
fn a_database_that_does_not_answer_is_waited_for() {
    let mut school = School::open();
    let (image, signed) = school.image("Debian 12", &some_chunks(1, 1));
    let (pc, device) = school.approved("r204-pc01");
    let id = school.deploy_job(device, image).to_string();
    pc.take_job();
    school.block(school.inventory.close());
    let hash = *signed.hashes().next().unwrap();
    for answer in [
        pc.get("/v1/work"),
        pc.post_json("/v1/hello", &pc.hello),
        pc.job(&id, "chunks", hash.as_bytes()),
        pc.post_json(&format!("/v1/jobs/{id}/finish"), &Finish::Failed { reason: "x".into() }),
    ] {
        assert_eq!((answer.status, answer.retry_after.as_deref()), (503, Some("2")), "{}", answer.text());
    }
    school.stop();
    school.inventory = school.block(Inventory::open(&school.site.database_url())).unwrap();
    school.start();
    assert_eq!(pc.chunks(&id, &[hash]), some_chunks(1, 1), "and the job goes on");
}

#[test]
fn a_server_without_its_keys_says_what_to_do() {
    let mut school = School::open();
    school.stop();
    let run = |school: &School| {
        let started = deployd::run(&school.site, school.config.clone(), school.inventory.clone());
        school.block(started).unwrap_err().to_string()
    };
    let key = school.site.keys_dir().join("signing.key");
    std::fs::write(&key, "no key").unwrap();
    let error = run(&school);
    assert!(error.contains("signing.key") && error.contains("backup"), "{error}");
    std::fs::remove_file(&key).unwrap();
    assert!(run(&school).contains("hausmeister init"));
    std::fs::write(&key, "07".repeat(32)).unwrap();
    school.start();
    let error = run(&school);
    assert!(
        error.contains(&school.config.boot_listen.to_string()) && error.contains("hausmeister check"),
        "{error}"
    );
}
