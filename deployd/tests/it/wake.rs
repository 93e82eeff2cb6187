//! Wake-on-LAN as a card that is off sees it: datagrams on a socket.

use std::net::UdpSocket;
use std::time::Duration;

use inventory::{Power, UnixMillis};

use crate::support::{School, by, until};

#[test]
fn a_pc_is_called_until_its_agent_speaks() {
    let school = School::open();
    let (pc, device) = school.approved("r204-pc01");
    let card = school.block(school.inventory.device(device)).unwrap().unwrap().interfaces[0].mac;
    // PCs of these tests speak from the loopback, and that is their last address.
    let air = UdpSocket::bind("127.0.0.1:9").unwrap();
    air.set_read_timeout(Some(Duration::from_secs(12))).unwrap();
    let mut packet = [0; 200];
    let mut heard = || air.recv(&mut packet).map(|length| packet[..length].to_vec());

    // Asked for in a while, so that what the agent said until now does not count.
    let later = UnixMillis(by().at.0 + 3000);
    let asked = school
        .block(school.inventory.ask_power(inventory::By { at: later, ..by() }, &[device], Power::On))
        .unwrap();
    assert_eq!(asked, 1);
    for _ in 0..2 {
        let packet = heard().expect("a magic packet");
        assert_eq!((packet.len(), &packet[..6]), (102, &[0xff; 6][..]));
        assert!(packet[6..].chunks(6).all(|place| place == card.0), "{packet:?}");
    }
    until("the agent's word counts", || {
        pc.hello();
        let seen = school.block(school.inventory.device(device)).unwrap().unwrap().last_seen;
        seen.is_some_and(|seen| seen >= later)
    });
    air.set_nonblocking(true).unwrap();
    while heard().is_ok() {}
    air.set_nonblocking(false).unwrap();
    assert!(heard().is_err(), "it is awake");
}
