//! A door from this computer's loopback into the demo's network: copies bytes of each connection to the web page inside.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

/// Serves connections of `listener`, which belongs to the outer namespace, from `inside`. Ends with the process.
pub(super) fn open(listener: TcpListener, inside: SocketAddr) {
    std::thread::spawn(move || {
        for outer in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let _ = copy_both_ways(outer, inside);
            });
        }
    });
}

fn copy_both_ways(outer: TcpStream, inside: SocketAddr) -> io::Result<()> {
    let inner = TcpStream::connect(inside)?;
    let (mut from_outer, mut to_inner) = (outer.try_clone()?, inner.try_clone()?);
    let upstream = std::thread::spawn(move || {
        let _ = io::copy(&mut from_outer, &mut to_inner);
        let _ = to_inner.shutdown(Shutdown::Write);
    });
    let (mut from_inner, mut to_outer) = (inner, outer);
    let _ = io::copy(&mut from_inner, &mut to_outer);
    let _ = to_outer.shutdown(Shutdown::Both);
    let _ = upstream.join();
    Ok(())
}
