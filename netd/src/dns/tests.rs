//! The server over loopback, asked by `dig`, with a forwarder made here.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use hickory_server::proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_server::proto::rr::rdata::{A, CNAME, SOA};
use hickory_server::proto::rr::{Name, RData, Record, RecordType};
use inventory::{
    By, DhcpMode, Interface, InterfaceKind, Inventory, Lease, LeaseState, Network, NetworkId, NewDevice,
    UnixMillis, clock,
};
use proptest::prelude::*;
use tokio::net::UdpSocket;
use tokio::process::Command;

use super::book::Book;
use super::cache::Cache;
use super::handler::{School, long_way};
use super::quick::{Quick, Transport};
use super::table::Table;
use super::upstream::Upstream;
use super::zones::Guests;
use super::{Config, Forwarder, Handle, serve};
use crate::clients::Link;

mod filtering;

struct Stage {
    _dir: tempfile::TempDir,
    inventory: Inventory,
    handle: Handle,
}

async fn stage(forwarders: Vec<SocketAddr>) -> Stage {
    stage_with(forwarders, None).await
}

async fn stage_with(forwarders: Vec<SocketAddr>, link: Option<Link>) -> Stage {
    stage_of(forwarders.into_iter().map(Forwarder::from).collect(), "/none".into(), link).await
}

async fn stage_of(forwarders: Vec<Forwarder>, authorities: PathBuf, link: Option<Link>) -> Stage {
    let dir = tempfile::tempdir().unwrap();
    let inventory =
        Inventory::open(&format!("sqlite://{}", dir.path().join("i.db").display())).await.unwrap();
    let network = Network {
        id: NetworkId::random(),
        name: "Unterricht".into(),
        cidr: "10.77.0.0/22".parse().unwrap(),
        router: None,
        pool_first: Ipv4Addr::new(10, 77, 1, 0),
        pool_last: Ipv4Addr::new(10, 77, 3, 200),
        lease_secs: 3600,
        mode: DhcpMode::Server,
    };
    inventory.put_network(BY, &network).await.unwrap();
    add_device(&inventory, "r204-pc01", "52:54:00:00:00:01", Ipv4Addr::new(10, 77, 0, 21)).await;
    let config = Config {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        zone: "schule.internal".into(),
        own_names: Vec::new(),
        own_addresses: vec![Ipv4Addr::new(10, 77, 0, 1)],
        portal: None,
        forwarders,
        lists_dir: dir.path().join("lists"),
        dnssec: unvalidated(),
        authorities,
    };
    let handle = serve(config, inventory.clone(), link).await.unwrap();
    Stage { _dir: dir, inventory, handle }
}

/// The forwarders of these tests hear what clients ask and nothing else.
fn unvalidated() -> super::dnssec::Settings {
    super::dnssec::Settings { mode: super::dnssec::Mode::Off, ..Default::default() }
}

const BY: By<'_> = By { actor: "test", at: UnixMillis(1) };

async fn add_device(inventory: &Inventory, name: &str, mac: &str, ip: Ipv4Addr) {
    let room = match inventory.room_by_name("204").await.unwrap() {
        Some(room) => room,
        None => inventory.create_room(BY, "204").await.unwrap(),
    };
    let card = Interface { mac: mac.parse().unwrap(), kind: InterfaceKind::Lan, reserved_ip: Some(ip) };
    let new =
        NewDevice { name: name.parse().unwrap(), room: room.id, desired_image: None, interfaces: vec![card] };
    inventory.create_device(BY, &new).await.unwrap();
}

impl Stage {
    fn address(&self) -> SocketAddr {
        self.handle.addresses()[0]
    }

    async fn dig(&self, arguments: &str) -> String {
        let port = self.address().port().to_string();
        let run = Command::new("dig")
            .args(["@127.0.0.1", "-p", &port, "+tries=1", "+time=6"])
            .args(arguments.split(' '))
            .kill_on_drop(true)
            .output();
        let said = String::from_utf8(run.await.unwrap().stdout).unwrap();
        let line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n";
        said.lines().map(line).collect()
    }

    async fn until(&self, arguments: &str, expected: &str, within: Duration) {
        let begin = clock::instant();
        loop {
            // What counts is when the question was asked: on a busy machine `dig` itself takes its time.
            let asked = clock::instant();
            let said = self.dig(arguments).await;
            if said.trim() == expected {
                return;
            }
            assert!(asked - begin < within, "{arguments}: {said:?} and not {expected:?}");
        }
    }
}

/// A forwarder that knows a few names, and counts what it is asked.
async fn forwarder() -> (SocketAddr, Arc<AtomicUsize>) {
    let (address, asked, _) = forwarder_with_a_switch().await;
    (address, asked)
}

/// The same, with a switch that makes it silent.
async fn forwarder_with_a_switch() -> (SocketAddr, Arc<AtomicUsize>, Arc<AtomicBool>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let silent = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&silent);
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        loop {
            let (bytes, from) = socket.recv_from(&mut buffer).await.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
            if silent.load(Ordering::Relaxed) {
                continue;
            }
            let question = Message::from_vec(&buffer[..bytes]).unwrap();
            socket.send_to(&told(&question).to_vec().unwrap(), from).await.unwrap();
        }
    });
    (address, asked, switch)
}

fn told(question: &Message) -> Message {
    let query = question.queries[0].clone();
    let name = query.name().clone();
    let mut reply = Message::response(question.metadata.id, OpCode::Query);
    reply.metadata.recursion_available = true;
    reply.add_query(query.clone());
    let address =
        |name: &Name, n: u8| Record::from_rdata(name.clone(), 300, RData::A(A(Ipv4Addr::new(192, 0, 2, n))));
    match name.to_ascii().to_ascii_lowercase().as_str() {
        "www.example.org." if query.query_type() == RecordType::A => {
            reply.add_answer(address(&name, 7));
        }
        "many.example.org." => {
            reply.add_answers((0..60).map(|n| address(&name, n)));
        }
        "short.example.org." => {
            reply.add_answer(Record::from_rdata(name, 1, RData::A(A(Ipv4Addr::new(192, 0, 2, 9)))));
        }
        "forcesafesearch.google.com." if query.query_type() == RecordType::A => {
            reply.add_answer(address(&name, 38));
        }
        "time.apple.com." | "captive.apple.com." => {
            reply.add_answer(address(&name, 123));
        }
        "alias.example.org." => {
            let target = Name::from_ascii("www.example.org.").unwrap();
            reply.add_answer(Record::from_rdata(name, 300, RData::CNAME(CNAME(target.clone()))));
            reply.add_answer(address(&target, 7));
        }
        _ => {
            let zone = Name::from_ascii("example.org.").unwrap();
            let soa = SOA::new(zone.clone(), zone.clone(), 1, 1, 1, 1, 30);
            reply.add_authority(Record::from_rdata(zone, 30, RData::SOA(soa)));
            if name.to_ascii().starts_with("none") {
                reply.metadata.response_code = ResponseCode::NXDomain;
            }
        }
    }
    reply
}

#[tokio::test]
async fn dig_finds_names_addresses_and_their_absence() {
    let stage = stage(Vec::new()).await;
    let short = async |arguments: &str| stage.dig(arguments).await.trim().to_owned();
    assert_eq!(short("+short r204-pc01.schule.internal").await, "10.77.0.21");
    assert_eq!(short("+short +tcp R204-PC01.Schule.Internal").await, "10.77.0.21");
    assert_eq!(short("+short -x 10.77.0.21").await, "r204-pc01.schule.internal.");
    assert_eq!(short("+short server.schule.internal").await, "10.77.0.1");
    let soa = short("+short schule.internal SOA").await;
    let revision = stage.inventory.last_change().await.unwrap();
    let expected = format!("server.schule.internal. hostmaster.schule.internal. {revision} ");
    assert!(soa.starts_with(&expected), "{soa}");

    for (arguments, status, flags) in [
        ("nobody.schule.internal", "NXDOMAIN", "qr aa rd ra"),
        ("-x 10.77.0.99", "NXDOMAIN", "qr aa rd ra"),
        ("r204-pc01.schule.internal MX", "NOERROR", "qr aa rd ra"),
        ("printer.local", "NXDOMAIN", "qr aa rd ra"),
        ("+norecurse r204-pc01.schule.internal", "NOERROR", "qr aa ra"),
        ("www.example.org", "REFUSED", "qr rd ra"),
        ("version.bind CH TXT", "REFUSED", "qr rd ra"),
        ("+opcode=notify schule.internal", "NOTIMP", "qr rd ra"),
        ("+edns=1 +noednsneg r204-pc01.schule.internal", "BADVERS", "qr rd ra"),
        ("+header-only", "FORMERR", "qr rd ra"),
    ] {
        let said = stage.dig(arguments).await;
        assert!(said.contains(&format!("status: {status}")), "{arguments}: {said}");
        assert!(said.contains(&format!("flags: {flags};")), "{arguments}: {said}");
    }
    // The school's names are not handed out as a list.
    assert!(stage.dig("schule.internal AXFR").await.contains("Transfer failed."));
    let negative = stage.dig("nobody.schule.internal").await;
    assert!(negative.contains("schule.internal. 10 IN SOA"), "{negative}");
    assert!(negative.contains("udp: 1232"), "{negative}");
}

#[tokio::test]
async fn both_ways_to_an_answer_say_the_same() {
    let stage = stage(Vec::new()).await;
    for question in
        ["r204-pc01.schule.internal A", "nobody.schule.internal A", "schule.internal NS", "x.test A"]
    {
        // A message with two additional records is not simple.
        let quick = stage.dig(&format!("+noall +answer +authority +norecurse {question}")).await;
        let (name, kind) = question.split_once(' ').unwrap();
        let name = Name::from_ascii(format!("{name}.")).unwrap();
        let mut message = Message::query();
        message.add_query(Query::query(name.clone(), kind.parse().unwrap()));
        message.add_additional(Record::from_rdata(Name::root(), 0, RData::A(A(Ipv4Addr::LOCALHOST))));
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.send_to(&message.to_vec().unwrap(), stage.address()).await.unwrap();
        let mut buffer = [0; 2048];
        let bytes = client.recv(&mut buffer).await.unwrap();
        let reply = Message::from_vec(&buffer[..bytes]).unwrap();
        assert!(reply.metadata.authoritative);
        let data = |line: &str| line.split_whitespace().skip(4).collect::<Vec<_>>().join(" ");
        let quick: Vec<String> = quick.lines().map(data).collect();
        let long: Vec<String> =
            reply.answers.iter().chain(&reply.authorities).map(|record| record.data.to_string()).collect();
        assert_eq!(quick, long, "{question}");
    }
}

#[tokio::test]
async fn other_names_come_from_the_forwarder_and_are_remembered() {
    let (address, asked) = forwarder().await;
    let stage = stage(vec![address]).await;
    for _ in 0..3 {
        assert_eq!(stage.dig("+short www.example.org").await.trim(), "192.0.2.7");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert_eq!(stage.dig("+short alias.example.org").await, "www.example.org.\n192.0.2.7\n");
    let none = stage.dig("none.example.org").await;
    assert!(none.contains("status: NXDOMAIN") && none.contains("example.org. 30 IN SOA"), "{none}");
    let empty = stage.dig("www.example.org AAAA").await;
    assert!(empty.contains("status: NOERROR") && empty.contains("ANSWER: 0, AUTHORITY: 1"), "{empty}");
    // Names of the house are never asked for outside.
    let before = asked.load(Ordering::Relaxed);
    for own in ["nobody.schule.internal", "printer.local", "-x 10.3.4.5", "pc1", "_dns.resolver.arpa SVCB"] {
        stage.dig(own).await;
    }
    assert_eq!(asked.load(Ordering::Relaxed), before);
}

#[tokio::test]
async fn an_answer_too_long_for_a_datagram_is_fetched_by_tcp() {
    let (address, _) = forwarder().await;
    let stage = stage(vec![address]).await;
    let cut = stage.dig("+noedns +ignore many.example.org").await;
    assert!(cut.contains("flags: qr tc rd ra;"), "{cut}");
    let whole = stage.dig("+noedns many.example.org").await;
    assert!(whole.contains("Truncated, retrying in TCP mode") && whole.contains("ANSWER: 60,"), "{whole}");
    let fits = stage.dig("+bufsize=4096 +ignore many.example.org").await;
    assert!(fits.contains("ANSWER: 60,") && fits.contains("udp: 1232"), "{fits}");
    let small = stage.dig("+bufsize=600 +ignore many.example.org").await;
    assert!(small.contains("flags: qr tc rd ra;") && small.contains("udp: 1232"), "{small}");
}

#[tokio::test]
async fn with_dead_forwarders_clients_are_told_within_five_seconds_and_a_living_one_is_used() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let silent = (silent.local_addr().unwrap(), silent);
    let closed: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let dead = stage(vec![silent.0, closed]).await;
    let begin = clock::instant();
    let said = dead.dig("www.example.org").await;
    assert!(said.contains("status: SERVFAIL"), "{said}");
    assert!(clock::instant() - begin < Duration::from_secs(5));
    // What is ours is answered meanwhile.
    assert_eq!(dead.dig("+short r204-pc01.schule.internal").await.trim(), "10.77.0.21");

    let (living, _) = forwarder().await;
    let mixed = stage(vec![silent.0, closed, living]).await;
    assert_eq!(mixed.dig("+short www.example.org").await.trim(), "192.0.2.7");
}

/// A forwarder over TLS with this certificate.
async fn tls_forwarder(certificate: inventory::ca::ServerCert) -> SocketAddr {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(certificate.key);
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.certificate.into()], key.into())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                while let Ok(bytes) = stream.read_u16().await {
                    let mut question = vec![0; usize::from(bytes)];
                    stream.read_exact(&mut question).await.unwrap();
                    let reply = told(&Message::from_vec(&question).unwrap()).to_vec().unwrap();
                    stream.write_u16(u16::try_from(reply.len()).unwrap()).await.unwrap();
                    stream.write_all(&reply).await.unwrap();
                    stream.flush().await.unwrap();
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn a_forwarder_over_tls_must_have_the_right_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let authority = inventory::ca::Authority::ensure(dir.path(), "Testschule").unwrap();
    let authorities = dir.path().join("authorities.pem");
    std::fs::write(&authorities, authority.pem()).unwrap();
    let address = tls_forwarder(authority.issue_server(&[], &["dns.example".into()]).unwrap()).await;
    let named = |name: &str| vec![Forwarder { address, tls_name: Some(name.into()) }];

    let right = stage_of(named("dns.example"), authorities.clone(), None).await;
    for name in ["www.example.org", "short.example.org"] {
        assert!(right.dig(&format!("+short {name}")).await.starts_with("192.0.2."), "{name}");
    }
    let wrong = stage_of(named("other.example"), authorities, None).await;
    assert!(wrong.dig("www.example.org").await.contains("status: SERVFAIL"));
    // Without anybody who could vouch for it nothing is served, instead of everything in the clear.
    assert!(Upstream::new(named("dns.example"), Path::new("/none"), &unvalidated()).is_err());
}

#[tokio::test]
async fn changes_of_devices_and_leases_are_answered_within_a_moment() {
    let stage = stage(Vec::new()).await;
    // Half a second on an idle machine; tests run on busy ones.
    let moment = Duration::from_secs(5);
    add_device(&stage.inventory, "r204-pc02", "52:54:00:00:00:02", Ipv4Addr::new(10, 77, 0, 22)).await;
    stage.until("+short r204-pc02.schule.internal", "10.77.0.22", moment).await;
    add_device(&stage.inventory, "r204-pc03", "52:54:00:00:00:03", Ipv4Addr::new(10, 77, 0, 23)).await;
    stage.until("+short r204-pc03.schule.internal", "10.77.0.23", moment).await;

    let now = clock::now();
    let lease = Lease {
        ip: Ipv4Addr::new(10, 77, 1, 5),
        client: "x".into(),
        mac: "52:54:00:00:00:02".parse().unwrap(),
        hostname: None,
        state: LeaseState::Active,
        expires_at: now.plus_secs(3600),
    };
    stage.inventory.commit_leases(now, &[lease]).await.unwrap();
    stage.handle.leases_changed();
    stage.until("+short r204-pc02.schule.internal", "10.77.1.5", moment).await;
    stage.until("+short -x 10.77.1.5", "r204-pc02.schule.internal.", moment).await;
}

#[tokio::test]
async fn many_questions_travel_on_one_connection() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let stage = stage(Vec::new()).await;
    let mut stream = tokio::net::TcpStream::connect(stage.address()).await.unwrap();
    let mut query = Message::query();
    query.add_query(Query::query(Name::from_ascii("r204-pc01.schule.internal.").unwrap(), RecordType::A));
    let bytes = query.to_vec().unwrap();
    for _ in 0..50 {
        stream.write_u16(u16::try_from(bytes.len()).unwrap()).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let mut reply = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut reply).await.unwrap();
        assert_eq!(Message::from_vec(&reply).unwrap().answers.len(), 1);
    }
    // A question longer than any ordinary one ends the connection.
    stream.write_u16(60_000).await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn one_client_has_few_connections() {
    let stage = stage(Vec::new()).await;
    let mut closed = 0;
    let mut streams = Vec::new();
    for _ in 0..40 {
        streams.push(tokio::net::TcpStream::connect(stage.address()).await.unwrap());
    }
    for stream in &mut streams {
        use tokio::io::AsyncReadExt;
        let read = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut [0])).await;
        closed += usize::from(read.is_ok());
    }
    assert_eq!(closed, 24);
    // Datagrams are answered all the same.
    assert_eq!(stage.dig("+short r204-pc01.schule.internal").await.trim(), "10.77.0.21");
}

fn lonely_school() -> Arc<School> {
    lonely_school_with(Upstream::new(Vec::new(), Path::new("/none"), &unvalidated()).unwrap())
}

fn lonely_school_with(upstream: Upstream) -> Arc<School> {
    let facts = super::zones::Facts {
        zone: Name::from_ascii("schule.internal.").unwrap(),
        own_names: vec!["server".parse().unwrap()],
        own_addresses: vec![Ipv4Addr::new(10, 77, 0, 1)],
        portal: None,
        networks: Vec::new(),
        devices: Vec::new(),
        leases: Vec::new(),
        revision: 1,
    };
    let (table, _): (Table, Guests) = super::zones::build(&facts, &Guests::new(), UnixMillis(0)).unwrap();
    Arc::new(School {
        table: ArcSwap::from_pointee(table),
        rules: ArcSwap::from_pointee(Book::empty()),
        link: None,
        neighbours: crate::neighbours::Neighbours::open(),
        cache: Cache::new(100, 100_000),
        upstream,
    })
}

#[tokio::test]
async fn an_answer_that_ends_soon_is_fetched_anew() {
    let (address, asked) = forwarder().await;
    let school =
        lonely_school_with(Upstream::new(vec![address.into()], Path::new("/none"), &unvalidated()).unwrap());
    let (client, mut out) = ("127.0.0.1:4000".parse().unwrap(), Vec::new());
    let mut message = question("www.example.org.");
    // Recursion is desired.
    message[2] |= 1;
    let now = |out: &mut Vec<u8>| school.quick(IpAddr::from([127, 0, 0, 1]), Transport::Udp, &message, out);
    assert_eq!(now(&mut out), Quick::LongWay);
    let told = long_way(&school, client, Transport::Udp, message.clone()).await.unwrap();
    assert_eq!(now(&mut out), Quick::Answered);
    assert_eq!((&out, asked.load(Ordering::Relaxed)), (&told, 1));
    school.refresh(client.ip(), &message).await;
    assert_eq!((now(&mut out), asked.load(Ordering::Relaxed)), (Quick::Answered, 2));
}

fn question(name: &str) -> Vec<u8> {
    let mut message = Message::query();
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    message.to_vec().unwrap()
}

#[test]
fn clients_outside_of_our_networks_are_refused() {
    let school = lonely_school();
    let mut out = Vec::new();
    for name in ["server.schule.internal.", "www.example.org."] {
        let client = "203.0.113.9".parse().unwrap();
        let quick = school.quick(client, Transport::Udp, &question(name), &mut out);
        assert_eq!(quick, Quick::Answered);
        let reply = Message::from_vec(&out).unwrap();
        assert_eq!(reply.metadata.response_code, ResponseCode::Refused);
        assert!(reply.answers.is_empty() && out.len() <= question(name).len());
    }
}

#[test]
fn answers_are_not_answered() {
    let school = lonely_school();
    let mut message = question("server.schule.internal.");
    message[2] |= 0x80;
    let client = "127.0.0.1".parse().unwrap();
    let quick = school.quick(client, Transport::Udp, &message, &mut Vec::new());
    assert_eq!(quick, Quick::Ignored);
}

proptest! {
    /// Whatever arrives, there is an answer or none, never a crash, and never a datagram that is too long.
    #[test]
    fn malformed_messages_never_crash(
        noise in proptest::collection::vec(any::<u8>(), 0..200),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        random in any::<bool>(),
    ) {
        let mut message = if random { noise } else { [question("server.schule.internal."), noise].concat() };
        if !random {
            for (index, byte) in changes {
                let at = index.index(message.len());
                message[at] = byte;
            }
        }
        let school = lonely_school();
        let client: SocketAddr = "127.0.0.1:4000".parse().unwrap();
        let mut out = Vec::new();
        let quick = school.quick(client.ip(), Transport::Udp, &message, &mut out);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let reply = match quick {
            Quick::Ignored => None,
            Quick::Answered | Quick::Refresh => Some(out),
            Quick::LongWay => runtime.block_on(long_way(&school, client, Transport::Udp, message.clone())),
        };
        if let Some(reply) = reply {
            prop_assert!(reply.len() >= 12 && reply.len() <= 1232);
            prop_assert_eq!(&reply[..2], &message[..2]);
            prop_assert!(reply[2] & 0x80 != 0);
        }
    }
}
