//! What is on this PC, as far as rules ask.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use software::package::{Facts, FileFacts, FileHash, FilePath};
use software::protocol::{FileQuestions, Questions};

use super::{Pc, say};

/// Looks. A file that cannot be read is absent, and said.
///
/// # Errors
/// The system does not say what is installed. That is not taken for a PC on which nothing is.
pub fn collect(pc: &Pc, questions: &Questions) -> io::Result<Facts> {
    let mut facts = pc.installed(questions)?;
    for (path, asked) in &questions.files {
        if let Some(found) = file(pc, path, *asked) {
            facts.files.insert(path.clone(), found);
        }
    }
    Ok(facts)
}

fn file(pc: &Pc, path: &FilePath, asked: FileQuestions) -> Option<FileFacts> {
    let path = pc.place(path)?;
    if !path.is_file() {
        return None;
    }
    let version = asked.version.then(|| pc.file_version(&path)).flatten();
    let mut found = FileFacts { version, ..FileFacts::default() };
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

#[cfg(all(test, unix))]
mod tests {
    use super::*;

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
