//! Plans for people.

use proptest::prelude::*;

use super::*;

/// A school after a first import.
fn school(text: &str) -> People {
    let mut school = People::default();
    let plan = plan_people(&pupils(text), &school, ALL);
    assert_eq!(wrong(&plan.problems), Vec::<String>::new());
    carry_people(&mut school, &plan);
    school
}

fn check(school: &People, text: &str, expected: &[&str]) -> Plan<PersonWish> {
    let plan = plan_people(&pupils(text), school, ALL);
    assert_eq!(told(&plan), expected, "{text}");
    plan
}

const WITH_IDS: &str = "ID;Vorname;Nachname;Klasse\n1;Lea;Kurz;7b\n2;Ömer;Groß;7b\n3;Max;Lang;8a\n";
const NAMES_ONLY: &str = "Vorname;Nachname;Klasse\nLea;Kurz;7b\nÖmer;Groß;7b\nMax;Lang;8a\n";

#[test]
fn new_people_get_names_to_sign_in_with_and_classes_are_added() {
    let plan = check(
        &People::default(),
        WITH_IDS,
        &[
            "New Lea Kurz: Login >lea.kurz; ExternalId >1; Classes >7b",
            "New Ömer Groß: Login >oemer.gross; ExternalId >2; Classes >7b",
            "New Max Lang: Login >max.lang; ExternalId >3; Classes >8a",
        ],
    );
    assert_eq!(plan.places, ["7b", "8a"]);
    assert!(!plan.is_alarming());
}

#[test]
fn the_same_file_again_is_nothing_to_do() {
    for text in [WITH_IDS, NAMES_ONLY] {
        let plan = check(&school(text), text, &[]);
        assert_eq!((plan.unchanged, plan.of_kind), (3, 3));
    }
}

#[test]
fn an_id_stays_who_it_is_whatever_changes() {
    let school = school(WITH_IDS);
    check(
        &school,
        "ID;Vorname;Nachname;Klasse\n1;Lea-Marie;Kurz-Weiß;7b\n2;Ömer;Groß;8A\n3;Max;Lang;8a\n",
        &[
            "Changed Lea Kurz: FirstName Lea>Lea-Marie; LastName Kurz>Kurz-Weiß",
            "Moved Ömer Groß: Classes 7b>8a",
        ],
    );
}

#[test]
fn a_name_is_enough_where_there_are_no_ids_and_an_id_is_learnt_later() {
    let school = school(NAMES_ONLY);
    check(
        &school,
        "Vorname;Nachname;Klasse\nLea;Kurz;8a\nOemer;Gross;7b\nMAX;LANG;8a\n",
        &[
            "Moved Lea Kurz: Classes 7b>8a",
            "Changed Ömer Groß: FirstName Ömer>Oemer; LastName Groß>Gross",
            "Changed Max Lang: FirstName Max>MAX; LastName Lang>LANG",
        ],
    );
    check(
        &school,
        &WITH_IDS.replace("2;Ömer;Groß;7b\n", ""),
        &["Changed Lea Kurz: ExternalId >1", "Changed Max Lang: ExternalId >3", "Removed Ömer Groß"],
    );
}

#[test]
fn whom_nothing_tells_apart_is_refused_and_kept() {
    let mut school = school(NAMES_ONLY);
    let plan =
        check(&school, "Vorname;Nachname;Klasse\nLea;Kurz;7b\nlea;KURZ;8a\nMax;Lang;8a\nÖmer;Groß;7b\n", &[]);
    assert_eq!(wrong(&plan.problems), ["2/3 Namesakes", "3/2 Namesakes"]);
    // With ids they are two people. One of them was here before without one; nothing says which.
    let two = "ID;Vorname;Nachname;Klasse\n1;Lea;Kurz;7b\n4;Lea;Kurz;8a\n";
    let plan = plan_people(&pupils(two), &school, SOME);
    assert_eq!(
        told(&plan),
        ["Changed Lea Kurz: ExternalId >1", "New Lea Kurz: Login >lea.kurz2; ExternalId >4; Classes >8a"]
    );
    carry_people(&mut school, &plan);
    // Without ids again: the class tells which one is meant.
    let plan = plan_people(&pupils("Vorname;Nachname;Klasse\nLea;Kurz;8a\n"), &school, SOME);
    assert_eq!((told(&plan), plan.unchanged), (vec![], 1));
    let plan = check(&school, "Vorname;Nachname;Klasse\nLea;Kurz;9c\nMax;Lang;8a\nÖmer;Groß;7b\n", &[]);
    assert_eq!(wrong(&plan.problems), ["2 WhichPerson"]);
}

#[test]
fn lines_that_contradict_each_other_name_both() {
    let text = "ID;Login;Vorname;Nachname\n1;lea;Lea;Kurz\n1;eva;Eva;Lang\n2;LEA;Lea;Weiß\n;lea;Lea;Kurz\n";
    let plan = plan_people(&pupils(text), &People::default(), SOME);
    assert_eq!(wrong(&plan.problems), ["3/2 SameId", "4/2 SameLogin", "5/2 SameLogin"]);
    let school = school("ID;Login;Vorname;Nachname\n1;lea;Lea;Kurz\n");
    let plan = check(&school, "ID;Login;Vorname;Nachname\n1;;Lea;Kurz\n;lea;Lea;Kurz\n", &[]);
    assert_eq!(wrong(&plan.problems), ["3/2 SamePerson"]);
}

#[test]
fn only_people_of_an_earlier_file_are_removed_and_only_if_the_file_is_complete() {
    let mut school = school(WITH_IDS);
    let by_hand = KnownPerson {
        login: "gast".into(),
        first_name: String::new(),
        last_name: String::new(),
        role: Role::Pupil,
        external_id: None,
        imported_as: None,
        deactivated_at: None,
        groups: BTreeMap::new(),
    };
    school.people.insert(UserId::random(), by_hand);
    let one = "ID;Vorname;Nachname;Klasse\n1;Lea;Kurz;7b\n";
    let plan = check(&school, one, &["Removed Max Lang", "Removed Ömer Groß"]);
    assert!(plan.is_alarming(), "two of three");
    assert_eq!(told(&plan_people(&pupils(one), &school, SOME)), Vec::<String>::new());
    // A list of teachers says nothing of pupils.
    let teachers = read_people(b"Vorname;Nachname\nJana;Weiss\n", Role::Teacher).unwrap();
    assert_eq!(told(&plan_people(&teachers, &school, ALL)), ["New Jana Weiss: Login >jana.weiss"]);
    // A line that cannot be used spares whom it may mean.
    let plan = check(&school, &format!("{one}2;Ömer;;7b\n3;Max;{};8a\n", "x".repeat(61)), &[]);
    assert_eq!(plan.counts().problems, 2);

    let plan = plan_people(&pupils(one), &school, ALL);
    carry_people(&mut school, &plan);
    check(&school, one, &[]);
    check(&school, WITH_IDS, &["Changed Ömer Groß: Returns >", "Changed Max Lang: Returns >"]);
}

#[test]
fn one_in_ten_may_go_and_more_must_be_confirmed() {
    let text = |n: usize| {
        let rows = (0..n).map(|n| format!("{n};Kind{n};Test;7b\n"));
        format!("ID;Vorname;Nachname;Klasse\n{}", rows.collect::<String>())
    };
    let school = school(&text(100));
    for (left, alarming) in [(100, false), (90, false), (89, true)] {
        let plan = plan_people(&pupils(&text(left)), &school, ALL);
        assert_eq!((plan.counts().removed, plan.is_alarming()), (100 - left, alarming));
    }
}

#[test]
fn a_list_of_pupils_touches_nobody_else() {
    let mut school = school(WITH_IDS);
    let lea = *school.people.iter().find(|(_, person)| person.login == "lea.kurz").unwrap().0;
    school.people.get_mut(&lea).unwrap().role = Role::SchoolAdmin;
    // Who became an admin is neither renamed nor removed, and their name to sign in with is not to be had.
    check(&school, "ID;Vorname;Nachname;Login;Klasse\n1;X;Y;xy;9\n2;Ömer;Groß;;7b\n3;Max;Lang;;8a\n", &[]);
    check(&school, "ID;Vorname;Nachname;Klasse\n2;Ömer;Groß;7b\n3;Max;Lang;8a\n", &[]);
    let eva = "Vorname;Nachname;Login\nEva;Neu;lea.kurz\n";
    let plan = plan_people(&pupils(eva), &school, SOME);
    assert_eq!((told(&plan), plan.unchanged), (vec![], 1));
    school.people.get_mut(&lea).unwrap().imported_as = None;
    let plan = plan_people(&pupils(eva), &school, SOME);
    assert_eq!((told(&plan), wrong(&plan.problems)), (vec![], vec!["2 LoginTaken".to_owned()]));
}

#[test]
fn groups_that_a_person_chose_are_kept() {
    let mut school = school(WITH_IDS);
    let choir = GroupId::random();
    school.groups.insert(choir, "Chor".into());
    for person in school.people.values_mut() {
        person.groups.insert(choir, false);
    }
    check(&school, WITH_IDS, &[]);
    check(&school, &WITH_IDS.replace("1;Lea;Kurz;7b", "1;Lea;Kurz;"), &["Moved Lea Kurz: Classes 7b>"]);
    // Without the column nothing is said of classes.
    check(&school, "ID;Vorname;Nachname\n1;Lea;Kurz\n2;Ömer;Groß\n3;Max;Lang\n", &[]);
}

fn row() -> impl Strategy<Value = String> {
    let id = prop_oneof![Just(String::new()), "[1-6]"];
    (id, "[ab]?", "(Lea|Max|Ömer|Eva)?", "(Kurz|Lang|Groß)", "(7a|7b|7A|8c|)(,9)?")
        .prop_map(|(id, login, first, last, class)| format!("{id};{login};{first};{last};\"{class}\"\n"))
}

fn file() -> impl Strategy<Value = String> {
    let rows = proptest::collection::vec(row(), 1..12);
    rows.prop_map(|rows| format!("ID;Login;Vorname;Nachname;Klasse\n{}", rows.concat()))
}

proptest! {
    #[test]
    fn a_plan_that_was_carried_out_leaves_nothing_to_do(files in proptest::collection::vec((file(), any::<bool>()), 1..4)) {
        let mut school = People::default();
        for (text, complete) in files {
            let file = pupils(&text);
            let options = Options { complete };
            let plan = plan_people(&file, &school, options);
            carry_people(&mut school, &plan);
            // What a line could not have, it may have once another line's person has given it away.
            let rounds = if plan.problems.iter().any(|problem| !problem.what.is_hint()) { 9 } else { 0 };
            for _ in 0..rounds {
                let again = plan_people(&file, &school, options);
                carry_people(&mut school, &again);
            }
            let again = plan_people(&file, &school, options);
            prop_assert_eq!(told(&again), Vec::<String>::new(), "{}", text);
            prop_assert!(again.places.is_empty());
        }
    }
}
