//! Drafts from real files: MSI files by `wixl`, `.deb` files by `dpkg-deb`, versions against `dpkg` itself.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends where something is not as it should be"
)]

use proptest::prelude::*;
use software::import::{Draft, Field, Why, deb, msi, winget};
use software::package::{
    Architecture, Cause, Detect, FileHash, Meaning, PackageFile, System, Uninstall, Upgrade, Version,
};
use std::fs;
use std::io::Cursor;
use std::process::Command;
use tempfile::TempDir;

fn run(command: &mut Command) -> String {
    let output =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error} (make deps installs it)"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn file(name: &str) -> PackageFile {
    PackageFile { name: name.parse().unwrap(), hash: FileHash::Blake3([1; 32]), size: 9 }
}

const PRODUCT: &str = "{6C8A7A5B-0C55-4E1D-9F2B-1D3C5B7A9E01}";
const UPGRADE: &str = "{0F1E2D3C-4B5A-6978-8796-A5B4C3D2E1F0}";

fn make_msi(folder: &TempDir, architecture: &str) -> Vec<u8> {
    let wxs = format!(
        r#"<?xml version="1.0" encoding="utf-8"?>
<Wix xmlns="http://schemas.microsoft.com/wix/2006/wi">
  <Product Id="{PRODUCT}" Name="Lernprogramm Grün" Version="3.14.15" Manufacturer="Schule" Language="1031" Codepage="1252" UpgradeCode="{UPGRADE}">
    <Package InstallerVersion="200" Compressed="yes" InstallScope="perMachine"/>
    <Media Id="1" Cabinet="a.cab" EmbedCab="yes"/>
    <Directory Id="TARGETDIR" Name="SourceDir"><Directory Id="ProgramFilesFolder"><Directory Id="D" Name="Lern">
      <Component Id="C" Guid="{{11111111-2222-3333-4444-555555555555}}"><File Id="F" Source="lies.txt" KeyPath="yes"/></Component>
    </Directory></Directory></Directory>
    <Feature Id="X" Level="1"><ComponentRef Id="C"/></Feature>
  </Product>
</Wix>"#
    );
    fs::write(folder.path().join("a.wxs"), wxs).unwrap();
    fs::write(folder.path().join("lies.txt"), "Hallo").unwrap();
    run(Command::new("wixl").current_dir(folder).args(["-a", architecture, "-o", "a.msi", "a.wxs"]));
    fs::read(folder.path().join("a.msi")).unwrap()
}

#[test]
fn an_msi_tells_product_version_codes_and_architecture() {
    let folder = TempDir::new().unwrap();
    for (name, expected) in [
        ("x64", vec![Architecture::X64]),
        ("x86", vec![Architecture::X86, Architecture::X64, Architecture::Arm64]),
    ] {
        let properties = msi::properties(Cursor::new(make_msi(&folder, name))).unwrap();
        // The oracle prints the table with tabs between the columns.
        let table = run(Command::new("msiinfo").current_dir(&folder).args(["export", "a.msi", "Property"]));
        for line in table.lines().skip(3) {
            let (name, value) = line.trim_end_matches('\r').split_once('\t').unwrap();
            assert_eq!(properties.table.get(name).map(String::as_str), Some(value), "{name}");
        }
        let draft = msi::draft(&properties, file("a.msi"));
        assert_eq!(
            draft.architectures.iter().copied().collect::<Vec<_>>(),
            expected,
            "{}",
            properties.template
        );
        assert_eq!(draft.open.len(), 1, "{:?}", draft.open);
        let package = draft.finish().unwrap();
        assert_eq!((package.name.as_str(), package.version.as_str()), ("Lernprogramm Grün", "3.14.15"));
        assert_eq!(package.id.as_str(), "lernprogramm-gr-n");
        let codes =
            Detect::Msi { product: PRODUCT.parse().unwrap(), upgrade: Some(UPGRADE.parse().unwrap()) };
        assert_eq!(package.detect, codes);
        assert_eq!(package.install.words()[..3], ["msiexec.exe", "/i", "{dir}\\a.msi"]);
    }
}

#[test]
fn a_damaged_msi_is_refused_and_nothing_worse() {
    let good = make_msi(&TempDir::new().unwrap(), "x64");
    let places = 0..good.len();
    proptest!(ProptestConfig::with_cases(3000), |(damage in proptest::collection::vec((places.clone(), any::<u8>()), 1..40), end in places.clone(), cut: bool)| {
        let mut bytes = good.clone();
        damage.iter().for_each(|(at, byte)| bytes[*at] = *byte);
        if cut {
            bytes.truncate(end);
        }
        if let Ok(properties) = msi::properties(Cursor::new(bytes)) {
            let _ = msi::draft(&properties, file("a.msi")).finish();
        }
    });
}

fn make_deb(folder: &TempDir, compression: &str) -> Vec<u8> {
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("DEBIAN")).unwrap();
    fs::create_dir_all(root.join("usr/share/doc/lern")).unwrap();
    let control = "Package: lern-programm\nVersion: 1:2.0~rc1-1\nArchitecture: amd64\nMaintainer: Schule <a@schule.de>\n\
        Depends: libc6 (>= 2.36),\n bash\nDescription: Lernprogramm für alle\n Es ist lang.\n .\n Sehr lang.\n";
    fs::write(root.join("DEBIAN/control"), control).unwrap();
    fs::write(root.join("usr/share/doc/lern/a"), "x").unwrap();
    let arguments =
        [&format!("-Z{compression}"), "--uniform-compression", "--root-owner-group", "-b", "root", "a.deb"];
    run(Command::new("dpkg-deb").current_dir(folder).args(arguments));
    fs::read(folder.path().join("a.deb")).unwrap()
}

#[test]
fn a_deb_tells_its_control_paragraph_in_every_compression() {
    let folder = TempDir::new().unwrap();
    for compression in ["none", "gzip", "xz", "zstd"] {
        let bytes = make_deb(&folder, compression);
        let paragraph = deb::control(&bytes).unwrap_or_else(|error| panic!("{compression}: {error}"));
        for field in ["Package", "Version", "Depends"] {
            let told = run(Command::new("dpkg-deb").current_dir(&folder).args(["-f", "a.deb", field]));
            let joined = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(joined(&paragraph[&field.to_lowercase()]), joined(&told), "{compression}");
        }
        let package = deb::draft(&paragraph, Some(file("a.deb"))).finish().unwrap();
        assert_eq!(package.name.as_str(), "lern-programm: Lernprogramm für alle");
        assert_eq!(package.detect, Detect::Dpkg("lern-programm".parse().unwrap()));
        assert_eq!(package.install.words().last().unwrap(), "{dir}/a.deb");
        let Some(Uninstall::Command(argv)) = &package.uninstall else { panic!("{package:?}") };
        assert_eq!(argv.words()[1], "remove");
    }
}

#[test]
fn a_package_of_apts_index_is_installed_by_name_and_version() {
    let index = "Package: vlc\nVersion: 3.0.21-0+deb12u1\nArchitecture: amd64\nFilename: pool/v/vlc.deb\n\nPackage: zip\n";
    let package = deb::draft(&deb::paragraph(index).unwrap(), None).finish().unwrap();
    assert_eq!(package.install.words().last().unwrap(), "vlc=3.0.21-0+deb12u1");
    assert!(package.files.is_empty());
    let bad = deb::draft(&deb::paragraph("Package: --x\nArchitecture: hurd-i386\n").unwrap(), None);
    let fields: Vec<Field> = bad.open.iter().map(|open| open.field).collect();
    for field in [Field::Id, Field::Version, Field::Architectures, Field::Detect, Field::Install] {
        assert!(fields.contains(&field), "{field:?} in {fields:?}");
    }
}

#[test]
fn a_damaged_deb_is_refused_and_nothing_worse() {
    let folder = TempDir::new().unwrap();
    for compression in ["none", "gzip", "xz", "zstd"] {
        let good = make_deb(&folder, compression);
        let places = 0..good.len();
        proptest!(ProptestConfig::with_cases(1000), |(damage in proptest::collection::vec((places.clone(), any::<u8>()), 1..10), end in places.clone())| {
            let mut bytes = good.clone();
            damage.iter().for_each(|(at, byte)| bytes[*at] = *byte);
            let _ = deb::control(&bytes).map(|paragraph| deb::draft(&paragraph, None));
            let _ = deb::control(&bytes[..end]);
        });
    }
    assert_eq!(deb::control(b"MZ"), Err(deb::DebError::Archive));
}

#[test]
fn debian_versions_are_ordered_as_dpkg_orders_them() {
    let versions = [
        "1.0",
        "1.0~rc1",
        "1.0-1",
        "1.0-1+deb12u1",
        "1.0-1~bpo12+1",
        "1:0.1",
        "1.0a",
        "1.0+dfsg",
        "1.10",
        "1.9",
        "01.9",
    ];
    for a in versions {
        for b in versions {
            let ours = System::Debian.compare(&a.parse().unwrap(), &b.parse::<Version>().unwrap());
            let relation = if ours.is_lt() {
                "lt"
            } else if ours.is_eq() {
                "eq"
            } else {
                "gt"
            };
            run(Command::new("dpkg").args(["--compare-versions", a, relation, b]));
        }
    }
}

fn sha(byte: u8) -> String {
    format!("{byte:02X}").repeat(32)
}

fn manifest(installers: &str) -> String {
    format!(
        "# yaml-language-server: $schema=https://aka.ms/winget-manifest.installer.1.9.0.schema.json\n\
         PackageIdentifier: Schule.Editor\nPackageVersion: 24.10\nInstallerType: inno\nScope: machine\n\
         UpgradeBehavior: uninstallPrevious\nProductCode: Editor_is1\n\
         ExpectedReturnCodes:\n- InstallerReturnCode: 5\n  ReturnResponse: packageInUse\n- InstallerReturnCode: 2147942512\n  ReturnResponse: diskFull\n\
         Dependencies:\n  WindowsFeatures:\n  - NetFx3\n  PackageDependencies:\n  - PackageIdentifier: Microsoft.VCRedist.2015+.x64\n    MinimumVersion: 14.40.33810.0\n\
         Installers:\n{installers}ManifestType: installer\nManifestVersion: 1.9.0\n"
    )
}

fn installer(architecture: &str, more: &str, byte: u8) -> String {
    format!(
        "- Architecture: {architecture}\n  InstallerUrl: https://example.org/editor-{byte}.exe?x=1\n  InstallerSha256: {}\n{more}",
        sha(byte)
    )
}

const LOCALE: &str = "PackageIdentifier: Schule.Editor\nPackageVersion: 24.10\nPackageLocale: de-DE\nPublisher: Schule\n\
    PackageName: Editor für alle\nLicense: MIT\nShortDescription: Ein Editor\nManifestType: defaultLocale\nManifestVersion: 1.9.0\n";
const VERSION: &str = "PackageIdentifier: Schule.Editor\nPackageVersion: 24.10\nDefaultLocale: de-DE\nManifestType: version\nManifestVersion: 1.9.0\n";

fn read(installers: &[String]) -> Result<Draft, winget::WingetError> {
    winget::draft(&[VERSION, LOCALE, &manifest(&installers.concat())], Architecture::X64)
}

#[test]
fn a_winget_manifest_of_three_files_becomes_a_draft() {
    let draft =
        read(&[installer("x86", "", 1), installer("x64", "", 2), installer("x64", "  Scope: user\n", 3)])
            .unwrap();
    assert_eq!(draft.id.as_ref().unwrap().as_str(), "schule.editor");
    assert_eq!(draft.version.as_ref().unwrap().as_str(), "24.10", "no number was made of it");
    assert_eq!(draft.name.as_ref().unwrap().as_str(), "Editor für alle");
    assert_eq!(draft.downloads[0].hash, FileHash::sha256(&sha(2)).unwrap());
    assert_eq!(draft.downloads[0].name.as_str(), "editor-2.exe");
    let words = ["{dir}\\editor-2.exe", "/VERYSILENT", "/SUPPRESSMSGBOXES", "/NORESTART", "/SP-"];
    assert_eq!(draft.install.as_ref().unwrap().words(), words);
    assert_eq!(draft.upgrade, Upgrade::Reinstall);
    assert_eq!(draft.detect, Some(Detect::UninstallKey("Editor_is1".parse().unwrap())));
    assert_eq!(draft.exit_codes.meaning(5), Meaning::RetryLater);
    assert_eq!(draft.exit_codes.meaning(0x8007_0070_u32.cast_signed()), Meaning::Failed(Cause::DiskFull));
    assert_eq!(draft.dependencies[0].package.as_str(), "microsoft.vcredist.2015+.x64");
    assert_eq!(
        draft.open.iter().map(|open| &open.why).collect::<Vec<_>>(),
        [&Why::Beyond("NetFx3".to_owned())]
    );
    assert!(draft.clone().finish().is_err(), "nothing was fetched yet");
    let mut fetched = draft;
    fetched.files.push(file("editor-2.exe"));
    fetched.finish().unwrap();
}

#[test]
fn every_type_of_installer_has_its_silent_switches() {
    for (more, words) in [
        ("  InstallerType: nullsoft\n", "{dir}\\editor-1.exe /S"),
        ("  InstallerType: burn\n", "{dir}\\editor-1.exe /quiet /norestart"),
        ("  InstallerType: wix\n", "msiexec.exe /i {dir}\\setup.msi /qn /norestart"),
        (
            "  InstallerType: exe\n  InstallerSwitches:\n    Silent: -s --log=<LOGPATH>\n    Custom: /D=\"C:\\A\"\n",
            "{dir}\\editor-1.exe -s --log={log} /D=C:\\A",
        ),
    ] {
        let draft = read(&[installer("x64", more, 1)]).unwrap();
        assert_eq!(draft.install.unwrap().words().join(" "), words);
    }
    let more = format!(
        "  InstallerType: msi\n  ProductCode: '{PRODUCT}'\n  AppsAndFeaturesEntries:\n  - UpgradeCode: '{UPGRADE}'\n"
    );
    let detect = read(&[installer("x64", &more, 1)]).unwrap().detect;
    assert_eq!(
        detect,
        Some(Detect::Msi { product: PRODUCT.parse().unwrap(), upgrade: Some(UPGRADE.parse().unwrap()) })
    );
    let exe = read(&[installer("x64", "  InstallerType: exe\n", 1)]).unwrap();
    assert!(
        exe.open.iter().any(|open| (open.field, &open.why) == (Field::Install, &Why::Missing)),
        "{:?}",
        exe.open
    );
}

#[test]
fn a_manifest_without_a_usable_installer_says_why() {
    use winget::{Refused, WingetError};
    let cases = [
        (installer("arm64", "", 1), Refused::Architecture),
        (installer("x64", "  Scope: user\n", 1), Refused::UserScope),
        (installer("x64", "  InstallerType: zip\n", 1), Refused::Kind),
        ("- Architecture: x64\n  InstallerUrl: file:///a\n".to_owned(), Refused::File),
    ];
    for (installer, why) in cases {
        assert_eq!(read(&[installer]).unwrap_err(), WingetError::NoneFits(vec![why]));
    }
    assert_eq!(winget::draft(&[VERSION, LOCALE], Architecture::X64).unwrap_err(), WingetError::NoInstaller);
    let other = VERSION.replace("24.10", "24.11");
    assert_eq!(winget::draft(&[&other, LOCALE], Architecture::X64).unwrap_err(), WingetError::Mixed);
    let bomb = format!("a: &a [x]\nPackageName: *a\n{VERSION}");
    assert!(matches!(winget::draft(&[&bomb], Architecture::X64), Err(WingetError::Yaml(_))));
}

proptest! {
    #[test]
    fn no_text_makes_the_readers_panic(text in "(?s).{0,200}", damage in 0..2000_usize, other in any::<char>()) {
        let _ = winget::draft(&[&text], Architecture::X64);
        let _ = deb::paragraph(&text).map(|paragraph| deb::draft(&paragraph, None));
        let mut damaged: Vec<char> = manifest(&installer("x64", "", 1)).chars().collect();
        let at = damage % damaged.len();
        damaged[at] = other;
        let _ = winget::draft(&[&damaged.into_iter().collect::<String>()], Architecture::X64);
        let _ = text.parse::<Version>();
        let _ = software::package::split_windows(&text);
    }
}
