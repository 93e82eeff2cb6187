//! Reading DHCP packets as clients really send them.
//!
//! `dhcproto` drops an option that it cannot decode *and every option after it*, and panics on a hardware address length
//! above 16. Here each option stays raw bytes until somebody asks for it, so that a host name in Latin-1 costs the name and
//! not the boot file.

use std::borrow::Cow;
use std::net::Ipv4Addr;

use dhcproto::v4::{Architecture, MessageType, OptionCode};
use inventory::{Hostname, MacAddr};

/// Why a packet is no DHCP request. Display is a sentence for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Shorter than the fixed part with its magic cookie.
    #[error("{0} bytes are too few for a DHCP packet")]
    TooShort(usize),
    /// A reply, or nothing known.
    #[error("operation {0} is not a request")]
    NotRequest(u8),
    /// Longer than the field that holds it.
    #[error("a hardware address of {0} bytes does not fit its field")]
    HardwareLength(u8),
    /// BOOTP, or something else.
    #[error("the magic cookie is missing")]
    NoCookie,
    /// BOOTP with vendor extensions.
    #[error("there is no message type")]
    NoMessageType,
}

/// A request of a client. Borrows the packet.
#[derive(Debug, Clone)]
pub struct Request<'p> {
    /// What it asks for (option 53).
    pub kind: MessageType,
    /// Hardware type, 1 for Ethernet.
    pub htype: u8,
    /// Transaction id.
    pub xid: u32,
    /// Seconds since the client began; not to be trusted.
    pub secs: u16,
    /// Flags; only the highest bit means something.
    pub flags: u16,
    /// The client's own address, if it has one that it can be reached at.
    pub ciaddr: Ipv4Addr,
    /// The relay agent, or unspecified.
    pub giaddr: Ipv4Addr,
    /// Number of relay agents it passed.
    pub hops: u8,
    chaddr: [u8; 16],
    hlen: u8,
    options: Options<'p>,
}

impl<'p> Request<'p> {
    /// Reads a packet.
    ///
    /// # Errors
    /// It is no DHCP request. Options that make no sense are no error: they are absent when asked for.
    pub fn decode(packet: &'p [u8]) -> Result<Self, DecodeError> {
        let (fixed, rest) = packet.split_first_chunk::<236>().ok_or(DecodeError::TooShort(packet.len()))?;
        let mut cursor = Cursor(fixed);
        let [op, htype, hlen, hops] = cursor.take();
        if op != BOOT_REQUEST {
            return Err(DecodeError::NotRequest(op));
        }
        if hlen > 16 {
            return Err(DecodeError::HardwareLength(hlen));
        }
        let xid = u32::from_be_bytes(cursor.take());
        let secs = u16::from_be_bytes(cursor.take());
        let flags = u16::from_be_bytes(cursor.take());
        let ciaddr = Ipv4Addr::from(cursor.take::<4>());
        let _yiaddr_and_siaddr: [u8; 8] = cursor.take();
        let giaddr = Ipv4Addr::from(cursor.take::<4>());
        let chaddr: [u8; 16] = cursor.take();
        let area = rest.strip_prefix(&MAGIC_COOKIE).ok_or(DecodeError::NoCookie)?;
        let (sname, file) = cursor.0.split_at_checked(64).unwrap_or_default();
        let options = Options::read(area, file, sname);
        let kind = match options.one(OptionCode::MessageType).as_deref() {
            Some(&[kind, ..]) => MessageType::from(kind),
            _ => return Err(DecodeError::NoMessageType),
        };
        Ok(Self { kind, htype, xid, secs, flags, ciaddr, giaddr, hops, chaddr, hlen, options })
    }

    /// The client's hardware address as it stands in the packet.
    #[must_use]
    pub fn hardware(&self) -> &[u8] {
        self.chaddr.get(..usize::from(self.hlen)).unwrap_or_default()
    }

    /// The hardware address, if it can be that of one Ethernet or WLAN card.
    #[must_use]
    pub fn mac(&self) -> Option<MacAddr> {
        let mac: [u8; 6] = self.hardware().try_into().ok()?;
        let [first, ..] = mac;
        let usable = matches!(self.htype, 1 | 6) && first & 1 == 0 && mac != [0; 6];
        usable.then_some(MacAddr(mac))
    }

    /// Whether the client can receive only broadcasts (RFC 1542 section 3.1.1).
    #[must_use]
    pub fn wants_broadcast(&self) -> bool {
        self.flags & 0x8000 != 0
    }

    /// Whether an option is there, whatever it holds.
    #[must_use]
    pub fn has(&self, code: OptionCode) -> bool {
        self.options.parts.iter().any(|(at, _)| *at == u8::from(code))
    }

    /// An option's bytes; parts of a split option are joined (RFC 3396).
    #[must_use]
    pub fn option(&self, code: OptionCode) -> Option<Cow<'p, [u8]>> {
        self.options.one(code)
    }

    /// An option that must hold one address, or nothing if it holds anything else.
    #[must_use]
    pub fn address(&self, code: OptionCode) -> Option<Ipv4Addr> {
        let bytes: [u8; 4] = self.option(code)?.as_ref().try_into().ok()?;
        Some(bytes.into())
    }

    /// An option that must hold a number of 32 bits.
    #[must_use]
    pub fn number(&self, code: OptionCode) -> Option<u32> {
        self.address(code).map(u32::from)
    }

    /// Whether the client asks for an option (option 55). A client that sends no list gets everything.
    #[must_use]
    pub fn asks_for(&self, code: OptionCode) -> bool {
        self.option(OptionCode::ParameterRequestList).is_none_or(|list| list.contains(&u8::from(code)))
    }

    /// The longest packet that may be sent back, IP and UDP headers not counted (option 57, RFC 2132 section 9.10).
    #[must_use]
    pub fn reply_bytes_max(&self) -> usize {
        let told = self.option(OptionCode::MaxMessageSize).and_then(|o| <[u8; 2]>::try_from(o.as_ref()).ok());
        let datagram = told.map_or(0, u16::from_be_bytes).clamp(DATAGRAM_MIN, DATAGRAM_MAX);
        usize::from(datagram) - 28
    }

    /// All architectures the firmware names, best first (option 93, RFC 4578 section 2.1: a list).
    #[must_use]
    pub fn architectures(&self) -> Vec<Architecture> {
        let list = self.option(OptionCode::ClientSystemArchitecture).unwrap_or_default();
        let (pairs, _) = list.as_chunks::<2>();
        pairs.iter().map(|pair| Architecture(u16::from_be_bytes(*pair))).collect()
    }

    /// What the client calls itself, if its first label can be a DNS label: option 12, else option 81.
    #[must_use]
    pub fn hostname(&self) -> Option<Hostname> {
        let named = self.option(OptionCode::Hostname).and_then(|name| label(&name));
        named.or_else(|| fqdn_label(&self.option(OptionCode::ClientFQDN)?))
    }

    /// A sub-option of option 82.
    #[must_use]
    pub fn relay_address(&self, sub_option: u8) -> Option<Ipv4Addr> {
        let relay = self.option(OptionCode::RelayAgentInformation)?;
        let mut rest = relay.as_ref();
        while let [code, length, tail @ ..] = rest {
            let (value, tail) = tail.split_at_checked(usize::from(*length))?;
            if *code == sub_option {
                return <[u8; 4]>::try_from(value).ok().map(Ipv4Addr::from);
            }
            rest = tail;
        }
        None
    }
}

/// First label of a name in text form.
fn label(name: &[u8]) -> Option<Hostname> {
    let text = std::str::from_utf8(name).ok()?;
    text.trim_end_matches('\0').split('.').next()?.parse().ok()
}

/// First label of option 81. Bit 2 of the flags says "DNS wire format", but Windows and printers also send text (RFC 4702
/// section 2.3.1, [MS-DHCPE] section 2.2.7).
fn fqdn_label(option: &[u8]) -> Option<Hostname> {
    let [flags, _rcode1, _rcode2, name @ ..] = option else { return None };
    if flags & 0b100 == 0 {
        return label(name);
    }
    let (length, rest) = name.split_first()?;
    label(rest.get(..usize::from(*length))?)
}

#[derive(Debug, Clone, Default)]
struct Options<'p> {
    parts: Vec<(u8, &'p [u8])>,
}

impl<'p> Options<'p> {
    /// Collects the options of the area and of the fields that option 52 lends to it, in the order that RFC 3396 section 5
    /// sets. A truncated option ends its field.
    fn read(area: &'p [u8], file: &'p [u8], sname: &'p [u8]) -> Self {
        let mut options = Self { parts: Vec::with_capacity(16) };
        options.collect(area);
        let overload = match options.one(OptionCode::OptionOverload).as_deref() {
            Some(&[overload]) => overload,
            _ => 0,
        };
        if overload & 1 != 0 {
            options.collect(file);
        }
        if overload & 2 != 0 {
            options.collect(sname);
        }
        options
    }

    fn collect(&mut self, mut rest: &'p [u8]) {
        while let [code, tail @ ..] = rest {
            match code {
                0 => rest = tail,
                255 => return,
                code => {
                    let [length, tail @ ..] = tail else { return };
                    let Some((value, tail)) = tail.split_at_checked(usize::from(*length)) else { return };
                    self.parts.push((*code, value));
                    rest = tail;
                }
            }
        }
    }

    fn one(&self, code: OptionCode) -> Option<Cow<'p, [u8]>> {
        let code = u8::from(code);
        let mut parts = self.parts.iter().filter(|(at, _)| *at == code).map(|(_, value)| *value);
        let first = parts.next()?;
        let Some(second) = parts.next() else { return Some(Cow::Borrowed(first)) };
        let mut joined = [first, second].concat();
        parts.for_each(|part| joined.extend_from_slice(part));
        Some(Cow::Owned(joined))
    }
}

/// Reads a fixed part whose length is known.
struct Cursor<'p>(&'p [u8]);

impl Cursor<'_> {
    /// The next bytes; zeros past the end, which a fixed part of 236 bytes never reaches.
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let Some((head, tail)) = self.0.split_first_chunk::<N>() else { return [0; N] };
        self.0 = tail;
        *head
    }
}

const BOOT_REQUEST: u8 = 1;
pub(crate) const MAGIC_COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Every client can take an IP datagram of 576 bytes (RFC 2131 section 2).
const DATAGRAM_MIN: u16 = 576;
/// What fits one Ethernet frame; larger answers would be fragmented, which firmware does not reassemble.
const DATAGRAM_MAX: u16 = 1500;

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A packet of a client with that hardware address length and those options, an END added.
    pub(crate) fn packet(hlen: u8, options: &[u8]) -> Vec<u8> {
        let mut p = vec![1, 1, hlen, 0, 1, 2, 3, 4, 0, 0, 0, 0];
        p.extend([0; 16]);
        p.extend([0x52, 0x54, 0, 1, 2, 3]);
        p.extend([0; 10 + 64 + 128]);
        p.extend(MAGIC_COOKIE);
        p.extend(options);
        p.push(255);
        p
    }

    fn joined(parts: &[&[u8]]) -> Vec<u8> {
        packet(6, &parts.concat())
    }

    fn name_of(packet: &[u8]) -> Option<String> {
        Request::decode(packet).unwrap().hostname().map(|name| name.to_string())
    }

    #[test]
    fn packets_that_are_no_dhcp_requests_are_refused_with_a_reason() {
        let good = packet(6, &[53, 1, 1]);
        assert_eq!(Request::decode(&good[..230]).unwrap_err(), DecodeError::TooShort(230));
        assert_eq!(Request::decode(&packet(17, &[53, 1, 1])).unwrap_err(), DecodeError::HardwareLength(17));
        assert_eq!(Request::decode(&packet(255, &[53, 1, 1])).unwrap_err(), DecodeError::HardwareLength(255));
        assert_eq!(Request::decode(&packet(6, &[])).unwrap_err(), DecodeError::NoMessageType);
        assert_eq!(Request::decode(&packet(6, &[53, 0])).unwrap_err(), DecodeError::NoMessageType);
        let mut bootp = good.clone();
        bootp[236] = 0;
        assert_eq!(Request::decode(&bootp).unwrap_err(), DecodeError::NoCookie);
        let mut reply = good;
        reply[0] = 2;
        assert_eq!(Request::decode(&reply).unwrap_err(), DecodeError::NotRequest(2));
    }

    #[test]
    fn an_option_that_makes_no_sense_costs_only_itself() {
        let boot: &[u8] = &[60, 4, b'M', b'S', b'F', b'T', 55, 3, 1, 3, 6, 93, 2, 0, 7];
        let cases: [(&str, &[u8]); 9] = [
            ("host name in Latin-1", &[12, 7, b'B', 0xfc, b'r', b'o', b'-', b'P', b'C']),
            ("option 81 as short text", &[81, 7, 0, 0, 0, b'P', b'C', b'0', b'1']),
            ("option 81 of two bytes", &[81, 2, 0, 0]),
            ("option 94 of two bytes", &[94, 2, 1, 3]),
            ("option 80 with a byte", &[80, 1, 0]),
            ("option 50 of three bytes", &[50, 3, 1, 2, 3]),
            ("option 61 without a byte", &[61, 0]),
            ("option 82 with an empty sub-option", &[82, 4, 1, 0, 2, 0]),
            ("option 77 of the HP firmware", &[77, 4, b'i', b'P', b'X', b'E']),
        ];
        for (what, option) in cases {
            let p = joined(&[&[53, 1, 1], option, boot]);
            let request = Request::decode(&p).unwrap();
            assert_eq!(request.option(OptionCode::ClassIdentifier).as_deref(), Some(&b"MSFT"[..]), "{what}");
            assert!(request.asks_for(OptionCode::Router), "{what}");
            assert_eq!(request.architectures(), [Architecture::X64], "{what}");
            assert_eq!(request.address(OptionCode::RequestedIpAddress), None, "{what}");
        }
    }

    #[test]
    fn names_are_read_from_options_12_and_81_in_every_form_seen() {
        let none = None::<String>;
        let is = |name: &str| Some(name.to_owned());
        let cases: [(&[u8], Option<String>); 9] = [
            (&[12, 4, b'P', b'C', b'0', b'1'], is("pc01")),
            (&[12, 5, b'p', b'c', b'0', b'1', 0], is("pc01")),
            (&[12, 6, b'p', b'c', b'.', b'a', b'.', b'b'], is("pc")),
            (&[12, 3, b'a', 0xfc, b'b'], none.clone()),
            (&[12, 0], none.clone()),
            (&[81, 7, 0, 0, 0, b'P', b'C', b'0', b'1'], is("pc01")),
            (&[81, 8, 4, 0, 0, 4, b'p', b'c', b'0', b'1'], is("pc01")),
            (&[81, 5, 4, 0, 0, 63, b'p'], none.clone()),
            (&[81, 3, 4, 0, 0], none),
        ];
        for (option, expected) in cases {
            assert_eq!(name_of(&joined(&[&[53, 1, 1], option])), expected, "{option:?}");
        }
    }

    #[test]
    fn rfc3396_parts_of_an_option_are_joined_also_when_others_stand_between() {
        let p = joined(&[&[53, 1, 1, 55, 2, 1, 3, 12, 1, b'a', 55, 2, 6, 15]]);
        let request = Request::decode(&p).unwrap();
        assert_eq!(request.option(OptionCode::ParameterRequestList).as_deref(), Some(&[1, 3, 6, 15][..]));
    }

    #[test]
    fn rfc2132_overloaded_fields_are_read() {
        let mut p = packet(6, &[53, 1, 1, 52, 1, 3]);
        p[108..113].copy_from_slice(&[12, 2, b'x', b'y', 255]);
        p[44..50].copy_from_slice(&[50, 4, 10, 0, 0, 9]);
        let request = Request::decode(&p).unwrap();
        assert_eq!(request.hostname().unwrap().as_str(), "xy");
        assert_eq!(request.address(OptionCode::RequestedIpAddress), Some(Ipv4Addr::new(10, 0, 0, 9)));
    }

    #[test]
    fn rfc4578_lists_of_architectures_are_read_whole() {
        let p = joined(&[&[53, 1, 1, 93, 5, 0, 7, 0, 16, 9]]);
        assert_eq!(Request::decode(&p).unwrap().architectures(), [Architecture::X64, Architecture::X64_Http]);
    }

    #[test]
    fn only_a_single_card_of_ethernet_or_wlan_has_a_usable_hardware_address() {
        let mut p = packet(6, &[53, 1, 1]);
        assert_eq!(Request::decode(&p).unwrap().mac(), Some(MacAddr([0x52, 0x54, 0, 1, 2, 3])));
        p[28] = 0x53;
        assert_eq!(Request::decode(&p).unwrap().mac(), None);
        p[28..34].fill(0);
        assert_eq!(Request::decode(&p).unwrap().mac(), None);
        for (htype, hlen) in [(1, 0), (1, 16), (32, 6)] {
            let mut p = packet(hlen, &[53, 1, 1]);
            p[1] = htype;
            assert_eq!(Request::decode(&p).unwrap().mac(), None);
        }
    }

    #[test]
    fn the_largest_reply_is_bounded_both_ways() {
        for (option, expected) in [
            (&[][..], 548),
            (&[57, 2, 2, 64], 548),
            (&[57, 2, 0, 1], 548),
            (&[57, 2, 5, 220], 1472),
            (&[57, 2, 255, 255], 1472),
            (&[57, 1, 9], 548),
        ] {
            let p = joined(&[&[53, 1, 1], option]);
            assert_eq!(Request::decode(&p).unwrap().reply_bytes_max(), expected, "{option:?}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..700)) {
            let _ = Request::decode(&bytes);
        }

        #[test]
        fn asking_for_any_option_of_a_random_packet_never_panics(
            hlen: u8, kind: u8, options in prop::collection::vec(any::<u8>(), 0..400),
        ) {
            let p = packet(hlen, &[&[53, 1, kind][..], &options].concat());
            if let Ok(request) = Request::decode(&p) {
                for code in 0..=255u8 {
                    let code = OptionCode::from(code);
                    let _ = (request.option(code), request.address(code), request.asks_for(code));
                }
                let _ = (request.mac(), request.hostname(), request.architectures(), request.relay_address(5));
                prop_assert!((548..=1472).contains(&request.reply_bytes_max()));
            }
        }
    }
}
