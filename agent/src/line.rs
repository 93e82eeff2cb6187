//! Asking the server again and again, with ever longer pauses, while the screen tells what is wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::client::{Client, ClientError};
use crate::clock;
use crate::screen::{Problem, Screen};

/// A client that does not give up. Clones share everything.
#[derive(Clone)]
pub struct Line {
    client: Client,
    screen: Screen,
    stop: Arc<AtomicBool>,
    pauses: Pauses,
}

/// How long to wait between two tries.
#[derive(Debug, Clone, Copy)]
pub struct Pauses {
    /// After the first failure; doubled after every other.
    pub first: Duration,
    /// Never longer than this.
    pub longest: Duration,
}

impl Default for Pauses {
    fn default() -> Pauses {
        Pauses { first: Duration::from_millis(500), longest: Duration::from_secs(15) }
    }
}

impl Line {
    /// A line to the server that `client` talks to.
    pub fn new(client: Client, screen: Screen, pauses: Pauses) -> Line {
        Line { client, screen, stop: Arc::default(), pauses }
    }

    /// The client, for requests that are not worth repeating.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The screen that hears about difficulties.
    pub fn screen(&self) -> &Screen {
        &self.screen
    }

    /// The same line for one job: [`Line::stop`] on it ends only what was begun on it.
    #[must_use]
    pub fn for_job(&self) -> Line {
        Line { stop: Arc::default(), ..self.clone() }
    }

    /// Ends all waiting on this line: what is asked for is not needed any more.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Asks until there is an answer that will not change.
    ///
    /// # Errors
    /// The answer is no, or the line was stopped.
    pub fn ask<T>(&self, request: impl Fn(&Client) -> Result<T, ClientError>) -> Result<T, ClientError> {
        let mut failures = 0u32;
        loop {
            let error = match request(&self.client) {
                Ok(answer) => {
                    if failures > 0 {
                        self.screen.change(|view| view.hitch = None);
                    }
                    return Ok(answer);
                }
                Err(error) => error,
            };
            failures = failures.saturating_add(1);
            if failures >= error.attempts_max() || self.stop.load(Ordering::Relaxed) {
                return Err(error);
            }
            self.complain(&error, failures);
            clock::wait(self.pause(failures));
        }
    }

    fn complain(&self, error: &ClientError, failures: u32) {
        let problem = match error {
            ClientError::Untrusted(_) => Problem::Untrusted,
            _ => Problem::NoServer,
        };
        let detail = error.to_string();
        // One broken connection is nothing to tell.
        if failures == 3 {
            self.screen.mark(&format!("error {} {detail}", problem.name()));
        }
        self.screen.change(|view| view.hitch = Some((problem, detail)));
    }

    /// With a random part, so that a room of PCs does not come back in the same moment.
    fn pause(&self, failures: u32) -> Duration {
        let doubled = self.pauses.first.saturating_mul(1 << (failures - 1).min(16));
        doubled.min(self.pauses.longest).mul_f64(0.75 + rand::random::<f64>() / 2.0)
    }
}
