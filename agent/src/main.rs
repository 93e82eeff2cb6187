//! `agent`: resident service of an installed system, and /init of the boot environment.

use std::process::ExitCode;

use agent::resident::ResidentError;
use agent::{resident, software, system};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let Some(code) = system::called(&words) {
        return code;
    }
    match words.as_slice() {
        ["resident"] => ended(resident::run()),
        ["software"] => ended(software::run()),
        ["--version"] => {
            println!("hausmeister-agent {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: agent resident | software | {} | --version", system::COMMANDS);
            ExitCode::from(2)
        }
    }
}

fn ended(outcome: Result<(), ResidentError>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            system::say(&error.to_string());
            ExitCode::FAILURE
        }
    }
}
