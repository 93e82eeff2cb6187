//! A school that fetches images which another server publishes.

use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use deployd::upstream::publish::{Publication, PublishError, publish};
use deployd::upstream::{Place, Upstream};
use ed25519_dalek::SigningKey;
use images::chunk::Hash;
use images::manifest::Manifest;
use images::store::Store;
use inventory::config::ConfigFile;

use crate::support::{School, signing_key, some_chunks, until};
use crate::upstream_place::{WebPlace, pack_bytes};

/// Publishes everything that a school has.
fn publish_to(city: &School, place: &str, more: (Option<&Path>, Option<&Path>)) -> Publication {
    let place: Place = place.parse().unwrap();
    city.block(publish(&city.site, &city.inventory, &place, more.0, more.1, &[], |_, _| {})).unwrap()
}

fn folder(place: &WebPlace) -> String {
    format!("file://{}", place.files().display())
}

/// A school with a signing key of its own that does not run yet.
fn reader() -> School {
    let mut school = School::open();
    school.stop();
    std::fs::write(school.site.keys_dir().join("signing.key"), "09".repeat(32)).unwrap();
    school
}

/// What stands in `[deployd.upstream]`.
fn upstream(url: &str, key: &str, ca: &Path, more: &str) -> Option<Upstream> {
    let text = format!("[deployd.upstream]\nurl = '{url}'\nkey = '{key}'\nca = '{}'\n{more}", ca.display());
    let file = ConfigFile::parse(Path::new("x.toml"), &text).unwrap();
    file.section::<deployd::Config>("deployd").unwrap().upstream
}

fn has(school: &School, image: &str, manifest: &Manifest) -> bool {
    let images = school.block(school.inventory.images()).unwrap();
    let id = manifest.id().to_string();
    images.iter().any(|i| i.name == image && i.versions.iter().any(|v| v.manifest == id && v.bytes == 12345))
}

fn notice(school: &School) -> Option<String> {
    let notices = school.notices();
    let found = notices.iter().find(|notice| notice.place == "upstream")?;
    assert!(!found.remedy.is_empty());
    Some(found.text.clone())
}

#[test]
fn a_school_fetches_what_it_lacks_each_chunk_once_and_its_pcs_get_it() {
    let (city, place, mut school) = (School::open(), WebPlace::web(), reader());
    let chunks = some_chunks(1, 60);
    let (_, first) = city.image("Debian 12", &chunks[..40]);
    let done = publish_to(&city, &folder(&place), (None, None));
    let pack = place.pack(&[]);
    assert_eq!((done.packs, done.sent_bytes), (1, pack.metadata().unwrap().len()));

    school.config.upstream = upstream(&place.url(), &done.key, &place.ca, "");
    school.start();
    until("the image to be fetched", || has(&school, "Debian 12", &first));
    assert_eq!(pack_bytes(&place.asked()), done.sent_bytes);
    assert_eq!(notice(&school), None);

    // A PC gets it with the signature that it knows.
    let (pc, device) = school.approved("r204-pc01");
    let image = school.block(school.inventory.images()).unwrap()[0].id;
    school.deploy_job(device, image);
    let job = pc.take_job();
    let own = SigningKey::from_bytes(&[9; 32]).verifying_key();
    let served = Manifest::parse_signed(&pc.manifest(&job.id).ok(), &own).unwrap();
    assert_eq!(served.id(), first.id());
    assert!(Manifest::parse_signed(&served.to_bytes(), &signing_key().verifying_key()).is_err());
    let hashes: Vec<Hash> = first.hashes().copied().collect();
    assert_eq!(pc.chunks(&job.id, &hashes), chunks[..40]);

    // Nothing is sent that lies there, and nothing fetched that is here.
    let again = publish_to(&city, &folder(&place), (None, None));
    assert_eq!((again.packs, again.sent_bytes, again.removed), (0, 0, 0));
    let (_, second) = city.image("Werkstatt", &chunks[10..60]);
    let more = publish_to(&city, &folder(&place), (None, None));
    assert_eq!(more.sent_bytes, place.pack(&[pack]).metadata().unwrap().len());
    assert!(more.sent_bytes < done.sent_bytes);
    place.asked();
    school.stop();
    school.start();
    until("the second image to be fetched", || has(&school, "Werkstatt", &second));
    let asked = place.asked();
    assert_eq!(pack_bytes(&asked), more.sent_bytes);
    assert_eq!(
        asked.iter().filter(|a| a.path.ends_with(".index")).count(),
        1,
        "the first is known: {asked:?}"
    );
}

#[test]
fn a_cut_line_costs_what_was_on_its_way_and_nothing_fetched_is_freed_meanwhile() {
    let (city, place, mut school) = (School::open(), WebPlace::web(), reader());
    let (_, image) = city.image("Debian 12", &some_chunks(1, 40));
    let done = publish_to(&city, &folder(&place), (None, None));
    place.cut_after(done.sent_bytes / 2);
    school.config.upstream = upstream(&place.url(), &done.key, &place.ca, "");
    school.start();
    until("the line to be missed", || notice(&school).is_some());
    let text = notice(&school).unwrap();
    assert!(text.starts_with(&format!("images cannot be fetched from {}", place.url())), "{text}");
    assert!(!has(&school, "Debian 12", &image));
    place.asked();
    school.stop();

    // As if an image had been deleted: what no manifest names is to be freed.
    std::fs::write(school.site.store_dir().join("garbage"), b"").unwrap();
    place.cut_after(u64::MAX);
    school.start();
    until("the rest to be fetched", || has(&school, "Debian 12", &image));
    let rest = pack_bytes(&place.asked());
    assert!(rest >= done.sent_bytes / 2, "{rest} of {}", done.sent_bytes);
    assert!(rest < done.sent_bytes / 2 + (100 << 10), "{rest} of {}", done.sent_bytes);
    until("the notice to go", || notice(&school).is_none());
}

#[test]
fn a_server_that_is_killed_goes_on_where_it_was() {
    let (city, place, mut school) = (School::open(), WebPlace::web(), reader());
    let (_, image) = city.image("Debian 12", &some_chunks(1, 80));
    let done = publish_to(&city, &folder(&place), (None, None));
    let config = place.dir.path().join("hausmeister.toml");
    let text = format!(
        "[site]\ndata_dir = '{}'\n[deployd]\nboot_listen = '127.0.0.1:0'\nagent_listen = '127.0.0.1:0'\nreserve_mib = 0\n\
         [deployd.upstream]\nurl = '{}'\nkey = '{}'\nca = '{}'\nmbit_per_s = 4\n",
        school.site.data_dir.display(),
        place.url(),
        done.key,
        place.ca.display()
    );
    std::fs::write(&config, text).unwrap();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_deployd"))
        .arg("--config")
        .arg(&config)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let stored = || school.pack().metadata().map_or(0, |file| file.len());
    until("a part to be fetched", || stored() > 300_000);
    child.kill().unwrap();
    child.wait().unwrap();
    let stored = stored();
    assert!(stored < done.sent_bytes, "{stored} of {}", done.sent_bytes);
    place.asked();

    school.config.upstream = upstream(&place.url(), &done.key, &place.ca, "");
    school.start();
    until("the rest to be fetched", || has(&school, "Debian 12", &image));
    let rest = pack_bytes(&place.asked());
    let record_bytes_max = 70_000;
    assert!(rest >= done.sent_bytes - stored, "{rest} of {}, {stored} were here", done.sent_bytes);
    assert!(
        rest < done.sent_bytes - stored + record_bytes_max,
        "{rest} of {}, {stored} were here",
        done.sent_bytes
    );
}

#[test]
fn a_flipped_byte_is_never_stored_and_is_named() {
    let (city, place, mut school) = (School::open(), WebPlace::web(), reader());
    let (_, image) = city.image("Debian 12", &some_chunks(1, 10));
    let done = publish_to(&city, &folder(&place), (None, None));
    let pack = std::fs::OpenOptions::new().read(true).write(true).open(place.pack(&[])).unwrap();
    let flip = || {
        let mut byte = [0];
        pack.read_exact_at(&mut byte, 200).unwrap();
        pack.write_all_at(&[byte[0] ^ 1], 200).unwrap();
    };
    flip();
    school.config.upstream = upstream(&place.url(), &done.key, &place.ca, "");
    school.start();
    until("the damage to be found", || notice(&school).is_some());
    let damaged = *image.hashes().next().unwrap();
    let text = notice(&school).unwrap();
    assert!(
        text.contains("something damaged") && text.contains(&format!("chunk {damaged} at byte 0")),
        "{text}"
    );
    assert!(!has(&school, "Debian 12", &image));
    school.stop();
    let store = Store::open(&school.site.store_dir()).unwrap();
    assert_eq!(image.hashes().filter(|hash| !store.contains(hash)).collect::<Vec<_>>(), [&damaged]);
    drop(store);

    flip();
    place.asked();
    school.start();
    until("the chunk to be fetched", || has(&school, "Debian 12", &image));
    assert!(pack_bytes(&place.asked()) < 70_000, "only this one");
    until("the notice to go", || notice(&school).is_none());
}

#[test]
fn nothing_is_taken_from_somebody_else_or_from_the_past() {
    let (city, place, mut school) = (School::open(), WebPlace::web(), reader());
    city.image("Debian 12", &some_chunks(1, 4));
    let done = publish_to(&city, &folder(&place), (None, None));
    let old = std::fs::read(place.files().join("catalogue.json")).unwrap();
    let other: String = SigningKey::from_bytes(&[8; 32])
        .verifying_key()
        .as_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    school.config.upstream = upstream(&place.url(), &other, &place.ca, "");
    school.start();
    until("the signature to be refused", || notice(&school).is_some());
    let text = notice(&school).unwrap();
    assert!(text.contains("not signed with the expected key"), "{text}");
    let asked = place.asked();
    assert!(asked.iter().all(|a| a.path == "/catalogue.json"), "{asked:?}");
    assert!(school.block(school.inventory.images()).unwrap().is_empty());
    school.stop();

    let (_, newer) = city.image("Werkstatt", &some_chunks(9, 4));
    publish_to(&city, &folder(&place), (None, None));
    school.config.upstream = upstream(&place.url(), &done.key, &place.ca, "images = ['Werkstatt', 'Mint']");
    school.start();
    until("what is followed to be fetched", || has(&school, "Werkstatt", &newer));
    until("the absent one to be named", || notice(&school).is_some_and(|t| t.contains("the image \"Mint\"")));
    assert_eq!(school.block(school.inventory.images()).unwrap().len(), 1);
    school.stop();
    std::fs::write(place.files().join("catalogue.json"), old).unwrap();
    school.start();
    until("the old catalogue to be refused", || notice(&school).is_some_and(|t| t.contains("older")));
    // Nor does anybody publish over somebody else's images.
    let place: Place = folder(&place).parse().unwrap();
    let refused = school.block(publish(&school.site, &school.inventory, &place, None, None, &[], |_, _| {}));
    assert!(matches!(refused, Err(PublishError::Foreign { .. })), "{refused:?}");
}

#[test]
fn an_object_store_is_written_and_read_with_signed_requests() {
    let (city, place, mut school) = (School::open(), WebPlace::s3("SCHULE"), reader());
    let (_, image) = city.image("Debian 12", &some_chunks(1, 12));
    let endpoint = format!("https://127.0.0.1:{}", place.port);
    let credentials = |name: &str, key: &str| {
        let path = place.dir.path().join(name);
        let text =
            format!("access_key_id = '{key}'\nsecret_access_key = 'geheim'\nendpoint = '{endpoint}'\n");
        std::fs::write(&path, text).unwrap();
        path
    };
    let (right, wrong) = (credentials("right", "SCHULE"), credentials("wrong", "FREMD"));
    let done = publish_to(&city, "s3://stadt/images/a", (Some(&right), Some(&place.ca)));
    assert!(place.files().join("stadt/images/a/catalogue.json").exists());
    assert_eq!(done.sent_bytes, place.pack(&[]).metadata().unwrap().len());
    let again = publish_to(&city, "s3://stadt/images/a", (Some(&right), Some(&place.ca)));
    assert_eq!(again.packs, 0);
    assert_eq!(
        place.asked().iter().filter(|a| a.method == "PUT").count(),
        4,
        "pack, index, manifest, catalogue"
    );

    let with = |path: &Path| {
        upstream("s3://stadt/images/a", &done.key, &place.ca, &format!("credentials = '{}'", path.display()))
    };
    school.config.upstream = with(&wrong);
    school.start();
    until("the credentials to be refused", || notice(&school).is_some());
    let text = notice(&school).unwrap();
    assert!(text.contains("does not let this server fetch") && !text.contains("geheim"), "{text}");
    school.stop();
    place.asked();
    school.config.upstream = with(&right);
    school.start();
    until("the image to be fetched", || has(&school, "Debian 12", &image));
    let asked = place.asked();
    assert_eq!(pack_bytes(&asked), done.sent_bytes);
    assert!(asked.iter().all(|a| a.authorization.is_some()));

    // What nobody needs any more goes, after the catalogue that does not name it.
    let (_, newer) = city.image("Debian 12", &some_chunks(70, 12));
    let replaced = publish_to(&city, "s3://stadt/images/a", (Some(&right), Some(&place.ca)));
    assert_eq!((replaced.packs, replaced.removed), (1, 1));
    place.pack(&[]);
    let order: Vec<String> = place.asked().iter().map(|a| format!("{} {}", a.method, a.path)).collect();
    let at = |what: &str| order.iter().position(|line| line.contains(what)).unwrap();
    assert!(at("PUT /stadt/images/a/catalogue.json") < at("DELETE "), "{order:?}");
    school.stop();
    school.start();
    until("the newer version to be fetched", || has(&school, "Debian 12", &newer));
}

#[test]
fn no_more_of_the_line_is_used_than_allowed() {
    let (city, place, mut school) = (School::open(), WebPlace::web(), reader());
    let (_, image) = city.image("Debian 12", &some_chunks(1, 30));
    let done = publish_to(&city, &folder(&place), (None, None));
    // As many megabits per second that it takes two seconds.
    let mbit = done.sent_bytes as f64 / 250_000.0;
    school.config.upstream = upstream(&place.url(), &done.key, &place.ca, &format!("mbit_per_s = {mbit:.3}"));
    let begun = inventory::clock::instant();
    school.start();
    until("the image to be fetched", || has(&school, "Debian 12", &image));
    let took = inventory::clock::instant().saturating_duration_since(begun);
    assert!(took >= Duration::from_millis(1900), "{took:?}");
}

#[test]
fn what_an_image_lost_is_fetched_again() {
    let (city, place, mut school) = (School::open(), WebPlace::web(), reader());
    let (_, image) = city.image("Debian 12", &some_chunks(1, 6));
    let done = publish_to(&city, &folder(&place), (None, None));
    school.config.upstream = upstream(&place.url(), &done.key, &place.ca, "");
    school.start();
    until("the image to be fetched", || has(&school, "Debian 12", &image));
    school.stop();
    place.asked();
    std::fs::remove_file(school.pack()).unwrap();
    school.start();
    until("the image to be whole", || {
        let store = Store::open(&school.site.store_dir()).unwrap();
        store.is_whole(&image.id()).unwrap()
    });
    assert_eq!(pack_bytes(&place.asked()), done.sent_bytes);
    assert_eq!(school.block(school.inventory.images()).unwrap()[0].versions.len(), 1);
}

#[test]
fn outside_the_hours_nobody_is_asked_for_anything() {
    let (city, place, mut school) = (School::open(), WebPlace::web(), reader());
    city.image("Debian 12", &some_chunks(1, 2));
    let done = publish_to(&city, &folder(&place), (None, None));
    let now = inventory::lessons::local(inventory::clock::now()).time();
    let at =
        |hours: i64| now.wrapping_add(jiff::SignedDuration::from_hours(hours)).strftime("%H:%M").to_string();
    let hours = format!("from = '{}'\nuntil = '{}'", at(2), at(4));
    school.config.upstream = upstream(&place.url(), &done.key, &place.ca, &hours);
    school.start();
    // Written by a round of another part that begins later and takes longer.
    until("the server to be at work", || school.site.store_dir().join("scrubbed").exists());
    assert!(place.asked().is_empty());
    school.stop();
    let hours = format!("from = '{}'\nuntil = '{}'", at(-2), at(2));
    school.config.upstream = upstream(&place.url(), &done.key, &place.ca, &hours);
    school.start();
    until("the image to be fetched", || !school.block(school.inventory.images()).unwrap().is_empty());
}
