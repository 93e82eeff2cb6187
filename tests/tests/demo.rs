//! The school in a box, as `make demo` runs it: real firmware, real kernels, the same `hausmeister up` an admin runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a broken promise should end the test")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// The demo checks every promise itself and says so by its exit code; here it must keep them, and leave nothing behind.
#[test]
fn a_school_in_a_box_works_from_first_boot_to_imaged_room() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let bin = std::env::var_os("HAUSMEISTER_BIN").map_or(root.join("target/release"), PathBuf::from);
    let work = root.join("target/demo/test-run");
    let links_before = links();
    let out = Command::new(bin.join("hausmeister"))
        .arg("demo")
        .arg("--boot-files")
        .arg(root.join("target/boot"))
        .arg("--image")
        .arg(root.join("target/demo/debian.img"))
        .arg("--work-dir")
        .arg(&work)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&out.stdout);
    println!("{told}");
    assert!(out.status.success(), "{}\n{told}\n{}", out.status, String::from_utf8_lossy(&out.stderr));
    for promise in ["r204-pc01", "r204-pc02", "r204-pc03", "UEFI Secure Boot", "Everything was as promised."] {
        assert!(told.contains(promise), "the summary does not mention {promise}");
    }
    assert_eq!(links(), links_before, "this machine's own network was touched");
    let left: Vec<_> = std::fs::read_dir(&work)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".disk") || name == "data")
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

fn links() -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir("/sys/class/net").unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
