//! Apps: the catalogue, who gets what, licences, and what iPads were told.
#![allow(clippy::indexing_slicing, reason = "a broken promise should end the test")]

use inventory::mdm::{AppId, Asset, Install, Licence, LicenceChange, LicenceState, Lookup, NewCommand};
use inventory::{AppAssignmentId, Audience, DeviceId, EnrolmentId, Error, NewDevice, UnixMillis};

use super::ipads::enrolled;
use super::{BY, Open};

fn app(number: u64) -> AppId {
    number.to_string().parse().unwrap()
}

fn asset(number: u64, total: u32, available: u32) -> Asset {
    Asset { id: app(number), pricing: "STDQ".into(), total, available, usable: true }
}

fn licence(number: u64, serial: &str, state: LicenceState) -> Licence {
    Licence {
        app: app(number),
        serial: serial.into(),
        location: "here".into(),
        state,
        event: Some("event".into()),
        problem: Some("Words.".into()),
        tries: 2,
        not_before: UnixMillis(7),
        changed_at: BY.at,
    }
}

pub(super) async fn the_catalogue_is_apples_and_the_names_are_the_stores(open: Open) {
    let inventory = open.inventory().await;
    inventory.keep_app_catalogue(BY, &[asset(1, 10, 4), asset(2, 5, 5)]).await.unwrap();
    let found =
        Lookup { id: app(2), name: "Anton".into(), bundle_id: "de.anton".into(), version: "2.0".into() };
    let stranger = Lookup { id: app(9), ..found.clone() };
    inventory.name_apps(BY, &[found.clone(), stranger]).await.unwrap();
    let apps = inventory.apps().await.unwrap();
    assert_eq!((apps.len(), apps[0].name.as_str(), apps[0].total, apps[0].available), (2, "", 10, 4));
    assert_eq!((apps[1].name.as_str(), apps[1].bundle_id.as_str()), ("Anton", "de.anton"));
    // The same again is no change that anybody has to hear of.
    let before = inventory.last_change().await.unwrap();
    inventory.keep_app_catalogue(BY, &[asset(2, 5, 5), asset(1, 10, 4)]).await.unwrap();
    inventory.name_apps(BY, &[found]).await.unwrap();
    assert_eq!(inventory.last_change().await.unwrap(), before);
    // What Apple lists no more is forgotten, unless somebody should have it.
    inventory.assign_app(BY, app(1), Audience::School, Install::Required).await.unwrap();
    inventory.keep_app_catalogue(BY, &[]).await.unwrap();
    let apps = inventory.apps().await.unwrap();
    assert_eq!((apps.len(), apps[0].id, apps[0].total, apps[0].available), (1, app(1), 0, 0));
    // A configuration is kept sealed, with the names of its keys.
    let keys = ["server".to_owned()];
    inventory.configure_app(BY, app(1), Some(("sealed", &keys))).await.unwrap();
    let first = inventory.apps().await.unwrap().remove(0);
    assert_eq!(first.configuration_keys, keys);
    assert_eq!(inventory.sealed_app_configuration(app(1)).await.unwrap().as_deref(), Some("sealed"));
    inventory.configure_app(BY, app(1), Some(("sealed anew", &keys))).await.unwrap();
    assert_ne!(inventory.apps().await.unwrap()[0].configured, first.configured);
    inventory.configure_app(BY, app(1), None).await.unwrap();
    assert_eq!(inventory.apps().await.unwrap()[0].configured, None);
    let unknown = inventory.configure_app(BY, app(8), None).await;
    assert!(matches!(unknown, Err(Error::NotFound { .. })), "{unknown:?}");
}

pub(super) async fn an_app_is_given_to_a_target_once_and_goes_with_it(open: Open) {
    let inventory = open.inventory().await;
    inventory.keep_app_catalogue(BY, &[asset(1, 10, 10)]).await.unwrap();
    let room = inventory.create_room(BY, "Raum 1").await.unwrap().id;
    let group = inventory.create_group(BY, "7a").await.unwrap().id;
    let new =
        NewDevice { name: "ipad-1".parse().unwrap(), room, desired_image: None, interfaces: Vec::new() };
    let device = inventory.create_device(BY, &new).await.unwrap();
    let targets = [Audience::School, Audience::Room(room), Audience::Group(group), Audience::Device(device)];
    for target in targets {
        inventory.assign_app(BY, app(1), target, Install::Offered).await.unwrap();
        inventory.assign_app(BY, app(1), target, Install::Required).await.unwrap();
    }
    let all = inventory.app_assignments().await.unwrap();
    assert_eq!(all.len(), 4);
    assert!(
        all.iter().all(|one| one.install == Install::Required && targets.contains(&one.target)),
        "{all:?}"
    );
    let unknown = [
        inventory.assign_app(BY, app(2), Audience::School, Install::Required).await,
        inventory.assign_app(BY, app(1), Audience::Device(DeviceId::random()), Install::Required).await,
    ];
    assert!(unknown.iter().all(Result::is_err), "{unknown:?}");
    inventory.delete_device(BY, device).await.unwrap();
    inventory.delete_group(BY, group).await.unwrap();
    let school = all.iter().find(|one| one.target == Audience::School).unwrap().id;
    inventory.unassign_app(BY, school).await.unwrap();
    let left = inventory.app_assignments().await.unwrap();
    assert_eq!((left.len(), left[0].target), (1, Audience::Room(room)));
    let again = inventory.unassign_app(BY, AppAssignmentId::random()).await;
    assert!(matches!(again, Err(Error::NotFound { .. })), "{again:?}");
}

pub(super) async fn a_licence_outlives_app_and_ipad_until_it_is_given_back(open: Open) {
    let inventory = open.inventory().await;
    inventory.keep_app_catalogue(BY, &[asset(1, 3, 1)]).await.unwrap();
    let first = licence(1, "A", LicenceState::Asked);
    let changes = [
        LicenceChange::Is(first.clone()),
        LicenceChange::Is(licence(1, "B", LicenceState::Assigned)),
        LicenceChange::Is(licence(1, "C", LicenceState::Lacking)),
    ];
    let before = inventory.last_change().await.unwrap();
    inventory.note_app_licences(BY, &changes).await.unwrap();
    assert_eq!(inventory.last_change().await.unwrap(), before + 1, "one word for one app");
    let app_1 = inventory.apps().await.unwrap().remove(0);
    assert_eq!((app_1.assigned, app_1.lacking), (1, 1));
    inventory.keep_app_catalogue(BY, &[]).await.unwrap();
    assert_eq!(inventory.apps().await.unwrap(), []);
    drop(inventory);
    // Another process finds them as they were.
    let inventory = open.inventory().await;
    let (all, problems) = inventory.app_licences().await.unwrap();
    assert_eq!((all.len(), &all[0], problems.len()), (3, &first, 0));
    let settled = Licence { state: LicenceState::Assigned, event: None, problem: None, tries: 0, ..first };
    let changes = [LicenceChange::Is(settled.clone()), LicenceChange::Gone(app(1), "B".into())];
    inventory.note_app_licences(BY, &changes).await.unwrap();
    let (all, _) = inventory.app_licences().await.unwrap();
    assert_eq!((all.len(), all.contains(&settled)), (2, true));
}

pub(super) async fn what_an_ipad_is_told_and_the_commands_for_it_are_one_step(open: Open) {
    let inventory = open.inventory().await;
    let ipad = enrolled(&inventory, "f1", "U1", "DMPX0001").await;
    let command = NewCommand {
        enrolment: ipad,
        kind: "InstallApplication".into(),
        body: "sealed".into(),
        replaces: "app 1".into(),
        repeatable: true,
        priority: 0,
        ends_at: BY.at.plus_secs(600),
    };
    let told = [(app(1), "one".to_owned()), (app(2), "two".to_owned())];
    inventory.tell_apps(BY, ipad, &told, std::slice::from_ref(&command)).await.unwrap();
    let words = |rows: Vec<inventory::mdm::ToldApp>| {
        rows.into_iter().map(|row| (row.app, row.told)).collect::<Vec<_>>()
    };
    assert_eq!(words(inventory.told_apps_of(ipad).await.unwrap()), told);
    assert_eq!(inventory.commands_of(ipad, 9).await.unwrap().len(), 1);
    inventory.tell_apps(BY, ipad, &told[1..], std::slice::from_ref(&command)).await.unwrap();
    assert_eq!(words(inventory.told_apps().await.unwrap()), told[1..]);
    let next = inventory.next_command(BY, ipad, None).await.unwrap().unwrap();
    assert_eq!(next.kind, "InstallApplication");
    // Whoever left is told nothing, and what it was told before means nothing.
    inventory.mdm_leave(BY, ipad).await.unwrap();
    assert_eq!(inventory.told_apps_of(ipad).await.unwrap(), []);
    inventory.tell_apps(BY, ipad, &told, &[command]).await.unwrap();
    assert_eq!(inventory.told_apps_of(ipad).await.unwrap(), []);
    assert_eq!(inventory.told_apps_of(EnrolmentId::random()).await.unwrap(), []);
}
