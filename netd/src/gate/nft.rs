//! The kernel's firewall, through Debian's `nft`: one process for each transaction, text in, JSON out.
//!
//! Text goes in because a script is one transaction, is what the manual describes, and an admin can read it; everything in it was
//! made from parsed values. JSON comes out because it is meant to be read by programs.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Seek as _, Write as _};

use nix::sys::memfd::{MFdFlags, memfd_create};
use serde_json::Value;
use tokio::process::Command;

use super::script::TABLE;
use super::state::Number;

/// Why the kernel does not hold what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The program is missing or cannot be started.
    #[error("cannot run nft")]
    Start(#[source] io::Error),
    /// The kernel or nft refused; nothing was changed.
    #[error("nft refused: {0}")]
    Refused(String),
    /// Its answer is not JSON.
    #[error("nft answered something that cannot be read")]
    Answer(#[source] serde_json::Error),
}

/// What each device's number leads to, in the four maps, as the kernel reports it.
pub(crate) type Verdicts = HashMap<(String, Number), String>;

/// Carries out a script as one transaction and returns the verdicts that the kernel reports to have taken.
pub(crate) async fn apply(script: &str) -> Result<Verdicts, Error> {
    let answer = nft(&["-j", "-e", "-f", "-"], script).await?;
    Ok(verdicts(&answer))
}

/// Carries out a script as one transaction.
pub(crate) async fn run(script: &str) -> Result<(), Error> {
    nft_text(&["-f", "-"], script).await.map(drop)
}

/// Reads the verdicts in the table.
pub(crate) async fn read() -> Result<Verdicts, Error> {
    let mut arguments = vec!["-j", "list", "table"];
    arguments.extend(TABLE.split(' '));
    Ok(verdicts(&nft(&arguments, "").await?))
}

/// The table's chains and rules, without what is in its sets: differs when somebody meddled with them.
pub(crate) async fn skeleton() -> Result<String, Error> {
    let mut arguments = vec!["-t", "list", "table"];
    arguments.extend(TABLE.split(' '));
    nft_text(&arguments, "").await
}

/// Whether our table is there.
pub(crate) async fn present() -> Result<bool, Error> {
    Ok(nft_text(&["list", "tables"], "").await?.lines().any(|line| line.trim() == format!("table {TABLE}")))
}

async fn nft(arguments: &[&str], input: &str) -> Result<Value, Error> {
    let text = nft_text(arguments, input).await?;
    // A script without changes is answered with nothing at all.
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&text).map_err(Error::Answer)
}

async fn nft_text(arguments: &[&str], input: &str) -> Result<String, Error> {
    let done = Command::new("nft")
        .args(arguments)
        .stdin(file_of(input).map_err(Error::Start)?)
        .kill_on_drop(true)
        .output()
        .await
        .map_err(Error::Start)?;
    if !done.status.success() {
        let text = String::from_utf8_lossy(&done.stderr);
        return Err(Error::Refused(text.lines().take(ERROR_LINES).collect::<Vec<_>>().join(" ")));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// A text as a file in memory. Asked for JSON, nft tries to read its input as JSON first and then once more as text, so a pipe would be
/// empty the second time.
fn file_of(text: &str) -> io::Result<File> {
    let mut file = File::from(memfd_create("nft", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

/// The elements of verdict maps in an answer: a listing's `map`, or an echo's `add`.
fn verdicts(answer: &Value) -> Verdicts {
    let objects = answer.get("nftables").and_then(Value::as_array).into_iter().flatten();
    let mut found = Verdicts::new();
    for object in objects {
        let listed = object.get("map").map(|map| (map, map.get("elem")));
        let added = || {
            let element = object.get("add")?.get("element")?;
            Some((element, element.get("elem").map(|elem| elem.get("set").unwrap_or(elem))))
        };
        let Some((map, Some(elements))) = listed.or_else(added) else { continue };
        let Some(name) = map.get("name").and_then(Value::as_str) else { continue };
        for element in elements.as_array().into_iter().flatten() {
            if let Some((number, chain)) = verdict(element) {
                found.insert((name.to_owned(), number), chain.to_owned());
            }
        }
    }
    found
}

/// `[5, {"goto": {"target": "off"}}]`, or with `{"elem": {"val": 5, …}}` in the place of the number.
fn verdict(element: &Value) -> Option<(Number, &str)> {
    let [key, value] = element.as_array()?.as_slice() else { return None };
    let key = key.get("elem").and_then(|elem| elem.get("val")).unwrap_or(key);
    let chain = value.get("goto")?.get("target")?.as_str()?;
    Some((Number::try_from(key.as_u64()?).ok()?, chain))
}

const ERROR_LINES: usize = 3;
