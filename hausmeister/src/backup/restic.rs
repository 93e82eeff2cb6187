//! The program `restic` (<https://restic.readthedocs.io/en/v0.14.0/>): encrypted repositories in which each piece of data is kept once.
//! We start it and read what it says; nothing of its format is known here.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use inventory::UnixMillis;
use inventory::backup::{BackupSnapshot, Facts};
use nix::fcntl::Flock;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::phrase::Phrase;
use crate::up::redacted;

/// Why something did not work, with the way out.
#[derive(Debug, thiserror::Error)]
pub enum ResticError {
    /// The program is not there.
    #[error("restic cannot be started ({0}): install the Debian package restic")]
    Absent(std::io::Error),
    /// The phrase is that of another repository.
    #[error("the recovery phrase does not open {0}: it belongs to other backups")]
    WrongPhrase(String),
    /// Nothing is there, or the place does not answer.
    #[error(
        "there are no backups at {0}: is the disk connected, is the server reachable? A new place is set up with `hausmeister backup setup`"
    )]
    NoRepository(String),
    /// Something lies there already.
    #[error(
        "{0} holds backups already: open them with their recovery phrase (`--phrase-file`), or choose another place"
    )]
    Exists(String),
    /// The place has no room left.
    #[error("{0} has no room left: make some, or choose a larger disk")]
    Full(String),
    /// Another program works there.
    #[error("another program is at work in {0}; it is tried again later")]
    Locked(String),
    /// Some files could not be read; the others are in the backup.
    #[error("not everything could be read: {0}")]
    Partly(String),
    /// It said something else.
    #[error("restic: {0}")]
    Failed(String),
}

/// A repository and what opens it.
#[derive(Clone)]
pub struct Restic {
    /// As restic names places: a folder, `sftp:…`, `rest:https://…`, `s3:https://…`.
    pub repository: String,
    /// What opens it.
    pub phrase: Phrase,
    /// What the place wants besides, for example `AWS_ACCESS_KEY_ID`.
    pub environment: Vec<(String, String)>,
    /// Where it may keep copies of indices.
    pub cache: PathBuf,
    /// Held by each restic that is started, also when whoever started it is killed.
    pub lock: Option<Arc<Flock<File>>>,
}

/// A backup in the repository.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// What the page shows.
    pub shown: BackupSnapshot,
    /// The folder that was backed up.
    pub root: PathBuf,
}

/// What making a backup came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// The new backup.
    pub snapshot_id: String,
    /// Bytes that were looked at.
    pub total_bytes_processed: u64,
    /// Bytes that were new.
    pub data_added: u64,
}

/// A file in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Node {
    /// Where it was.
    pub path: PathBuf,
    /// `file`, `dir`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Bytes.
    #[serde(default)]
    pub size: u64,
}

/// Told how much is done, in percent.
pub type Progress<'a> = &'a (dyn Fn(u8) + Send + Sync);

impl Restic {
    /// Makes the repository.
    pub async fn create(&self) -> Result<(), ResticError> {
        self.say(&["init"]).await.map(drop)
    }

    /// All backups of ours, the newest first.
    pub async fn snapshots(&self) -> Result<Vec<Snapshot>, ResticError> {
        let said = self.say(&["snapshots", "--json", "--no-lock", "--host", HOST]).await?;
        let listed: Vec<Listed> = read(&said)?;
        let mut snapshots: Vec<Snapshot> = listed.into_iter().filter_map(Listed::snapshot).collect();
        snapshots.sort_by(|a, b| (b.shown.at, &b.shown.id).cmp(&(a.shown.at, &a.shown.id)));
        Ok(snapshots)
    }

    /// Backs up a folder.
    pub async fn back_up(
        &self,
        root: &Path,
        excluded: &[PathBuf],
        facts: &Facts,
        progress: Progress<'_>,
    ) -> Result<Summary, ResticError> {
        let mut command = self.command(&["backup", "--json", "--host", HOST, "--exclude-caches"]);
        for path in excluded {
            command.arg("--exclude").arg(pattern(path));
        }
        for tag in tags(facts) {
            command.arg("--tag").arg(tag);
        }
        command.arg(root);
        let mut summary = Summary::default();
        self.watch(command, |line| match serde_json::from_str(line) {
            Ok(Line::Status { percent_done }) => progress(percent(percent_done)),
            Ok(Line::Summary(read)) => summary = read,
            Ok(Line::Other) | Err(_) => {}
        })
        .await?;
        Ok(summary)
    }

    /// Forgets backups that are older than `days`, but never the newest ones; frees what none of the others needs if `prune`.
    pub async fn forget(&self, days: u16, prune: bool) -> Result<(), ResticError> {
        let within = format!("{days}d");
        let last = KEPT_ALWAYS.to_string();
        let mut words = vec![
            "forget",
            "--host",
            HOST,
            "--group-by",
            "host",
            "--keep-within",
            &within,
            "--keep-last",
            &last,
        ];
        if prune {
            words.push("--prune");
        }
        self.say(&words).await.map(drop)
    }

    /// Looks whether the repository is whole, reading back a share of its data.
    pub async fn check(&self, percent: u8) -> Result<(), ResticError> {
        self.say(&["check", &format!("--read-data-subset={percent}%")]).await.map(drop)
    }

    /// What a backup holds.
    pub async fn list(&self, id: &str) -> Result<Vec<Node>, ResticError> {
        let said = self.say(&["ls", "--json", "--no-lock", id]).await?;
        // The first line tells of the backup itself.
        Ok(said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// Brings files and folders of a backup back into a folder, under the paths they had.
    pub async fn restore(&self, id: &str, into: &Path, included: &[PathBuf]) -> Result<(), ResticError> {
        let mut command = self.command(&["restore", "--no-lock", id, "--target"]);
        command.arg(into);
        for path in included {
            command.arg("--include").arg(pattern(path));
        }
        self.watch(command, |_| {}).await
    }

    /// One file of a backup.
    pub async fn file(&self, id: &str, path: &Path) -> Result<String, ResticError> {
        self.say(&["dump", "--no-lock", id, &path.display().to_string()]).await
    }

    /// Forgets locks of processes that died.
    pub async fn unlock(&self) -> Result<(), ResticError> {
        self.say(&["unlock"]).await.map(drop)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("restic");
        command
            .args(words)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("RESTIC_REPOSITORY", &self.repository)
            .env("RESTIC_PASSWORD", self.phrase.password())
            .env("RESTIC_CACHE_DIR", &self.cache)
            .env("RESTIC_PROGRESS_FPS", "0.5")
            .stdin(self.held())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// The lock as its standard input, which it never reads: a lock lives as long as anybody has its file open (flock(2)).
    fn held(&self) -> Stdio {
        let file = self.lock.as_ref().and_then(|lock| lock.try_clone().ok());
        file.map_or_else(Stdio::null, Stdio::from)
    }

    /// Runs it and returns what it wrote.
    async fn say(&self, words: &[&str]) -> Result<String, ResticError> {
        let output = self.command(words).output().await.map_err(ResticError::Absent)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(self.failed(output.status.code(), &String::from_utf8_lossy(&output.stderr)))
    }

    /// Runs it and hands over each line as it is written.
    async fn watch(&self, mut command: Command, mut line: impl FnMut(&str)) -> Result<(), ResticError> {
        let mut child = command.spawn().map_err(ResticError::Absent)?;
        let (out, mut err) = pipes(&mut child)?;
        let complaints = tokio::spawn(async move {
            let mut text = String::new();
            // What it complains about is not longer than this; the rest is read and dropped.
            let _ = (&mut err).take(COMPLAINTS_MAX).read_to_string(&mut text).await;
            let _ = tokio::io::copy(&mut err, &mut tokio::io::sink()).await;
            text
        });
        let mut lines = BufReader::new(out).lines();
        while let Ok(Some(read)) = lines.next_line().await {
            line(&read);
        }
        let status = child.wait().await.map_err(|error| ResticError::Failed(error.to_string()))?;
        let complaints = complaints.await.unwrap_or_default();
        if status.success() { Ok(()) } else { Err(self.failed(status.code(), &complaints)) }
    }

    /// What its words mean. Exit code 3 of `backup`: some files could not be read.
    fn failed(&self, code: Option<i32>, said: &str) -> ResticError {
        let place = redacted(&self.repository);
        let has = |text: &str| said.contains(text);
        if has("wrong password or no key found") {
            ResticError::WrongPhrase(place)
        } else if has("config file already exists")
            || has("repository master key and config already initialized")
        {
            ResticError::Exists(place)
        } else if has("unable to open config file") || has("Is there a repository at") {
            ResticError::NoRepository(place)
        } else if has("no space left on device") || has("disk quota exceeded") {
            ResticError::Full(place)
        } else if has("repository is already locked") || has("unable to create lock") {
            ResticError::Locked(place)
        } else {
            let first =
                said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("failed without a word");
            let text = readable(first).replace(&self.repository, &place);
            if code == Some(3) { ResticError::Partly(text) } else { ResticError::Failed(text) }
        }
    }
}

fn pipes(
    child: &mut Child,
) -> Result<(tokio::process::ChildStdout, tokio::process::ChildStderr), ResticError> {
    let pipes = child.stdout.take().zip(child.stderr.take());
    pipes.ok_or_else(|| ResticError::Failed("its output cannot be read".into()))
}

fn read<T: DeserializeOwned>(said: &str) -> Result<T, ResticError> {
    serde_json::from_str(said)
        .map_err(|error| ResticError::Failed(format!("it said what we do not understand: {error}")))
}

/// Its messages may be JSON, with the text in `error.message`, and name the file in `item`.
fn readable(line: &str) -> String {
    let Ok(json) = serde_json::from_str::<serde_json::Value>(line) else { return line.to_owned() };
    let text = |pointer: &str| json.pointer(pointer).and_then(serde_json::Value::as_str);
    match (text("/item"), text("/error/message").or_else(|| text("/error/Err"))) {
        (Some(item), Some(message)) => format!("{item}: {message}"),
        (Some(only), None) | (None, Some(only)) => only.to_owned(),
        (None, None) => line.to_owned(),
    }
}

/// A path as a pattern that means this path only (Go's `filepath.Match`).
fn pattern(path: &Path) -> String {
    let mut pattern = String::new();
    for sign in path.display().to_string().chars() {
        if matches!(sign, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(sign);
    }
    pattern
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0 to 100")]
fn percent(share: f64) -> u8 {
    (share * 100.0).clamp(0.0, 100.0) as u8
}

/// What a backup holds, as words that the repository keeps beside it.
fn tags(facts: &Facts) -> [String; 7] {
    [
        format!("version={}", facts.version),
        format!("migration={}", facts.migration),
        format!("seq={}", facts.seq),
        format!("devices={}", facts.devices),
        format!("rooms={}", facts.rooms),
        format!("people={}", facts.people),
        format!("images={}", facts.images),
    ]
}

fn facts(tags: &[String]) -> Option<Facts> {
    let find = |name: &str| tags.iter().find_map(|tag| tag.strip_prefix(name)?.strip_prefix('='));
    let number = |name: &str| find(name)?.parse::<u64>().ok();
    Some(Facts {
        version: find("version")?.to_owned(),
        migration: find("migration")?.parse().ok()?,
        seq: find("seq")?.parse().ok()?,
        devices: number("devices")?,
        rooms: number("rooms")?,
        people: number("people")?,
        images: number("images")?,
    })
}

#[derive(Deserialize)]
struct Listed {
    time: jiff::Timestamp,
    paths: Vec<PathBuf>,
    #[serde(default)]
    tags: Vec<String>,
    short_id: String,
}

impl Listed {
    /// `None` if somebody else put it there.
    fn snapshot(self) -> Option<Snapshot> {
        let facts = facts(&self.tags)?;
        let root = self.paths.into_iter().next()?;
        let at = UnixMillis(self.time.as_millisecond());
        Some(Snapshot { shown: BackupSnapshot { id: self.short_id, at, facts }, root })
    }
}

#[derive(Deserialize)]
#[serde(tag = "message_type", rename_all = "snake_case")]
enum Line {
    Status {
        #[serde(default)]
        percent_done: f64,
    },
    Summary(Summary),
    #[serde(other)]
    Other,
}

/// Every server's backups are found under this name, also after its host name changed.
const HOST: &str = "hausmeister";
/// Also if a clock that ran ahead makes all of them look old.
const KEPT_ALWAYS: u8 = 30;
const COMPLAINTS_MAX: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_survive_as_tags() {
        let known = Facts {
            version: "0.1.0".into(),
            migration: 19,
            seq: 812,
            devices: 30,
            rooms: 4,
            people: 900,
            images: 2,
        };
        assert_eq!(facts(&tags(&known)), Some(known.clone()));
        assert_eq!(facts(&["version=1".into()]), None, "somebody else's");
    }

    #[test]
    fn its_words_become_what_a_person_can_do() {
        let restic = Restic {
            repository: "rest:https://u:geheim@host/x".into(),
            phrase: Phrase::random(),
            environment: Vec::new(),
            cache: "/tmp".into(),
            lock: None,
        };
        let failed = |code, said: &str| restic.failed(Some(code), said).to_string();
        assert!(failed(1, "Fatal: wrong password or no key found").contains("belongs to other backups"));
        assert!(failed(1, "Fatal: unable to open config file: stat").contains("is the disk connected"));
        assert!(failed(1, "write x: no space left on device").contains("no room"));
        let partly = r#"{"message_type":"error","error":{"message":"permission denied"},"during":"archival","item":"/a/b"}"#;
        assert_eq!(failed(3, partly), "not everything could be read: /a/b: permission denied");
        let other = failed(1, "\nFatal: cannot reach rest:https://u:geheim@host/x");
        assert!(other.contains("cannot reach") && !other.contains("geheim"), "{other}");
    }

    #[test]
    fn a_path_is_a_pattern_of_itself() {
        assert_eq!(pattern(Path::new("/a/b[1]*")), r"/a/b\[1\]\*");
    }
}
