//! Rulings, as data: client, name and type, and what becomes of the question.

use super::*;

fn list(n: u128, name: &str, source: Option<&str>) -> NameList {
    NameList {
        id: id(n),
        name: name.into(),
        source: source.map(str::to_owned),
        entries: 0,
        problem: None,
        updated_at: None,
    }
}

fn id(n: u128) -> ListId {
    format!("00000000-0000-0000-0000-{n:012}").parse().unwrap()
}

fn filter_id(n: u128) -> FilterId {
    format!("00000000-0000-0000-0000-{n:012}").parse().unwrap()
}

fn rules() -> Rules {
    let lists = [
        (
            list(1, "Werbung", Some("https://x")),
            "ads.example\nshop.example\n@@||ok.shop.example^\nboth.example",
        ),
        (list(2, "Glücksspiel", Some("https://y")), "bet.example\n||zip^\nok.shop.example"),
        (list(3, "Lernen", Some("https://z")), "both.example\nlearn.example"),
        (list(4, "eigene Sperren", None), "bad.example\nkids.good.bad.example\ntie.example"),
        (list(5, "eigene Freigaben", None), "good.bad.example\ntie.example\nads.example\ndns.quad9.net"),
        (list(6, "Mathe", None), "geogebra.example\nwww.google.de\n@@||forum.geogebra.example^"),
        (NameList { id: ListId::ALWAYS, ..list(0, "immer", None) }, "mdm.example"),
    ];
    let filters = [
        Filter {
            id: filter_id(1),
            name: "Unterstufe".into(),
            safe_search: true,
            youtube: YouTube::Strict,
            lists: vec![
                (id(1), ListAction::Block),
                (id(2), ListAction::Block),
                (id(3), ListAction::Allow),
                (id(4), ListAction::Block),
                (id(5), ListAction::Allow),
            ],
        },
        Filter {
            id: filter_id(2),
            name: "Oberstufe".into(),
            safe_search: false,
            youtube: YouTube::Free,
            lists: vec![(id(1), ListAction::Block)],
        },
    ];
    let known: Vec<NameList> = lists.iter().map(|(list, _)| list.clone()).collect();
    let mut builder = Builder::new(RandomState::new(), &filters, &known);
    for (list, text) in &lists {
        let done: Result<_, ()> = builder.read(list, text.len() as u64, |feed| {
            feed(text.as_bytes());
            Ok(())
        });
        assert_eq!(done.unwrap().bad, 0);
    }
    assert_eq!(builder.left_out(), (&[][..], false));
    builder.build()
}

fn client(level: Level, filter: Option<u128>, list: Option<u128>) -> Option<Client> {
    Some(Client { number: 7, level, filter: filter.map(filter_id), list: list.map(id) })
}

fn check(rules: &Rules, client: Option<Client>, cases: &[(&str, &str)]) {
    for (question, expected) in cases {
        let (name, kind) = question.split_once(' ').unwrap_or((question, "A"));
        let said = match rules.rule(client, &wire(name), kind.parse().unwrap()) {
            Ruling::Ask(Then::Give) => "give".to_owned(),
            Ruling::Ask(Then::CheckAliases) => "check".to_owned(),
            Ruling::Ask(Then::Open) => "open".to_owned(),
            Ruling::AskFor(target, Then::Open) => format!("open {}", target.name()),
            Ruling::AskFor(target, _) => target.name().to_owned(),
            Ruling::NoName(reason) => format!("no: {}", reason.text()),
            Ruling::NoData(reason) => format!("empty: {}", reason.text()),
        };
        assert_eq!(said, *expected, "{question} for {client:?}");
    }
}

#[test]
fn whoever_is_not_filtered_may_ask_everything() {
    let rules = rules();
    for client in [None, client(Level::On, Some(1), Some(6))] {
        check(
            &rules,
            client,
            &[("ads.example", "give"), ("mask.icloud.com", "give"), ("www.google.de", "give")],
        );
    }
}

#[test]
fn a_filter_goes_by_its_lists_in_their_order() {
    check(
        &rules(),
        client(Level::Filtered, Some(1), None),
        &[
            ("free.example", "check"),
            ("free.example MX", "check"),
            ("bet.example", "no: list: Glücksspiel"),
            ("a.b.bet.example AAAA", "no: list: Glücksspiel"),
            ("bet.example HTTPS", "no: list: Glücksspiel"),
            ("anything.zip", "no: list: Glücksspiel"),
            // An own allow list is above every category.
            ("ads.example", "give"),
            // The longest name on an own list decides; on a tie it is allowed.
            ("bad.example", "no: list: eigene Sperren"),
            ("x.good.bad.example", "give"),
            ("x.kids.good.bad.example", "no: list: eigene Sperren"),
            ("tie.example", "give"),
            ("dns.quad9.net", "give"),
            // A subscribed allow list is above subscribed block lists.
            ("both.example", "give"),
            ("learn.example", "give"),
            // A list's exception counts for that list only.
            ("shop.example", "no: list: Werbung"),
            ("ok.shop.example", "no: list: Glücksspiel"),
            ("mdm.example", "give"),
            ("abc.dns.nextdns.io", "no: another resolver"),
            ("dns.google", "no: another resolver"),
            ("dns.google.example", "check"),
            ("time.apple.com", "give"),
            ("use-application-dns.net", "no: would switch the filter off"),
            ("mask.icloud.com", "no: would switch the filter off"),
            ("mask-h2.icloud.com AAAA", "no: would switch the filter off"),
        ],
    );
    check(
        &rules(),
        client(Level::Filtered, Some(2), None),
        &[
            ("bet.example", "check"),
            ("ads.example", "no: list: Werbung"),
            ("ok.shop.example", "check"),
            ("www.google.de", "check"),
            ("www.youtube.com", "check"),
        ],
    );
}

#[test]
fn searches_are_led_to_their_safe_form() {
    check(
        &rules(),
        client(Level::Filtered, Some(1), None),
        &[
            ("www.google.de", "forcesafesearch.google.com."),
            ("www.google.co.uk AAAA", "forcesafesearch.google.com."),
            ("www.google.de HTTPS", "empty: SafeSearch"),
            ("www.google.de TXT", "check"),
            ("accounts.google.com", "check"),
            ("www.bing.com", "strict.bing.com."),
            ("duckduckgo.com", "safe.duckduckgo.com."),
            ("www.youtube.com", "restrict.youtube.com."),
            ("youtubei.googleapis.com SVCB", "empty: SafeSearch"),
            ("i.ytimg.com", "check"),
        ],
    );
    assert_eq!(SPECIAL.searches.len(), 198, "every name of the data file is read");
}

#[test]
fn without_a_filter_or_with_a_deleted_one_searches_are_safe_all_the_same() {
    for filter in [None, Some(99)] {
        check(
            &rules(),
            client(Level::Filtered, filter, None),
            &[
                ("www.google.de", "forcesafesearch.google.com."),
                ("m.youtube.com", "restrictmoderate.youtube.com."),
                ("ads.example", "check"),
            ],
        );
    }
}

#[test]
fn an_allow_list_is_all_that_there_is_and_is_opened() {
    let rules = rules();
    check(
        &rules,
        client(Level::AllowList, Some(1), Some(6)),
        &[
            ("geogebra.example", "open"),
            ("www.geogebra.example AAAA", "open"),
            ("www.geogebra.example HTTPS", "empty: only addresses at this level"),
            ("www.geogebra.example TXT", "give"),
            ("forum.geogebra.example", "no: not on the allow list"),
            ("www.google.de", "open forcesafesearch.google.com."),
            ("www.google.de HTTPS", "empty: only addresses at this level"),
            ("push.apple.com", "open"),
            ("captive.apple.com", "give"),
            ("x.captive.apple.com", "no: not on the allow list"),
            ("free.example", "no: not on the allow list"),
            ("mask.icloud.com", "no: would switch the filter off"),
        ],
    );
    check(&rules, client(Level::AllowList, None, Some(6)), &[("www.google.de", "open")]);
    // A category can be an allow list too, although it has no table of its own.
    check(
        &rules,
        client(Level::AllowList, None, Some(1)),
        &[("shop.example", "open"), ("ok.shop.example", "no: not on the allow list")],
    );
    for list in [None, Some(99)] {
        check(
            &rules,
            client(Level::AllowList, None, list),
            &[("geogebra.example", "no: not on the allow list"), ("mdm.example", "open")],
        );
    }
}

#[test]
fn off_leaves_what_is_always_reachable() {
    check(
        &rules(),
        client(Level::Off, Some(1), Some(6)),
        &[
            ("1.courier.push.apple.com", "open"),
            ("time.apple.com", "open"),
            ("mdm.example AAAA", "open"),
            ("mdm.example HTTPS", "empty: only addresses at this level"),
            ("geogebra.example", "no: locked"),
            ("captive.apple.com", "give"),
            ("apple.com", "no: locked"),
        ],
    );
}

#[test]
fn what_hides_behind_an_alias_is_found() {
    let rules = rules();
    let client = client(Level::Filtered, Some(1), None);
    assert_eq!(rules.alias(client, &wire("x.bet.example")), Some(Reason::List("Glücksspiel")));
    assert_eq!(rules.alias(client, &wire("cdn.example")), None);
    assert_eq!(rules.alias(client, &wire("learn.example")), None);
    assert_eq!(rules.alias(None, &wire("bet.example")), None);
}

#[test]
fn probes_are_not_always_reachable() {
    let rules = rules();
    for probe in &SPECIAL.probes {
        assert!(probe.len() > 2 && !rules.always.holds(&Hashed::new(&rules.key, probe)), "{probe:?}");
    }
}

#[test]
fn more_lists_than_there_are_bits_are_named() {
    let lists: Vec<NameList> = (0..40).map(|n| list(n, &format!("L{n}"), Some("https://x"))).collect();
    let uses = |lists: &[NameList]| lists.iter().map(|list| (list.id, ListAction::Block)).collect();
    let filter = |n, lists: &[NameList]| Filter {
        id: filter_id(n),
        name: n.to_string(),
        safe_search: false,
        youtube: YouTube::Free,
        lists: uses(lists),
    };
    let builder =
        Builder::new(RandomState::new(), &[filter(1, &lists[..30]), filter(2, &lists[20..])], &lists);
    assert_eq!(builder.left_out().0.len(), 8);
}
