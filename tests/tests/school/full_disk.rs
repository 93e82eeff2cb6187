//! A server whose data lie on a small ext4 that fills up: what cannot be done is refused, nothing is half there, and everything goes
//! on when there is space again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sched::{CloneFlags, unshare};
use serde_json::json;

use super::support::lan::Lan;
use super::support::school::{School, make_disk};
use super::support::{eventually, output, succeed};

#[test]
fn an_import_leaves_the_reserve_free_and_the_school_goes_on() {
    let school = School::set_up(Lan::new(0));
    school.configure("[deployd]\n", "[deployd]\nreserve_mib = 64\n");
    let small = SmallDisk::below(&school, 256);
    small.leave_free(100);
    let _up = school.up();
    let admin = school.admin();
    let before = school.list_images();
    let disk = school.dir.path().join("large.img");
    make_disk(&disk, 100);
    let import = || output(school.hausmeister().args(["image", "import", "--name", "Debian"]).arg(&disk));
    for _ in 0..2 {
        let (code, said) = import();
        let store = school.data().join("store").display().to_string();
        assert!(code == 1 && said.contains(&format!("{store} may fill up no further: 64 MiB")), "{said}");
        assert!(said.contains("free some space"), "{said}");
        // The chunks that were on their way, at most 48 MiB, were stored still.
        assert!(small.free_mib() >= 16, "{} MiB are left", small.free_mib());
        assert_eq!(school.list_images(), before, "a half image");
        assert!(admin.list("/images").is_empty());
    }
    assert!(school.lan.computer("52:54:00:50:00:01").ask_for_an_address().is_some());
    admin.post("/rooms", &json!({ "name": "Raum 204" })).unwrap();

    small.free();
    let (code, said) = import();
    assert!(code == 0 && said.contains("Debian: version 1"), "{said}");
    eventually("the page lists the image", || admin.find("/images", "name", "Debian"));
}

#[test]
fn a_full_disk_costs_answers_but_no_promises() {
    let school = School::set_up(Lan::new(0));
    school.configure("[deployd]\n", "[deployd]\nreserve_mib = 0\n");
    let small = SmallDisk::below(&school, 64);
    let mut up = school.up();
    let admin = school.admin();
    small.leave_free(0);

    let (code, said) =
        output(school.hausmeister().args(["image", "import", "--name", "Debian"]).arg(disk(&school)));
    assert!(code == 1 && said.contains("no space left for the image store"), "{said}");
    // What the import gave back when it failed would do for some leases.
    small.leave_free(0);
    let mut clients = (1..60).map(|n| school.lan.computer(&format!("52:54:00:50:01:{n:02x}")));
    let mut given = Vec::new();
    let refused = loop {
        let client = clients.next().expect("the disk is not full");
        match client.ask_for_an_address() {
            Some(address) => given.push((client, address)),
            None => break client,
        }
    };
    let mut added = Vec::new();
    let problem = (0..1000).find_map(|n| {
        let name = format!("Raum {n}");
        let answer = admin.post("/rooms", &json!({ "name": name }));
        answer.map(|_| added.push(name)).err()
    });
    let problem = problem.expect("a room needs no space");
    assert!(problem.starts_with("507") && problem.contains("disk is full"), "{problem}");

    // A power cut meanwhile makes no difference.
    up.kill();
    small.free();
    let _up = school.up();
    let admin = school.admin();
    for (client, address) in &given {
        assert_eq!(client.ask_for_an_address(), Some(*address), "it was acknowledged");
    }
    assert!(refused.ask_for_an_address().is_some());
    let rooms: Vec<String> =
        admin.list("/rooms").iter().map(|room| room["name"].as_str().unwrap().to_owned()).collect();
    assert!(added.iter().all(|name| rooms.contains(name)), "{added:?} but {rooms:?}");
    school.import("Debian");
    admin.find("/images", "name", "Debian").unwrap();
}

/// A small file system that a school's data lie on. It is seen by this test and what it starts, and ends with them.
struct SmallDisk {
    mounted: PathBuf,
}

impl SmallDisk {
    /// Moves the data of a school that does not run.
    fn below(school: &School, mib: u64) -> Self {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        succeed(Command::new("mount").args(["--make-rprivate", "/"]));
        let (file, data) = (school.dir.path().join("small.ext4"), school.data());
        fs::File::create(&file).unwrap().set_len(mib << 20).unwrap();
        succeed(Command::new("mkfs.ext4").args(["-q", "-m", "0", "-d"]).args([&data, &file]));
        succeed(Command::new("mount").args(["-o", "loop"]).args([&file, &data]));
        Self { mounted: data }
    }

    /// Fills it until that much is free, and without a rest for 0.
    fn leave_free(&self, mib: u64) {
        let fill = match mib {
            0 => u64::MAX,
            _ => self.free_mib() - mib,
        };
        let mut dd = Command::new("dd");
        dd.args([
            "if=/dev/zero",
            "bs=1M",
            "status=none",
            "conv=fsync",
            &format!("of={}", self.filler().display()),
        ]);
        if fill < u64::MAX {
            dd.arg(format!("count={fill}"));
        }
        let (code, said) = output(&mut dd);
        assert_eq!(code == 0, mib > 0, "{said}");
    }

    fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.mounted.join("filler")
    }

    fn free_mib(&self) -> u64 {
        let stat = nix::sys::statvfs::statvfs(&self.mounted).unwrap();
        (stat.blocks_available() * stat.fragment_size()) >> 20
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Else the folder could not be removed.
        let _ = Command::new("umount").arg("--lazy").arg(&self.mounted).status();
    }
}

fn disk(school: &School) -> PathBuf {
    let path: &Path = &school.dir.path().join("small.img");
    make_disk(path, 4);
    path.to_owned()
}
