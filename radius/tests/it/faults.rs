//! What breaks: FreeRADIUS, this daemon, the way between them.

use std::process::Stdio;
use std::time::Duration;

use inventory::Role;
use inventory::wlan::Who;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use super::support::{PASSWORD, School, rule};

/// The daemon as a process of its own.
fn start(school: &School) -> Child {
    let config = school.dir.path().join("hausmeister.toml");
    let text = format!(
        "[site]\ndata_dir = \"{}\"\n[radius]\nlisten = \"127.0.0.1\"\nauth_port = {}\naccounting_port = {}\nrun_dir = \"{}\"\n",
        school.site.data_dir.display(),
        school.ports.0,
        school.ports.1,
        school.config().run_dir.display()
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_radius"));
    command.arg("--config").arg(config).stdin(Stdio::null()).kill_on_drop(true).spawn().unwrap()
}

/// FreeRADIUS, which is the daemon's only child.
fn freeradius_of(daemon: &Child) -> Option<Pid> {
    let own = daemon.id().unwrap();
    let children = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children"));
    let threads = std::fs::read_dir(format!("/proc/{own}/task")).ok()?.flatten();
    let all = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    let first = all.chain(children.ok()).find_map(|list| list.split_whitespace().next()?.parse().ok());
    first.map(Pid::from_raw)
}

async fn joins_within(school: &School, seconds: u32) -> bool {
    let client = school.tunnel("TTLS", "PAP", "lea", PASSWORD);
    for _ in 0..seconds {
        if tokio::time::timeout(Duration::from_secs(4), school.ask(&client, 1))
            .await
            .is_ok_and(|told| told.joined)
        {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    false
}

#[tokio::test]
async fn whatever_dies_comes_back_and_meanwhile_nobody_joins() {
    let school = School::new().await;
    school.add("lea", Role::Pupil).await;
    school.rules(vec![rule(Who::Everyone, 20)], false).await;
    let mut daemon = start(&school);
    assert!(joins_within(&school, 20).await);

    // FreeRADIUS is killed, and started again.
    let first = freeradius_of(&daemon).unwrap();
    kill(first, Signal::SIGKILL).unwrap();
    assert!(joins_within(&school, 20).await);
    let second = freeradius_of(&daemon).unwrap();
    assert_ne!(first, second);

    // We do not answer: nobody new joins; then we do, and FreeRADIUS was not even restarted.
    let own = Pid::from_raw(daemon.id().unwrap().try_into().unwrap());
    kill(own, Signal::SIGSTOP).unwrap();
    let client = school.tunnel("TTLS", "PAP", "lea", PASSWORD);
    assert!(!school.ask(&client, 1).await.joined);
    kill(own, Signal::SIGCONT).unwrap();
    assert!(joins_within(&school, 20).await);
    assert_eq!(freeradius_of(&daemon), Some(second));

    // We are killed: FreeRADIUS ends with us, and both are there again.
    daemon.kill().await.unwrap();
    let gone = async {
        while kill(second, None).is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.expect("FreeRADIUS ends with its daemon");
    let mut daemon = start(&school);
    assert!(joins_within(&school, 20).await);
    kill(Pid::from_raw(daemon.id().unwrap().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert!(daemon.wait().await.unwrap().success());
}

#[tokio::test]
async fn a_server_without_freeradius_says_what_to_install() {
    let school = School::new().await;
    let config = radius::Config { freeradius: "/nirgends/freeradius".into(), ..school.config() };
    let mut daemon = radius::run(&school.site, config, school.inventory.clone()).await.unwrap();
    assert_eq!(daemon.ready().await, Err("it is not installed".into()));
    let noted = async {
        loop {
            if let Some(notice) = school.inventory.notices().await.unwrap().into_iter().next() {
                return notice;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let notice = tokio::time::timeout(Duration::from_secs(5), noted).await.unwrap();
    assert_eq!((notice.source.as_str(), notice.place.as_str()), ("radius", "freeradius"));
    assert!(notice.remedy.contains("apt install freeradius"), "{notice:?}");
    daemon.stop().await;
}
