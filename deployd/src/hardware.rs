//! Bounding what a PC says about itself before anything of it is kept or shown.

use images::protocol::{Disk, Hardware, Hello, Nic, Report};

/// A hello whose every part is bounded.
pub(crate) fn bounded_hello(hello: Hello) -> Hello {
    let Hello { agent_version, runs_in, hardware } = hello;
    Hello { agent_version: text(&agent_version), runs_in, hardware: bounded(hardware) }
}

/// A report whose every part is bounded.
pub(crate) fn bounded_report(report: Report) -> Report {
    let Report { hostname, os, kernel, uptime_secs, manifest } = report;
    Report {
        hostname: text(&hostname),
        os: text(&os),
        kernel: text(&kernel),
        uptime_secs,
        manifest: text(&manifest),
    }
}

fn bounded(hardware: Hardware) -> Hardware {
    let Hardware { vendor, product, serial, uuid, firmware, cpu, cpu_count, memory_bytes, disks, nics } =
        hardware;
    Hardware {
        vendor: text(&vendor),
        product: text(&product),
        serial: text(&serial),
        uuid: text(&uuid),
        firmware,
        cpu: text(&cpu),
        cpu_count,
        memory_bytes,
        disks: disks.into_iter().take(DISKS_MAX).map(disk).collect(),
        nics: nics.into_iter().take(NICS_MAX).map(nic).collect(),
    }
}

fn disk(disk: Disk) -> Disk {
    let Disk { name, model, serial, wwn, bytes, sector_bytes, removable } = disk;
    Disk {
        name: text(&name),
        model: text(&model),
        serial: text(&serial),
        wwn: text(&wwn),
        bytes,
        sector_bytes,
        removable,
    }
}

fn nic(nic: Nic) -> Nic {
    let Nic { name, mac, driver, carrier, wireless } = nic;
    Nic { name: text(&name), mac: text(&mac), driver: text(&driver), carrier, wireless }
}

/// One line of at most [`TEXT_CHARS_MAX`] characters that a page or a terminal can show: without control characters and
/// without those that turn or hide text.
pub(crate) fn text(raw: &str) -> String {
    clean(raw, TEXT_CHARS_MAX)
}

/// As [`text`], with a bound of the caller's.
pub(crate) fn clean(raw: &str, chars_max: usize) -> String {
    let shown = raw.chars().filter(|c| !c.is_control() && !hides(*c)).take(chars_max).collect::<String>();
    shown.trim().to_owned()
}

/// Zero-width characters and those that change the direction of text (Unicode TR 36 section 2.9).
fn hides(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

const TEXT_CHARS_MAX: usize = 128;
const DISKS_MAX: usize = 32;
const NICS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use images::protocol::RunsIn;
    use proptest::prelude::*;

    #[test]
    fn texts_lose_what_a_screen_must_not_obey() {
        let check = |raw: &str, expected: &str| assert_eq!(text(raw), expected, "{raw:?}");
        check("  OptiPlex 7010 \n", "OptiPlex 7010");
        check("\u{1b}[2Jweg\0", "[2Jweg");
        check("PC\u{202e}txt.exe", "PCtxt.exe");
        check("Bü\u{200b}ro", "Büro");
        check(&"ä".repeat(500), &"ä".repeat(128));
    }

    proptest! {
        #[test]
        fn no_hello_grows_beyond_the_bounds(
            words in prop::collection::vec(".{0,400}", 0..60), count in 0usize..200, uuid in ".{0,400}",
        ) {
            let word = |i: usize| words.get(i % words.len().max(1)).cloned().unwrap_or_default();
            let hello = Hello {
                agent_version: word(1),
                runs_in: RunsIn::BootEnvironment,
                hardware: Hardware {
                    vendor: word(2), product: word(3), uuid,
                    disks: (0..count).map(|i| Disk { model: word(i), serial: word(i + 1), ..Disk::default() }).collect(),
                    nics: (0..count).map(|i| Nic { name: word(i), mac: word(i + 2), ..Nic::default() }).collect(),
                    ..Hardware::default()
                },
            };
            let bounded = bounded_hello(hello);
            let json = serde_json::to_string(&bounded.hardware).unwrap();
            prop_assert!(json.len() < 128 << 10, "{} bytes", json.len());
            // A backslash of the PC's own is written twice, and is no escape of a control character.
            prop_assert!(!json.replace(r"\\", "").contains(r"\u00"), "{json}");
            prop_assert_eq!(bounded_hello(bounded.clone()), bounded);
        }
    }
}
