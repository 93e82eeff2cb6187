//! A capture as an agent lives through it.

use images::chunk::{CHUNK_BYTES, Hash};
use images::protocol::Task;
use images::store::Store;
use inventory::{JobState, JobTask};

use crate::support::{Pc, School, by, concatenated, finished, manifest, records, signing_key, some_chunks};

fn missing(pc: &Pc, job: &str, hashes: &[Hash]) -> Vec<bool> {
    let bitmap = pc.job(job, "missing", &concatenated(hashes)).ok();
    (0..hashes.len()).map(|i| bitmap[i / 8] >> (i % 8) & 1 == 1).collect()
}

fn published(pc: &Pc, job: &str, body: &[u8]) -> (i64, String) {
    let answer: serde_json::Value = pc.job(job, "publish", body).json();
    (answer["version"].as_i64().unwrap(), answer["manifest"].as_str().unwrap().to_owned())
}

fn finish(pc: &Pc, job: &str) -> u16 {
    pc.post_json(&format!("/v1/jobs/{job}/finish"), &finished(5, 4, "d")).status
}

#[test]
fn a_captured_disk_becomes_a_version_that_can_be_deployed() {
    let school = School::open();
    let (reference, device) = school.approved("referenz");
    let image = school.block(school.inventory.ensure_image(by(), "Debian 12")).unwrap();
    let id = school.job(device, JobTask::Capture { image });
    let job = reference.take_job();
    assert_eq!(job.task, Task::Capture { image: "Debian 12".into() });

    let chunks = some_chunks(1, 20);
    let hashes: Vec<Hash> = chunks.iter().map(|c| Hash::of(c)).collect();
    let mut asked = hashes.clone();
    asked.push(Hash::zero_chunk());
    let mut expected = vec![true; 20];
    expected.push(false);
    assert_eq!(missing(&reference, &job.id, &asked), expected);
    reference.job(&job.id, "upload", &records(&chunks[..10])).ok();
    let half = missing(&reference, &job.id, &hashes);
    assert_eq!(half, [[false; 10], [true; 10]].concat());

    let unsigned = manifest("Debian 12", &hashes);
    let incomplete = reference.job(&job.id, "publish", &unsigned.to_bytes());
    assert_eq!(incomplete.status, 409);
    assert!(incomplete.text().contains("10 chunks"), "{}", incomplete.text());
    assert_eq!(finish(&reference, &job.id), 409, "what was not published is not done");
    assert!(school.block(school.inventory.image(image)).unwrap().unwrap().versions.is_empty());

    reference.job(&job.id, "upload", &records(&chunks[10..])).ok();
    let first = published(&reference, &job.id, &unsigned.to_bytes());
    assert_eq!(first, (1, unsigned.id().to_string()));
    assert_eq!(published(&reference, &job.id, &unsigned.to_bytes()), first, "repeated after a lost answer");
    for _ in 0..2 {
        assert_eq!(finish(&reference, &job.id), 204);
    }
    let JobState::Done { result, .. } = school.state(id) else { panic!() };
    assert_eq!((result.version, result.manifest), (1, first.1));
    let stored = school.block(school.inventory.image(image)).unwrap().unwrap().versions.remove(0);
    assert_eq!(stored.bytes, 777, "used bytes, as the manifest says");

    let (pc, device) = school.approved("r204-pc01");
    school.deploy_job(device, image);
    let job = pc.take_job();
    let signed = images::manifest::Manifest::parse(&pc.manifest(&job.id).ok()).unwrap();
    signed.verify(&signing_key().verifying_key()).unwrap();
    assert_eq!(pc.chunks(&job.id, &hashes), chunks);
}

#[test]
fn a_second_capture_uploads_only_what_changed_and_the_old_version_stays() {
    let school = School::open();
    let (image, old) = school.image("Debian 12", &some_chunks(1, 10));
    let (reference, device) = school.approved("referenz");
    school.job(device, JobTask::Capture { image });
    let job = reference.take_job();
    let chunks = [some_chunks(1, 9), some_chunks(2, 1)].concat();
    let hashes: Vec<Hash> = chunks.iter().map(|c| Hash::of(c)).collect();
    assert_eq!(missing(&reference, &job.id, &hashes).iter().filter(|m| **m).count(), 1);
    reference.job(&job.id, "upload", &records(&chunks[9..])).ok();
    let (version, id) = published(&reference, &job.id, &manifest("Debian 12", &hashes).to_bytes());
    assert_eq!(version, 2);
    let store = Store::open(&school.site.store_dir()).unwrap();
    for id in [old.id(), id.parse().unwrap()] {
        let manifest = store.manifest(&id).unwrap().unwrap();
        assert!(manifest.hashes().all(|hash| store.contains(hash)));
    }
}

#[test]
fn a_capture_that_was_published_ends_well_although_the_server_restarted_in_between() {
    let mut school = School::open();
    let (reference, device) = school.approved("referenz");
    let image = school.block(school.inventory.ensure_image(by(), "Debian 12")).unwrap();
    let id = school.job(device, JobTask::Capture { image });
    let job = reference.take_job();
    let chunks = some_chunks(1, 4);
    let hashes: Vec<Hash> = chunks.iter().map(|c| Hash::of(c)).collect();
    reference.job(&job.id, "upload", &records(&chunks[..2])).ok();
    school.stop();
    school.start();
    assert_eq!(missing(&reference, &job.id, &hashes), [false, false, true, true], "nothing is sent twice");
    reference.job(&job.id, "upload", &records(&chunks[2..])).ok();
    let (_, manifest) = published(&reference, &job.id, &manifest("Debian 12", &hashes).to_bytes());
    school.stop();
    school.start();
    assert_eq!(finish(&reference, &job.id), 204);
    let JobState::Done { result, .. } = school.state(id) else { panic!() };
    assert_eq!((result.manifest, result.version), (manifest, 1));
}

#[test]
fn what_does_not_fit_together_is_refused_and_nothing_of_it_is_kept() {
    let school = School::open();
    let (reference, device) = school.approved("referenz");
    let image = school.block(school.inventory.ensure_image(by(), "Debian 12")).unwrap();
    let id = school.job(device, JobTask::Capture { image });
    let job = reference.take_job();
    let good = some_chunks(1, 1).remove(0);
    let (hash, body) = (Hash::of(&good), records(std::slice::from_ref(&good)));
    let mut flipped = body.clone();
    flipped[100] ^= 1;
    let mut lied = records(&[good.clone(), vec![9; CHUNK_BYTES]]);
    lied[..32].copy_from_slice(&[5; 32]);
    let cases: [(&str, Vec<u8>, u16); 10] = [
        ("upload", Vec::new(), 400),
        ("upload", body[..body.len() - 1].to_vec(), 400),
        ("upload", flipped, 400),
        ("upload", lied, 400),
        ("upload", vec![0; (8 << 20) + 1], 413),
        ("missing", Vec::new(), 400),
        ("missing", vec![0; 33], 400),
        ("missing", vec![0; 65_537 * 32], 413),
        ("publish", b"HAUSIMG1 and so on".to_vec(), 400),
        ("publish", manifest("another image", &[hash]).to_bytes(), 400),
    ];
    for (action, body, status) in cases {
        let answer = reference.job(&job.id, action, &body);
        assert_eq!(answer.status, status, "{action}: {}", answer.text());
    }
    assert_eq!(missing(&reference, &job.id, &[hash, Hash([5; 32])]), [true, true]);
    assert!(matches!(school.state(id), JobState::Running { .. }), "the agent may do better");
    assert!(school.block(school.inventory.image(image)).unwrap().unwrap().versions.is_empty());
}

#[test]
fn a_file_on_the_server_becomes_a_version() {
    let school = School::open();
    let path = school.site.data_dir.join("disk.img");
    // One MBR partition of 1 MiB at sector 2048, without a file system that is known.
    let mut disk = vec![0u8; 4 << 20];
    disk[446..462].copy_from_slice(&[0x80, 0, 0, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0]);
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    let content = some_chunks(9, 16).concat();
    disk[1 << 20..2 << 20].copy_from_slice(&content);
    std::fs::write(&path, &disk).unwrap();
    let seen = std::sync::Arc::new(std::sync::Mutex::new((0, 0)));
    let telling = seen.clone();
    let import = |name: &str, path: &std::path::Path| {
        let telling = telling.clone();
        let tell = move |done, total| *telling.lock().unwrap() = (done, total);
        school.block(deployd::import::import_image(&school.site, &school.inventory, name, path, 0, tell))
    };
    assert_eq!(import("Debian 12", &path).unwrap(), 1);
    let (done, total) = *seen.lock().unwrap();
    assert!(done == total && total >= 1 << 20, "{done} of {total}");

    // A running server serves it without a restart.
    let images = school.block(school.inventory.images()).unwrap();
    let (pc, device) = school.approved("r204-pc01");
    school.deploy_job(device, images[0].id);
    let job = pc.take_job();
    let signed = images::manifest::Manifest::parse(&pc.manifest(&job.id).ok()).unwrap();
    let hashes: Vec<Hash> = signed.partitions().last().unwrap().1.hashes().to_vec();
    assert_eq!(pc.chunks(&job.id, &hashes).concat(), content);

    let error = import("Neu", &school.site.data_dir.join("absent.img")).unwrap_err().to_string();
    assert!(error.contains("absent.img"), "{error}");
    std::fs::write(&path, vec![0; 1 << 20]).unwrap();
    import("Neu", &path).unwrap_err();
    import("", &path).unwrap_err();
    let names: Vec<String> =
        school.block(school.inventory.images()).unwrap().into_iter().map(|image| image.name).collect();
    assert_eq!(names, ["Debian 12"], "a failed import leaves no empty image");
}
