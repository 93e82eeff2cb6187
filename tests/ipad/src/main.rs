//! `hausmeister-ipad`: a simulated iPad for the command line.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use ipad::{Facts, Ipad, Trust};

/// A simulated iPad: enrols, and does what it is told.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// PEM file of the authority that the server's certificate comes from (`keys/ca.pem`).
    #[arg(long, value_name = "FILE")]
    authority: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Opens an enrolment link, and does what waits for whoever enrols.
    Enrol {
        /// The link.
        url: String,
        /// How many iPads.
        #[arg(long, default_value_t = 1)]
        count: u32,
    },
}

fn main() -> anyhow::Result<()> {
    let Arguments { authority, what: What::Enrol { url, count } } = Arguments::parse();
    let pem = std::fs::read(&authority).with_context(|| format!("cannot read {}", authority.display()))?;
    let trust = Trust::authority(&pem)?;
    let mut ipads = Vec::new();
    for _ in 0..count {
        let facts = Facts::random();
        let serial = facts.serial.clone();
        ipads.push(Ipad::enrol(&url, facts, &trust).with_context(|| format!("{serial} cannot enrol"))?);
        println!("{serial} is enrolled");
    }
    for ipad in &mut ipads {
        for done in ipad.connect()? {
            println!("{}: {} {}", ipad.facts.serial, done.kind, done.status);
        }
    }
    Ok(())
}
