//! `hausmeister backup` and `hausmeister restore`.

use std::fs;
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use inventory::Inventory;
use inventory::config::{ConfigFile, Site};
use jiff::tz::TimeZone;

use super::config::Config;
use super::phrase::Phrase;
use super::place::Place;
use super::restic::{ResticError, Snapshot};
use super::{Keeper, restore};
use crate::cli::{BackupCommand, RestoreArgs};
use crate::host::{give_to_daemons, process_with_file};
use crate::up::{log_to_stderr, redacted, stop_requested};

/// Carries out a backup command.
///
/// # Errors
/// What stopped it, with the way out.
pub async fn run(config_path: &Path, command: BackupCommand) -> anyhow::Result<()> {
    let file = ConfigFile::read(config_path)?;
    let site = file.site()?;
    let place = || {
        Place::of(&file, config_path)?
            .context("no backups are set up; `hausmeister backup setup --to PLACE` does it")
    };
    match command {
        BackupCommand::Setup { to, phrase_file } => {
            set_up(config_path, &file, to, phrase_file.as_deref()).await
        }
        BackupCommand::Serve => serve(config_path, &file, &site).await,
        BackupCommand::Finish => {
            restore::finish(&site).await?;
            give_to_daemons(&[&site.data_dir], config_path)
        }
        BackupCommand::Now => {
            let place = place()?;
            let inventory = Inventory::open(&place.site.database_url()).await?;
            let made = place.back_up(&inventory, &shown).await;
            inventory.close().await;
            let made = made?;
            println!(
                "Backup {}: {} MiB looked at, {} MiB were new.",
                made.snapshot_id,
                made.total_bytes_processed >> 20,
                made.data_added >> 20
            );
            hand_over(&place)
        }
        BackupCommand::List => {
            let place = place()?;
            for snapshot in place.restic.snapshots().await? {
                println!("{}", line(&snapshot));
            }
            hand_over(&place)
        }
        BackupCommand::Drill => {
            let place = place()?;
            let snapshot = chosen(&place, None, None).await?;
            place.drill(&snapshot, &shown).await?;
            println!("Backup {} can be brought back.", snapshot.shown.id);
            hand_over(&place)
        }
    }
}

/// The keeper in a process of its own. A restore that lies ready is put in place by whoever can stop the daemons.
async fn serve(config_path: &Path, file: &ConfigFile, site: &Site) -> anyhow::Result<()> {
    log_to_stderr();
    let inventory = Inventory::open(&site.database_url()).await?;
    let keeper = Keeper::start(Place::of(file, config_path)?, inventory.clone());
    stop_requested().await?;
    drop(keeper);
    inventory.close().await;
    Ok(())
}

/// What root wrote on the way belongs to those who go on with it.
fn hand_over(place: &Place) -> anyhow::Result<()> {
    let local = Some(place.restic.repository.as_str()).filter(|repository| repository.starts_with('/'));
    let folders: Vec<&Path> =
        [Some(place.site.data_dir.as_path()), local.map(Path::new)].into_iter().flatten().collect();
    give_to_daemons(&folders, &place.config_path)
}

async fn set_up(
    config_path: &Path,
    file: &ConfigFile,
    to: Option<String>,
    phrase_file: Option<&Path>,
) -> anyhow::Result<()> {
    let site = file.site()?;
    let mut config: Config = file.section("backup")?;
    match (&config.repository, to) {
        (Some(known), Some(wanted)) if *known != wanted => bail!(
            "{} says that backups go to {}: change `repository` in its section [backup] first",
            config_path.display(),
            redacted(known)
        ),
        (None, None) => bail!("say where backups are to go: `hausmeister backup setup --to PLACE`"),
        (None, Some(wanted)) => {
            add_section(config_path, &wanted)?;
            config.repository = Some(wanted);
        }
        (Some(_), _) => {}
    }
    let kept = Phrase::kept(&site.keys_dir())?;
    let phrase = match (phrase_file, kept.clone()) {
        (Some(path), _) => read_phrase(path)?,
        (None, Some(kept)) => kept,
        (None, None) => Phrase::random(),
    };
    if kept.as_ref().is_some_and(|kept| *kept != phrase) {
        bail!(
            "this server has another recovery phrase; move {} away to use this one",
            site.keys_dir().join(super::phrase::FILE).display()
        );
    }
    let place =
        Place::with(site.clone(), config, phrase.clone(), config_path)?.context("no place is named")?;
    match place.restic.create().await {
        Ok(()) => {}
        Err(ResticError::Exists(_)) if phrase_file.is_some() || kept.is_some() => {
            place.restic.snapshots().await.map(drop)?;
        }
        Err(error) => return Err(error.into()),
    }
    if kept.is_none() {
        phrase.keep(&site.keys_dir())?;
    }
    hand_over(&place)?;
    if same_disk(&site, &place.restic.repository) {
        println!(
            "WARNING  {} is on the same disk as the data: when it breaks, both are gone.",
            place.restic.repository
        );
    }
    println!(
        "Backups go to {}, every night at {}.",
        redacted(&place.restic.repository),
        place.config.at.strftime("%H:%M")
    );
    println!();
    println!("    Recovery phrase    {phrase}");
    println!();
    println!(
        "Write it down on paper and keep it away from this server: without it nobody can read the backups on another machine."
    );
    println!(
        "A running server makes its first backup after it was started again; `hausmeister backup now` makes one at once."
    );
    Ok(())
}

/// Appends the section to the configuration, as a whole or not at all.
fn add_section(path: &Path, repository: &str) -> anyhow::Result<()> {
    let text = fs::read_to_string(path)?;
    if text.lines().any(|line| line.trim() == "[backup]") {
        bail!("{}: add `repository = \"{repository}\"` to its section [backup]", path.display());
    }
    let text = format!("{text}\n[backup]\nrepository = {}\n", toml::Value::String(repository.to_owned()));
    replace(path, &text)
}

/// Writes a file with the rights that the old one has, or for its owner and group.
fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let old = fs::metadata(path).ok();
    let unfinished = path.with_extension("new");
    let mode = old.as_ref().map_or(0o640, |old| old.mode() & 0o777);
    let _ = fs::remove_file(&unfinished);
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    }
    let written = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&unfinished).and_then(
        |mut file| {
            file.write_all(text.as_bytes())?;
            if let Some(old) = &old {
                std::os::unix::fs::fchown(&file, Some(old.uid()), Some(old.gid()))?;
            }
            file.sync_all()?;
            fs::rename(&unfinished, path)
        },
    );
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// Carries out `restore`.
///
/// # Errors
/// What stopped it, with the way out. Until the daemons' files change places nothing that is in use was touched.
pub async fn restore(config_path: &Path, args: RestoreArgs) -> anyhow::Result<()> {
    let is_new = !config_path.exists();
    let place = place_of(config_path, &args)?;
    let snapshot = chosen(&place, args.snapshot.as_deref(), args.at).await?;
    println!("{}", line(&snapshot));
    let place = if is_new && !args.dry_run {
        let text = restore::configuration(&place, &snapshot).await?;
        ConfigFile::parse(config_path, &text).context("the configuration in the backup")?;
        replace(config_path, &text)?;
        println!("The configuration is back: {}", config_path.display());
        Place { site: ConfigFile::read(config_path)?.site()?, ..place }
    } else {
        place
    };
    if let Some(path) = place.site.database_url().strip_prefix("sqlite://")
        && let Some((name, pid)) = process_with_file(Path::new(path))
    {
        bail!(
            "{name} (process {pid}) works with the database: stop the server first, or restore on its page Backups"
        );
    }
    let difference = restore::compare(&place, &snapshot).await?;
    println!(
        "To be brought back: the database and the keys, and {} files that are missing here ({} MiB).",
        difference.files(),
        difference.bytes >> 20
    );
    if difference.store {
        println!(
            "The image store here has nothing to do with the one in the backup: it is kept as store.before-restore."
        );
    }
    if args.dry_run {
        return Ok(());
    }
    if !args.yes && !agreed()? {
        bail!("nothing was changed");
    }
    fs::create_dir_all(&place.site.data_dir)
        .with_context(|| format!("cannot create {}", place.site.data_dir.display()))?;
    restore::prepare(&place, &snapshot, "hausmeister restore", &shown).await?;
    restore::finish(&place.site).await?;
    give_to_daemons(&[&place.site.data_dir], config_path)?;
    println!("This server is back at {}. Next: `hausmeister check`, then start it.", local(&snapshot));
    Ok(())
}

/// The place that the arguments and the configuration, if there is one, name together.
fn place_of(config_path: &Path, args: &RestoreArgs) -> anyhow::Result<Place> {
    let (site, mut config): (Site, Config) = if config_path.exists() {
        let file = ConfigFile::read(config_path)?;
        (file.site()?, file.section("backup")?)
    } else {
        (Site::default(), Config::default())
    };
    config.repository = args.from.clone().or(config.repository);
    config.environment_file = args.environment_file.clone().or(config.environment_file);
    let phrase = match (&args.phrase_file, Phrase::kept(&site.keys_dir())?) {
        (Some(path), _) => read_phrase(path)?,
        (None, Some(kept)) => kept,
        (None, None) => asked_phrase()?,
    };
    Place::with(site, config, phrase, config_path)?.context("say where the backups are: `--from PLACE`")
}

/// The backup that is meant.
async fn chosen(place: &Place, id: Option<&str>, at: Option<jiff::civil::Date>) -> anyhow::Result<Snapshot> {
    let snapshots = place.restic.snapshots().await?;
    let day = |snapshot: &Snapshot| zoned(snapshot).date();
    let found = snapshots.iter().find(|snapshot| match (id, at) {
        (Some(id), _) => snapshot.shown.id == id,
        (None, Some(at)) => day(snapshot) <= at,
        (None, None) => true,
    });
    found.cloned().with_context(|| match snapshots.last() {
        None => "there is no backup yet".to_owned(),
        Some(oldest) => format!("there is no such backup; the oldest one is {}", line(oldest)),
    })
}

fn zoned(snapshot: &Snapshot) -> jiff::Zoned {
    jiff::Timestamp::from_millisecond(snapshot.shown.at.0).unwrap_or_default().to_zoned(TimeZone::system())
}

fn local(snapshot: &Snapshot) -> String {
    zoned(snapshot).strftime("%Y-%m-%d %H:%M").to_string()
}

fn line(snapshot: &Snapshot) -> String {
    let facts = &snapshot.shown.facts;
    format!(
        "{}  {}  {} devices, {} people, {} image versions (Hausmeister {})",
        snapshot.shown.id,
        local(snapshot),
        facts.devices,
        facts.people,
        facts.images,
        facts.version
    )
}

fn read_phrase(path: &Path) -> anyhow::Result<Phrase> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.parse().with_context(|| path.display().to_string())
}

fn asked_phrase() -> anyhow::Result<Phrase> {
    if !std::io::stdin().is_terminal() {
        bail!("the recovery phrase is needed: `--phrase-file FILE`");
    }
    eprint!("Recovery phrase: ");
    let mut typed = String::new();
    std::io::stdin().read_line(&mut typed)?;
    Ok(typed.parse()?)
}

fn agreed() -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("nobody can be asked here; say `--yes`");
    }
    eprint!("What was changed here since then will be gone. Go on? [yes/no] ");
    let mut typed = String::new();
    std::io::stdin().read_line(&mut typed)?;
    Ok(matches!(typed.trim(), "yes" | "ja"))
}

/// Whether a local place lies on the disk of the data.
fn same_disk(site: &Site, repository: &str) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|meta| meta.dev()).ok();
    repository.starts_with('/')
        && device(&site.data_dir).is_some_and(|data| device(Path::new(repository)) == Some(data))
}

/// Progress for whoever watches.
fn shown(percent: u8) {
    if std::io::stderr().is_terminal() {
        eprint!("\r{percent:3} %\r");
    }
}
