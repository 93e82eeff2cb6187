//! Which drivers for Windows a PC needs: reading INF files, and comparing them with what the PC is made of.
//!
//! Source: learn.microsoft.com/windows-hardware/drivers/install/overview-of-inf-files, there "General Syntax Rules for INF
//! Files", "INF Manufacturer Section" and "INF Models Section"; for the ids: "Identifiers for PCI Devices" and "Standard USB
//! Identifiers". Read: which hardware ids an INF names for which processors. Not read: versions of Windows in decorations (an
//! INF for another version is laid down as well and Windows passes it over), and everything that is about installing.

use std::collections::{BTreeMap, BTreeSet};

/// What an INF file says about the devices that it serves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inf {
    /// Processor and hardware id in capitals. An empty processor stands for an undecorated section.
    serves: BTreeSet<(String, String)>,
}

impl Inf {
    /// Reads the whole content of a file, in UTF-16 or UTF-8 or what Windows calls ANSI. What makes no sense is passed over, as
    /// Windows does.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Inf {
        let text = decoded(bytes.get(..INF_BYTES_MAX).unwrap_or(bytes));
        let sections = sections(&text);
        let strings = strings(&sections);
        let mut inf = Inf::default();
        for line in sections.get("MANUFACTURER").into_iter().flatten() {
            // Without "=" the manufacturer's name is the section's.
            let models = line.split_once('=').map_or(line.as_str(), |(_, models)| models);
            let mut parts = fields(models, &strings).into_iter();
            let Some(name) = parts.next() else { continue };
            inf.add_models(&sections, &strings, &name, "");
            for decoration in parts.take(DECORATIONS_MAX) {
                let processor = processor_of(&decoration);
                inf.add_models(&sections, &strings, &format!("{name}.{decoration}"), &processor);
            }
        }
        inf
    }

    /// Whether it serves a device with one of these ids, in capitals, on this processor (`amd64`, `arm64`, `x86`).
    #[must_use]
    pub fn serves(&self, processor: &str, ids: &BTreeSet<String>) -> bool {
        // What names no processor is for the one that there was when nobody had to
        // ("INF Manufacturer Section": other platforms must be decorated).
        let fits = |of: &str| of.eq_ignore_ascii_case(processor) || (of.is_empty() && processor == "x86");
        self.serves.iter().any(|(of, id)| fits(of) && ids.contains(id))
    }

    fn add_models(&mut self, sections: &Sections, strings: &Strings, name: &str, processor: &str) {
        for line in sections.get(&name.to_uppercase()).into_iter().flatten() {
            let Some((_, model)) = line.split_once('=') else { continue };
            // Behind the section with the steps come the hardware id and compatible ids.
            for id in fields(model, strings).into_iter().skip(1).filter(|id| id.contains(['\\', '*'])) {
                if self.serves.len() < IDS_PER_INF_MAX {
                    self.serves.insert((processor.to_owned(), id.to_uppercase()));
                }
            }
        }
    }
}

/// The ids of a PCI device, most precise first, from the numbers that it tells.
#[must_use]
pub fn pci_ids(vendor: u16, device: u16, subsystem: (u16, u16), revision: u8, class: u32) -> Vec<String> {
    let (subsystem_vendor, subsystem_device) = subsystem;
    let base = format!("PCI\\VEN_{vendor:04X}&DEV_{device:04X}");
    let own = format!("{base}&SUBSYS_{subsystem_device:04X}{subsystem_vendor:04X}");
    vec![
        format!("{own}&REV_{revision:02X}"),
        own,
        format!("{base}&REV_{revision:02X}"),
        base.clone(),
        format!("{base}&CC_{:06X}", class & 0xff_ffff),
        format!("{base}&CC_{:04X}", (class >> 8) & 0xffff),
    ]
}

/// The ids of a USB device or of one of its functions.
#[must_use]
pub fn usb_ids(vendor: u16, product: u16, revision: u16, function: Option<u8>) -> Vec<String> {
    let base = format!("USB\\VID_{vendor:04X}&PID_{product:04X}");
    let end = function.map_or_else(String::new, |function| format!("&MI_{function:02X}"));
    vec![format!("{base}&REV_{revision:04X}{end}"), format!("{base}{end}")]
}

/// The ids of a device that the firmware describes (ACPI `_HID`), for example `INT33A1`.
#[must_use]
pub fn acpi_ids(hid: &str) -> Vec<String> {
    let hid = hid.to_uppercase();
    vec![format!("ACPI\\{hid}"), format!("*{hid}")]
}

/// The processor of a decoration: `NTamd64.10.0...19041` is for `AMD64`.
fn processor_of(decoration: &str) -> String {
    let first = decoration.split('.').next().unwrap_or_default().to_uppercase();
    first.strip_prefix("NT").unwrap_or_default().to_owned()
}

type Sections = BTreeMap<String, Vec<String>>;
type Strings = BTreeMap<String, String>;

/// Lines by the names of their sections in capitals. Sections of the same name are one.
fn sections(text: &str) -> Sections {
    let mut sections = Sections::new();
    let mut name = None;
    let mut kept = 0;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut line = without_comment(line).trim().to_owned();
        while line.ends_with('\\') && line.len() < LINE_BYTES_MAX {
            line.pop();
            let Some(more) = lines.next() else { break };
            line.push_str(without_comment(more).trim());
        }
        if let Some(inside) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            name = Some(inside.0.trim().trim_matches('"').to_uppercase());
        } else if let Some(name) = name.as_ref().filter(|_| !line.is_empty() && kept < LINES_MAX) {
            kept += 1;
            sections.entry(name.clone()).or_default().push(line);
        }
    }
    sections
}

/// Up to the first semicolon that no quotes enclose.
fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    let end = line.find(|c| {
        quoted ^= c == '"';
        c == ';' && !quoted
    });
    end.and_then(|end| line.get(..end)).unwrap_or(line)
}

/// What `%name%` stands for, by the name in capitals.
fn strings(sections: &Sections) -> Strings {
    let lines = sections.get("STRINGS").into_iter().flatten();
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.trim().to_uppercase(), unquoted(value))).collect()
}

/// The values between commas, with what stands for others replaced.
fn fields(line: &str, strings: &Strings) -> Vec<String> {
    let value = |raw: &str| {
        let plain = unquoted(raw);
        let token = plain.strip_prefix('%').and_then(|rest| rest.strip_suffix('%'));
        match token.and_then(|name| strings.get(&name.to_uppercase())) {
            Some(text) => text.clone(),
            None => plain,
        }
    };
    line.split(',').map(value).take(FIELDS_MAX).collect()
}

fn unquoted(raw: &str) -> String {
    raw.trim().trim_matches('"').trim().to_owned()
}

fn decoded(bytes: &[u8]) -> String {
    let wide = |rest: &[u8], number: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = rest.as_chunks::<2>().0.iter().map(|u| number(*u)).collect();
        String::from_utf16_lossy(&units)
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        // Ids are ASCII in every code page.
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Longest INF file that is read in full, in bytes. Those of graphics cards have about one million.
pub const INF_BYTES_MAX: usize = 8 << 20;
const LINE_BYTES_MAX: usize = 64 << 10;
const LINES_MAX: usize = 200_000;
const FIELDS_MAX: usize = 256;
const DECORATIONS_MAX: usize = 64;
const IDS_PER_INF_MAX: usize = 50_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NET: &str = r#"
; Intel network card
[Version]
Signature   = "$Windows NT$"
Class       = Net
[Manufacturer]
%Intel%     = Intel, NTamd64.10.0.1, NTamd64.10.0...19041, \
              NTarm64.10.0

[Intel]
%E15B7.Desc% = E15B7, PCI\VEN_8086&DEV_FFFF ; only for x86

[Intel.NTamd64.10.0.1]
; PCI\VEN_8086&DEV_DEAD
%E15B8.Desc% = E15B8.10.0.1, PCI\ven_8086&dev_15b8, PCI\VEN_8086&DEV_15B8&SUBSYS_00008086
%E15D8.Desc% = E15D8, %HwId%
[intel.ntAMD64.10.0...19041]
"E;X"        = E15E3, "PCI\VEN_8086&DEV_15E3"
[Intel.NTarm64.10.0]
%A%          = A, PCI\VEN_8086&DEV_AAAA
[Strings]
Intel = "Intel"
hwid  = "PCI\VEN_8086&DEV_15D8"
"#;

    fn check(inf: &str, processor: &str, id: &str) -> bool {
        Inf::parse(inf.as_bytes()).serves(processor, &BTreeSet::from([id.to_owned()]))
    }

    #[test]
    fn the_ids_of_a_processor_are_found_in_its_sections() {
        for (processor, id, serves) in [
            ("amd64", r"PCI\VEN_8086&DEV_15B8", true),
            ("amd64", r"PCI\VEN_8086&DEV_15B8&SUBSYS_00008086", true),
            ("amd64", r"PCI\VEN_8086&DEV_15D8", true),
            ("amd64", r"PCI\VEN_8086&DEV_15E3", true),
            ("amd64", r"PCI\VEN_8086&DEV_AAAA", false),
            ("arm64", r"PCI\VEN_8086&DEV_AAAA", true),
            ("arm64", r"PCI\VEN_8086&DEV_15B8", false),
            ("x86", r"PCI\VEN_8086&DEV_FFFF", true),
            ("amd64", r"PCI\VEN_8086&DEV_FFFF", false),
            ("amd64", r"PCI\VEN_8086&DEV_DEAD", false),
            ("amd64", r"PCI\VEN_8086", false),
            ("amd64", "E15B8.10.0.1", false),
        ] {
            assert_eq!(check(NET, processor, id), serves, "{processor} {id}");
        }
    }

    #[test]
    fn every_encoding_that_inf_files_come_in_is_read() {
        let wide: Vec<u8> =
            "\u{feff}".chars().chain(NET.chars()).flat_map(|c| (c as u16).to_le_bytes()).collect();
        assert_eq!(Inf::parse(&wide), Inf::parse(NET.as_bytes()));
        assert_eq!(Inf::parse(&[b"\xef\xbb\xbf", NET.as_bytes()].concat()), Inf::parse(NET.as_bytes()));
        let windows_lines = NET.replace('\n', "\r\n").replace("Intel network", "f\u{fc}r");
        assert_eq!(Inf::parse(windows_lines.as_bytes()), Inf::parse(NET.as_bytes()));
    }

    #[test]
    fn a_manufacturer_without_a_section_name_is_its_own() {
        let inf = "[Manufacturer]\nAcme\n[Acme]\na=b,USB\\VID_1234&PID_5678\n";
        assert!(check(inf, "x86", r"USB\VID_1234&PID_5678"));
        assert_eq!(Inf::parse(b""), Inf::default());
        assert_eq!(Inf::parse(b"[Manufacturer]\n%A% = \n[ = , , \\"), Inf::default());
    }

    #[test]
    fn devices_have_the_ids_that_windows_gives_them() {
        assert_eq!(
            pci_ids(0x8086, 0x15b8, (0x1028, 0x07a1), 0x31, 0x02_0000),
            [
                r"PCI\VEN_8086&DEV_15B8&SUBSYS_07A11028&REV_31",
                r"PCI\VEN_8086&DEV_15B8&SUBSYS_07A11028",
                r"PCI\VEN_8086&DEV_15B8&REV_31",
                r"PCI\VEN_8086&DEV_15B8",
                r"PCI\VEN_8086&DEV_15B8&CC_020000",
                r"PCI\VEN_8086&DEV_15B8&CC_0200",
            ]
        );
        assert_eq!(
            usb_ids(0x0bda, 0x8153, 0x3000, Some(2)),
            [r"USB\VID_0BDA&PID_8153&REV_3000&MI_02", r"USB\VID_0BDA&PID_8153&MI_02"]
        );
        assert_eq!(acpi_ids("int33a1"), [r"ACPI\INT33A1", "*INT33A1"]);
    }

    proptest! {
        #[test]
        fn any_file_is_read_without_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..400),
            text in "(\\[Manufacturer\\]\n|%A%=B,NTamd64\n|\\[B.NTamd64\\]\n|x=y,PCI.VEN_1\n|\\\\\n|\"|;|,|=|%|\\[|\\]|ä){0,30}",
        ) {
            let ids = BTreeSet::new();
            prop_assert!(!Inf::parse(&bytes).serves("amd64", &ids));
            prop_assert!(!Inf::parse(text.as_bytes()).serves("amd64", &ids));
        }
    }
}
