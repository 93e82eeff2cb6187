//! Apps, from the licence at Apple to the iPad, against the real daemon and a simulated Apps and Books.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a broken promise should end the test"
)]

use std::sync::{Arc, mpsc};
use std::time::Duration;

use apple::Authority;
use apple::apps::{AppsService, AppsTrouble};
use inventory::mdm::{
    App, AppAssignment, AppId, AppleKind, Install, LicenceState, NewAppleService, NewInvitation, secret_hash,
};
use inventory::vault::Vault;
use inventory::{Audience, By, Inventory, RoomId, clock};
use ipad::{Facts, Ipad, Trust};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The number of the app that most tests are about.
const PAGES: u64 = 361_309_726;
const BUNDLE: &str = "com.apple.Pages";

/// The daemon, its inventory, and Apple.
struct School {
    dir: TempDir,
    runtime: tokio::runtime::Runtime,
    inventory: Inventory,
    site: inventory::config::Site,
    server: Option<mdm::Handle>,
    apple: Arc<AppsService>,
    address: String,
    room: RoomId,
}

impl School {
    /// With so many licences of the app, and the token imported.
    fn new(licences: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("https://localhost:{port}");
        let site = inventory::config::Site {
            name: "Testschule".into(),
            data_dir: dir.path().to_owned(),
            mdm_url: Some(address.clone().try_into().unwrap()),
            ..inventory::config::Site::default()
        };
        inventory::ca::Authority::ensure(&site.keys_dir(), &site.name).unwrap();
        let inventory = runtime.block_on(Inventory::open(&site.database_url())).unwrap();
        let room = runtime.block_on(inventory.create_room(by(), "Raum 204")).unwrap().id;
        let authority = Authority::new();
        std::fs::write(dir.path().join("apple.pem"), authority.pem()).unwrap();
        let apple = Arc::new(runtime.block_on(AppsService::start(&authority)));
        apple.license(&PAGES.to_string(), "Pages", BUNDLE, licences);
        let mut school = Self { dir, runtime, inventory, site, server: None, apple, address, room };
        school.start();
        school.import(&AppsService::token("2030-11-08T22:33:22+0000"));
        school
    }

    fn start(&mut self) {
        let config = mdm::Config {
            listen: self.address.replace("https://localhost", "127.0.0.1").parse().unwrap(),
            topic: Some("com.apple.mgmt.External.test".into()),
            apps_url: self.apple.url().to_owned(),
            services_authority: Some(self.dir.path().join("apple.pem")),
            ..mdm::Config::default()
        };
        // The one before may not have let go of the port yet.
        eventually("the port is free", || std::net::TcpListener::bind(config.listen).is_ok());
        let running = mdm::run(&self.site, config, self.inventory.clone());
        self.server = Some(self.runtime.block_on(running).unwrap());
    }

    fn import(&self, token: &str) {
        let secret = Vault::open(&self.site.keys_dir()).unwrap().seal(b"apps", token.as_bytes()).unwrap();
        let new = NewAppleService {
            secret: &secret,
            about: &json!({ "organisation": "Testschule" }),
            ends_at: None,
        };
        self.runtime.block_on(self.inventory.import_apple_service(by(), AppleKind::Apps, new)).unwrap();
    }

    /// iPads with those systems, enrolled, with nothing left to do.
    fn ipads(&self, systems: &[&str]) -> Vec<Ipad> {
        let token = format!("token-{}", clock::now().0);
        let new = NewInvitation {
            hash: &secret_hash(&token),
            device: None,
            room: self.room,
            group: None,
            uses: 20,
            ends_at: clock::now().plus_secs(3600),
        };
        self.runtime.block_on(self.inventory.create_invitation(by(), new)).unwrap();
        let link = format!("{}/enrol/{token}", self.address);
        let trust = Trust::authority(&std::fs::read(self.dir.path().join("keys/ca.pem")).unwrap()).unwrap();
        let one = |(number, system): (u32, &&str)| {
            let facts = Facts { os_version: (*system).to_owned(), ..Facts::numbered(number) };
            let mut ipad = Ipad::enrol(&link, facts, &trust).unwrap();
            ipad.store.apps.insert(PAGES, (BUNDLE.into(), "Pages".into()));
            // Whoever is told to install what Apple gave no licence for fails, as a real one does.
            let apple = Arc::clone(&self.apple);
            let has = move |app: u64, serial: &str| {
                apple.holders(&app.to_string()).iter().any(|known| known == serial)
            };
            ipad.store.licensed = Some(Arc::new(has));
            ipad.connect().unwrap();
            ipad
        };
        (1..).zip(systems).map(one).collect()
    }

    fn give(&self, target: Audience, install: Install) {
        eventually("Apple's list is there", || self.app().is_some());
        self.runtime.block_on(self.inventory.assign_app(by(), pages(), target, install)).unwrap();
    }

    fn app(&self) -> Option<App> {
        self.runtime.block_on(self.inventory.apps()).unwrap().into_iter().find(|app| app.id == pages())
    }

    fn assignments(&self) -> Vec<AppAssignment> {
        self.runtime.block_on(self.inventory.app_assignments()).unwrap()
    }

    fn state(&self, ipad: &Ipad) -> Option<LicenceState> {
        let (licences, _) = self.runtime.block_on(self.inventory.app_licences()).unwrap();
        licences.into_iter().find(|licence| licence.serial == ipad.facts.serial).map(|licence| licence.state)
    }

    fn problem(&self) -> Option<String> {
        self.runtime.block_on(self.inventory.apple_service(AppleKind::Apps)).unwrap().unwrap().problem
    }

    /// Asks Apple at once.
    fn sync(&self, more: &Value) {
        let mut settings = json!({ "asked_at": clock::now().0 });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.runtime.block_on(self.inventory.set_apple_settings(by(), AppleKind::Apps, &settings)).unwrap();
    }
}

fn pages() -> AppId {
    PAGES.to_string().parse().unwrap()
}

fn by() -> By<'static> {
    By { actor: "test", at: clock::now() }
}

fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let (_never, tick) = mpsc::channel::<()>();
    for _ in 0..1000 {
        if done() {
            return;
        }
        let _ = tick.recv_timeout(Duration::from_millis(20));
    }
    panic!("waited in vain: {what}");
}

/// The iPad talks to the server until that is so.
fn until(ipad: &mut Ipad, what: &str, done: impl Fn(&Ipad) -> bool) {
    eventually(what, || {
        ipad.connect().unwrap();
        done(ipad)
    });
}

fn has(ipad: &Ipad) -> bool {
    ipad.state.apps.get(BUNDLE).is_some_and(|app| app.managed)
}

#[test]
fn three_licences_for_four_ipads_are_three_apps_and_one_that_waits_for_whoever_leaves() {
    let school = School::new(3);
    let mut ipads = school.ipads(&["18.1", "17.1", "26.0", "17.2"]);
    school.give(Audience::School, Install::Required);
    eventually("three have a licence", || {
        school.app().is_some_and(|app| (app.assigned, app.lacking) == (3, 1))
    });
    assert_eq!(school.apple.holders(&PAGES.to_string()).len(), 3);
    let named = school.app().unwrap();
    assert_eq!(
        (named.name.as_str(), named.bundle_id.as_str(), named.version.as_str()),
        ("Pages", BUNDLE, "14.2")
    );
    for ipad in &mut ipads[..3] {
        until(ipad, "it has the app", has);
        assert_eq!(school.state(ipad), Some(LicenceState::Assigned));
    }
    assert_eq!(ipads[1].state.apps[BUNDLE].declaration, None, "17.1 was told by a command");
    assert!(ipads[2].state.apps[BUNDLE].declaration.is_some(), "26.0 by a declaration");
    ipads[3].connect().unwrap();
    assert_eq!((has(&ipads[3]), school.state(&ipads[3])), (false, Some(LicenceState::Lacking)));
    let notices = school.runtime.block_on(school.inventory.notices()).unwrap();
    assert!(notices.iter().any(|n| n.text == "1 iPads have no licence of the app Pages"), "{notices:?}");
    // It is a state, not an endless attempt.
    let asked = || school.apple.asked().iter().filter(|asked| asked.ends_with("assets/associate")).count();
    let before = asked();
    let asked_at = clock::now();
    school.sync(&json!({}));
    eventually("Apple was asked again", || {
        let service =
            school.runtime.block_on(school.inventory.apple_service(AppleKind::Apps)).unwrap().unwrap();
        service.checked_at >= Some(asked_at)
    });
    assert_eq!(asked(), before, "nothing is asked for that there is not");

    ipads[0].leave().unwrap();
    eventually("its licence goes to the fourth", || school.state(&ipads[3]) == Some(LicenceState::Assigned));
    assert_eq!(school.state(&ipads[0]), None);
    assert!(!school.apple.holders(&PAGES.to_string()).contains(&ipads[0].facts.serial));
    until(&mut ipads[3], "the fourth has the app", has);
    eventually("nobody is lacking one", || {
        school.runtime.block_on(school.inventory.notices()).unwrap().is_empty()
    });
}

#[test]
fn who_should_no_longer_have_an_app_loses_it_and_gives_the_licence_back() {
    let school = School::new(5);
    let mut ipads = school.ipads(&["18.1", "17.1", "18.1"]);
    school.give(Audience::Room(school.room), Install::Required);
    for ipad in &mut ipads {
        until(ipad, "it has the app", has);
    }
    // A device is deleted: nobody can be asked any more, and the licence comes back nevertheless.
    let (known, _) = school.runtime.block_on(school.inventory.enrolments()).unwrap();
    let device = known.iter().find(|known| known.serial == ipads[2].facts.serial).unwrap().device.unwrap();
    school.runtime.block_on(school.inventory.delete_device(by(), device)).unwrap();
    eventually("its licence is back", || school.apple.holders(&PAGES.to_string()).len() == 2);
    let id = school.assignments()[0].id;
    school.runtime.block_on(school.inventory.unassign_app(by(), id)).unwrap();
    for ipad in &mut ipads[..2] {
        until(ipad, "the app is gone", |ipad| !has(ipad));
    }
    eventually("all licences are back", || school.apple.holders(&PAGES.to_string()).is_empty());
    eventually("its assignment is forgotten", || school.state(&ipads[0]).is_none());
}

#[test]
fn an_offered_app_is_there_when_its_user_wants_it_and_its_configuration_follows() {
    let school = School::new(5);
    let mut ipads = school.ipads(&["18.1", "17.1"]);
    school.give(Audience::School, Install::Offered);
    until(&mut ipads[0], "it is offered", |ipad| !ipad.state.declared_apps.is_empty());
    assert!(!has(&ipads[0]));
    ipads[1].connect().unwrap();
    assert!(!has(&ipads[1]), "an older system cannot be offered an app");

    let vault = Vault::open(&school.site.keys_dir()).unwrap();
    let sealed = vault.seal(&pages().owner(), br#"{"server":"https://schule.example","limit":3}"#).unwrap();
    let keys = ["limit".to_owned(), "server".to_owned()];
    let configure = |sealed: Option<(&str, &[String])>| {
        school.runtime.block_on(school.inventory.configure_app(by(), pages(), sealed)).unwrap();
    };
    configure(Some((&sealed, &keys)));
    assert!(ipads[0].install_offered(PAGES));
    ipads[0].report_apps().unwrap();
    let configured = |ipad: &Ipad| ipad.state.apps.get(BUNDLE).is_some_and(|app| app.configuration.is_some());
    until(&mut ipads[0], "it is configured", configured);
    let expected = json!({ "server": "https://schule.example", "limit": 3 });
    assert_eq!(ipads[0].state.apps[BUNDLE].configuration.as_ref(), Some(&expected));
    // From offered to required: the older one gets it with its configuration in one command.
    school.give(Audience::School, Install::Required);
    assert_eq!(school.assignments().len(), 1, "the new word takes the place of the old one");
    until(&mut ipads[1], "it has the app", has);
    assert_eq!(ipads[1].state.apps[BUNDLE].configuration.as_ref(), Some(&expected));
    configure(None);
    until(&mut ipads[0], "its configuration is gone", |ipad| !configured(ipad));
    // What stands in a configuration lies nowhere readable.
    let database = std::fs::read(school.dir.path().join("hausmeister.db")).unwrap();
    let log = std::fs::read(school.dir.path().join("hausmeister.db-wal")).unwrap_or_default();
    for secret in ["schule.example/", "https://schule.example", "content token of a simulated school"] {
        let found = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found(&database) && !found(&log), "{secret}");
    }
}

#[test]
fn licences_of_another_server_are_left_alone_until_somebody_takes_over() {
    let school = School::new(2);
    school.apple.set_manager(Some(("other-1", "Relution")));
    school.apple.give(&PAGES.to_string(), "SOMEBODYS");
    school.sync(&json!({}));
    eventually("the other one is named", || {
        school.problem().is_some_and(|problem| problem.contains("Relution"))
    });
    let ipads = school.ipads(&["18.1"]);
    school.runtime.block_on(school.inventory.keep_app_catalogue(by(), &[])).unwrap();
    let changes =
        || school.apple.asked().iter().filter(|asked| asked.starts_with("POST /mdm/v2/assets")).count();
    assert_eq!((changes(), school.apple.manager().as_deref()), (0, Some("other-1")));
    // Whoever agreed to another one agreed to nothing.
    school.sync(&json!({ "take_over": "other-0" }));
    school.sync(&json!({ "take_over": "other-1" }));
    eventually("we manage them", || {
        school.problem().is_none() && school.apple.manager().as_deref() != Some("other-1")
    });
    school.give(Audience::School, Install::Required);
    eventually("the iPad has its licence", || school.state(&ipads[0]) == Some(LicenceState::Assigned));
    let id = school.assignments()[0].id;
    school.runtime.block_on(school.inventory.unassign_app(by(), id)).unwrap();
    eventually("ours is given back, theirs stays", || {
        school.apple.holders(&PAGES.to_string()) == ["SOMEBODYS"]
    });
}

#[test]
fn a_token_that_is_no_good_is_said_and_a_new_one_goes_on() {
    let school = School::new(2);
    let ipads = school.ipads(&["18.1"]);
    for (trouble, word) in [(AppsTrouble::Expired, "expired"), (AppsTrouble::Revoked, "revoked")] {
        school.apple.trouble(Some(trouble));
        school.sync(&json!({}));
        eventually(word, || school.problem().is_some_and(|problem| problem.contains(word)));
    }
    let notices = school.runtime.block_on(school.inventory.notices()).unwrap();
    assert!(notices.iter().any(|notice| notice.remedy.contains("Apple School Manager")), "{notices:?}");
    // Apple is left alone until a person does something.
    let asked = school.apple.asked().len();
    school.runtime.block_on(school.inventory.create_room(by(), "Raum 205")).unwrap();
    assert_eq!(school.apple.asked().len(), asked);
    school.apple.trouble(None);
    school.import(&AppsService::token("2031-11-08T22:33:22+0000"));
    school.give(Audience::School, Install::Required);
    eventually("it goes on", || {
        school.state(&ipads[0]) == Some(LicenceState::Assigned) && school.problem().is_none()
    });
}

#[test]
fn a_busy_service_is_asked_again_when_it_says_and_lists_that_change_are_read_again() {
    let school = School::new(9);
    for number in 1..=7 {
        school.apple.license(&format!("90{number}"), "Weitere", "de.weitere.app", 1);
    }
    school.apple.set_page(3);
    school.apple.change_after_pages(1);
    school.sync(&json!({}));
    eventually("the whole list is there", || {
        school.runtime.block_on(school.inventory.apps()).unwrap().len() == 8
    });
    let ipads = school.ipads(&["18.1"]);
    for trouble in [AppsTrouble::Throttled, AppsTrouble::Down] {
        school.apple.trouble(Some(trouble));
        school.sync(&json!({}));
        eventually("it asks to wait", || school.problem().is_some_and(|problem| problem.contains("wait")));
        let asked = school.apple.asked().len();
        school.apple.trouble(None);
        eventually("it is asked again", || school.apple.asked().len() > asked && school.problem().is_none());
    }
    school.give(Audience::School, Install::Required);
    eventually("it has the licence", || school.state(&ipads[0]) == Some(LicenceState::Assigned));
}

#[test]
fn what_was_under_way_when_the_server_died_is_neither_lost_nor_done_twice() {
    let mut school = School::new(2);
    let mut ipads = school.ipads(&["18.1", "17.1"]);
    eventually("Apple's list is there", || school.app().is_some());
    school.apple.hold_events(true);
    school.give(Audience::School, Install::Required);
    eventually("Apple was asked", || school.state(&ipads[1]) == Some(LicenceState::Asked));
    drop(school.server.take());
    for ipad in &mut ipads {
        assert!(ipad.connect().is_err() && !has(ipad));
    }
    school.start();
    school.apple.hold_events(false);
    for ipad in &mut ipads {
        until(ipad, "it has the app", has);
    }
    let asked = school.apple.asked().iter().filter(|asked| asked.ends_with("assets/associate")).count();
    assert_eq!(asked, 1, "what was under way was not asked for again");
    // The same when giving back.
    school.apple.hold_events(true);
    let id = school.assignments()[0].id;
    school.runtime.block_on(school.inventory.unassign_app(by(), id)).unwrap();
    eventually("it is being given back", || school.state(&ipads[0]) == Some(LicenceState::Returning));
    drop(school.server.take());
    school.apple.hold_events(false);
    school.start();
    eventually("all licences are back", || {
        school.apple.holders(&PAGES.to_string()).is_empty() && school.state(&ipads[0]).is_none()
    });
}

#[test]
fn an_app_for_people_only_says_so() {
    let school = School::new(2);
    school.apple.for_people_only(&PAGES.to_string());
    let ipads = school.ipads(&["18.1"]);
    school.sync(&json!({}));
    school.give(Audience::School, Install::Required);
    eventually("it is refused", || school.state(&ipads[0]) == Some(LicenceState::Refused));
    let (licences, _) = school.runtime.block_on(school.inventory.app_licences()).unwrap();
    assert_eq!(licences[0].problem.as_deref(), Some(mdm::apps::plan::NOT_FOR_DEVICES));
}
