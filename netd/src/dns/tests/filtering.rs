//! Clients at their levels: 127.0.0.1 is nobody's, .2 filtered, .3 has an allow list, .4 is off.

use std::collections::HashMap;

use inventory::{Filter, FilterId, Level, ListAction, ListId, NewList, YouTube};
use tokio::sync::mpsc;

use super::*;
use crate::clients::{Client, Clients, Opening};

struct School {
    stage: Stage,
    asked: Arc<AtomicUsize>,
    silent: Arc<AtomicBool>,
    openings: mpsc::Receiver<Opening>,
    /// The list that the filter blocks.
    blocked: ListId,
    /// The list that 127.0.0.3 may use.
    allowed: ListId,
}

async fn school() -> School {
    let (forwarder, asked, silent) = forwarder_with_a_switch().await;
    let (filter, blocked, allowed) = (FilterId::random(), ListId::random(), ListId::random());
    let client = |number, level| Client { number, level, filter: Some(filter), list: Some(allowed) };
    let levels = [(2, Level::Filtered), (3, Level::AllowList), (4, Level::Off)];
    let devices: HashMap<IpAddr, Client> = levels
        .map(|(n, level)| (Ipv4Addr::new(127, 0, 0, n).into(), client(n.into(), level)))
        .into_iter()
        .collect();
    let (sender, openings) = mpsc::channel(16);
    let clients = Clients { devices, ..Clients::default() };
    let link = Link { clients: Arc::new(ArcSwap::from_pointee(clients)), openings: sender };
    let stage = stage_with(vec![forwarder], Some(link)).await;
    for (id, name, names) in
        [(blocked, "Werbung", "many.example.org\n"), (allowed, "Mathe", "example.org\nwww.google.de\n")]
    {
        stage.inventory.put_name_list(BY, id, &NewList { name, source: None, names }).await.unwrap();
    }
    let row = Filter {
        id: filter,
        name: "Schule".into(),
        safe_search: true,
        youtube: YouTube::Strict,
        lists: vec![(blocked, ListAction::Block)],
    };
    stage.inventory.put_filter(BY, &row).await.unwrap();
    stage.until("-b 127.0.0.2 +short many.example.org", "", Duration::from_secs(5)).await;
    School { stage, asked, silent, openings, blocked, allowed }
}

impl School {
    async fn dig(&self, client: u8, arguments: &str) -> String {
        self.stage.dig(&format!("-b 127.0.0.{client} {arguments}")).await
    }

    async fn block(&self, names: &str) {
        let list = NewList { name: "Werbung", source: None, names };
        self.stage.inventory.put_name_list(BY, self.blocked, &list).await.unwrap();
    }
}

#[tokio::test]
async fn a_refusal_names_its_list_and_is_forgotten_soon() {
    let school = school().await;
    assert!(school.dig(1, "many.example.org").await.contains("ANSWER: 60,"));
    for _ in 0..2 {
        let said = school.dig(2, "a.many.example.org AAAA").await;
        assert!(said.contains("status: NXDOMAIN") && said.contains("flags: qr rd ra;"), "{said}");
        assert!(said.contains("EDE: 15 (Blocked): (list: Werbung)"), "{said}");
        assert!(said.contains(". 10 IN SOA"), "{said}");
    }
    // Who speaks no EDNS gets no explanation, and TCP is no way around.
    assert!(!school.dig(2, "+noedns many.example.org").await.contains("EDE"));
    assert!(school.dig(2, "+tcp many.example.org").await.contains("status: NXDOMAIN"));
    for canary in ["use-application-dns.net", "mask.icloud.com", "mask-h2.icloud.com"] {
        assert!(school.dig(2, canary).await.contains("status: NXDOMAIN"), "{canary}");
        assert!(school.dig(1, canary).await.contains("status: NOERROR"), "{canary}");
    }
    // The school's own names are above all rules.
    for client in 1..5 {
        assert_eq!(school.dig(client, "+short r204-pc01.schule.internal").await.trim(), "10.77.0.21");
    }
}

#[tokio::test]
async fn a_changed_list_counts_for_remembered_answers_too() {
    let school = school().await;
    assert_eq!(school.dig(2, "+short www.example.org").await.trim(), "192.0.2.7");
    school.block("www.example.org").await;
    school.stage.until("-b 127.0.0.2 +short www.example.org", "", Duration::from_secs(5)).await;
    assert_eq!(school.dig(1, "+short www.example.org").await.trim(), "192.0.2.7");
    // What leads to a blocked name is blocked, fetched or remembered.
    for _ in 0..2 {
        let said = school.dig(2, "alias.example.org").await;
        assert!(said.contains("status: NXDOMAIN") && said.contains("Werbung"), "{said}");
    }
    assert_eq!(school.dig(1, "+short alias.example.org").await, "www.example.org.\n192.0.2.7\n");
    school.block("").await;
    school.stage.until("-b 127.0.0.2 +short www.example.org", "192.0.2.7", Duration::from_secs(5)).await;
}

#[tokio::test]
async fn searches_get_their_safe_address_and_nobody_elses_do() {
    let school = school().await;
    for _ in 0..2 {
        let safe = school.dig(2, "+short www.google.de").await;
        assert_eq!(safe, "forcesafesearch.google.com.\n192.0.2.38\n");
        assert_eq!(school.dig(1, "+short www.google.de").await.trim(), "");
    }
    let aaaa = school.dig(2, "www.google.de AAAA").await;
    assert!(aaaa.contains("CNAME forcesafesearch.google.com.") && aaaa.contains("status: NOERROR"), "{aaaa}");
    let before = school.asked.load(Ordering::Relaxed);
    let https = school.dig(2, "www.google.de TYPE65").await;
    assert!(https.contains("status: NOERROR") && https.contains("ANSWER: 0, AUTHORITY: 1"), "{https}");
    assert_eq!(school.asked.load(Ordering::Relaxed), before);
}

#[tokio::test]
async fn an_allowed_name_is_answered_when_its_addresses_are_open() {
    let mut school = school().await;
    let refused = school.dig(3, "www.example.com").await;
    assert!(refused.contains("status: NXDOMAIN") && refused.contains("not on the allow list"), "{refused}");
    for question in ["+short www.example.org", "+short +tcp www.example.org"] {
        let address = school.stage.address().port().to_string();
        let mut dig = Command::new("dig")
            .args(["@127.0.0.1", "-p", &address, "-b", "127.0.0.3", "+tries=1"])
            .args(question.split(' '))
            .kill_on_drop(true)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let opening =
            tokio::time::timeout(Duration::from_secs(5), school.openings.recv()).await.unwrap().unwrap();
        assert_eq!((opening.number, opening.addresses), (3, vec![IpAddr::from([192, 0, 2, 7])]));
        assert!((300..=360).contains(&opening.secs), "{}", opening.secs);
        assert!(dig.try_wait().unwrap().is_none(), "the answer waits for the kernel");
        opening.opened.send(()).unwrap();
        let said = dig.wait_with_output().await.unwrap();
        assert_eq!(String::from_utf8(said.stdout).unwrap().trim(), "192.0.2.7");
    }
    // A gate that does not answer costs a second, not the name.
    let begin = clock::instant();
    assert_eq!(school.dig(3, "+short www.google.de").await, "forcesafesearch.google.com.\n192.0.2.38\n");
    assert!(clock::instant() - begin >= Duration::from_secs(1));
    assert_eq!(school.openings.recv().await.unwrap().addresses, [IpAddr::from([192, 0, 2, 38])]);
    let https = school.dig(3, "www.example.org TYPE65").await;
    assert!(https.contains("status: NOERROR") && https.contains("ANSWER: 0, AUTHORITY: 1"), "{https}");
    // A teacher adds a page to the list.
    let list = NewList { name: "Mathe", source: None, names: "example.net\n" };
    school.stage.inventory.put_name_list(BY, school.allowed, &list).await.unwrap();
    let within = Duration::from_secs(5);
    school.stage.until("-b 127.0.0.3 +short www.example.org", "", within).await;
}

#[tokio::test]
async fn the_locked_reach_what_is_always_reachable_and_their_probe_runs_into_the_gate() {
    let School { stage, mut openings, .. } = school().await;
    let gate = tokio::spawn(async move {
        let opening = openings.recv().await.unwrap();
        opening.opened.send(()).unwrap();
        (opening.number, opening.addresses, openings)
    });
    let refused = stage.dig("-b 127.0.0.4 www.example.org").await;
    assert!(refused.contains("status: NXDOMAIN") && refused.contains("(locked)"), "{refused}");
    assert_eq!(stage.dig("-b 127.0.0.4 +short captive.apple.com").await.trim(), "192.0.2.123");
    assert_eq!(stage.dig("-b 127.0.0.4 +short time.apple.com").await.trim(), "192.0.2.123");
    let (number, addresses, mut openings) = gate.await.unwrap();
    assert_eq!((number, addresses), (4, vec![IpAddr::from([192, 0, 2, 123])]));
    assert!(openings.try_recv().is_err(), "the probe was not opened");
    // An admin adds to what is always reachable.
    let always = NewList { name: "immer", source: None, names: "short.example.org\n" };
    stage.inventory.put_name_list(BY, ListId::ALWAYS, &always).await.unwrap();
    stage.until("-b 127.0.0.4 +short short.example.org", "192.0.2.9", Duration::from_secs(5)).await;
}

#[tokio::test]
async fn lessons_survive_a_line_that_fails() {
    let school = school().await;
    assert_eq!(
        school.dig(2, "+noall +answer short.example.org").await,
        "short.example.org. 1 IN A 192.0.2.9\n"
    );
    school.silent.store(true, Ordering::Relaxed);
    let stale = "short.example.org. 30 IN A 192.0.2.9";
    let within = Duration::from_secs(8);
    school.stage.until("-b 127.0.0.2 +noall +answer short.example.org", stale, within).await;
    // The forwarders are left alone for a while, so this one comes at once.
    let begin = clock::instant();
    let said = school.dig(2, "short.example.org").await;
    assert!(said.contains("EDE: 3 (Stale Answer)") && said.contains("30 IN A"), "{said}");
    assert!(clock::instant() - begin < Duration::from_millis(1500));
    // What was never asked for cannot be known, and that is said once for a moment.
    assert!(school.dig(2, "never.example.org").await.contains("status: SERVFAIL"));
    let asked = school.asked.load(Ordering::Relaxed);
    assert!(school.dig(2, "never.example.org").await.contains("status: SERVFAIL"));
    assert_eq!(school.asked.load(Ordering::Relaxed), asked);
}
