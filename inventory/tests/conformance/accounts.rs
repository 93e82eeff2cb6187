//! Promises about people, classes, sessions and tokens.

use inventory::gate::Place;
use inventory::{By, Error, Find, Level, NewPassword, NewToken, Role, UserId};

use super::{BY, Open, approved, conflict};

pub(super) async fn sessions_end(open: Open) {
    let inventory = open.inventory().await;
    assert!(!inventory.has_users().await.unwrap());
    let user = inventory.create_user(BY, "Admin", "$argon2id$x", Role::SchoolAdmin).await.unwrap();
    assert!(conflict(inventory.create_user(BY, "admin", "x", Role::SchoolAdmin).await).contains("admin"));
    inventory.create_session(BY, user, "hash", BY.at.plus_secs(60)).await.unwrap();
    let at = |secs| BY.at.plus_secs(secs);
    assert_eq!(inventory.session("hash", at(59)).await.unwrap().unwrap().user.name, "admin");
    assert!(inventory.session("hash", at(60)).await.unwrap().is_none());
    assert!(inventory.session("other", at(0)).await.unwrap().is_none());
    inventory.set_password(BY, user, password("$argon2id$y")).await.unwrap();
    assert!(inventory.session("hash", at(1)).await.unwrap().is_none(), "a new password ends all sessions");
}

fn password(hash: &str) -> NewPassword<'_> {
    NewPassword { hash, temporary: false, keep_session: None }
}

pub(super) async fn half_a_session_opens_nothing(open: Open) {
    let inventory = open.inventory().await;
    let user = inventory.create_user(BY, "admin", "x", Role::SchoolAdmin).await.unwrap();
    let (now, ends) = (BY.at, BY.at.plus_secs(300));
    inventory.create_half_session(BY, user, "half", ends).await.unwrap();
    assert_eq!(inventory.session("half", now).await.unwrap(), None);
    assert!(matches!(inventory.renew_session(BY, "half").await, Err(Error::NotFound { .. })));
    assert_eq!(inventory.half_session("half", now).await.unwrap().unwrap().id, user);
    assert_eq!(inventory.half_session("half", ends).await.unwrap(), None, "it ends by itself");
    inventory.create_session(BY, user, "whole", ends).await.unwrap();
    assert_eq!(inventory.half_session("whole", now).await.unwrap(), None);
    assert_eq!(inventory.session("whole", now).await.unwrap().unwrap().authenticated_at, now);
    let later = By { at: now.plus_secs(60), ..BY };
    inventory.renew_session(later, "whole").await.unwrap();
    assert_eq!(inventory.session("whole", now).await.unwrap().unwrap().authenticated_at, later.at);
}

pub(super) async fn a_new_password_ends_all_sessions_but_the_own(open: Open) {
    let inventory = open.inventory().await;
    let user = inventory.create_user(BY, "lea", "x", Role::Pupil).await.unwrap();
    let ends = BY.at.plus_secs(300);
    for token in ["here", "there"] {
        inventory.create_session(BY, user, token, ends).await.unwrap();
    }
    let temporary = NewPassword { temporary: true, keep_session: Some("here"), ..password("y") };
    inventory.set_password(BY, user, temporary).await.unwrap();
    let here = inventory.session("here", BY.at).await.unwrap().unwrap().user;
    assert!(here.password_temporary && here.password_hash == "y");
    assert_eq!(inventory.session("there", BY.at).await.unwrap(), None);
    inventory.set_password(BY, user, password("z")).await.unwrap();
    assert_eq!(inventory.session("here", BY.at).await.unwrap(), None);
    assert!(!inventory.user(user).await.unwrap().unwrap().password_temporary);
    let nobody = inventory.set_password(BY, UserId::random(), password("z")).await;
    assert!(matches!(nobody, Err(Error::NotFound { .. })));
}

pub(super) async fn a_school_keeps_an_admin(open: Open) {
    let inventory = open.inventory().await;
    let first = inventory.create_user(BY, "admin", "x", Role::SchoolAdmin).await.unwrap();
    let second = inventory.create_user(BY, "vertretung", "x", Role::Teacher).await.unwrap();
    assert!(conflict(inventory.set_role(BY, first, Role::Teacher).await).contains("last school admin"));
    assert!(conflict(inventory.delete_user(BY, first).await).contains("last school admin"));
    inventory.set_role(BY, first, Role::SchoolAdmin).await.unwrap();
    inventory.set_role(BY, second, Role::SchoolAdmin).await.unwrap();
    // Both try to remove the other at the same moment; one of them stays.
    let (one, other) =
        tokio::join!(inventory.delete_user(BY, first), inventory.set_role(BY, second, Role::Teacher));
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    let admins = inventory.users().await.unwrap().0.into_iter().filter(|u| u.role == Role::SchoolAdmin);
    assert_eq!(admins.count(), 1);
    let nobody = UserId::random();
    assert!(matches!(inventory.delete_user(BY, nobody).await, Err(Error::NotFound { .. })));
    assert!(matches!(inventory.set_role(BY, nobody, Role::Pupil).await, Err(Error::NotFound { .. })));
}

pub(super) async fn people_are_found_by_name_role_and_class(open: Open) {
    let inventory = open.inventory().await;
    let class = inventory.create_group(BY, "7b").await.unwrap().id;
    let choir = inventory.create_group(BY, "Chor").await.unwrap().id;
    let mut pupils = Vec::new();
    for name in ["lea", "leo_k", "leo!k", "max"] {
        pupils.push(inventory.create_user(BY, name, "x", Role::Pupil).await.unwrap());
    }
    inventory.create_user(BY, "leonhard", "x", Role::Teacher).await.unwrap();
    inventory.add_to_group(BY, class, &pupils, &[]).await.unwrap();
    inventory.add_to_group(BY, choir, pupils.get(..1).unwrap(), &[]).await.unwrap();
    let find = Find { limit: 10, ..Find::default() };
    let names = async |find: Find<'_>| -> (Vec<String>, usize) {
        let found = inventory.find_people(find).await.unwrap();
        assert!(found.problems.is_empty());
        (found.people.into_iter().map(|person| person.user.name).collect(), found.total)
    };
    assert_eq!(
        names(Find { text: " LE", ..find }).await,
        (vec!["lea".into(), "leo!k".into(), "leo_k".into(), "leonhard".into()], 4)
    );
    assert_eq!(names(Find { text: "o_", ..find }).await.0, ["leo_k"], "no wildcard");
    assert_eq!(names(Find { text: "!", ..find }).await.0, ["leo!k"]);
    assert_eq!(names(Find { text: "%", ..find }).await.1, 0);
    assert_eq!(names(Find { role: Some(Role::Teacher), ..find }).await.0, ["leonhard"]);
    assert_eq!(names(Find { group: Some(choir), ..find }).await.0, ["lea"]);
    assert_eq!(names(Find { offset: 1, limit: 1, group: Some(class), ..find }).await.1, 4);
    let lea = inventory.find_people(Find { text: "lea", ..find }).await.unwrap().people.remove(0);
    assert_eq!(lea.groups, "7b, Chor");
}

pub(super) async fn classes_are_renamed_and_counted(open: Open) {
    let inventory = open.inventory().await;
    let class = inventory.create_group(BY, "7b").await.unwrap().id;
    inventory.create_group(BY, "7c").await.unwrap();
    let pupil = inventory.create_user(BY, "lea", "x", Role::Pupil).await.unwrap();
    let device = approved(&inventory, 1).await;
    inventory.add_to_group(BY, class, &[pupil], &[device]).await.unwrap();
    assert!(conflict(inventory.rename_group(BY, class, "7c").await).contains("7c"));
    inventory.rename_group(BY, class, " 8b ").await.unwrap();
    let sizes = inventory.group_sizes().await.unwrap();
    let told: Vec<_> =
        sizes.iter().map(|(g, people, devices)| (g.name.as_str(), *people, *devices)).collect();
    assert_eq!(told, [("7c", 0, 0), ("8b", 1, 1)]);
    assert_eq!(inventory.devices_of_group(class).await.unwrap(), [(device, "r204-pc01".to_owned())]);
    assert_eq!(inventory.group_gate(class).await.unwrap(), Place::default());
    let off = Place { setting: Some(Level::Off.into()), filter: None };
    inventory.set_group_gate(BY, class, off).await.unwrap();
    assert_eq!(inventory.group_gate(class).await.unwrap(), off);
    inventory.delete_group(BY, class).await.unwrap();
    assert!(matches!(inventory.group_gate(class).await, Err(Error::NotFound { .. })));
    assert!(inventory.user(pupil).await.unwrap().is_some(), "a class goes, its people stay");
}

pub(super) async fn a_code_is_good_once_and_so_is_a_recovery_code(open: Open) {
    let inventory = open.inventory().await;
    let user = inventory.create_user(BY, "admin", "x", Role::SchoolAdmin).await.unwrap();
    assert!(!inventory.user(user).await.unwrap().unwrap().second_factor);
    let codes = ["a".to_owned(), "b".to_owned()];
    inventory.set_totp(BY, user, "sealed", 100, &codes).await.unwrap();
    assert!(inventory.user(user).await.unwrap().unwrap().second_factor);
    assert_eq!(inventory.totp_secret(user).await.unwrap().as_deref(), Some("sealed"));
    for (step, good) in [(100, false), (102, true), (102, false), (101, false), (103, true)] {
        assert_eq!(inventory.use_totp_step(user, step).await.unwrap(), good, "{step}");
    }
    assert!(inventory.use_recovery_code(BY, user, "a").await.unwrap());
    assert!(!inventory.use_recovery_code(BY, user, "a").await.unwrap());
    assert_eq!(inventory.recovery_codes_left(user).await.unwrap(), 1);
    inventory.set_totp(BY, user, "sealed again", 110, codes.get(..1).unwrap()).await.unwrap();
    assert_eq!(inventory.recovery_codes_left(user).await.unwrap(), 1, "the old ones are void");
    inventory.clear_totp(BY, user).await.unwrap();
    assert_eq!(
        (inventory.totp_secret(user).await.unwrap(), inventory.recovery_codes_left(user).await.unwrap()),
        (None, 0)
    );
}

pub(super) async fn a_token_works_until_it_ends_or_is_removed(open: Open) {
    let inventory = open.inventory().await;
    let (scopes, networks) = (["devices:read".to_owned()], ["10.0.0.0/8".to_owned()]);
    let ends = BY.at.plus_secs(3600);
    let new = NewToken { name: "Stadt", hash: "h1", scopes: &scopes, networks: &networks, expires_at: ends };
    let id = inventory.create_token(BY, new).await.unwrap();
    assert!(conflict(inventory.create_token(BY, NewToken { hash: "h2", ..new }).await).contains("Stadt"));
    let token = inventory.token_by_hash("h1", BY.at).await.unwrap().unwrap();
    assert_eq!((token.id, &token.scopes[..], &token.networks[..]), (id, &scopes[..], &networks[..]));
    assert_eq!((token.created_by.as_str(), token.last_used_at), ("test", None));
    assert_eq!(inventory.token_by_hash("h1", ends).await.unwrap(), None);
    let changes = inventory.last_change().await.unwrap();
    for (secs, noted) in [(0, 0), (3599, 0), (3600, 3600), (3700, 3600)] {
        let token = inventory.token_by_hash("h1", BY.at).await.unwrap().unwrap();
        inventory.note_token_use(&token, BY.at.plus_secs(secs)).await.unwrap();
        let used = inventory.tokens().await.unwrap().0.remove(0).last_used_at;
        assert_eq!(used, Some(BY.at.plus_secs(noted)), "{secs}");
    }
    assert_eq!(inventory.last_change().await.unwrap(), changes, "use is no change");
    inventory.delete_token(BY, id).await.unwrap();
    assert_eq!(inventory.token_by_hash("h1", BY.at).await.unwrap(), None);
    assert!(matches!(inventory.delete_token(BY, id).await, Err(Error::NotFound { .. })));
}
