//! What the PC shows: one full screen of text on the monitor, plain lines on the serial line.
//!
//! [`render`] makes the lines from a [`View`] without touching a device. [`Screen`] keeps the view, draws it on every
//! change, and writes milestones (`MARK …`) to the serial line, which tests and the demo wait for.

mod digits;
mod render;
mod shell;
mod texts;

pub use render::render;
pub use shell::Screen;
pub use texts::Problem;

use std::time::Duration;

/// Everything that the screen shows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct View {
    /// The school's server, as its address and port.
    pub server: String,
    /// What the machine is: maker and model, serial number, disks, network. One line each.
    pub machine: Vec<String>,
    /// Own name and room, once the server has told them.
    pub device: Option<Device>,
    /// What is going on.
    pub scene: Scene,
    /// A difficulty that does not end what is going on, such as a server that does not answer for a while.
    pub hitch: Option<Hitch>,
}

/// A difficulty on the screen: its kind and what exactly.
pub type Hitch = (Problem, String);

/// What the inventory calls this PC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Host name.
    pub name: String,
    /// Room.
    pub room: String,
}

/// What is going on.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Scene {
    /// Drivers are being loaded.
    #[default]
    Drivers,
    /// Cards are up; no address yet.
    Network,
    /// There is an address; the server has not answered yet.
    Server,
    /// On the waiting list.
    Waiting {
        /// Six digits.
        code: String,
    },
    /// Known, and nothing to do.
    Ready,
    /// A job is carried out.
    Working(Work),
    /// The last job is done, and others still need what this PC has.
    Helping,
    /// The last job is done and the PC restarts.
    Restarting,
    /// Something is wrong.
    Trouble(Trouble),
}

/// A job on the screen.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// What is done.
    pub kind: Kind,
    /// Image name, with the version where there is one.
    pub image: String,
    /// Which part of the job.
    pub phase: images::protocol::Phase,
    /// Bytes done of the phase.
    pub done: u64,
    /// Bytes of the phase; 0 while unknown.
    pub total: u64,
    /// Bytes per second, lately.
    pub rate: f64,
}

/// Kind of job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The disk is written.
    Deploy,
    /// The disk is read.
    Capture,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The kind of problem, which has a text and a remedy in both languages.
    pub problem: Problem,
    /// What exactly, in the words of whatever failed.
    pub detail: String,
    /// When it is tried again, if it is.
    pub retry: Option<Duration>,
}

impl Work {
    /// How long it still takes, as far as one can tell.
    fn remaining(&self) -> Option<Duration> {
        let left = self.total.checked_sub(self.done)? as f64;
        let time = Duration::try_from_secs_f64(left / self.rate).ok()?;
        (self.total > 0 && time < Duration::from_secs(100_000)).then_some(time)
    }
}
