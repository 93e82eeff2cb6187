//! Reading requests, and agreeing on the terms of a transfer.
//!
//! Packet and option types are the `tftpd` crate's. Requests are read here, tolerantly: firmware pads them, and one option
//! that makes no sense must cost only itself (RFC 2347: the server leaves out what it does not accept).

use std::str::FromStr;
use std::time::Duration;

use tftpd::{Opcode, OptionType, TransferOption};

/// What a datagram to the well-known port asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum Asked {
    /// A file.
    Read(Request),
    /// To write a file, which nobody may.
    Write,
    /// A request that cannot be read; says why.
    Malformed(&'static str),
    /// No request at all. It is not answered, since two servers could answer each other for ever.
    Stray,
}

/// A read request.
#[derive(Debug, PartialEq)]
pub(crate) struct Request {
    /// The name as it was sent.
    pub(crate) file: String,
    /// Options that are known and have a number as value, in their order.
    pub(crate) options: Vec<TransferOption>,
}

/// What both sides agreed on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Terms {
    /// Bytes of a block (RFC 2348).
    pub(crate) block_bytes: u16,
    /// Blocks sent before an acknowledgement is awaited (RFC 7440).
    pub(crate) window: u16,
    /// Time before repeating (RFC 2349), when the client asked for one.
    pub(crate) timeout: Option<Duration>,
    /// Options to confirm to the client; without any the transfer begins with the first block.
    pub(crate) confirmed: Vec<TransferOption>,
}

/// Reads a datagram that came to the well-known port.
pub(crate) fn read(datagram: &[u8]) -> Asked {
    let Some((opcode, rest)) = datagram.split_first_chunk::<2>() else { return Asked::Stray };
    match Opcode::from_u16(u16::from_be_bytes(*opcode)) {
        Ok(Opcode::Rrq) => {}
        Ok(Opcode::Wrq) => return Asked::Write,
        _ => return Asked::Stray,
    }
    let mut texts = rest.split(|byte| *byte == 0);
    let (Some(file), Some(mode)) = (texts.next(), texts.next()) else {
        return Asked::Malformed("the request is not complete");
    };
    let Ok(file) = std::str::from_utf8(file) else {
        return Asked::Malformed("the file name is no UTF-8");
    };
    if file.is_empty() || file.len() > NAME_BYTES {
        return Asked::Malformed("the file name is empty or too long");
    }
    // `netascii` would change line ends on the client's side and silently damage a kernel; boot loaders ask for `octet`.
    if !mode.eq_ignore_ascii_case(b"octet") {
        return Asked::Malformed("only mode octet is served");
    }
    let mut options: Vec<TransferOption> = Vec::new();
    for _ in 0..OPTIONS {
        let (Some(name), Some(value)) = (texts.next(), texts.next()) else { break };
        if let Some(option) = option(name, value)
            && options.iter().all(|other| other.option != option.option)
        {
            options.push(option);
        }
    }
    Asked::Read(Request { file: file.to_owned(), options })
}

fn option(name: &[u8], value: &[u8]) -> Option<TransferOption> {
    let name = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
    Some(TransferOption {
        option: OptionType::from_str(&name).ok()?,
        value: std::str::from_utf8(value).ok()?.parse().ok()?,
    })
}

impl Terms {
    /// Accepts what is within limits. `block_max` is the largest block that fits into one packet of the client's network,
    /// `bytes` the length of the file.
    pub(crate) fn agree(asked: &[TransferOption], block_max: u16, bytes: u64) -> Self {
        let mut terms =
            Self { block_bytes: BLOCK_BYTES, window: 1, timeout: None, confirmed: Vec::with_capacity(4) };
        for TransferOption { option, value } in asked {
            let value = match (option, *value) {
                (OptionType::BlockSize, value @ 8..=65464) => {
                    terms.block_bytes = u16::try_from(value).unwrap_or(u16::MAX).min(block_max);
                    u64::from(terms.block_bytes)
                }
                (OptionType::WindowSize, value @ 1..=65535) => {
                    terms.window = u16::try_from(value).unwrap_or(u16::MAX).min(WINDOW_MAX);
                    u64::from(terms.window)
                }
                // The value has to be confirmed as it is or left out (RFC 2349 section 3).
                (OptionType::Timeout, value @ 1..=TIMEOUT_SECS_MAX) => {
                    terms.timeout = Some(Duration::from_secs(value));
                    value
                }
                (OptionType::TransferSize, _) => bytes,
                _ => continue,
            };
            terms.confirmed.push(TransferOption { option: *option, value });
        }
        terms
    }

    /// Whether there is something to confirm before the first block.
    pub(crate) fn offers(&self) -> bool {
        !self.confirmed.is_empty()
    }
}

/// Longest file name that is looked at.
const NAME_BYTES: usize = 255;
/// How many options of a request are looked at.
const OPTIONS: usize = 16;
/// Block size without the option (RFC 1350).
const BLOCK_BYTES: u16 = 512;
/// Largest block: an Ethernet packet without IP, UDP and TFTP headers.
pub(crate) const BLOCK_BYTES_MAX: u16 = 1468;
/// Largest window. Longer ones gain nothing and overrun the receive ring of firmware.
pub(crate) const WINDOW_MAX: u16 = 16;
const TIMEOUT_SECS_MAX: u64 = 10;

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;

    fn check(datagram: &[u8], expected: Expect) {
        let text = match read(datagram) {
            Asked::Read(request) => {
                let terms = Terms::agree(&request.options, BLOCK_BYTES_MAX, 1_000_000);
                let confirmed: Vec<String> =
                    terms.confirmed.iter().map(|o| format!("{}={}", o.option.as_str(), o.value)).collect();
                format!(
                    "{} block={} window={} [{}]",
                    request.file,
                    terms.block_bytes,
                    terms.window,
                    confirmed.join(" ")
                )
            }
            other => format!("{other:?}"),
        };
        expected.assert_eq(&text);
    }

    #[test]
    fn requests_are_read_as_firmware_sends_them() {
        check(b"\0\x01shimx64.efi\0octet\0", expect!["shimx64.efi block=512 window=1 []"]);
        check(
            b"\0\x01/grub/grub.cfg\0OCTET\0BLKSIZE\x001024\0tsize\x000\0",
            expect!["/grub/grub.cfg block=1024 window=1 [blksize=1024 tsize=1000000]"],
        );
        check(b"\0\x01a\0octet\0timeout\x005\0\0\0\0\0", expect!["a block=512 window=1 [timeout=5]"]);
        check(b"\0\x01a\0octet", expect!["a block=512 window=1 []"]);
    }

    #[test]
    fn options_are_bounded_or_left_out() {
        // 60 bytes that cost a server gigabytes when it believes them.
        check(
            b"\0\x01a\0octet\0blksize\x0065464\0windowsize\x0065535\0",
            expect!["a block=1468 window=16 [blksize=1468 windowsize=16]"],
        );
        // What UEFI firmware asks for.
        check(
            b"\0\x01a\0octet\0blksize\x00512\0windowsize\x004\0",
            expect!["a block=512 window=4 [blksize=512 windowsize=4]"],
        );
        check(
            b"\0\x01a\0octet\0blksize\x007\0windowsize\x000\0timeout\x000\0",
            expect!["a block=512 window=1 []"],
        );
        check(
            b"\0\x01a\0octet\0blksize\0x\0timeout\x00255\0utimeout\x001\0windowwait\x0099999\0multicast\0\0tsize\x000\0",
            expect!["a block=512 window=1 [tsize=1000000]"],
        );
        check(
            b"\0\x01a\0octet\0blksize\x00600\0blksize\x00700\0",
            expect!["a block=600 window=1 [blksize=600]"],
        );
        check(b"\0\x01a\0octet\0blksize\x0099999999999999999999\0", expect!["a block=512 window=1 []"]);
    }

    #[test]
    fn what_is_no_read_request_is_told_apart() {
        check(b"", expect!["Stray"]);
        check(b"\0", expect!["Stray"]);
        check(b"\0\x02a\0octet\0", expect!["Write"]);
        check(b"\0\x04\0\0", expect!["Stray"]);
        check(b"\0\x05\0\x01x\0", expect!["Stray"]);
        check(b"\0\x01a", expect![[r#"Malformed("the request is not complete")"#]]);
        check(b"\0\x01\0octet\0", expect![[r#"Malformed("the file name is empty or too long")"#]]);
        check(b"\0\x01\xff\0octet\0", expect![[r#"Malformed("the file name is no UTF-8")"#]]);
        check(b"\0\x01a\0netascii\0", expect![[r#"Malformed("only mode octet is served")"#]]);
    }

    proptest! {
        #[test]
        fn reading_never_panics_and_terms_stay_bounded(tail in proptest::collection::vec(any::<u8>(), 0..600)) {
            let datagram: Vec<u8> = [0, 1].into_iter().chain(tail).collect();
            if let Asked::Read(request) = read(&datagram) {
                let terms = Terms::agree(&request.options, BLOCK_BYTES_MAX, u64::MAX);
                prop_assert!((8..=BLOCK_BYTES_MAX).contains(&terms.block_bytes));
                prop_assert!((1..=WINDOW_MAX).contains(&terms.window));
            }
        }
    }
}
