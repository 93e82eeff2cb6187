//! What a command writes, as far as it is kept.

use std::io::{self, Read};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use software::run::Tail;

/// The end of what comes out of a pipe, read as it comes.
pub(super) struct Output {
    tail: Arc<Mutex<Tail>>,
    /// Closed when nobody can write any more.
    written: mpsc::Receiver<()>,
}

impl Output {
    /// Reads until nobody has the other end.
    pub(super) fn read(reader: io::PipeReader) -> Output {
        let tail = Arc::new(Mutex::new(Tail::default()));
        let (end, written) = mpsc::channel();
        let into = tail.clone();
        std::thread::spawn(move || read_into(reader, &into, end));
        Output { tail, written }
    }

    /// What was written last. Whoever the command left behind may hold the pipe open: they are not waited for.
    pub(super) fn tail(&self) -> Tail {
        match self.written.recv_timeout(WRITTEN_WITHIN) {
            Ok(()) | Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout) => {}
        }
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// `_end` tells by its end that there is nothing more to read.
fn read_into(mut reader: io::PipeReader, tail: &Mutex<Tail>, _end: mpsc::Sender<()>) {
    let mut buffer = [0; 4096];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                let piece = buffer.get(..count).unwrap_or_default();
                tail.lock().unwrap_or_else(PoisonError::into_inner).push(piece);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

const WRITTEN_WITHIN: Duration = Duration::from_secs(2);
