//! `hausmeister demo`: a school in a box.
//!
//! One process moves into a network namespace of its own, which vanishes with it, and starts there what an admin starts
//! (`hausmeister init`, `hausmeister up`) and virtual PCs with real firmware. It then plays the admin over the REST API:
//!
//! 1. an unknown PC boots from the network, is approved, imaged, and reports from its own disk under its new name;
//! 2. that PC becomes the model of an image of its own;
//! 3. two more PCs, BIOS and UEFI with Secure Boot, get that image at the same time;
//! 4. meanwhile ten iPads enrol by link, and a teacher unlocks the room from a phone, the first PC gets out, the bell rings, and it is
//!    out again;
//! 5. a program is put into the catalogue and is on the PCs of the room;
//! 6. a teacher's own laptop joins by IEEE 802.1X with the account, and lands in the network that the rule names;
//! 7. the room is switched off from the page, and in the night its PCs are woken, get what is new, and are switched off again;
//! 8. the server loses its disk and comes back from its backup.
//!
//! Every promise is checked; the exit code tells whether all were kept.

mod api;
mod apple;
mod disaster;
mod doorway;
mod evening;
mod faults;
mod internet;
mod ipads;
mod lesson;
mod programs;
mod progress;
mod school;
mod story;
mod wlan;

use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::cli::DemoArgs;

/// Runs the demo.
///
/// # Errors
/// Something it needs is missing, a promise was not kept, or it was interrupted; everything it started is gone then.
pub fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    if !nix::unistd::geteuid().is_root() {
        bail!("the demo needs root: it makes a network namespace and network cards for virtual PCs");
    }
    for (path, target) in [(args.boot_files.join("initrd.img"), "boot"), (args.image.clone(), "image")] {
        if !path.exists() {
            bail!("{} is missing; `make {target}` makes it, and `make demo` does everything", path.display());
        }
    }
    if !args.faults {
        lesson::is_possible()?;
    }
    // A socket stays in the namespace it was made in: this one is the only way from this computer into the school.
    let doorway = if args.keep {
        Some(TcpListener::bind("127.0.0.1:0").context("no port for the page")?)
    } else {
        None
    };
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).context("cannot make a network namespace")?;
    let interrupted = signals()?;

    let mut story = story::Story::begin(&args, interrupted)?;
    let told = if args.faults { story.tell_of_faults() } else { story.tell() };
    story.print_summary();
    match told {
        Ok(()) => {
            if let Some(listener) = doorway {
                story.keep(listener)?;
            }
            story.end();
            println!("Everything was as promised.");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            story.keep_evidence();
            Err(error)
        }
    }
}

/// Turns SIGINT, SIGTERM and SIGHUP into messages, so that a wait ends and everything is dropped in order.
fn signals() -> anyhow::Result<mpsc::Receiver<()>> {
    use nix::sys::signal::{SigSet, Signal};
    let mut set = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        set.add(signal);
    }
    // Blocked before any thread exists, so every thread inherits it and only the one below takes them.
    set.thread_block().context("cannot take over signals")?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        while set.wait().is_ok() {
            if sender.send(()).is_err() {
                break;
            }
        }
    });
    Ok(receiver)
}

/// Waits a moment, or until the person at the keyboard has had enough.
fn pause(interrupted: &mpsc::Receiver<()>, time: Duration) -> anyhow::Result<()> {
    match interrupted.recv_timeout(time) {
        Err(mpsc::RecvTimeoutError::Timeout) => Ok(()),
        _ => bail!("interrupted"),
    }
}

fn now() -> Instant {
    inventory::clock::instant()
}
