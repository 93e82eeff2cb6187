//! `hausmeister doctor`: what somebody who helps wants to see, in one file, without what belongs to people.
//!
//! | File               | What is in it                                                              |
//! |--------------------|----------------------------------------------------------------------------|
//! | README.txt         | what was collected, and what could not be                                  |
//! | versions.json      | this program, the system, memory, how long it runs                         |
//! | findings.json      | what `hausmeister check` finds                                             |
//! | configuration.toml | the configuration; of texts only those that are known to be no secret     |
//! | database.json      | engine, migrations, rows of each table; no row                             |
//! | notices.json       | what the daemons found                                                     |
//! | services.txt       | state of the units, where systemd runs                                     |
//! | log.txt            | the last lines of the daemons, where there is a journal                    |
//!
//! Every text that was not written by this module goes through [`Scrub`]. Where the database cannot be opened nobody knows the names
//! of people: then no log is taken, and the file says so.

pub mod bundle;
pub mod scrub;

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use inventory::config::ConfigFile;
use inventory::support::Personal;
use inventory::{Inventory, UnixMillis};
use serde_json::json;
use tokio::io::AsyncReadExt as _;

use self::scrub::{REMOVED, Scrub};
use crate::check::{self, Level};

/// Collects, writes the file (readable for its owner only) and says where it is.
///
/// # Errors
/// The file cannot be written, or is there already.
pub async fn run(config_path: &Path, out: Option<PathBuf>) -> anyhow::Result<()> {
    let at = inventory::clock::now();
    let collected = collect(config_path, at).await?;
    let out = out.unwrap_or_else(|| PathBuf::from(format!("{}.tar.zst", folder(at))));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&out)
        .with_context(|| format!("cannot write {}", out.display()))?;
    file.write_all(&collected.packed)
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write {}", out.display()))?;
    println!("{}", out.display());
    for gap in &collected.gaps {
        println!("not in it: {gap}");
    }
    println!("Names, addresses and secrets were replaced. Look into it before you send it: tar -xf");
    Ok(())
}

/// A packed bundle.
#[derive(Debug)]
pub struct Collected {
    /// The bytes of the file.
    pub packed: Vec<u8>,
    /// What could not be collected, and why.
    pub gaps: Vec<String>,
}

/// Collects everything that can be had.
///
/// # Errors
/// It cannot be packed. What cannot be collected is no error.
pub async fn collect(config_path: &Path, at: UnixMillis) -> anyhow::Result<Collected> {
    let mut gaps = Vec::new();
    let mut scrub = Scrub::new()?;
    let readable = usable(config_path).is_ok();
    let configuration = configuration(&mut scrub, config_path, readable, &mut gaps);
    let database = tokio::time::timeout(PATIENCE, database(&mut scrub, config_path)).await;
    let database = database.unwrap_or_else(|_| Err("it does not answer".to_owned()));
    let findings = findings(&mut scrub, config_path, readable, database.is_ok()).await;
    let mut files = vec![
        ("versions.json".to_owned(), pretty(&versions())),
        ("findings.json".to_owned(), pretty(&findings)),
        ("configuration.toml".to_owned(), configuration.into_bytes()),
    ];
    match database {
        Ok((shape, notices)) => {
            files.push(("database.json".to_owned(), pretty(&shape)));
            files.push(("notices.json".to_owned(), pretty(&notices)));
            match said(&JOURNAL).await {
                Ok(text) => files.push(("log.txt".to_owned(), scrub.text(&text).into_bytes())),
                Err(why) => gaps.push(format!("the log: {why}")),
            }
        }
        Err(why) => {
            gaps.push(format!("the database, and with it the notices: {}", scrub.text(&why)));
            gaps.push("findings in the database, and other DHCP servers".to_owned());
            gaps.push("the log: without the database the names of people are not known".to_owned());
        }
    }
    match said(&UNITS).await {
        Ok(text) => files.push(("services.txt".to_owned(), scrub.text(&text).into_bytes())),
        Err(why) => gaps.push(format!("the state of the services: {why}")),
    }
    files.insert(0, ("README.txt".to_owned(), about(&files, &gaps).into_bytes()));
    let secs = u64::try_from(at.0 / 1000).unwrap_or_default();
    Ok(Collected { packed: bundle::pack(&folder(at), secs, &files)?, gaps })
}

/// The name of a bundle that was made then.
fn folder(at: UnixMillis) -> String {
    let time = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
    format!("hausmeister-support-{}", time.strftime("%Y%m%d-%H%M%S"))
}

fn about(files: &[(String, Vec<u8>)], gaps: &[String]) -> String {
    let mut text = String::from(
        "A support bundle of Hausmeister. Names of people, devices and rooms, serial numbers and addresses were replaced\n\
         by pseudonyms that are the same in all of these files; secrets were removed.\n\nIn it:\n",
    );
    for (name, content) in files {
        let _ = writeln!(text, "  {name} ({} bytes)", content.len());
    }
    for gap in gaps {
        let _ = writeln!(text, "Not in it: {gap}");
    }
    text
}

fn pretty(value: &serde_json::Value) -> Vec<u8> {
    format!("{value:#}\n").into_bytes()
}

fn versions() -> serde_json::Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let line = |path: &str, start: &str| {
        let text = read(path);
        let found = text.lines().find_map(|line| line.strip_prefix(start));
        found.unwrap_or_default().trim().trim_matches('"').to_owned()
    };
    json!({
        "hausmeister": env!("CARGO_PKG_VERSION"),
        "architecture": std::env::consts::ARCH,
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "system": line("/etc/os-release", "PRETTY_NAME="),
        "memory": line("/proc/meminfo", "MemTotal:"),
        "memory_available": line("/proc/meminfo", "MemAvailable:"),
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
        "load": read("/proc/loadavg").trim(),
        "up_seconds": read("/proc/uptime").split('.').next(),
    })
}

/// Whether every section can be read by the daemon that owns it.
fn usable(path: &Path) -> anyhow::Result<()> {
    let file = ConfigFile::read(path)?;
    file.site()?;
    file.section::<netd::Config>("netd")?;
    file.section::<deployd::Config>("deployd")?;
    file.optional_section::<radius::Config>("radius")?;
    file.section::<mdm::Config>("mdm")?;
    file.section::<webui::Config>("webui")?;
    crate::backup::place::Place::of(&file, path).map(drop)
}

/// What `check` finds. An error in the configuration quotes the file, perhaps a password in it: then only its place stays.
async fn findings(scrub: &mut Scrub, path: &Path, readable: bool, names_known: bool) -> serde_json::Value {
    let found = if names_known || !readable {
        check::findings(path).await
    } else {
        check::findings_beside_database(path).await
    };
    let shown = found.into_iter().map(|finding| {
        let level = match finding.level {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Error => "error",
        };
        let text = if readable { finding.text } else { place_of(&finding.text) };
        json!({"level": level, "text": scrub.text(&text), "remedy": scrub.text(&finding.remedy)})
    });
    shown.collect()
}

/// Where an error in the configuration is, without what stands there.
fn place_of(text: &str) -> String {
    let section = SECTIONS.into_iter().find(|name| text.contains(&format!("section [{name}]")));
    let number = |word: &str| {
        let (_, after) = text.split_once(word)?;
        after.split(|sign: char| !sign.is_ascii_digit()).next()?.parse::<u32>().ok()
    };
    let mut place = String::from("the configuration cannot be used");
    if let Some(section) = section {
        let _ = write!(place, ", section [{section}]");
    }
    if let (Some(line), Some(column)) = (number("at line "), number(", column ")) {
        let _ = write!(place, ", line {line}, column {column}");
    }
    place
}

/// The configuration with the texts left out that are not known to be harmless; learns those.
///
/// Where a daemon cannot read its section, any value may stand at the wrong key: then no text stays.
fn configuration(scrub: &mut Scrub, path: &Path, readable: bool, gaps: &mut Vec<String>) -> String {
    let table = fs::read_to_string(path)
        .map_err(|error| error.kind().to_string())
        .and_then(|text| text.parse::<toml::Table>().map_err(|_| "it is no TOML".to_owned()));
    match table {
        Ok(table) => {
            let mut value = toml::Value::Table(table);
            learn_texts("", &value, scrub);
            hide("", &mut value, readable, scrub);
            toml::to_string(&value).unwrap_or_default()
        }
        Err(why) => {
            gaps.push(format!("the configuration: {why}"));
            String::new()
        }
    }
}

fn learn_texts(key: &str, value: &toml::Value, scrub: &mut Scrub) {
    match value {
        toml::Value::Table(table) => table.iter().for_each(|(key, value)| learn_texts(key, value, scrub)),
        toml::Value::Array(list) => list.iter().for_each(|value| learn_texts(key, value, scrub)),
        toml::Value::String(text) if matches!(key, "name" | "zone") => scrub.learn(Personal::Named, text),
        toml::Value::String(text) if !HARMLESS.contains(&key) => scrub.learn_secret(text),
        _ => {}
    }
}

fn hide(key: &str, value: &mut toml::Value, readable: bool, scrub: &mut Scrub) {
    match value {
        toml::Value::Table(table) => {
            table.iter_mut().for_each(|(key, value)| hide(key, value, readable, scrub))
        }
        toml::Value::Array(list) => list.iter_mut().for_each(|value| hide(key, value, readable, scrub)),
        toml::Value::String(text)
            if readable && (HARMLESS.contains(&key) || matches!(key, "name" | "zone")) =>
        {
            *text = scrub.text(text);
        }
        // What no daemon knows may be anything, a PIN too.
        toml::Value::String(_) | toml::Value::Datetime(_) => *value = toml::Value::String(REMOVED.to_owned()),
        toml::Value::Integer(_) | toml::Value::Float(_) if !NUMBERS.contains(&key) => {
            *value = toml::Value::String(REMOVED.to_owned());
        }
        toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => {}
    }
}

/// Shape and notices of the inventory; on the way its names are learned.
async fn database(scrub: &mut Scrub, path: &Path) -> Result<(serde_json::Value, serde_json::Value), String> {
    let site = ConfigFile::read(path)
        .and_then(|file| file.site())
        .map_err(|_| "the configuration does not tell where it is".to_owned())?;
    let url = site.database_url();
    // To open a file that is not there would make one.
    if let Some(file) = url.strip_prefix("sqlite://")
        && !Path::new(file.split('?').next().unwrap_or_default()).is_file()
    {
        return Err("its file is not there".to_owned());
    }
    let told = |error: inventory::Error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        format!("{error}{}", cause.unwrap_or_default())
    };
    let inventory = Inventory::open(&url).await.map_err(told)?;
    for (what, word) in inventory.personal_words().await.map_err(told)? {
        scrub.learn(what, &word);
    }
    let shape = inventory.shape().await.map_err(told)?;
    let notices = inventory.notices().await.map_err(told)?;
    inventory.close().await;
    let notices = notices.into_iter().map(|notice| {
        json!({
            "source": scrub.text(&notice.source),
            "place": scrub.text(&notice.place),
            "text": scrub.text(&notice.text),
            "remedy": scrub.text(&notice.remedy),
            "raised_at": notice.raised_at.0,
        })
    });
    let notices = notices.collect();
    Ok((json!(shape), notices))
}

/// What a program says, at most [`SAID_MAX`] bytes of it and within [`PATIENCE`].
async fn said(command: &[&str]) -> Result<String, String> {
    let Some((program, arguments)) = command.split_first() else { return Err("nothing to run".to_owned()) };
    let child = tokio::process::Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let mut child = child.map_err(|error| format!("{program}: {}", error.kind()))?;
    let output = child.stdout.take().ok_or_else(|| format!("{program}: no output"))?;
    let mut bytes = Vec::new();
    let reading = tokio::time::timeout(PATIENCE, async {
        output.take(SAID_MAX).read_to_end(&mut bytes).await?;
        child.wait().await
    });
    match reading.await {
        Ok(Ok(status)) if status.success() => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Ok(Ok(status)) => Err(format!("{program} ended with {status}")),
        Ok(Err(error)) => Err(format!("{program}: {}", error.kind())),
        Err(_) => Err(format!("{program} takes too long")),
    }
}

/// The last lines of our units, without the name of this computer.
const JOURNAL: [&str; 8] = [
    "journalctl",
    "--no-pager",
    "--quiet",
    "--no-hostname",
    "--output=short-iso",
    "--lines=2000",
    "--unit",
    "hausmeister*",
];
const UNITS: [&str; 7] =
    ["systemctl", "list-units", "--all", "--plain", "--no-legend", "--no-pager", "hausmeister*"];
const PATIENCE: Duration = Duration::from_secs(30);
const SAID_MAX: u64 = 4 << 20;
const SECTIONS: [&str; 7] = ["site", "netd", "deployd", "mdm", "radius", "webui", "backup"];
/// Keys whose texts say how a server is set up, and nothing that is secret.
const HARMLESS: [&str; 17] = [
    "data_dir",
    "language",
    "interfaces",
    "dns_forwarders",
    "dnssec",
    "listen",
    "redirect_listen",
    "page_listen",
    "boot_listen",
    "agent_listen",
    "server_address",
    "certificate",
    "key",
    "freeradius",
    "run_dir",
    "push_certificate",
    "push_key",
];
const NUMBERS: [&str; 9] = [
    "dns_port",
    "dhcp_port",
    "tftp_port",
    "proxy_dhcp_port",
    "boot_http_port",
    "agent_port",
    "page_port",
    "reserve_mib",
    "auth_port",
];
