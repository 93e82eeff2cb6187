//! Conflicts, other servers on the same database, packets as broken clients send them.

use dhcproto::v4::MessageType;
use inventory::{LeaseState, MacAddr};

use super::super::codec::DecodeError;
use super::*;

fn neighbour(school: &mut School, ip: Ipv4Addr, card: u8) -> Vec<Effect> {
    let mut effects = Vec::new();
    let mac = MacAddr([0x52, 0x54, 0, 0, 0, card]);
    school.engine.handle(school.now, Input::Neighbour { ip, mac }, &mut effects);
    effects
}

fn probed(effects: &[Effect]) -> Vec<Ipv4Addr> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Probe { ip, .. } => Some(*ip),
            _ => None,
        })
        .collect()
}

#[test]
fn the_offer_leaves_before_the_address_is_probed_and_the_next_one_is_probed_with_it() {
    let mut school = School::new(vec![pcs()], &[]);
    let effects = school.hear(&Ask::discover(1));
    assert!(matches!(effects[0], Effect::Send(_)));
    assert_eq!(probed(&effects), [Ipv4Addr::new(10, 1, 0, 10), [10, 1, 0, 11].into()]);
    assert!(probed(&school.hear(&Ask::discover(1))).is_empty(), "once is enough");
    assert!(
        probed(&school.hear(&Ask::discover(2).via([10, 1, 0, 254]))).is_empty(),
        "ARP does not pass routers"
    );
}

#[test]
fn an_address_that_somebody_uses_is_withdrawn_and_reported() {
    let mut school = School::new(vec![pcs()], &[]);
    let ip = school.ask(&Ask::discover(1)).unwrap().yiaddr();
    let effects = neighbour(&mut school, ip, 200);
    let [Effect::Record(lease)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((lease.ip, lease.state), (ip, LeaseState::Declined));
    let problem = &school.engine.take_problems(school.now).unwrap()[0];
    assert!(problem.text.contains("52:54:00:00:00:c8"), "{}", problem.text);
    assert_eq!(school.ask(&Ask::select(1, ip)).unwrap().kind(), MessageType::Nak);
    assert_ne!(school.lease(1), ip);
}

#[test]
fn a_client_that_still_uses_its_old_address_is_no_conflict() {
    let mut school = School::new(vec![pcs()], &[]);
    let ip = school.ask(&Ask::discover(1)).unwrap().yiaddr();
    assert!(neighbour(&mut school, ip, 1).is_empty());
    assert_eq!(school.ask(&Ask::select(1, ip)).unwrap().kind(), MessageType::Ack);
    assert!(neighbour(&mut school, ip, 200).is_empty(), "given: now its client must object");
}

#[test]
fn a_client_that_gives_its_address_back_at_once_is_no_conflict() {
    let mut school = School::new(vec![pcs()], &[]);
    let ip = school.lease(1);
    let release = Ask { ciaddr: ip, to: SERVER, ..Ask::new(MessageType::Release, 1) };
    assert_eq!(recorded(&school.hear(&release)).len(), 1);
    assert!(neighbour(&mut school, ip, 1).is_empty(), "its last packets are still answered");
    assert_eq!(school.lease(1), ip);
}

#[test]
fn arp_that_nobody_asked_for_changes_nothing() {
    let mut school = School::new(vec![pcs()], &[]);
    assert!(neighbour(&mut school, [10, 1, 0, 10].into(), 200).is_empty());
    let ip = school.ask(&Ask::discover(1)).unwrap().yiaddr();
    school.pass(4);
    assert!(neighbour(&mut school, ip, 200).is_empty(), "too late");
}

#[test]
fn leases_read_at_the_start_are_respected() {
    let mut school = School::new(vec![pcs()], &[]);
    let end = school.now.plus_secs(600);
    let leases = [
        stored([10, 1, 0, 10].into(), 1, LeaseState::Active, end),
        stored([10, 1, 0, 11].into(), 2, LeaseState::Declined, end),
    ];
    school.engine.handle(school.now, Input::Stored(&leases), &mut Vec::new());
    assert_eq!(school.lease(3), Ipv4Addr::new(10, 1, 0, 12));
    assert_eq!(school.lease(1), Ipv4Addr::new(10, 1, 0, 10));
    assert!(school.ask(&Ask::discover(2)).is_none(), "a declined address is nobody's");
}

#[test]
fn a_lease_of_another_server_on_the_same_database_is_believed() {
    let mut school = School::new(vec![pcs()], &[]);
    let ip = school.lease(1);
    let theirs = [stored(ip, 9, LeaseState::Active, school.now.plus_secs(600))];
    school.engine.handle(school.now, Input::Stored(&theirs), &mut Vec::new());
    assert_eq!(school.ask(&Ask::renew(1, ip)).unwrap().kind(), MessageType::Nak);
    assert_ne!(school.lease(1), ip);
    assert_eq!(school.ask(&Ask::rebind(9, ip)).unwrap().kind(), MessageType::Ack);
}

#[test]
fn a_broken_option_costs_no_pc_its_boot_file() {
    let broken: [(&str, u8, &[u8]); 8] = [
        ("host name in Latin-1", 12, b"B\xfcro-PC"),
        ("option 81 as text", 81, b"\0\0\0PC01"),
        ("option 94 of two bytes", 94, &[1, 3]),
        ("option 80 with a byte, but not rapid commit", 94, &[]),
        ("option 50 of three bytes", 50, &[10, 1, 0]),
        ("user class of the HP firmware", 77, &[200, 1]),
        ("option 61 without a byte", 61, &[]),
        ("option 82 that ends early", 82, &[1, 200, 3]),
    ];
    for (what, code, value) in broken {
        let mut school = School::new(vec![pcs()], &[]);
        let ask =
            Ask::discover(1).option(code, value).option(60, b"PXEClient:Arch:00007").option(93, &[0, 7]);
        let offer = school.ask(&ask).unwrap_or_else(|| panic!("{what}: no offer"));
        assert_eq!(offer.file(), "shimx64.efi", "{what}");
    }
}

#[test]
fn packets_that_are_no_requests_are_named_as_such() {
    let mut school = School::new(vec![pcs()], &[]);
    let mut effects = Vec::new();
    let mut bytes = Ask::discover(1).bytes();
    bytes[2] = 255;
    for bytes in [&bytes[..], &bytes[..100], &[]] {
        let input = Input::Packet { link: LinkId(1), port: Port::Dhcp, from: NOBODY, to: SERVER, bytes };
        school.engine.handle(school.now, input, &mut effects);
    }
    let too_short = |n| Effect::Malformed(DecodeError::TooShort(n));
    assert_eq!(effects, [Effect::Malformed(DecodeError::HardwareLength(255)), too_short(100), too_short(0)]);
}
