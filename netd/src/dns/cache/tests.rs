//! The cache, told the time.

use hickory_proto::rr::rdata::{A, AAAA, CNAME, SOA};
use inventory::clock;

use super::*;

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn address(owner: &str, ttl: u32, last: u8) -> Record {
    Record::from_rdata(name(owner), ttl, RData::A(A(Ipv4Addr::new(192, 0, 2, last))))
}

fn soa(ttl: u32, minimum: u32) -> Record {
    let zone = name("example.org.");
    Record::from_rdata(zone.clone(), ttl, RData::SOA(SOA::new(zone.clone(), zone, 1, 1, 1, 1, minimum)))
}

fn answer(owner: &str, ttl: u32) -> Arc<Answer> {
    let records = vec![address(owner, ttl, 7)];
    Answer::new(&name(owner), RecordType::A, ResponseCode::NoError, records, vec![]).unwrap().into()
}

fn key(owner: &str) -> Key {
    Key::new(None, RecordType::A, &wire(&name(owner)).unwrap())
}

/// The message that a client gets.
fn message(owner: &str, answer: &Answer, age: Age) -> Message {
    let mut bytes = vec![0, 0, 0x80, 0, 0, 1];
    bytes.extend(answer.answers.to_be_bytes());
    bytes.extend(answer.authorities.to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(wire(&name(owner)).unwrap());
    bytes.extend([0, 1, 0, 1]);
    answer.write(age, &mut bytes);
    Message::from_vec(&bytes).unwrap()
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn an_answer_is_the_same_message_with_the_ttls_of_the_moment() {
    let chain = vec![
        Record::from_rdata(name("a.example.org."), 300, RData::CNAME(CNAME(name("B.example.org.")))),
        address("B.example.org.", 60, 1),
        Record::from_rdata(name("B.example.org."), 200_000, RData::AAAA(AAAA(Ipv6Addr::LOCALHOST))),
    ];
    let kept =
        Answer::new(&name("a.example.org."), RecordType::A, ResponseCode::NoError, chain.clone(), vec![]);
    let kept = kept.unwrap();
    assert_eq!(kept.ttl_secs(), 60);
    let told = message("a.example.org.", &kept, Age::Fresh(10));
    let ttls: Vec<u32> = told.answers.iter().map(|record| record.ttl).collect();
    assert_eq!(ttls, [290, 50, 86_390]);
    assert!(told.answers.iter().zip(&chain).all(|(a, b)| a.data == b.data && a.name == b.name));
    assert!(message("a.example.org.", &kept, Age::Stale).answers.iter().all(|record| record.ttl == 30));
    assert_eq!(*kept.aliases, [wire(&name("b.example.org.")).unwrap().into_boxed_slice()]);
    let addresses: Vec<String> = kept.addresses().map(|ip| ip.to_string()).collect();
    assert_eq!(addresses, ["192.0.2.1", "::1"]);
}

#[test]
fn rfc2308_5_a_negative_answer_is_kept_as_long_as_its_soa_says() {
    for (soa, expected) in
        [(Some(soa(300, 60)), 60), (Some(soa(30, 60)), 30), (Some(soa(9999, 9999)), 900), (None, 0)]
    {
        let kept = Answer::new(
            &name("no.example.org."),
            RecordType::A,
            ResponseCode::NXDomain,
            vec![],
            soa.into_iter().collect(),
        );
        let kept = kept.unwrap();
        assert_eq!(kept.ttl_secs(), expected);
        let told = message("no.example.org.", &kept, Age::Fresh(5));
        assert!(told.authorities.iter().all(|record| record.ttl == expected - 5));
    }
}

#[test]
fn a_ttl_runs_out_and_the_answer_stays_for_need() {
    let (cache, begin) = (Cache::new(100, 100_000), clock::instant());
    cache.insert(&key("a.example.org."), answer("a.example.org.", 60), begin);
    let at = |secs| cache.find(&key("a.example.org."), begin + secs * SECOND).map(|hit| (hit.age, hit.then));
    assert_eq!(at(10), Some((Age::Fresh(10), Next::Give)));
    assert_eq!(at(60), Some((Age::Stale, Next::AskFirst)));
    cache.fail(&key("a.example.org."), Trust::Unknown, begin + 61 * SECOND);
    assert_eq!(at(62), Some((Age::Stale, Next::Give)), "the forwarders just failed");
    assert_eq!(at(92), Some((Age::Stale, Next::AskFirst)), "they are asked again after 30 s");
    assert_eq!(at(86_461), None, "after a day it is worth nothing");
    cache.insert(&key("a.example.org."), answer("a.example.org.", 60), begin + 100 * SECOND);
    assert_eq!(at(101), Some((Age::Fresh(1), Next::Give)));
}

#[test]
fn what_is_asked_often_is_fetched_anew_before_it_ends() {
    let (cache, begin) = (Cache::new(100, 100_000), clock::instant());
    let at = |secs| cache.find(&key("a.example.org."), begin + secs * SECOND).unwrap().then;
    cache.insert(&key("a.example.org."), answer("a.example.org.", 100), begin);
    assert_eq!(at(95), Next::Give, "asked once");
    assert_eq!(at(96), Next::Refresh);
    assert_eq!(at(97), Next::Give, "said once");
    cache.fail(&key("a.example.org."), Trust::Unknown, begin + 97 * SECOND);
    assert_eq!(at(98), Next::Refresh, "the first try failed");
    cache.insert(&key("a.example.org."), answer("a.example.org.", 100), begin + 98 * SECOND);
    assert_eq!((at(99), at(100), at(101)), (Next::Give, Next::Give, Next::Give));
}

#[test]
fn a_failure_is_remembered_for_a_moment_only() {
    let (cache, begin) = (Cache::new(100, 100_000), clock::instant());
    cache.fail(&key("a.example.org."), Trust::Unknown, begin);
    let hit = cache.find(&key("a.example.org."), begin + SECOND).unwrap();
    assert_eq!((hit.answer.code, hit.then), (ResponseCode::ServFail, Next::Give));
    assert!(cache.find(&key("a.example.org."), begin + 6 * SECOND).is_none());
}

#[test]
fn rewritten_and_plain_answers_never_meet() {
    let (cache, now) = (Cache::new(100, 100_000), clock::instant());
    let google = wire(&name("www.google.de.")).unwrap();
    let safe = Key::new(Some(Target::Google), RecordType::A, &google);
    cache.insert(&safe, answer("www.google.de.", 60), now);
    assert!(cache.find(&safe, now).is_some());
    for (target, kind) in
        [(None, RecordType::A), (Some(Target::Google), RecordType::AAAA), (Some(Target::Bing), RecordType::A)]
    {
        assert!(cache.find(&Key::new(target, kind, &google), now).is_none());
    }
}

#[test]
fn the_cache_is_bounded_and_keeps_what_is_asked_for() {
    let (cache, now) = (Cache::new(160, 1 << 20), clock::instant());
    cache.insert(&key("dear.example.org."), answer("dear.example.org.", 60), now);
    for n in 0..5000 {
        let name = format!("n{n}.example.org.");
        cache.insert(&key(&name), answer(&name, 60), now);
        assert!(cache.find(&key("dear.example.org."), now).is_some());
    }
    let held: usize = cache.shards.iter().map(|shard| shard.lock().unwrap().entries.len()).sum();
    let ordered: usize = cache.shards.iter().map(|shard| shard.lock().unwrap().order.len()).sum();
    assert!(held <= 160 && held == ordered, "{held} {ordered}");

    let small = Cache::new(1_000_000, 64_000);
    for n in 0..5000 {
        let name = format!("n{n}.example.org.");
        small.insert(&key(&name), answer(&name, 60), now);
    }
    for shard in &small.shards {
        let shard = shard.lock().unwrap();
        let counted: usize =
            shard.entries.iter().map(|(key, e)| key.len() + ENTRY_BYTES + e.answer.bytes()).sum();
        assert!(shard.bytes == counted && counted <= 4000, "{} {counted}", shard.bytes);
    }
}
