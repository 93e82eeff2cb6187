//! The boot environment's conversation with the server, from the first hello to the restart.

use std::time::Duration;

use images::protocol::{Hello, HelloReply, RunsIn, Work};

use crate::clock;
use crate::hardware;
use crate::job::{self, Context, Outcome};
use crate::screen::{Device, Problem, Scene, Trouble};
use crate::tpm::TpmError;

/// How often the server is asked.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Between two hellos of a PC that waits for approval.
    pub hello: Duration,
    /// How long one question for work may stay open.
    pub work: Duration,
    /// Until a rejected PC asks again.
    pub rejected: Duration,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            hello: Duration::from_secs(2),
            work: Duration::from_secs(25),
            rejected: Duration::from_secs(3600),
        }
    }
}

/// Does whatever the server wants until the PC is to restart.
pub fn serve(context: &Context<'_>, timing: &Timing) {
    loop {
        introduce(context, timing);
        match work(context, timing) {
            After::Restart => break,
            After::Introduce => {}
        }
    }
    context.line.screen().show(Scene::Restarting);
    context.line.screen().mark("rebooting");
}

enum After {
    Restart,
    Introduce,
}

/// Says hello until the server knows this PC.
fn introduce(context: &Context<'_>, timing: &Timing) {
    let screen = context.line.screen();
    let mut shown = String::new();
    loop {
        let reply = context.line.ask(|client| client.hello(&hello(context)));
        match reply {
            Ok(HelloReply::Approved { name, room, .. }) => {
                let name = printable(&name);
                screen.change(|view| {
                    view.device = Some(Device { name: name.clone(), room: printable(&room) });
                    view.scene = Scene::Ready;
                });
                screen.mark(&format!("approved name={name}"));
                screen.note(&format!("resident memory {} KiB", resident_kib()));
                keep(context);
                return;
            }
            Ok(HelloReply::Waiting { code }) => {
                let code: String = code.chars().filter(char::is_ascii_digit).take(6).collect();
                screen.change(|view| {
                    view.device = None;
                    view.scene = Scene::Waiting { code: code.clone() };
                });
                if shown != code {
                    screen.mark(&format!("waiting code={code}"));
                    shown = code;
                }
                clock::wait(timing.hello);
            }
            Ok(HelloReply::Rejected) => {
                trouble(context, Problem::Rejected, String::new(), Some(timing.rejected));
                clock::wait(timing.rejected);
            }
            Err(error) => {
                trouble(context, Problem::NoServer, error.to_string(), Some(Duration::from_secs(15)));
                clock::wait(Duration::from_secs(15).min(timing.rejected));
            }
        }
    }
}

/// Asks for work until there is a reason to do something else.
fn work(context: &Context<'_>, timing: &Timing) -> After {
    loop {
        match context.line.ask(|client| client.work(timing.work)) {
            Ok(Work::Idle) => {}
            Ok(Work::Reboot) => return After::Restart,
            Ok(Work::Job(job)) => match job::run(context, &job) {
                Outcome::Restart => return After::Restart,
                Outcome::Stay => context.line.screen().show(Scene::Ready),
                // The screen keeps saying why.
                Outcome::Failed => {}
            },
            Err(error) if error.is_unknown_device() => return After::Introduce,
            Err(error) => {
                context.line.screen().note(&format!("asking for work: {error}"));
                clock::wait(timing.hello);
                return After::Introduce;
            }
        }
    }
}

fn hello(context: &Context<'_>) -> Hello {
    Hello {
        agent_version: env!("CARGO_PKG_VERSION").into(),
        runs_in: RunsIn::BootEnvironment,
        hardware: hardware::describe(&context.machine.root),
    }
}

/// An approved PC is to be known again after a restart, even before its disk is written.
fn keep(context: &Context<'_>) {
    let screen = context.line.screen();
    match context.machine.keep_in_tpm(context.identity) {
        Ok(()) => screen.note("the device key is in the TPM"),
        // Most PCs in schools: no TPM, or a switched-off one.
        Err(TpmError::Io(_)) => {}
        Err(error) => screen.note(&format!("the device key is not in the TPM: {error}")),
    }
    match context.machine.keep_on_disk(context.identity, context.line.client().server(), None) {
        Ok(true) => {}
        Ok(false) => screen.note("no disk has room for the device key before the first deploy"),
        Err(error) => screen.note(&format!("the device key cannot be kept on the disk: {error}")),
    }
}

fn trouble(context: &Context<'_>, problem: Problem, detail: String, retry: Option<Duration>) {
    context.line.screen().mark(&format!("error {} {detail}", problem.name()));
    context.line.screen().show(Scene::Trouble(Trouble { problem, detail, retry }));
}

/// What this program takes of the PC's memory.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches("kB").trim().parse().unwrap_or(0)
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}
