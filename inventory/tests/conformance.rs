//! One suite of promises, kept on both engines. Each promise gets an empty database.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a broken promise should end the test"
)]
use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::time::Duration;

use inventory::night::{NightNote, NightPlan, NightState, PcTonight};
use inventory::{
    By, DeviceId, DhcpMode, Error, Filter, FilterId, Interface, InterfaceKind, Inventory, JobProgress,
    JobResult, JobState, JobTask, KeyFingerprint, Lease, LeaseState, ListAction, ListId, MailLogin,
    MailSecurity, MailSettings, Network, NetworkId, NewDevice, NewList, Observed, POWER_MILLIS, Power,
    PowerState, RoomId, Sighting, UnixMillis, WAITING_MAX, YouTube,
};

#[path = "conformance/accounts.rs"]
mod accounts;
#[path = "conformance/apple.rs"]
mod apple;
#[path = "conformance/apps.rs"]
mod apps;
#[path = "conformance/backup.rs"]
mod backup;
#[path = "conformance/faults.rs"]
mod faults;
#[path = "conformance/gate.rs"]
mod gate;
#[path = "conformance/imports.rs"]
mod imports;
#[path = "conformance/ipads.rs"]
mod ipads;
#[path = "conformance/rules.rs"]
mod rules;
#[path = "conformance/software.rs"]
mod software;
#[path = "conformance/support.rs"]
mod support;
#[path = "conformance/wlan.rs"]
mod wlan;

use support::a_support_bundle_learns_the_shape_and_whose_words_are_in_it;

use accounts::{
    a_code_is_good_once_and_so_is_a_recovery_code, a_new_password_ends_all_sessions_but_the_own,
    a_school_keeps_an_admin, a_token_works_until_it_ends_or_is_removed, classes_are_renamed_and_counted,
    half_a_session_opens_nothing, people_are_found_by_name_role_and_class, sessions_end,
};
use apple::{
    a_certificate_is_renewed_by_a_challenge_of_its_ipad, an_ipad_waits_until_it_is_told_to_go_on,
    ipads_of_apple_school_manager_come_in_where_they_belong, what_apple_gave_is_kept_and_replaced,
};
use apps::{
    a_licence_outlives_app_and_ipad_until_it_is_given_back,
    an_app_is_given_to_a_target_once_and_goes_with_it, the_catalogue_is_apples_and_the_names_are_the_stores,
    what_an_ipad_is_told_and_the_commands_for_it_are_one_step,
};
use backup::{
    a_backup_is_asked_for_once_and_nothing_beside_a_restore, the_database_is_a_file_and_comes_back_from_it,
};
use faults::a_fault_is_reported_once_taken_and_mended;
use gate::{
    a_later_rule_takes_the_place_of_an_earlier_one_but_exams_stand_beside_each_other,
    addresses_that_nothing_explains_are_kept_and_bounded, an_exam_and_its_rules_begin_and_end_together,
    devices_keep_their_numbers_and_numbers_are_never_reused, lessons_are_kept,
    rules_about_nothing_and_rules_that_end_before_they_begin_are_refused,
    the_gate_is_told_of_rooms_groups_owners_and_visits, the_timetable_makes_rules_of_the_days_ahead,
    what_is_seen_of_an_exam_adds_up, what_the_kernel_enforces_is_written_down,
};
use wlan::{
    a_voucher_is_found_by_its_code_and_what_is_sealed_belongs_to_one,
    an_access_point_has_a_sealed_secret_of_its_own, rules_are_saved_whole_and_never_over_somebody_elses,
    somebody_who_joins_is_known_with_classes_and_certificate,
    who_joined_is_known_counted_and_followed_through_the_rooms,
};

use imports::{
    a_device_that_comes_back_is_the_one_that_went, a_password_is_hashed_again_unless_it_was_changed,
    an_import_is_all_or_nothing_and_never_of_an_old_plan,
    an_import_that_is_broken_off_has_done_all_or_nothing, devices_are_taken_over_from_files_and_back,
    only_the_last_import_is_taken_back_and_old_ones_are_forgotten, people_are_taken_over_from_files_and_back,
    what_somebody_else_has_meanwhile_is_not_given_back,
    who_was_changed_since_an_import_is_left_alone_when_it_is_taken_back,
};
use ipads::{
    a_certificate_belongs_to_one_ipad, a_challenge_gets_one_key_a_certificate_and_only_in_time,
    a_newer_command_holds_an_older_one_back_that_was_sent, an_invitation_is_for_so_many_ipads_and_no_more,
    an_ipad_that_enrols_anew_is_the_same_device, commands_end_in_time_and_are_forgotten,
    commands_go_out_in_order_and_end_once, many_ipads_share_a_commit,
    the_card_of_an_ipad_belongs_to_its_device, the_tables_stay_flat_over_a_hundred_days,
    what_is_asked_of_an_ipad_becomes_a_command, what_must_not_happen_twice_is_handed_out_once,
    whoever_says_to_be_a_known_device_needs_its_numbers,
};

use rules::{
    an_ipad_is_told_once_of_what_it_should_have, rules_for_ipads_are_kept_sealed,
    rules_hold_for_whom_and_when_they_say,
};

use self::software::{
    a_catalogue_has_no_two_entries_for_the_same_pcs,
    a_program_is_wished_once_of_the_same_pcs_and_not_removed_meanwhile,
    what_a_pc_has_and_what_became_of_steps_make_its_plan,
};

type Promise = fn(Open) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// Opens the promise's own database; each call is a separate set of connections, as another process would have.
#[derive(Clone)]
struct Open(String);

impl Open {
    async fn inventory(&self) -> Inventory {
        Inventory::open(&self.0).await.unwrap()
    }
}

macro_rules! promises {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), |open| Box::pin($name(open)))),*] };
}

const PROMISES: &[(&str, Promise)] = promises![
    daemons_that_start_at_once_share_a_new_database,
    a_change_of_another_process_is_seen_within_100_ms,
    rooms_have_unique_names_and_go_only_when_empty,
    a_waiting_pc_is_approved_once_and_gets_its_job,
    a_known_card_cannot_be_taken_over,
    the_waiting_list_is_bounded_and_prefers_the_living,
    a_swapped_disk_is_approved_into_the_same_device,
    a_job_goes_its_way_and_only_once,
    a_device_has_one_open_job,
    a_pc_is_asked_to_switch_on_and_told_once_to_switch_off,
    it_is_known_how_e_mail_is_sent_and_what_was,
    a_backup_is_asked_for_once_and_nothing_beside_a_restore,
    the_database_is_a_file_and_comes_back_from_it,
    a_fault_is_reported_once_taken_and_mended,
    a_support_bundle_learns_the_shape_and_whose_words_are_in_it,
    a_voucher_is_found_by_its_code_and_what_is_sealed_belongs_to_one,
    an_access_point_has_a_sealed_secret_of_its_own,
    rules_are_saved_whole_and_never_over_somebody_elses,
    somebody_who_joins_is_known_with_classes_and_certificate,
    who_joined_is_known_counted_and_followed_through_the_rooms,
    a_room_has_a_night_shift_and_what_came_of_it_is_kept,
    image_versions_count_up_and_repeat_nothing,
    an_address_has_one_holder_whoever_gives_it,
    a_lease_batch_is_all_or_nothing_and_survives_reopening,
    bad_rows_cost_only_themselves,
    overlapping_or_broken_networks_are_refused,
    sessions_end,
    half_a_session_opens_nothing,
    a_new_password_ends_all_sessions_but_the_own,
    a_school_keeps_an_admin,
    people_are_found_by_name_role_and_class,
    classes_are_renamed_and_counted,
    a_code_is_good_once_and_so_is_a_recovery_code,
    a_token_works_until_it_ends_or_is_removed,
    the_change_log_tells_who_did_what_in_order,
    notices_appear_and_disappear_with_their_cause,
    the_boot_decision_follows_the_inventory,
    a_later_rule_takes_the_place_of_an_earlier_one_but_exams_stand_beside_each_other,
    rules_about_nothing_and_rules_that_end_before_they_begin_are_refused,
    the_gate_is_told_of_rooms_groups_owners_and_visits,
    devices_keep_their_numbers_and_numbers_are_never_reused,
    what_the_kernel_enforces_is_written_down,
    an_exam_and_its_rules_begin_and_end_together,
    what_is_seen_of_an_exam_adds_up,
    the_timetable_makes_rules_of_the_days_ahead,
    addresses_that_nothing_explains_are_kept_and_bounded,
    lessons_are_kept,
    lists_are_written_by_people_and_counted_by_netd,
    a_filter_is_kept_with_its_lists,
    people_are_taken_over_from_files_and_back,
    who_was_changed_since_an_import_is_left_alone_when_it_is_taken_back,
    an_import_is_all_or_nothing_and_never_of_an_old_plan,
    an_import_that_is_broken_off_has_done_all_or_nothing,
    only_the_last_import_is_taken_back_and_old_ones_are_forgotten,
    devices_are_taken_over_from_files_and_back,
    a_device_that_comes_back_is_the_one_that_went,
    what_somebody_else_has_meanwhile_is_not_given_back,
    a_password_is_hashed_again_unless_it_was_changed,
    what_apple_gave_is_kept_and_replaced,
    ipads_of_apple_school_manager_come_in_where_they_belong,
    a_certificate_is_renewed_by_a_challenge_of_its_ipad,
    an_ipad_waits_until_it_is_told_to_go_on,
    a_challenge_gets_one_key_a_certificate_and_only_in_time,
    an_invitation_is_for_so_many_ipads_and_no_more,
    a_certificate_belongs_to_one_ipad,
    an_ipad_that_enrols_anew_is_the_same_device,
    commands_go_out_in_order_and_end_once,
    commands_end_in_time_and_are_forgotten,
    what_is_asked_of_an_ipad_becomes_a_command,
    what_must_not_happen_twice_is_handed_out_once,
    the_card_of_an_ipad_belongs_to_its_device,
    a_newer_command_holds_an_older_one_back_that_was_sent,
    whoever_says_to_be_a_known_device_needs_its_numbers,
    rules_for_ipads_are_kept_sealed,
    rules_hold_for_whom_and_when_they_say,
    an_ipad_is_told_once_of_what_it_should_have,
    the_catalogue_is_apples_and_the_names_are_the_stores,
    an_app_is_given_to_a_target_once_and_goes_with_it,
    a_licence_outlives_app_and_ipad_until_it_is_given_back,
    what_an_ipad_is_told_and_the_commands_for_it_are_one_step,
    a_catalogue_has_no_two_entries_for_the_same_pcs,
    a_program_is_wished_once_of_the_same_pcs_and_not_removed_meanwhile,
    what_a_pc_has_and_what_became_of_steps_make_its_plan,
    many_ipads_share_a_commit,
    the_tables_stay_flat_over_a_hundred_days,
];

const BY: By<'static> = By { actor: "test", at: UnixMillis(1_763_000_000_000) };

fn key(n: u8) -> KeyFingerprint {
    format!("{n:02x}").repeat(32).parse().unwrap()
}

fn hardware(mac: &str) -> serde_json::Value {
    serde_json::json!({ "vendor": "QEMU", "serial": "S1", "uuid": "u-1", "nics": [{ "mac": mac }, { "mac": "bad" }] })
}

async fn wait_for(inventory: &Inventory, key: &KeyFingerprint, mac: &str) -> inventory::Waiting {
    let hardware = hardware(mac);
    inventory.see_waiting(BY, &Sighting { key, hardware: &hardware, address: "10.77.0.50" }).await.unwrap()
}

async fn approved(inventory: &Inventory, n: u8) -> inventory::DeviceId {
    let room = match inventory.room_by_name("Raum 204").await.unwrap() {
        Some(room) => room,
        None => inventory.create_room(BY, "Raum 204").await.unwrap(),
    };
    let entry = wait_for(inventory, &key(n), &format!("52:54:00:00:00:{n:02x}")).await;
    let name = format!("r204-pc{n:02}").parse().unwrap();
    inventory.approve(BY, entry.id, &name, room.id, None, None).await.unwrap().0
}

fn conflict<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Conflict(text)) => text,
        other => panic!("expected a conflict, got {other:?}"),
    }
}

async fn a_change_of_another_process_is_seen_within_100_ms(open: Open) {
    let (here, there) = (open.inventory().await, open.inventory().await);
    let mut follower = here.follow();
    // The first look at the other's commits only learns where they stand.
    tokio::time::sleep(Duration::from_millis(150)).await;
    for n in 0..5 {
        follower.mark_unchanged();
        there.create_room(BY, &format!("Raum {n}")).await.unwrap();
        tokio::time::timeout(Duration::from_millis(100), follower.changed()).await.expect("in time").unwrap();
        assert_eq!(here.last_change().await.unwrap(), n + 1);
    }
}

async fn rooms_have_unique_names_and_go_only_when_empty(open: Open) {
    let inventory = open.inventory().await;
    let room = inventory.create_room(BY, " Raum 204 ").await.unwrap();
    assert_eq!(room.name, "Raum 204");
    assert!(conflict(inventory.create_room(BY, "Raum 204").await).contains("Raum 204"));
    assert!(matches!(inventory.create_room(BY, " ").await, Err(Error::Conflict(_))));
    let device = approved(&inventory, 1).await;
    assert!(conflict(inventory.delete_room(BY, room.id).await).contains("devices"));
    inventory.delete_device(BY, device).await.unwrap();
    inventory.delete_room(BY, room.id).await.unwrap();
    assert!(matches!(inventory.delete_room(BY, room.id).await, Err(Error::NotFound { .. })));
}

async fn a_waiting_pc_is_approved_once_and_gets_its_job(open: Open) {
    let inventory = open.inventory().await;
    let room = inventory.create_room(BY, "Raum 204").await.unwrap();
    let image = inventory.ensure_image(BY, "Debian").await.unwrap();
    inventory.add_version(BY, image, "m1", 10).await.unwrap();
    let entry = wait_for(&inventory, &key(1), "52:54:00:00:00:01").await;
    assert!(entry.code.len() == 6 && entry.code.bytes().all(|b| b.is_ascii_digit()));
    let again = wait_for(&inventory, &key(1), "52:54:00:00:00:01").await;
    assert_eq!((again.id, &again.code), (entry.id, &entry.code), "a second sighting is the same entry");

    let name = "r204-pc01".parse().unwrap();
    let (device, job) = inventory.approve(BY, entry.id, &name, room.id, Some(image), None).await.unwrap();
    let found = inventory.device_by_key(&key(1)).await.unwrap().unwrap();
    assert_eq!((found.id, found.name.as_str(), found.interfaces.len()), (device, "r204-pc01", 1));
    assert_eq!(inventory.open_job(device).await.unwrap().map(|j| j.id), job);
    assert!(inventory.waiting().await.unwrap().0.is_empty());
    let repeated = inventory.approve(BY, entry.id, &name, room.id, None, None).await;
    assert!(matches!(repeated, Err(Error::NotFound { .. })));
}

async fn a_known_card_cannot_be_taken_over(open: Open) {
    let inventory = open.inventory().await;
    let device = approved(&inventory, 1).await;
    let room = inventory.room_by_name("Raum 204").await.unwrap().unwrap();
    // Another machine claims the same card with a key of its own.
    let liar = wait_for(&inventory, &key(9), "52:54:00:00:00:01").await;
    let other = "r204-pc09".parse().unwrap();
    assert!(
        conflict(inventory.approve(BY, liar.id, &other, room.id, None, None).await)
            .contains("52:54:00:00:00:01")
    );
    let same = "r204-pc01".parse().unwrap();
    assert!(conflict(inventory.approve(BY, liar.id, &same, room.id, None, None).await).contains("r204-pc01"));
    assert_eq!(inventory.device(device).await.unwrap().unwrap().key, Some(key(1)));
    assert_eq!(inventory.waiting().await.unwrap().0.len(), 1, "nothing was half done");
}

async fn the_waiting_list_is_bounded_and_prefers_the_living(open: Open) {
    let inventory = open.inventory().await;
    let see = async |n: i64, at: i64| {
        let key = format!("{n:064x}").parse().unwrap();
        let hardware = hardware("52:54:00:00:00:01");
        let by = By { actor: "test", at: UnixMillis(at) };
        inventory.see_waiting(by, &Sighting { key: &key, hardware: &hardware, address: "" }).await
    };
    for n in 0..WAITING_MAX {
        see(n, 1000 + n).await.unwrap();
    }
    assert!(conflict(see(WAITING_MAX, 2000).await).contains("full"));
    see(WAITING_MAX, 1_000_000).await.expect("takes the place of one that went silent");
    let (list, _) = inventory.waiting().await.unwrap();
    assert_eq!(list.len() as i64, WAITING_MAX);
    assert!(!list.iter().any(|w| w.key.as_str() == format!("{:064x}", 0)));
    let codes: HashSet<_> = list.iter().map(|w| w.code.clone()).collect();
    assert_eq!(codes.len(), list.len(), "no two PCs show the same code");
}

async fn a_swapped_disk_is_approved_into_the_same_device(open: Open) {
    let inventory = open.inventory().await;
    let device = approved(&inventory, 1).await;
    let room = inventory.room_by_name("Raum 204").await.unwrap().unwrap();
    let entry = wait_for(&inventory, &key(2), "52:54:00:00:00:01").await;
    let name = "r204-pc01".parse().unwrap();
    let (again, _) = inventory.approve(BY, entry.id, &name, room.id, None, Some(device)).await.unwrap();
    assert_eq!(again, device);
    assert_eq!(inventory.device_by_key(&key(2)).await.unwrap().unwrap().id, device);
    assert!(inventory.device_by_key(&key(1)).await.unwrap().is_none(), "the old key is worth nothing");
}

async fn a_job_goes_its_way_and_only_once(open: Open) {
    let inventory = open.inventory().await;
    let device = approved(&inventory, 1).await;
    let image = inventory.ensure_image(BY, "Debian").await.unwrap();
    assert!(
        conflict(inventory.create_job(BY, device, JobTask::Deploy { image, version: None }).await)
            .contains("version")
    );
    let job = inventory.create_job(BY, device, JobTask::Capture { image }).await.unwrap();
    assert!(!inventory.note_progress(BY, job, &JobProgress::default()).await.unwrap(), "it does not run yet");
    inventory.start_job(BY, job, None).await.unwrap();
    inventory.start_job(BY, job, None).await.expect("the PC restarted in the middle");
    let progress = JobProgress {
        phase: "transfer".into(),
        done_bytes: 5,
        total_bytes: 10,
        at: BY.at,
        ..JobProgress::default()
    };
    assert!(inventory.note_progress(BY, job, &progress).await.unwrap());
    match inventory.job(job).await.unwrap().unwrap().state {
        JobState::Running { progress: seen, .. } => assert_eq!(seen, progress),
        other => panic!("{other:?}"),
    }
    let result = JobResult {
        bytes: 10,
        transferred: 4,
        peer_bytes: 3,
        kept_bytes: 2,
        manifest: "m".into(),
        version: 1,
        ..JobResult::default()
    };
    inventory.complete_job(BY, job, &result).await.unwrap();
    inventory.complete_job(BY, job, &result).await.expect("the PC repeats itself when the answer was lost");
    assert!(conflict(inventory.fail_job(BY, job, "no").await).contains("done"));
    assert!(conflict(inventory.start_job(BY, job, None).await).contains("over"));
    assert!(!inventory.note_progress(BY, job, &progress).await.unwrap());
    assert!(inventory.open_job(device).await.unwrap().is_none());
}

async fn a_device_has_one_open_job(open: Open) {
    let inventory = open.inventory().await;
    let device = approved(&inventory, 1).await;
    let image = inventory.ensure_image(BY, "Debian").await.unwrap();
    let first = inventory.create_job(BY, device, JobTask::Capture { image }).await.unwrap();
    assert!(
        conflict(inventory.create_job(BY, device, JobTask::Capture { image }).await).contains("open job")
    );
    assert!(conflict(inventory.delete_image(BY, image).await).contains("open"));
    inventory.cancel_job(BY, first).await.unwrap();
    inventory.create_job(BY, device, JobTask::Capture { image }).await.unwrap();
}

async fn it_is_known_how_e_mail_is_sent_and_what_was(open: Open) {
    let inventory = open.inventory().await;
    assert!(inventory.mail_settings().await.unwrap().is_none());
    let login = MailLogin { username: "hausmeister".into(), sealed_password: "sealed".into() };
    let mut mail = MailSettings {
        host: "mail.schule.example".into(),
        port: 465,
        security: MailSecurity::Tls,
        login: Some(login),
        sender: "Hausmeister <hausmeister@schule.example>".into(),
        recipients: vec!["a@schule.example".into(), "b@schule.example".into()],
        report: true,
        alerts: false,
    };
    for _ in 0..2 {
        inventory.set_mail_settings(BY, &mail).await.unwrap();
        assert!(inventory.mail_settings().await.unwrap() == Some(mail.clone()));
        (mail.login, mail.alerts, mail.security) = (None, true, MailSecurity::None);
    }

    let about = ["night 2026-11-22".to_owned(), "notice netd line".to_owned()];
    let later = UnixMillis(BY.at.0 + 61 * 24 * 3_600_000);
    for at in [BY.at, later] {
        inventory.keep_mail_sent(at, &about[..1], "a@schule.example").await.unwrap();
    }
    inventory.keep_mail_sent(later, &about, "b@schule.example").await.unwrap();
    let sent = inventory.mails_sent().await.unwrap();
    let when = |about: &str, to: &str| sent.get(&(about.to_owned(), to.to_owned())).copied();
    assert_eq!(when(&about[0], "a@schule.example"), Some(later));
    assert_eq!((when(&about[1], "b@schule.example"), sent.len()), (Some(later), 3));
    inventory
        .keep_mail_sent(UnixMillis(2 * later.0 - BY.at.0), &about[1..], "b@schule.example")
        .await
        .unwrap();
    assert_eq!(inventory.mails_sent().await.unwrap().len(), 1, "the others are long ago");
}

async fn a_pc_is_asked_to_switch_on_and_told_once_to_switch_off(open: Open) {
    let inventory = open.inventory().await;
    let device = approved(&inventory, 1).await;
    let at = |millis| By { at: UnixMillis(BY.at.0 + millis), ..BY };
    assert_eq!(inventory.ask_power(at(7), &[device, DeviceId::random()], Power::On).await.unwrap(), 1);
    let asks = inventory.power_asks(at(7).at, Some(device)).await.unwrap();
    assert_eq!(asks, inventory.power_asks(at(0).at, None).await.unwrap());
    let [ask] = asks.as_slice() else { panic!("{asks:?}") };
    assert_eq!((ask.device, ask.power, ask.asked_at, ask.told_at), (device, Power::On, at(7).at, None));
    assert_eq!(inventory.power_asks(at(8).at, None).await.unwrap(), []);
    let state = |seen: Option<i64>, now| ask.state(seen.map(|seen| at(seen).at), at(now).at);
    assert_eq!(state(Some(6), 8), PowerState::Open);
    assert_eq!(state(Some(7), 8), PowerState::Done);
    assert_eq!(state(None, 7 + POWER_MILLIS), PowerState::Silent);

    assert_eq!(inventory.ask_power(at(9), &[device], Power::Off).await.unwrap(), 1);
    let [off] = inventory.power_asks(at(0).at, None).await.unwrap()[..] else { panic!("not the only one") };
    assert!(!inventory.tell_power(at(10), ask).await.unwrap(), "something else is asked by now");
    assert!(inventory.tell_power(at(10), &off).await.unwrap());
    assert!(!inventory.tell_power(at(11), &off).await.unwrap(), "it knows");
    let [told] = inventory.power_asks(at(0).at, None).await.unwrap()[..] else { panic!("not the only one") };
    assert_eq!((told.told_at, told.state(None, at(11).at)), (Some(at(10).at), PowerState::Done));
    inventory.delete_device(BY, device).await.unwrap();
    assert_eq!(inventory.power_asks(at(0).at, None).await.unwrap(), []);
}

async fn a_room_has_a_night_shift_and_what_came_of_it_is_kept(open: Open) {
    let inventory = open.inventory().await;
    let device = approved(&inventory, 1).await;
    let room = inventory.device(device).await.unwrap().unwrap().room.id;
    let evenings = [true, false, false, false, true, false, true];
    let plan =
        NightPlan { room, evenings, begins: 1320, ends: 360, image: true, switch_off: false, rests_on: None };
    inventory.set_night_plan(BY, &NightPlan { begins: 1, ..plan.clone() }).await.unwrap();
    inventory.set_night_plan(BY, &plan).await.unwrap();
    assert_eq!(inventory.night_plans().await.unwrap().0, std::slice::from_ref(&plan));
    assert!(
        inventory.set_night_plan(BY, &NightPlan { room: RoomId::random(), ..plan.clone() }).await.is_err()
    );
    let evening = jiff::civil::date(2026, 11, 23);
    inventory.set_night_rest(BY, room, Some(evening)).await.unwrap();
    // Saving the plan again changes nothing about the night that is left out.
    inventory.set_night_plan(BY, &plan).await.unwrap();
    assert_eq!(
        inventory.night_plans().await.unwrap().0,
        [NightPlan { rests_on: Some(evening), ..plan.clone() }]
    );
    inventory.set_night_rest(BY, room, None).await.unwrap();
    assert_eq!(inventory.night_plans().await.unwrap().0, std::slice::from_ref(&plan));
    assert!(inventory.set_night_rest(BY, RoomId::random(), None).await.is_err());
    inventory.set_night_plan(BY, &NightPlan { evenings: [false; 7], ..plan }).await.unwrap();
    assert_eq!(inventory.night_plans().await.unwrap().0, []);

    let by = By { at: inventory::clock::now(), ..BY };
    let today = inventory::lessons::local(by.at).date();
    let note =
        |state, evening| PcTonight { device, evening, note: NightNote { state, calls: 2, since: BY.at } };
    let yesterday = today.yesterday().unwrap();
    let long_ago = today.saturating_sub(jiff::Span::new().days(61));
    let gone = PcTonight { device: DeviceId::random(), ..note(NightState::Ready, today) };
    let notes = [note(NightState::Ready, long_ago), note(NightState::Called, today), gone];
    inventory.keep_night_notes(by, &notes).await.unwrap();
    let failed = NightState::ImageFailed("Platte <b>".into());
    let notes = [note(NightState::Ready, yesterday), note(failed.clone(), today)];
    inventory.keep_night_notes(by, &notes).await.unwrap();
    let (kept, problems) = inventory.night_notes(long_ago).await.unwrap();
    assert_eq!(
        (kept, problems.len()),
        (vec![note(failed.clone(), today), note(NightState::Ready, yesterday)], 0)
    );
    assert_eq!(inventory.night_notes(today).await.unwrap().0, [note(failed, today)]);
}

async fn image_versions_count_up_and_repeat_nothing(open: Open) {
    let inventory = open.inventory().await;
    let image = inventory.ensure_image(BY, "Debian").await.unwrap();
    assert_eq!(inventory.ensure_image(BY, "Debian").await.unwrap(), image);
    for (manifest, version) in [("m1", 1), ("m2", 2), ("m1", 1), ("m3", 3)] {
        assert_eq!(inventory.add_version(BY, image, manifest, 7).await.unwrap(), version, "{manifest}");
    }
    let versions: Vec<i64> =
        inventory.image(image).await.unwrap().unwrap().versions.iter().map(|v| v.version).collect();
    assert_eq!(versions, [3, 2, 1]);
}

fn lease(last: u8, client: &str, state: LeaseState, expires_at: i64) -> Lease {
    Lease {
        ip: Ipv4Addr::new(10, 77, 0, last),
        client: client.into(),
        mac: format!("52:54:00:00:01:{last:02x}").parse().unwrap(),
        hostname: Some("pc".parse().unwrap()),
        state,
        expires_at: UnixMillis(expires_at),
    }
}

async fn an_address_has_one_holder_whoever_gives_it(open: Open) {
    let (one, two) = (open.inventory().await, open.inventory().await);
    let ip = Ipv4Addr::new(10, 77, 0, 50);
    let active = LeaseState::Active;
    let commit =
        async |server: &Inventory, now, lease| server.commit_leases(UnixMillis(now), &[lease]).await.unwrap();
    assert_eq!(commit(&one, 0, lease(50, "a", active, 100)).await, [ip]);
    assert_eq!(commit(&two, 50, lease(50, "b", active, 150)).await, [] as [Ipv4Addr; 0], "a holds it");
    assert_eq!(commit(&two, 50, lease(50, "a", active, 150)).await, [ip], "a renews at the other server");
    assert_eq!(commit(&one, 150, lease(50, "b", active, 300)).await, [ip], "it ran out");
    assert_eq!(commit(&one, 160, lease(50, "b", LeaseState::Released, 160)).await, [ip]);
    assert_eq!(commit(&two, 160, lease(50, "c", LeaseState::Declined, 900)).await, [ip]);
    assert_eq!(
        commit(&two, 200, lease(50, "d", active, 300)).await,
        [] as [Ipv4Addr; 0],
        "it is on probation"
    );
    assert_eq!(one.lease(ip).await.unwrap().unwrap().client, "c");
}

async fn a_lease_batch_is_all_or_nothing_and_survives_reopening(open: Open) {
    let inventory = open.inventory().await;
    let batch: Vec<Lease> = (1..=200).map(|n| lease(n, &format!("c{n}"), LeaseState::Active, 1000)).collect();
    assert_eq!(inventory.commit_leases(UnixMillis(0), &batch).await.unwrap().len(), 200);
    inventory.close().await;
    assert!(inventory.commit_leases(UnixMillis(0), &batch).await.is_err());
    let again = open.inventory().await;
    assert_eq!(again.leases().await.unwrap().0, batch);
}

async fn bad_rows_cost_only_themselves(open: Open) {
    let inventory = open.inventory().await;
    approved(&inventory, 1).await;
    approved(&inventory, 2).await;
    put_by_hand(&open.0, "UPDATE devices SET name = 'kein name' WHERE name = 'r204-pc01'").await;
    let (good, bad) = inventory.devices().await.unwrap();
    assert_eq!(good.len(), 1);
    let text = bad.first().unwrap().to_string();
    assert!(text.contains("devices") && text.contains("kein name"), "{text}");
    put_by_hand(
        &open.0,
        "INSERT INTO networks (id, name, cidr, pool_first, pool_last, lease_secs, mode)
         SELECT id, 'Kaputt', '10.0.0.0/8', '10.0.0.9', '10.0.0.1', 600, 'server' FROM rooms",
    )
    .await;
    let (good, bad) = inventory.networks().await.unwrap();
    assert!(good.is_empty());
    assert!(bad.first().unwrap().to_string().contains("Kaputt"));
}

async fn put_by_hand(url: &str, sql: &'static str) {
    if url.starts_with("postgres") {
        let pool = sqlx::PgPool::connect(url).await.unwrap();
        sqlx::query(sql).execute(&pool).await.unwrap();
    } else {
        let pool = sqlx::SqlitePool::connect(url).await.unwrap();
        sqlx::query(sql).execute(&pool).await.unwrap();
    }
}

fn network(name: &str, cidr: &str, first: [u8; 4], last: [u8; 4]) -> Network {
    Network {
        id: NetworkId::random(),
        name: name.into(),
        cidr: cidr.parse().unwrap(),
        router: None,
        pool_first: first.into(),
        pool_last: last.into(),
        lease_secs: 3600,
        mode: DhcpMode::Server,
    }
}

async fn overlapping_or_broken_networks_are_refused(open: Open) {
    let inventory = open.inventory().await;
    let mut pcs = network("PCs", "10.77.0.0/24", [10, 77, 0, 50], [10, 77, 0, 99]);
    inventory.put_network(BY, &pcs).await.unwrap();
    pcs.lease_secs = 7200;
    inventory.put_network(BY, &pcs).await.unwrap();
    assert_eq!(inventory.networks().await.unwrap().0, [pcs]);
    let clash = network("Alle", "10.77.0.0/16", [10, 77, 9, 1], [10, 77, 9, 9]);
    assert!(conflict(inventory.put_network(BY, &clash).await).contains("PCs"));
    let backwards = network("X", "10.78.0.0/24", [10, 78, 0, 9], [10, 78, 0, 1]);
    assert!(conflict(inventory.put_network(BY, &backwards).await).contains("before it begins"));
    let outside = network("X", "10.78.0.0/24", [10, 79, 0, 1], [10, 79, 0, 9]);
    assert!(conflict(inventory.put_network(BY, &outside).await).contains("10.79.0.1"));
}

async fn the_change_log_tells_who_did_what_in_order(open: Open) {
    let inventory = open.inventory().await;
    let room = inventory.create_room(By { actor: "frau.meier", ..BY }, "Raum 204").await.unwrap();
    let _ = inventory.create_room(BY, "Raum 204").await;
    inventory.rename_room(By { actor: "herr.kurz", ..BY }, room.id, "Raum 205").await.unwrap();
    let log = inventory.changes_since(0, 10).await.unwrap();
    let told: Vec<(i64, &str, &str)> =
        log.iter().map(|c| (c.seq, c.actor.as_str(), c.action.as_str())).collect();
    assert_eq!(told, [(1, "frau.meier", "created"), (2, "herr.kurz", "renamed")], "what failed is not told");
    assert_eq!(inventory.changes_since(1, 10).await.unwrap().len(), 1);
}

async fn notices_appear_and_disappear_with_their_cause(open: Open) {
    let inventory = open.inventory().await;
    let notice = |place: &str| (place.to_owned(), "full".to_owned(), "make it larger".to_owned());
    inventory.set_notices(BY, "netd", &[notice("pool/a"), notice("pool/b")]).await.unwrap();
    inventory.set_notices(BY, "deployd", &[notice("store")]).await.unwrap();
    let seq = inventory.last_change().await.unwrap();
    inventory.set_notices(BY, "netd", &[notice("pool/b"), notice("pool/a")]).await.unwrap();
    assert_eq!(inventory.last_change().await.unwrap(), seq, "the same notices are no change");
    inventory.set_notices(BY, "netd", &[notice("pool/b")]).await.unwrap();
    let places: Vec<String> = inventory.notices().await.unwrap().into_iter().map(|n| n.place).collect();
    assert_eq!(places, ["store", "pool/b"]);
}

async fn the_boot_decision_follows_the_inventory(open: Open) {
    use inventory::boot::Boot::{Environment, LocalDisk};
    let inventory = open.inventory().await;
    let mac = "52:54:00:00:00:01".parse().unwrap();
    let boots = async || inventory.boot_view().await.unwrap().decide(mac);
    assert_eq!(boots().await, Environment, "unknown");
    let device = approved(&inventory, 1).await;
    assert_eq!(boots().await, LocalDisk, "nothing to do");
    let image = inventory.ensure_image(BY, "Debian").await.unwrap();
    let job = inventory.create_job(BY, device, JobTask::Capture { image }).await.unwrap();
    assert_eq!(boots().await, Environment, "a job waits");
    inventory.cancel_job(BY, job).await.unwrap();
    assert_eq!(boots().await, LocalDisk);
    let observed = Observed { hostname: Some("r204-pc01".into()), ..Observed::default() };
    inventory.observe_device(BY, device, &observed, None).await.unwrap();
    assert_eq!(inventory.device(device).await.unwrap().unwrap().observed, observed);
    let imported = NewDevice {
        name: "r204-pc07".parse().unwrap(),
        room: inventory.rooms().await.unwrap().first().unwrap().id,
        desired_image: None,
        interfaces: vec![Interface {
            mac: "52:54:00:00:00:07".parse().unwrap(),
            kind: InterfaceKind::Lan,
            reserved_ip: Some(Ipv4Addr::new(10, 77, 0, 7)),
        }],
    };
    inventory.create_device(BY, &imported).await.unwrap();
    let found = inventory.device_by_mac("52:54:00:00:00:07".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(found.interfaces, imported.interfaces);
}

async fn lists_are_written_by_people_and_counted_by_netd(open: Open) {
    let inventory = open.inventory().await;
    let (own, theirs) = (ListId::random(), ListId::random());
    let written = NewList { name: " Mathe ", source: None, names: "geogebra.org\n" };
    inventory.put_name_list(BY, own, &written).await.unwrap();
    let published = NewList { name: "Werbung", source: Some("https://lists.example/ads.txt"), names: "" };
    inventory.put_name_list(BY, theirs, &published).await.unwrap();
    let named = async |id: ListId| {
        let (lists, bad) = inventory.name_lists().await.unwrap();
        assert!(bad.is_empty());
        lists.into_iter().find(|list| list.id == id).unwrap()
    };
    assert_eq!((named(own).await.name.as_str(), named(own).await.updated_at), ("Mathe", Some(BY.at)));
    assert_eq!((named(theirs).await.entries, named(theirs).await.updated_at), (0, None));
    assert_eq!(inventory.list_names(own).await.unwrap().as_deref(), Some("geogebra.org\n"));
    assert_eq!(inventory.list_names(ListId::ALWAYS).await.unwrap(), None);

    inventory.note_list(BY, theirs, 7, Some("half of it is missing"), true).await.unwrap();
    let before = inventory.last_change().await.unwrap();
    inventory.note_list(BY, theirs, 7, Some("half of it is missing"), false).await.unwrap();
    assert_eq!(inventory.last_change().await.unwrap(), before, "what is not new is not written");
    let list = named(theirs).await;
    assert_eq!((list.entries, list.problem.as_deref()), (7, Some("half of it is missing")));
    // Another name changes nothing about what was found, another source does.
    inventory.put_name_list(BY, theirs, &NewList { name: "Ads", ..published }).await.unwrap();
    assert_eq!(named(theirs).await.entries, 7);
    let moved = NewList { source: Some("https://lists.example/new.txt"), ..published };
    inventory.put_name_list(BY, theirs, &moved).await.unwrap();
    assert_eq!((named(theirs).await.entries, named(theirs).await.problem), (0, None));

    let long = "a.example\n".repeat(110_000);
    for (id, new, why) in [
        (ListId::random(), NewList { name: "Mathe", ..written }, "Mathe"),
        (own, NewList { name: " ", ..written }, "60"),
        (own, NewList { source: Some("ftp://x"), names: "", ..written }, "https"),
        (own, NewList { source: Some("https://x.example"), ..written }, "source"),
        (ListId::ALWAYS, NewList { source: Some("https://x.example"), names: "", name: "immer" }, "source"),
        (own, NewList { names: &long, ..written }, "1 MiB"),
    ] {
        let said = conflict(inventory.put_name_list(BY, id, &new).await);
        assert!(said.contains(why), "{said}");
    }
    inventory.delete_name_list(BY, own).await.unwrap();
    assert!(matches!(inventory.delete_name_list(BY, own).await, Err(Error::NotFound { .. })));
}

async fn a_filter_is_kept_with_its_lists(open: Open) {
    let inventory = open.inventory().await;
    let (block, allow) = (ListId::random(), ListId::random());
    for (id, name) in [(block, "sperren"), (allow, "erlauben")] {
        inventory.put_name_list(BY, id, &NewList { name, source: None, names: "" }).await.unwrap();
    }
    let mut filter = Filter {
        id: FilterId::random(),
        name: "Unterstufe".into(),
        safe_search: true,
        youtube: YouTube::Strict,
        lists: vec![(block, ListAction::Block), (allow, ListAction::Allow)],
    };
    filter.lists.sort();
    inventory.put_filter(BY, &filter).await.unwrap();
    assert_eq!(inventory.filters().await.unwrap().0, [filter.clone()]);
    filter.youtube = YouTube::Free;
    filter.safe_search = false;
    inventory.put_filter(BY, &filter).await.unwrap();
    inventory.delete_name_list(BY, allow).await.unwrap();
    filter.lists.retain(|(id, _)| *id == block);
    assert_eq!(inventory.filters().await.unwrap().0, [filter.clone()]);

    let twin = Filter { id: FilterId::random(), ..filter.clone() };
    assert!(conflict(inventory.put_filter(BY, &twin).await).contains("Unterstufe"));
    let lost = Filter { lists: vec![(ListId::random(), ListAction::Block)], ..filter.clone() };
    assert!(conflict(inventory.put_filter(BY, &lost).await).contains("missing"));
    let twice =
        Filter { lists: vec![(block, ListAction::Block), (block, ListAction::Allow)], ..filter.clone() };
    assert!(conflict(inventory.put_filter(BY, &twice).await).contains("twice"));
    assert_eq!(inventory.filters().await.unwrap().0, [filter.clone()], "a refused change changes nothing");
    inventory.delete_filter(BY, filter.id).await.unwrap();
    assert!(matches!(inventory.delete_filter(BY, filter.id).await, Err(Error::NotFound { .. })));
}

async fn daemons_that_start_at_once_share_a_new_database(open: Open) {
    let opening: Vec<_> = (0..8)
        .map(|_| {
            let open = open.clone();
            tokio::spawn(async move { open.inventory().await.last_change().await.unwrap() })
        })
        .collect();
    for daemon in opening {
        assert_eq!(daemon.await.unwrap(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_promise_is_kept_on_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    for (name, promise) in PROMISES {
        eprintln!("{name}");
        promise(Open(format!("sqlite://{}", dir.path().join(name).display()))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_promise_is_kept_on_postgresql() {
    let server = postgres::Server::start();
    for (name, promise) in PROMISES {
        eprintln!("{name}");
        promise(Open(server.database(name))).await;
    }
}

/// A PostgreSQL of the test's own: Debian's programs, a folder that is removed afterwards, no TCP port.
mod postgres {
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    pub(crate) struct Server {
        dir: tempfile::TempDir,
        process: Child,
    }

    impl Server {
        pub(crate) fn start() -> Self {
            let bin = programs();
            let dir = tempfile::tempdir().unwrap();
            // PostgreSQL refuses to run as root, so its folder belongs to Debian's user for it.
            std::os::unix::fs::chown(dir.path(), Some(postgres_uid()), None).unwrap();
            let made = as_postgres(&bin.join("initdb"))
                .args(["--auth=trust", "--no-sync", "--encoding=UTF8", "-D"])
                .arg(dir.path().join("data"))
                .output()
                .unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            let process = as_postgres(&bin.join("postgres"))
                .arg("-D")
                .arg(dir.path().join("data"))
                .args(["-c", "listen_addresses=", "-c", "fsync=off", "-k"])
                .arg(dir.path())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let server = Self { dir, process };
            let deadline = now() + Duration::from_secs(30);
            while !server.psql("SELECT 1") {
                assert!(now() < deadline, "PostgreSQL does not answer");
            }
            server
        }

        pub(crate) fn database(&self, name: &str) -> String {
            let name = name.get(..name.len().min(60)).unwrap();
            assert!(self.psql(&format!("CREATE DATABASE \"{name}\"")));
            format!("postgres://postgres@localhost/{name}?host={}", self.dir.path().display())
        }

        fn psql(&self, sql: &str) -> bool {
            Command::new(programs().join("psql"))
                .args(["-U", "postgres", "-q", "-c", sql, "-h"])
                .arg(self.dir.path())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .unwrap()
                .success()
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            let _ = Command::new("kill").args(["-INT", &self.process.id().to_string()]).status();
            let _ = self.process.wait();
        }
    }

    fn as_postgres(program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=INT"])
            .arg(program);
        command.current_dir("/").stdout(Stdio::null());
        command
    }

    fn postgres_uid() -> u32 {
        let out = Command::new("id").args(["-u", "postgres"]).output().unwrap();
        String::from_utf8(out.stdout)
            .unwrap()
            .trim()
            .parse()
            .expect("Debian's package postgresql makes this user")
    }

    fn programs() -> PathBuf {
        let mut versions: Vec<PathBuf> =
            std::fs::read_dir("/usr/lib/postgresql").unwrap().map(|e| e.unwrap().path()).collect();
        versions.sort();
        versions.pop().expect("Debian's package postgresql is installed").join("bin")
    }

    #[expect(clippy::disallowed_methods, reason = "a deadline for a process outside of the test")]
    fn now() -> Instant {
        Instant::now()
    }
}
