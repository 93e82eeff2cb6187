//! Process 1.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot, set_cad_enabled};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::clock;
use crate::cmdline::Cmdline;
use crate::screen::{Problem, Scene, Screen, Trouble};

/// Sets the boot environment up and keeps the worker running. Never returns.
pub fn run() -> ! {
    // Whatever fails here fails visibly later, and there is nobody to tell it to yet.
    let failed: Vec<String> = MOUNTS.iter().filter_map(|m| mount_one(m).err()).collect();
    // Kernel messages would be written across the screen. They stay readable in the log.
    let _ = fs::write("/proc/sys/kernel/printk", "1");
    // The kernel asks this program for modules: see `modules::answer_kernel`.
    let _ = fs::write("/proc/sys/kernel/modprobe", "/init");
    let _ = fs::create_dir_all("/run/hausmeister");
    // Ctrl-Alt-Del becomes SIGINT, so that nothing is left unwritten.
    let _ = set_cad_enabled(false);
    let signals: SigSet = [Signal::SIGCHLD, Signal::SIGINT, Signal::SIGTERM].into_iter().collect();
    let _ = signals.thread_block();
    let cmdline = Cmdline::parse(&fs::read_to_string("/proc/cmdline").unwrap_or_default());
    let screen = Screen::open(&cmdline);
    screen.mark(&format!("hausmeister agent up uptime={}", uptime()));
    failed.iter().for_each(|text| screen.note(text));
    let mut crashes = 0;
    loop {
        let started = clock::now();
        let status = match start_worker() {
            Ok(worker) => wait_for(worker, &signals),
            Err(error) => format!("the worker cannot be started: {error}"),
        };
        if clock::now().saturating_duration_since(started) > QUIET_TIME {
            crashes = 0;
        }
        let words = fs::read_to_string(super::last_words()).unwrap_or_default();
        let _ = fs::remove_file(super::last_words());
        let retry = Duration::from_secs(2 << crashes.min(5));
        crashes += 1;
        let detail = format!("{status} {}", words.trim());
        screen.mark(&format!("error {} {detail}", Problem::Crash.name()));
        screen.show(Scene::Trouble(Trouble { problem: Problem::Crash, detail, retry: Some(retry) }));
        clock::wait(retry);
    }
}

/// Writes everything out and restarts the machine. Returns only if the kernel refuses.
pub(super) fn restart() -> nix::Error {
    nix::unistd::sync();
    match reboot(RebootMode::RB_AUTOBOOT) {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

fn start_worker() -> io::Result<Pid> {
    let child = Command::new("/proc/self/exe").arg("work").env("PATH", PATH).env("HOME", "/").spawn()?;
    // The child is waited for below, together with all orphans.
    Ok(Pid::from_raw(i32::try_from(child.id()).unwrap_or(0)))
}

/// Reaps every dead process until the worker is among them. Returns how it ended.
fn wait_for(worker: Pid, signals: &SigSet) -> String {
    loop {
        if matches!(signals.wait(), Ok(Signal::SIGINT | Signal::SIGTERM)) {
            restart();
        }
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            match status {
                WaitStatus::Exited(pid, code) if pid == worker => {
                    return format!("the worker ended with {code}.");
                }
                WaitStatus::Signaled(pid, signal, _) if pid == worker => {
                    return format!("the worker died of {signal}.");
                }
                WaitStatus::StillAlive => break,
                _ => {}
            }
        }
    }
}

struct Mount {
    what: &'static str,
    at: &'static str,
    flags: MsFlags,
    data: Option<&'static str>,
}

fn mount_one(m: &Mount) -> Result<(), String> {
    let _ = fs::create_dir_all(m.at);
    match mount(Some(m.what), Path::new(m.at), Some(m.what), m.flags, m.data) {
        // Mounted already, for example when this program was started by hand.
        Ok(()) | Err(nix::Error::EBUSY) => Ok(()),
        Err(error) => Err(format!("{} cannot be mounted: {error}", m.at)),
    }
}

fn uptime() -> String {
    let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
    text.split_ascii_whitespace().next().unwrap_or("0").to_owned()
}

const NONE: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NOEXEC).union(MsFlags::MS_NODEV);
const MOUNTS: [Mount; 4] = [
    Mount { what: "proc", at: "/proc", flags: NONE, data: None },
    Mount { what: "sysfs", at: "/sys", flags: NONE, data: None },
    Mount { what: "devtmpfs", at: "/dev", flags: MsFlags::MS_NOSUID, data: Some("mode=0755") },
    Mount { what: "tmpfs", at: "/run", flags: NONE, data: Some("mode=0755,size=16m") },
];
const PATH: &str = "/sbin:/usr/sbin:/bin:/usr/bin";
/// A worker that ran this long has not died of the last one's cause.
const QUIET_TIME: Duration = Duration::from_secs(60);
