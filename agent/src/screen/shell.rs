//! The devices behind the screen.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::render::{percent, render};
use super::{Scene, View, texts};
use crate::cmdline::Cmdline;

/// The monitor and the serial lines. Clones show the same.
#[derive(Clone)]
pub struct Screen {
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    view: View,
    monitor: Option<File>,
    lines: Vec<Box<dyn Write + Send>>,
    /// What was said last on the serial line, so that it is said once.
    said: String,
}

impl Screen {
    /// The screen of the boot environment: `/dev/tty0` and the serial lines of the kernel command line.
    pub fn open(cmdline: &Cmdline) -> Screen {
        let open = |name: &str| {
            let flags = libc::O_NOCTTY | libc::O_NONBLOCK;
            let mut options = OpenOptions::new();
            std::os::unix::fs::OpenOptionsExt::custom_flags(options.write(true), flags);
            options.open(Path::new("/dev").join(name)).ok()
        };
        let monitor = open("tty0");
        if let Some(mut tty) = monitor.as_ref() {
            // No cursor, no blanking, UTF-8, a clear screen.
            let _ = tty.write_all(b"\x1b[?25l\x1b[9;0]\x1b[14;0]\x1b%G\x1b[2J");
        }
        let serial = cmdline.serial_consoles.iter().filter_map(|name| open(name));
        let lines = serial.map(|file| Box::new(Patient(file)) as Box<dyn Write + Send>).collect();
        Screen::new(monitor, lines)
    }

    /// A screen that writes plain lines to one place: for the resident agent and for tests.
    pub fn to(line: Box<dyn Write + Send>) -> Screen {
        Screen::new(None, vec![line])
    }

    fn new(monitor: Option<File>, lines: Vec<Box<dyn Write + Send>>) -> Screen {
        let shared = Shared { view: View::default(), monitor, lines, said: String::new() };
        Screen { shared: Arc::new(Mutex::new(shared)) }
    }

    /// Changes what is shown.
    pub fn change(&self, change: impl FnOnce(&mut View)) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let before = shared.view.clone();
        change(&mut shared.view);
        if before != shared.view {
            shared.draw();
            shared.speak();
        }
    }

    /// Changes the scene only. Difficulties of the last one are over.
    pub fn show(&self, scene: Scene) {
        self.change(|view| {
            view.scene = scene;
            view.hitch = None;
        });
    }

    /// Writes a milestone to the serial lines, after `MARK `.
    pub fn mark(&self, text: &str) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).line(&format!("MARK {text}"));
    }

    /// Writes a line to the serial lines that is worth reading when something is wrong.
    pub fn note(&self, text: &str) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).line(&format!("hausmeister: {text}"));
    }
}

impl Shared {
    fn draw(&mut self) {
        let Some(mut tty) = self.monitor.as_ref() else { return };
        let (columns, rows) = crate::sys::terminal_size(tty).unwrap_or((80, 25));
        let mut frame = String::from("\x1b[H");
        for (number, line) in render(&self.view, columns, rows).iter().enumerate() {
            // No line feed behind the last line: it would scroll.
            frame.push_str(if number == 0 { "" } else { "\r\n" });
            frame.push_str(line);
            frame.push_str("\x1b[K");
        }
        // A monitor that cannot be written to is switched off or not there.
        let _ = tty.write_all(frame.as_bytes());
    }

    /// The serial line hears about every new scene, and every tenth of a job.
    fn speak(&mut self) {
        let [_, headline] = texts::headline(&self.view.scene);
        let said = match &self.view.scene {
            Scene::Working(work) if work.total > 0 => {
                let tenth = percent(work.done, work.total) / 10 * 10;
                let [_, phase] = texts::phase(work.phase, work.kind);
                format!("{headline}: {phase}, {tenth} %")
            }
            Scene::Trouble(trouble) => format!("{headline}: {}", trouble.detail),
            _ => headline.to_owned(),
        };
        if said != self.said {
            self.line(&format!("hausmeister: {said}"));
            self.said = said;
        }
    }

    fn line(&mut self, text: &str) {
        let printable: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        for line in &mut self.lines {
            // Carriage return: the serial line is raw for us.
            let _ = line.write_all(format!("{printable}\r\n").as_bytes());
        }
    }
}

/// A serial line that is given a second to take what it should, since one that nobody reads must not stop a deploy.
struct Patient(File);

impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut waiting = [PollFd::new(self.0.as_fd(), PollFlags::POLLOUT)];
        poll(&mut waiting, PollTimeout::from(1000u16))?;
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
