//! Running the tools of the file systems.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Runs a tool and returns its output, whatever its exit code.
#[track_caller]
pub(crate) fn output(program: &str, arguments: &[&str]) -> Output {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    Command::new(program)
        .args(arguments)
        .env("PATH", path)
        .env("MTOOLS_SKIP_CHECK", "1")
        .env("LC_ALL", "C")
        .output()
        .unwrap_or_else(|e| panic!("{program} cannot be started ({e}); `make deps` installs it"))
}

/// Runs a tool that must succeed and returns what it printed.
#[track_caller]
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let out = output(program, arguments);
    let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{program} {arguments:?}: {}\n{text}", out.status);
    text
}

/// Bytes that do not compress, different for every seed.
pub(crate) fn noise(seed: &str, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(seed.as_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Writes a small tree: noise, text, holes, empty files, folders; and files named `gone-*` that a test deletes later.
pub(crate) fn tree(dir: &Path) {
    fs::create_dir_all(dir.join("unter/ordner")).unwrap();
    for n in 0..40 {
        let body = noise(&format!("file {n}"), 3000 + n * 1777);
        fs::write(dir.join(format!("datei-{n:02}.bin")), body).unwrap();
        fs::write(dir.join(format!("gone-{n:02}.bin")), noise(&format!("gone {n}"), 20_000)).unwrap();
    }
    fs::write(dir.join("unter/text.txt"), "Hausmeister\n".repeat(9000)).unwrap();
    fs::write(dir.join("unter/ordner/leer"), b"").unwrap();
    let sparse = fs::File::create(dir.join("unter/ordner/sparse")).unwrap();
    sparse.set_len(2 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"island", 1 << 20).unwrap();
}

/// Removes what [`tree`] wrote to be removed.
pub(crate) fn forget_gone(dir: &Path) {
    for n in 0..40 {
        fs::remove_file(dir.join(format!("gone-{n:02}.bin"))).unwrap();
    }
}

/// Copies everything in a folder into a FAT.
pub(crate) fn fill_fat(image: &Path, from: &Path) {
    let mut arguments =
        vec!["-s".to_owned(), "-Q".to_owned(), "-i".to_owned(), image.to_str().unwrap().to_owned()];
    arguments.extend(fs::read_dir(from).unwrap().map(|e| e.unwrap().path().to_str().unwrap().to_owned()));
    arguments.push("::".to_owned());
    run("mcopy", &arguments.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Compares two folders with all their files.
#[track_caller]
pub(crate) fn assert_same_tree(left: &Path, right: &Path) {
    let out = output("diff", &["-r", "-x", "lost+found", left.to_str().unwrap(), right.to_str().unwrap()]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
}
