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
use super::state::{Number, Opened, Pair};

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

/// What each device's number leads to, by map, as the kernel reports it.
pub(crate) type Verdicts = HashMap<(String, Number), String>;

/// Carries out a script as one transaction. Nothing is asked back in the same call: with tens of thousands of elements nft would read them
/// all before it does anything, half a second in which a lock does not hold.
pub(crate) async fn run(script: &str) -> Result<(), Error> {
    nft(&["-f", "-"], script).await.map(drop)
}

/// Reads the verdicts in these maps.
pub(crate) async fn read(maps: &[&str]) -> Result<Verdicts, Error> {
    let mut found = Verdicts::new();
    for map in maps {
        let mut arguments = vec!["-j", "list", "map"];
        arguments.extend(TABLE.split(' ').chain([*map]));
        let answer = nft(&arguments, "").await?;
        found.extend(verdicts(&serde_json::from_str(&answer).map_err(Error::Answer)?));
    }
    Ok(found)
}

/// Which pairs the kernel found that nothing explains.
pub(crate) async fn strays() -> Result<Vec<Pair>, Error> {
    let listing = list_set("strays").await?;
    Ok(elements(&listing).filter_map(pair).collect())
}

/// The addresses in a set of those that DNS gave devices, each with the seconds that it is still there.
pub(crate) async fn opened(set: &str) -> Result<Vec<(Opened, u64)>, Error> {
    let listing = list_set(set).await?;
    Ok(elements(&listing).filter_map(opening).collect())
}

async fn list_set(set: &str) -> Result<Value, Error> {
    let mut arguments = vec!["-j", "list", "set"];
    arguments.extend(TABLE.split(' ').chain([set]));
    serde_json::from_str(&nft(&arguments, "").await?).map_err(Error::Answer)
}

/// Our table's chains and rules, without what is in its sets: differs when somebody meddled with them. Empty when there is no table.
pub(crate) async fn skeleton() -> Result<String, Error> {
    // Listing everything without elements is fast; listing one table is not.
    let answer = nft(&["-j", "-t", "list", "ruleset"], "").await?;
    let answer: Value = serde_json::from_str(&answer).map_err(Error::Answer)?;
    let ours = |object: &&Value| {
        let inner = object.get("chain").or_else(|| object.get("rule"));
        let text = |key| inner.and_then(|inner| inner.get(key)).and_then(Value::as_str).unwrap_or_default();
        format!("{} {}", text("family"), text("table")) == TABLE
    };
    let objects = answer.get("nftables").and_then(Value::as_array).into_iter().flatten();
    Ok(objects.filter(ours).map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

/// The numbers in a set, with the packets that were counted for each.
pub(crate) async fn counts(set: &str) -> Result<HashMap<Number, u64>, Error> {
    let listing = list_set(set).await?;
    Ok(elements(&listing).filter_map(counted).collect())
}

/// `{"elem": {"val": 5, "counter": {"packets": 3, …}, …}}`.
fn counted(element: &Value) -> Option<(Number, u64)> {
    let element = element.get("elem")?;
    let packets = element.get("counter").and_then(|counter| counter.get("packets")?.as_u64());
    Some((Number::try_from(element.get("val")?.as_u64()?).ok()?, packets.unwrap_or(0)))
}

async fn nft(arguments: &[&str], input: &str) -> Result<String, Error> {
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

/// A text as a file in memory: unlike a pipe, it needs nobody who writes while the program runs.
fn file_of(text: &str) -> io::Result<File> {
    let mut file = File::from(memfd_create("nft", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

/// The elements of the verdict map in a listing.
fn verdicts(listing: &Value) -> Verdicts {
    let objects = listing.get("nftables").and_then(Value::as_array).into_iter().flatten();
    let mut found = Verdicts::new();
    for map in objects.filter_map(|object| object.get("map")) {
        let name = map.get("name").and_then(Value::as_str).unwrap_or_default();
        let elements = map.get("elem").and_then(Value::as_array).into_iter().flatten();
        let read = elements.filter_map(verdict);
        found.extend(read.map(|(number, chain)| ((name.to_owned(), number), chain.to_owned())));
    }
    found
}

/// The elements of the set in a listing.
fn elements(listing: &Value) -> impl Iterator<Item = &Value> {
    let objects = listing.get("nftables").and_then(Value::as_array).into_iter().flatten();
    objects.filter_map(|object| object.get("set")?.get("elem")?.as_array()).flatten()
}

/// `{"elem": {"val": {"concat": ["02:00:00:00:00:01", "10.0.0.1"]}, "expires": 60}}`
fn pair(element: &Value) -> Option<Pair> {
    let (mac, ip) = concat(element.get("elem")?)?;
    Some(Pair(mac.as_str()?.parse().ok()?, ip.as_str()?.parse().ok()?))
}

/// `{"elem": {"val": {"concat": [5, "192.0.2.1"]}, "timeout": 120, "expires": 60}}`
fn opening(element: &Value) -> Option<(Opened, u64)> {
    let element = element.get("elem")?;
    let (number, address) = concat(element)?;
    let key = Opened(Number::try_from(number.as_u64()?).ok()?, address.as_str()?.parse().ok()?);
    Some((key, element.get("expires")?.as_u64()?))
}

fn concat(element: &Value) -> Option<(&Value, &Value)> {
    match element.get("val")?.get("concat")?.as_array()?.as_slice() {
        [first, second] => Some((first, second)),
        _ => None,
    }
}

/// `[5, {"goto": {"target": "off"}}]`, or with `{"elem": {"val": 5, …}}` in the place of the number.
fn verdict(element: &Value) -> Option<(Number, &str)> {
    let [key, value] = element.as_array()?.as_slice() else { return None };
    let key = key.get("elem").and_then(|elem| elem.get("val")).unwrap_or(key);
    let chain = value.get("goto")?.get("target")?.as_str()?;
    Some((Number::try_from(key.as_u64()?).ok()?, chain))
}

const ERROR_LINES: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_read_as_nft_writes_them() {
        // From nft 1.0.6.
        let listing = |elements: &str| -> Value {
            let text = r#"{"nftables": [{"metainfo": {"json_schema_version": 1}}, {"set": {"name": "x", "elem": []}}]}"#;
            serde_json::from_str(&text.replace("[]", elements)).unwrap()
        };
        let pairs = r#"[{"elem": {"val": {"concat": ["02:00:00:00:00:09", "10.0.0.9"]}, "expires": 299}}, 7, {"elem": {"val": "x"}}]"#;
        let pairs = listing(pairs);
        let read: Vec<String> = elements(&pairs).filter_map(pair).map(|pair| pair.to_string()).collect();
        assert_eq!(read, ["02:00:00:00:00:09 . 10.0.0.9"]);
        let opened = listing(
            r#"[{"elem": {"val": {"concat": [5, "192.0.2.1"]}, "timeout": 123, "expires": 99}},
                {"elem": {"val": {"concat": [5, "2001:db8::1"]}, "timeout": 123, "expires": 98}},
                {"elem": {"val": {"concat": [-1, "192.0.2.1"]}, "expires": 98}}]"#,
        );
        let read: Vec<_> =
            elements(&opened).filter_map(opening).map(|(key, secs)| format!("{key} {secs}")).collect();
        assert_eq!(read, ["5 . 192.0.2.1 99", "5 . 2001:db8::1 98"]);
        assert_eq!(elements(&serde_json::json!({"nftables": [{"set": {"name": "x"}}]})).count(), 0);
    }
}
