//! The pages: all of them in both languages, and what their forms do.

use std::collections::HashSet;

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use inventory::{By, DeviceId, DhcpMode, JobState, Power, UnixMillis, WaitingId, WaitingState, clock};

use crate::lang::Lang;
use crate::testing::{Desk, Got, form, stranger};
use crate::texts::{PAIRS, faults, wlan};

/// The attribute's values, in order.
fn attributes<'h>(html: &'h str, name: &str) -> Vec<&'h str> {
    let marker = format!(" {name}=\"");
    html.match_indices(&marker).map(|(at, m)| html[at + m.len()..].split('"').next().unwrap()).collect()
}

/// What holds for every page.
fn check(what: &str, lang: Lang, html: &str) {
    assert!(html.contains(&format!("<html lang=\"{}\">", lang.code())), "{what}");
    assert_eq!(html.matches("<h1").count(), 1, "{what} has one main heading");
    for dangerous in
        ["<script>", "<img src=x>", "<groß>", "<2027>", "<sda>", "<b>", " style=", " onclick=", "javascript:"]
    {
        assert!(!html.contains(dangerous), "{what} contains {dangerous}");
    }
    let ids = attributes(html, "id");
    let unique: HashSet<&&str> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len(), "{what} uses an id twice: {ids:?}");
    for name in ["for", "aria-describedby", "aria-labelledby", "list", "data-names"] {
        for target in attributes(html, name).into_iter().flat_map(str::split_whitespace) {
            assert!(ids.contains(&target), "{what}: {name}={target} leads nowhere");
        }
    }
    let text = html.to_lowercase();
    for (de, en) in PAIRS.iter().chain(faults::PAIRS).chain(wlan::PAIRS) {
        let (wrong, right) = match lang {
            Lang::De => (en, de),
            Lang::En => (de, en),
        };
        let telling = wrong.chars().count() >= 12 && !right.contains(*wrong);
        let wrong = wrong.replace('"', "&#34;").to_lowercase();
        assert!(!telling || !text.contains(&wrong), "{what} ({}) says {wrong:?}", lang.code());
    }
}

/// A waiting PC that nobody knows anything of.
async fn unknown(desk: &Desk) -> WaitingId {
    let entries = desk.inventory.waiting().await.unwrap().0;
    entries.iter().find(|entry| entry.hardware["nics"] == 7).unwrap().id
}

/// Files with everything that a plan can say.
const PEOPLE: &str = "ID;Vorname;Nachname;Klasse;Login;Farbe\n1;Lea;<b>Weiß</b>;5b;;rot\n3;Zoë;Neu;5a;;\n;Zoë;;5a;;\n4;X;Y;5a;admin;\n3;A;B;;;\n";
const DEVICES: &str = "Raum;Name;MAC;IP;Lehrergerät\n<b>R1</b>;neu-1;52:54:00:00:00:01;10.77.0.1;ja\nAula;r204-pc01;90:1b:0e:12:34:01;;ja\nAula;r204-pc02;90:1b:0e:12:34:zz;;\n";

#[tokio::test]
async fn every_page_exists_in_german_and_english() {
    let desk = Desk::new().await;
    let school = &desk.school;
    let (device, busy, announced) = (school.device, school.busy, school.announced);
    let mut paths: Vec<String> = [
        "/",
        "/waiting",
        "/devices",
        "/night",
        "/drift",
        "/mail",
        "/backups",
        "/faults",
        "/wlan",
        "/wlan?name=admin",
        "/wlan/access-points",
        "/wlan/vouchers",
        "/my/wlan",
        "/report",
        "/backups/bf9cd062",
        "/rooms",
        "/images",
        "/jobs",
        "/networks",
        "/networks/new",
    ]
    .map(str::to_owned)
    .to_vec();
    paths.extend(
        ["/changes", "/changes?before=20", "/devices?q=YM4R000002", "/devices?q=gibtsnicht", "/nix"]
            .map(str::to_owned),
    );
    paths.extend(["/room", "/classes", "/status", "/strays", "/why"].map(str::to_owned));
    paths.extend(["/import/people", "/import/devices"].map(str::to_owned));
    paths.push(format!("/import/people/{}", school.people_import));
    paths.push(format!("/import/devices/{}", school.device_import));
    for (kind, file) in [("people", PEOPLE), ("devices", DEVICES)] {
        let fields = [("complete", "1"), ("room", "")];
        let got = desk.upload(&format!("/import/{kind}"), &fields, file.as_bytes()).await;
        paths.push(got.header("location").to_owned());
    }
    paths.extend(["/apple".to_owned(), "/ipads".to_owned(), format!("/ipads/{}", school.ipad)]);
    paths.extend(["/apps".to_owned(), format!("/apps/{}", school.app)]);
    paths.extend(
        ["/software", "/software/new?system=debian", "/software/new?system=windows"].map(str::to_owned),
    );
    paths.push(format!("/software/{}", school.program));
    paths.extend(["/ipads/rules".to_owned(), "/ipads/rules/new".to_owned()]);
    paths.extend([format!("/ipads/rules/{}", school.ipad_rule), format!("/ipads/{}/rules", school.ipad)]);
    paths.push(format!("/room/{}", school.room));
    paths.push(format!("/room/{}", school.empty_room));
    paths.push(format!("/class/{}", school.class));
    paths.extend(
        ["/exams", "/rules", "/lists/new", "/lists/always", "/filters/new", "/lesson-times"]
            .map(str::to_owned),
    );
    paths.push(format!("/lists/{}", school.list));
    paths.push(format!("/lists/{}/delete", school.list));
    paths.push(format!("/filters/{}", school.filter));
    paths.push(format!("/filters/{}/delete", school.filter));
    paths.push(format!("/exams/{}", school.exam));
    paths.push(format!("/class/{}/pupils", school.class));
    paths.extend(
        ["/people", "/people?q=lea&role=pupil", "/people?q=gibtsnicht", "/groups"].map(str::to_owned),
    );
    paths.extend(["/password", "/password/second-factor", "/tokens", "/api"].map(str::to_owned));
    for rest in ["", "/delete"] {
        paths.push(format!("/people/{}{rest}", school.pupil));
        paths.push(format!("/groups/{}{rest}", school.class));
    }
    paths.push(format!("/waiting?room={}", school.room));
    paths.push(format!("/networks/{}", school.network));
    paths.push(format!("/networks/{}/delete", school.network));
    paths.push(format!("/images/{}/delete", school.image));
    paths.push(format!("/devices?room={}", school.empty_room));
    for id in [device, busy, announced] {
        for rest in ["", "/deploy", "/capture", "/delete"] {
            paths.push(format!("/devices/{id}{rest}"));
        }
    }
    let refused = [
        (format!("/apps/{}/configuration", school.app), vec![("configuration", "[<&>]")]),
        ("/apps/token".to_owned(), vec![("token", "<&>")]),
        (format!("/waiting/{}/approve", school.waiting), vec![("name", "Büro"), ("room", "Raum 204")]),
        (format!("/devices/{device}"), vec![("name", "-"), ("room", "Raum 204")]),
        (format!("/devices/{device}/reservation"), vec![("mac", "90:1b:0e:12:34:01"), ("ip", "10.77.0.1")]),
        (format!("/devices/{device}/deploy"), vec![("image", "nix")]),
        (format!("/devices/{device}/capture"), vec![("image", "")]),
        (format!("/networks/{}", school.network), vec![("cidr", "10.78.0.0/16"), ("mode", "x")]),
        ("/networks/new".to_owned(), vec![]),
        ("/rooms".to_owned(), vec![("name", "Aula")]),
        ("/exams".to_owned(), vec![("name", "x"), ("until", "bald")]),
        ("/lists/new".to_owned(), vec![("name", "x"), ("source", "ftp://nein")]),
        ("/filters/new".to_owned(), vec![("name", "")]),
        ("/lesson-times".to_owned(), vec![("week", "acht Uhr 1")]),
        ("/people".to_owned(), vec![("name", "lea.maier"), ("role", "pupil")]),
        ("/people".to_owned(), vec![("name", "neu"), ("role", "school_admin")]),
        (format!("/people/{}", school.pupil), vec![("name", "frau-groß")]),
        ("/groups".to_owned(), vec![("name", "7b <&>")]),
        (format!("/groups/{}/members", school.class), vec![("people", "niemand")]),
        (format!("/groups/{}/members", school.class), vec![("devices", "kein-pc")]),
        ("/password".to_owned(), vec![("old", "x"), ("new", "neu und lang"), ("again", "anders und lang")]),
        ("/tokens".to_owned(), vec![("name", ""), ("networks", "10.0.0.0/99")]),
    ];
    for lang in Lang::ALL {
        let ask = |method: Method, path: &str| {
            desk.request(&method, path).header(header::ACCEPT_LANGUAGE, lang.code())
        };
        for path in &paths {
            let got = desk.ask(ask(Method::GET, path).body(Body::empty()).unwrap()).await;
            let expected = if path == "/nix" { StatusCode::NOT_FOUND } else { StatusCode::OK };
            assert_eq!(got.status, expected, "{path}");
            check(path, lang, &got.body);
            let joint = if path.contains('?') { '&' } else { '?' };
            let part = desk
                .ask(ask(Method::GET, &format!("{path}{joint}fragment=1")).body(Body::empty()).unwrap())
                .await;
            if part.status == StatusCode::OK {
                assert!(
                    part.body.trim().starts_with("<main") && part.body.trim().ends_with("</main>"),
                    "{path}"
                );
                assert!(!part.body.contains("fragment=1"), "{path}");
            }
        }
        for (path, fields) in &refused {
            let got = desk.ask(form(ask(Method::POST, path), fields)).await;
            assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
            assert!(got.body.contains("class=\"wrong\"") || got.body.contains("flash bad"), "{path}");
            assert!(!got.body.contains("data-live"), "{path}: the answer to a form cannot be fetched again");
            check(path, lang, &got.body);
        }
        let signin = stranger(&Method::GET, "/signin").header(header::ACCEPT_LANGUAGE, lang.code());
        check("/signin", lang, &desk.ask(signin.body(Body::empty()).unwrap()).await.body);
    }
}

#[tokio::test]
async fn addresses_that_nothing_explains_are_told_with_whom_they_belong_to() {
    let desk = Desk::new().await;
    let overview = desk.get("/").await.body;
    assert!(overview.contains("3 Adressen sind in Gebrauch, die keine Lease erklärt"), "{overview}");
    let page = desk.get("/strays").await.body;
    for text in [
        "10.77.1.200 benutzt die Karte 90:1b:0e:12:34:01 von r204-pc01; keine Lease erklärt es.",
        "10.77.1.201 benutzt die Karte 90:1b:0e:12:34:99; keine Lease erklärt es.",
        "10.77.0.51 benutzt die Karte 90:1b:0e:12:34:99; die Adresse gehört r204-pc01; keine Lease erklärt es.",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let json = desk.get("/api/v1/strays").await.json();
    assert_eq!(json["items"][0]["ip"], "10.77.0.51", "{json}");
    assert_eq!(json["items"][0]["address_of"], "r204-pc01", "{json}");
}

#[tokio::test]
async fn a_job_tells_what_came_from_other_pcs_and_what_was_there() {
    let page = Desk::new().await.get("/jobs").await.body;
    let said = "v2, 4,7 GiB, davon 1,8 GiB übertragen (1,4 GiB von anderen PCs), 763 MiB waren schon da";
    assert!(page.contains(said), "{page}");
}

#[tokio::test]
async fn an_empty_school_has_pages_that_say_what_to_do() {
    let desk = Desk::new().await;
    let by = By { actor: "test", at: clock::now() };
    for device in desk.inventory.devices().await.unwrap().0 {
        desk.inventory.delete_device(by, device.id).await.unwrap();
    }
    for image in desk.inventory.images().await.unwrap() {
        desk.inventory.delete_image(by, image.id).await.unwrap();
    }
    for room in desk.inventory.rooms().await.unwrap() {
        desk.inventory.delete_room(by, room.id).await.unwrap();
    }
    for network in desk.inventory.networks().await.unwrap().0 {
        desk.inventory.delete_network(by, network.id).await.unwrap();
    }
    for entry in desk.inventory.waiting().await.unwrap().0 {
        desk.inventory.forget_waiting(by, entry.id).await.unwrap();
    }
    for path in ["/", "/waiting", "/devices", "/rooms", "/images", "/jobs", "/networks", "/changes"] {
        let got = desk.get(path).await;
        assert_eq!(got.status, StatusCode::OK, "{path}");
        check(path, Lang::De, &got.body);
    }
    assert!(desk.get("/devices").await.body.contains("Noch kein Gerät"));
    assert!(desk.get("/waiting").await.body.contains("Kein PC wartet"));
}

#[tokio::test]
async fn approving_from_the_page_makes_a_device_with_the_next_name_and_a_job() {
    let desk = Desk::new().await;
    let approve = format!("/waiting/{}/approve", unknown(&desk).await);
    let image = desk.school.image.to_string();
    let room = desk.school.room.to_string();
    let got = desk.post(&approve, &[("room", &room), ("name", ""), ("image", &image)]).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER, "{}", got.body);
    assert_eq!(got.header("location"), format!("/waiting?room={room}"));
    let devices = desk.inventory.devices().await.unwrap().0;
    let device = devices.iter().find(|d| d.name.as_str() == "r204-pc06").expect("counted up from r204-pc05");
    assert!(device.key.is_some());
    assert!(desk.inventory.open_job(device.id).await.unwrap().is_some());

    let flash = got.cookie("__Host-flash").unwrap();
    let next = desk.request(&Method::GET, "/waiting").header(header::COOKIE, format!("__Host-flash={flash}"));
    let page = desk.ask(next.body(Body::empty()).unwrap()).await;
    assert!(page.body.contains("r204-pc06 (Raum 204) ist freigegeben"), "{}", page.body);
    assert_eq!(page.cookie("__Host-flash").as_deref(), Some(""), "the message is shown once");

    let again = desk.post(&approve, &[("room", &room)]).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
    assert!(again.body.contains("Das gibt es nicht mehr"));
}

#[tokio::test]
async fn a_new_room_wins_over_the_chosen_one_and_a_refused_form_keeps_what_was_typed() {
    let desk = Desk::new().await;
    let approve = format!("/waiting/{}/approve", unknown(&desk).await);
    let room = desk.school.room.to_string();
    let rooms = desk.inventory.rooms().await.unwrap().len();
    let got = desk.post(&approve, &[("room", &room), ("new_room", "Raum 9"), ("name", "r9 pc")]).await;
    assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY);
    for kept in ["value=\"r9 pc\"", "value=\"Raum 9\"", "aria-invalid=\"true\"", "nur Buchstaben a bis z"] {
        assert!(got.body.contains(kept), "{kept}");
    }
    assert_eq!(desk.inventory.rooms().await.unwrap().len(), rooms, "a refused form adds no room");
    let got = desk.post(&approve, &[("room", &room), ("new_room", "Raum 9"), ("name", "")]).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER);
    assert!(desk.inventory.devices().await.unwrap().0.iter().any(|d| d.name.as_str() == "r9-pc01"));
}

#[tokio::test]
async fn a_pc_becomes_the_device_that_was_added_for_its_card() {
    let desk = Desk::new().await;
    let approve = format!("/waiting/{}/approve", desk.school.waiting);
    let got = desk.post(&approve, &[("room", &desk.school.room.to_string()), ("name", "")]).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER, "{}", got.body);
    let device = desk.inventory.device(desk.school.announced).await.unwrap().unwrap();
    assert_eq!((device.name.as_str(), device.room.id), ("lehrer-pc01", desk.school.room));
    assert!(device.key.is_some());
}

#[tokio::test]
async fn a_pc_that_looks_like_a_known_device_can_take_its_place() {
    let desk = Desk::new().await;
    let page = desk.get("/waiting").await.body;
    assert!(
        page.contains("r204-pc03 (Raum 204) – gleiche Seriennummer"),
        "the swapped PC's serial is r204-pc03's"
    );
    assert!(page.contains("Dieser PC scheint das angekündigte Gerät lehrer-pc01 zu sein"));
    let entries = desk.inventory.waiting().await.unwrap().0;
    let swapped = entries.iter().find(|e| e.hardware["serial"] == "YM4R000003").unwrap();
    let old = desk
        .inventory
        .devices()
        .await
        .unwrap()
        .0
        .into_iter()
        .find(|d| d.name.as_str() == "r204-pc03")
        .unwrap();
    let replace = old.id.to_string();
    let got = desk.post(&format!("/waiting/{}/approve", swapped.id), &[("replace", &replace)]).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER, "{}", got.body);
    let new = desk.inventory.device(old.id).await.unwrap().unwrap();
    assert_eq!((new.name, new.room), (old.name, old.room));
    assert_ne!(new.key, old.key);
}

#[tokio::test]
async fn pcs_are_switched_on_and_off_from_their_page_and_for_a_job() {
    let desk = Desk::new().await;
    let (device, announced) = (desk.school.device, desk.school.announced);
    let asked = async |device| {
        let asks = desk.inventory.power_asks(UnixMillis(0), Some(device)).await.unwrap();
        asks.first().map(|ask| ask.power)
    };
    let own = format!("/devices/{device}");
    let page = desk.get(&own).await.body;
    assert!(page.contains(r#"name="power" value="off""#) && !page.contains("Einschalten ("), "{page}");
    assert_eq!(desk.post(&format!("{own}/power"), &[("power", "on")]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(asked(device).await, Some(Power::On));
    assert!(desk.get(&own).await.body.contains("Einschalten ("));
    let got = desk.post(&format!("{own}/power"), &[("power", "explode")]).await;
    assert_eq!((got.status, asked(device).await), (StatusCode::UNPROCESSABLE_ENTITY, Some(Power::On)));

    // Those that have no agent yet are left out.
    let room = desk.school.room;
    desk.post(&format!("/rooms/{room}/power"), &[("power", "off")]).await;
    assert_eq!(asked(device).await, Some(Power::Off));
    assert_eq!(asked(announced).await, None);

    // Its own system runs, so a job has it restarted.
    let job = desk.inventory.open_job(device).await.unwrap();
    assert!(job.is_none(), "{job:?}");
    desk.post(&format!("{own}/capture"), &[("image", "Neu")]).await;
    assert_eq!(asked(device).await, Some(Power::Restart));
}

#[tokio::test]
async fn a_night_is_told_room_by_room_with_what_to_do_and_planned() {
    let desk = Desk::new().await;
    let page = desk.get("/night").await.body;
    for said in
        ["2/5 bereit", "jemand war angemeldet", "antwortet nicht", "Image gescheitert", "Mo Di Mi Do Fr "]
    {
        assert!(page.contains(said), "{said}: {page}");
    }
    assert!(desk.get("/").await.body.contains("2/5 bereit"), "the overview says it");
    assert!(page.contains("2/3 bereit"), "the night before: {page}");
    let nights = desk.get("/api/v1/nights").await.json();
    assert_eq!(
        (&nights[0]["total"], &nights[1]["ready"], &nights[1]["total"]),
        (&5.into(), &2.into(), &3.into())
    );
    let room = desk.school.empty_room;
    let path = format!("/rooms/{room}/night");
    let plan = [("day", "1"), ("day", "7"), ("begins", "21:30"), ("ends", "23:00"), ("image", "1")];
    desk.post(&path, &plan).await;
    let plans = desk.inventory.night_plans().await.unwrap().0;
    let saved = plans.iter().find(|plan| plan.room == room).unwrap();
    let evenings = [true, false, false, false, false, false, true];
    assert_eq!((saved.evenings, saved.begins, saved.ends), (evenings, 21 * 60 + 30, 23 * 60));
    assert_eq!((saved.image, saved.switch_off), (true, false));
    let rest = format!("{path}/rest");
    desk.post(&rest, &[("rest", "1")]).await;
    let page = desk.get("/night").await.body;
    assert!(page.contains(" · in der Nacht vom ") && page.contains("doch nicht auslassen"), "{page}");
    assert!(desk.inventory.night_plans().await.unwrap().0.iter().any(|plan| plan.rests_on.is_some()));
    desk.post(&rest, &[]).await;
    desk.post(&path, &[("begins", "halb neun"), ("ends", "23:00"), ("day", "2")]).await;
    assert_eq!(desk.inventory.night_plans().await.unwrap().0, plans, "that is no time");
    desk.post(&path, &[("begins", "21:30"), ("ends", "23:00")]).await;
    assert_eq!(desk.inventory.night_plans().await.unwrap().0.len(), plans.len() - 1);
}

#[tokio::test]
async fn a_room_that_is_imaged_tells_how_far_how_fast_and_from_whom() {
    let desk = Desk::new().await;
    let jobs = desk.get("/jobs").await.body;
    assert!(
        jobs.contains("2,1 GiB von 4,7 GiB · 48,0 MiB/s · noch 57 Sek. · 72 % von anderen PCs"),
        "{jobs}"
    );
    let overview = desk.get("/").await.body;
    assert!(overview.contains("2 PCs bekommen ein Image: noch 57 Sek."), "{overview}");
    let job = &desk.get(&format!("/api/v1/jobs/{}", desk.school.job)).await.json();
    assert_eq!(job["state"]["progress"]["bytes_per_sec"], 48 << 20, "{job}");
}

#[tokio::test]
async fn what_is_not_as_it_should_be_is_listed_until_it_is() {
    let desk = Desk::new().await;
    let listed = |drift: &serde_json::Value, device: DeviceId| {
        let of = drift.as_array().unwrap().iter().find(|row| row["device"] == device.to_string());
        of.map(|row| (row["image"]["held"].as_i64(), row["image"]["wanted"].as_i64()))
    };
    let drift = desk.get("/api/v1/drift").await.json();
    let (devices, _) = desk.inventory.devices().await.unwrap();
    let behind = devices.iter().find(|device| device.name.as_str() == "r204-pc02").unwrap().clone();
    assert_eq!(listed(&drift, behind.id), Some((Some(1), Some(2))), "{drift}");
    assert_eq!(listed(&drift, desk.school.announced), None, "nobody approved it yet");
    assert!(drift.to_string().contains("\"needs_person\""), "{drift}");
    let page = desk.get("/drift").await.body;
    assert!(page.contains(">r204-pc02</a>") && page.contains("hat v1"), "{page}");
    let by = By { actor: "test", at: clock::now() };
    desk.inventory.change_device(by, behind.id, &behind.name, behind.room.id, None).await.unwrap();
    let image = listed(&desk.get("/api/v1/drift").await.json(), behind.id).and_then(|(held, _)| held);
    assert_eq!(image, None, "it is to hold nothing");
}

#[tokio::test]
async fn forms_do_what_their_buttons_say() {
    let desk = Desk::new().await;
    let (device, inventory) = (desk.school.device, &desk.inventory);
    let saw = |got: Got, to: &str| {
        assert_eq!(got.status, StatusCode::SEE_OTHER, "{}", got.body);
        assert_eq!(got.header("location"), to);
    };
    let own = format!("/devices/{device}");

    saw(desk.post("/rooms", &[("name", " Raum 7 ")]).await, "/rooms");
    let room = inventory.room_by_name("Raum 7").await.unwrap().unwrap();
    saw(desk.post(&format!("/rooms/{}", room.id), &[("name", "Raum 8")]).await, "/rooms");
    saw(desk.post(&own, &[("name", "neu-01"), ("room", "Raum 8"), ("image", "")]).await, &own);
    let changed = inventory.device(device).await.unwrap().unwrap();
    assert_eq!(
        (changed.name.as_str(), changed.room.name.as_str(), changed.desired_image),
        ("neu-01", "Raum 8", None)
    );

    let got = desk.post(&format!("/rooms/{}/delete", room.id), &[]).await;
    assert!(got.cookie("__Host-flash").is_some(), "a room with devices stays, and the page says so");
    saw(got, "/rooms");
    assert!(inventory.room_by_name("Raum 8").await.unwrap().is_some());

    let reserve = format!("{own}/reservation");
    let mac = "90:1b:0e:12:34:01";
    saw(desk.post(&reserve, &[("mac", mac), ("ip", "10.77.0.99")]).await, &own);
    let ip =
        |d: inventory::Device| d.interfaces.iter().find(|i| i.mac.to_string() == mac).unwrap().reserved_ip;
    assert_eq!(ip(inventory.device(device).await.unwrap().unwrap()), Some([10, 77, 0, 99].into()));
    for (bad, said) in [
        ("10.77.0.1", "Routers"),
        ("10.99.0.1", "zu keinem Netz"),
        ("10.77.0", "keine IPv4-Adresse"),
        ("10.77.3.255", "zu keinem Netz"),
    ] {
        let got = desk.post(&reserve, &[("mac", mac), ("ip", bad)]).await;
        assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY, "{bad}");
        assert!(got.body.contains(said) && got.body.contains(&format!("value=\"{bad}\"")), "{bad}");
    }
    saw(desk.post(&reserve, &[("mac", mac), ("ip", "10.77.0.99"), ("clear", "1")]).await, &own);
    assert_eq!(ip(inventory.device(device).await.unwrap().unwrap()), None);

    saw(desk.post(&format!("{own}/deploy"), &[("image", "Debian Schule")]).await, &own);
    assert_eq!(inventory.device(device).await.unwrap().unwrap().desired_image, Some(desk.school.image));
    let got = desk.post(&format!("{own}/capture"), &[("image", "Ganz neu")]).await;
    assert!(got.body.contains("läuft schon ein Auftrag"), "{}", got.body);
    assert!(
        !inventory.images().await.unwrap().iter().any(|i| i.name == "Ganz neu"),
        "no image without a capture"
    );
    let job = inventory.open_job(device).await.unwrap().unwrap();
    saw(desk.post(&format!("/jobs/{}/cancel", job.id), &[("back", &own)]).await, &own);
    assert!(matches!(inventory.job(job.id).await.unwrap().unwrap().state, JobState::Cancelled { .. }));
    saw(desk.post(&format!("{own}/capture"), &[("image", "Ganz neu")]).await, &own);

    saw(desk.post(&format!("/waiting/{}/reject", desk.school.waiting), &[]).await, "/waiting");
    let entry = inventory.waiting_entry(desk.school.waiting).await.unwrap().unwrap();
    assert_eq!(entry.state, WaitingState::Rejected);
    saw(desk.post(&format!("/waiting/{}/forget", desk.school.waiting), &[]).await, "/waiting");
    saw(desk.post(&format!("{own}/delete"), &[]).await, "/devices");
    assert_eq!(desk.get(&own).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_network_is_saved_only_when_all_of_it_fits() {
    let desk = Desk::new().await;
    let fields = |cidr: &'static str, last: &'static str| {
        [
            ("name", "Neu"),
            ("cidr", cidr),
            ("router", ""),
            ("pool_first", "10.80.0.10"),
            ("pool_last", last),
            ("lease", "60"),
            ("mode", "proxy"),
        ]
    };
    for (cidr, last, said) in [
        ("10.80.0.0/24", "10.80.1.5", "10.80.1.5 ist keine Geräteadresse des Netzes 10.80.0.0/24"),
        ("10.80.0.1/24", "10.80.0.200", "das ist nicht die erste Adresse des Netzes"),
        ("10.0.0.0/8", "10.80.0.200", "überschneidet sich mit Unterricht"),
        ("10.80.0.0/24", "10.80.0.9", "endet mit 10.80.0.9, bevor er mit 10.80.0.10 beginnt"),
    ] {
        let got = desk.post("/networks/new", &fields(cidr, last)).await;
        assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY, "{said}");
        assert!(got.body.contains(said), "{said}: {}", got.body);
    }
    let got = desk.post("/networks/new", &fields("10.80.0.0/24", "10.80.0.200")).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER);
    let networks = desk.inventory.networks().await.unwrap().0;
    let network = networks.iter().find(|n| n.name == "Neu").unwrap();
    assert_eq!((network.lease_secs, network.mode, network.router), (3600, DhcpMode::Proxy, None));
    let edit = format!("/networks/{}", network.id);
    assert!(desk.get(&edit).await.body.contains("value=\"10.80.0.0/24\""));
    assert_eq!(desk.post(&format!("{edit}/delete"), &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(desk.post(&edit, &fields("10.80.0.0/24", "10.80.0.200")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_list_of_devices_is_searched_by_what_people_know() {
    let desk = Desk::new().await;
    let rows = |body: &str| body.matches("<th scope=\"row\"").count();
    let (room, empty) = (desk.school.room, desk.school.empty_room);
    for (query, expected) in [
        (String::new(), 8),
        ("?q=R204".into(), 5),
        ("?q=YM4R000002".into(), 1),
        ("?q=90-1B-0E-12-34-01".into(), 1),
        ("?q=10.77.0.51".into(), 1),
        ("?q=fujitsu".into(), 6),
        ("?q=b%C3%BCcherei".into(), 3),
        (format!("?room={room}"), 5),
        (format!("?room={empty}&q="), 0),
        ("?q=%FF%00'--".into(), 0),
    ] {
        let body = desk.get(&format!("/devices{query}")).await.body;
        assert_eq!(rows(&body), expected, "{query}");
    }
}

#[tokio::test]
async fn browsers_are_told_what_to_refuse() {
    let desk = Desk::new().await;
    for path in ["/", "/nix", "/assets/icon.svg", "/api/v1/rooms", "/signin"] {
        let got = desk.get(path).await;
        assert!(got.header("content-security-policy").starts_with("default-src 'self'"), "{path}");
        assert!(!got.header("content-security-policy").contains("unsafe"), "{path}");
        assert_eq!(got.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(got.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(got.header("cache-control") == "no-store", !path.starts_with("/assets"), "{path}");
    }
    let page = desk.get("/").await.body;
    for asset in attributes(&page, "src")
        .into_iter()
        .chain(attributes(&page, "href"))
        .filter(|a| a.starts_with("/assets"))
    {
        assert_eq!(desk.get(asset).await.status, StatusCode::OK, "{asset}");
    }
    for path in ["/assets/", "/assets/..%2f..%2fetc%2fpasswd", "/assets/css", "/assets/app.css"] {
        assert_eq!(desk.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn the_history_names_people_and_things_and_leaves_out_progress() {
    let desk = Desk::new().await;
    let body = desk.get("/changes").await.body;
    assert!(
        body.contains("Gerät freigegeben")
            && body.contains("r204-pc01")
            && body.contains("Auftrag gescheitert")
    );
    assert!(!body.contains("progress") && !body.contains("observed"));
    let by = By { actor: "test", at: clock::now() };
    for n in 0..130 {
        desk.inventory.create_room(by, &format!("Raum {n}-x")).await.unwrap();
    }
    let first = desk.get("/changes").await.body;
    assert_eq!(first.matches("<tr><td").count(), 100);
    let older = attributes(&first, "href")
        .into_iter()
        .find(|h| h.starts_with("/changes?before="))
        .unwrap()
        .to_owned();
    let second = desk.get(&older).await.body;
    assert!(
        second.contains("Raum 29-x") && !second.contains("Raum 30-x"),
        "the second page goes on where the first ends"
    );
}
