//! The form of a program: what stands in it, and the package that comes of it.

use ::software::import::{Draft, DraftError};
use ::software::package::{
    Architecture, Argv, Detect, NamePattern, Package, Parts, System, Uninstall, join_windows, split_windows,
};

use crate::failure::{Answer, Failure};
use crate::fields::Fields;
use crate::problem::Problem;

/// What stands in the form.
pub(crate) struct FormValues {
    /// The draft as it came, with what the form does not show.
    pub(crate) draft: String,
    pub(crate) file: String,
    pub(crate) windows: bool,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    /// Word, name, whether it is chosen.
    pub(crate) architectures: Vec<(&'static str, &'static str, bool)>,
    pub(crate) detect: &'static str,
    pub(crate) detect_value: String,
    pub(crate) install: String,
    pub(crate) uninstall: String,
    /// The system knows how to remove it.
    pub(crate) registered: bool,
    pub(crate) nobody_signed_in: bool,
}

impl FormValues {
    /// The form for a draft.
    pub(crate) fn of(draft: &Draft) -> Self {
        let text = |value: Option<String>| value.unwrap_or_default();
        let (detect, detect_value) = draft.detect.as_ref().map_or(("", String::new()), shown);
        let uninstall = match &draft.uninstall {
            Some(Uninstall::Command(argv)) => line(argv),
            _ => String::new(),
        };
        // Hardly any PC is of another kind.
        let usual = |it| draft.architectures.is_empty() && it == Architecture::X64;
        let chosen = |it| draft.architectures.contains(&it) || usual(it);
        Self {
            draft: serde_json::to_string(draft).unwrap_or_default(),
            file: draft.files.iter().map(|file| file.name.to_string()).collect::<Vec<_>>().join(", "),
            windows: draft.system == System::Windows,
            id: text(draft.id.as_ref().map(ToString::to_string)),
            name: text(draft.name.as_ref().map(ToString::to_string)),
            version: text(draft.version.as_ref().map(ToString::to_string)),
            architectures: ARCHITECTURES.iter().map(|(word, name, it)| (*word, *name, chosen(*it))).collect(),
            detect,
            detect_value,
            install: text(draft.install.as_ref().map(line)),
            uninstall,
            registered: matches!(draft.uninstall, Some(Uninstall::Registered { .. })),
            nobody_signed_in: false,
        }
    }

    /// The same form with what was typed.
    pub(crate) fn typed(form: &Fields) -> Answer<Self> {
        let draft = draft(form)?;
        let value = |field: &str| form.text(field).to_owned();
        let chosen = |word: &str| form.all("architecture").any(|typed| typed == word);
        Ok(Self {
            id: value("id"),
            name: value("name"),
            version: value("version"),
            architectures: ARCHITECTURES.iter().map(|(word, name, _)| (*word, *name, chosen(word))).collect(),
            detect: KINDS.iter().find(|kind| **kind == form.text("detect")).copied().unwrap_or_default(),
            detect_value: value("detect_value"),
            install: value("install"),
            uninstall: value("uninstall"),
            nobody_signed_in: form.given("nobody_signed_in").is_some(),
            ..Self::of(&draft)
        })
    }
}

fn draft(form: &Fields) -> Answer<Draft> {
    serde_json::from_str(form.verbatim("draft")).map_err(|error| Failure::Malformed(error.to_string()))
}

/// The package that a form describes.
pub(crate) fn package_of(form: &Fields) -> Answer<Package> {
    let mut draft = draft(form)?;
    let mut wrong: Vec<(&'static str, Problem)> = Vec::new();
    draft.id = parsed(form, "id", &mut wrong);
    draft.name = parsed(form, "name", &mut wrong);
    draft.version = parsed(form, "version", &mut wrong);
    draft.architectures = form
        .all("architecture")
        .filter_map(|typed| Some(ARCHITECTURES.iter().find(|(word, ..)| *word == typed)?.2))
        .collect();
    draft.detect = detect(form, &draft, &mut wrong);
    draft.install = command(form, "install", &mut wrong);
    if draft.install.is_none() && wrong.iter().all(|(field, _)| *field != "install") {
        wrong.push(("install", Problem::Missing));
    }
    let uninstall = command(form, "uninstall", &mut wrong);
    let registered = draft.uninstall.take().filter(|how| matches!(how, Uninstall::Registered { .. }));
    draft.uninstall = uninstall.map(Uninstall::Command).or(registered);
    if !wrong.is_empty() {
        return Err(Failure::Input(wrong));
    }
    let package = draft.finish().map_err(|error| match error {
        DraftError::Package(error) => Failure::field("", Problem::Package(error)),
        DraftError::NotFetched(file) => Failure::field("file", Problem::NotUploaded(file.to_string())),
        DraftError::Missing(_) => Failure::field("", Problem::Missing),
    })?;
    let mut parts: Parts = package.into();
    parts.needs.nobody_signed_in = form.given("nobody_signed_in").is_some();
    Package::try_from(parts).map_err(|error| Failure::field("", Problem::Package(error)))
}

fn parsed<T>(form: &Fields, field: &'static str, wrong: &mut Vec<(&'static str, Problem)>) -> Option<T>
where
    T: std::str::FromStr<Err = ::software::package::ValueError>,
{
    match form.given(field) {
        None => wrong.push((field, Problem::Missing)),
        Some(text) => match text.parse() {
            Ok(value) => return Some(value),
            Err(error) => wrong.push((field, Problem::Unfit(error))),
        },
    }
    None
}

/// A command without a shell: words, quoted where they hold spaces.
fn command(form: &Fields, field: &'static str, wrong: &mut Vec<(&'static str, Problem)>) -> Option<Argv> {
    let argv: Result<Argv, _> = split_windows(form.given(field)?).try_into();
    argv.map_err(|error| wrong.push((field, Problem::Unfit(error)))).ok()
}

/// The rule of the form. What the form does not show of the draft's rule stays.
fn detect(form: &Fields, draft: &Draft, wrong: &mut Vec<(&'static str, Problem)>) -> Option<Detect> {
    let (kind, value) = (form.text("detect"), form.text("detect_value"));
    if let Some(known) = draft.detect.as_ref().filter(|known| shown(known) == (kind, value.to_owned())) {
        return Some(known.clone());
    }
    let field = "detect_value";
    match kind {
        "dpkg" => parsed(form, field, wrong).map(Detect::Dpkg),
        "msi" => parsed(form, field, wrong).map(|product| Detect::Msi { product, upgrade: None }),
        "key" => parsed(form, field, wrong).map(Detect::UninstallKey),
        "name" => parsed::<NamePattern>(form, field, wrong).map(Detect::UninstallName),
        "file" => parsed(form, field, wrong).map(Detect::FileVersion),
        other => {
            wrong.push(("detect", Problem::NoChoice(other.chars().take(40).collect())));
            None
        }
    }
}

fn shown(detect: &Detect) -> (&'static str, String) {
    match detect {
        Detect::Dpkg(name) => ("dpkg", name.to_string()),
        Detect::Msi { product, .. } => ("msi", product.to_string()),
        Detect::UninstallKey(key) => ("key", key.to_string()),
        Detect::UninstallName(name) => ("name", name.to_string()),
        Detect::FileVersion(path) | Detect::FileHash { path, .. } => ("file", path.to_string()),
    }
}

fn line(argv: &Argv) -> String {
    join_windows(argv.words().iter().map(String::as_str))
}

const ARCHITECTURES: [(&str, &str, Architecture); 3] = [
    ("x64", "64 Bit (x86-64)", Architecture::X64),
    ("x86", "32 Bit (x86)", Architecture::X86),
    ("arm64", "ARM 64", Architecture::Arm64),
];
const KINDS: [&str; 5] = ["dpkg", "name", "key", "msi", "file"];
