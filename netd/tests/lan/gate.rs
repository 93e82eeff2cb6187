//! The gate with a real kernel: what is locked stops, what is granted opens, and neither needs netd to go on.

use std::os::unix::fs::PermissionsExt;

use inventory::Level::{AllowList, Filtered, Off, On};
use inventory::gate::{Layer, NewExam, NewRule, Setting, Target};
use inventory::{ListId, NewList, clock};

use crate::internet::{
    Campus, ELSEWHERE, FIRST, FOREIGN, HOST, HOST6, OUTSIDE, RESOLVER, SECOND, Stream, TEACHER, by,
};
use crate::lab::{eventually, run};

fn web() -> String {
    format!("{HOST}:443")
}

fn web6() -> String {
    format!("[{HOST6}]:443")
}

/// Milliseconds from `since` until the last byte arrived, once nothing has arrived for a while.
fn stopped_after(stream: &Stream, since: i64) -> i64 {
    eventually("the stream stops", || clock::now().0 - stream.last() > 600);
    stream.last() - since
}

#[test]
fn a_grant_opens_a_room_and_a_lock_ends_what_is_open_there_and_nowhere_else() {
    let campus = Campus::new(Off);
    let [first, other, teacher] = [FIRST, ELSEWHERE, TEACHER].map(|n| &campus.devices[n]);
    assert!(!first.reaches(&web()) && !first.reaches(&web6()) && !other.reaches(&web()));

    campus.rule(Layer::Grant, campus.room(), On, Some(60_000));
    campus.rule(Layer::Grant, Target::Device(other.id), On, None);
    campus.rule(Layer::Grant, Target::Device(teacher.id), On, None);
    eventually("the grant opens", || {
        first.reaches(&web()) && other.reaches(&web()) && teacher.reaches(&web())
    });
    eventually("with IPv6 too", || first.reaches(&web6()));
    eventually("the kernel is read", || campus.confirmed(FIRST) == Some(On));
    let open =
        [first.listen(&web()), first.listen(&web6()), first.listen_udp(&web()), first.listen_udp(&web6())];
    let elsewhere = [other.listen(&web()), teacher.listen(&web())];
    eventually("everything flows", || open.iter().chain(&elsewhere).all(Stream::flows));

    let locked_at = clock::now().0;
    campus.rule(Layer::Grant, campus.room(), Off, Some(60_000));
    for stream in &open {
        let millis = stopped_after(stream, locked_at);
        assert!(millis < 1000, "the last byte came {millis} ms after the lock");
    }
    assert!(elsewhere.iter().all(Stream::flows), "others, and the teacher in the same room, go on");
    assert!(!first.reaches(&web()) && !first.reaches(&web6()));
    eventually("the kernel is read", || campus.confirmed(FIRST) == Some(Off));
}

#[test]
fn a_grant_ends_by_itself_while_netd_is_dead_and_a_lock_holds() {
    let mut campus = Campus::new(Off);
    campus.rule(Layer::Lock, Target::Device(campus.devices[SECOND].id), Off, None);
    campus.rule(Layer::Grant, campus.room(), On, Some(3_000));
    let ends = clock::now().0 + 3_000;
    eventually("the grant opens", || campus.devices[FIRST].reaches(&web()));
    let stream = campus.devices[FIRST].listen(&web());
    campus.server.kill();
    eventually("it flows without netd", || stream.flows());
    let late = stopped_after(&stream, ends);
    assert!((-200..1000).contains(&late), "it stopped {late} ms after its end");
    assert!(!campus.devices[FIRST].reaches(&web()));
    assert!(!campus.devices[SECOND].reaches(&web()), "the lock never opened");
}

#[test]
fn whoever_takes_another_address_gets_no_more_than_the_network_says() {
    let campus = Campus::new(Off);
    let [locked, granted] = [FIRST, SECOND].map(|n| &campus.devices[n]);
    campus.rule(Layer::Grant, Target::Device(granted.id), On, None);
    eventually("the grant opens", || granted.reaches(&web()));
    let pc = &locked.namespace.0;
    let (ip, theirs) = (locked.ip, granted.ip);

    run(&format!(
        "ip -n {pc} addr add 10.77.200.9/16 dev eth0; ip -n {pc} route replace default via 10.77.0.1 src 10.77.200.9"
    ));
    assert!(!locked.reaches(&web()), "an address of its own");
    run(&format!(
        "ip -n {pc} addr add 192.0.2.7/32 dev eth0; ip -n {pc} route replace default via 10.77.0.1 src 192.0.2.7"
    ));
    assert!(!locked.reaches(&web()), "an address of no network");
    // The neighbour is off, and its address is taken.
    run(&format!("ip -n {} link set eth0 down", granted.namespace.0));
    run(&format!(
        "ip -n {pc} addr add {theirs}/16 dev eth0; ip -n {pc} route replace default via 10.77.0.1 src {theirs}"
    ));
    run(&format!("ip -n {} neigh flush dev lan0", campus.server.namespace.0));
    assert!(!locked.reaches(&web()), "another's address");
    run(&format!(
        "ip -n {pc} route replace default via 10.77.0.1 src {ip}; ip -n {pc} link set eth0 address {}",
        granted.mac
    ));
    run(&format!("ip -n {} neigh flush dev lan0", campus.server.namespace.0));
    assert!(!locked.reaches(&web()), "another's card with its own address");
    run(&format!(
        "ip -n {pc} link set eth0 address {}; ip -n {pc} addr add fd77::bad/64 dev eth0 nodad",
        locked.mac
    ));
    assert!(!locked.reaches(&web6()), "another IPv6 address");
}

#[test]
fn filtered_devices_ask_our_resolver_and_no_encrypted_one_and_the_others_may() {
    let campus = Campus::new(Filtered);
    let [pupil, free] = [FIRST, SECOND].map(|n| &campus.devices[n]);
    campus.rule(Layer::Grant, Target::Device(free.id), On, None);
    let other = format!("{RESOLVER}:53");
    eventually("the grant holds", || free.ask(&other, b"?").as_deref() == Some(FOREIGN));
    assert!(pupil.reaches(&web()));
    let question = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x06server\x06schule\x08internal\0\0\x01\0\x01";
    let answer = pupil.ask(&other, question).expect("our resolver answers in its place");
    assert_ne!(answer, FOREIGN);
    assert_eq!(answer[..2], question[..2]);
    for address in [format!("{RESOLVER}:443"), format!("{RESOLVER}:853"), format!("{HOST}:853")] {
        assert!(!pupil.reaches(&address), "{address}");
        assert!(free.reaches(&address), "{address}");
    }
}

#[test]
fn a_device_on_an_allow_list_reaches_nothing_that_dns_did_not_open() {
    let campus = Campus::new(On);
    campus.rule(Layer::Exam, campus.room(), AllowList, Some(60_000));
    eventually("the exam begins", || !campus.devices[FIRST].reaches(&web()));
    assert!(!campus.devices[FIRST].reaches(&web6()));
    campus.rule(Layer::Grant, campus.room(), On, Some(60_000));
    eventually("the grant is seen", || campus.confirmed(FIRST) == Some(AllowList));
    assert!(!campus.devices[FIRST].reaches(&web()), "a grant for the room does not widen an exam");
    assert!(campus.devices[TEACHER].reaches(&web()) && campus.devices[ELSEWHERE].reaches(&web()));
}

#[test]
fn an_exam_ends_by_itself_and_its_protocol_says_who_was_there_and_who_tried_to_leave() {
    let mut campus = Campus::new(On);
    let [sitting, absent, elsewhere] = [FIRST, SECOND, ELSEWHERE].map(|n| campus.devices[n].id);
    run(&format!("ip -n {} link set eth0 down", campus.devices[SECOND].namespace.0));
    let ends_at = clock::now().plus_secs(12);
    let new = NewExam { name: "Mathe", targets: &[campus.room()], list: None, ends_at };
    let exam = campus.runtime.block_on(campus.inventory.begin_exam(by(), &new)).unwrap();
    let pc = &campus.devices[FIRST];
    eventually("the exam begins", || !pc.reaches(&web()));
    for address in [&web(), &web6(), &format!("{HOST}:853"), &format!("{RESOLVER}:443")] {
        assert!(!pc.reaches(address), "{address}");
    }
    assert!(campus.devices[ELSEWHERE].reaches(&web()), "others are no part of it");

    let sittings = || campus.runtime.block_on(campus.inventory.sittings(exam)).unwrap();
    let of = |device| sittings().into_iter().find(|sitting| sitting.device == device);
    eventually("what it tried is written down", || {
        of(sitting).is_some_and(|s| s.refused >= 2 && s.dodged >= 2)
    });
    assert!(of(sitting).is_some_and(|s| s.first_seen.is_some() && s.name == "pc0x"));
    assert_eq!(of(absent).map(|s| (s.first_seen, s.refused, s.dodged)), Some((None, 0, 0)));
    assert_eq!(of(elsewhere), None);

    campus.server.kill();
    eventually("it ends without netd", || clock::now() > ends_at && campus.devices[FIRST].reaches(&web()));
    let protocol = sittings();
    campus.server.start();
    eventually("netd is back", || campus.devices[FIRST].reaches(&web()));
    assert_eq!(sittings(), protocol, "what happens after the end is no part of it");
}

#[test]
fn an_allow_list_opens_the_addresses_of_its_names_to_those_whom_it_is_for() {
    let campus = Campus::new(Off);
    let list = ListId::random();
    let new = NewList { name: "Klausur", source: None, names: "erlaubt.example\n" };
    campus.runtime.block_on(campus.inventory.put_name_list(by(), list, &new)).unwrap();
    let setting = Setting { level: AllowList, list: Some(list) };
    let now = clock::now();
    let (layer, target) = (Layer::Exam, Target::Device(campus.devices[FIRST].id));
    let rule = NewRule { layer, target, setting, starts_at: now, ends_at: Some(now.plus_secs(60)) };
    campus.runtime.block_on(campus.inventory.add_rules(by(), &[rule])).unwrap();
    let [examined, locked] = [FIRST, SECOND].map(|n| &campus.devices[n]);
    eventually("the list is known", || examined.resolves("www.erlaubt.example"));
    assert!(examined.reaches(&web()), "the address is open as soon as the answer is there");
    assert!(!examined.resolves("verboten.example"));
    assert!(!examined.reaches(&format!("{RESOLVER}:443")), "other addresses are not");
    assert!(!locked.resolves("www.erlaubt.example") && !locked.reaches(&web()), "and not for others");

    assert!(locked.resolves("time.apple.com"), "some names are always reachable");
    eventually("so are their addresses", || locked.reaches(&web()));
    campus.runtime.block_on(campus.inventory.end_rules(by(), layer, target)).unwrap();
    eventually("the exam is over, and so is what it opened", || !examined.reaches(&web()));
}

#[test]
fn addresses_are_hidden_behind_the_server() {
    let campus = Campus::new(On);
    assert!(campus.devices[FIRST].reaches(&web()));
    let seen = run(&format!(
        "ip netns exec {} cat /proc/net/nf_conntrack 2>/dev/null || true",
        campus.server.namespace.0
    ));
    // The internet has no route to the school, so a connection is proof enough; where conntrack can be read, it agrees.
    assert!(seen.is_empty() || seen.contains(OUTSIDE), "{seen}");
}

#[test]
fn what_others_wrote_stays_and_a_flushed_ruleset_is_noticed_and_made_anew() {
    let campus = Campus::new(Off);
    campus.nft("add table ip mine; add chain ip mine c; add rule ip mine c counter");
    campus.rule(Layer::Grant, campus.room(), On, Some(60_000));
    eventually("the grant opens", || campus.devices[FIRST].reaches(&web()));
    assert!(campus.nft("list table ip mine").contains("counter"));

    for meddling in [
        "flush ruleset",
        "delete table inet hausmeister",
        "flush chain inet hausmeister judge",
        "flush map inet hausmeister first",
    ] {
        let at = clock::now().0;
        campus.nft(meddling);
        eventually("the rules are back", || {
            let text = campus.nft("list ruleset");
            text.contains("ct mark vmap @first") && text.contains("goto on")
        });
        let millis = clock::now().0 - at;
        assert!(millis < 5_000, "{meddling}: back after {millis} ms");
        assert!(!campus.devices[ELSEWHERE].reaches(&web()), "{meddling}");
        assert!(campus.devices[FIRST].reaches(&web()), "{meddling}");
    }
    campus.nft("add table ip mine; add chain ip mine c; add rule ip mine c counter");
    campus.rule(Layer::Grant, campus.room(), Off, Some(60_000));
    eventually("the lock holds", || !campus.devices[FIRST].reaches(&web()));
    assert!(campus.nft("list table ip mine").contains("counter"));
}

#[test]
fn nothing_opens_while_netd_is_restarted() {
    let mut campus = Campus::new(On);
    campus.rule(Layer::Lock, Target::Device(campus.devices[FIRST].id), Off, None);
    eventually("the lock holds", || !campus.devices[FIRST].reaches(&web()));
    let datagrams = campus.devices[FIRST].listen_udp(&web());
    for _ in 0..3 {
        campus.server.kill();
        assert!(!campus.devices[FIRST].reaches(&web()));
        campus.server.start();
        assert!(!campus.devices[FIRST].reaches(&web()));
    }
    assert_eq!(datagrams.last(), 0, "not a single datagram came through");
    assert!(campus.devices[SECOND].reaches(&web()));
}

#[test]
fn when_nft_refuses_everything_stays_as_it_was_and_a_notice_says_so() {
    let programs = tempfile::tempdir().unwrap();
    let broken = programs.path().join("broken");
    let nft = programs.path().join("nft");
    let script = format!(
        "#!/bin/sh\n[ -e {} ] && echo 'Error: no' >&2 && exit 1\nexec /usr/sbin/nft \"$@\"\n",
        broken.display()
    );
    std::fs::write(&nft, script).unwrap();
    std::fs::set_permissions(&nft, std::fs::Permissions::from_mode(0o755)).unwrap();
    let campus = Campus::with_programs(Off, Some(programs.path()));
    campus.rule(Layer::Grant, campus.room(), On, Some(60_000));
    eventually("the grant opens", || campus.confirmed(FIRST) == Some(On));

    std::fs::write(&broken, "").unwrap();
    campus.rule(Layer::Grant, campus.room(), Off, Some(60_000));
    eventually("a notice says so", || {
        campus.notices().iter().any(|text| text.contains("do not take effect"))
    });
    assert_eq!(campus.confirmed(FIRST), Some(On), "what is confirmed is what holds");
    assert!(campus.devices[FIRST].reaches(&web()));

    std::fs::remove_file(&broken).unwrap();
    eventually("the lock is carried out after all", || campus.confirmed(FIRST) == Some(Off));
    assert!(!campus.devices[FIRST].reaches(&web()));
    eventually("the notice goes", || campus.notices().is_empty());
}

#[test]
fn a_network_that_is_no_longer_guarded_is_left_alone() {
    let campus = Campus::new(Off);
    assert!(!campus.devices[FIRST].reaches(&web6()));
    campus
        .runtime
        .block_on(campus.inventory.set_network_gate(by(), campus.network, None, None, false))
        .unwrap();
    eventually("the table is gone", || !campus.nft("list ruleset").contains("hausmeister"));
    eventually("everything passes", || campus.devices[FIRST].reaches(&web6()));
}
