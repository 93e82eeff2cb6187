//! `hausmeister image`: images of prepared machines.

use anyhow::Context as _;
use inventory::Inventory;
use inventory::config::ConfigFile;

use crate::cli::ImageCommand;

/// Carries out an image command.
///
/// # Errors
/// The file cannot be imported, or store or inventory fail.
pub async fn run(config: ConfigFile, command: ImageCommand) -> anyhow::Result<()> {
    let site = config.site()?;
    let inventory = Inventory::open(&site.database_url()).await?;
    match command {
        ImageCommand::Import { file, name } => {
            let show = std::io::IsTerminal::is_terminal(&std::io::stderr());
            let tell = move |done: u64, total: u64| {
                if show {
                    eprint!("\r{} of {} MiB", done >> 20, total >> 20);
                }
            };
            let reserve = config.section::<deployd::Config>("deployd")?.reserve_bytes();
            let version = deployd::import::import_image(&site, &inventory, &name, &file, reserve, tell)
                .await
                .with_context(|| format!("cannot import {}", file.display()))?;
            if show {
                eprintln!();
            }
            println!("{name}: version {version}");
        }
        ImageCommand::Publish { to, credentials, ca, images } => {
            let show = std::io::IsTerminal::is_terminal(&std::io::stderr());
            let tell = move |there: usize, all: usize| {
                if show {
                    eprint!("\r{there} of {all} chunks are there");
                }
            };
            let (credentials, ca) = (credentials.as_deref(), ca.as_deref());
            let done =
                deployd::upstream::publish::publish(&site, &inventory, &to, credentials, ca, &images, tell)
                    .await
                    .with_context(|| format!("cannot publish to {to}"))?;
            if show {
                eprintln!();
            }
            for (name, version) in &done.images {
                println!("{name}: version {version}");
            }
            println!("{} MiB sent, {} packs removed", done.sent_bytes >> 20, done.removed);
            println!("Servers that fetch need in [deployd.upstream]: key = \"{}\"", done.key);
        }
        ImageCommand::List => {
            for image in inventory.images().await? {
                println!("{}", image.name);
                for version in image.versions {
                    println!(
                        "  version {}  {} MiB in use  {}",
                        version.version,
                        version.bytes >> 20,
                        version.manifest
                    );
                }
            }
        }
    }
    inventory.close().await;
    Ok(())
}
