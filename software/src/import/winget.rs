//! Manifests of winget.
//!
//! | Part                   | Source                                                                                                |
//! |------------------------|-------------------------------------------------------------------------------------------------------|
//! | fields                 | <https://github.com/microsoft/winget-cli/tree/master/schemas/JSON/manifests>, versions 1.0 to 1.10          |
//! | what an installer inherits | the same: a field at the root holds for every installer that does not have it                        |
//! | silent switches by type | each installer’s own documentation: Windows Installer, Inno Setup ("Setup Command Line Parameters"), NSIS (section 3.2), WiX Burn |
//!
//! Of the installers the one for all users of the PC is taken: the agent is no user. Archives, store packages and portable
//! programs are not installed by a command and are refused by name.

use super::{Download, Draft, Field, Open, Why, argv};
use crate::package::{
    Architecture, Argv, Cause, Dependency, Detect, ExitCodes, FileHash, FileName, Guid, Label, Meaning,
    NamePattern, System, Uninstall, UninstallKey, Upgrade, Url, split_windows,
};
use serde::Deserialize;
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// The manifests give no draft.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WingetError {
    /// Too much text.
    #[error("the manifest has more than 1 MiB; a manifest is a short text")]
    TooLarge,
    /// No YAML, or of another shape.
    #[error("the manifest cannot be read: {0}")]
    Yaml(String),
    /// Files of different packages or versions.
    #[error("the files belong to different packages or versions; bring those of one folder")]
    Mixed,
    /// The file with the installers is missing.
    #[error("no file names an installer; bring the one that ends in .installer.yaml too")]
    NoInstaller,
    /// There are installers, but none that fits.
    #[error("no installer can be used: {0:?}")]
    NoneFits(Vec<Refused>),
}

/// Why an installer was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refused {
    /// For other processors.
    Architecture,
    /// For one user only.
    UserScope,
    /// An archive, a store package or a portable program.
    Kind,
    /// Its address, hash or file name is missing or malformed.
    File,
}

/// Reads the files of one package in any order, for PCs of one architecture.
pub fn draft(files: &[&str], wanted: Architecture) -> Result<Draft, WingetError> {
    if files.iter().map(|file| file.len()).sum::<usize>() > MAX_BYTES {
        return Err(WingetError::TooLarge);
    }
    let nodes: Vec<Node> = files.iter().map(|file| parse(file)).collect::<Result<_, _>>()?;
    let differs = |a: &Node, b: &Node| {
        a.package_identifier != b.package_identifier || a.package_version != b.package_version
    };
    if nodes.windows(2).any(|pair| matches!(pair, [a, b] if differs(a, b))) {
        return Err(WingetError::Mixed);
    }
    let root = nodes.iter().find(|node| !node.installers.is_empty()).ok_or(WingetError::NoInstaller)?;
    let (installer, download) = choose(root, wanted)?;
    let mut draft = Draft::empty(System::Windows);
    draft.id = draft.take(Field::Id, root.package_identifier.as_deref());
    draft.version = draft.take(Field::Version, root.package_version.as_deref());
    let titled = nodes.iter().filter(|node| node.package_name.is_some());
    let title = titled.max_by_key(|node| node.manifest_type.as_deref() == Some("defaultLocale"));
    draft.name = draft.take::<Label>(Field::Name, title.and_then(|node| node.package_name.as_deref()));
    draft.architectures = [wanted].into();
    let kind = installer.kind();
    commands(&mut draft, &installer, kind, &download);
    detect(&mut draft, &installer, kind);
    exit_codes(&mut draft, &installer);
    dependencies(&mut draft, &installer);
    draft.downloads.push(download);
    Ok(draft)
}

fn parse(file: &str) -> Result<Node, WingetError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: 16, max_nodes: 50_000, max_events: 100_000, max_aliases: 0, max_anchors: 0, max_documents: 1 },
    };
    let file = file.trim_start_matches('\u{feff}');
    let said = |error: serde_saphyr::Error| error.to_string().lines().next().unwrap_or_default().to_owned();
    serde_saphyr::from_str_with_options(file, options).map_err(|error| WingetError::Yaml(said(error)))
}

/// A manifest, or one installer of it: the schema lets most fields stand in both.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Node {
    package_identifier: Option<String>,
    package_version: Option<String>,
    package_name: Option<String>,
    manifest_type: Option<String>,
    installers: Vec<Node>,
    architecture: Option<String>,
    installer_type: Option<String>,
    installer_url: Option<String>,
    installer_sha256: Option<String>,
    scope: Option<String>,
    installer_switches: Option<Switches>,
    installer_success_codes: Option<Vec<i64>>,
    expected_return_codes: Option<Vec<Returned>>,
    upgrade_behavior: Option<String>,
    dependencies: Option<Dependencies>,
    product_code: Option<String>,
    apps_and_features_entries: Option<Vec<Entry>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Switches {
    silent: Option<String>,
    silent_with_progress: Option<String>,
    upgrade: Option<String>,
    custom: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Returned {
    installer_return_code: i64,
    return_response: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Dependencies {
    windows_features: Option<Vec<String>>,
    windows_libraries: Option<Vec<String>>,
    package_dependencies: Option<Vec<PackageDependency>>,
    external_dependencies: Option<Vec<String>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct PackageDependency {
    package_identifier: String,
    minimum_version: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Entry {
    display_name: Option<String>,
    product_code: Option<String>,
    upgrade_code: Option<String>,
}

/// Kinds of installers that a command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Msi,
    Burn,
    Inno,
    Nullsoft,
    Exe,
}

impl Node {
    /// An installer with what it inherits from the root.
    fn inherit(&self, root: &Self) -> Self {
        let (own, root) = (self.clone(), root.clone());
        Self {
            installer_type: own.installer_type.or(root.installer_type),
            scope: own.scope.or(root.scope),
            installer_switches: own.installer_switches.or(root.installer_switches),
            installer_success_codes: own.installer_success_codes.or(root.installer_success_codes),
            expected_return_codes: own.expected_return_codes.or(root.expected_return_codes),
            upgrade_behavior: own.upgrade_behavior.or(root.upgrade_behavior),
            dependencies: own.dependencies.or(root.dependencies),
            product_code: own.product_code.or(root.product_code),
            apps_and_features_entries: own.apps_and_features_entries.or(root.apps_and_features_entries),
            ..own
        }
    }

    fn kind(&self) -> Option<Kind> {
        match self.installer_type.as_deref()?.to_ascii_lowercase().as_str() {
            "msi" | "wix" => Some(Kind::Msi),
            "burn" => Some(Kind::Burn),
            "inno" => Some(Kind::Inno),
            "nullsoft" => Some(Kind::Nullsoft),
            "exe" => Some(Kind::Exe),
            _ => None,
        }
    }

    fn entries(&self) -> &[Entry] {
        self.apps_and_features_entries.as_deref().unwrap_or_default()
    }
}

/// How well an installer's architecture fits; Windows runs 32-bit programs on 64 bits, and programs for Intel on ARM.
fn fit(architecture: Option<&str>, wanted: Architecture) -> Option<u8> {
    match (architecture?, wanted) {
        ("x64", Architecture::X64) | ("x86", Architecture::X86) | ("arm64", Architecture::Arm64) => Some(4),
        ("neutral", _) => Some(3),
        ("x64", Architecture::Arm64) => Some(2),
        ("x86", Architecture::X64 | Architecture::Arm64) => Some(1),
        _ => None,
    }
}

fn choose(root: &Node, wanted: Architecture) -> Result<(Node, Download), WingetError> {
    let mut refused = BTreeSet::new();
    let mut good = Vec::new();
    for (place, installer) in root.installers.iter().take(MAX_INSTALLERS).enumerate() {
        let installer = installer.inherit(root);
        match judge(&installer, wanted) {
            Ok((fit, download)) => {
                let machine = installer.scope.as_deref() == Some("machine");
                good.push(((fit, machine, Reverse(installer.kind()), Reverse(place)), installer, download));
            }
            Err(why) => {
                refused.insert(why);
            }
        }
    }
    let best = good.into_iter().max_by(|a, b| a.0.cmp(&b.0));
    best.map(|(_, installer, download)| (installer, download))
        .ok_or_else(|| WingetError::NoneFits(refused.into_iter().collect()))
}

fn judge(installer: &Node, wanted: Architecture) -> Result<(u8, Download), Refused> {
    let fit = fit(installer.architecture.as_deref(), wanted).ok_or(Refused::Architecture)?;
    if installer.scope.as_deref() == Some("user") {
        return Err(Refused::UserScope);
    }
    let kind = installer.kind().ok_or(Refused::Kind)?;
    let url: Url =
        installer.installer_url.as_deref().and_then(|url| url.parse().ok()).ok_or(Refused::File)?;
    let hash = installer.installer_sha256.as_deref().and_then(|digits| FileHash::sha256(digits).ok());
    let hash = hash.ok_or(Refused::File)?;
    Ok((fit, Download { name: file_name(&url, kind).ok_or(Refused::File)?, url, hash }))
}

/// The last part of the address if it is the name of such a file; else a plain name.
fn file_name(url: &Url, kind: Kind) -> Option<FileName> {
    let ending = if kind == Kind::Msi { ".msi" } else { ".exe" };
    let path = url.as_str().split(['?', '#']).next()?;
    let last = path.rsplit('/').next().filter(|name| !name.contains('%'));
    let named =
        last.filter(|name| name.to_ascii_lowercase().ends_with(ending)).and_then(|name| name.parse().ok());
    named.or_else(|| format!("setup{ending}").parse().ok())
}

fn commands(draft: &mut Draft, installer: &Node, kind: Option<Kind>, download: &Download) {
    let switches = installer.installer_switches.clone().unwrap_or_default();
    let silent = switches.silent.clone().or(switches.silent_with_progress.clone());
    let mut words: Vec<String> = match &silent {
        Some(line) => split_windows(line),
        None => kind.map(silent_by_kind).unwrap_or_default().iter().map(|word| (*word).to_owned()).collect(),
    };
    if words.is_empty() {
        draft.note(Field::Install, Why::Missing);
    }
    words.extend(switches.custom.as_deref().map(split_windows).unwrap_or_default());
    let command = |words: &[String]| -> Option<Argv> {
        let file = format!("{{dir}}\\{}", download.name);
        let start = if kind == Some(Kind::Msi) {
            vec!["msiexec.exe".to_owned(), "/i".to_owned(), file]
        } else {
            vec![file]
        };
        let filled = words.iter().map(|word| word.replace("<LOGPATH>", "{log}"));
        argv(start.into_iter().chain(filled))
    };
    draft.install = command(&words);
    if words.iter().any(|word| word.contains("<INSTALLPATH>")) {
        draft.note(Field::Install, Why::Beyond("<INSTALLPATH>".to_owned()));
    }
    draft.uninstall = Some(Uninstall::Registered {
        switches: kind
            .map(silent_by_kind)
            .unwrap_or_default()
            .iter()
            .map(|word| (*word).to_owned())
            .collect(),
    });
    if kind == Some(Kind::Exe) {
        draft.note(Field::Uninstall, Why::Missing);
    }
    draft.upgrade = match (installer.upgrade_behavior.as_deref(), &switches.upgrade) {
        (Some("uninstallPrevious"), _) => Upgrade::Reinstall,
        (Some("deny"), _) => Upgrade::Never,
        (_, Some(line)) => {
            let more: Vec<String> = words.iter().cloned().chain(split_windows(line)).collect();
            command(&more).map_or(Upgrade::Install, Upgrade::Command)
        }
        _ => Upgrade::Install,
    };
}

fn silent_by_kind(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Msi => &["/qn", "/norestart"],
        Kind::Burn => &["/quiet", "/norestart"],
        Kind::Inno => &["/VERYSILENT", "/SUPPRESSMSGBOXES", "/NORESTART", "/SP-"],
        Kind::Nullsoft => &["/S"],
        Kind::Exe => &[],
    }
}

/// The best rule that the manifest has the words for: codes before keys before names.
fn detect(draft: &mut Draft, installer: &Node, kind: Option<Kind>) {
    let entries = installer.entries();
    let code =
        installer.product_code.as_deref().or_else(|| entries.iter().find_map(|e| e.product_code.as_deref()));
    let upgrade = entries.iter().find_map(|entry| entry.upgrade_code.as_deref()?.parse::<Guid>().ok());
    let guid = code.and_then(|code| code.parse::<Guid>().ok()).filter(|_| kind == Some(Kind::Msi));
    let key = code.and_then(|code| code.parse::<UninstallKey>().ok());
    let shown = entries.iter().find_map(|entry| entry.display_name.as_deref());
    draft.detect = match (guid, key) {
        (Some(product), _) => Some(Detect::Msi { product, upgrade }),
        (None, Some(key)) => Some(Detect::UninstallKey(key)),
        (None, None) => {
            let name =
                shown.map(str::to_owned).or_else(|| draft.name.as_ref().map(|name| format!("{name}*")));
            if shown.is_none() {
                draft.note(Field::Detect, Why::Guessed);
            }
            name.and_then(|name| name.parse::<NamePattern>().ok()).map(Detect::UninstallName)
        }
    };
    if draft.detect.is_none() {
        draft.note(Field::Detect, Why::Missing);
    }
}

fn exit_codes(draft: &mut Draft, installer: &Node) {
    let mut codes = ExitCodes::of(System::Windows);
    let success = installer.installer_success_codes.iter().flatten().map(|code| (*code, Some(Meaning::Done)));
    let expected = installer.expected_return_codes.iter().flatten();
    let expected =
        expected.map(|returned| (returned.installer_return_code, meaning(&returned.return_response)));
    for (code, meaning) in success.chain(expected).take(MAX_CODES) {
        match (signed(code), meaning) {
            (Some(code), Some(meaning)) => codes = codes.with(code, meaning),
            _ => draft.note(Field::ExitCodes, Why::NotUnderstood(code.to_string())),
        }
    }
    draft.exit_codes = codes;
}

/// The schema allows both readings of 32 bits.
fn signed(code: i64) -> Option<i32> {
    i32::try_from(code).ok().or_else(|| u32::try_from(code).ok().map(u32::cast_signed))
}

fn meaning(response: &str) -> Option<Meaning> {
    Some(match response {
        "packageInUse" | "packageInUseByApplication" | "installInProgress" | "fileInUse" => {
            Meaning::RetryLater
        }
        "rebootRequiredToFinish" => Meaning::DoneAfterReboot,
        "rebootInitiated" => Meaning::Rebooting,
        "rebootRequiredForInstall" => Meaning::RebootFirst,
        // The detection says whether it is.
        "alreadyInstalled" => Meaning::Done,
        "missingDependency" => Meaning::Failed(Cause::MissingDependency),
        "diskFull" => Meaning::Failed(Cause::DiskFull),
        "insufficientMemory" => Meaning::Failed(Cause::Memory),
        "invalidParameter" => Meaning::Failed(Cause::Arguments),
        "noNetwork" => Meaning::Failed(Cause::Network),
        "cancelledByUser" => Meaning::Failed(Cause::Cancelled),
        "downgrade" => Meaning::Failed(Cause::Newer),
        "blockedByPolicy" => Meaning::Failed(Cause::Forbidden),
        "systemNotSupported" => Meaning::Failed(Cause::Unsupported),
        "contactSupport" | "custom" => Meaning::Failed(Cause::Unknown),
        _ => return None,
    })
}

fn dependencies(draft: &mut Draft, installer: &Node) {
    let Some(listed) = &installer.dependencies else { return };
    for dependency in listed.package_dependencies.iter().flatten().take(MAX_DEPENDENCIES) {
        let at_least = dependency.minimum_version.as_deref().map(str::parse).transpose();
        match (dependency.package_identifier.parse(), at_least) {
            (Ok(package), Ok(at_least)) => draft.dependencies.push(Dependency { package, at_least }),
            _ => draft.open.push(Open {
                field: Field::Dependencies,
                why: Why::NotUnderstood(dependency.package_identifier.chars().take(200).collect()),
            }),
        }
    }
    let others = [&listed.windows_features, &listed.windows_libraries, &listed.external_dependencies];
    for other in others.into_iter().flatten().flatten().take(MAX_DEPENDENCIES) {
        draft.note(Field::Dependencies, Why::Beyond(other.chars().take(200).collect()));
    }
}

const MAX_BYTES: usize = 1 << 20;
const MAX_INSTALLERS: usize = 1024;
const MAX_CODES: usize = 144;
const MAX_DEPENDENCIES: usize = 64;
