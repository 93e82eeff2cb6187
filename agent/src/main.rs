//! `agent`: /init of the boot environment and resident service of an installed system.

use std::process::ExitCode;

use agent::resident::ResidentError;
use agent::{init, modules, resident, software};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        // The kernel starts /init with whatever of its command line it does not know itself.
        _ if std::process::id() == 1 => init::supervise(),
        ["init"] => init::supervise(),
        ["work"] => init::work(),
        // Called by the kernel, as modprobe(8).
        ["-q", "--", name] => ExitCode::from(u8::from(!modules::answer_kernel(name))),
        ["resident"] => ended(resident::run()),
        ["software"] => ended(software::run()),
        ["--version"] => {
            println!("hausmeister-agent {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: agent init | resident | software | --version");
            ExitCode::from(2)
        }
    }
}

fn ended(outcome: Result<(), ResidentError>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hausmeister-agent: {error}");
            ExitCode::FAILURE
        }
    }
}
