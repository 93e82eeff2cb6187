//! `hausmeister doctor` on a real configuration and inventory that are full of names and secrets: none of them is in the bundle.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

use std::fs;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use inventory::{By, Interface, InterfaceKind, Inventory, NewDevice, Role, UnixMillis};

const BY: By<'_> = By { actor: "frau.zwirnbein", at: UnixMillis(1) };

/// With a `journalctl` that says what lies beside the configuration: in the test's container no journal runs.
fn doctor(config: &Path, out: &Path) -> Output {
    let dir = config.parent().unwrap();
    let journalctl = dir.join("journalctl");
    fs::write(&journalctl, format!("#!/bin/sh\ncat '{}'\n", dir.join("journal").display())).unwrap();
    fs::set_permissions(&journalctl, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", dir.display(), std::env::var("PATH").unwrap());
    Command::new(env!("CARGO_BIN_EXE_hausmeister"))
        .env("PATH", path)
        .args(["--config", config.to_str().unwrap(), "doctor", "--out", out.to_str().unwrap()])
        .output()
        .unwrap()
}

/// The archive's bytes, after GNU tar (the oracle) has said that it is one with these files.
fn unpacked(file: &Path, expected: &[&str]) -> String {
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    let bytes = zstd::decode_all(fs::read(file).unwrap().as_slice()).unwrap();
    let mut tar =
        Command::new("tar").arg("-tf").arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    tar.stdin.take().unwrap().write_all(&bytes).unwrap();
    let listed = tar.wait_with_output().unwrap();
    assert!(listed.status.success());
    let listed = String::from_utf8(listed.stdout).unwrap();
    for name in expected {
        assert!(listed.lines().any(|line| line.ends_with(&format!("/{name}"))), "{name} in {listed}");
    }
    String::from_utf8(bytes).unwrap()
}

fn without(bundle: &str, words: &[&str]) {
    let folded = bundle.to_lowercase();
    for word in words {
        assert!(!folded.contains(&word.to_lowercase()), "{word} is in the bundle");
    }
}

fn configuration(dir: &Path, more: &str) -> PathBuf {
    let path = dir.join("hausmeister.toml");
    let data = dir.join("data");
    fs::create_dir_all(&data).unwrap();
    let text = format!(
        "[site]\nname = 'Gymnasium Wolkenheim'\nzone = 'wolkenheim.internal'\ndata_dir = '{}'\n{more}\n[netd]\ninterfaces = ['lo']\ndns_forwarders = ['192.0.2.53']\ndns_port = 5353\n",
        data.display()
    );
    fs::write(&path, text).unwrap();
    path
}

#[tokio::test]
async fn no_name_no_address_and_no_secret_leaves_the_school() {
    let dir = tempfile::tempdir().unwrap();
    let config = configuration(dir.path(), "mdm_url = 'https://mdm.wolkenheim.example'");
    let url = format!("sqlite://{}", dir.path().join("data/hausmeister.db").display());
    let inventory = Inventory::open(&url).await.unwrap();
    inventory.create_room(BY, "Wappensaal").await.unwrap();
    inventory.create_user(BY, "knut.überzwerch", "$argon2id$Geheimhash77", Role::Teacher).await.unwrap();
    let device = NewDevice {
        name: "laptop-hasenbein".parse().unwrap(),
        room: inventory.room_by_name("Wappensaal").await.unwrap().unwrap().id,
        desired_image: None,
        interfaces: vec![Interface {
            mac: "02:aa:bb:cc:dd:ee".parse().unwrap(),
            kind: InterfaceKind::Lan,
            reserved_ip: Some(Ipv4Addr::new(198, 51, 100, 9)),
        }],
    };
    inventory.create_device(BY, &device).await.unwrap();
    let journal = "2026-11-24T01:00:00+0000 netd[7]: lease.ip=198.51.100.9 mac=02:AA:BB:CC:DD:EE host=LAPTOP-HASENBEIN\n\
                   2026-11-24T01:00:01+0000 webui[8]: Knut.Ueberzwerch signed in; password: 'Geheim wort'\n";
    fs::write(dir.path().join("journal"), journal).unwrap();
    let notice =
        |place: &str, text: &str| (place.to_owned(), text.to_owned(), "call Frau Zwirnbein".to_owned());
    let found = [
        notice(
            "devices/x",
            "wappensaal: 02:12:34:56:78:9a has 198.51.100.77 and 2001:db8::77, token=Geheimwort99",
        ),
        notice("pool/y", "FRAU.ZWIRNBEIN wrote to paula@wolkenheim.example"),
    ];
    inventory.set_notices(BY, "netd", &found).await.unwrap();
    inventory.close().await;

    let out = dir.path().join("bundle.tar.zst");
    let said = doctor(&config, &out);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let files = [
        "README.txt",
        "versions.json",
        "findings.json",
        "configuration.toml",
        "database.json",
        "notices.json",
        "log.txt",
    ];
    let bundle = unpacked(&out, &files);
    without(
        &bundle,
        &[
            "hasenbein",
            "zwerch",
            "Geheim",
            "02:aa:bb",
            "198.51.100",
            "wolkenheim",
            "wappensaal",
            "zwirnbein",
            "paula",
            "192.0.2.53",
            "198.51.100.77",
            "2001:db8::77",
            "02:12:34:56:78:9a",
            "Geheimwort99",
            "mdm.wolkenheim",
        ],
    );
    // What helps is there.
    for kept in [
        "signed in",
        "host=device-",
        "address-",
        "mac-1",
        "person-",
        "\"engine\": \"sqlite\"",
        "dns_port = 5353",
        "\"rooms\"",
        "\"migration\"",
    ] {
        assert!(bundle.contains(kept), "{kept} is not in the bundle");
    }
    // A bundle is never written over.
    assert!(!doctor(&config, &out).status.success());
}

#[test]
fn it_goes_on_without_a_database_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let broken = dir.path().join("broken-Geheimwort99.db");
    fs::write(&broken, "this is no database of ours, whatever it may have been".repeat(200)).unwrap();
    let config = configuration(dir.path(), &format!("database = 'sqlite://{}'", broken.display()));
    let out = dir.path().join("bundle.tar.zst");
    let said = doctor(&config, &out);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let told = String::from_utf8(said.stdout).unwrap();
    assert!(told.contains("not in it: the database"), "{told}");
    let bundle = unpacked(&out, &["README.txt", "findings.json", "configuration.toml"]);
    assert!(!bundle.contains("/log.txt"), "nobody knows whose names are in it");
    without(&bundle, &["Geheimwort99", "wolkenheim"]);
    assert!(bundle.contains("Not in it: the database"), "{bundle}");
}

#[test]
fn a_broken_configuration_is_not_quoted() {
    let dir = tempfile::tempdir().unwrap();
    for more in ["password = 'Geheimwort99", "language = 'Geheimwort99'", "mdm_url = 'ftp://Geheimwort99'"] {
        let config = configuration(dir.path(), more);
        let out = dir.path().join("bundle.tar.zst");
        let said = doctor(&config, &out);
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let bundle = unpacked(&out, &["findings.json"]);
        without(&bundle, &["Geheimwort99"]);
        assert!(bundle.contains("the configuration cannot be used"), "{bundle}");
        fs::remove_file(&out).unwrap();
    }
}
