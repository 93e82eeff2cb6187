//! `radius` as a process of its own; `hausmeister up` runs the same library.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use inventory::Inventory;
use inventory::config::{ConfigFile, DEFAULT_PATH};
use tokio::signal::unix::{SignalKind, signal};

/// Decides who joins the WLAN.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Configuration file.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_PATH)]
    config: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    let file = ConfigFile::read(&Arguments::parse().config)?;
    let (site, config) = (file.site()?, file.section("radius")?);
    let inventory = Inventory::open(&site.database_url()).await.context("cannot open the inventory")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    let handle = radius::run(&site, config, inventory).await?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    handle.stop().await;
    Ok(())
}
