//! What is on this PC, as far as rules ask.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::process::Stdio;

use software::package::{DebName, Facts, FileFacts, FileHash, FilePath, Version};
use software::protocol::{FileQuestions, Questions};

use super::process::command;
use super::{Pc, say};

/// Looks. A file that cannot be read is absent, and said.
///
/// # Errors
/// dpkg does not say what is installed. That is not taken for a PC on which nothing is.
pub fn collect(pc: &Pc, questions: &Questions) -> io::Result<Facts> {
    let mut facts = Facts::default();
    if questions.debs {
        facts.debs.extend(debs(&installed(pc)?));
    }
    for (path, asked) in &questions.files {
        if let Some(found) = file(pc, path, *asked) {
            facts.files.insert(path.clone(), found);
        }
    }
    Ok(facts)
}

/// dpkg's own list: state, name, architecture and version of each package.
fn installed(pc: &Pc) -> io::Result<String> {
    // A database in which nothing stands is an error to dpkg-query; where there is none, there is no dpkg.
    if fs::metadata(pc.dpkg.join("status")).map_or(0, |about| about.len()) == 0 {
        return Ok(String::new());
    }
    let mut query = command("dpkg-query")
        .arg(format!("--admindir={}", pc.dpkg.display()))
        .args(["--show", "--showformat=${db:Status-Abbrev}\t${Package}\t${Architecture}\t${Version}\n"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut list = Vec::new();
    if let Some(output) = query.stdout.take() {
        output.take(LIST_BYTES_MAX).read_to_end(&mut list)?;
    }
    match query.wait()? {
        status if status.success() => Ok(String::from_utf8_lossy(&list).into_owned()),
        status => Err(io::Error::other(format!("dpkg-query does not say what is installed: {status}"))),
    }
}

/// The packages that are installed and configured, by name and by name with architecture.
fn debs(list: &str) -> Vec<(DebName, Version)> {
    let mut debs = Vec::new();
    for line in list.lines() {
        let mut fields = line.split('\t');
        let [Some(state), Some(name), Some(architecture), Some(version)] =
            [fields.next(), fields.next(), fields.next(), fields.next()]
        else {
            continue;
        };
        // dpkg-query(1): what is wanted, what is so, and whether it is broken.
        if state.get(1..).map(str::trim_end) != Some("i") {
            continue;
        }
        let Ok(version) = version.parse::<Version>() else { continue };
        for name in [name.to_owned(), format!("{name}:{architecture}")] {
            debs.extend(name.parse().ok().map(|name| (name, version.clone())));
        }
    }
    debs
}

fn file(pc: &Pc, path: &FilePath, asked: FileQuestions) -> Option<FileFacts> {
    let path = pc.root.join(path.as_str().trim_start_matches('/'));
    if !path.is_file() {
        return None;
    }
    let mut found = FileFacts::default();
    if asked.blake3 || asked.sha256 {
        match hashes(&path) {
            Ok(hashes) => found.hashes.extend(hashes),
            Err(error) => say(&format!("{} cannot be read: {error}", path.display())),
        }
    }
    Some(found)
}

/// Both hashes of a file.
pub(super) fn hashes(path: &Path) -> io::Result<[FileHash; 2]> {
    let mut file = File::open(path)?;
    let mut blake3 = blake3::Hasher::new();
    let mut sha256 = ring::digest::Context::new(&ring::digest::SHA256);
    let mut buffer = vec![0; 128 << 10];
    loop {
        let count = file.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        blake3.update(bytes);
        sha256.update(bytes);
    }
    let mut sha = [0; 32];
    sha.copy_from_slice(sha256.finish().as_ref());
    Ok([FileHash::Blake3(blake3.finalize().into()), FileHash::Sha256(sha)])
}

/// All of Debian in one list has less.
const LIST_BYTES_MAX: u64 = 32 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_installed_and_configured_is_there() {
        let list = "ii \tgeany\tamd64\t1.38-1\nrc \tvlc\tamd64\t3.0\nhi \tlibc6\tamd64\t2.36\niU \tnano\tamd64\t7\niiR\tbad\tamd64\t1\nx\n";
        let names: Vec<String> =
            debs(list).iter().map(|(name, version)| format!("{name} {version}")).collect();
        assert_eq!(names, ["geany 1.38-1", "geany:amd64 1.38-1", "libc6 2.36", "libc6:amd64 2.36"]);
    }

    #[test]
    fn a_database_that_cannot_be_read_is_not_taken_for_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let pc = Pc { dpkg: dir.path().into(), ..Pc::this() };
        let questions = Questions { debs: true, ..Questions::default() };
        assert_eq!(collect(&pc, &questions).unwrap(), Facts::default());
        std::fs::create_dir(dir.path().join("updates")).unwrap();
        std::fs::write(dir.path().join("status"), "Version: 1\n\nPackage").unwrap();
        assert!(collect(&pc, &questions).is_err());
    }

    #[test]
    fn files_are_hashed_when_rules_ask() {
        let dir = tempfile::tempdir().unwrap();
        let pc = Pc { root: dir.path().into(), ..Pc::this() };
        std::fs::write(dir.path().join("a"), b"Wort").unwrap();
        let path: FilePath = "/a".parse().unwrap();
        let mut questions = Questions::default();
        questions.files.insert(path.clone(), FileQuestions { blake3: true, ..FileQuestions::default() });
        questions.files.insert("/nichts".parse().unwrap(), FileQuestions::default());
        let facts = collect(&pc, &questions).unwrap();
        assert_eq!(facts.files.len(), 1);
        assert!(facts.files[&path].hashes.contains(&FileHash::Blake3(blake3::hash(b"Wort").into())));
    }
}
