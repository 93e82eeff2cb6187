//! The few system calls that have no safe wrapper.

#![allow(unsafe_code, reason = "ioctl takes a pointer; every use says why it is right")]

use std::fs::File;
use std::os::fd::AsRawFd;

/// Columns and rows of a terminal, if it is one that has a size.
pub fn terminal_size(terminal: &File) -> Option<(usize, usize)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one `winsize`, which lives until the call has returned; the descriptor is open.
    let result = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    (result == 0 && size.ws_col > 0 && size.ws_row > 0).then(|| (size.ws_col.into(), size.ws_row.into()))
}
