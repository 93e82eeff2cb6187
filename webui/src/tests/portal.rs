//! What a device is told that asks whether it is locked, and by whom it is told.

use std::path::Path;
use std::process::Command;

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use inventory::ca::Authority;
use inventory::config::Site;
use inventory::gate::{Layer, Level, NewRule, Target};
use inventory::{By, Inventory, clock};
use serde_json::json;

use crate::testing::{Desk, Got, stranger};
use crate::{Config, run};

fn by() -> By<'static> {
    By { actor: "admin", at: clock::now() }
}

async fn asked(desk: &Desk) -> Got {
    let request =
        stranger(&Method::GET, "/captive-portal").header(header::ACCEPT, "application/captive+json");
    desk.ask(request.body(Body::empty()).unwrap()).await
}

async fn set_network(desk: &Desk, level: Option<Level>) {
    let network = desk.school.network;
    desk.inventory.set_network_gate(by(), network, level.map(Into::into), None, true).await.unwrap();
}

#[tokio::test]
async fn a_device_learns_whether_it_is_locked_and_how_long_it_is_not() {
    let desk = Desk::new().await;
    let url = "https://netz.schule.example/why";
    let told = async || asked(&desk).await.json();
    let locked = json!({"captive": true, "user-portal-url": url, "can-extend-session": false});
    let free = json!({"captive": false, "user-portal-url": url, "can-extend-session": false});

    // 10.77.1.20 is nobody yet: what the network says.
    assert_eq!(told().await, free);
    set_network(&desk, Some(Level::Off)).await;
    let got = asked(&desk).await;
    assert_eq!((got.status, got.header("content-type")), (StatusCode::OK, "application/captive+json"));
    assert!(got.header("cache-control").contains("no-store"));
    assert_eq!(got.json(), locked);

    // The room of this device is on for forty minutes.
    let device = desk.inventory.device(desk.school.device).await.unwrap().unwrap();
    let mac = device.interfaces[0].mac;
    desk.inventory.reserve_address(by(), mac, "10.77.1.20".parse().ok()).await.unwrap();
    let answer = told().await;
    assert_eq!(answer["captive"], json!(false));
    assert!((2300..=2400).contains(&answer["seconds-remaining"].as_u64().unwrap()), "{answer}");
    set_network(&desk, Some(Level::Filtered)).await;
    assert_eq!(told().await, free, "it will not be locked afterwards");

    let rule = NewRule {
        layer: Layer::Lock,
        target: Target::Device(device.id),
        setting: Level::Off.into(),
        starts_at: clock::now(),
        ends_at: None,
    };
    desk.inventory.add_rules(by(), &[rule]).await.unwrap();
    assert_eq!(told().await, locked);
    set_network(&desk, None).await;
    assert_eq!(told().await, free, "the gate leaves this network alone");
}

#[tokio::test]
async fn a_browser_is_led_to_the_page_that_says_why() {
    let desk = Desk::new().await;
    let device = desk.inventory.device(desk.school.device).await.unwrap().unwrap();
    let mac = device.interfaces[0].mac;
    desk.inventory.reserve_address(by(), mac, "10.77.1.20".parse().ok()).await.unwrap();
    let get = async |path: &str| desk.ask(stranger(&Method::GET, path).body(Body::empty()).unwrap()).await;
    let led = get("/captive-portal").await;
    assert_eq!((led.status, led.header("location")), (StatusCode::SEE_OTHER, "/why"));
    let page = get("/why").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains(device.name.as_str()), "{}", page.body);
    assert!(!page.body.contains("Ändern kann das"), "there is nothing to wish for: {}", page.body);
    let mut rule = NewRule {
        layer: Layer::Grant,
        target: Target::Device(desk.school.device),
        setting: Level::Off.into(),
        starts_at: clock::now(),
        ends_at: Some(clock::now().plus_secs(600)),
    };
    for (layer, whom) in [(Layer::Grant, "die Lehrkraft"), (Layer::Lock, "die Schuladministration")] {
        rule.layer = layer;
        desk.inventory.add_rules(by(), &[rule]).await.unwrap();
        let page = get("/why").await;
        assert!(page.body.contains(&format!("Ändern kann das {whom}")), "{}", page.body);
    }
}

/// A certificate and key of an authority, as the files that an admin has.
fn write_pem(folder: &Path, authority: &Authority, name: &str) -> (std::path::PathBuf, std::path::PathBuf) {
    let pair = authority.issue_server(&[], &[name.to_owned()]).unwrap();
    let (certificate, key) = (folder.join("fullchain.pem"), folder.join("privkey.pem"));
    let pem = |kind: &str, der: &[u8]| {
        format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", STANDARD.encode(der))
    };
    std::fs::write(&certificate, pem("CERTIFICATE", &pair.certificate)).unwrap();
    std::fs::write(&key, pem("PRIVATE KEY", &pair.key)).unwrap();
    (certificate, key)
}

/// What curl gets, which trusts only this authority: the status, or nothing when it refuses to talk.
async fn curl(authority: &Path, host: &str, port: u16, path: &str) -> Option<String> {
    let arguments = [
        "--silent".to_owned(),
        "--noproxy".into(),
        "*".into(),
        "--max-time".into(),
        "10".into(),
        "--cacert".into(),
        authority.display().to_string(),
        "--connect-to".into(),
        format!("{host}:443:127.0.0.1:{port}"),
        "--header".into(),
        "accept: application/captive+json".into(),
        "--write-out".into(),
        "%{http_code}".into(),
        format!("https://{host}{path}"),
    ];
    let run = move || Command::new("curl").args(arguments).output().expect("curl is installed");
    let done = tokio::task::spawn_blocking(run).await.unwrap();
    done.status.success().then(|| String::from_utf8(done.stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_trust_the_portals_certificate_and_get_no_other_under_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let portal = Some("netz.schule.example".to_owned().try_into().unwrap());
    let site = Site { data_dir: dir.path().to_owned(), portal, ..Site::default() };
    let inventory = Inventory::open(&site.database_url()).await.unwrap();
    let own = Authority::ensure(&site.keys_dir(), "Testschule").unwrap();
    let foreign = Authority::ensure(&dir.path().join("foreign"), "Trusted by everybody").unwrap();
    let (own_pem, foreign_pem) = (dir.path().join("own.pem"), dir.path().join("foreign.pem"));
    std::fs::write(&own_pem, own.pem()).unwrap();
    std::fs::write(&foreign_pem, foreign.pem()).unwrap();
    let start = async |name: &str| {
        let (certificate, key) = write_pem(dir.path(), &foreign, name);
        let listen = "127.0.0.1:0".parse().unwrap();
        let config = Config { listen, certificate: Some(certificate), key: Some(key), ..Config::default() };
        run(&site, config, inventory.clone()).await.unwrap()
    };

    let handle = start("netz.schule.example").await;
    let port = handle.address().port();
    let answer = curl(&foreign_pem, "netz.schule.example", port, "/captive-portal").await.unwrap();
    assert!(answer.contains("\"captive\":false") && answer.ends_with("200"), "{answer}");
    assert_eq!(curl(&own_pem, "netz.schule.example", port, "/healthz").await, None);
    let own_name = "hausmeister.schule.internal";
    assert!(curl(&own_pem, own_name, port, "/healthz").await.unwrap().ends_with("204"));
    assert_eq!(curl(&foreign_pem, own_name, port, "/healthz").await, None);
    assert!(inventory.notices().await.unwrap().is_empty());
    drop(handle);

    let handle = start("another.schule.example").await;
    let port = handle.address().port();
    assert_eq!(curl(&foreign_pem, "netz.schule.example", port, "/healthz").await, None);
    assert!(curl(&own_pem, own_name, port, "/healthz").await.is_some(), "everything else goes on");
    let notices = inventory.notices().await.unwrap();
    assert!(notices[0].text.contains("another name"), "{notices:?}");
}
