//! The demo's internet: one host behind the school's server that shows a film, ten pictures a second, for as long as somebody looks.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Context as _;

use crate::vm::{Computer, Network};

/// The internet, for as long as this is kept.
pub(super) struct Internet {
    _host: Computer,
}

impl Internet {
    /// Lays a cable from the server to the internet.
    pub(super) fn connect(network: &Network) -> anyhow::Result<Self> {
        let host = network.outside("wan0", "198.51.100.1/24", "52:54:00:77:01:01")?;
        host.ip(&format!("address add {HOST}/24 dev eth0\n"))?;
        let listener =
            host.inside(|| Ok(TcpListener::bind((HOST, 80))?)).context("nobody can serve the internet")?;
        std::thread::spawn(move || serve(&listener));
        Ok(Self { _host: host })
    }
}

fn serve(listener: &TcpListener) {
    for viewer in listener.incoming().flatten() {
        std::thread::spawn(move || {
            let _ = show(viewer);
        });
    }
}

/// Answers any request with a film.
fn show(mut viewer: TcpStream) -> io::Result<()> {
    viewer.set_read_timeout(Some(VIEWER_MAX))?;
    viewer.set_write_timeout(Some(VIEWER_MAX))?;
    let request = BufReader::new(io::Read::take(&viewer, REQUEST_MAX));
    let _ = request.lines().map_while(Result::ok).take_while(|line| !line.is_empty()).count();
    viewer.write_all(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n")?;
    let (_never, tick) = mpsc::channel::<()>();
    for picture in 1_u64.. {
        viewer.write_all(format!("{PICTURE} {picture}\n").as_bytes())?;
        let _ = tick.recv_timeout(Duration::from_millis(100));
    }
    Ok(())
}

/// The host's address: one for documentation (RFC 5737).
pub(super) const HOST: &str = "198.51.100.2";
/// How every line of the film begins.
pub(super) const PICTURE: &str = "Bild";
const REQUEST_MAX: u64 = 4096;
const VIEWER_MAX: Duration = Duration::from_secs(300);
