//! The daemon between Apple's services and simulated iPads: pushes, automated enrolment, certificates that end.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a broken promise should end the test"
)]

mod lab;

use std::time::Duration;

use apple::Authority;
use apple::enrolment::{EnrolmentService, Trouble};
use apple::push::PushService;
use credentials::services::pem_text;
use credentials::services::push::{PushCertificate, request};
use inventory::clock;
use inventory::mdm::{Action, AppleKind, NewAppleService};
use inventory::vault::Vault;
use ipad::{EnrolError, Facts, HttpError, Ipad, Maker, Trust};
use lab::{Lab, by, eventually};
use serde_json::{Value, json};
use time::OffsetDateTime;

const TOPIC: &str = "com.apple.mgmt.External.0f1e2d3c";

/// The daemon, and Apple's services.
struct World {
    lab: Lab,
    vault: Vault,
    apple: Authority,
    push: PushService,
    school: EnrolmentService,
    maker: Maker,
}

impl std::ops::Deref for World {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        &self.lab
    }
}

impl World {
    fn new(adapt: impl FnOnce(&mut mdm::Config)) -> Self {
        let mut lab = Lab::not_started();
        let vault = Vault::open(&lab.site.keys_dir()).unwrap();
        let (apple, maker) = (Authority::new(), Maker::new().unwrap());
        let push = lab.runtime.block_on(PushService::start(&apple));
        let school = lab.runtime.block_on(EnrolmentService::start(&apple));
        let file = |name: &str, text: &str| {
            let path = lab.dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            Some(path)
        };
        let mut config = mdm::Config {
            push_url: push.url().to_owned(),
            push_authority: file("apple.pem", apple.pem()),
            ade_url: school.url().to_owned(),
            ade_authority: file("apple.pem", apple.pem()),
            device_authority: file("maker.pem", &pem_text("CERTIFICATE", maker.certificate())),
            look: Duration::from_millis(200),
            ..mdm::Config::default()
        };
        adapt(&mut config);
        lab.start_with(config);
        Self { lab, vault, apple, push, school, maker }
    }

    fn import(&self, kind: AppleKind, secret: &str, ends_at: Option<inventory::UnixMillis>) {
        let sealed = self.vault.seal(kind.text().as_bytes(), secret.as_bytes()).unwrap();
        let new = NewAppleService { secret: &sealed, about: &json!({}), ends_at };
        self.runtime.block_on(self.inventory.import_apple_service(by(), kind, new)).unwrap();
    }

    /// What the page does with a push certificate.
    fn import_push(&self, days: i64) {
        let ends = OffsetDateTime::now_utc() + time::Duration::days(days);
        let (chain, key) = self.apple.push_certificate(TOPIC, ends);
        let certificate = PushCertificate {
            topic: TOPIC.into(),
            ends_at: ends.unix_timestamp(),
            chain,
            key: ipados::secret::Secret::new(key),
        };
        self.import(AppleKind::Push, &serde_json::to_string(&certificate).unwrap(), None);
    }

    fn import_token(&self, settings: &Value) {
        let ends = clock::now().plus_secs(300 * 86_400);
        self.import(AppleKind::Ade, &EnrolmentService::token("2099-01-01T00:00:00Z"), Some(ends));
        self.runtime.block_on(self.inventory.set_apple_settings(by(), AppleKind::Ade, settings)).unwrap();
    }

    fn at_the_door(&self, number: u32) -> Result<Ipad, EnrolError> {
        let url = format!("{}/ade", self.address);
        Ipad::enrol_ade(&url, Facts::numbered(number), &self.trust(), &self.maker)
    }

    fn enrol_when_possible(&self, link: &str, number: u32) -> Ipad {
        let mut found = None;
        eventually("an iPad can enrol", || {
            found = Ipad::enrol(link, Facts::numbered(number), &self.trust()).ok();
            found.is_some()
        });
        found.unwrap()
    }

    fn notices(&self) -> Vec<String> {
        let all = self.runtime.block_on(self.inventory.notices()).unwrap();
        all.into_iter().map(|notice| notice.text).collect()
    }

    fn problem(&self, kind: AppleKind) -> Option<String> {
        self.runtime.block_on(self.inventory.apple_service(kind)).unwrap().unwrap().problem
    }

    fn pushes_for(&self, ipad: &Ipad) -> usize {
        let (token, magic) = ipad.push_address();
        let token: String = token.iter().map(|byte| format!("{byte:02x}")).collect();
        self.push.pushes().iter().filter(|push| push.token == token && push.magic == magic).count()
    }
}

fn status<T>(result: Result<T, EnrolError>) -> u16 {
    match result {
        Err(EnrolError::Http(HttpError::Status(status))) => status,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was not refused"),
    }
}

#[test]
fn a_push_certificate_of_the_page_is_in_force_without_a_restart() {
    let lab = World::new(|_| {});
    let link = lab.invite(10);
    assert_eq!(status(Ipad::enrol(&link, Facts::numbered(1), &lab.trust())), 500, "there is no topic yet");
    lab.import_push(300);
    let mut ipad = lab.enrol_when_possible(&link, 1);
    eventually("it is woken for its questions", || lab.pushes_for(&ipad) > 0);
    ipad.connect().unwrap();
    let before = lab.pushes_for(&ipad);
    lab.ask(&ipad, &Action::Lock { message: String::new() });
    eventually("it is woken for a lock", || lab.pushes_for(&ipad) > before);
    assert_eq!(lab.push.connections(), 1, "one connection for all");
    assert_eq!(lab.notices(), Vec::<String>::new());

    // The next one, for the same topic, close to its end.
    lab.import_push(13);
    eventually("the admin hears of it", || {
        lab.notices() == ["Apple's push certificate ends in less than 14 days"]
    });
    lab.ask(&ipad, &Action::LostMode { message: "x".into(), phone: String::new() });
    eventually("the new one is used", || lab.push.connections() == 2);
    lab.import_push(365);
    eventually("the notice is gone", || lab.notices().is_empty());
    lab.import_push(-1);
    eventually("it is over", || lab.notices() == ["Apple's push certificate has ended"]);
}

#[test]
fn a_dead_token_is_forgotten_until_the_ipad_speaks() {
    let lab = World::new(|_| {});
    lab.import_push(300);
    let mut ipad = lab.enrol_when_possible(&lab.invite(10), 1);
    ipad.connect().unwrap();
    lab.push.answer(ipad.push_address().0, apple::push::Answer::Unregistered);
    lab.ask(&ipad, &Action::Lock { message: String::new() });
    let address = || lab.runtime.block_on(lab.inventory.enrolment(lab.id(&ipad))).unwrap().unwrap().push;
    eventually("its address is forgotten", || address().is_none());
    ipad.update_token().unwrap();
    assert!(address().is_some());
}

#[test]
fn a_vendor_signs_what_the_page_asks_for() {
    let (asked, vendor) = (request("Testschule").unwrap(), request("Vendor").unwrap());
    let apple = Authority::new();
    let certificate =
        apple.push_certificate_for(&vendor.csr, TOPIC, OffsetDateTime::now_utc() + time::Duration::days(9));
    let files = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(files.path().join(name), text).unwrap();
        Some(files.path().join(name))
    };
    let lab = World::new(|config| {
        config.vendor_certificate = file("vendor.pem", &certificate);
        config.vendor_key = file("vendor.key", &vendor.key);
    });
    let key = lab.vault.seal(b"push request", asked.key.as_bytes()).unwrap();
    lab.runtime.block_on(lab.inventory.keep_apple_request(by(), AppleKind::Push, &key, &asked.csr)).unwrap();
    eventually("it is signed", || {
        let service = lab.runtime.block_on(lab.inventory.apple_service(AppleKind::Push)).unwrap().unwrap();
        service.state["signed_request"].as_str().is_some_and(|signed| signed.len() > 1000)
    });
}

#[test]
fn half_of_a_certificate_is_an_error_that_says_so() {
    let lab = World::new(|_| {});
    for (adapt, words) in [
        (
            (|config: &mut mdm::Config| config.certificate = Some("c.pem".into())) as fn(&mut mdm::Config),
            ["certificate", "key"],
        ),
        (|config| config.key = Some("k.pem".into()), ["key", "certificate"]),
        (|config| config.push_key = Some("k.pem".into()), ["push_key", "push_certificate"]),
    ] {
        let mut config = mdm::Config { listen: "127.0.0.1:0".parse().unwrap(), ..mdm::Config::default() };
        adapt(&mut config);
        let run = mdm::run(&lab.site, config, lab.inventory.clone());
        let error = lab.runtime.block_on(run).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(&format!("`{word}`"))), "{error}");
    }
}

#[test]
fn the_tls_certificate_is_read_again_when_its_files_change() {
    let files = tempfile::tempdir().unwrap();
    let (first, second) = (Authority::new(), Authority::new());
    let put = |authority: &Authority| {
        let (certificate, key) = authority.server();
        std::fs::write(files.path().join("k.pem"), pem_text("PRIVATE KEY", &key)).unwrap();
        std::fs::write(files.path().join("c.pem"), pem_text("CERTIFICATE", &certificate)).unwrap();
    };
    put(&first);
    let lab = World::new(|config| {
        config.certificate = Some(files.path().join("c.pem"));
        config.key = Some(files.path().join("k.pem"));
    });
    lab.import_push(300);
    let link = lab.invite(10);
    let enrols = |authority: &Authority, number: u32| {
        let trust = Trust::authority(authority.pem().as_bytes()).unwrap();
        Ipad::enrol(&link, Facts::numbered(number), &trust).is_ok()
    };
    eventually("the first one is in force", || enrols(&first, 1));
    assert_eq!(lab.notices(), ["the certificate of [mdm] ends in less than 30 days"]);
    put(&second);
    eventually("the second one is in force", || enrols(&second, 2));
    std::fs::write(files.path().join("c.pem"), "nonsense").unwrap();
    eventually("the admin hears of it", || {
        lab.notices().iter().any(|text| text.contains("cannot be used: there is no certificate"))
    });
    assert!(enrols(&second, 3), "the one before stays in force");
}

#[test]
fn ipads_of_apple_school_manager_get_the_profile_and_come_in_where_they_belong() {
    let lab = World::new(|_| {});
    lab.import_push(300);
    let serial = |number: u32| Facts::numbered(number).serial;
    lab.school.set_page(2);
    for number in 1..=5 {
        lab.school.add(&serial(number), "iPad 10th Gen");
    }
    lab.import_token(&json!({}));
    eventually("all have the school's profile", || {
        (1..=5).all(|n| lab.school.profile_of(&serial(n)).is_some())
    });
    let profile = lab.school.profile_of(&serial(1)).unwrap();
    assert_eq!(profile["url"], format!("{}/ade", lab.address));
    assert_eq!((&profile["is_supervised"], &profile["is_mdm_removable"]), (&json!(true), &json!(false)));
    eventually("the list says so", || {
        let all = lab.runtime.block_on(lab.inventory.ade_devices()).unwrap();
        all.len() == 5 && all.iter().all(|device| device.status == "assigned")
    });

    // One that nobody gave a room waits; one that Apple School Manager does not list, too.
    assert_eq!(status(lab.at_the_door(1)), 403);
    assert_eq!(status(lab.at_the_door(77)), 403);
    let all = lab.runtime.block_on(lab.inventory.ade_devices()).unwrap();
    let asked: Vec<_> =
        all.iter().filter(|it| it.asked_at.is_some()).map(|it| (it.serial.clone(), it.listed)).collect();
    assert_eq!(asked, [(serial(1), true), (serial(77), false)]);
    let placed =
        lab.runtime.block_on(lab.inventory.place_ade_devices(by(), &[serial(1)], Some(lab.room), None));
    assert_eq!(placed.unwrap(), 1);
    let mut ipad = lab.at_the_door(1).unwrap();
    assert!(ipad.state.awaiting);
    let first: Vec<String> = ipad.connect().unwrap().into_iter().map(|done| done.kind).collect();
    assert!(
        !first.contains(&"DeviceConfigured".to_owned()),
        "it is held while questions are open: {first:?}"
    );
    eventually("it is let go when all is there", || {
        ipad.connect().unwrap();
        !ipad.state.awaiting
    });
    let enrolment = lab.runtime.block_on(lab.inventory.enrolment(lab.id(&ipad))).unwrap().unwrap();
    assert!(!enrolment.awaiting);
    let device = lab.runtime.block_on(lab.inventory.device(enrolment.device.unwrap())).unwrap().unwrap();
    assert_eq!(device.room.id, lab.room);

    // An iPad that Apple does not vouch for, however well it knows a serial number.
    let stranger = Maker::new().unwrap();
    let url = format!("{}/ade", lab.address);
    assert_eq!(status(Ipad::enrol_ade(&url, Facts::numbered(2), &lab.trust(), &stranger)), 400);
}

#[test]
fn an_old_system_is_updated_before_it_enrols() {
    let lab = World::new(|_| {});
    lab.import_push(300);
    lab.school.add(&Facts::numbered(1).serial, "iPad");
    lab.import_token(&json!({ "minimum_os": "18.2", "room": lab.room.to_string() }));
    eventually("it is listed", || lab.runtime.block_on(lab.inventory.ade_devices()).unwrap().len() == 1);
    assert_eq!(status(lab.at_the_door(1)), 403);
    lab.import_token(&json!({ "minimum_os": "18.1", "room": lab.room.to_string() }));
    lab.at_the_door(1).unwrap();
}

#[test]
fn what_is_wrong_at_apple_is_said_and_nothing_is_lost() {
    let lab = World::new(|_| {});
    let settings = json!({ "room": lab.room.to_string() });
    lab.school.trouble(Some(Trouble::TermsNotSigned));
    lab.import_token(&settings);
    let wait = |part: &str| {
        eventually(part, || lab.problem(AppleKind::Ade).is_some_and(|problem| problem.contains(part)));
    };
    let again = || {
        lab.runtime.block_on(lab.inventory.set_apple_settings(by(), AppleKind::Ade, &settings)).unwrap();
    };
    wait("terms of use");
    for (trouble, part) in [
        (Trouble::TokenRejected, "does not accept the server token"),
        (Trouble::Throttled, "no more questions"),
        (Trouble::Down, "refuses with 503 SERVICE_UNAVAILABLE"),
    ] {
        lab.school.trouble(Some(trouble));
        again();
        wait(part);
    }
    lab.school.trouble(None);
    lab.school.add("AAA111", "iPad");
    again();
    let listed = |serials: &[&str]| {
        eventually(&format!("{serials:?} are listed"), || {
            let all = lab.runtime.block_on(lab.inventory.ade_devices()).unwrap();
            all.iter().map(|it| it.serial.as_str()).eq(serials.iter().copied())
                && lab.problem(AppleKind::Ade).is_none()
        });
    };
    listed(&["AAA111"]);
    // Sessions and cursors end; devices come and go.
    lab.school.end_sessions();
    lab.school.add("BBB222", "iPad");
    again();
    listed(&["AAA111", "BBB222"]);
    lab.school.remove("AAA111");
    lab.school.expire_cursors();
    lab.school.add("CCC333", "iPad");
    again();
    listed(&["BBB222", "CCC333"]);
    lab.school.remove("BBB222");
    again();
    listed(&["CCC333"]);
    eventually("the new one has the profile", || lab.school.profile_of("CCC333").is_some());
    let defined = lab.school.asked().iter().filter(|asked| *asked == "POST /profile").count();
    assert_eq!(defined, 1, "the profile is defined once");
}

#[test]
fn who_signs_in_with_an_account_and_a_code_enrols_an_ipad_of_the_school() {
    let lab = World::new(|config| {
        config.certificates =
            mdm::Certificates { life: Duration::from_secs(20), look: Duration::from_millis(200) };
    });
    let get = |path: &str| lab.agent().get(format!("{}{path}", lab.address)).call().unwrap();
    let discovery =
        "/.well-known/com.apple.remotemanagement?user-identifier=lea@schule.example&model-family=";
    assert_eq!(get(&format!("{discovery}iPad")).status(), 403, "without a push certificate nobody enrols");
    lab.import_push(300);
    eventually("iPads can enrol", || get(&format!("{discovery}iPad")).status() == 200);
    let mut refused = get(&format!("{discovery}Mac"));
    let body: Value = serde_json::from_str(&refused.body_mut().read_to_string().unwrap()).unwrap();
    assert_eq!((refused.status().as_u16(), &body["code"]), (403, &json!("com.apple.well-known.failed")));
    assert_eq!(get("/account/sign-in?user-identifier=%3Cscript%3E@x.example").status(), 400);

    let link = lab.invite(1);
    let code = link.rsplit('/').next().unwrap().to_owned();
    let enrol = |account: &str, code: &str, maker: &Maker| {
        Ipad::enrol_by_account((&lab.address, account, code), Facts::numbered(1), &lab.trust(), maker)
    };
    assert!(enrol("lea@schule.example", "no-such-code", &lab.maker).is_err());
    assert!(enrol("lea@schule.example", &code, &Maker::new().unwrap()).is_err(), "no device of Apple");
    let mut ipad = enrol("lea+1@schule.example", &code, &lab.maker).unwrap();
    let before = lab.runtime.block_on(lab.inventory.enrolment(lab.id(&ipad))).unwrap().unwrap();
    assert_eq!(before.account.as_deref(), Some("lea+1@schule.example"));
    assert!(enrol("max@schule.example", &code, &lab.maker).is_err(), "the code was for one");
    // The account may not change in a renewal, or the iPad refuses it.
    let id = before.id;
    eventually("its certificate is another one", || {
        ipad.connect().unwrap();
        let now = lab.runtime.block_on(lab.inventory.enrolment(id)).unwrap().unwrap();
        now.certificate != before.certificate
    });
}

#[test]
fn a_certificate_that_ends_soon_is_renewed_by_itself() {
    let lab = World::new(|config| {
        config.certificates =
            mdm::Certificates { life: Duration::from_secs(20), look: Duration::from_millis(200) };
    });
    lab.import_push(300);
    let mut ipad = lab.enrol_when_possible(&lab.invite(10), 1);
    ipad.connect().unwrap();
    let id = lab.id(&ipad);
    let certificate = || lab.runtime.block_on(lab.inventory.enrolment(id)).unwrap().unwrap();
    let before = certificate();
    let done =
        |ipad: &mut Ipad| ipad.connect().unwrap().into_iter().map(|done| done.kind).collect::<Vec<_>>();
    assert!(!done(&mut ipad).contains(&"InstallProfile".to_owned()), "there is time");
    let mut renewed = false;
    eventually("it is asked to renew its certificate", || {
        renewed |= done(&mut ipad).contains(&"InstallProfile".to_owned());
        renewed
    });
    eventually("only the new one holds", || {
        ipad.connect().unwrap();
        let after = certificate();
        after.certificate != before.certificate && after.certificates == 1
    });
    assert_eq!(done(&mut ipad), Vec::<String>::new(), "once");
}
