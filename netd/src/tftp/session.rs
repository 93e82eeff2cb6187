//! One client's transfer: a socket of its own, the engine, and the content.

use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use inventory::clock;
use nix::sys::socket::{ControlMessage, MsgFlags, getsockopt, sendmsg, sockopt};
use tftpd::{ErrorCode, Opcode, Packet, TransferOption};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::files::{Content, Refusal};
use super::request::{BLOCK_BYTES_MAX, Terms};
use super::transfer::{Effect, Input, Transfer, low16};

/// How a session ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The client has everything.
    Sent {
        /// Length of the file.
        bytes: u64,
    },
    /// The client ended it, for example because it only wanted to know the size.
    Stopped,
    /// The client fell silent.
    Silent,
    /// What it asked for cannot be had.
    Refused(Refusal),
    /// Reading the file or sending failed.
    Failed(io::Error),
}

/// A socket for one client: bound to the address that was asked, heard by that client only.
///
/// A packet of somebody else is answered by the kernel with "port unreachable" and not with ERROR 5 (RFC 1350 section 4);
/// the running transfer is not disturbed either way.
#[derive(Debug)]
pub(crate) struct ClientSocket {
    socket: UdpSocket,
    /// Whether the kernel cuts a window into packets for us.
    cuts: bool,
}

impl ClientSocket {
    pub(crate) async fn open(ours: std::net::Ipv4Addr, client: SocketAddrV4) -> io::Result<Self> {
        let socket = UdpSocket::bind(SocketAddr::from((ours, 0))).await?;
        socket.connect(client).await?;
        Ok(Self { socket, cuts: true })
    }

    /// The largest block that travels to this client in one packet.
    fn block_max(&self) -> u16 {
        let mtu = getsockopt(&self.socket, sockopt::IpMtu).unwrap_or(1500);
        u16::try_from(mtu.saturating_sub(HEADERS_BYTES)).unwrap_or(u16::MAX).clamp(512, BLOCK_BYTES_MAX)
    }

    /// Tells the client that something went wrong; the packet is not repeated (RFC 1350 section 7).
    pub(crate) async fn refuse(&self, code: ErrorCode, text: &str) {
        if let Ok(bytes) = (Packet::Error { code, msg: text.to_owned() }).serialize() {
            // A client that cannot be reached needs no message.
            drop(self.socket.send(&bytes).await);
        }
    }

    async fn offer(&self, options: &[TransferOption]) -> io::Result<()> {
        let bytes = Packet::Oack(options.to_vec()).serialize().map_err(io::Error::other)?;
        self.socket.send(&bytes).await.map(drop)
    }

    /// Sends packets that lie one after the other, all of `packet_bytes` but for the last.
    async fn send_window(&mut self, packets: &[u8], packet_bytes: u16) -> io::Result<()> {
        if packets.len() <= usize::from(packet_bytes) {
            return self.socket.send(packets).await.map(drop);
        }
        if self.cuts {
            let sent = self
                .socket
                .async_io(Interest::WRITABLE, || {
                    let parts = [io::IoSlice::new(packets)];
                    let cut = [ControlMessage::UdpGsoSegments(&packet_bytes)];
                    let fd = self.socket.as_raw_fd();
                    Ok(sendmsg::<()>(fd, &parts, &cut, MsgFlags::MSG_DONTWAIT, None)?)
                })
                .await;
            match sent.as_ref().err().and_then(io::Error::raw_os_error) {
                // A network card without checksum offload, or an old kernel.
                Some(nix::libc::EIO | nix::libc::EINVAL | nix::libc::EOPNOTSUPP) => self.cuts = false,
                _ => return sent.map(drop),
            }
        }
        for packet in packets.chunks(usize::from(packet_bytes)) {
            self.socket.send(packet).await?;
        }
        Ok(())
    }

    async fn receive(&self) -> io::Result<Input> {
        let mut buffer = [0; REPLY_BYTES];
        loop {
            let bytes = self.socket.recv(&mut buffer).await?;
            if let Some(input) = buffer.get(..bytes).and_then(read) {
                return Ok(input);
            }
        }
    }
}

/// What a client's packet says to a running transfer; `None` when nothing.
fn read(packet: &[u8]) -> Option<Input> {
    let (head, rest) = packet.split_first_chunk::<2>()?;
    match Opcode::from_u16(u16::from_be_bytes(*head)).ok()? {
        Opcode::Ack => rest.first_chunk::<2>().map(|block| Input::Ack(u16::from_be_bytes(*block))),
        Opcode::Error => Some(Input::Refused),
        _ => None,
    }
}

/// Carries one transfer out. `heard` becomes true when the client answered for the first time.
pub(crate) async fn run(
    mut socket: ClientSocket,
    asked: &[TransferOption],
    mut content: Content,
    heard: Arc<AtomicBool>,
) -> Ending {
    let terms = Terms::agree(asked, socket.block_max(), content.bytes());
    let mut transfer = Transfer::new(clock::instant(), terms.clone(), content.bytes());
    let mut packets = Vec::new();
    let mut next = transfer.handle(clock::instant(), Input::Start);
    let timer = tokio::time::sleep_until(clock::instant().into());
    tokio::pin!(timer);
    loop {
        let done = match next {
            None => Ok(()),
            Some(Effect::Offer) => socket.offer(&terms.confirmed).await,
            Some(Effect::Send { first, count }) => {
                match fill(&mut packets, &mut content, &terms, first, count).await {
                    Ok(()) => socket.send_window(&packets, terms.block_bytes + DATA_HEADER_BYTES).await,
                    Err(error) => {
                        socket.refuse(ErrorCode::NotDefined, "the file cannot be read").await;
                        return Ending::Failed(error);
                    }
                }
            }
            Some(Effect::Finish) => return Ending::Sent { bytes: content.bytes() },
            Some(Effect::Stop) => return Ending::Stopped,
            Some(Effect::GiveUp) => return Ending::Silent,
        };
        match done {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Ending::Stopped,
            Err(error) => return Ending::Failed(error),
        }
        let input = tokio::select! {
            biased;
            input = socket.receive() => match input {
                Ok(input) => {
                    heard.store(true, Ordering::Relaxed);
                    input
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Input::Refused,
                Err(error) => return Ending::Failed(error),
            },
            () = &mut timer => Input::Timeout,
        };
        let now = clock::instant();
        next = transfer.handle(now, input);
        // A deadline that moved away is left to be found out when the timer goes off: moving the timer with every
        // acknowledgement would cost as much as the acknowledgement.
        if let Some(deadline) = transfer.next_timeout()
            && (input == Input::Timeout || timer.deadline() > deadline.into())
        {
            timer.as_mut().reset(deadline.into());
        }
    }
}

/// Lays the DATA packets of some blocks one after the other.
async fn fill(
    packets: &mut Vec<u8>,
    content: &mut Content,
    terms: &Terms,
    first: u64,
    count: u16,
) -> io::Result<()> {
    let block_bytes = usize::from(terms.block_bytes);
    let from = (first - 1) * u64::from(terms.block_bytes);
    let mut bytes = content.range(from, block_bytes * usize::from(count)).await?;
    packets.clear();
    for block in first..first + u64::from(count) {
        let (data, rest) = bytes.split_at(block_bytes.min(bytes.len()));
        packets.extend_from_slice(&Opcode::Data.as_bytes());
        packets.extend_from_slice(&low16(block).to_be_bytes());
        packets.extend_from_slice(data);
        bytes = rest;
    }
    Ok(())
}

/// IP, UDP and TFTP headers of a block.
const HEADERS_BYTES: i32 = 20 + 8 + 4;
const DATA_HEADER_BYTES: u16 = 4;
/// More than an ACK; an ERROR's text is not read.
const REPLY_BYTES: usize = 64;
