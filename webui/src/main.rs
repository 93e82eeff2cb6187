//! `webui` as a process of its own.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use inventory::Inventory;
use inventory::config::{ConfigFile, DEFAULT_PATH};
use tokio::signal::unix::{SignalKind, signal};

/// Serves the web page and the JSON API over HTTPS.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The configuration file.
    #[arg(long, default_value = DEFAULT_PATH)]
    config: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    let file = ConfigFile::read(&Arguments::parse().config)?;
    let site = file.site()?;
    let inventory = Inventory::open(&site.database_url()).await.context("cannot open the database")?;
    let handle =
        webui::run(&site, file.section("webui")?, inventory.clone()).await.context("cannot start")?;
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
    drop(handle);
    inventory.close().await;
    Ok(())
}
