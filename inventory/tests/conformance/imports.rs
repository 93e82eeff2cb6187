//! Promises about files of people and devices.

use inventory::import::devices::read_devices;
use inventory::import::people::read_people;
use inventory::import::{Applied, Kind, Options, Plan, plan_devices, plan_people};
use inventory::{Boxed, By, Error, ImportId, Inventory, KeyFingerprint, Role, UserId};

use super::{BY, Open, approved, conflict, key};

const ALL: Options = Options { complete: true };

/// Takes a file of pupils over; returns its id and what it did.
async fn pupils(inventory: &Inventory, by: By<'_>, text: &str) -> (ImportId, Vec<String>) {
    let file = read_people(text.as_bytes(), Role::Pupil).unwrap();
    let school = inventory.people_for_import().await.unwrap();
    let plan = plan_people(&file, &school, ALL);
    let hashes: Vec<String> = (0..plan.counts().new).map(|n| format!("hash-{n}")).collect();
    let id = ImportId::random();
    let applied = inventory.apply_people(by, (id, "schild.csv"), &school, &plan, &hashes).await.unwrap();
    assert_eq!(applied, Applied::Done);
    (id, told(&plan))
}

async fn devices(inventory: &Inventory, by: By<'_>, text: &str) -> (ImportId, Vec<String>) {
    let file = read_devices(text.as_bytes()).unwrap();
    let school = inventory.fleet_for_import().await.unwrap();
    let plan = plan_devices(&file, &school, "", ALL);
    let id = ImportId::random();
    let applied = inventory.apply_devices(by, (id, "geraete.csv"), &school, &plan).await.unwrap();
    assert_eq!(applied, Applied::Done);
    (id, told(&plan))
}

fn told<W>(plan: &Plan<W>) -> Vec<String> {
    plan.items.iter().map(|item| format!("{:?} {}", item.verdict, item.label)).collect()
}

fn later(secs: u64) -> By<'static> {
    By { at: BY.at.plus_secs(secs), ..BY }
}

/// People as `login name id classes`, with `off` if they may not sign in.
async fn people(inventory: &Inventory) -> Vec<String> {
    let mut all = Vec::new();
    for user in inventory.users().await.unwrap().0 {
        let groups = inventory.groups_of(user.id).await.unwrap();
        let classes: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
        let id = user.external_id.clone().unwrap_or_else(|| "-".into());
        let off = if user.deactivated_at.is_some() { " off" } else { "" };
        all.push(format!("{} {} {id} {}{off}", user.name, user.display_name(), classes.join("+")));
    }
    all
}

async fn person(inventory: &Inventory, login: &str) -> UserId {
    inventory.user_by_name(login).await.unwrap().unwrap().id
}

const FIRST: &str = "ID;Vorname;Nachname;Klasse\n1;Lea;Kurz;7b\n2;Ömer;Groß;7b\n3;Max;Lang;8a\n";
const SECOND: &str = "ID;Vorname;Nachname;Klasse\n1;Lea;Weiß;8b\n2;Ömer;Groß;7b\n4;Eva;Neu;7b\n";

pub(super) fn people_are_taken_over_from_files_and_back(open: Open) -> Boxed<'static, ()> {
    Box::pin(async move {
        let inventory = open.inventory().await;
        inventory.create_user(BY, "admin", "x", Role::SchoolAdmin).await.unwrap();
        let (_, did) = pupils(&inventory, BY, FIRST).await;
        assert_eq!(did, ["New Lea Kurz", "New Ömer Groß", "New Max Lang"]);
        let after_first = people(&inventory).await;
        assert_eq!(
            after_first,
            [
                "admin admin - ",
                "lea.kurz Lea Kurz 1 7b",
                "max.lang Max Lang 3 8a",
                "oemer.gross Ömer Groß 2 7b"
            ]
        );
        let user = inventory.user_by_name("oemer.gross").await.unwrap().unwrap();
        assert_eq!(
            (user.password_hash.as_str(), user.role),
            ("hash-1", Role::Pupil),
            "each has their own hash"
        );

        let max = person(&inventory, "max.lang").await;
        inventory.create_session(BY, max, "token", BY.at.plus_secs(900)).await.unwrap();
        let (second, did) = pupils(&inventory, later(1), SECOND).await;
        assert_eq!(did, ["Moved Lea Kurz", "New Eva Neu", "Removed Max Lang"]);
        let after_second = [
            "admin admin - ",
            "eva.neu Eva Neu 4 7b",
            "lea.kurz Lea Weiß 1 8b",
            "max.lang Max Lang 3 8a off",
            "oemer.gross Ömer Groß 2 7b",
        ];
        assert_eq!(people(&inventory).await, after_second);
        assert!(inventory.session("token", BY.at).await.unwrap().is_none(), "who left is signed out");
        inventory.create_session(BY, max, "again", BY.at.plus_secs(900)).await.unwrap();
        assert!(inventory.session("again", BY.at).await.unwrap().is_none(), "and stays out");
        let (empty, did) = pupils(&inventory, later(2), SECOND).await;
        assert!(did.is_empty());
        inventory.undo_import(later(3), Kind::People, empty).await.unwrap();

        let undone = inventory.undo_import(later(4), Kind::People, second).await.unwrap();
        assert_eq!((undone.restored, undone.left), (3, vec![]));
        assert_eq!(people(&inventory).await, after_first);
        let groups: Vec<String> =
            inventory.groups().await.unwrap().into_iter().map(|group| group.name).collect();
        assert_eq!(groups, ["7b", "8a"], "a class that the import added goes with it");
        let log = inventory.changes_since(0, 100).await.unwrap();
        let of_user: Vec<&str> = log
            .iter()
            .filter(|c| c.entity == "user" && c.key == second.to_string())
            .map(|c| c.action.as_str())
            .collect();
        assert_eq!(of_user, ["imported", "import undone"], "the gate and the pages are told");
    })
}

pub(super) fn who_was_changed_since_an_import_is_left_alone_when_it_is_taken_back(
    open: Open,
) -> Boxed<'static, ()> {
    Box::pin(async move {
        let inventory = open.inventory().await;
        let (first, _) = pupils(&inventory, BY, FIRST).await;
        // Somebody puts Lea into another group, and Ömer owns a device.
        let choir = inventory.create_group(BY, "Chor").await.unwrap();
        let (lea, oemer) = (person(&inventory, "lea.kurz").await, person(&inventory, "oemer.gross").await);
        inventory.add_to_group(BY, choir.id, &[lea], &[]).await.unwrap();
        let device = approved(&inventory, 1).await;
        inventory.set_owner(BY, device, Some(oemer), false).await.unwrap();
        let undone = inventory.undo_import(later(1), Kind::People, first).await.unwrap();
        assert_eq!((undone.restored, undone.left), (1, vec!["Lea Kurz".into(), "Ömer Groß".into()]));
        assert_eq!(people(&inventory).await, ["lea.kurz Lea Kurz 1 7b+Chor", "oemer.gross Ömer Groß 2 7b"]);
    })
}

pub(super) fn an_import_is_all_or_nothing_and_never_of_an_old_plan(open: Open) -> Boxed<'static, ()> {
    Box::pin(async move {
        let inventory = open.inventory().await;
        let file = read_people(FIRST.as_bytes(), Role::Pupil).unwrap();
        let school = inventory.people_for_import().await.unwrap();
        let plan = plan_people(&file, &school, ALL);
        let hashes = vec![String::from("x"); 3];
        let id = ImportId::random();
        // Another process adds somebody in between.
        open.inventory().await.create_user(BY, "lea.kurz", "x", Role::Teacher).await.unwrap();
        let seq = inventory.last_change().await.unwrap();
        let applied = inventory.apply_people(BY, (id, "a"), &school, &plan, &hashes).await.unwrap();
        assert_eq!(applied, Applied::Outdated);
        assert_eq!(inventory.last_change().await.unwrap(), seq);
        assert_eq!(people(&inventory).await, ["lea.kurz lea.kurz - "]);

        let school = inventory.people_for_import().await.unwrap();
        let plan = plan_people(&file, &school, ALL);
        let one_short =
            inventory.apply_people(BY, (id, "a"), &school, &plan, hashes.split_last().unwrap().1).await;
        assert!(matches!(one_short, Err(Error::Unusable(_))), "nobody gets no password");
        inventory.apply_people(BY, (id, "a"), &school, &plan, &hashes).await.unwrap();
        assert_eq!(people(&inventory).await.len(), 4);
        // The last thing that is written fails: nothing before it stays.
        let other = read_people(SECOND.as_bytes(), Role::Pupil).unwrap();
        let school = inventory.people_for_import().await.unwrap();
        let plan = plan_people(&other, &school, ALL);
        let before = people(&inventory).await;
        conflict(inventory.apply_people(BY, (id, "a"), &school, &plan, hashes.split_at(1).0).await);
        assert_eq!((people(&inventory).await, inventory.groups().await.unwrap().len()), (before, 2));
    })
}

pub(super) fn only_the_last_import_is_taken_back_and_old_ones_are_forgotten(
    open: Open,
) -> Boxed<'static, ()> {
    Box::pin(async move {
        let inventory = open.inventory().await;
        let (first, _) = pupils(&inventory, BY, FIRST).await;
        let (second, _) = pupils(&inventory, later(1), SECOND).await;
        let (of_devices, _) =
            devices(&inventory, later(2), "Raum;Name;MAC\nR1;pc1;52:54:00:00:00:01\n").await;
        conflict(inventory.undo_import(later(3), Kind::People, first).await);
        let wrong_kind = inventory.undo_import(later(3), Kind::People, of_devices).await;
        assert!(matches!(wrong_kind, Err(Error::NotFound { .. })));
        let list = inventory.imports(Kind::People, 10).await.unwrap();
        let told: Vec<_> = list.iter().map(|i| (i.id, i.can_undo, i.counts.new, i.counts.removed)).collect();
        assert_eq!(told, [(second, true, 1, 1), (first, false, 3, 0)]);
        assert!(list.iter().all(|import| import.file_name == "schild.csv" && import.created_by == "test"));

        let days = |n: u64| later(n * 86_400);
        inventory.forget_imports(days(89)).await.unwrap();
        assert!(people(&inventory).await.contains(&"max.lang Max Lang 3 8a off".to_owned()));
        inventory.forget_imports(days(91)).await.unwrap();
        assert!(!people(&inventory).await.iter().any(|person| person.starts_with("max.lang")));
        conflict(inventory.undo_import(days(91), Kind::People, second).await);
        let seq = inventory.last_change().await.unwrap();
        inventory.forget_imports(days(92)).await.unwrap();
        assert_eq!(inventory.last_change().await.unwrap(), seq, "nothing to forget is no change");
    })
}

pub(super) fn an_import_that_is_broken_off_has_done_all_or_nothing(open: Open) -> Boxed<'static, ()> {
    Box::pin(async move {
        let inventory = open.inventory().await;
        let rows: String = (0..200).map(|n| format!("R1;pc{n};52:54:00:00:01:{n:02x}\n")).collect();
        let file = read_devices(format!("Raum;Name;MAC\n{rows}").as_bytes()).unwrap();
        for millis in [0, 1, 2, 3, 5, 8, 13, 21, 34, 55] {
            let school = inventory.fleet_for_import().await.unwrap();
            let plan = plan_devices(&file, &school, "", ALL);
            let apply = inventory.apply_devices(BY, (ImportId::random(), "a"), &school, &plan);
            // Dropped where it stands, as a server is that dies.
            let _ = tokio::time::timeout(std::time::Duration::from_millis(millis), apply).await;
            // The server may be about to commit.
            let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(5);
            loop {
                let there = inventory.devices().await.unwrap().0.len();
                let imports = inventory.imports(Kind::Devices, 10).await.unwrap();
                let standing = imports.iter().find(|import| import.undone.is_none()).map(|import| import.id);
                match (standing, there, inventory.rooms().await.unwrap().len()) {
                    (None, 0, 0) => break,
                    (Some(id), 200, 1) => {
                        inventory.undo_import(BY, Kind::Devices, id).await.unwrap();
                        break;
                    }
                    half => assert!(
                        tokio::time::Instant::now() < deadline,
                        "half done after {millis} ms: {half:?}"
                    ),
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
    })
}

/// Devices as `name room card=address… owner staff key`.
async fn fleet(inventory: &Inventory) -> Vec<String> {
    let school = inventory.fleet_for_import().await.unwrap();
    let mut all = Vec::new();
    for device in inventory.devices().await.unwrap().0 {
        let known = school.devices.get(&device.id).unwrap();
        let cards: Vec<String> = device
            .interfaces
            .iter()
            .map(|card| {
                format!("{}{}", card.mac, card.reserved_ip.map_or(String::new(), |ip| format!("={ip}")))
            })
            .collect();
        let staff = if known.staff { " staff" } else { "" };
        let key = if device.key.is_some() { " key" } else { "" };
        all.push(format!("{} {} {}{staff}{key}", device.name, device.room.name, cards.join(",")));
    }
    all
}

const LIST: &str = "Raum;Name;MAC;IP;Lehrergerät\nR204;pc1;52:54:00:00:01:01;10.77.0.11;\nR204;pc2;52:54:00:00:01:02;10.77.0.12;ja\n";
const SWAPPED: &str = "Raum;Name;MAC;IP;Lehrergerät\nR205;pc2;52:54:00:00:01:01;10.77.0.12;ja\nR204;pc1;52:54:00:00:01:02;10.77.0.11;nein\n";

pub(super) fn devices_are_taken_over_from_files_and_back(open: Open) -> Boxed<'static, ()> {
    Box::pin(async move {
        let inventory = open.inventory().await;
        let network = super::network("PCs", "10.77.0.0/24", [10, 77, 0, 50], [10, 77, 0, 99]);
        inventory.put_network(BY, &network).await.unwrap();
        let (_, did) = devices(&inventory, BY, LIST).await;
        assert_eq!(did, ["New pc1", "New pc2"]);
        let after_first =
            ["pc1 R204 52:54:00:00:01:01=10.77.0.11", "pc2 R204 52:54:00:00:01:02=10.77.0.12 staff"];
        assert_eq!(fleet(&inventory).await, after_first);
        let numbers = inventory.gate_devices(inventory::gate::Of::School).await.unwrap().0.len();
        assert_eq!(numbers, 2, "each has a number in the kernel's tables");

        let (swapped, _) = devices(&inventory, later(1), SWAPPED).await;
        assert_eq!(
            fleet(&inventory).await,
            ["pc1 R204 52:54:00:00:01:02=10.77.0.11", "pc2 R205 52:54:00:00:01:01=10.77.0.12 staff"]
        );
        let undone = inventory.undo_import(later(2), Kind::Devices, swapped).await.unwrap();
        assert_eq!((undone.restored, undone.left), (2, vec![]));
        assert_eq!(fleet(&inventory).await, after_first);
        assert!(inventory.room_by_name("R205").await.unwrap().is_none(), "the room goes with the import");
    })
}

pub(super) fn a_device_that_comes_back_is_the_one_that_went(open: Open) -> Boxed<'static, ()> {
    Box::pin(async move {
        let inventory = open.inventory().await;
        let image = inventory.ensure_image(BY, "Debian").await.unwrap();
        inventory.add_version(BY, image, "m1", 10).await.unwrap();
        let class = inventory.create_group(BY, "7b").await.unwrap();
        let device = approved(&inventory, 1).await;
        let before = inventory.device(device).await.unwrap().unwrap();
        inventory.change_device(BY, device, &before.name, before.room.id, Some(image)).await.unwrap();
        inventory.add_to_group(BY, class.id, &[], &[device]).await.unwrap();
        let before = inventory.device(device).await.unwrap();

        let (import, did) = devices(&inventory, later(1), LIST).await;
        assert_eq!(did, ["New pc1", "New pc2", "Removed r204-pc01"]);
        assert!(inventory.device(device).await.unwrap().is_none());
        // Its PC comes to the waiting list; and a PC was approved as one of the new devices.
        super::wait_for(&inventory, &key(1), "52:54:00:00:00:01").await;
        let pc1 = inventory.device_by_mac("52:54:00:00:01:01".parse().unwrap()).await.unwrap().unwrap();
        let entry = super::wait_for(&inventory, &key(2), "52:54:00:00:01:01").await;
        inventory.approve(BY, entry.id, &pc1.name, pc1.room.id, None, Some(pc1.id)).await.unwrap();

        let undone = inventory.undo_import(later(2), Kind::Devices, import).await.unwrap();
        assert_eq!((undone.restored, undone.left), (2, vec!["pc1".into()]), "what was approved since stays");
        assert_eq!(inventory.device(device).await.unwrap(), before);
        let known: Option<KeyFingerprint> = inventory.device(device).await.unwrap().unwrap().key;
        assert_eq!(known, Some(key(1)));
        assert!(inventory.waiting().await.unwrap().0.is_empty(), "its PC need not be approved again");
        let in_class =
            inventory.gate_devices(inventory::gate::Of::Target(inventory::gate::Target::Group(class.id)));
        assert_eq!(in_class.await.unwrap().0.len(), 1);
    })
}

pub(super) fn what_somebody_else_has_meanwhile_is_not_given_back(open: Open) -> Boxed<'static, ()> {
    Box::pin(async move {
        let inventory = open.inventory().await;
        devices(&inventory, BY, LIST).await;
        let renamed = LIST.replace("pc1", "pc7").replace("pc2", "pc8");
        let (second, _) = devices(&inventory, later(1), &renamed).await;
        let room = inventory.room_by_name("R204").await.unwrap().unwrap();
        let name = "pc1".parse().unwrap();
        let new = inventory::NewDevice { name, room: room.id, desired_image: None, interfaces: vec![] };
        inventory.create_device(BY, &new).await.unwrap();
        let undone = inventory.undo_import(later(2), Kind::Devices, second).await.unwrap();
        assert_eq!((undone.restored, undone.left), (1, vec!["pc7".into()]));
        let names: Vec<String> =
            inventory.devices().await.unwrap().0.iter().map(|device| device.name.to_string()).collect();
        assert_eq!(names, ["pc1", "pc2", "pc7"]);
    })
}

pub(super) fn a_password_is_hashed_again_unless_it_was_changed(open: Open) -> Boxed<'static, ()> {
    Box::pin(async move {
        let inventory = open.inventory().await;
        let user = inventory.create_user(BY, "lea", "cheap", Role::Pupil).await.unwrap();
        inventory.create_session(BY, user, "token", BY.at.plus_secs(60)).await.unwrap();
        let hash = async || inventory.user(user).await.unwrap().unwrap().password_hash;
        inventory.rehash_password(user, "another", "dear").await.unwrap();
        assert_eq!(hash().await, "cheap");
        inventory.rehash_password(user, "cheap", "dear").await.unwrap();
        assert_eq!(hash().await, "dear");
        assert!(inventory.session("token", BY.at).await.unwrap().is_some(), "it is the same password");
    })
}
