//! Personalising systems that are folders or file systems in files.

use std::fs;

use super::*;

fn settings() -> Settings {
    Settings {
        hostname: "r204-pc07".into(),
        server: "https://10.77.0.1:8443".into(),
        ca_pem: b"-----BEGIN CERTIFICATE-----\n".to_vec(),
        manifest: "ab".repeat(32),
        binary: b"\x7fELF".to_vec(),
    }
}

/// A Debian system as a folder.
fn system() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, content) in [
        ("etc/os-release", "ID=debian\n"),
        ("etc/hostname", "reference\n"),
        ("etc/hosts", "127.0.0.1\tlocalhost\n127.0.1.1\treference.schule reference\n\n::1 localhost\n"),
        ("etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
        ("etc/ssh/ssh_host_ed25519_key", "secret"),
        ("etc/ssh/ssh_host_ed25519_key.pub", "public"),
        ("etc/ssh/sshd_config", "Port 22"),
        ("etc/systemd/system/keep.me", ""),
        ("usr/bin/ssh-keygen", ""),
        ("var/lib/systemd/random-seed", "seed"),
        ("var/lib/hausmeister-agent/software/step-geany", "{}"),
    ] {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    dir
}

#[test]
fn a_copied_system_gets_its_own_name_and_nothing_of_the_reference_pc() {
    let dir = system();
    // Twice, since a resumed job does it again.
    for _ in 0..2 {
        apply(&Tree::open(dir.path()).unwrap(), &settings()).unwrap();
    }
    let read = |path: &str| fs::read_to_string(dir.path().join(path)).unwrap();
    assert_eq!(read("etc/hostname"), "r204-pc07\n");
    assert_eq!(read("etc/hosts"), "127.0.0.1\tlocalhost\n127.0.1.1\tr204-pc07\n\n::1 localhost\n");
    assert_eq!(read("etc/machine-id"), "");
    assert_eq!(read("etc/ssh/sshd_config"), "Port 22");
    assert!(!dir.path().join("etc/ssh/ssh_host_ed25519_key").exists());
    assert!(!dir.path().join("etc/ssh/ssh_host_ed25519_key.pub").exists());
    assert!(!dir.path().join("var/lib/systemd/random-seed").exists());
    assert!(!dir.path().join("var/lib/hausmeister-agent/software/step-geany").exists());
    assert_eq!(read("etc/hausmeister-agent/server"), "https://10.77.0.1:8443\n");
    assert_eq!(read("etc/hausmeister-agent/manifest"), format!("{}\n", "ab".repeat(32)));
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(dir.path().join("usr/local/sbin/hausmeister-agent")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o7777, 0o755);
    let wants = dir.path().join("etc/systemd/system/multi-user.target.wants");
    for unit in ["hausmeister-agent.service", "hausmeister-software.service", "hausmeister-ssh-keys.service"]
    {
        let target = fs::read_link(wants.join(unit)).unwrap();
        assert!(dir.path().join(target.strip_prefix("/").unwrap()).exists(), "{unit}");
    }
}

#[test]
fn links_in_an_image_lead_nowhere_outside_of_it() {
    let dir = system();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("hostname"), "ours").unwrap();
    fs::remove_file(dir.path().join("etc/hostname")).unwrap();
    let link = |target: &Path, path: &str| std::os::unix::fs::symlink(target, dir.path().join(path)).unwrap();
    link(&outside.path().join("hostname"), "etc/hostname");
    fs::rename(dir.path().join("etc/ssh"), dir.path().join("moved")).unwrap();
    link(Path::new("/moved"), "etc/ssh");
    link(outside.path(), "usr/local");
    let result = apply(&Tree::open(dir.path()).unwrap(), &settings());
    assert_eq!(fs::read_to_string(outside.path().join("hostname")).unwrap(), "ours");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1, "nothing was made outside");
    assert_eq!(fs::read_to_string(dir.path().join("etc/hostname")).unwrap(), "r204-pc07\n");
    assert!(!dir.path().join("moved/ssh_host_ed25519_key").exists(), "a link within the image is followed");
    assert!(result.is_err(), "a folder that is a link into nothing cannot be written to");
}

#[test]
fn the_hosts_file_keeps_everything_else() {
    for (old, new) in [
        ("", "127.0.0.1\tlocalhost\n127.0.1.1\tpc\n"),
        ("127.0.0.1 localhost x\n10.0.0.1 a\n", "127.0.0.1 localhost x\n127.0.1.1\tpc\n10.0.0.1 a\n"),
        ("127.0.1.1 a\n127.0.1.1 b\n127.0.0.1 l", "127.0.0.1 l\n127.0.1.1\tpc\n"),
        ("# c\n", "127.0.0.1\tlocalhost\n127.0.1.1\tpc\n# c\n"),
    ] {
        assert_eq!(hosts(old, "pc"), new);
        assert_eq!(hosts(new, "pc"), new);
    }
}

#[test]
fn only_host_names_become_host_names() {
    for (name, good) in [
        ("pc", true),
        ("r204-pc07", true),
        ("", false),
        ("-a", false),
        ("a-", false),
        ("a.b", false),
        ("a\nb", false),
    ] {
        assert_eq!(is_hostname(name), good, "{name:?}");
    }
    assert!(!is_hostname(&"a".repeat(64)));
}
