//! Writing newc archives, the form of an initramfs (Documentation/driver-api/early-userspace/buffer-format.rst).
//!
//! The bytes depend on the names and contents only: entries are sorted, belong to root, and have neither time nor inode of the
//! machine that packs them.

use std::collections::BTreeMap;

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Folder,
    /// Mode 0644. At most 4 GiB, which whoever reads the content has checked.
    File(Vec<u8>),
    /// Mode 0755.
    Program(Vec<u8>),
    CharacterDevice {
        major: u32,
        minor: u32,
    },
}

/// Paths, without a leading slash, and what stands there.
#[derive(Debug, Default)]
pub(super) struct Archive {
    nodes: BTreeMap<String, Node>,
}

impl Archive {
    /// Puts a node at a path; the folders above come into being. What stood there before is replaced.
    pub(super) fn insert(&mut self, path: &str, node: Node) {
        for (end, _) in path.match_indices('/') {
            if let Some(parent) = path.get(..end) {
                self.nodes.entry(parent.to_owned()).or_insert(Node::Folder);
            }
        }
        self.nodes.insert(path.to_owned(), node);
    }

    /// The archive, its length a multiple of 4. A folder comes before what is in it, because a path sorts before its extensions.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (inode, (path, node)) in (1..).zip(&self.nodes) {
            let (mode, links, content, device) = match node {
                Node::Folder => (0o040_755, 2, [].as_slice(), (0, 0)),
                Node::File(content) => (0o100_644, 1, content.as_slice(), (0, 0)),
                Node::Program(content) => (0o100_755, 1, content.as_slice(), (0, 0)),
                Node::CharacterDevice { major, minor } => (0o020_600, 1, [].as_slice(), (*major, *minor)),
            };
            entry(&mut out, path, [inode, mode, links], content, device);
        }
        entry(&mut out, TRAILER, [0, 0, 1], &[], (0, 0));
        out
    }
}

fn entry(
    out: &mut Vec<u8>,
    path: &str,
    [inode, mode, links]: [u32; 3],
    content: &[u8],
    (major, minor): (u32, u32),
) {
    let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    // inode, mode, uid, gid, links, mtime, size, device of the file system (2), device (2), length of the name with NUL, checksum.
    let fields = [
        inode,
        mode,
        0,
        0,
        links,
        0,
        length(content.len()),
        0,
        0,
        major,
        minor,
        length(path.len()).saturating_add(1),
        0,
    ];
    out.extend_from_slice(MAGIC);
    for field in fields {
        out.extend_from_slice(format!("{field:08X}").as_bytes());
    }
    out.extend_from_slice(path.as_bytes());
    out.push(0);
    pad(out);
    out.extend_from_slice(content);
    pad(out);
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

const MAGIC: &[u8] = b"070701";
const TRAILER: &str = "TRAILER!!!";

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    fn cpio(arguments: &[&str], archive: &[u8], folder: &std::path::Path) -> String {
        let mut child = Command::new("cpio")
            .args(arguments)
            .current_dir(folder)
            .env("TZ", "UTC")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("cpio is installed");
        child.stdin.take().unwrap().write_all(archive).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn sample() -> Archive {
        let mut archive = Archive::default();
        archive.insert("lib-x", Node::Folder);
        archive.insert("lib/modules/6/a.ko", Node::File(b"abcde".to_vec()));
        archive.insert("init", Node::Program(vec![7; 4097]));
        archive.insert("empty", Node::File(Vec::new()));
        archive
    }

    #[test]
    fn the_reference_program_lists_names_kinds_and_owners() {
        let mut archive = sample();
        archive.insert("dev/console", Node::CharacterDevice { major: 5, minor: 1 });
        let listing =
            cpio(&["-tv", "--numeric-uid-gid", "--quiet"], &archive.to_bytes(), std::path::Path::new("/"));
        let words: Vec<String> =
            listing.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            words,
            [
                "drwxr-xr-x 2 0 0 0 Jan 1 1970 dev",
                "crw------- 1 0 0 5, 1 Jan 1 1970 dev/console",
                "-rw-r--r-- 1 0 0 0 Jan 1 1970 empty",
                "-rwxr-xr-x 1 0 0 4097 Jan 1 1970 init",
                "drwxr-xr-x 2 0 0 0 Jan 1 1970 lib",
                "drwxr-xr-x 2 0 0 0 Jan 1 1970 lib-x",
                "drwxr-xr-x 2 0 0 0 Jan 1 1970 lib/modules",
                "drwxr-xr-x 2 0 0 0 Jan 1 1970 lib/modules/6",
                "-rw-r--r-- 1 0 0 5 Jan 1 1970 lib/modules/6/a.ko",
            ]
        );
    }

    #[test]
    fn the_reference_program_unpacks_the_same_contents() {
        let folder = tempfile::tempdir().unwrap();
        cpio(&["-id", "--quiet", "--no-absolute-filenames"], &sample().to_bytes(), folder.path());
        assert_eq!(std::fs::read(folder.path().join("lib/modules/6/a.ko")).unwrap(), b"abcde");
        assert_eq!(std::fs::read(folder.path().join("init")).unwrap(), vec![7; 4097]);
        assert_eq!(std::fs::read(folder.path().join("empty")).unwrap(), b"");
    }

    proptest::proptest! {
        #[test]
        fn the_order_of_insertion_does_not_show(names in proptest::collection::btree_set("[a-z]{1,3}(/[a-z-]{1,3}){0,3}", 1..12), seed: u64) {
            let file = |name: &String| Node::File(name.clone().into_bytes());
            let (mut forwards, mut mixed) = (Archive::default(), Archive::default());
            let mut order: Vec<&String> = names.iter().collect();
            order.iter().for_each(|name| forwards.insert(name, file(name)));
            order.sort_by_key(|name| blake3::hash(&[&seed.to_le_bytes(), name.as_bytes()].concat()).to_hex());
            // A name that is a folder and a file at once exists in no file system.
            let clash = names.iter().any(|a| names.iter().any(|b| b.starts_with(&format!("{a}/"))));
            proptest::prop_assume!(!clash);
            order.iter().for_each(|name| mixed.insert(name, file(name)));
            proptest::prop_assert_eq!(forwards.to_bytes(), mixed.to_bytes());
            proptest::prop_assert_eq!(mixed.to_bytes().len() % 4, 0);
        }
    }
}
