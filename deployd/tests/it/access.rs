//! Who may do what. Every path, against everybody who must not.

use images::chunk::Hash;
use images::protocol::{Finish, JobControl, Phase, Progress, Stay};
use inventory::{Device, Image, JobTask, UnixMillis};

use crate::support::{Pc, School, batch_body, by, finished, manifest, records, some_chunks};

/// Everything that an agent could change.
fn everything(school: &School) -> (i64, Vec<Device>, Vec<Image>, Vec<inventory::Job>, usize, usize) {
    let inventory = &school.inventory;
    school.block(async {
        let mut devices = inventory.devices().await.unwrap().0;
        for device in &mut devices {
            device.last_seen = None;
        }
        let store = images::store::Store::open(&school.site.store_dir()).unwrap();
        (
            inventory.last_change().await.unwrap(),
            devices,
            inventory.images().await.unwrap(),
            inventory.jobs(100).await.unwrap().0,
            inventory.waiting().await.unwrap().0.len(),
            store.manifests().unwrap().len(),
        )
    })
}

/// All paths below a job, each with a body that would be right.
fn job_requests(hash: Hash) -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let json = |value: &dyn erased::Json| value.bytes();
    vec![
        ("GET", "manifest", Vec::new()),
        ("POST", "chunks", hash.as_bytes().to_vec()),
        ("POST", "batch", batch_body(0, 7001, &[hash])),
        ("POST", "stay", Vec::new()),
        ("POST", "missing", hash.as_bytes().to_vec()),
        ("POST", "upload", records(&some_chunks(77, 1))),
        ("POST", "publish", manifest("Debian 12", &[hash]).to_bytes()),
        (
            "POST",
            "progress",
            json(&Progress { phase: Phase::Transfer, done_bytes: 1, total_bytes: 2, ..Progress::default() }),
        ),
        ("POST", "finish", json(&finished(1, 1, ""))),
        ("POST", "finish", json(&Finish::Failed { reason: "x".into() })),
    ]
}

mod erased {
    /// Something that becomes JSON.
    pub(super) trait Json {
        fn bytes(&self) -> Vec<u8>;
    }
    impl<T: serde::Serialize> Json for T {
        fn bytes(&self) -> Vec<u8> {
            serde_json::to_vec(self).unwrap()
        }
    }
}

fn send(pc: &Pc, job: &str, (method, action, body): &(&str, &str, Vec<u8>)) -> u16 {
    pc.send(method, &format!("/v1/jobs/{job}/{action}"), body).unwrap().status
}

#[test]
fn without_a_key_there_is_no_conversation_at_all() {
    let school = School::open();
    let (image, signed) = school.image("Debian 12", &some_chunks(1, 1));
    let (_, device) = school.approved("r204-pc01");
    let id = school.deploy_job(device, image);
    let before = everything(&school);
    let nobody = school.nobody();
    let hello = serde_json::to_vec(&nobody.hello).unwrap();
    assert!(nobody.send("POST", "/v1/hello", &hello).is_err());
    assert!(nobody.send("GET", "/v1/work", &[]).is_err());
    assert!(nobody.send("POST", "/v1/report", b"{}").is_err());
    for (method, action, body) in job_requests(*signed.hashes().next().unwrap()) {
        assert!(nobody.send(method, &format!("/v1/jobs/{id}/{action}"), &body).is_err(), "{action}");
    }
    assert_eq!(everything(&school), before);
}

#[test]
fn an_unknown_key_may_say_hello_and_nothing_else() {
    let school = School::open();
    let (image, signed) = school.image("Debian 12", &some_chunks(1, 1));
    let (owner, device) = school.approved("r204-pc01");
    let id = school.deploy_job(device, image);
    owner.take_job();
    // It knows everything that the approved PC has said about itself, and the job's id.
    let stranger = Pc { hello: owner.hello.clone(), ..school.pc() };
    for known_to_wait in [false, true] {
        if known_to_wait {
            stranger.hello();
        }
        let before = everything(&school);
        assert_eq!(stranger.get("/v1/work?wait_secs=1").status, 401);
        assert_eq!(stranger.post("/v1/report", b"{\"hostname\": \"x\"}").status, 401);
        for request in job_requests(*signed.hashes().next().unwrap()) {
            assert_eq!(send(&stranger, &id.to_string(), &request), 401, "{request:?}");
        }
        assert_eq!(everything(&school), before);
    }
}

#[test]
fn another_devices_job_does_not_exist() {
    let school = School::open();
    let (image, signed) = school.image("Debian 12", &some_chunks(1, 1));
    let (owner, device) = school.approved("r204-pc01");
    let (reference, capturing) = school.approved("referenz");
    let (other, _) = school.approved("r204-pc02");
    let deploy = school.deploy_job(device, image);
    let capture = school.job(capturing, JobTask::Capture { image });
    owner.take_job();
    reference.take_job();
    let before = everything(&school);
    let absent = inventory::JobId::random();
    for id in [deploy.to_string(), capture.to_string(), absent.to_string(), "x".into(), "..%2fhello".into()] {
        for request in job_requests(*signed.hashes().next().unwrap()) {
            assert_eq!(send(&other, &id, &request), 404, "{id} {request:?}");
        }
    }
    assert_eq!(everything(&school), before);
}

#[test]
fn a_job_that_is_over_or_has_not_begun_gives_and_takes_nothing() {
    let school = School::open();
    let (image, signed) = school.image("Debian 12", &some_chunks(1, 1));
    let hash = *signed.hashes().next().unwrap();
    let (pc, device) = school.approved("r204-pc01");
    for task in [JobTask::Deploy { image, version: None }, JobTask::Capture { image }] {
        let queued = school.job(device, task);
        refused_without_a_trace(&school, &pc, &queued.to_string(), hash);
        pc.take_job();
        school.block(school.inventory.cancel_job(by(), queued)).unwrap();
        refused_without_a_trace(&school, &pc, &queued.to_string(), hash);
    }
}

fn refused_without_a_trace(school: &School, pc: &Pc, job: &str, hash: Hash) {
    let before = everything(school);
    for request in job_requests(hash) {
        if request.1 == "progress" {
            let control: JobControl = pc.job(job, "progress", &request.2).json();
            assert_eq!(control, JobControl::Cancel);
        } else if request.1 == "stay" {
            let stay: Stay = pc.job(job, "stay", &request.2).json();
            assert_eq!(stay, Stay { needed: false });
        } else {
            assert_eq!(send(pc, job, &request), 410, "{request:?}");
        }
    }
    assert_eq!(everything(school), before);
}

#[test]
fn a_running_job_gives_its_own_image_only_and_does_its_own_kind_only() {
    let school = School::open();
    let (image, signed) = school.image("Debian 12", &some_chunks(1, 3));
    let (_, other) = school.image("Lehrer-PC", &some_chunks(2, 1));
    let (own, foreign) = (*signed.hashes().next().unwrap(), *other.hashes().next().unwrap());
    let (pc, device) = school.approved("r204-pc01");
    let id = school.deploy_job(device, image);
    pc.take_job();
    let before = everything(&school);
    let job = id.to_string();
    for (body, status) in [
        (foreign.as_bytes().to_vec(), 403),
        ([*own.as_bytes(), *foreign.as_bytes()].concat(), 403),
        (Hash::zero_chunk().as_bytes().to_vec(), 403),
        (vec![0; 32], 403),
        (Vec::new(), 400),
        (vec![0; 31], 400),
        (own.as_bytes().repeat(257), 413),
    ] {
        assert_eq!(pc.job(&job, "chunks", &body).status, status);
    }
    for request in job_requests(own).iter().filter(|r| ["missing", "upload", "publish"].contains(&r.1)) {
        assert_eq!(send(&pc, &job, request), 403, "{request:?}");
    }
    assert_eq!(everything(&school), before);

    school.block(school.inventory.cancel_job(by(), id)).unwrap();
    let capture = school.job(device, JobTask::Capture { image }).to_string();
    pc.take_job();
    for request in job_requests(own).iter().filter(|r| ["manifest", "chunks", "batch"].contains(&r.1)) {
        assert_eq!(send(&pc, &capture, request), 403, "{request:?}");
    }
}

#[test]
fn a_device_that_was_removed_is_out_at_once_and_waits_again() {
    let school = School::open();
    let (image, signed) = school.image("Debian 12", &some_chunks(1, 1));
    let (pc, device) = school.approved("r204-pc01");
    let id = school.deploy_job(device, image);
    pc.take_job();
    school.block(school.inventory.delete_device(by(), device)).unwrap();
    assert_eq!(pc.get("/v1/work").status, 401);
    let hash = *signed.hashes().next().unwrap();
    assert_eq!(pc.job(&id.to_string(), "chunks", hash.as_bytes()).status, 401);
    assert!(matches!(pc.hello(), images::protocol::HelloReply::Waiting { .. }));
}

#[test]
fn a_waiting_entry_tells_when_the_pc_spoke_last() {
    let school = School::open();
    let pc = school.pc();
    pc.hello();
    let entry = school.block(school.inventory.waiting()).unwrap().0.remove(0);
    assert!(entry.last_seen > UnixMillis(0) && entry.address == "127.0.0.1");
}
