//! The answer file of a Windows that was prepared with sysprep: with it the PC comes up with its name and asks nothing.
//!
//! Source: Microsoft, "Windows Setup Automation Overview" and "Unattended Windows Setup Reference"
//! (learn.microsoft.com/windows-hardware/manufacture/desktop/windows-setup-automation-overview,
//! learn.microsoft.com/windows-hardware/customize/desktop/unattend). The first start of such a system runs the passes
//! *specialize* (name, time zone) and *oobeSystem* (language, first pages). `SkipMachineOOBE` and `SkipUserOOBE` are
//! "deprecated" there, but without them a PC whose accounts are in the image waits for somebody who makes one.
//!
//! Whoever gave sysprep an answer file of their own keeps it: only the computer's name is put into it.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// What the answer file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answers<'a> {
    /// Name of the computer, see [`super::name`].
    pub computer_name: &'a str,
    /// As `processorArchitecture` has it: `amd64`, `arm64` or `x86`.
    pub architecture: &'a str,
    /// Language of the system's own texts, if it is known which one the image has.
    pub language: Option<&'a str>,
    /// Folder with drivers to be added, as Windows writes it.
    pub drivers: Option<&'a str>,
}

/// A whole answer file.
pub(super) fn whole(answers: &Answers<'_>) -> String {
    let component = |name: &str, inside: &str| component(name, answers.architecture, inside);
    let shell = format!(
        "      <ComputerName>{}</ComputerName>\n      <TimeZone>{TIME_ZONE}</TimeZone>\n",
        escaped(answers.computer_name)
    );
    let mut specialize = component(SHELL_SETUP, &shell);
    if let Some(folder) = answers.drivers {
        // learn.microsoft.com/windows-hardware/drivers/devtest/pnputil-command-syntax. A driver that Windows refuses must not end the
        // installation; cmd also knows what %SystemDrive% is.
        let command = format!(
            "      <RunSynchronous>\n        <RunSynchronousCommand wcm:action=\"add\">\n          <Order>1</Order>\n          \
             <Path>cmd.exe /c \"pnputil.exe /add-driver {}\\*.inf /subdirs /install &amp; exit 0\"</Path>\n        </RunSynchronousCommand>\n      \
             </RunSynchronous>\n",
            escaped(folder)
        );
        specialize += &component("Microsoft-Windows-Deployment", &command);
    }
    let language = answers.language.map_or_else(String::new, |language| {
        format!("      <UILanguage>{}</UILanguage>\n", escaped(language))
    });
    let international = format!(
        "      <InputLocale>{LOCALE}</InputLocale>\n      <SystemLocale>{LOCALE}</SystemLocale>\n{language}      \
         <UserLocale>{LOCALE}</UserLocale>\n"
    );
    let pages: String = [
        ("HideEULAPage", "true"),
        ("HideOEMRegistrationScreen", "true"),
        ("HideOnlineAccountScreens", "true"),
        ("HideWirelessSetupInOOBE", "true"),
        ("ProtectYourPC", "3"),
        ("SkipMachineOOBE", "true"),
        ("SkipUserOOBE", "true"),
    ]
    .iter()
    .map(|(name, value)| format!("        <{name}>{value}</{name}>\n"))
    .collect();
    let oobe = component("Microsoft-Windows-International-Core", &international)
        + &component(SHELL_SETUP, &format!("      <OOBE>\n{pages}      </OOBE>\n"));
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<unattend xmlns=\"urn:schemas-microsoft-com:unattend\" \
         xmlns:wcm=\"http://schemas.microsoft.com/WMIConfig/2002/State\">\n  <settings pass=\"specialize\">\n{specialize}  \
         </settings>\n  <settings pass=\"oobeSystem\">\n{oobe}  </settings>\n</unattend>\n"
    )
}

/// An answer file that was there, with another name of the computer and nothing else changed. `None` if it is none, or one that
/// Windows has used up.
pub(super) fn renamed(old: &[u8], answers: &Answers<'_>) -> Option<Vec<u8>> {
    match old {
        [0xff, 0xfe, rest @ ..] => {
            let (units, []) = rest.as_chunks::<2>() else { return None };
            let units: Vec<u16> = units.iter().map(|u| u16::from_le_bytes(*u)).collect();
            let text = renamed_text(&String::from_utf16(&units).ok()?, answers)?;
            Some([0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect())
        }
        [0xef, 0xbb, 0xbf, rest @ ..] => {
            let text = renamed_text(std::str::from_utf8(rest).ok()?, answers)?;
            Some([b"\xef\xbb\xbf", text.as_bytes()].concat())
        }
        _ => renamed_text(std::str::from_utf8(old).ok()?, answers).map(String::into_bytes),
    }
}

fn renamed_text(old: &str, answers: &Answers<'_>) -> Option<String> {
    let place = place_of_name(old, answers.architecture)?;
    let element = format!("<ComputerName>{}</ComputerName>", escaped(answers.computer_name));
    let (range, new) = match place {
        Place::Name(range) => (range, element),
        Place::InShell(at) => (at..at, element),
        Place::InPass(at) => {
            (at..at, component(SHELL_SETUP, answers.architecture, &format!("      {element}\n")))
        }
        Place::Pass(range) => {
            let inside = component(SHELL_SETUP, answers.architecture, &format!("      {element}\n"));
            (range, format!("<settings pass=\"specialize\">\n{inside}  </settings>\n"))
        }
    };
    let mut text = old.to_owned();
    text.replace_range(range, &new);
    Some(text)
}

/// Where the name goes: bytes of the file.
enum Place {
    /// The element that is there.
    Name(std::ops::Range<usize>),
    /// Behind the begin of the component that has none.
    InShell(usize),
    /// Behind the begin of the pass that has no such component.
    InPass(usize),
    /// A pass without content, or the end of a file without that pass.
    Pass(std::ops::Range<usize>),
}

/// Whether a pass that is yet to come is marked as done: the file is what an installation left, with its passwords taken out.
fn was_used(text: &str) -> Option<bool> {
    let mut reader = Reader::from_str(text);
    loop {
        match reader.read_event().ok()? {
            Event::Start(element) | Event::Empty(element) if element.local_name().as_ref() == "settings" => {
                let to_come = has(&element, "pass", "specialize") || has(&element, "pass", "oobeSystem");
                if to_come && has(&element, "wasPassProcessed", "true") {
                    return Some(true);
                }
            }
            Event::Eof => return Some(false),
            _ => {}
        }
    }
}

fn place_of_name(text: &str, architecture: &str) -> Option<Place> {
    if was_used(text)? {
        return None;
    }
    let mut reader = Reader::from_str(text);
    let (mut shell, mut pass, mut name) = (None, None, None);
    // Elements that are open, from the outermost on: whether each one leads to the name.
    let mut open: Vec<bool> = Vec::new();
    let mut before = 0;
    loop {
        let event = reader.read_event().ok()?;
        let after = usize::try_from(reader.buffer_position()).ok()?;
        match event {
            Event::Start(element) => {
                let leads = open.iter().all(|o| *o) && is_on_the_way(&element, open.len(), architecture);
                match (leads, open.len()) {
                    (false, 0) => return None,
                    (true, 1) => pass = pass.or(Some(after)),
                    (true, 2) => shell = shell.or(Some(after)),
                    (true, 3) => name = Some(before),
                    _ => {}
                }
                open.push(leads);
            }
            Event::Empty(element) => {
                let leads = open.iter().all(|o| *o) && is_on_the_way(&element, open.len(), architecture);
                match (leads, open.len()) {
                    (true, 3) => return Some(Place::Name(before..after)),
                    (true, 1) => return Some(Place::Pass(before..after)),
                    _ => {}
                }
            }
            Event::End(_) => {
                let leads = open.iter().all(|o| *o);
                open.pop()?;
                match (leads, open.len(), name) {
                    (true, 3, Some(begin)) => return Some(Place::Name(begin..after)),
                    (_, 0, _) => {
                        let inner = shell.map(Place::InShell).or(pass.map(Place::InPass));
                        return Some(inner.unwrap_or(Place::Pass(before..before)));
                    }
                    _ => {}
                }
            }
            Event::DocType(_) | Event::Eof => return None,
            _ => {}
        }
        before = after;
    }
}

/// Whether this is the element of this depth on the way to the computer's name.
fn is_on_the_way(element: &BytesStart<'_>, depth: usize, architecture: &str) -> bool {
    let is = |name: &str, wanted: &str| has(element, name, wanted);
    match (depth, element.local_name().as_ref()) {
        (0, "unattend") | (3, "ComputerName") => true,
        (1, "settings") => is("pass", "specialize"),
        (2, "component") => is("name", SHELL_SETUP) && is("processorArchitecture", architecture),
        _ => false,
    }
}

fn has(element: &BytesStart<'_>, name: &str, wanted: &str) -> bool {
    let attribute = element.try_get_attribute(name);
    attribute.is_ok_and(|a| a.is_some_and(|a| a.value.as_ref().eq_ignore_ascii_case(wanted)))
}

fn component(name: &str, architecture: &str, inside: &str) -> String {
    format!(
        "    <component name=\"{name}\" processorArchitecture=\"{}\" publicKeyToken=\"31bf3856ad364e35\" \
         language=\"neutral\" versionScope=\"nonSxS\">\n{inside}    </component>\n",
        escaped(architecture)
    )
}

fn escaped(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}

const SHELL_SETUP: &str = "Microsoft-Windows-Shell-Setup";
/// As Windows calls the zone of Berlin (learn.microsoft.com/windows-hardware/manufacture/desktop/default-time-zones).
const TIME_ZONE: &str = "W. Europe Standard Time";
const LOCALE: &str = "de-DE";

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWERS: Answers<'_> =
        Answers { computer_name: "R204-PC07", architecture: "amd64", language: Some("de-DE"), drivers: None };

    #[test]
    fn the_whole_file_names_the_pc_and_hides_every_page() {
        let text = whole(&Answers { drivers: Some(r"C:\Drivers"), ..ANSWERS });
        expect_test::expect![[r#"
            <?xml version="1.0" encoding="utf-8"?>
            <unattend xmlns="urn:schemas-microsoft-com:unattend" xmlns:wcm="http://schemas.microsoft.com/WMIConfig/2002/State">
              <settings pass="specialize">
                <component name="Microsoft-Windows-Shell-Setup" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS">
                  <ComputerName>R204-PC07</ComputerName>
                  <TimeZone>W. Europe Standard Time</TimeZone>
                </component>
                <component name="Microsoft-Windows-Deployment" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS">
                  <RunSynchronous>
                    <RunSynchronousCommand wcm:action="add">
                      <Order>1</Order>
                      <Path>cmd.exe /c "pnputil.exe /add-driver C:\Drivers\*.inf /subdirs /install &amp; exit 0"</Path>
                    </RunSynchronousCommand>
                  </RunSynchronous>
                </component>
              </settings>
              <settings pass="oobeSystem">
                <component name="Microsoft-Windows-International-Core" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS">
                  <InputLocale>de-DE</InputLocale>
                  <SystemLocale>de-DE</SystemLocale>
                  <UILanguage>de-DE</UILanguage>
                  <UserLocale>de-DE</UserLocale>
                </component>
                <component name="Microsoft-Windows-Shell-Setup" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS">
                  <OOBE>
                    <HideEULAPage>true</HideEULAPage>
                    <HideOEMRegistrationScreen>true</HideOEMRegistrationScreen>
                    <HideOnlineAccountScreens>true</HideOnlineAccountScreens>
                    <HideWirelessSetupInOOBE>true</HideWirelessSetupInOOBE>
                    <ProtectYourPC>3</ProtectYourPC>
                    <SkipMachineOOBE>true</SkipMachineOOBE>
                    <SkipUserOOBE>true</SkipUserOOBE>
                  </OOBE>
                </component>
              </settings>
            </unattend>
        "#]]
        .assert_eq(&text);
    }

    #[test]
    fn what_xml_would_take_for_itself_is_escaped() {
        let text = whole(&Answers { computer_name: "<a&\"b'>", architecture: "x\"86", ..ANSWERS });
        assert!(text.contains("<ComputerName>&lt;a&amp;&quot;b&apos;&gt;</ComputerName>"));
        assert!(text.contains("processorArchitecture=\"x&quot;86\""));
    }

    #[test]
    fn the_name_is_put_into_an_answer_file_that_is_there() {
        let check = |old: &str, new: &str| {
            let got = renamed(old.as_bytes(), &ANSWERS).map(|b| String::from_utf8(b).unwrap());
            assert_eq!(got.as_deref(), Some(new), "{old}");
            assert_eq!(renamed(new.as_bytes(), &ANSWERS).unwrap(), new.as_bytes(), "a second time");
        };
        let shell = |inside: &str| {
            format!(
                "<?xml version=\"1.0\"?><unattend><!-- ComputerName --><settings pass=\"generalize\"><component/></settings>\
                 <settings pass=\"specialize\"><component name=\"Microsoft-Windows-Shell-Setup\" processorArchitecture=\"x86\">\
                 <ComputerName>X86</ComputerName></component><component processorArchitecture=\"amd64\" \
                 name=\"Microsoft-Windows-Shell-Setup\">{inside}<Key>&amp;1</Key></component></settings></unattend>"
            )
        };
        let wanted = shell("<ComputerName>R204-PC07</ComputerName>");
        check(&shell("<ComputerName>*</ComputerName>"), &wanted);
        check(&shell("<ComputerName/>"), &wanted);
        check(&shell("<ComputerName><!-- x --></ComputerName>"), &wanted);
        check(&shell(""), &wanted);
        let bare = "<unattend>\n  <settings pass=\"oobeSystem\"/>\n</unattend>";
        let added = renamed(bare.as_bytes(), &ANSWERS).unwrap();
        let text = String::from_utf8(added.clone()).unwrap();
        assert!(
            text.starts_with("<unattend>\n  <settings pass=\"oobeSystem\"/>\n<settings pass=\"specialize\">")
        );
        assert_eq!(renamed(&added, &ANSWERS).unwrap(), added);
        let pass = "<unattend><settings pass=\"specialize\"><component name=\"x\"/></settings></unattend>";
        let added = renamed(pass.as_bytes(), &ANSWERS).unwrap();
        assert_eq!(renamed(&added, &ANSWERS).unwrap(), added);
        assert!(String::from_utf8(added).unwrap().contains("<component name=\"x\"/></settings></unattend>"));
    }

    #[test]
    fn both_encodings_that_windows_writes_stay_what_they_are() {
        let text = "<unattend><settings pass=\"specialize\"/></unattend>";
        let wide: Vec<u8> =
            "\u{feff}".chars().chain(text.chars()).flat_map(|c| (c as u16).to_le_bytes()).collect();
        let new = renamed(&wide, &ANSWERS).unwrap();
        assert_eq!((new[0], new[1], new[3]), (0xff, 0xfe, 0));
        let marked = [b"\xef\xbb\xbf", text.as_bytes()].concat();
        assert!(renamed(&marked, &ANSWERS).unwrap().starts_with(b"\xef\xbb\xbf<unattend>"));
    }

    #[test]
    fn what_is_no_answer_file_is_left_to_be_replaced() {
        for text in [
            "",
            "x",
            "<a/>",
            "<unattend>",
            "<!DOCTYPE a [<!ENTITY b \"c\">]><unattend/>",
            "<b><unattend/></b>",
        ] {
            assert_eq!(renamed(text.as_bytes(), &ANSWERS), None, "{text}");
        }
        assert_eq!(renamed(&[0xff, 0xfe, 0], &ANSWERS), None);
        // Left by the installation of the reference PC.
        let used = "<unattend><settings pass=\"specialize\"/><settings wasPassProcessed=\"true\" pass=\"oobeSystem\"/></unattend>";
        assert_eq!(renamed(used.as_bytes(), &ANSWERS), None);
        // Sysprep has done its own pass.
        assert!(renamed(used.replace("oobeSystem", "generalize").as_bytes(), &ANSWERS).is_some());
    }

    proptest::proptest! {
        #[test]
        fn any_file_is_read_without_a_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300), text in
            "(<unattend>|<settings pass=\"specialize\">|<component name=\"Microsoft-Windows-Shell-Setup\" processorArchitecture=\"amd64\">|<ComputerName>|</ComputerName>|<ComputerName/>|</component>|</settings>|</unattend>|ä){0,12}") {
            let _ = renamed(&bytes, &ANSWERS);
            if let Some(new) = renamed(text.as_bytes(), &ANSWERS) {
                proptest::prop_assert!(String::from_utf8(new).unwrap().contains("R204-PC07"));
            }
        }
    }
}
