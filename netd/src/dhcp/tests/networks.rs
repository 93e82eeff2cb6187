//! Several networks, relay agents, and networks where another server gives the addresses.

use dhcproto::v4::MessageType;
use inventory::DhcpMode;

use super::*;

fn wlan() -> Network {
    network("WLAN", "10.2.0.0/16", "10.2.0.10", "10.2.9.255")
}

fn proxied() -> Network {
    Network { mode: DhcpMode::Proxy, ..pcs() }
}

#[test]
fn a_network_that_is_not_ours_hears_nothing() {
    let off = Network { mode: DhcpMode::Off, ..pcs() };
    for networks in [vec![], vec![off], vec![wlan()], vec![proxied()]] {
        let mut school = School::new(networks, &[]);
        for ask in [
            Ask::discover(1),
            Ask::select(1, [10, 1, 0, 10].into()),
            Ask::reboot(1, [10, 1, 0, 10].into()),
            Ask::reboot(1, [192, 168, 0, 1].into()),
            Ask::rebind(1, [10, 1, 0, 10].into()),
            Ask { ciaddr: [10, 1, 0, 10].into(), ..Ask::new(MessageType::Inform, 1) },
        ] {
            assert!(school.hear(&ask).is_empty(), "{ask:?}");
        }
    }
}

#[test]
fn a_relay_agent_chooses_the_network_and_gets_its_information_back_as_last_option() {
    let mut school = School::new(vec![pcs(), wlan()], &[]);
    let information = [1, 2, b'p', b'1', 2, 1, 7];
    let ask = Ask::discover(1).via([10, 2, 0, 1]).option(82, &information).option(61, b"\x01x");
    let offer = school.ask(&ask).unwrap();
    assert_eq!(offer.yiaddr(), Ipv4Addr::new(10, 2, 0, 10));
    assert_eq!(offer.to(), Destination::Relay([10, 2, 0, 1].into()));
    assert_eq!(offer.option(54), Some(vec![10, 1, 0, 1]));
    let end = [&[82, 7][..], &information, &[255]].concat();
    let at = offer.0.bytes.windows(end.len()).position(|part| part == end);
    assert!(at.is_some_and(|at| offer.0.bytes[at + end.len()..].iter().all(|b| *b == 0)));
}

#[test]
fn rfc3527_and_rfc3011_name_the_network_for_a_relay_agent_that_stands_elsewhere() {
    let mut school = School::new(vec![pcs(), wlan()], &[]);
    for (code, value) in [(82, &[5, 4, 10, 2, 0, 0][..]), (118, &[10, 2, 0, 0])] {
        let offer = school.ask(&Ask::discover(1).via([172, 16, 0, 1]).option(code, value)).unwrap();
        assert_eq!(offer.yiaddr(), Ipv4Addr::new(10, 2, 0, 10));
        assert_eq!(offer.to(), Destination::Relay([172, 16, 0, 1].into()));
    }
    assert!(school.ask(&Ask::discover(1).via([172, 16, 0, 1])).is_none());
}

#[test]
fn rfc8910_who_asks_in_a_guarded_network_learns_where_the_portal_is() {
    let uri = "https://netz.schule.example/captive-portal";
    let ask = || Ask::discover(1).option(55, &[1, 3, 114]);
    let offered = |portal: Option<&str>, guarded: bool, ask: &Ask| {
        let settings = Settings { portal: portal.map(str::to_owned), ..Settings::default() };
        let network = pcs();
        let guarded = guarded.then_some(network.id).into_iter().collect();
        let (view, _) = View::new(settings, vec![network], &[], vec![link(1, "10.1.0.1")]);
        let mut school = School::new(Vec::new(), &[]);
        let view = Input::View(Arc::new(view.guarding(guarded)));
        school.engine.handle(school.now, view, &mut Vec::new());
        school.ask(ask).unwrap().option(114).map(|value| String::from_utf8(value).unwrap())
    };
    assert_eq!(offered(Some(uri), true, &ask()).as_deref(), Some(uri));
    assert_eq!(offered(Some(uri), false, &ask()), None, "nobody is locked there");
    assert_eq!(offered(None, true, &ask()), None, "there is no portal that strangers trust");
    assert_eq!(offered(Some(uri), true, &Ask::discover(1).option(55, &[1, 3])), None, "it did not ask");
    assert_eq!(offered(Some(uri), true, &Ask::discover(1)), None, "it asked for nothing");
}

#[test]
fn rfc5107_a_relay_agent_can_stand_in_as_the_server() {
    let mut school = School::new(vec![wlan()], &[]);
    let through = |ask: Ask| ask.via([10, 2, 0, 1]).option(82, &[11, 4, 10, 2, 0, 1]);
    let offer = school.ask(&through(Ask::discover(1))).unwrap();
    assert_eq!(offer.option(54), Some(vec![10, 2, 0, 1]));
    let select =
        Ask::new(MessageType::Request, 1).option(50, &offer.yiaddr().octets()).option(54, &[10, 2, 0, 1]);
    assert_eq!(school.ask(&through(select)).unwrap().kind(), MessageType::Ack);
}

#[test]
fn a_client_behind_a_router_renews_by_unicast() {
    let mut school = School::new(vec![pcs(), wlan()], &[]);
    let offer = school.ask(&Ask::discover(1).via([10, 2, 0, 1])).unwrap();
    let ip = offer.yiaddr();
    school.ask(&Ask::select(1, ip).via([10, 2, 0, 1])).unwrap();
    let ack = school.ask(&Ask::renew(1, ip)).unwrap();
    assert_eq!((ack.kind(), ack.to()), (MessageType::Ack, Destination::Client(ip, 68)));
}

#[test]
fn a_client_that_moved_is_refused_through_its_new_relay_agent() {
    let mut school = School::new(vec![pcs(), wlan()], &[]);
    let ip = school.lease(1);
    let nak = school.ask(&Ask::reboot(1, ip).via([10, 2, 0, 1])).unwrap();
    assert_eq!((nak.kind(), nak.to()), (MessageType::Nak, Destination::Relay([10, 2, 0, 1].into())));
    assert_eq!(nak.0.bytes[10] & 0x80, 0x80, "the relay agent must broadcast it");
    let offer = school.ask(&Ask::discover(1).via([10, 2, 0, 1])).unwrap();
    assert_eq!(offer.yiaddr(), Ipv4Addr::new(10, 2, 0, 10));
    // Back home it finds its old address.
    assert_eq!(school.ask(&Ask::discover(1)).unwrap().yiaddr(), ip);
}

#[test]
fn several_networks_on_one_interface_are_used_one_after_the_other() {
    let second = network("Mehr PCs", "10.3.0.0/24", "10.3.0.10", "10.3.0.11");
    let mut school = School::new(vec![], &[]);
    let both = Link { addresses: vec![SERVER, [10, 3, 0, 1].into()], ..link(1, "10.1.0.1") };
    school.view(vec![pcs(), second], &[], vec![both]);
    for card in 1..=3 {
        assert_eq!(school.lease(card).octets()[1], 1);
    }
    let offer = school.ask(&Ask::discover(4)).unwrap();
    assert_eq!(offer.yiaddr(), Ipv4Addr::new(10, 3, 0, 10));
    assert_eq!(offer.option(54), Some(vec![10, 3, 0, 1]), "our address that the client can reach");
    assert_eq!(offer.0.source, Ipv4Addr::new(10, 3, 0, 1));
}

#[test]
fn a_changed_pool_is_used_at_once_and_leases_outside_of_it_end() {
    let mut school = School::new(vec![pcs()], &[]);
    let before = school.lease(1);
    let moved = network("PCs", "10.1.0.0/24", "10.1.0.100", "10.1.0.110");
    school.view(vec![moved], &[], vec![link(1, "10.1.0.1")]);
    assert_eq!(school.ask(&Ask::renew(1, before)).unwrap().kind(), MessageType::Nak);
    assert_eq!(school.lease(1), Ipv4Addr::new(10, 1, 0, 100));
}

#[test]
fn beside_a_foreign_server_only_firmware_is_answered_and_without_an_address() {
    let mut school = School::new(vec![proxied()], &[]);
    assert!(school.ask(&Ask::discover(1)).is_none());
    let uefi = |ask: Ask| ask.option(60, b"PXEClient:Arch:00007:UNDI:003016").option(93, &[0, 7]);
    let offer = school.ask(&uefi(Ask::discover(1))).unwrap();
    assert_eq!(
        (offer.kind(), offer.yiaddr(), offer.siaddr()),
        (MessageType::Offer, Ipv4Addr::UNSPECIFIED, SERVER)
    );
    assert_eq!(offer.option(60).as_deref(), Some(&b"PXEClient"[..]));
    assert_eq!(offer.option(43), Some(vec![6, 1, 8, 255]));
    assert_eq!(offer.file(), "shimx64.efi");
    assert_eq!(offer.to(), Destination::Broadcast);
    assert!(offer.option(51).is_none() && offer.option(1).is_none() && offer.option(3).is_none());
    assert!(
        school.ask(&uefi(Ask::select(1, [10, 1, 0, 10].into()))).is_none(),
        "the address is not ours to give"
    );
    let ipxe = school.ask(&Ask::discover(1).option(77, b"iPXE")).unwrap();
    assert_eq!(ipxe.option(60).as_deref(), Some(&b"PXEClient"[..]), "else iPXE takes it for a broken server");
}

#[test]
fn port_4011_tells_the_boot_file_once_more() {
    for networks in [vec![proxied()], vec![pcs()]] {
        let mut school = School::new(networks, &[]);
        let from = SocketAddrV4::new([10, 1, 0, 50].into(), 4011);
        let ask = Ask {
            port: Port::Proxy,
            ciaddr: *from.ip(),
            from,
            to: SERVER,
            ..Ask::new(MessageType::Request, 1).option(60, b"PXEClient:Arch:00000:UNDI:002001")
        };
        let effects = school.hear(&ask);
        assert!(recorded(&effects).is_empty());
        let ack = school.ask(&ask).unwrap();
        assert_eq!((ack.kind(), ack.yiaddr()), (MessageType::Ack, Ipv4Addr::UNSPECIFIED));
        assert_eq!(ack.file(), "undionly.kpxe");
        assert_eq!(ack.to(), Destination::Client([10, 1, 0, 50].into(), 4011));
        let forged = Ask { from: SocketAddrV4::new([192, 0, 2, 1].into(), 4011), ..ask };
        assert_eq!(school.ask(&forged).map(|a| a.to()), Some(Destination::Broadcast), "not a reflector");
    }
}
