//! `hausmeister`: the admin's command.

use std::process::ExitCode;

use clap::Parser as _;
use hausmeister::cli::Cli;

fn main() -> ExitCode {
    match hausmeister::cli::run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("hausmeister: {error:#}");
            ExitCode::FAILURE
        }
    }
}
