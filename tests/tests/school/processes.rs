//! The daemons as processes of their own, which meet in the database alone, on both engines.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};

use super::support::api::Api;
use super::support::lan::{Computer, Lan, SERVER, ip};
use super::support::postgres::Postgres;
use super::support::school::{School, ZONE};
use super::support::{eventually, succeed, within};

#[test]
fn three_processes_meet_in_one_sqlite_file() {
    three_processes_meet(&School::set_up(Lan::new(0)));
}

#[test]
fn three_processes_meet_in_postgresql() {
    let postgres = Postgres::start();
    three_processes_meet(&School::set_up_on(Lan::new(0), Some(&postgres.database("school"))));
}

#[test]
fn a_killed_netd_keeps_every_address_it_gave_on_sqlite() {
    a_killed_netd_keeps_every_address(&School::set_up(Lan::new(0)));
}

#[test]
fn a_killed_netd_keeps_every_address_it_gave_on_postgresql() {
    let postgres = Postgres::start();
    a_killed_netd_keeps_every_address(&School::set_up_on(Lan::new(0), Some(&postgres.database("school"))));
}

#[test]
fn a_killed_webui_keeps_what_it_acknowledged_on_sqlite() {
    a_killed_webui_keeps_what_it_acknowledged(&School::set_up(Lan::new(0)));
}

#[test]
fn a_killed_webui_keeps_what_it_acknowledged_on_postgresql() {
    let postgres = Postgres::start();
    let school = School::set_up_on(Lan::new(0), Some(&postgres.database("school")));
    a_killed_webui_keeps_what_it_acknowledged(&school);
}

#[test]
fn a_bridge_that_changes_its_hardware_address_is_served_on() {
    let school = School::set_up(Lan::new(0));
    let netd = school.start("netd");
    ip("link set br0 address 52:54:00:60:00:01\n");
    eventually("netd sees it", || netd.said().contains("serving DHCP interfaces=[\"br0\"]").then_some(()));
    assert!(!netd.said().contains("interfaces=[]"), "{}", netd.said());
    assert!(school.lan.computer("52:54:00:60:00:02").ask_for_an_address().is_some());
}

/// A PC is known to deployd, approved in webui, and served by netd, each within a second of the other's write.
fn three_processes_meet(school: &School) {
    let _daemons = ["netd", "deployd", "webui"].map(|daemon| school.start(daemon));
    let admin = school.admin();
    let refused = school.stranger().get("/devices").unwrap_err();
    assert!(refused.starts_with("401"), "{refused}");

    let pc = school.lan.computer(MAC);
    let agent = school.pc(MAC);
    let hello = agent.hello();
    assert_eq!(hello["state"], "waiting");
    let entry = within(A_SECOND, "webui lists the PC", || admin.find("/waiting", "hardware.serial", MAC));
    assert_eq!(entry["code"], hello["code"]);
    assert!(boots_environment(school), "an unknown PC");

    let approve = format!("/waiting/{}/approve", text(&entry["id"]));
    let device = admin.post(&approve, &json!({ "name": NAME, "room": "Raum 204" })).unwrap();
    let device = text(&device["device"]);
    within(A_SECOND, "deployd knows that there is nothing to do", || {
        (!boots_environment(school)).then_some(())
    });
    assert_eq!(agent.hello()["name"], NAME);

    reserved_address_counts(school, &admin, &device, &pc);
    job_counts(school, &admin, &device);
}

/// A reservation made in webui is told by DNS, and kept by DHCP for a client that asks for nothing in particular.
fn reserved_address_counts(school: &School, admin: &Api, device: &str, pc: &Computer) {
    let reservation = format!("/devices/{device}/reservation");
    for address in ["10.77.0.60", "10.77.0.61"] {
        admin.post(&reservation, &json!({ "ip": address })).unwrap();
        within(A_SECOND, "netd answers the name", || (dig(&[&full_name()]) == address).then_some(()));
        assert_eq!(dig(&["-x", address]), format!("{}.", full_name()));
    }
    let reserved: Ipv4Addr = [10, 77, 0, 61].into();
    assert_eq!(pc.ask_for_an_address(), Some(reserved));
    assert_eq!(dig(&[&full_name()]), reserved.to_string());
    let other = school.lan.computer("52:54:00:10:00:99").ask_for_an_address().unwrap();
    assert!(other != reserved && in_pool(other), "{other}");

    let taken = admin.post(&reservation, &json!({ "ip": SERVER })).unwrap_err();
    assert!(taken.starts_with("422") || taken.starts_with("409"), "{taken}");
}

/// What the PC boots follows the jobs that webui starts and cancels.
fn job_counts(school: &School, admin: &Api, device: &str) {
    school.import("Debian");
    within(A_SECOND, "webui lists the image", || admin.find("/images", "name", "Debian"));
    assert!(!boots_environment(school), "an image in the store is no job");
    let job = admin.post(&format!("/devices/{device}/deploy"), &json!({ "image": "Debian" })).unwrap();
    let job = text(&job["job"]);
    within(A_SECOND, "the PC boots the environment", || boots_environment(school).then_some(()));
    admin.post(&format!("/jobs/{job}/cancel"), &json!({})).unwrap();
    within(A_SECOND, "the PC boots its disk", || (!boots_environment(school)).then_some(()));
}

/// A pool of three addresses, one for each client, and netd dies at once after each acknowledgement.
fn a_killed_netd_keeps_every_address(school: &School) {
    let mut netd = school.start("netd");
    let _webui = school.start("webui");
    shrink_pool(&school.admin(), "10.77.0.100", "10.77.0.102");
    let computer = |n: u8| school.lan.computer(&format!("52:54:00:20:00:{n:02x}"));
    let clients = [computer(1), computer(2), computer(3)];
    let mut given = Vec::new();
    for client in &clients {
        // The first waits until the small pool counts.
        let address = eventually("an address of the small pool", || client.ask_for_an_address());
        netd.kill();
        given.push(address);
        netd = school.start("netd");
    }
    let mut sorted = given.clone();
    sorted.sort();
    assert_eq!(sorted, [100, 101, 102].map(|last| Ipv4Addr::new(10, 77, 0, last)));
    assert_eq!(computer(9).ask_for_an_address(), None, "an address that was given is given again");
    for (client, address) in clients.iter().zip(given) {
        assert_eq!(client.ask_for_an_address(), Some(address), "{} got another address", client.mac);
    }
}

/// Rooms are added as quickly as webui takes them, until it dies.
fn a_killed_webui_keeps_what_it_acknowledged(school: &School) {
    let mut webui = school.start("webui");
    let admin = school.admin();
    let (acknowledged, heard) = mpsc::channel();
    let writer = admin.clone();
    let writing = std::thread::spawn(move || {
        for n in 0.. {
            if writer.post("/rooms", &json!({ "name": format!("Raum {n}") })).is_err() {
                return n;
            }
            acknowledged.send(()).unwrap();
        }
        unreachable!("webui took every number")
    });
    for _ in 0..50 {
        heard.recv_timeout(Duration::from_secs(10)).unwrap();
    }
    webui.kill();
    let first_refused = writing.join().unwrap();

    let _webui = school.start("webui");
    // The session is in the database too.
    let rooms: Vec<String> = admin.list("/rooms").iter().map(|room| text(&room["name"])).collect();
    let missing: Vec<i32> = (0..first_refused).filter(|n| !rooms.contains(&format!("Raum {n}"))).collect();
    assert!(missing.is_empty(), "acknowledged and lost: {missing:?}");
    let beyond = rooms.len() - usize::try_from(first_refused).unwrap();
    assert!(beyond <= 1, "{beyond} rooms that nobody asked for");
    let added = changes(&admin).iter().filter(|change| change["entity"] == "room").count();
    assert_eq!(added, rooms.len(), "each is in the log of changes");
}

/// All changes, page by page.
fn changes(admin: &Api) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    loop {
        let since = all.last().map_or(0, |change| change["seq"].as_i64().unwrap());
        let page = admin.list(&format!("/changes?since={since}"));
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

fn shrink_pool(admin: &Api, first: &str, last: &str) {
    let mut network = admin.list("/networks")[0].clone();
    network["pool_first"] = first.into();
    network["pool_last"] = last.into();
    admin.put(&format!("/networks/{}", text(&network["id"])), &network).unwrap();
}

fn boots_environment(school: &School) -> bool {
    let script = school.boot_script(MAC);
    assert!(script.starts_with("#!ipxe\n"), "{script}");
    !script.contains("sanboot")
}

fn dig(question: &[&str]) -> String {
    let server = format!("@{SERVER}");
    let said = succeed(Command::new("dig").args(["+short", "+time=2", "+tries=1", &server]).args(question));
    said.trim().to_owned()
}

fn full_name() -> String {
    format!("{NAME}.{ZONE}")
}

fn in_pool(address: Ipv4Addr) -> bool {
    (Ipv4Addr::new(10, 77, 0, 128)..=Ipv4Addr::new(10, 77, 0, 249)).contains(&address)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

const NAME: &str = "r204-pc01";
const MAC: &str = "52:54:00:10:00:01";
/// Within this, every daemon acts upon what another wrote.
const A_SECOND: Duration = Duration::from_secs(1);
