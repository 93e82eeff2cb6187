//! The boot environment from made-up Debian packages.

use std::io::Read as _;
use std::os::unix::fs::symlink;

use super::*;

/// A program that needs nothing: an ELF header without segments.
fn program() -> Vec<u8> {
    let mut file = vec![0; 64];
    file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    file
}

/// Packages with a kernel of two modules, as `fetch-boot-packages.sh` leaves them, and the tools of this machine.
fn sources(folder: &Path) -> Sources {
    let put = |path: &str, content: &[u8]| {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    put("kernel/usr/lib/modules/6.9-test/kernel/net/virtio_net.ko", b"net");
    put("kernel/usr/lib/modules/6.9-test/kernel/net/failover.ko", b"failover");
    put("kernel/usr/lib/modules/6.9-test/kernel/sound/snd.ko", b"sound");
    put(
        "kernel/usr/lib/modules/6.9-test/modules.dep",
        b"kernel/sound/snd.ko:\nkernel/net/virtio_net.ko: kernel/net/failover.ko\nkernel/net/failover.ko:\n",
    );
    put("kernel/usr/lib/modules/6.9-test/modules.alias", b"alias virtio:d1v* virtio_net\nalias snd snd\n");
    put("kernel/boot/vmlinuz-6.9-test", b"kernel");
    symlink("usr/lib", folder.join("kernel/lib")).unwrap();
    for (_, path) in LOADERS {
        put(&format!("loader/usr/lib/{path}"), path.as_bytes());
    }
    for tool in TOOLS {
        put(&format!("tools/usr/sbin/{tool}"), &program());
    }
    put("agent", &program());
    Sources::new(folder, &folder.join("agent"))
}

/// The archive inside an `initrd.img`, which ends in padding.
fn unpack(path: &Path) -> Vec<u8> {
    let mut archive = Vec::new();
    let mut decoder = zstd::Decoder::new(fs::File::open(path).unwrap()).unwrap().single_frame();
    decoder.read_to_end(&mut archive).unwrap();
    archive
}

fn names(archive: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut at = 0;
    loop {
        let field = |n: usize| {
            let digits = std::str::from_utf8(&archive[at + 6 + 8 * n..at + 14 + 8 * n]).unwrap();
            usize::from_str_radix(digits, 16).unwrap()
        };
        let (size, name_len) = (field(6), field(11));
        let name = std::str::from_utf8(&archive[at + 110..at + 109 + name_len]).unwrap();
        if name == "TRAILER!!!" {
            return names;
        }
        names.push(name.to_owned());
        at = ((at + 110 + name_len).next_multiple_of(4) + size).next_multiple_of(4);
    }
}

#[test]
fn the_boot_environment_holds_the_agent_and_the_modules_it_may_need() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("boot");
    let report = build(&sources(folder.path()), &out).unwrap();
    assert_eq!((report.kernel.as_str(), report.modules), ("6.9-test", 2));
    let archive = unpack(&out.join("initrd.img"));
    assert_eq!(archive.len() as u64, report.unpacked_bytes);
    let expected = [
        "dev",
        "dev/console",
        "init",
        "lib",
        "lib/modules",
        "lib/modules/6.9-test",
        "lib/modules/6.9-test/kernel",
        "lib/modules/6.9-test/kernel/net",
        "lib/modules/6.9-test/kernel/net/failover.ko",
        "lib/modules/6.9-test/kernel/net/virtio_net.ko",
        "lib/modules/6.9-test/modules.alias",
        "lib/modules/6.9-test/modules.dep",
        "lib/modules/6.9-test/modules.softdep",
        "newroot",
        "proc",
        "run",
        "sbin",
        "sbin/e2fsck",
        "sbin/ntfsresize",
        "sbin/resize2fs",
        "sys",
        "tmp",
    ];
    assert_eq!(names(&archive), expected);
    assert_eq!(fs::read(out.join("vmlinuz")).unwrap(), b"kernel");
    assert!(fs::read(out.join("grubx64.efi")).unwrap().starts_with(b"grub/x86_64-efi-signed/grubnet"));
}

#[test]
fn the_same_sources_give_the_same_bytes_wherever_and_whenever() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for folder in [&one, &two] {
        build(&sources(folder.path()), &folder.path().join("boot")).unwrap();
    }
    let again =
        build(&Sources::new(two.path(), &two.path().join("agent")), &two.path().join("boot")).unwrap();
    for (name, _) in &again.files {
        let read = |folder: &Path| fs::read(folder.join("boot").join(name)).unwrap();
        assert_eq!(read(one.path()), read(two.path()), "{name}");
    }
    assert_eq!(fs::read_dir(two.path().join("boot")).unwrap().count(), again.files.len());
}

#[test]
fn an_agent_with_libraries_and_packages_with_holes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let sources = sources(folder.path());
    let out = folder.path().join("boot");
    let this = std::env::current_exe().unwrap();
    let refused = build(&Sources::new(folder.path(), &this), &out).unwrap_err();
    assert!(matches!(refused, Error::NotStatic { .. }), "{refused}");
    fs::write(folder.path().join("tools/usr/sbin/e2fsck"), "#!/bin/sh\n").unwrap();
    assert!(matches!(build(&sources, &out).unwrap_err(), Error::NoProgram { .. }));
    fs::remove_file(folder.path().join("tools/usr/sbin/e2fsck")).unwrap();
    let refused = build(&sources, &out).unwrap_err();
    assert!(refused.to_string().contains("e2fsck is not in"), "{refused}");
    assert!(!out.exists(), "nothing is written before everything is there");
}

#[test]
fn the_schools_certificate_is_an_archive_of_its_own() {
    let archive = site_cpio("-----BEGIN CERTIFICATE-----\n");
    assert_eq!(names(&archive), ["hausmeister", "hausmeister/ca.pem"]);
    assert_eq!(archive.len() % ARCHIVE_ALIGNMENT, 0);
}

/// Runs where the packages have been fetched, as `make boot` does.
#[test]
fn debians_packages_give_a_small_boot_environment_twice_the_same() {
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/boot-packages");
    if !packages.join("VERSIONS").exists() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("agent"), program()).unwrap();
    let sources = Sources::new(&packages, &folder.path().join("agent"));
    let [one, two] = ["one", "two"].map(|name| build(&sources, &folder.path().join(name)).unwrap());
    assert_eq!(one, two);
    println!("{one}");
    assert!(one.initramfs_bytes < 25 << 20, "{one}");
    let archive = unpack(&folder.path().join("one/initrd.img"));
    let names = names(&archive);
    for module in [
        "virtio_net",
        "e1000e",
        "igb",
        "igc",
        "r8169",
        "nvme",
        "ahci",
        "xhci-hcd",
        "usb-storage",
        "ext4",
        "ntfs3",
        "vfat",
    ] {
        let file = format!("/{module}.ko");
        let builtin = packages.join("kernel/lib/modules").join(&one.kernel).join("modules.builtin");
        let builtin = fs::read_to_string(builtin).unwrap();
        assert!(names.iter().any(|name| name.ends_with(&file)) || builtin.contains(&file), "{module}");
    }
    for tool in [
        "sbin/e2fsck",
        "sbin/resize2fs",
        "sbin/ntfsresize",
        "lib64/ld-linux-x86-64.so.2",
        "lib/x86_64-linux-gnu/libc.so.6",
    ] {
        assert!(names.iter().any(|name| name == tool), "{tool}");
    }
}
