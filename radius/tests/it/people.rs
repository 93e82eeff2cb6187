//! People and guests with their own devices.

use inventory::wlan::{Refusal, Rule, StationOwner, Who};
use inventory::{NewPassword, Role};

use super::support::{KNOWN, PASSWORD, STRANGE, School, by, rule};

#[tokio::test]
async fn people_join_with_their_account_and_land_in_their_network() {
    let school = School::new().await;
    let lea = school.add("lea", Role::Pupil).await;
    school.add("wind", Role::Teacher).await;
    let two = Rule { devices_max: Some(2), ..rule(Who::Role(Role::Pupil), 20) };
    school.rules(vec![two, rule(Who::Role(Role::Teacher), 10)], false).await;
    let daemon = school.run().await;

    let right = school.tunnel("TTLS", "PAP", "lea", PASSWORD);
    let told = school.ask(&right, 1).await;
    assert_eq!((told.joined, told.vlan.as_deref()), (true, Some("20")), "{}", told.text);
    assert!(told.text.contains("Attribute 27 (Session-Timeout)"), "{}", told.text);
    let teacher = school.tunnel("TTLS", "PAP", "wind", PASSWORD);
    assert_eq!(school.ask(&teacher, 9).await.vlan.as_deref(), Some("10"));

    let wrong = school.tunnel("TTLS", "PAP", "lea", "falsch und lang");
    assert!(!school.ask(&wrong, 2).await.joined);
    let nobody = school.tunnel("TTLS", "PAP", "niemand", PASSWORD);
    assert!(!school.ask(&nobody, 3).await.joined);
    // A stranger's access point: the device hangs up before it says a password.
    let fooled = school.client_of(
        &format!("eap=TTLS\n identity=\"lea\"\n anonymous_identity=\"anonymous\"\n password=\"{PASSWORD}\"\n phase2=\"auth=PAP\""),
        "radius.boese.example",
    );
    let told = school.ask(&fooled, 4).await;
    assert!(!told.joined && told.text.contains("domain_match"), "{}", told.text);
    // The right device at an access point that nobody entered: no answer at all.
    let told = school.ask_as(STRANGE, &right, 5, 0).await;
    assert!(!told.joined && !told.text.contains("Received RADIUS message"), "{}", told.text);

    assert!(school.ask(&right, 6).await.joined);
    assert!(!school.ask(&right, 7).await.joined, "a third device");
    assert!(school.ask(&right, 6).await.joined, "the second one again");
    daemon.stop().await;

    let stations = school.inventory.stations_of_user(lea, by().at).await.unwrap();
    let cards: Vec<String> = stations.iter().map(|one| one.mac.to_string()).collect();
    assert_eq!(cards, ["02:00:00:00:00:06", "02:00:00:00:00:01"]);
    assert!(
        stations
            .iter()
            .all(|one| one.room.as_deref() == Some("Turnhalle") && one.owner == StationOwner::User(lea))
    );
    let refused = school.inventory.wlan_refusals(20).await.unwrap();
    let mut why: Vec<(String, String, Refusal)> =
        refused.into_iter().map(|one| (one.mac.to_string()[15..].into(), one.name, one.reason)).collect();
    why.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        why,
        [
            ("02".into(), "lea".into(), Refusal::WrongPassword),
            ("03".into(), "niemand".into(), Refusal::WrongPassword),
            ("04".into(), "anonymous".into(), Refusal::NotAgreed),
            ("07".into(), "lea".into(), Refusal::TooManyDevices { max: 2 }),
        ]
    );
    let seen = school.inventory.access_points().await.unwrap();
    assert!(seen[0].last_seen.is_some() && seen[0].id == school.access_point);
}

#[tokio::test]
async fn who_is_locked_or_changed_the_password_does_not_come_back_with_a_kept_session() {
    let school = School::new().await;
    let lea = school.add("lea", Role::Pupil).await;
    school.rules(vec![rule(Who::Everyone, 20)], false).await;
    let daemon = school.run().await;
    let client = school.tunnel("TTLS", "PAP", "lea", PASSWORD);

    let told = school.ask_as(KNOWN, &client, 1, 2).await;
    assert!(told.joined && told.text.contains("resumed=1"), "the session is kept: {}", told.text);
    assert_eq!(told.vlan.as_deref(), Some("20"));

    // Again and again, until the password is another one.
    let busy = school.ask_as(KNOWN, &client, 1, 500);
    let change = async {
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        let hash = inventory::password::hash("ein anderes Kennwort").unwrap();
        let new = NewPassword { hash: &hash, temporary: false, keep_session: None };
        school.inventory.set_password(by(), lea, new).await.unwrap();
    };
    let (told, ()) = tokio::join!(busy, change);
    assert!(!told.joined && told.text.contains("resumed=1"));
    let again = school.tunnel("TTLS", "PAP", "lea", "ein anderes Kennwort");
    let busy = school.ask_as(KNOWN, &again, 2, 500);
    let leave = async {
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        school.inventory.delete_user(by(), lea).await.unwrap();
    };
    let (told, ()) = tokio::join!(busy, leave);
    assert!(!told.joined && told.text.contains("resumed=1"));
    daemon.stop().await;
}

#[tokio::test]
async fn mschapv2_is_off_and_never_takes_the_accounts_password() {
    let school = School::new().await;
    let lea = school.add("lea", Role::Pupil).await;
    school.rules(vec![rule(Who::Everyone, 20)], false).await;
    let own = school.inventory.make_wifi_password(by(), &school.vault, lea).await.unwrap();
    let daemon = school.run().await;
    let made = school.tunnel("PEAP", "MSCHAPV2", "lea", &own);
    assert!(!school.ask(&made, 1).await.joined, "it is switched off");

    school.rules(vec![rule(Who::Everyone, 20)], true).await;
    let told = school.ask(&made, 1).await;
    assert_eq!((told.joined, told.vlan.as_deref()), (true, Some("20")), "{}", told.text);
    let told = school.ask_as(KNOWN, &made, 1, 2).await;
    assert!(told.joined && told.text.contains("resumed=1"), "{}", told.text);
    assert!(school.ask(&school.tunnel("TTLS", "MSCHAPV2", "lea", &own), 2).await.joined);
    assert!(!school.ask(&school.tunnel("PEAP", "MSCHAPV2", "lea", PASSWORD), 3).await.joined);

    let busy = school.ask_as(KNOWN, &made, 1, 500);
    let off = async {
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        school.rules(vec![rule(Who::Everyone, 20)], false).await;
    };
    let (told, ()) = tokio::join!(busy, off);
    assert!(!told.joined);
    daemon.stop().await;
    let refused = school.inventory.wlan_refusals(20).await.unwrap();
    let wrong = refused.iter().find(|one| one.mac.to_string().ends_with("03")).unwrap();
    assert_eq!((wrong.name.as_str(), wrong.reason), ("lea", Refusal::WrongPassword));
}

#[tokio::test]
async fn a_guest_joins_with_a_code_until_it_ends() {
    let school = School::new().await;
    school.rules(vec![rule(Who::Guests, 99)], false).await;
    let ends_at = by().at.plus_secs(600);
    let new = inventory::wlan::NewVoucher { note: "Elternabend", devices_max: 1, ends_at };
    let (id, code) = school.inventory.make_voucher(by(), new).await.unwrap();
    let daemon = school.run().await;
    let client = school.tunnel("TTLS", "PAP", "gast", &code.to_uppercase());
    let told = school.ask(&client, 1).await;
    assert_eq!((told.joined, told.vlan.as_deref()), (true, Some("99")), "{}", told.text);
    assert!(!school.ask(&client, 2).await.joined, "it is for one device");
    assert!(!school.ask(&school.tunnel("TTLS", "PAP", "gast", "geraten"), 3).await.joined);
    school.inventory.end_voucher(by(), id).await.unwrap();
    assert!(!school.ask(&client, 1).await.joined, "it is over");
    daemon.stop().await;
}

#[tokio::test]
async fn whoever_guesses_has_to_wait_and_nobody_else() {
    let school = School::new().await;
    school.add("lea", Role::Pupil).await;
    school.rules(vec![rule(Who::Everyone, 20)], false).await;
    let daemon = school.run().await;
    let wrong = school.tunnel("TTLS", "PAP", "lea", "falsch und lang");
    for _ in 0..6 {
        assert!(!school.ask(&wrong, 1).await.joined);
    }
    let right = school.tunnel("TTLS", "PAP", "lea", PASSWORD);
    assert!(!school.ask(&right, 1).await.joined, "even with the right one");
    assert!(school.ask(&right, 2).await.joined, "the person it belongs to is not locked out");
    daemon.stop().await;
    let refused = school.inventory.wlan_refusals(1).await.unwrap();
    assert_eq!(refused[0].reason, Refusal::TooManyTries);
}
