//! Rules about the code itself that no compiler checks: who may depend on whom, and what an engine may name.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a broken rule should end the test"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Our crates and the ones of ours that each may name in `[dependencies]`.
const DIRECTIONS: &[(&str, &[&str])] = &[
    ("inventory", &["ipados", "software"]),
    ("images", &[]),
    ("httpd", &[]),
    ("agent", &["images", "software"]),
    ("netd", &["inventory"]),
    ("deployd", &["inventory", "images", "software", "httpd"]),
    ("ipados", &[]),
    ("credentials", &["ipados"]),
    ("software", &[]),
    ("mdm", &["inventory", "ipados", "credentials", "httpd"]),
    ("radius", &["inventory", "httpd"]),
    ("webui", &["inventory", "ipados", "credentials", "software", "httpd"]),
    ("hausmeister", &["inventory", "images", "netd", "deployd", "mdm", "radius", "webui"]),
];

/// Folders and files whose code is told the time and hands out effects: no socket, no clock, no database, no runtime.
const PURE: &[&str] = &[
    "inventory/src/boot.rs",
    "inventory/src/gate/decide.rs",
    "inventory/src/import/columns.rs",
    "inventory/src/import/devices.rs",
    "inventory/src/import/logins.rs",
    "inventory/src/import/people.rs",
    "inventory/src/import/plan",
    "inventory/src/import/problem.rs",
    "inventory/src/import/text.rs",
    "inventory/src/mdm/apps/wish.rs",
    "inventory/src/suggest.rs",
    "inventory/src/throttle.rs",
    "inventory/src/wlan/decide.rs",
    "netd/src/gate/plan.rs",
    "netd/src/gate/script.rs",
    "netd/src/gate/state.rs",
    "netd/src/dns/cache.rs",
    "netd/src/dns/quick.rs",
    "netd/src/dns/rules",
    "netd/src/dns/table.rs",
    "netd/src/dhcp/codec.rs",
    "netd/src/dhcp/engine.rs",
    "netd/src/dhcp/options.rs",
    "netd/src/dhcp/pool.rs",
    "netd/src/dhcp/frame.rs",
    "netd/src/tftp/transfer.rs",
    "images/src/manifest",
    "images/src/published",
    "images/src/table",
    "images/src/layout.rs",
    "images/src/hive",
    "images/src/drivers.rs",
    "images/src/disks.rs",
    "images/src/swarm.rs",
    "deployd/src/policy.rs",
    "deployd/src/upstream/pace.rs",
    "ipados/src",
    "credentials/src/ber.rs",
    "credentials/src/cms/enveloped.rs",
    "credentials/src/cms/signed.rs",
    "credentials/src/cms/verify.rs",
    "credentials/src/services",
    "mdm/src/apps/plan",
    "mdm/src/apps/tell.rs",
    "mdm/src/apps/wire.rs",
    "mdm/src/ade/answers.rs",
    "mdm/src/ade/machine.rs",
    "mdm/src/channel.rs",
    "mdm/src/checkin",
    "mdm/src/command",
    "mdm/src/declarative",
    "mdm/src/document",
    "mdm/src/expiry.rs",
    "mdm/src/response",
    "mdm/src/scep/server.rs",
    "mdm/src/wanted.rs",
    "radius/src/attributes.rs",
    "radius/src/nt.rs",
    "radius/src/subject.rs",
    "software/src",
    "webui/src/totp.rs",
];

const IMPURE: &[&str] = &[
    "tokio::",
    "sqlx::",
    "axum::",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "Instant::now",
    "SystemTime",
    "clock::",
    "std::fs",
    "rand::rng",
];

#[test]
fn daemons_do_not_depend_on_each_other() {
    let mut known = BTreeSet::from(["tests".to_owned(), "tests/ipad".to_owned(), "tests/apple".to_owned()]);
    for (name, allowed) in DIRECTIONS {
        let manifest: toml::Table =
            fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap().parse().unwrap();
        let dependencies =
            manifest.get("dependencies").and_then(|d| d.as_table()).cloned().unwrap_or_default();
        for (other, _) in DIRECTIONS {
            if dependencies.contains_key(*other) {
                assert!(allowed.contains(other), "{name} must not depend on {other}");
            }
        }
        known.insert((*name).to_owned());
    }
    let workspace: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let members = workspace["workspace"]["members"].as_array().unwrap();
    let members: BTreeSet<String> = members.iter().map(|m| m.as_str().unwrap().to_owned()).collect();
    assert_eq!(members, known, "every member has its directions here");
}

#[test]
fn only_the_inventory_names_a_database_engine() {
    for (path, text) in rust_files(&root()) {
        if path.starts_with("inventory/") || path.starts_with("tests/") {
            continue;
        }
        for word in ["sqlx", "SELECT ", "INSERT INTO"] {
            assert!(!text.contains(word), "{path} names {word:?}");
        }
    }
}

#[test]
fn engines_name_no_socket_clock_or_database() {
    let files = rust_files(&root());
    for pure in PURE {
        let mut found = false;
        let engine = |path: &str| path.starts_with(pure) && !path.ends_with("/tests.rs");
        for (path, text) in files.iter().filter(|(path, _)| engine(path)) {
            found = true;
            let code = text.split("#[cfg(test)]").next().unwrap();
            for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
                for word in IMPURE {
                    assert!(!line.contains(word), "{path} is an engine and names {word}: {line}");
                }
            }
        }
        assert!(found, "{pure} is not there any more; correct this list");
    }
}

#[test]
fn nothing_is_left_half_done() {
    let markers: Vec<String> = ["todo!", "unimplemented!", "dbg!"]
        .iter()
        .map(|m| format!("{m}("))
        .chain(["#[ign".to_owned() + "ore"])
        .collect();
    for (path, text) in rust_files(&root()) {
        for marker in &markers {
            assert!(!text.contains(marker.as_str()), "{path} holds {marker}");
        }
        let lines = text.lines().count();
        assert!(lines <= 900, "{path} has {lines} lines; is it one subject?");
        assert!(text.starts_with("//!"), "{path} does not say what it is in its first line");
    }
}

#[test]
fn every_daemon_has_its_page_and_the_readme_leads_there() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for daemon in ["netd", "deployd", "mdm", "radius", "webui", "agent"] {
        let page = fs::read_to_string(root().join(daemon).join("README.md")).unwrap();
        for part in ["name", "synopsis", "description"] {
            let heading = page.lines().any(|l| l.starts_with('#') && l.to_lowercase().contains(part));
            assert!(heading, "{daemon}/README.md lacks a section {part:?}");
        }
        assert!(readme.contains(&format!("{daemon}/README.md")), "README.md does not lead to {daemon}");
    }
    for command in ["make demo", "make test"] {
        assert!(readme.contains(command));
    }
}

fn rust_files(root: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> =
        DIRECTIONS.iter().map(|(name, _)| *name).chain(["tests"]).map(|name| root.join(name)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                files.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(files.len() > 20);
    files.sort();
    files
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}
