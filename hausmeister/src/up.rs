//! `hausmeister up`: all daemons as tasks of one process on one inventory.

use std::path::Path;

use anyhow::Context as _;
use inventory::Inventory;
use inventory::config::{ConfigFile, Site};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::backup::place::Place;
use crate::backup::{Keeper, restore};

/// Runs the daemons until SIGTERM or SIGINT. When a backup is to be restored, they stop, and run again on what it brought back.
///
/// # Errors
/// A daemon cannot start; the others are stopped again.
pub async fn run(path: &Path) -> anyhow::Result<()> {
    log_to_stderr();
    let config = ConfigFile::read(path)?;
    let site = config.site()?;
    loop {
        restore::finish(&site).await.context("a restore that was begun cannot be finished")?;
        if daemons(path, &config, &site).await? == After::Stop {
            return Ok(());
        }
        tracing::info!("a backup is being brought back");
    }
}

/// Has what happens written to standard error.
pub(crate) fn log_to_stderr() {
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(netd::LOG_FILTER)),
        )
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_target(false)
        .init();
}

/// What follows after the daemons stopped.
#[derive(PartialEq, Eq)]
enum After {
    Stop,
    Restore,
}

async fn daemons(path: &Path, config: &ConfigFile, site: &Site) -> anyhow::Result<After> {
    let inventory = Inventory::open(&site.database_url())
        .await
        .with_context(|| format!("cannot use the database {}", redacted(&site.database_url())))?;

    let mut netd = netd::run(site, config.section("netd")?, inventory.clone())
        .await
        .context("netd cannot start; `hausmeister check` tells what is in its way")?;
    let deployd = deployd::run(site, config.section("deployd")?, inventory.clone())
        .await
        .context("deployd cannot start; `hausmeister check` tells what is in its way")?;
    let webui = webui::run(site, config.section("webui")?, inventory.clone())
        .await
        .context("webui cannot start; `hausmeister check` tells what is in its way")?;
    let mdm = mdm::run(site, config.section("mdm")?, inventory.clone())
        .await
        .context("mdm cannot start; without mdm_url in [site] nothing manages iPads, and the rest runs")?;
    let radius = match config.optional_section("radius")? {
        Some(section) => {
            let started = radius::run(site, section, inventory.clone()).await;
            Some(started.context("radius cannot start; without the section [radius] nobody decides about the WLAN, and the rest runs")?)
        }
        None => None,
    };
    let mut keeper = Keeper::start(Place::of(config, path)?, inventory.clone());
    tracing::info!(school = site.name, "all daemons run; stop with Ctrl-C or SIGTERM");

    let after = tokio::select! {
        requested = stop_requested() => requested.map(|()| After::Stop)?,
        () = keeper.restore_is_ready() => After::Restore,
        // Better to be started again by the supervisor than half a server.
        () = netd.ended() => anyhow::bail!("a part of netd ended by itself; its reason stands above"),
    };
    tracing::info!("stopping");
    drop((keeper, radius, mdm, webui, deployd, netd));
    inventory.close().await;
    Ok(after)
}

pub(crate) async fn stop_requested() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// An address without the password it may carry.
pub(crate) fn redacted(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 < at => {
            let (before, _) = url.split_at(scheme + 3);
            let (_, after) = url.split_at(at);
            format!("{before}…{after}")
        }
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_database_password_is_not_shown() {
        assert_eq!(super::redacted("postgres://u:geheim@db/x"), "postgres://…@db/x");
        assert_eq!(super::redacted("sqlite:///var/x.db"), "sqlite:///var/x.db");
    }
}
