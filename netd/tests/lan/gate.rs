//! The gate with a real kernel: what is locked stops, what is granted opens, and neither needs netd to go on.

use std::os::unix::fs::PermissionsExt;

use inventory::Level::{AllowList, Filtered, Off, On};
use inventory::gate::{Layer, NewExam, NewRule, Setting, Target};
use inventory::{Lease, LeaseState, ListId, NewList, clock};

use crate::internet::{
    Campus, Device, ELSEWHERE, FIRST, FOREIGN, HOST, HOST6, OUTSIDE, RESOLVER, SECOND, Stream, TEACHER, by,
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
fn whoever_takes_another_address_or_card_is_shown_to_the_admin() {
    let campus = Campus::new(Off);
    let [inventive, granted] = [FIRST, SECOND].map(|n| &campus.devices[n]);
    campus.rule(Layer::Grant, Target::Device(granted.id), On, None);
    eventually("the grant opens", || granted.reaches(&web()));
    assert!(
        !inventive.reaches(&web()) && campus.strays().is_empty(),
        "addresses that are reserved are explained"
    );

    let pc = &inventive.namespace.0;
    run(&format!(
        "ip -n {pc} addr add 10.77.200.9/16 dev eth0; ip -n {pc} route replace default via 10.77.0.1 src 10.77.200.9"
    ));
    assert!(!inventive.reaches(&web()));
    eventually("an invented address is seen", || !campus.strays().is_empty());
    let stray = campus.strays().remove(0);
    assert_eq!((stray.ip.to_string(), stray.mac.to_string()), ("10.77.200.9".into(), inventive.mac.clone()));
    assert_eq!((stray.card_of.as_deref(), stray.address_of.as_deref()), (Some("pc0x"), None));
    assert!((clock::now().0 - stray.first_seen.0).abs() < 60_000 && stray.first_seen == stray.last_seen);

    // The card of the neighbour, who is off, with its own address.
    run(&format!(
        "ip -n {} link set eth0 down; ip -n {pc} addr del 10.77.200.9/16 dev eth0
         ip -n {pc} link set eth0 address {}; ip -n {} neigh flush dev lan0
         ip -n {pc} route replace default via 10.77.0.1 src {}",
        granted.namespace.0, granted.mac, campus.server.namespace.0, inventive.ip
    ));
    assert!(!inventive.reaches(&web()), "no more than the network's default");
    let copied = || campus.strays().into_iter().find(|stray| stray.ip == inventive.ip);
    eventually("a copied card is seen", || copied().is_some());
    let stray = copied().unwrap();
    assert_eq!((stray.card_of.as_deref(), stray.address_of.as_deref()), (Some("pc1x"), Some("pc0x")));
    assert_eq!(campus.strays().len(), 2, "each pair once");
    assert!(
        !campus.server.log().contains("another program"),
        "what the kernel notes is no change of the rules"
    );
}

#[test]
fn an_address_is_the_devices_until_its_lease_ends() {
    let campus = Campus::new(Off);
    let device = &campus.devices[FIRST];
    let mac = device.mac.parse().unwrap();
    campus.runtime.block_on(campus.inventory.reserve_address(by(), mac, None)).unwrap();
    campus.rule(Layer::Grant, Target::Device(device.id), On, None);
    eventually("the address is nobody's", || !device.reaches(&web()));
    let lease = Lease {
        ip: device.ip,
        client: device.mac.clone(),
        mac,
        hostname: None,
        state: LeaseState::Active,
        expires_at: clock::now().plus_secs(6),
    };
    let leases = [lease];
    campus.runtime.block_on(campus.inventory.commit_leases(clock::now(), &leases)).unwrap();
    // Committed from here, so netd is not told; any change makes it look.
    campus.runtime.block_on(campus.inventory.create_room(by(), "Anstoß")).unwrap();
    eventually("the lease is seen", || device.reaches(&web()));
    assert!(clock::now() < leases[0].expires_at);
    // Nothing happens from here on but that time passes.
    eventually("the lease has ended", || !device.reaches(&web()));
    let late = clock::now().0 - leases[0].expires_at.0;
    assert!((0..4000).contains(&late), "{late} ms after the end");
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
fn who_asks_for_names_over_ipv6_has_the_rules_of_their_device() {
    let campus = Campus::new(Off);
    let [locked, free] = [FIRST, SECOND].map(|n| &campus.devices[n]);
    campus.rule(Layer::Grant, Target::Device(free.id), On, None);
    let dig = |from: &str, question: &str| {
        run(&format!("ip netns exec {from} dig -6 +tries=1 +time=2 {question} || true"))
    };
    let pc = |device: &Device, question: &str| dig(&device.namespace.0, question);
    eventually("the grant holds", || pc(free, "+short @fd77::1 www.example").contains(HOST));
    let refused = pc(locked, "@fd77::1 www.example");
    assert!(refused.contains("NXDOMAIN") && refused.contains("EDE: 15"), "{refused}");
    assert!(pc(locked, "+tcp @fd77::1 www.example").contains("EDE: 15"), "by TCP too");
    assert!(pc(locked, "+short @fd77::1 server.schule.internal").contains("10.77.0.1"));
    let other = pc(locked, "@2001:db8::53 www.example");
    assert!(other.contains("EDE: 15"), "whoever asks another resolver is answered by ours: {other}");

    // Another address of the same card, and another card.
    run(&format!("ip -n {} addr add fd77::abcd/64 dev eth0 nodad", free.namespace.0));
    // The kernel's first look for an address that was just made is lost at times; whoever asks again is known.
    eventually("its new address is known", || {
        pc(free, "-b fd77::abcd +short @fd77::1 www.example").contains(HOST)
    });
    run(&format!(
        "ip -n {pc} link set eth0 down; ip -n {pc} link set eth0 address 02:00:00:00:00:99; ip -n {pc} link set eth0 up
         ip -n {pc} addr add fd77::beef/64 dev eth0 nodad",
        pc = free.namespace.0
    ));
    let stranger = pc(free, "-b fd77::beef @fd77::1 www.example");
    assert!(stranger.contains("EDE: 15"), "a card that is nobody's has what the network says: {stranger}");
    let outside = dig(&campus.internet.0, "@2001:db8::1 server.schule.internal");
    assert!(outside.contains("REFUSED"), "nobody outside is answered: {outside}");
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
    let ends_at = clock::now().plus_secs(15);
    let (targets, apps) = ([campus.room()], std::collections::BTreeSet::new());
    let new = NewExam { name: "Mathe", targets: &targets, list: None, apps: &apps, ends_at };
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
    for half in ["half of its time", "the rest of its time"] {
        // An exam is longer than anything is waited for.
        let left = ends_at.millis_since(clock::now()).max(0);
        let until = clock::now().0 + if half == "half of its time" { left / 2 } else { left };
        eventually(half, || clock::now().0 >= until);
    }
    eventually("it ends without netd", || campus.devices[FIRST].reaches(&web()));
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
fn what_an_allow_list_opened_stays_open_over_a_restart() {
    let mut campus = Campus::new(Off);
    let list = ListId::random();
    let new = NewList { name: "Klausur", source: None, names: "erlaubt.example\n" };
    campus.runtime.block_on(campus.inventory.put_name_list(by(), list, &new)).unwrap();
    let setting = Setting { level: AllowList, list: Some(list) };
    let (now, target) = (clock::now(), Target::Device(campus.devices[FIRST].id));
    let rule =
        NewRule { layer: Layer::Exam, target, setting, starts_at: now, ends_at: Some(now.plus_secs(60)) };
    campus.runtime.block_on(campus.inventory.add_rules(by(), &[rule])).unwrap();
    let download = {
        let [examined, locked] = [FIRST, SECOND].map(|n| &campus.devices[n]);
        eventually("the list is known", || examined.resolves("www.erlaubt.example"));
        assert!(locked.resolves("time.apple.com"));
        eventually("what is always reachable is", || locked.reaches(&web()));
        examined.listen(&web())
    };
    eventually("it flows", || download.flows());
    for _ in 0..2 {
        campus.server.kill();
        campus.server.start();
        assert!(download.flows(), "it goes on");
        assert!(campus.devices[FIRST].reaches(&web()), "nobody had to ask for the name again");
        assert!(campus.devices[SECOND].reaches(&web()));
        assert!(!campus.devices[FIRST].reaches(&format!("{RESOLVER}:443")));
    }
    let set = campus.nft("list set inet hausmeister opened4");
    assert!(set.contains(" expires "), "it ends as it would have: {set}");
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
    let (programs, broken) = breakable_nft();
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
    eventually("nothing is confirmed any more", || campus.confirmed(FIRST).is_none());
}

#[test]
fn a_notice_about_a_network_goes_when_it_is_no_longer_guarded() {
    let (programs, broken) = breakable_nft();
    let campus = Campus::with_programs(Off, Some(programs.path()));
    eventually("the lock is confirmed", || campus.confirmed(FIRST) == Some(Off));
    std::fs::write(&broken, "").unwrap();
    let guard = campus.inventory.set_network_gate(by(), campus.network, None, None, false);
    campus.runtime.block_on(guard).unwrap();
    eventually("a notice says so", || {
        campus.notices().iter().any(|text| text.contains("do not take effect"))
    });
    assert_eq!(campus.confirmed(FIRST), Some(Off), "what is confirmed is what holds");
    assert!(!campus.devices[FIRST].reaches(&web6()));
    std::fs::remove_file(&broken).unwrap();
    eventually("the table is gone after all", || campus.devices[FIRST].reaches(&web6()));
    eventually("and so is the notice", || campus.notices().is_empty() && campus.confirmed(FIRST).is_none());
}

/// A folder with an nft that refuses while a file exists, and that file.
fn breakable_nft() -> (tempfile::TempDir, std::path::PathBuf) {
    let programs = tempfile::tempdir().unwrap();
    let (broken, nft) = (programs.path().join("broken"), programs.path().join("nft"));
    let script = format!(
        "#!/bin/sh\n[ -e {} ] && echo 'Error: no' >&2 && exit 1\nexec /usr/sbin/nft \"$@\"\n",
        broken.display()
    );
    std::fs::write(&nft, script).unwrap();
    std::fs::set_permissions(&nft, std::fs::Permissions::from_mode(0o755)).unwrap();
    (programs, broken)
}
