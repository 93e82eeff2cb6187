//! What makes a package, and what does not.

use super::*;
use std::str::FromStr;

pub(crate) fn p<T: FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

pub(crate) fn argv(line: &str) -> Argv {
    line.split(' ').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap()
}

/// A program for Windows of which the list of installed programs shows the identifier.
pub(crate) fn parts(id: &str, version: &str) -> Parts {
    Parts {
        id: p(id),
        name: p(id),
        version: p(version),
        system: System::Windows,
        architectures: [Architecture::X64].into(),
        detect: Detect::UninstallKey(p(id)),
        install: argv("{dir}\\setup.exe /S"),
        upgrade: Upgrade::Install,
        uninstall: Some(Uninstall::Registered { switches: vec!["/S".to_owned()] }),
        exit_codes: ExitCodes::of(System::Windows),
        timeout: Timeout::default(),
        needs: Needs::default(),
        files: vec![PackageFile { name: p("setup.exe"), hash: FileHash::Blake3([7; 32]), size: 1 }],
        dependencies: Vec::new(),
        conflicts: BTreeSet::new(),
        replaces: BTreeSet::new(),
    }
}

#[test]
fn a_package_is_read_back_from_its_json() {
    let package = Package::try_from(parts("a", "1")).unwrap();
    let json = serde_json::to_string(&package).unwrap();
    assert_eq!(serde_json::from_str::<Package>(&json).unwrap(), package);
    assert!(json.contains("\"timeout_secs\":3600"), "{json}");
    let more = json.replacen('{', "{\"shell\":true,", 1);
    assert!(serde_json::from_str::<Package>(&more).is_err());
}

#[test]
fn what_contradicts_itself_is_no_package() {
    let dependency = |id: &str| Dependency { package: p(id), at_least: None };
    type Change = fn(&mut Parts);
    let cases: [(&str, Change); 5] = [
        ("no architecture", |parts| parts.architectures.clear()),
        ("no files", |parts| parts.files.clear()),
        ("two files are called", |parts| {
            parts.files.push(PackageFile { name: p("SETUP.exe"), ..parts.files[0].clone() })
        }),
        ("not one of this system", |parts| parts.detect = Detect::Dpkg(p("libc6"))),
        ("no way to uninstall", |parts| (parts.upgrade, parts.uninstall) = (Upgrade::Reinstall, None)),
    ];
    for (text, change) in cases {
        let mut parts = parts("a", "1");
        change(&mut parts);
        let error = Package::try_from(parts).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    }
    for (dependencies, conflicts) in
        [(vec!["a"], vec![]), (vec!["b", "b"], vec![]), (vec!["b"], vec!["b"]), (vec![], vec!["a"])]
    {
        let mut parts = parts("a", "1");
        parts.dependencies = dependencies.into_iter().map(dependency).collect();
        parts.conflicts = conflicts.into_iter().map(p).collect();
        assert!(Package::try_from(parts).is_err());
    }
    let mut parts = parts("a", "1");
    parts.dependencies = (0..65).map(|at| dependency(&format!("b{at}"))).collect();
    assert!(matches!(Package::try_from(parts), Err(PackageError::TooMany { count: 65, .. })));
}

#[test]
fn timeouts_are_neither_instant_nor_endless() {
    assert!(Timeout::try_from(59).is_err() && Timeout::try_from(28_801).is_err());
    assert_eq!(Timeout::try_from(60).unwrap().duration(), Duration::from_secs(60));
}
