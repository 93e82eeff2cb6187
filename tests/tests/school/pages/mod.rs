//! The pages in a real browser, on a phone and on a PC: what a teacher does with them, and that everybody can read every one.

mod lesson;
#[path = "../../../../webui/src/testing/sample.rs"]
mod sample;
mod table;
mod walk;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;

use hausmeister::browser::{Browser, Screen};
use inventory::ca::Authority;
use inventory::config::Site;
use inventory::vault::Vault;
use inventory::{
    By, DeviceId, Interface, InterfaceKind, Inventory, Lease, LeaseState, NewDevice, Role, UnixMillis, clock,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::root;

/// The sample school, served by this process over HTTPS, with somebody of every role.
struct Pages {
    // Dropped in this order: the server before what it runs on.
    handle: Option<webui::Handle>,
    runtime: Runtime,
    inventory: Inventory,
    school: sample::School,
    /// The teacher's own phone.
    phone: DeviceId,
    dir: TempDir,
}

impl Pages {
    fn serve() -> Self {
        let runtime = Runtime::new().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let name = "Gymnasium am Markt".to_owned();
        let site = Site { name, data_dir: dir.path().to_owned(), ..Site::default() };
        Authority::ensure(&site.keys_dir(), &site.name).unwrap();
        let inventory = runtime.block_on(Inventory::open(&site.database_url())).unwrap();
        let school =
            runtime.block_on(sample::fill(&inventory, &Vault::open(&site.keys_dir()).unwrap())).unwrap();
        let phone = runtime.block_on(people(&inventory, &school));
        let listen = (Ipv4Addr::LOCALHOST, 0).into();
        let config = webui::Config { listen, ..webui::Config::default() };
        let handle = runtime.block_on(webui::run(&site, config, inventory.clone())).unwrap();
        Self { handle: Some(handle), runtime, inventory, school, phone, dir }
    }

    /// Puts whoever asks from this computer at the teacher's phone, in the room with the PCs.
    fn sit_in_the_room(&self) {
        let now = clock::now();
        let lease = Lease {
            ip: Ipv4Addr::LOCALHOST,
            client: self.phone.to_string(),
            mac: PHONE_CARD.parse().unwrap(),
            hostname: None,
            state: LeaseState::Active,
            expires_at: now.plus_secs(3600),
        };
        self.runtime.block_on(self.inventory.commit_leases(now, &[lease])).unwrap();
    }

    fn address(&self, path: &str) -> String {
        format!("https://{}{path}", self.handle.as_ref().unwrap().address())
    }

    /// A browser of somebody who has signed in, by typing.
    fn signed_in(&self, name: &str, screen: Screen) -> Browser {
        let mut browser = self.browser(screen);
        self.sign_in(&mut browser, name);
        browser
    }

    fn browser(&self, screen: Screen) -> Browser {
        let profile = tempfile::tempdir_in(&self.dir).unwrap().keep();
        Browser::start(Command::new("sh"), &profile, screen).unwrap()
    }

    fn sign_in(&self, browser: &mut Browser, name: &str) {
        browser.open(&self.address("/signin")).unwrap();
        browser.write("#name", name).unwrap();
        browser.write("#password", PASSWORD).unwrap();
        browser.and_load(|browser| browser.tap("main form button")).unwrap();
        assert_ne!(browser.value("location.pathname").unwrap(), "/signin", "{name} cannot sign in");
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.handle = None;
        self.runtime.block_on(self.inventory.close());
    }
}

/// Somebody of every role, named after it, a teacher who has a class and a phone. Returns the phone.
async fn people(inventory: &Inventory, school: &sample::School) -> DeviceId {
    let by = By { actor: "init", at: clock::now() };
    let hash = inventory::password::hash(PASSWORD).unwrap();
    let mut teacher = None;
    for role in Role::ALL {
        let id = inventory.create_user(by, name_of(role), &hash, role).await.unwrap();
        teacher = teacher.or((role == Role::Teacher).then_some(id));
    }
    inventory.add_to_group(by, school.class, &[teacher.unwrap()], &[]).await.unwrap();
    let card = Interface { mac: PHONE_CARD.parse().unwrap(), kind: InterfaceKind::Wlan, reserved_ip: None };
    let phone = NewDevice {
        name: "handy-lehrerin".parse().unwrap(),
        room: school.room,
        desired_image: None,
        interfaces: vec![card],
    };
    let phone = inventory.create_device(by, &phone).await.unwrap();
    inventory.set_owner(by, phone, teacher, true).await.unwrap();
    phone
}

/// What the person with that role is called in the sample school.
fn name_of(role: Role) -> &'static str {
    match role {
        Role::Teacher => "lehrerin",
        other => other.text(),
    }
}

/// Where a picture of a page goes: what a person looks at after the tests.
fn picture(name: &str) -> PathBuf {
    root().join("target/screenshots").join(format!("{name}.png"))
}

/// The moment after `secs` seconds.
fn in_secs(secs: u64) -> UnixMillis {
    clock::now().plus_secs(secs)
}

const PASSWORD: &str = "Hausmeister 1";
const PHONE_CARD: &str = "a6:51:0b:12:34:99";
