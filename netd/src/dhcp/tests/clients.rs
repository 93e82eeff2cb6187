//! What clients ask for, state by state.

use dhcproto::v4::MessageType;
use inventory::{LeaseState, MacAddr};

use super::super::view::tests::device;
use super::*;

#[test]
fn a_lease_is_recorded_before_its_ack_is_sent() {
    let mut school = School::new(vec![pcs()], &[]);
    let offer = school.ask(&Ask::discover(1).option(12, b"Raum204-PC01")).unwrap();
    assert_eq!((offer.kind(), offer.yiaddr()), (MessageType::Offer, [10, 1, 0, 10].into()));
    let effects = school.hear(&Ask::select(1, offer.yiaddr()).option(12, b"Raum204-PC01"));
    let [Effect::Record(lease), Effect::Send(ack)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(lease.ip, offer.yiaddr());
    assert_eq!(lease.hostname.as_ref().unwrap().as_str(), "raum204-pc01");
    assert_eq!(lease.expires_at, school.now.plus_secs(3600));
    assert_eq!(Answer(ack.clone()).kind(), MessageType::Ack);
}

#[test]
fn an_answer_names_mask_router_dns_and_times() {
    let mut network = pcs();
    network.router = Some([10, 1, 0, 254].into());
    let mut school = School::new(vec![network], &[]);
    let offer = school.ask(&Ask::discover(1)).unwrap();
    for (code, value) in [
        (1, &[255, 255, 255, 0][..]),
        (3, &[10, 1, 0, 254]),
        (6, &[10, 1, 0, 1]),
        (15, b"schule.internal"),
        (28, &[10, 1, 0, 255]),
        (51, &3600u32.to_be_bytes()),
        (54, &[10, 1, 0, 1]),
        (58, &1800u32.to_be_bytes()),
        (59, &3150u32.to_be_bytes()),
    ] {
        assert_eq!(offer.option(code).as_deref(), Some(value), "option {code}");
    }
}

#[test]
fn one_device_keeps_one_address_whatever_identifier_it_sends() {
    let mut school = School::new(vec![pcs()], &[]);
    let mut seen = std::collections::HashSet::new();
    for identifier in [&b"\x00firmware-uuid"[..], b"\x01RT\0\0\0\x01", b"\xff\0\0\0\x01\0\x01dhcpcd"] {
        let offer = school.ask(&Ask::discover(1).option(61, identifier)).unwrap();
        assert_eq!(offer.option(61).as_deref(), Some(identifier), "RFC 6842: echoed");
        let ack = school.ask(&Ask::select(1, offer.yiaddr()).option(61, identifier)).unwrap();
        assert_eq!(ack.kind(), MessageType::Ack);
        seen.insert(ack.yiaddr());
    }
    assert_eq!(seen.len(), 1);
}

#[test]
fn a_reservation_wins_and_nobody_else_gets_it() {
    let devices = [device("pc01", "52:54:00:00:00:07", Some("10.1.0.11"))];
    let mut school = School::new(vec![pcs()], &devices);
    assert_eq!(school.lease(1), Ipv4Addr::new(10, 1, 0, 10));
    assert_eq!(school.lease(2), Ipv4Addr::new(10, 1, 0, 12));
    assert!(school.ask(&Ask::discover(3).option(50, &[10, 1, 0, 11])).is_none());
    assert_eq!(school.lease(7), Ipv4Addr::new(10, 1, 0, 11));
    let nak = school.ask(&Ask::reboot(2, [10, 1, 0, 11].into())).unwrap();
    assert_eq!(nak.kind(), MessageType::Nak);
    let name = school.ask(&Ask::discover(7)).unwrap().option(12).unwrap();
    assert_eq!(name, b"pc01");
}

#[test]
fn a_reservation_outside_the_pool_is_given() {
    let devices = [device("printer", "52:54:00:00:00:07", Some("10.1.0.200"))];
    let mut school = School::new(vec![pcs()], &devices);
    assert_eq!(school.lease(7), Ipv4Addr::new(10, 1, 0, 200));
    let ack = school.ask(&Ask::renew(7, [10, 1, 0, 200].into())).unwrap();
    assert_eq!(ack.kind(), MessageType::Ack);
}

#[test]
fn a_client_moves_to_its_new_reservation_when_it_renews() {
    let mut school = School::new(vec![pcs()], &[]);
    let before = school.lease(7);
    let devices = [device("pc01", "52:54:00:00:00:07", Some("10.1.0.99"))];
    school.view(vec![pcs()], &devices, vec![link(1, "10.1.0.1")]);
    assert_eq!(school.ask(&Ask::renew(7, before)).unwrap().kind(), MessageType::Nak);
    let offer = school.ask(&Ask::discover(7)).unwrap();
    let effects = school.hear(&Ask::select(7, offer.yiaddr()));
    let states: Vec<_> = recorded(&effects).iter().map(|l| (l.ip, l.state)).collect();
    assert_eq!(states, [(before, LeaseState::Released), ([10, 1, 0, 99].into(), LeaseState::Active)]);
}

#[test]
fn rfc2131_4_3_2_renewing_client_gets_a_unicast_ack() {
    let mut school = School::new(vec![pcs()], &[]);
    let ip = school.lease(1);
    school.pass(1800);
    let ack = school.ask(&Ask::renew(1, ip)).unwrap();
    assert_eq!((ack.kind(), ack.yiaddr(), ack.to()), (MessageType::Ack, ip, Destination::Client(ip, 68)));
    let ack = school.ask(&Ask::rebind(1, ip)).unwrap();
    assert_eq!((ack.kind(), ack.to()), (MessageType::Ack, Destination::Client(ip, 68)));
}

#[test]
fn rfc2131_4_3_2_init_reboot_is_confirmed_or_refused() {
    let mut school = School::new(vec![pcs()], &[]);
    let ip = school.lease(1);
    assert_eq!(school.ask(&Ask::reboot(1, ip)).unwrap().kind(), MessageType::Ack);
    // Of another client, of another network, outside of the pool.
    for wrong in [ip, [192, 168, 0, 5].into(), [10, 1, 0, 77].into()] {
        let nak = school.ask(&Ask::reboot(2, wrong)).unwrap();
        assert_eq!((nak.kind(), nak.to()), (MessageType::Nak, Destination::Broadcast), "{wrong}");
        assert_eq!((nak.yiaddr(), nak.siaddr()), (Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED));
        assert!(nak.option(51).is_none() && nak.option(56).is_some());
    }
}

#[test]
fn a_client_whose_lease_we_forgot_may_keep_a_free_address() {
    let mut school = School::new(vec![pcs()], &[]);
    for ask in [Ask::reboot(1, [10, 1, 0, 12].into()), Ask::rebind(1, [10, 1, 0, 12].into())] {
        let ack = school.ask(&ask).unwrap();
        assert_eq!((ack.kind(), ack.yiaddr()), (MessageType::Ack, [10, 1, 0, 12].into()));
    }
}

#[test]
fn a_client_that_takes_another_servers_offer_frees_ours() {
    let mut school = School::new(vec![pcs()], &[]);
    for card in 1..=3 {
        school.ask(&Ask::discover(card)).unwrap();
    }
    assert!(school.ask(&Ask::discover(4)).is_none());
    let other = Ask::new(MessageType::Request, 1).option(50, &[10, 1, 0, 40]).option(54, &[10, 1, 0, 2]);
    assert!(school.hear(&other).is_empty());
    assert!(school.ask(&Ask::discover(4)).is_some());
}

#[test]
fn an_offer_is_kept_for_a_minute() {
    let mut school = School::new(vec![pcs()], &[]);
    let first = school.ask(&Ask::discover(1)).unwrap().yiaddr();
    school.ask(&Ask::discover(2)).unwrap();
    school.ask(&Ask::discover(3)).unwrap();
    assert_eq!(school.ask(&Ask::discover(1)).unwrap().yiaddr(), first, "the same offer again");
    school.pass(59);
    assert!(school.ask(&Ask::discover(4)).is_none());
    school.pass(1);
    assert!(school.ask(&Ask::discover(4)).is_some());
}

#[test]
fn a_client_gets_its_last_address_again_after_its_lease_ended() {
    let mut school = School::new(vec![pcs()], &[]);
    let (a, b) = (school.lease(1), school.lease(2));
    school.pass(7200);
    assert_eq!(school.lease(2), b);
    assert_eq!(school.lease(1), a);
}

#[test]
fn a_full_pool_reuses_the_lease_that_ended_first_and_only_then() {
    let mut school = School::new(vec![pcs()], &[]);
    let first = school.lease(1);
    school.pass(10);
    school.lease(2);
    school.lease(3);
    assert!(school.ask(&Ask::discover(4)).is_none());
    let problems = school.engine.take_problems(school.now).unwrap();
    assert_eq!(problems[0].place, "pool/PCs");
    school.pass(3590);
    assert_eq!(school.lease(4), first);
    assert_eq!(school.engine.take_problems(school.now), Some(vec![]), "the notice goes by itself");
}

#[test]
fn a_released_address_is_free_and_goes_back_to_its_client() {
    let mut school = School::new(vec![pcs()], &[]);
    let ip = school.lease(1);
    let release = Ask { ciaddr: ip, to: SERVER, ..Ask::new(MessageType::Release, 1) };
    let forged = Ask { card: [2, 0, 0, 0, 0, 9], ..release.clone() };
    assert!(school.hear(&forged).is_empty(), "only its own");
    let effects = school.hear(&release);
    assert_eq!(recorded(&effects)[0].state, LeaseState::Released);
    assert_eq!(effects.len(), 1, "no reply");
    school.pass(1);
    assert_eq!(school.lease(1), ip);
}

#[test]
fn a_declined_address_is_not_offered_again_for_a_day() {
    let mut school = School::new(vec![pcs()], &[]);
    let ip = school.lease(1);
    let decline = Ask::new(MessageType::Decline, 1).option(50, &ip.octets()).option(54, &SERVER.octets());
    let forged = Ask { card: [2, 0, 0, 0, 0, 9], ..decline.clone() };
    assert!(school.hear(&forged).is_empty(), "only its own");
    let effects = school.hear(&decline);
    assert_eq!(recorded(&effects)[0].state, LeaseState::Declined);
    assert_eq!(recorded(&effects)[0].expires_at, school.now.plus_secs(86_400));
    assert_eq!(school.engine.take_problems(school.now).unwrap()[0].place, format!("conflict/{ip}"));
    let others: Vec<_> = (1..=2).map(|card| school.lease(card)).collect();
    assert!(!others.contains(&ip));
    assert!(school.ask(&Ask::discover(3)).is_none());
    assert_eq!(school.ask(&Ask::reboot(1, ip)).unwrap().kind(), MessageType::Nak);
    school.pass(86_400);
    assert_eq!(school.ask(&Ask::reboot(3, ip)).unwrap().kind(), MessageType::Ack);
}

#[test]
fn an_inform_is_answered_without_address_and_time() {
    let mut school = School::new(vec![pcs()], &[]);
    let inform = Ask { ciaddr: [10, 1, 0, 77].into(), to: SERVER, ..Ask::new(MessageType::Inform, 1) };
    let ack = school.ask(&inform).unwrap();
    assert_eq!((ack.kind(), ack.yiaddr()), (MessageType::Ack, Ipv4Addr::UNSPECIFIED));
    assert_eq!(ack.to(), Destination::Client([10, 1, 0, 77].into(), 68));
    assert!(ack.option(51).is_none() && ack.option(58).is_none() && ack.option(6).is_some());
    assert!(recorded(&school.hear(&inform)).is_empty());
    let elsewhere = Ask { ciaddr: [192, 0, 2, 1].into(), ..inform };
    assert!(school.hear(&elsewhere).is_empty(), "not a reflector");
}

#[test]
fn rfc4039_rapid_commit_skips_two_packets() {
    let mut school = School::new(vec![pcs()], &[]);
    let effects = school.hear(&Ask::discover(1).option(80, &[]));
    let [Effect::Record(lease), Effect::Send(ack)] = &effects[..] else { panic!("{effects:?}") };
    let ack = Answer(ack.clone());
    assert_eq!((ack.kind(), ack.yiaddr()), (MessageType::Ack, lease.ip));
    assert_eq!(ack.option(80), Some(vec![]));
}

#[test]
fn replies_reach_clients_that_have_no_address() {
    let mut school = School::new(vec![pcs()], &[]);
    let offer = school.ask(&Ask::discover(1)).unwrap();
    assert_eq!(offer.to(), Destination::Card(MacAddr([0x52, 0x54, 0, 0, 0, 1]), offer.yiaddr()));
    let offer = school.ask(&Ask { flags: 0x8000, ..Ask::discover(1) }).unwrap();
    assert_eq!(offer.to(), Destination::Broadcast);
    let forged = Ask { ciaddr: [192, 0, 2, 1].into(), ..Ask::discover(1) };
    let offer = school.ask(&forged).unwrap();
    assert!(matches!(offer.to(), Destination::Card(..)), "not a reflector");
}

#[test]
fn a_client_may_wish_for_a_shorter_lease_but_not_for_a_longer_one() {
    for (wish, given) in [(600u32, 600u32), (5, 60), (1_000_000, 3600), (u32::MAX, 3600)] {
        let mut school = School::new(vec![pcs()], &[]);
        let offer = school.ask(&Ask::discover(1).option(51, &wish.to_be_bytes())).unwrap();
        assert_eq!(offer.option(51), Some(given.to_be_bytes().to_vec()));
    }
}

#[test]
fn firmware_gets_its_boot_file_together_with_its_address() {
    let mut school = School::new(vec![pcs()], &[]);
    let bios = Ask::discover(1).option(60, b"PXEClient:Arch:00000:UNDI:002001").option(97, &[0; 17]);
    let offer = school.ask(&bios).unwrap();
    assert_eq!((offer.file().as_str(), offer.siaddr()), ("undionly.kpxe", SERVER));
    assert_eq!(offer.option(60).as_deref(), Some(&b"PXEClient"[..]));
    assert_eq!(offer.option(43), Some(vec![6, 1, 8, 255]));
    assert_eq!(offer.option(66).as_deref(), Some(&b"10.1.0.1"[..]));
    assert_eq!(offer.option(67).as_deref(), Some(&b"undionly.kpxe"[..]));
    assert_eq!(offer.option(97), Some(vec![0; 17]));
    let http = Ask::discover(1).option(60, b"HTTPClient:Arch:00016:UNDI:003001").option(93, &[0, 16]);
    let offer = school.ask(&http).unwrap();
    assert_eq!(offer.option(60).as_deref(), Some(&b"HTTPClient"[..]));
    assert_eq!(offer.file(), "http://10.1.0.1:8067/boot/shimx64.efi");
    let system = school.ask(&Ask::discover(1).option(60, b"MSFT 5.0")).unwrap();
    assert_eq!((system.file().as_str(), system.option(67)), ("", None));
}

#[test]
fn a_client_without_a_hardware_address_is_known_by_its_identifier() {
    let mut school = School::new(vec![pcs()], &[]);
    let ask = Ask { card: [0; 6], ..Ask::discover(1).option(61, b"\xffinfiniband") };
    let offer = school.ask(&ask).unwrap();
    assert_eq!(offer.to(), Destination::Broadcast);
    let select = Ask { card: [0; 6], ..Ask::select(1, offer.yiaddr()).option(61, b"\xffinfiniband") };
    let effects = school.hear(&select);
    assert_eq!(recorded(&effects)[0].client, "id:ff696e66696e6962616e64");
    let other = Ask { card: [0; 6], ..Ask::discover(1).option(61, b"\xffother") };
    assert_ne!(school.ask(&other).unwrap().yiaddr(), offer.yiaddr());
    assert!(school.ask(&Ask { card: [0; 6], ..Ask::discover(1) }).is_none(), "says nothing about itself");
}
