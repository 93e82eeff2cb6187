//! The well-known port: takes requests, starts sessions, keeps their number bounded.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use inventory::boot::BootView;
use inventory::{Inventory, clock};
use tftpd::ErrorCode;
use tokio::sync::oneshot;
use tokio::task::{Id, JoinHandle, JoinSet};

use super::files::{self, Content, Name, Refusal, Scripts};
use super::request::{self, Asked, Request};
use super::session::{self, ClientSocket, Ending};
use super::{Config, Error};
use crate::chain::chain;
use crate::udp::{AskedSocket, Datagram, control_buffer};

/// A running server; it stops, with all its transfers, when this is dropped.
#[derive(Debug)]
pub struct Handle {
    address: SocketAddrV4,
    follower: JoinHandle<()>,
    /// Dropped to stop the server's thread.
    _running: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
}

impl Handle {
    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// Waits until the server ended, which it does not by itself unless it broke.
    pub async fn ended(&mut self) {
        // The other end is dropped with the thread.
        drop((&mut self.ended).await);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

/// Starts the server; it answers when this returns.
///
/// Transfers run on a thread of their own. Each block waits for its acknowledgement, so a transfer is as fast as a thread wakes up,
/// and threads that share work wake each other up first.
///
/// # Errors
/// The port cannot be opened, or the inventory cannot be read.
pub async fn serve(config: Config, inventory: Inventory) -> Result<Handle, Error> {
    let changes = inventory.follow();
    let view = Arc::new(ArcSwap::from_pointee(inventory.boot_view().await?));
    let server = Server {
        scripts: Scripts {
            http_port: config.http_port,
            agent_port: config.agent_port,
            kernel_arguments: config.kernel_arguments.clone(),
        },
        view: Arc::clone(&view),
        sessions: Sessions::default(),
        reports: Reports::default(),
        config,
    };
    let (running, stop) = oneshot::channel();
    let (end, ended) = oneshot::channel();
    let address = start(server, stop, end)?;
    let follower = tokio::spawn(follow(inventory, changes, view));
    Ok(Handle { address, follower, _running: running, ended })
}

/// Opens the port and starts the thread.
fn start(
    server: Server,
    stop: oneshot::Receiver<()>,
    end: oneshot::Sender<()>,
) -> Result<SocketAddrV4, Error> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Thread)?;
    let address = server.config.listen;
    let opened = {
        let _inside = runtime.enter();
        AskedSocket::bind(address.into())
            .and_then(|socket| Ok((SocketAddrV4::new(*address.ip(), socket.local()?.port()), socket)))
    };
    let (local, socket) = match opened {
        Ok(opened) => opened,
        Err(source) => {
            // Dropping it would wait, which is not allowed here.
            runtime.shutdown_background();
            return Err(Error::Bind { address, source });
        }
    };
    let thread = move || {
        runtime.block_on(async {
            tokio::select! {
                () = server.run(socket) => {}
                _ = stop => {}
            }
        });
        drop(end);
    };
    std::thread::Builder::new().name("tftp".into()).spawn(thread).map_err(Error::Thread)?;
    Ok(local)
}

/// Keeps the snapshot of who boots what up to date.
async fn follow(
    inventory: Inventory,
    mut changes: tokio::sync::watch::Receiver<u64>,
    view: Arc<ArcSwap<BootView>>,
) {
    while changes.changed().await.is_ok() {
        let began = clock::instant();
        match inventory.boot_view().await {
            Ok(fresh) => view.store(Arc::new(fresh)),
            Err(error) => {
                tracing::warn!(
                    error = chain(&error),
                    "cannot read who boots what; boot scripts stay as they were"
                );
                changes.mark_changed();
            }
        }
        // Progress of jobs changes the inventory all the time; reading it takes at most a tenth of the time.
        tokio::time::sleep(REREAD.max(9 * (clock::instant() - began))).await;
    }
}

struct Server {
    config: Config,
    scripts: Scripts,
    view: Arc<ArcSwap<BootView>>,
    sessions: Sessions,
    reports: Reports,
}

/// A session that ended.
struct Ended {
    file: String,
    client: SocketAddrV4,
    began: Instant,
    ending: Ending,
}

impl Server {
    async fn run(mut self, socket: AskedSocket) {
        let (mut buffer, mut control) = ([0; REQUEST_BYTES], control_buffer());
        let mut running: JoinSet<Ended> = JoinSet::new();
        loop {
            tokio::select! {
                received = socket.receive(&mut buffer, &mut control) => match received {
                    Ok(datagram) => {
                        let bytes = buffer.get(..datagram.bytes).unwrap_or_default();
                        self.take(&datagram, bytes, &mut running);
                    }
                    Err(error) => {
                        tracing::error!(%error, "cannot receive TFTP requests; trying again");
                        tokio::time::sleep(RETRY).await;
                    }
                },
                Some(ended) = running.join_next_with_id() => match ended {
                    Ok((id, ended)) => {
                        self.sessions.end(id);
                        self.report(&ended);
                    }
                    Err(error) => {
                        self.sessions.end(error.id());
                        tracing::error!(%error, "a TFTP session broke");
                    }
                },
            }
        }
    }

    fn take(&mut self, datagram: &Datagram, bytes: &[u8], running: &mut JoinSet<Ended>) {
        if datagram.cut || !self.serves(datagram) {
            return;
        }
        let Some((client, ours)) = datagram.v4() else { return };
        let (code, text) = match request::read(bytes) {
            Asked::Stray => return,
            Asked::Read(request) => return self.start(datagram, bytes, request, running),
            Asked::Write => (ErrorCode::AccessViolation, "this server is read only"),
            Asked::Malformed(problem) => (ErrorCode::IllegalOperation, problem),
        };
        if self.reports.due(*client.ip(), clock::instant()) {
            tracing::warn!(client.ip = %client.ip(), reason = text, "refused a TFTP request");
        }
        if self.sessions.full(*client.ip()) {
            return;
        }
        let id = running
            .spawn(async move {
                let began = clock::instant();
                if let Ok(socket) = ClientSocket::open(ours, client).await {
                    socket.refuse(code, text).await;
                }
                Ended { file: String::new(), client, began, ending: Ending::Stopped }
            })
            .id();
        self.sessions.begin(id, client, bytes, Arc::default());
    }

    fn start(&mut self, datagram: &Datagram, bytes: &[u8], request: Request, running: &mut JoinSet<Ended>) {
        let Some((client, ours)) = datagram.v4() else { return };
        if self.sessions.repeats(client, bytes) {
            // Our answer is on its way or will be repeated.
            return;
        }
        if self.sessions.full(*client.ip()) {
            // Silence makes firmware ask again, an error makes it give up.
            if self.reports.due(*client.ip(), clock::instant()) {
                tracing::warn!(client.ip = %client.ip(), sessions = self.sessions.by_id.len(),
                    "too many TFTP transfers at once; this request is not answered");
            }
            return;
        }
        let name = Name::read(&request.file);
        let script =
            name.as_ref().and_then(|name| self.scripts.text(name, ours, &self.view.load(), clock::now()));
        let boot_dir = self.config.boot_dir.clone();
        let heard = Arc::new(AtomicBool::new(false));
        let heard_of = Arc::clone(&heard);
        let id = running
            .spawn(async move {
                let began = clock::instant();
                let ending = transfer(ours, client, name, script, boot_dir, &request, heard_of).await;
                Ended { file: request.file, client, began, ending }
            })
            .id();
        self.sessions.begin(id, client, bytes, heard);
    }

    fn serves(&self, datagram: &Datagram) -> bool {
        self.config.interfaces.is_empty()
            || datagram.asked.is_loopback()
            || nix::net::if_::if_indextoname(datagram.interface)
                .ok()
                .and_then(|name| name.into_string().ok())
                .is_some_and(|name| self.config.interfaces.contains(&name))
    }

    fn report(&mut self, ended: &Ended) {
        let now = clock::instant();
        let (ip, file) = (ended.client.ip(), printable(&ended.file));
        let duration_ms = u64::try_from(now.duration_since(ended.began).as_millis()).unwrap_or(u64::MAX);
        match &ended.ending {
            Ending::Sent { bytes } => {
                tracing::info!(client.ip = %ip, file, bytes, duration_ms, "sent a file by TFTP");
            }
            // Firmware asks for the size first, and boot loaders ask for files that need not exist.
            Ending::Stopped => tracing::debug!(client.ip = %ip, file, "the client ended a TFTP transfer"),
            Ending::Refused(Refusal::Absent) => {
                tracing::debug!(client.ip = %ip, file, "a file that does not exist was asked for by TFTP");
            }
            _ if !self.reports.due(*ip, now) => {}
            Ending::Silent => {
                tracing::warn!(client.ip = %ip, file, duration_ms, "the client of a TFTP transfer fell silent")
            }
            Ending::Refused(refusal) => {
                tracing::warn!(client.ip = %ip, file, error = chain(refusal), "cannot serve a file by TFTP");
            }
            Ending::Failed(error) => {
                tracing::warn!(client.ip = %ip, file, %error, "a TFTP transfer failed");
            }
        }
    }
}

async fn transfer(
    ours: Ipv4Addr,
    client: SocketAddrV4,
    name: Option<Name>,
    script: Option<String>,
    boot_dir: std::path::PathBuf,
    request: &Request,
    heard: Arc<AtomicBool>,
) -> Ending {
    let socket = match ClientSocket::open(ours, client).await {
        Ok(socket) => socket,
        Err(error) => return Ending::Failed(error),
    };
    let content = match (name, script) {
        (_, Some(text)) => Ok(Content::Text(text.into_bytes())),
        (Some(name), None) => files::find(boot_dir, name).await,
        (None, None) => Err(Refusal::Absent),
    };
    match content {
        Ok(content) => session::run(socket, &request.options, content, heard).await,
        Err(refusal) => {
            let (code, text) = match refusal {
                Refusal::Absent => (ErrorCode::FileNotFound, "no such file"),
                Refusal::NotPlain => (ErrorCode::AccessViolation, "not a plain file"),
                Refusal::Read(_) => (ErrorCode::NotDefined, "the file cannot be read"),
            };
            socket.refuse(code, text).await;
            Ending::Refused(refusal)
        }
    }
}

/// The running sessions.
#[derive(Default)]
struct Sessions {
    by_id: HashMap<Id, Session>,
    per_client: HashMap<Ipv4Addr, usize>,
}

struct Session {
    client: SocketAddrV4,
    request: Vec<u8>,
    heard: Arc<AtomicBool>,
}

impl Sessions {
    fn full(&self, client: Ipv4Addr) -> bool {
        self.by_id.len() >= SESSIONS_MAX
            || self.per_client.get(&client).is_some_and(|n| *n >= SESSIONS_PER_CLIENT)
    }

    /// Whether this is the same request again, sent before our answer arrived. Firmware does so after a few seconds.
    fn repeats(&self, client: SocketAddrV4, request: &[u8]) -> bool {
        self.per_client.contains_key(client.ip())
            && self.by_id.values().any(|session| {
                session.client == client
                    && session.request == request
                    && !session.heard.load(Ordering::Relaxed)
            })
    }

    fn begin(&mut self, id: Id, client: SocketAddrV4, request: &[u8], heard: Arc<AtomicBool>) {
        self.by_id.insert(id, Session { client, request: request.to_vec(), heard });
        *self.per_client.entry(*client.ip()).or_default() += 1;
    }

    fn end(&mut self, id: Id) {
        let Some(session) = self.by_id.remove(&id) else { return };
        if let Some(count) = self.per_client.get_mut(session.client.ip()) {
            *count -= 1;
            if *count == 0 {
                self.per_client.remove(session.client.ip());
            }
        }
    }
}

/// Who was complained about lately: one line per source and minute.
#[derive(Default)]
struct Reports {
    last: HashMap<Ipv4Addr, Instant>,
}

impl Reports {
    fn due(&mut self, source: Ipv4Addr, now: Instant) -> bool {
        if self.last.len() >= REPORTS_MAX {
            self.last.retain(|_, at| now.duration_since(*at) < REPORT_EVERY);
        }
        let known = self.last.get(&source).is_some_and(|at| now.duration_since(*at) < REPORT_EVERY);
        if known || self.last.len() >= REPORTS_MAX {
            return false;
        }
        self.last.insert(source, now);
        true
    }
}

fn printable(name: &str) -> String {
    name.chars().take(80).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Sessions at once: a school of 2,000 PCs that starts within a minute has about 100.
const SESSIONS_MAX: usize = 512;
/// Sessions of one client at once. Firmware has one; a boot loader that was started again leaves one behind.
const SESSIONS_PER_CLIENT: usize = 8;
/// Longer requests are not read (RFC 2347 section 2: a request is at most 512 bytes).
const REQUEST_BYTES: usize = 600;
const REPORT_EVERY: Duration = Duration::from_secs(60);
const REPORTS_MAX: usize = 1024;
/// Least time between two readings of the inventory.
const REREAD: Duration = Duration::from_millis(200);
const RETRY: Duration = Duration::from_millis(100);

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn a_source_is_reported_once_a_minute_and_their_number_is_bounded() {
        let mut reports = Reports::default();
        let now = clock::instant();
        let source = |n: u32| Ipv4Addr::from(0x0a00_0000 + n);
        assert!(reports.due(source(1), now));
        assert!(!reports.due(source(1), now + Duration::from_secs(59)));
        assert!(reports.due(source(1), now + Duration::from_secs(60)));
        let many = (0..5000).filter(|n| reports.due(source(*n), now + Duration::from_secs(61))).count();
        assert!(many < 1100 && reports.last.len() <= REPORTS_MAX);
        assert!(reports.due(source(4999), now + Duration::from_secs(180)));
    }
}
