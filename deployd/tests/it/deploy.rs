//! A deploy as an agent lives through it.

use images::chunk::Hash;
use images::manifest::Manifest;
use images::protocol::{Finish, JobControl, Phase, Progress, RunsIn, Task, Work};
use inventory::{JobState, JobTask};

use crate::support::{School, by, signing_key, some_chunks, until};

fn finish_ok(disk: &str) -> Finish {
    Finish::Ok {
        shortcomings: Vec::new(),
        bytes: 1000,
        transferred: 600,
        disk: disk.into(),
        resumed_bytes: 50,
        kept_bytes: 300,
        peer_bytes: 500,
    }
}

fn progress(phase: Phase, done_bytes: u64) -> Progress {
    Progress { phase, done_bytes, total_bytes: 1000, ..Progress::default() }
}

#[test]
fn a_pc_takes_its_job_fetches_the_image_and_says_that_it_is_done() {
    let school = School::open();
    let chunks = some_chunks(1, 300);
    let (image, signed) = school.image("Debian 12", &chunks);
    let (pc, device) = school.approved("r204-pc01");
    let id = school.deploy_job(device, image);

    let job = pc.take_job();
    assert_eq!(job.id, id.to_string());
    let Task::Deploy { image: name, version, manifest, signing_key: key, hostname, disk, .. } = job.task
    else {
        panic!("{job:?}")
    };
    assert_eq!((name.as_str(), version, hostname.as_str(), disk), ("Debian 12", 1, "r204-pc01", None));
    assert_eq!(manifest, signed.id().to_string());
    let own: String = signing_key().verifying_key().as_bytes().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(key, own);

    let bytes = pc.manifest(&job.id).ok();
    assert_eq!(Manifest::parse_signed(&bytes, &signing_key().verifying_key()).unwrap(), signed);
    let hashes: Vec<Hash> = signed.hashes().copied().collect();
    let fetched: Vec<Vec<u8>> = hashes.chunks(256).flat_map(|some| pc.chunks(&job.id, some)).collect();
    assert_eq!(fetched, chunks);

    let control: JobControl =
        pc.post_json(&format!("/v1/jobs/{id}/progress"), &progress(Phase::Transfer, 400)).json();
    assert_eq!(control, JobControl::Continue);
    let JobState::Running { progress: noted, .. } = school.state(id) else { panic!() };
    assert_eq!((noted.phase.as_str(), noted.done_bytes, noted.total_bytes), ("transfer", 400, 1000));

    for _ in 0..2 {
        // The second time as if the first answer was lost.
        pc.post_json(&format!("/v1/jobs/{id}/finish"), &finish_ok("disk-1")).ok();
    }
    let JobState::Done { result, .. } = school.state(id) else { panic!() };
    assert_eq!((result.bytes, result.transferred, result.resumed_bytes), (1000, 600, 50));
    assert_eq!((result.kept_bytes, result.peer_bytes), (300, 500));
    assert_eq!((result.manifest, result.version), (signed.id().to_string(), 1));
    let observed = school.block(school.inventory.device(device)).unwrap().unwrap().observed;
    assert_eq!(observed.manifest, Some(signed.id().to_string()));
    assert_eq!(observed.disk.as_deref(), Some("disk-1"));
    assert_eq!(pc.work(20), Work::Reboot, "with nothing left to do it starts its own disk");
}

#[test]
fn the_disk_that_was_used_before_and_the_newest_version_are_named() {
    let school = School::open();
    school.image("Debian 12", &some_chunks(1, 3));
    let (image, newest) = school.image("Debian 12", &some_chunks(2, 3));
    let (pc, device) = school.approved("r204-pc01");
    for (version, expected) in [(None, 2), (Some(1), 1)] {
        let id = school.job(device, JobTask::Deploy { image, version });
        let job = pc.take_job();
        let Task::Deploy { version, disk, manifest, .. } = job.task else { panic!() };
        assert_eq!(version, expected);
        assert_eq!(manifest == newest.id().to_string(), expected == 2);
        assert_eq!(disk, (expected == 1).then(|| "disk-7".to_owned()));
        pc.post_json(&format!("/v1/jobs/{id}/finish"), &finish_ok("disk-7")).ok();
    }
}

#[test]
fn a_waiting_agent_gets_its_job_at_once() {
    let school = School::open();
    let (image, _) = school.image("Debian 12", &some_chunks(1, 1));
    let (pc, device) = school.approved("r204-pc01");
    let polled = std::thread::spawn(move || {
        let begun = inventory::clock::instant();
        (pc.work(25), begun.elapsed())
    });
    let id = school.deploy_job(device, image);
    let (work, waited) = polled.join().unwrap();
    assert!(matches!(work, Work::Job(job) if job.id == id.to_string()));
    assert!(waited.as_secs() < 5, "{waited:?}");
}

#[test]
fn an_installed_system_is_left_alone_although_there_is_a_job() {
    let school = School::open();
    let (image, _) = school.image("Debian 12", &some_chunks(1, 1));
    let (mut pc, device) = school.approved("r204-pc01");
    pc.hello.runs_in = RunsIn::InstalledSystem;
    pc.hello();
    let id = school.deploy_job(device, image);
    assert_eq!(pc.work(0), Work::Idle);
    assert_eq!(school.state(id), JobState::Queued);
    pc.hello.runs_in = RunsIn::BootEnvironment;
    pc.hello();
    assert_eq!(pc.take_job().id, id.to_string());
}

#[test]
fn a_cancelled_job_is_called_back_and_gives_no_more_chunks() {
    let school = School::open();
    let (image, signed) = school.image("Debian 12", &some_chunks(1, 2));
    let (pc, device) = school.approved("r204-pc01");
    let id = school.deploy_job(device, image);
    let job = pc.take_job();
    school.block(school.inventory.cancel_job(by(), id)).unwrap();
    let control: JobControl =
        pc.post_json(&format!("/v1/jobs/{id}/progress"), &progress(Phase::Transfer, 1)).json();
    assert_eq!(control, JobControl::Cancel);
    let hash = *signed.hashes().next().unwrap();
    let refused = pc.job(&job.id, "chunks", hash.as_bytes());
    assert_eq!(refused.status, 410);
    assert!(refused.text().contains("cancelled"), "{}", refused.text());
    assert!(matches!(school.state(id), JobState::Cancelled { .. }));
}

#[test]
fn a_failure_keeps_its_reason_and_the_screen_can_be_read_for_a_while() {
    let school = School::open();
    let (image, _) = school.image("Debian 12", &some_chunks(1, 2));
    let (pc, device) = school.approved("r204-pc01");
    let id = school.deploy_job(device, image);
    pc.take_job();
    let reason = format!("the disk is too small\u{1b}[0m{}", "!".repeat(5000));
    for _ in 0..2 {
        pc.post_json(&format!("/v1/jobs/{id}/finish"), &Finish::Failed { reason: reason.clone() }).ok();
    }
    let JobState::Failed { reason, .. } = school.state(id) else { panic!() };
    assert!(reason.starts_with("the disk is too small[0m!!!") && reason.len() == 1000, "{reason}");
    assert_eq!(pc.post_json(&format!("/v1/jobs/{id}/finish"), &finish_ok("x")).status, 410);
    assert_eq!(pc.work(0), Work::Idle, "not restarted under the eyes of whoever reads the screen");
}

#[test]
fn a_deploy_goes_on_after_the_server_restarted_in_the_middle() {
    let mut school = School::open();
    let chunks = some_chunks(3, 20);
    let (image, signed) = school.image("Debian 12", &chunks);
    let hashes: Vec<Hash> = signed.hashes().copied().collect();
    let (pc, device) = school.approved("r204-pc01");
    let id = school.deploy_job(device, image);
    let job = pc.take_job();
    assert_eq!(pc.chunks(&job.id, &hashes[..10]), chunks[..10]);

    school.stop();
    assert!(pc.send("GET", "/v1/work", &[]).is_err(), "nobody listens");
    school.start();

    assert_eq!(pc.chunks(&job.id, &hashes[10..]), chunks[10..]);
    assert_eq!(pc.take_job(), job, "asked again it is the same job");
    assert!(matches!(school.state(id), JobState::Running { .. }));
    // A newer version in the meantime does not change what this job writes.
    school.image("Debian 12", &some_chunks(4, 2));
    assert_eq!(pc.take_job(), job);
    pc.post_json(&format!("/v1/jobs/{id}/finish"), &finish_ok("disk-1")).ok();
    assert!(matches!(school.state(id), JobState::Done { .. }));
}

#[test]
fn stopping_answers_the_agents_that_wait() {
    let mut school = School::open();
    let (pc, _) = school.approved("r204-pc01");
    let polling = std::thread::spawn(move || pc.send("GET", "/v1/work?wait_secs=25", &[]));
    // Whether the poll has reached the server yet cannot be seen from outside; either way it must end soon.
    let begun = inventory::clock::instant();
    until("the poll waits", || polling.is_finished() || begun.elapsed().as_millis() > 500);
    school.stop();
    // An error is right, too: the request was still on its way when the port was closed.
    if let Ok(answer) = polling.join().unwrap() {
        assert_eq!((answer.status, answer.retry_after), (503, Some("2".into())));
    }
    assert!(begun.elapsed().as_secs() < 15);
}

#[test]
fn a_room_of_pcs_deploys_at_the_same_time() {
    let school = School::open();
    let chunks = some_chunks(5, 256);
    let (image, signed) = school.image("Debian 12", &chunks);
    let hashes: Vec<Hash> = signed.hashes().copied().collect();
    let pcs: Vec<_> = (0..15).map(|n| school.approved(&format!("pc{n}"))).collect();
    for (_, device) in &pcs {
        school.deploy_job(*device, image);
    }
    std::thread::scope(|scope| {
        for (pc, _) in &pcs {
            let (hashes, chunks) = (&hashes, &chunks);
            scope.spawn(move || {
                let job = pc.take_job();
                let hashes = &hashes[..];
                std::thread::scope(|fetch| {
                    fetch.spawn(|| assert_eq!(&pc.chunks(&job.id, hashes), chunks));
                    fetch.spawn(|| assert_eq!(&pc.chunks(&job.id, hashes), chunks));
                });
                pc.post_json(&format!("/v1/jobs/{}/finish", job.id), &finish_ok("d")).ok();
            });
        }
    });
    let (open, _) = school.block(school.inventory.open_jobs()).unwrap();
    assert!(open.is_empty());
}
