//! Serves a sample school, to look at the pages: `cargo run -p webui --example sample -- 127.0.0.1:8443`, then sign in as
//! `admin` with `Hausmeister 1`. One job makes progress, so that the live pages move. Everything is forgotten at the end.

#[path = "../src/testing/sample.rs"]
mod sample;

use std::time::Duration;

use anyhow::Context as _;
use inventory::ca::Authority;
use inventory::config::Site;
use inventory::vault::Vault;
use inventory::{By, Inventory, JobProgress, Role, clock};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let listen = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8443".into());
    let dir = std::env::temp_dir().join(format!("hausmeister-sample-{}", std::process::id()));
    let site = Site { name: "Gymnasium am Markt".into(), data_dir: dir.clone(), ..Site::default() };
    Authority::ensure(&site.keys_dir(), &site.name)?;
    let inventory = Inventory::open(&site.database_url()).await?;
    let school = sample::fill(&inventory, &Vault::open(&site.keys_dir())?).await?;
    let by = By { actor: "init", at: clock::now() };
    inventory
        .create_user(by, "admin", &inventory::password::hash("Hausmeister 1")?, Role::SchoolAdmin)
        .await?;
    inventory
        .create_user(by, "lehrerin", &inventory::password::hash("Hausmeister 1")?, Role::Teacher)
        .await?;
    let config =
        webui::Config { listen: listen.parse().context("expected ADDRESS:PORT")?, ..Default::default() };
    let handle = webui::run(&site, config, inventory.clone()).await?;
    println!("https://{}/", handle.address());
    println!(
        "device {} waiting {} network {} image {}",
        school.device, school.waiting, school.network, school.image
    );
    let total_bytes = 5_100_000_000;
    let mut done_bytes = 2_214_592_512;
    let mut ticks = tokio::time::interval(Duration::from_millis(400));
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                done_bytes = (done_bytes + 20_000_000) % total_bytes;
                let by = By { actor: "deployd", at: clock::now() };
                let progress = JobProgress { phase: "transfer".into(), done_bytes, total_bytes, at: by.at, ..JobProgress::default() };
                inventory.note_progress(by, school.job, &progress).await?;
            }
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    drop(handle);
    inventory.close().await;
    std::fs::remove_dir_all(dir)?;
    Ok(())
}
