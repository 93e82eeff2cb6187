//! The DHCP client against a server played by hand.

use super::*;

const MAC: [u8; 6] = [0x52, 0x54, 0, 0x77, 0, 2];

/// A server's answer to the last message in `effects`.
fn answer(sent: &[Effect], kind: u8, extra: &[u8]) -> Vec<u8> {
    let (Effect::Broadcast(message) | Effect::Unicast(_, message)) = &sent[0] else { panic!("{sent:?}") };
    let mut reply = vec![0; 240];
    reply[..3].copy_from_slice(&[2, 1, 6]);
    reply[4..8].copy_from_slice(&message[4..8]);
    reply[16..20].copy_from_slice(&[10, 77, 0, 50]);
    reply[28..44].copy_from_slice(&message[28..44]);
    reply[236..].copy_from_slice(&COOKIE);
    reply.extend([53, 1, kind, 54, 4, 10, 77, 0, 1, 1, 4, 255, 255, 0, 0, 3, 4, 10, 77, 0, 254]);
    reply.extend([51, 4, 0, 0, 0x0e, 0x10]);
    // A host name in Latin-1 and an option nobody knows: both are passed over.
    reply.extend([12, 2, 0xe4, 0xf6, 224, 1, 7]);
    reply.extend(extra);
    reply.push(255);
    reply
}

fn option(message: &[u8], wanted: u8) -> Option<Vec<u8>> {
    let mut rest = &message[240..];
    while let [code, length, more @ ..] = rest {
        if *code == wanted {
            return Some(more[..usize::from(*length)].to_vec());
        }
        if *code == 255 {
            return None;
        }
        rest = &more[usize::from(*length)..];
    }
    None
}

fn sent(effects: &[Effect]) -> &[u8] {
    match &effects[0] {
        Effect::Broadcast(message) | Effect::Unicast(_, message) => message,
        other => panic!("{other:?}"),
    }
}

/// A client that has just got its address.
fn bound(now: Instant) -> Client {
    let mut client = Client::new(MAC, 0x1234_5678, now);
    let discover = client.timeout(now);
    let request = client.handle(now, &answer(&discover, OFFER, &[]));
    let configured = client.handle(now, &answer(&request, ACK, &[]));
    assert!(matches!(&configured[..], [Effect::Configure(_)]));
    client
}

#[test]
fn rfc2131_3_1_a_client_without_an_address_gets_one_in_four_messages() {
    let now = crate::clock::now();
    let mut client = Client::new(MAC, 7, now);
    let discover = client.timeout(now);
    assert!(matches!(&discover[..], [Effect::Broadcast(_)]));
    assert_eq!(option(sent(&discover), 53), Some(vec![1]));
    assert_eq!(&sent(&discover)[28..34], MAC);
    assert_eq!(sent(&discover)[10], 0x80, "without the broadcast flag no answer arrives");
    assert!(sent(&discover).len() >= 300);
    let request = client.handle(now, &answer(&discover, OFFER, &[]));
    assert_eq!(option(sent(&request), 53), Some(vec![3]));
    assert_eq!(option(sent(&request), 50), Some(vec![10, 77, 0, 50]));
    assert_eq!(option(sent(&request), 54), Some(vec![10, 77, 0, 1]));
    assert_eq!(client.address(), None);
    let [Effect::Configure(lease)] = client.handle(now, &answer(&request, ACK, &[]))[..] else { panic!() };
    assert_eq!((lease.address, lease.prefix), (Ipv4Addr::new(10, 77, 0, 50), 16));
    assert_eq!(lease.router, Some(Ipv4Addr::new(10, 77, 0, 254)));
    assert_eq!(client.address(), Some(lease.address));
    assert_eq!(client.next_timeout(), now + Duration::from_secs(1800));
}

#[test]
fn rfc2131_4_1_an_unanswered_client_asks_ever_more_seldom() {
    let start = crate::clock::now();
    let mut client = Client::new(MAC, 99, start);
    let mut pauses = Vec::new();
    let mut now = start;
    for _ in 0..7 {
        assert_eq!(client.timeout(now).len(), 1);
        assert!(client.timeout(now).is_empty(), "asking before it is due changes nothing");
        pauses.push((client.next_timeout() - now).as_secs());
        now = client.next_timeout();
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 16, 16]);
}

#[test]
fn rfc2131_4_4_5_a_lease_is_renewed_with_the_server_then_with_anyone_then_given_up() {
    let now = crate::clock::now();
    let mut client = bound(now);
    let at = |secs: u64| now + Duration::from_secs(secs);
    assert!(client.timeout(at(1799)).is_empty());
    let renew = client.timeout(at(1800));
    assert!(matches!(&renew[..], [Effect::Unicast(server, _)] if *server == Ipv4Addr::new(10, 77, 0, 1)));
    assert_eq!(&sent(&renew)[12..16], [10, 77, 0, 50], "ciaddr");
    assert_eq!(option(sent(&renew), 50), None, "RFC 2131 table 5");
    let mut last = renew;
    while client.next_timeout() < at(3150) {
        last = client.timeout(client.next_timeout());
        assert!(matches!(&last[..], [Effect::Unicast(..)]));
    }
    let mut extended = bound(now);
    let renew = extended.timeout(at(1800));
    assert!(matches!(&extended.handle(at(1801), &answer(&renew, ACK, &[]))[..], [Effect::Configure(_)]));
    assert_eq!(extended.next_timeout(), at(3601));
    let rebind = client.timeout(at(3150));
    assert!(matches!(&rebind[..], [Effect::Broadcast(_)]), "{last:?}");
    assert_eq!(client.timeout(at(3600)), [Effect::Deconfigure]);
    assert_eq!(client.address(), None);
}

#[test]
fn a_refused_lease_is_given_up_and_asked_anew() {
    let now = crate::clock::now();
    let mut client = bound(now);
    let renew = client.timeout(now + Duration::from_secs(1800));
    assert_eq!(
        client.handle(now + Duration::from_secs(1800), &answer(&renew, NAK, &[])),
        [Effect::Deconfigure]
    );
    let again = client.timeout(now + Duration::from_secs(1802));
    assert_eq!(option(sent(&again), 53), Some(vec![1]));
}

#[test]
fn answers_for_others_and_answers_that_make_no_sense_change_nothing() {
    let now = crate::clock::now();
    let discover = Client::new(MAC, 5, now).timeout(now);
    let good = answer(&discover, OFFER, &[]);
    let spoil = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let cases = [
        ("another xid", spoil(4, 0xff)),
        ("another card", spoil(33, 0xff)),
        ("a request", spoil(0, 1)),
        ("a hardware address of 255 bytes", spoil(2, 255)),
        ("no cookie", spoil(236, 0)),
        ("an ACK nobody asked for", spoil(242, ACK)),
        ("a mask with holes", answer(&discover, OFFER, &[1, 4, 255, 0, 255, 0])),
        ("address 0.0.0.0", spoil(16, 0)[..16].iter().chain(&[0; 4]).chain(&good[20..]).copied().collect()),
        ("cut off", good[..239].to_vec()),
        ("nothing", Vec::new()),
    ];
    for (what, bytes) in cases {
        let mut client = Client::new(MAC, 5, now);
        client.timeout(now);
        assert!(client.handle(now, &bytes).is_empty(), "{what}");
        assert!(!client.handle(now, &good).is_empty(), "{what}: the good one afterwards");
    }
}

proptest::proptest! {
    #[test]
    fn any_datagram_is_taken_without_a_panic(mut bytes: Vec<u8>, options: Vec<u8>, times in proptest::collection::vec(0u64..100_000, 0..20)) {
        let now = crate::clock::now();
        let mut client = Client::new(MAC, 5, now);
        let discover = client.timeout(now);
        client.handle(now, &bytes);
        bytes.resize(240, 0);
        let crafted = answer(&discover, OFFER, &options);
        let request = client.handle(now, &crafted);
        if !request.is_empty() {
            client.handle(now, &answer(&request, ACK, &options));
        }
        for secs in times {
            client.timeout(now + Duration::from_secs(secs));
            client.handle(now + Duration::from_secs(secs), &crafted);
        }
    }

    #[test]
    fn the_next_timeout_is_never_in_the_past_after_a_timeout(steps in 1usize..60) {
        let mut now = crate::clock::now();
        let mut client = bound(now);
        for _ in 0..steps {
            now = client.next_timeout();
            client.timeout(now);
            assert!(client.next_timeout() > now || client.address().is_none());
        }
    }
}
