//! The school in a box, as `make demo` runs it: real firmware, real kernels, the same `hausmeister up` an admin runs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a broken promise should end the test"
)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The demo checks every promise itself and says so by its exit code; here it must keep them, and leave nothing behind.
#[test]
fn a_school_in_a_box_works_from_first_boot_to_a_lesson_in_an_imaged_room() {
    let told = run("test-run", &[]);
    for promise in ["r204-pc01", "r204-pc02", "r204-pc03", "UEFI Secure Boot"] {
        assert!(told.contains(promise), "the summary does not mention {promise}");
    }
    for promise in ["is led to a page", "the teacher tapped once", "the bell rang: r204-pc01 is out again"] {
        assert!(told.contains(promise), "the story does not tell: {promise}");
    }
}

#[test]
fn a_pulled_plug_and_a_killed_server_cost_no_more_than_time() {
    let told = run("test-run-faults", &["--faults"]);
    for promise in ["the plug of r204-pc01 is pulled", "the server was killed", "were not transferred again"]
    {
        assert!(told.contains(promise), "the story does not tell: {promise}");
    }
}

#[test]
fn a_demo_that_is_interrupted_leaves_nothing_behind() {
    let (mut demo, work) = start("test-run-interrupted", &[]);
    let mut told = BufReader::new(demo.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(told.any(|line| line.contains("is switched on")), "it ended before a PC was switched on");
    assert!(!running_in(&work).is_empty());
    kill(Pid::from_raw(demo.id().cast_signed()), Signal::SIGINT).unwrap();
    let rest: Vec<String> = told.collect();
    assert!(!demo.wait().unwrap().success(), "{rest:?}");
    assert_eq!(running_in(&work), Vec::<String>::new());
    assert_eq!(left_in(&work), Vec::<String>::new());
}

/// Plays the demo to its end; returns what it printed.
fn run(work_dir: &str, flags: &[&str]) -> String {
    let links_before = links();
    let (demo, work) = start(work_dir, flags);
    let out = demo.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&out.stdout).into_owned();
    println!("{told}");
    assert!(out.status.success(), "{}\n{told}\n{}", out.status, String::from_utf8_lossy(&out.stderr));
    assert!(told.contains("Everything was as promised."));
    assert_eq!(links(), links_before, "this machine's own network was touched");
    assert_eq!(running_in(&work), Vec::<String>::new());
    assert_eq!(left_in(&work), Vec::<String>::new());
    told
}

fn start(work_dir: &str, flags: &[&str]) -> (Child, PathBuf) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let bin = std::env::var_os("HAUSMEISTER_BIN").map_or(root.join("target/release"), PathBuf::from);
    let work = root.join("target/demo").join(work_dir);
    let demo = Command::new(bin.join("hausmeister"))
        .arg("demo")
        .args(flags)
        .arg("--boot-files")
        .arg(root.join("target/boot"))
        .arg("--image")
        .arg(root.join("target/demo/debian.img"))
        .arg("--work-dir")
        .arg(&work)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    (demo, work)
}

/// The disks and server data that a demo makes.
fn left_in(work: &Path) -> Vec<String> {
    let names = fs::read_dir(work).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".disk") || name == "data").collect()
}

/// Command lines of the virtual PCs and servers that use the folder.
fn running_in(work: &Path) -> Vec<String> {
    let lines = fs::read_dir("/proc").unwrap().filter_map(|e| fs::read(e.ok()?.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(&*work.to_string_lossy()) && !line.contains(" demo ")).collect()
}

fn links() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir("/sys/class/net")
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
