//! `netd --config FILE`: the daemon as a process of its own.

use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use inventory::Inventory;
use inventory::config::{ConfigFile, DEFAULT_PATH};
use tokio::signal::unix::{SignalKind, signal};

/// DHCP, DNS and TFTP for a school's network.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Configuration file
    #[arg(long, default_value = DEFAULT_PATH)]
    config: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter =
        tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| netd::LOG_FILTER.into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    let file = ConfigFile::read(&Arguments::parse().config)?;
    let (site, config) = (file.site()?, file.section("netd")?);
    let inventory = Inventory::open(&site.database_url()).await.context("cannot open the inventory")?;
    let mut daemon = netd::run(&site, config, inventory.clone()).await.context("netd cannot start")?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = daemon.ended() => anyhow::bail!("a part of netd ended by itself; its reason stands above"),
    }
    drop(daemon);
    inventory.close().await;
    Ok(())
}
