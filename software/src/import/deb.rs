//! What a Debian package says about itself.
//!
//! | Part                | Source                                                                 |
//! |---------------------|------------------------------------------------------------------------|
//! | `ar`, its members   | deb(5), ar(5): 60 bytes of header, data padded to even length                |
//! | `control.tar`       | deb(5): plain, gzip, xz or zstd; ustar (POSIX.1-1988)                       |
//! | the paragraph       | Debian Policy, sections 5.1 and 5.3                                     |
//!
//! The control data lies at the beginning of the file: the first 8 MiB suffice. Unpacked it may have 16 MiB.

use super::{Draft, Field, Why, argv};
use crate::package::{Architecture, DebName, Detect, Label, PackageFile, System, Uninstall, Version};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::ops::Range;

/// The bytes are not a package that could be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DebError {
    /// Not an archive of `ar`.
    #[error("this is no .deb file")]
    Archive,
    /// A part is missing or broken.
    #[error("the .deb file has no readable {0}; fetch it again from its maker")]
    Part(&'static str),
    /// A compression that dpkg does not make.
    #[error("the control data is compressed in an unknown way: {0}")]
    Compression(String),
    /// The paragraph breaks the rules.
    #[error("line {0} of the control data is no field; the file is damaged")]
    Paragraph(usize),
}

/// The fields of a paragraph, by their names in lower case.
pub type Paragraph = BTreeMap<String, String>;

/// Reads the control paragraph from the beginning of a `.deb`.
pub fn control(head: &[u8]) -> Result<Paragraph, DebError> {
    let mut rest = head.strip_prefix(b"!<arch>\n").ok_or(DebError::Archive)?;
    for _ in 0..MAX_MEMBERS {
        let (header, data) = rest.split_at_checked(60).ok_or(DebError::Part("control.tar"))?;
        let field =
            |range| header.get(range).and_then(|bytes| std::str::from_utf8(bytes).ok()).map(str::trim);
        let name = field(0..16).ok_or(DebError::Archive)?.trim_end_matches('/').to_owned();
        let len: usize = field(48..58).and_then(|len| len.parse().ok()).ok_or(DebError::Archive)?;
        if let Some(compression) = name.strip_prefix("control.tar") {
            let packed = data.get(..len).ok_or(DebError::Part("control.tar"))?;
            let tar = unpack(compression, packed)?;
            let text = file_in_tar(&tar, "control").ok_or(DebError::Part("control"))?;
            return paragraph(&String::from_utf8_lossy(text));
        }
        let next = len.checked_add(len % 2).and_then(|len| data.get(len..));
        rest = next.ok_or(DebError::Part("control.tar"))?;
    }
    Err(DebError::Part("control.tar"))
}

/// Reads one paragraph: of a control file, or of apt's index `Packages`. Ends at the first empty line.
pub fn paragraph(text: &str) -> Result<Paragraph, DebError> {
    let mut fields = Paragraph::new();
    let mut last: Option<String> = None;
    for (at, line) in text.lines().enumerate().skip_while(|(_, line)| line.trim().is_empty()) {
        if line.trim().is_empty() {
            break;
        }
        if line.starts_with('#') {
            continue;
        }
        if line.starts_with([' ', '\t']) {
            let name = last.as_ref().ok_or(DebError::Paragraph(at + 1))?;
            let value = fields.entry(name.clone()).or_default();
            value.push('\n');
            value.push_str(line.trim());
            continue;
        }
        let (name, value) = line.split_once(':').ok_or(DebError::Paragraph(at + 1))?;
        let name = name.to_ascii_lowercase();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic()) || fields.len() >= MAX_FIELDS {
            return Err(DebError::Paragraph(at + 1));
        }
        fields.insert(name.clone(), value.trim().to_owned());
        last = Some(name);
    }
    Ok(fields)
}

/// A draft of the package. With a file it is installed from that file, and apt fetches what it depends on; without, from apt's sources.
pub fn draft(paragraph: &Paragraph, file: Option<PackageFile>) -> Draft {
    let mut draft = Draft::empty(System::Debian);
    let field = |name: &str| paragraph.get(name).map(String::as_str);
    let deb = draft.take::<DebName>(Field::Detect, field("package"));
    draft.id = draft.take(Field::Id, field("package"));
    let title = field("package").map(|name| {
        let summary = field("description").and_then(|text| text.lines().next()).unwrap_or_default();
        if summary.is_empty() { name.to_owned() } else { format!("{name}: {summary}") }
    });
    draft.name = draft.take::<Label>(Field::Name, title.as_deref().map(|title| shortened(title, 200)));
    draft.version = draft.take::<Version>(Field::Version, field("version"));
    draft.architectures = architectures(field("architecture").unwrap_or_default());
    if draft.architectures.is_empty() {
        draft.note(
            Field::Architectures,
            field("architecture").map_or(Why::Missing, |text| Why::NotUnderstood(text.into())),
        );
    }
    let what = match (&file, &deb, &draft.version) {
        (Some(file), _, _) => Some(format!("{{dir}}/{}", file.name)),
        (None, Some(deb), Some(version)) => Some(format!("{deb}={version}")),
        _ => None,
    };
    let install = ["apt-get", "install", "--yes", "--no-install-recommends", LOCK, KEEP_CONFIGURATION];
    draft.install = what.and_then(|what| argv(install.into_iter().map(str::to_owned).chain([what])));
    if draft.install.is_none() {
        draft.note(Field::Install, Why::Missing);
    }
    let remove = deb.as_ref().and_then(|deb| argv(["apt-get", "remove", "--yes", LOCK, deb.as_str()]));
    draft.uninstall = remove.map(Uninstall::Command);
    draft.detect = deb.map(Detect::Dpkg);
    draft.files.extend(file);
    draft
}

fn shortened(text: &str, max: usize) -> &str {
    let end = text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= max).last();
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

/// <https://wiki.debian.org/SupportedArchitectures>
fn architectures(text: &str) -> BTreeSet<Architecture> {
    match text {
        "all" => [Architecture::X86, Architecture::X64, Architecture::Arm64].into(),
        "amd64" => [Architecture::X64].into(),
        "i386" => [Architecture::X86].into(),
        "arm64" => [Architecture::Arm64].into(),
        _ => BTreeSet::new(),
    }
}

fn unpack(compression: &str, packed: &[u8]) -> Result<Vec<u8>, DebError> {
    let broken = DebError::Part("control.tar");
    let reader: Box<dyn Read + '_> = match compression {
        "" => Box::new(packed),
        ".gz" => Box::new(flate2::read::GzDecoder::new(packed)),
        ".xz" => Box::new(lzma_rust2::XzReader::new_mem_limit(packed, true, MEMORY_KIB)),
        ".zst" => {
            let mut decoder = zstd::Decoder::new(packed).map_err(|_| DebError::Part("control.tar"))?;
            decoder.window_log_max(WINDOW_LOG).map_err(|_| DebError::Part("control.tar"))?;
            Box::new(decoder)
        }
        other => return Err(DebError::Compression(other.to_owned())),
    };
    let mut bytes = Vec::new();
    match reader.take(MAX_UNPACKED + 1).read_to_end(&mut bytes) {
        Ok(len) if len as u64 <= MAX_UNPACKED => Ok(bytes),
        _ => Err(broken),
    }
}

/// The content of a file at the top of a tar archive.
fn file_in_tar<'t>(mut tar: &'t [u8], wanted: &str) -> Option<&'t [u8]> {
    while let Some((header, rest)) = tar.split_at_checked(512) {
        let text = |range: Range<usize>| header.get(range)?.split(|byte| *byte == 0).next();
        let name = std::str::from_utf8(text(0..100)?).ok()?;
        let octal = std::str::from_utf8(text(124..136)?).ok()?.trim();
        let len = if octal.is_empty() { 0 } else { usize::from_str_radix(octal, 8).ok()? };
        let plain = matches!(header.get(156), Some(b'0' | 0));
        if plain && name.trim_start_matches("./") == wanted {
            return rest.get(..len);
        }
        tar = rest.get(len.checked_next_multiple_of(512)?..)?;
    }
    None
}

const MAX_MEMBERS: usize = 8;
const MAX_FIELDS: usize = 100;
const MAX_UNPACKED: u64 = 16 << 20;
/// 64 MiB: `xz -9`.
const MEMORY_KIB: u32 = 80 << 10;
/// Windows of 128 MiB: what `zstd` takes without being asked to.
const WINDOW_LOG: u32 = 27;
/// Ten minutes for another installation to end.
const LOCK: &str = "-oDPkg::Lock::Timeout=600";
const KEEP_CONFIGURATION: &str = "-oDpkg::Options::=--force-confold";
