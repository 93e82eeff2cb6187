//! iPads: invitations, certificates, enrolments and their commands.
#![allow(clippy::indexing_slicing, reason = "a broken promise should end the test")]

use inventory::mdm::{
    Action, Arrival, Arrived, Certified, CommandState, EnrolmentState, Facts, Found, NewCertificate,
    NewCommand, NewInvitation, Next, Outcome, Reachable, Turn,
};
use inventory::{By, EnrolmentId, GroupId, Inventory, Room, UnixMillis};

use super::{BY, Open, conflict};

pub(super) const HOUR: u64 = 3600;

pub(super) fn at(secs: u64) -> By<'static> {
    By { actor: "test", at: BY.at.plus_secs(secs) }
}

pub(super) async fn room(inventory: &Inventory) -> Room {
    match inventory.room_by_name("Raum 204").await.unwrap() {
        Some(room) => room,
        None => inventory.create_room(BY, "Raum 204").await.unwrap(),
    }
}

async fn invite(inventory: &Inventory, hash: &str, uses: u32, group: Option<GroupId>) {
    let room = room(inventory).await.id;
    let ends_at = BY.at.plus_secs(24 * HOUR);
    let new = NewInvitation { hash, device: None, room, group, uses, ends_at };
    inventory.create_invitation(BY, new).await.unwrap();
}

pub(super) fn certificate(fingerprint: &str) -> NewCertificate<'_> {
    NewCertificate { fingerprint, serial: fingerprint, ends_at: BY.at.plus_secs(365 * 24 * HOUR) }
}

/// Opens a link and exchanges the challenge for a certificate.
async fn certified(inventory: &Inventory, link: &str, fingerprint: &str) -> EnrolmentId {
    let challenge = format!("challenge-{fingerprint}");
    let opened =
        inventory.open_invitation(BY, link, &challenge, BY.at.plus_secs(900), None).await.unwrap().unwrap();
    let done = inventory.certify(BY, &challenge, "key", certificate(fingerprint)).await.unwrap();
    assert_eq!(done, Certified::Yes);
    opened.enrolment
}

pub(super) fn arrival<'a>(fingerprint: &'a str, udid: &'a str, serial: &'a str) -> Arrival<'a> {
    Arrival { fingerprint, udid, serial, model: "iPad13,18", os_version: "18.1" }
}

pub(super) async fn enrolled(
    inventory: &Inventory,
    fingerprint: &str,
    udid: &str,
    serial: &str,
) -> EnrolmentId {
    invite(inventory, fingerprint, 1, None).await;
    let id = certified(inventory, fingerprint, fingerprint).await;
    let arrived = inventory.mdm_arrive(BY, arrival(fingerprint, udid, serial)).await.unwrap();
    assert_eq!(arrived, Arrived::Welcome(id));
    let how = Reachable { push: "sealed", unlock_token: Some("unlock"), awaiting: false, welcome: &[] };
    inventory.mdm_reachable(BY, id, how).await.unwrap();
    id
}

pub(super) fn command(enrolment: EnrolmentId, kind: &str, replaces: &str) -> NewCommand {
    NewCommand {
        enrolment,
        kind: kind.into(),
        body: format!("sealed {kind}"),
        replaces: replaces.into(),
        repeatable: kind != "DeviceLock",
        priority: 0,
        ends_at: BY.at.plus_secs(HOUR),
    }
}

async fn states(inventory: &Inventory, ipad: EnrolmentId) -> Vec<CommandState> {
    inventory.commands_of(ipad, 50).await.unwrap().into_iter().rev().map(|c| c.state).collect()
}

pub(super) async fn a_challenge_gets_one_key_a_certificate_and_only_in_time(open: Open) {
    let inventory = open.inventory().await;
    invite(&inventory, "link", 2, None).await;
    assert_eq!(inventory.open_invitation(BY, "other", "c", BY.at.plus_secs(900), None).await.unwrap(), None);
    let opened = inventory
        .open_invitation(BY, "link", "c", BY.at.plus_secs(900), Some("lea@schule.example"))
        .await
        .unwrap()
        .unwrap();
    let held = inventory.challenge("c", BY.at).await.unwrap().unwrap();
    assert_eq!((held.enrolment, held.key_hash), (opened.enrolment, None));
    assert_eq!(inventory.challenge("c", at(900).at).await.unwrap(), None);

    assert_eq!(inventory.certify(at(901), "c", "k1", certificate("f0")).await.unwrap(), Certified::No);
    assert_eq!(inventory.certify(at(5), "c", "k1", certificate("f1")).await.unwrap(), Certified::Yes);
    let again = inventory.certify(at(6), "c", "k1", certificate("f2")).await.unwrap();
    assert_eq!(again, Certified::Yes, "the answer was lost, and the same key asks again");
    let other = inventory.certify(at(7), "c", "k2", certificate("f3")).await.unwrap();
    assert_eq!(other, Certified::No, "a challenge that was overheard");
    assert_eq!(inventory.enrolment_of_certificate("f1", BY.at).await.unwrap(), Some(opened.enrolment));
    assert_eq!(inventory.enrolment_of_certificate("f3", BY.at).await.unwrap(), None);
}

pub(super) async fn an_invitation_is_for_so_many_ipads_and_no_more(open: Open) {
    let inventory = open.inventory().await;
    let group = inventory.create_group(BY, "7b").await.unwrap();
    invite(&inventory, "link", 1, Some(group.id)).await;
    // Both opened the link before either arrived.
    let first = certified(&inventory, "link", "f1").await;
    certified(&inventory, "link", "f2").await;
    let arrived = inventory.mdm_arrive(BY, arrival("f1", "U1", "DMPX0001")).await.unwrap();
    assert_eq!(arrived, Arrived::Welcome(first));
    let again = inventory.mdm_arrive(BY, arrival("f1", "U1", "DMPX0001")).await.unwrap();
    assert_eq!(again, Arrived::Welcome(first), "saying it twice costs nothing");
    let late = inventory.mdm_arrive(BY, arrival("f2", "U2", "DMPX0002")).await.unwrap();
    assert!(matches!(late, Arrived::Refused(_)));
    assert_eq!(inventory.invitations(BY.at).await.unwrap(), []);
    assert_eq!(inventory.open_invitation(BY, "link", "c9", BY.at.plus_secs(900), None).await.unwrap(), None);

    let (ipads, problems) = inventory.enrolments().await.unwrap();
    assert!(problems.is_empty());
    let [ipad] = ipads.as_slice() else { panic!("one iPad: {ipads:?}") };
    assert_eq!((ipad.state, ipad.serial.as_str()), (EnrolmentState::Authenticated, "DMPX0001"));
    let device = inventory.device(ipad.device.unwrap()).await.unwrap().unwrap();
    assert_eq!((device.name.as_str(), device.room.name.as_str()), ("ipad-dmpx0001", "Raum 204"));
    assert!(
        conflict(
            inventory
                .create_invitation(
                    BY,
                    NewInvitation {
                        hash: "x",
                        device: None,
                        room: device.room.id,
                        group: None,
                        uses: 0,
                        ends_at: BY.at,
                    }
                )
                .await
        )
        .contains("iPads")
    );
}

pub(super) async fn a_certificate_belongs_to_one_ipad(open: Open) {
    let inventory = open.inventory().await;
    let id = enrolled(&inventory, "f1", "U1", "DMPX0001").await;
    let stolen = inventory.mdm_arrive(BY, arrival("f1", "U2", "DMPX0002")).await.unwrap();
    assert!(matches!(stolen, Arrived::Refused(_)));
    assert!(matches!(inventory.mdm_arrive(BY, arrival("fx", "U1", "")).await.unwrap(), Arrived::Refused(_)));

    // Renewed: both hold until the new one was used.
    assert_eq!(inventory.renew_certificate(BY, "f1", certificate("f2")).await.unwrap(), Certified::Yes);
    assert_eq!(inventory.enrolment_of_certificate("f1", BY.at).await.unwrap(), Some(id));
    inventory.revoke_older_certificates(BY, id, "f2").await.unwrap();
    assert_eq!(inventory.enrolment_of_certificate("f1", BY.at).await.unwrap(), None);
    assert_eq!(inventory.renew_certificate(BY, "f1", certificate("f3")).await.unwrap(), Certified::No);
    let known = inventory.enrolment(id).await.unwrap().unwrap();
    assert_eq!(known.certificate.as_deref(), Some("f2"));

    inventory.mdm_leave(BY, id).await.unwrap();
    assert_eq!(inventory.enrolment_of_certificate("f2", BY.at).await.unwrap(), None);
    assert_eq!(inventory.enrolments().await.unwrap().0, []);
}

pub(super) async fn an_ipad_that_enrols_anew_is_the_same_device(open: Open) {
    let inventory = open.inventory().await;
    let before = enrolled(&inventory, "f1", "U1", "DMPX0001").await;
    inventory.queue_commands(BY, &[command(before, "DeviceLock", "")]).await.unwrap();
    let device = inventory.enrolment(before).await.unwrap().unwrap().device;
    let after = enrolled(&inventory, "f2", "U1", "DMPX0001").await;
    assert_ne!(before, after);
    let (ipads, _) = inventory.enrolments().await.unwrap();
    assert_eq!(ipads.iter().map(|ipad| (ipad.id, ipad.device)).collect::<Vec<_>>(), [(after, device)]);
    assert_eq!(states(&inventory, before).await, [CommandState::Cancelled]);
    assert_eq!(
        inventory.enrolment_of_certificate("f1", BY.at).await.unwrap(),
        None,
        "the old certificate is void"
    );
    assert_eq!(inventory.sealed_unlock_token(after).await.unwrap().as_deref(), Some("unlock"));
    let how = Reachable { push: "sealed 2", unlock_token: None, awaiting: false, welcome: &[] };
    inventory.mdm_reachable(BY, after, how).await.unwrap();
    let kept = inventory.sealed_unlock_token(after).await.unwrap();
    assert_eq!(kept.as_deref(), Some("unlock"), "one that is absent leaves the one from before");
}

pub(super) async fn commands_go_out_in_order_and_end_once(open: Open) {
    let inventory = open.inventory().await;
    let ipad = enrolled(&inventory, "f1", "U1", "DMPX0001").await;
    let mut urgent = command(ipad, "SecurityInfo", "");
    urgent.priority = 5;
    let list = [command(ipad, "ProfileList", "p"), command(ipad, "ProfileList", "p"), urgent];
    let ids = inventory.queue_commands(BY, &list).await.unwrap();
    assert_eq!(inventory.ipads_with_commands(BY.at).await.unwrap(), [ipad].into());
    let next = inventory.next_command(BY, ipad, None).await.unwrap().unwrap();
    assert_eq!((next.id, next.body.as_str()), (ids[2], "sealed SecurityInfo"), "the urgent one first");
    let again = inventory.next_command(BY, ipad, None).await.unwrap().unwrap();
    assert_eq!(again.id, ids[2], "what was not answered is sent again");

    let done =
        Outcome::Done(Some(Found { kind: "security", body: serde_json::json!({"a": 1}), facts: None }));
    let next = inventory.next_command(BY, ipad, Some((ids[2], done.clone()))).await.unwrap().unwrap();
    assert_eq!(next.id, ids[1], "the second ProfileList took the place of the first");
    let next =
        inventory.next_command(BY, ipad, Some((ids[2], Outcome::Failed("late".into())))).await.unwrap();
    assert_eq!(next.unwrap().id, ids[1], "an outcome that comes twice changes nothing");
    let later = BY.at.plus_secs(300);
    let next = inventory.next_command(BY, ipad, Some((ids[1], Outcome::NotNow))).await.unwrap();
    assert_eq!(next, None, "not again in this session");
    assert_eq!(inventory.ipads_with_commands(BY.at).await.unwrap(), [].into());
    assert_eq!(inventory.ipads_with_commands(later).await.unwrap(), [ipad].into(), "woken after a while");
    let next = inventory.next_command(at(61), ipad, None).await.unwrap().unwrap();
    assert_eq!(next.id, ids[1]);
    for n in 1..=5 {
        let next =
            inventory.next_command(at(61 + n), ipad, Some((ids[1], Outcome::Unreadable("?".into())))).await;
        assert_eq!(next.unwrap().is_some(), n < 5, "a command whose answers make no sense stops nobody");
    }
    let expected = [CommandState::Superseded, CommandState::Failed, CommandState::Done];
    assert_eq!(states(&inventory, ipad).await, expected);
    let reports = inventory.ipad_reports(ipad).await.unwrap();
    assert_eq!(reports.len(), 1);
    assert_eq!((reports[0].kind.as_str(), &reports[0].body["a"]), ("security", &serde_json::json!(1)));
}

pub(super) async fn commands_end_in_time_and_are_forgotten(open: Open) {
    let inventory = open.inventory().await;
    let ipad = enrolled(&inventory, "f1", "U1", "DMPX0001").await;
    let other = enrolled(&inventory, "f2", "U2", "DMPX0002").await;
    let ids = inventory.queue_commands(BY, &[command(ipad, "DeviceLock", "")]).await.unwrap();
    let strange = inventory.next_command(BY, other, Some((ids[0], Outcome::Done(None)))).await.unwrap();
    assert_eq!(
        (strange, states(&inventory, ipad).await),
        (None, vec![CommandState::Queued]),
        "it is not its own"
    );
    assert_eq!(inventory.next_command(at(HOUR), ipad, None).await.unwrap(), None, "its time is over");
    let tidied = inventory.tidy_ipads(at(HOUR), BY.at).await.unwrap();
    assert_eq!((tidied.expired, tidied.forgotten), (1, 0));
    assert_eq!(states(&inventory, ipad).await, [CommandState::Expired]);
    assert_eq!(inventory.tidy_ipads(at(2 * HOUR), at(2 * HOUR).at).await.unwrap().forgotten, 1);
    assert_eq!(states(&inventory, ipad).await, []);
    let ids = inventory.queue_commands(BY, &[command(ipad, "DeviceLock", "")]).await.unwrap();
    inventory.cancel_command(BY, ipad, ids[0]).await.unwrap();
    assert!(inventory.cancel_command(BY, ipad, ids[0]).await.is_err());
}

pub(super) async fn a_newer_command_holds_an_older_one_back_that_was_sent(open: Open) {
    let inventory = open.inventory().await;
    let ipad = enrolled(&inventory, "f1", "U1", "DMPX0001").await;
    let on = inventory.queue_commands(BY, &[command(ipad, "EnableLostMode", "lost")]).await.unwrap()[0];
    assert_eq!(inventory.next_command(BY, ipad, None).await.unwrap().unwrap().id, on);
    let off = inventory.queue_commands(BY, &[command(ipad, "DisableLostMode", "lost")]).await.unwrap()[0];
    // The iPad is too busy for the first one and hears of the second.
    assert_eq!(inventory.next_command(BY, ipad, Some((on, Outcome::NotNow))).await.unwrap().unwrap().id, off);
    assert_eq!(inventory.next_command(BY, ipad, Some((off, Outcome::Done(None)))).await.unwrap(), None);
    assert_eq!(inventory.next_command(at(600), ipad, None).await.unwrap(), None, "it is not lost again");
    assert_eq!(states(&inventory, ipad).await, [CommandState::Superseded, CommandState::Done]);
}

pub(super) async fn whoever_says_to_be_a_known_device_needs_its_numbers(open: Open) {
    let inventory = open.inventory().await;
    let ipad = enrolled(&inventory, "f1", "U1", "DMPX0001").await;
    let device = inventory.enrolment(ipad).await.unwrap().unwrap().device.unwrap();
    invite(&inventory, "link", 5, None).await;
    certified(&inventory, "link", "f2").await;
    let same_udid = inventory.mdm_arrive(BY, arrival("f2", "U1", "DMPX0002")).await.unwrap();
    assert!(matches!(same_udid, Arrived::Refused(_)));
    certified(&inventory, "link", "f3").await;
    let same_serial = inventory.mdm_arrive(BY, arrival("f3", "U3", "DMPX0001")).await.unwrap();
    let Arrived::Welcome(other) = same_serial else { panic!("{same_serial:?}") };
    let other = inventory.enrolment(other).await.unwrap().unwrap().device.unwrap();
    assert_ne!(other, device, "an enrolled iPad stays the only one that is its device");
    // An invitation for one device is for that device.
    let ends_at = BY.at.plus_secs(24 * HOUR);
    let room = room(&inventory).await.id;
    let new = NewInvitation { hash: "own", device: Some(device), room, group: None, uses: 1, ends_at };
    inventory.create_invitation(BY, new).await.unwrap();
    certified(&inventory, "own", "f4").await;
    let stranger = inventory.mdm_arrive(BY, arrival("f4", "U4", "DMPX0004")).await.unwrap();
    assert!(matches!(stranger, Arrived::Refused(_)));
}

pub(super) async fn what_must_not_happen_twice_is_handed_out_once(open: Open) {
    let inventory = open.inventory().await;
    let ipad = enrolled(&inventory, "f1", "U1", "DMPX0001").await;
    let list = [command(ipad, "DeviceLock", ""), command(ipad, "ProfileList", "")];
    let ids = inventory.queue_commands(BY, &list).await.unwrap();
    assert_eq!(inventory.next_command(BY, ipad, None).await.unwrap().unwrap().id, ids[0]);
    // The iPad asks again without having answered: the lock may have happened.
    for _ in 0..2 {
        assert_eq!(inventory.next_command(BY, ipad, None).await.unwrap().unwrap().id, ids[1]);
    }
    assert_eq!(inventory.next_command(BY, ipad, Some((ids[1], Outcome::Done(None)))).await.unwrap(), None);
    assert_eq!(inventory.next_command(BY, ipad, Some((ids[0], Outcome::Done(None)))).await.unwrap(), None);
    assert_eq!(states(&inventory, ipad).await, [CommandState::Done, CommandState::Done]);
    assert!(!inventory.has_commands(ipad, BY.at).await.unwrap());
    // Handed out again and again without an answer, a command is given up.
    inventory
        .queue_commands(BY, &[command(ipad, "ProfileList", ""), command(ipad, "SecurityInfo", "")])
        .await
        .unwrap();
    let mut kinds = Vec::new();
    while let Some(next) = inventory.next_command(BY, ipad, None).await.unwrap() {
        kinds.push(next.kind);
    }
    assert_eq!(kinds.len(), 10, "five times each: {kinds:?}");
    assert_eq!(inventory.tidy_ipads(BY, BY.at).await.unwrap().unanswered, 2);
}

/// An iPad says which card it has.
pub(super) async fn has_card(inventory: &Inventory, ipad: EnrolmentId, card: inventory::MacAddr) {
    let ids = inventory.queue_commands(BY, &[command(ipad, "DeviceInformation", "")]).await.unwrap();
    let facts = Facts { card: Some(card), model: "iPad14,1".into(), os_version: "18.2".into() };
    let found = Found { kind: "device", body: serde_json::json!({}), facts: Some(facts) };
    inventory.next_command(BY, ipad, Some((ids[0], Outcome::Done(Some(found))))).await.unwrap();
}

pub(super) async fn the_card_of_an_ipad_belongs_to_its_device(open: Open) {
    let inventory = open.inventory().await;
    let (one, two) =
        (enrolled(&inventory, "f1", "U1", "DMPX1").await, enrolled(&inventory, "f2", "U2", "DMPX2").await);
    let card: inventory::MacAddr = "52:54:00:aa:bb:01".parse().unwrap();
    for ipad in [one, one, two] {
        has_card(&inventory, ipad, card).await;
    }
    let owner = inventory.device_by_mac(card).await.unwrap().unwrap();
    assert_eq!(owner.name.as_str(), "ipad-dmpx1", "a card that is somebody's stays theirs");
    let ipad = inventory.enrolment(two).await.unwrap().unwrap();
    assert_eq!((ipad.model.as_str(), ipad.os_version.as_str()), ("iPad14,1", "18.2"));
    let newer = "52:54:00:aa:bb:02".parse().unwrap();
    has_card(&inventory, one, newer).await;
    assert_eq!(inventory.device_by_mac(card).await.unwrap(), None, "an iPad has one card");
    assert_eq!(inventory.device_by_mac(newer).await.unwrap().unwrap().id, owner.id);
    inventory.note_ipads_seen(&[(one, at(5).at)]).await.unwrap();
    assert_eq!(inventory.device(owner.id).await.unwrap().unwrap().last_seen, Some(at(5).at));
}

pub(super) async fn what_is_asked_of_an_ipad_becomes_a_command(open: Open) {
    let inventory = open.inventory().await;
    let ipad = enrolled(&inventory, "f1", "U1", "DMPX0001").await;
    let (ends, lock) = (BY.at.plus_secs(600), Action::Lock { message: "Bitte abgeben".into() });
    let stranger = EnrolmentId::random();
    assert_eq!(inventory.ask_ipads(BY, &[ipad, stranger], &lock, "", ends).await.unwrap(), 1);
    assert_eq!(inventory.ask_ipads(BY, &[ipad], &lock, "", ends).await.unwrap(), 0, "it is asked already");
    assert_eq!(inventory.ask_ipads(BY, &[ipad], &Action::Erase, "verkauft", ends).await.unwrap(), 1);
    let asked = inventory.asked_of_ipads(BY.at, 10).await.unwrap();
    assert_eq!(
        asked.iter().map(|a| (a.ipad, a.action.clone().unwrap())).collect::<Vec<_>>(),
        [(ipad, lock), (ipad, Action::Erase)]
    );
    assert_eq!(
        inventory.asked_of_ipads(ends, 10).await.unwrap(),
        [],
        "what is asked too long ago is not done"
    );
    assert_eq!(inventory.next_command(BY, ipad, None).await.unwrap(), None, "no command was made of it yet");
    let answers = [
        (asked[0].clone(), Ok(vec![command(ipad, "DeviceLock", "lock")])),
        (asked[1].clone(), Err("this iPad is not supervised")),
    ];
    inventory.answer_asked(BY, &answers).await.unwrap();
    assert_eq!(inventory.next_command(BY, ipad, None).await.unwrap().unwrap().kind, "DeviceLock");
    let commands = inventory.commands_of(ipad, 10).await.unwrap();
    assert_eq!((commands[0].state, commands[0].reason.as_str()), (CommandState::Failed, "verkauft"));
    assert!(commands[0].problem.as_deref().unwrap().contains("supervised"));
    assert_eq!(UnixMillis(commands[0].created_at.0), BY.at);
}

pub(super) async fn many_ipads_share_a_commit(open: Open) {
    let inventory = open.inventory().await;
    let mut ipads = Vec::new();
    for n in 0..5 {
        ipads.push(enrolled(&inventory, &format!("f{n}"), &format!("U{n}"), &format!("DMPX{n}")).await);
    }
    let mut ids = Vec::new();
    for ipad in &ipads {
        let list = [command(*ipad, "ProfileList", ""), command(*ipad, "DeviceLock", "")];
        ids.push(inventory.queue_commands(BY, &list).await.unwrap());
    }
    let begin = |ipad: usize| Turn { ipad: ipads[ipad], outcome: None };
    let say = |ipad: usize, id, outcome| Turn { ipad: ipads[ipad], outcome: Some((id, outcome)) };
    let given = |next: &Next| match next {
        Next::Command(queued) => Some(queued.id),
        Next::Later | Next::Nothing => None,
    };
    let next = inventory.take_turns(BY, &[begin(0), begin(1), begin(2), begin(3), begin(4)]).await.unwrap();
    let first: Vec<_> = ids.iter().map(|ids| Some(ids[0])).collect();
    assert_eq!(
        next.iter().map(given).collect::<Vec<_>>(),
        first,
        "each gets its own, in the order of the turns"
    );

    let found = |a: u32| Found { kind: "profiles", body: serde_json::json!({ "a": a }), facts: None };
    let turns = [
        say(0, ids[0][0], Outcome::Done(Some(found(0)))),
        say(1, ids[1][0], Outcome::NotNow),
        // Of somebody else's command.
        say(2, ids[3][0], Outcome::Done(Some(found(2)))),
        say(3, ids[3][0], Outcome::Done(Some(found(3)))),
        say(4, ids[4][0], Outcome::Failed("no".into())),
        // The same message arrives twice, and the next one behind it.
        say(0, ids[0][0], Outcome::Done(Some(found(9)))),
        say(3, ids[3][1], Outcome::Done(None)),
    ];
    let next = inventory.take_turns(BY, &turns).await.unwrap();
    let expected = [
        Some(ids[0][1]),
        Some(ids[1][1]),
        Some(ids[2][0]), // asked again without an answer
        Some(ids[3][1]),
        Some(ids[4][1]),
        None, // a lock is not handed out twice
        None,
    ];
    assert_eq!(next.iter().map(given).collect::<Vec<_>>(), expected);
    assert_eq!((&next[5], &next[6]), (&Next::Nothing, &Next::Nothing));
    use CommandState::{Done, Failed, NotNow, Sent};
    let expected = [[Done, Sent], [NotNow, Sent], [Sent, CommandState::Queued], [Done, Done], [Failed, Sent]];
    for (ipad, expected) in ipads.iter().zip(expected) {
        assert_eq!(states(&inventory, *ipad).await, expected);
    }
    let reports = inventory.ipad_reports(ipads[0]).await.unwrap();
    assert_eq!(reports[0].body["a"], 0, "what comes twice counts once");
    assert_eq!(inventory.ipad_reports(ipads[2]).await.unwrap(), []);
    let next = inventory.take_turns(BY, &[say(1, ids[1][1], Outcome::Done(None))]).await.unwrap();
    assert_eq!(next, [Next::Later], "what it was too busy for waits for its next session");
}

pub(super) async fn the_tables_stay_flat_over_a_hundred_days(open: Open) {
    let inventory = open.inventory().await;
    let mut ipads = Vec::new();
    for n in 0..4 {
        ipads.push(enrolled(&inventory, &format!("f{n}"), &format!("U{n}"), &format!("DMPX{n}")).await);
    }
    let mut sizes = Vec::new();
    for day in 0..100_u64 {
        let morning = at(day * 24 * HOUR);
        // One iPad never asks, and one enrols anew each week.
        if day % 7 == 6 {
            ipads[1] = arrives_anew(&inventory, morning, &format!("w{day}")).await;
        }
        let until = morning.at.plus_secs(12 * HOUR);
        let wanted = |ipad| {
            ["ProfileList", "DeviceInformation", "DeviceLock"]
                .map(|kind| NewCommand { ends_at: until, ..command(ipad, kind, kind) })
        };
        let all: Vec<_> = ipads.iter().flat_map(|ipad| wanted(*ipad)).collect();
        inventory.queue_commands(morning, &all).await.unwrap();
        let mut turns: Vec<_> = ipads[1..].iter().map(|ipad| Turn { ipad: *ipad, outcome: None }).collect();
        while !turns.is_empty() {
            let next = inventory.take_turns(morning, &turns).await.unwrap();
            let going_on = turns.into_iter().zip(next).filter_map(|(turn, next)| match next {
                Next::Command(queued) => {
                    Some(Turn { ipad: turn.ipad, outcome: Some((queued.id, Outcome::Done(None))) })
                }
                Next::Later | Next::Nothing => None,
            });
            turns = going_on.collect();
        }
        for ipad in &ipads[1..] {
            inventory
                .keep_ipad_report(morning, *ipad, "status", &serde_json::json!({ "day": day }))
                .await
                .unwrap();
            inventory.note_ipads_seen(&[(*ipad, morning.at)]).await.unwrap();
        }
        let evening = at(day * 24 * HOUR + 20 * HOUR);
        let forget = UnixMillis(evening.at.0 - 30 * 86_400_000);
        inventory.tidy_ipads(evening, forget).await.unwrap();
        let mut commands = 0;
        for ipad in &ipads {
            commands += inventory.commands_of(*ipad, 100_000).await.unwrap().len();
        }
        let answers = ["queued", "done", "reported"];
        let log = inventory.changes_since(0, 100_000).await.unwrap();
        let log = log.iter().filter(|change| answers.contains(&change.action.as_str())).count();
        sizes.push((commands, log));
    }
    // A week of enrolments more or less.
    let most = |days: &[(usize, usize)]| {
        (days.iter().map(|it| it.0).max().unwrap(), days.iter().map(|it| it.1).max().unwrap())
    };
    assert_eq!(most(&sizes[50..75]), most(&sizes[75..]), "{sizes:?}");
    assert!(sizes[99].0 <= 31 * 4 * 3, "{:?}", sizes[99]);
}

async fn arrives_anew(inventory: &Inventory, by: By<'_>, fingerprint: &str) -> EnrolmentId {
    let room = room(inventory).await.id;
    let ends_at = by.at.plus_secs(HOUR);
    let new = NewInvitation { hash: fingerprint, device: None, room, group: None, uses: 1, ends_at };
    inventory.create_invitation(by, new).await.unwrap();
    let opened =
        inventory.open_invitation(by, fingerprint, fingerprint, ends_at, None).await.unwrap().unwrap();
    let new = NewCertificate { ends_at: by.at.plus_secs(365 * 24 * HOUR), ..certificate(fingerprint) };
    assert_eq!(inventory.certify(by, fingerprint, "key", new).await.unwrap(), Certified::Yes);
    let arrived = inventory.mdm_arrive(by, arrival(fingerprint, "U1", "DMPX1")).await.unwrap();
    assert_eq!(arrived, Arrived::Welcome(opened.enrolment));
    let how = Reachable { push: "sealed", unlock_token: None, awaiting: false, welcome: &[] };
    inventory.mdm_reachable(by, opened.enrolment, how).await.unwrap();
    opened.enrolment
}
