//! The agent as a service of Windows: what `agent resident` and `agent software` do, in one process under the system's account.
//! <https://learn.microsoft.com/en-us/windows/win32/services/services>

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use windows_service::service::{
    ServiceControl, ServiceControlAccept, ServiceExitCode, ServiceState, ServiceStatus, ServiceType,
};
use windows_service::service_control_handler::{self, ServiceControlHandlerResult, ServiceStatusHandle};
use windows_service::{define_windows_service, service_dispatcher};

use super::registry::machine_number;
use super::{config_dir, log, private_folder, say};
use crate::resident::{self, ResidentError};
use crate::system::WINDOWS_SERVICE;
use crate::{clock, software};

define_windows_service!(entry, serve);

/// Hands the process to the service control manager until it stops the service.
pub(super) fn run() -> ExitCode {
    match service_dispatcher::start(WINDOWS_SERVICE, entry) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("only the service control manager starts the service: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn serve(_arguments: Vec<OsString>) {
    if let Err(error) = serve_until_stopped() {
        say(&format!("the service ends: {error}"));
    }
}

fn serve_until_stopped() -> windows_service::Result<()> {
    if private_folder(&config_dir()).is_ok() {
        log::to_file(&config_dir());
    }
    let (stop, stopped) = mpsc::channel();
    let handler = move |control| match control {
        ServiceControl::Stop | ServiceControl::Shutdown => {
            // Told twice is told.
            let _ = stop.send(());
            ServiceControlHandlerResult::NoError
        }
        ServiceControl::Interrogate => ServiceControlHandlerResult::NoError,
        _ => ServiceControlHandlerResult::NotImplemented,
    };
    let handle = service_control_handler::register(WINDOWS_SERVICE, handler)?;
    say(&format!("version {} starts", env!("CARGO_PKG_VERSION")));
    state(handle, ServiceState::Running)?;
    work_until(&stopped);
    say("the service is stopped");
    // With the process everything ends that a step has started; its journal says where to go on.
    state(handle, ServiceState::Stopped)
}

fn work_until(stopped: &Receiver<()>) {
    thread::spawn(|| again_and_again(resident::run));
    thread::spawn(|| {
        wait_for_setup();
        again_and_again(software::run);
    });
    // The handler lives as long as the process.
    let _ = stopped.recv();
}

/// Nothing is installed while Windows is still being set up: after `sysprep`, services start before that is done.
fn wait_for_setup() {
    let is_on = |name: &str| machine_number(r"SYSTEM\Setup", name).is_some_and(|on| on != 0);
    while is_on("SystemSetupInProgress") || is_on("OOBEInProgress") {
        clock::wait(SETUP_LOOK);
    }
}

/// What is missing may come: a disk that is found late, a file that somebody puts back.
fn again_and_again(work: fn() -> Result<(), ResidentError>) {
    loop {
        if let Err(error) = work() {
            say(&error.to_string());
        }
        clock::wait(AGAIN_AFTER);
    }
}

fn state(handle: ServiceStatusHandle, current_state: ServiceState) -> windows_service::Result<()> {
    let running = current_state == ServiceState::Running;
    handle.set_service_status(ServiceStatus {
        service_type: ServiceType::OWN_PROCESS,
        current_state,
        controls_accepted: if running {
            ServiceControlAccept::STOP | ServiceControlAccept::SHUTDOWN
        } else {
            ServiceControlAccept::empty()
        },
        exit_code: ServiceExitCode::NO_ERROR,
        checkpoint: 0,
        wait_hint: Duration::ZERO,
        process_id: None,
    })
}

const SETUP_LOOK: Duration = Duration::from_secs(10);
const AGAIN_AFTER: Duration = Duration::from_secs(60);
