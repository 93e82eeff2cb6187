//! Drivers for Windows, from the folder of the server.

use images::protocol::{DriverAsk, DriverFetch, DriverReply, Finish, Shortcoming};

use crate::support::{Pc, School, finished, some_chunks};

#[test]
fn a_pc_gets_the_drivers_of_its_devices_and_no_other_file_of_the_server() {
    let school = School::open();
    let folder = school.site.drivers_dir().join("intel/net");
    std::fs::create_dir_all(&folder).unwrap();
    let inf = "[Manufacturer]\n%A%=A,NTamd64\n[A.NTamd64]\n%D%=I,PCI\\VEN_8086&DEV_15B8\n";
    std::fs::write(folder.join("e1d.inf"), inf).unwrap();
    std::fs::write(folder.join("e1d.sys"), some_chunks(3, 4).concat()).unwrap();
    let (image, _) = school.image("Windows", &some_chunks(1, 2));
    let (pc, device) = school.approved("pc01");
    school.deploy_job(device, image);
    let job = pc.take_job();
    let ask = |id: &str| DriverAsk { processor: "amd64".into(), ids: vec![id.into()] };
    let body = |message: &DriverAsk| serde_json::to_vec(message).unwrap();
    let reply: DriverReply = pc.job(&job.id, "drivers", &body(&ask(r"PCI\VEN_8086&DEV_15B8"))).json();
    let files: Vec<_> = reply.folders[0].files.iter().map(|f| (f.path.as_str(), f.bytes)).collect();
    assert_eq!(reply.folders[0].path, "intel/net");
    assert_eq!(files, [("e1d.inf", inf.len() as u64), ("e1d.sys", 4 * 65536)]);
    let none: DriverReply = pc.job(&job.id, "drivers", &body(&ask(r"PCI\VEN_10EC&DEV_8168"))).json();
    assert!(none.folders.is_empty());

    let fetch = |path: &str| {
        pc.job(&job.id, "driver", &serde_json::to_vec(&DriverFetch { path: path.into() }).unwrap())
    };
    assert!(fetch("intel/net/e1d.sys").ok() == some_chunks(3, 4).concat());
    for path in ["../keys/secrets.key", "intel/net/../../../keys/secrets.key", "/etc/passwd", "intel/net"] {
        assert_eq!(fetch(path).status, 404, "{path}");
    }
    let (other, _) = school.approved("pc02");
    assert_eq!(other.job(&job.id, "drivers", &body(&ask("x"))).status, 404, "it is another PC's job");
    let many = DriverAsk { processor: "amd64".into(), ids: vec![String::new(); 3000] };
    assert_eq!(pc.job(&job.id, "drivers", &body(&many)).status, 400);
}

#[test]
fn a_pc_that_is_written_gets_the_agent_for_windows_if_the_server_has_one() {
    let school = School::open();
    let (image, _) = school.image("Windows", &some_chunks(1, 2));
    let (pc, device) = school.approved("pc01");
    let id = school.deploy_job(device, image);
    let get = |pc: &Pc| pc.send("GET", &format!("/v1/jobs/{id}/windows-agent"), &[]).unwrap();
    assert_eq!(get(&pc).status, 410, "the job does not run yet");
    pc.take_job();
    assert_eq!(get(&pc).status, 404, "nobody built one");
    std::fs::create_dir_all(school.site.boot_dir()).unwrap();
    let agent = some_chunks(5, 40).concat();
    std::fs::write(school.site.boot_dir().join("windows-agent.exe"), &agent).unwrap();
    assert!(get(&pc).ok() == agent);
    let (other, _) = school.approved("pc02");
    assert_eq!(get(&other).status, 404, "it is another PC's job");
}

#[test]
fn what_a_windows_lacks_after_a_deploy_is_told_once_for_a_version_and_taken_back() {
    let school = School::open();
    let (image, _) = school.image("Windows", &some_chunks(1, 2));
    let deploy = |name: &str, lacks: &[Shortcoming]| {
        let (pc, device) = school.approved(name);
        school.deploy_job(device, image);
        let job = pc.take_job();
        let Finish::Ok { bytes, transferred, disk, resumed_bytes, kept_bytes, peer_bytes, .. } =
            finished(1000, 600, "S1")
        else {
            panic!()
        };
        let shortcomings = lacks.to_vec();
        let finish =
            Finish::Ok { bytes, transferred, disk, resumed_bytes, kept_bytes, peer_bytes, shortcomings };
        assert_eq!(pc.job(&job.id, "finish", &serde_json::to_vec(&finish).unwrap()).status, 204);
    };
    deploy("pc01", &[Shortcoming::NotGrown { partition: 3 }]);
    deploy("pc02", &[Shortcoming::NotGrown { partition: 3 }]);
    let notices = school.notices();
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert_eq!(notices[0].place, "images/Windows/1/windows");
    assert!(notices[0].text.contains("on pc02 the NTFS of partition 3"), "{notices:?}");
    deploy("pc03", &[]);
    assert!(school.notices().is_empty());
}
