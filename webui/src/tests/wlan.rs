//! The WLAN on its pages and by the API.

use axum::http::{Method, StatusCode};
use inventory::wlan::{Method as Proof, Rule, Settings, StationOwner, Then, Who};
use inventory::{Role, clock};
use serde_json::json;

use crate::testing::Desk;

async fn rules(desk: &Desk) -> (Vec<Rule>, String) {
    let (settings, version) = desk.inventory.wlan().await.unwrap();
    (settings.rules, version.to_string())
}

#[tokio::test]
async fn a_rule_is_added_first_moved_and_removed_and_two_admins_do_not_undo_each_other() {
    let desk = Desk::new().await;
    let class = serde_json::to_string(&Who::Group(desk.school.class)).unwrap();
    let (before, version) = rules(&desk).await;
    let fields = [
        ("version", version.as_str()),
        ("who", &class),
        ("vlan", "33"),
        ("from", "07:30"),
        ("until", "16:00"),
        ("devices_max", "1"),
        ("ends", "2099-07-31"),
    ];
    let got = desk.post("/wlan/rules", &fields).await;
    assert_eq!((got.status, got.header("location")), (StatusCode::SEE_OTHER, "/wlan"));
    let (after, newer) = rules(&desk).await;
    let first = &after[0];
    assert_eq!((first.who, after.len()), (Who::Group(desk.school.class), before.len() + 1));
    let hours = first.hours.unwrap();
    assert_eq!((hours.from_minute, hours.until_minute, first.devices_max), (450, 960, Some(1)));
    let page = desk.get("/wlan").await.body;
    assert!(page.contains("VLAN 33") && page.contains("07:30 bis 16:00 Uhr"), "{page}");

    // Whoever still looks at the old list is told, and nothing happens.
    let old = [("version", version.as_str()), ("index", "0"), ("do", "remove")];
    let got = desk.post("/wlan/rules/change", &old).await;
    assert_eq!((got.status, rules(&desk).await.0), (StatusCode::SEE_OTHER, after.clone()));

    desk.post("/wlan/rules/change", &[("version", &newer), ("index", "0"), ("do", "down")]).await;
    let (moved, version) = rules(&desk).await;
    assert_eq!((moved[0].who, moved[1].who), (after[1].who, after[0].who));
    desk.post("/wlan/rules/change", &[("version", &version), ("index", "1"), ("do", "remove")]).await;
    assert_eq!(rules(&desk).await.0, before);

    let (_, version) = rules(&desk).await;
    for wrong in [("vlan", "4095"), ("who", "wer"), ("from", "7"), ("ends", "morgen"), ("devices_max", "0")] {
        // The first of a name counts.
        desk.post("/wlan/rules", &[wrong, ("version", &version), ("who", "\"everyone\"")]).await;
        assert_eq!(rules(&desk).await.0, before, "{wrong:?}");
    }
}

#[tokio::test]
async fn what_would_happen_is_said_before_it_happens() {
    let desk = Desk::new().await;
    let page = desk.get("/wlan?name=lea.maier").await.body;
    assert!(page.contains("lea.maier"), "{page}");
    let by_api = desk.get("/api/v1/wlan/preview?name=lea.maier").await.json();
    assert_eq!(by_api["name"], "lea.maier");
    let settings = Settings { rules: vec![], ..Settings::default() };
    let version = desk.get("/api/v1/wlan").await.json()["version"].clone();
    let body = json!({"version": version, "settings": settings});
    assert_eq!(desk.json(Method::PUT, "/api/v1/wlan", body.clone()).await.status, StatusCode::NO_CONTENT);
    assert_eq!(desk.json(Method::PUT, "/api/v1/wlan", body).await.status, StatusCode::CONFLICT);
    let page = desk.get("/wlan?name=admin").await.body;
    assert!(page.contains("wird abgewiesen: keine Regel passt"), "{page}");
    let nobody = desk.get("/wlan?name=niemand").await;
    assert_eq!(nobody.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn an_access_point_tells_what_to_enter_and_its_secret_only_after_the_password() {
    let desk = Desk::new().await;
    let fields = [("name", "AP Aula"), ("range", "10.77.9.9"), ("room", "")];
    assert_eq!(desk.post("/wlan/access-points", &fields).await.status, StatusCode::SEE_OTHER);
    let twice = desk.post("/wlan/access-points", &fields).await;
    assert_eq!(twice.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(twice.body.contains("Es gibt schon einen Access Point"), "{}", twice.body);
    let all = desk.inventory.access_points().await.unwrap();
    let id = all.iter().find(|one| one.name == "AP Aula").unwrap().id;
    let app = desk.get("/wlan/access-points").await.body;
    let shown = desk.post(&format!("/wlan/access-points/{id}/secret"), &[]).await.body;
    let secret = desk.json(Method::POST, &format!("/api/v1/wlan/access-points/{id}/secret"), json!({})).await;
    let secret = secret.json()["secret"].as_str().unwrap().to_owned();
    assert!(secret.len() == 24 && shown.contains(&secret) && !app.contains(&secret));
    assert!(shown.contains("uci set wireless") && shown.contains("auth_server_shared_secret="), "{shown}");
    let renewed = desk.post(&format!("/wlan/access-points/{id}/secret"), &[("renew", "1")]).await.body;
    assert!(!renewed.contains(&secret));
}

#[tokio::test]
async fn a_teacher_makes_a_voucher_and_its_code_is_shown_once() {
    let desk = Desk::new().await;
    let teacher = desk.sign_in_as(Role::Teacher).await;
    let fields = [("note", "Elternabend"), ("devices", "3"), ("last_day", "2099-01-01")];
    let too_long = desk.ask_as(&teacher, "/wlan/vouchers", Some(&fields)).await;
    assert!(too_long.body.contains("innerhalb eines Jahres"), "{}", too_long.body);
    let body = json!({"note": "Elternabend", "devices_max": 3, "ends_at": clock::now().plus_secs(3600)});
    let made = desk.json(Method::POST, "/api/v1/wlan/vouchers", body).await.json();
    let code = made["code"].as_str().unwrap();
    assert_eq!(desk.inventory.voucher_by_code(code).await.unwrap().unwrap().note, "Elternabend");
    let page = desk.ask_as(&teacher, "/wlan/vouchers", None).await.body;
    assert!(page.contains("Elternabend") && !page.contains(code), "{page}");
}

#[tokio::test]
async fn a_pupil_gets_profiles_and_forgets_only_own_devices() {
    let desk = Desk::new().await;
    let cookie = desk.session_of(desk.school.pupil, 0).await;
    let page = desk.ask_as(&cookie, "/my/wlan", None).await.body;
    assert!(page.contains("radius.schule.internal") && page.contains("02:00:5e:00:00:01"), "{page}");
    assert!(!page.contains("02:00:5e:00:00:02"), "another one's: {page}");
    let apple = desk.ask_as(&cookie, "/my/wlan/apple", None).await;
    assert_eq!(apple.header("content-type"), "application/x-apple-aspen-config");
    assert!(
        apple.body.contains("lea.maier") && apple.body.contains("com.apple.wifi.managed"),
        "{}",
        apple.body
    );
    let windows = desk.ask_as(&cookie, "/my/wlan/windows", None).await.body;
    assert!(windows.contains("TrustedRootCAHash"), "{windows}");

    desk.ask_as(&cookie, "/my/wlan/forget", Some(&[("mac", "02:00:5e:00:00:02")])).await;
    desk.ask_as(&cookie, "/my/wlan/forget", Some(&[("mac", "02:00:5e:00:00:01")])).await;
    let left = desk.inventory.stations(clock::now(), 10).await.unwrap();
    let mut macs: Vec<String> = left.iter().map(|one| one.mac.to_string()).collect();
    macs.sort();
    assert_eq!(macs, ["02:00:5e:00:00:02", "02:00:5e:00:00:03"]);
    assert!(left.iter().any(|one| one.method == Proof::Certificate));
    assert!(left.iter().all(|one| one.owner != StationOwner::User(desk.school.pupil)));
    let made = desk.ask_as(&cookie, "/my/wlan/password", Some(&[])).await.body;
    let kept = desk.inventory.wifi_password(&desk.app.vault, desk.school.pupil).await.unwrap().unwrap();
    assert!(made.contains(&kept), "{made}");
    assert!(!desk.ask_as(&cookie, "/my/wlan", None).await.body.contains(&kept));
}

#[tokio::test]
async fn a_printer_has_a_key_of_its_own() {
    let desk = Desk::new().await;
    let path = format!("/devices/{}/wlan-key", desk.school.announced);
    let first = desk.json(Method::POST, &format!("/api/v1{path}"), json!({})).await.json();
    let key = first["secret"].as_str().unwrap();
    assert!(desk.post(&path, &[]).await.body.contains(key));
    assert!(!desk.post(&path, &[("renew", "1")]).await.body.contains(key));
    assert_eq!(desk.post(&path, &[("remove", "1")]).await.status, StatusCode::SEE_OTHER);
    let gone = desk.json(Method::DELETE, &format!("/api/v1{path}"), json!({})).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    let (settings, _) = desk.inventory.wlan().await.unwrap();
    assert!(settings.rules.iter().any(|rule| rule.then == Then::Refuse));
}
