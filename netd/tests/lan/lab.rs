//! A server and its clients in network namespaces of their own.

use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use inventory::{By, DhcpMode, Inventory, Lease, Network, NetworkId, Notice, UnixMillis, clock};
use nix::sched::{CloneFlags, setns};

/// The server's address; the network is 10.77.0.0/16.
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// The address of the client side where it plays a relay agent.
pub(crate) const RELAY: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

/// Two namespaces joined by a cable, an inventory, and room for a server process.
pub(crate) struct Lab {
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) inventory: Inventory,
    pub(crate) servers: Vec<Server>,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) network: Network,
    pub(crate) clients: Namespace,
    /// More of the section `[site]`.
    pub(crate) site: &'static str,
}

impl Lab {
    /// A lab whose server, when started, gives 10.77.1.0 up to `last`.
    pub(crate) fn new(last: [u8; 4]) -> Self {
        assert!(nix::unistd::geteuid().is_root(), "these tests lay out network namespaces and need root");
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let url = database_url(dir.path());
        let inventory = runtime.block_on(Inventory::open(&url)).unwrap();
        let network = Network {
            id: NetworkId::random(),
            name: "PCs".into(),
            cidr: "10.77.0.0/16".parse().unwrap(),
            router: Some(SERVER),
            pool_first: [10, 77, 1, 0].into(),
            pool_last: last.into(),
            lease_secs: 3600,
            mode: DhcpMode::Server,
        };
        let lab = Self {
            clients: Namespace::new("c"),
            runtime,
            inventory,
            dir,
            network,
            servers: Vec::new(),
            site: "",
        };
        lab.put_network(&lab.network);
        lab
    }

    pub(crate) fn put_network(&self, network: &Network) {
        let by = By { actor: "test", at: clock::now() };
        self.runtime.block_on(self.inventory.put_network(by, network)).unwrap();
    }

    /// Adds a namespace with a server and a cable to the clients, `cli0`, `cli1`, …, and starts the server. It is to serve
    /// an interface `late0` too, which does not exist.
    pub(crate) fn start_server(&mut self) -> usize {
        let at = self.servers.len();
        let namespace = Namespace::new("s");
        let cable = format!("cli{at}");
        run(&format!(
            "ip link add srv0 netns {s} type veth peer name {cable} netns {c}
             ip -n {s} link set lo up
             ip -n {s} addr add {SERVER}/16 dev srv0
             ip -n {s} link set srv0 up
             ip -n {c} link set {cable} up",
            s = namespace.0,
            c = self.clients.0,
        ));
        let mut server = Server::new(
            namespace,
            self.dir.path(),
            &format!("server{at}"),
            "interfaces = [\"srv0\", \"late0\"]",
        )
        .with_site(self.site);
        server.start();
        self.servers.push(server);
        at
    }

    /// A UDP socket of a relay agent with the address 10.77.0.2 on `cli0`.
    pub(crate) fn relay(&self) -> UdpSocket {
        run(&format!("ip -n {} addr replace {RELAY}/16 dev cli0", self.clients.0));
        let socket = self.clients.enter(|| UdpSocket::bind((RELAY, 67)).unwrap());
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        socket
    }

    /// A UDP socket of a client without an address on a cable.
    pub(crate) fn client(&self, cable: &str) -> UdpSocket {
        let socket = self.clients.enter(|| {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
            socket.bind_device(Some(cable.as_bytes())).unwrap();
            socket.set_broadcast(true).unwrap();
            socket.bind(&std::net::SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68).into()).unwrap();
            UdpSocket::from(socket)
        });
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        socket
    }

    pub(crate) fn leases(&self) -> Vec<Lease> {
        let (leases, problems) = self.runtime.block_on(self.inventory.leases()).unwrap();
        assert!(problems.is_empty(), "{problems:?}");
        leases
    }

    pub(crate) fn lease(&self, ip: Ipv4Addr) -> Option<Lease> {
        self.runtime.block_on(self.inventory.lease(ip)).unwrap()
    }

    pub(crate) fn notices(&self) -> Vec<Notice> {
        self.runtime.block_on(self.inventory.notices()).unwrap()
    }
}

/// A running or stopped `netd`.
pub(crate) struct Server {
    pub(crate) namespace: Namespace,
    config: PathBuf,
    log: PathBuf,
    process: Option<Child>,
    path: Option<String>,
}

impl Server {
    /// A server that does not run yet, with its files in `dir` and this in its section `[netd]`.
    pub(crate) fn new(namespace: Namespace, dir: &Path, name: &str, section: &str) -> Self {
        let (config, log) = (dir.join(format!("{name}.toml")), dir.join(format!("{name}.log")));
        let (data, url) = (dir.display(), database_url(dir));
        let text = format!("[site]\ndata_dir = \"{data}\"\ndatabase = \"{url}\"\n[netd]\n{section}\n");
        std::fs::write(&config, text).unwrap();
        Self { namespace, config, log, process: None, path: None }
    }

    /// With more in its section `[site]`.
    pub(crate) fn with_site(self, lines: &str) -> Self {
        let text = std::fs::read_to_string(&self.config).unwrap();
        std::fs::write(&self.config, text.replacen("[site]\n", &format!("[site]\n{lines}\n"), 1)).unwrap();
        self
    }

    /// Looks for programs in this folder first.
    pub(crate) fn with_programs_of(mut self, folder: &Path) -> Self {
        self.path = Some(format!("{}:{}", folder.display(), std::env::var("PATH").unwrap()));
        self
    }

    /// Starts the process and waits until it serves.
    pub(crate) fn start(&mut self) {
        let log = File::options().append(true).create(true).open(&self.log).unwrap();
        let served = self.log().matches(SERVES).count();
        let child = Command::new("ip")
            .args(["netns", "exec", &self.namespace.0, env!("CARGO_BIN_EXE_netd"), "--config"])
            .arg(&self.config)
            .envs(self.path.iter().map(|path| ("PATH", path)))
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(child);
        eventually("the server serves", || self.log().matches(SERVES).count() > served);
    }

    /// Ends the process as a power cut would.
    pub(crate) fn kill(&mut self) {
        let mut child = self.process.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of the server\n{}", self.log());
        }
        if self.process.is_some() {
            self.kill();
        }
    }
}

const SERVES: &str = "serving DHCP";

/// A network namespace that ends with this.
pub(crate) struct Namespace(pub(crate) String);

impl Namespace {
    pub(crate) fn new(kind: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("netd-{}-{kind}{number}", std::process::id());
        run(&format!("ip netns add {name}"));
        Self(name)
    }

    /// Runs something in the namespace; sockets made there stay there.
    pub(crate) fn enter<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> T {
        let path = format!("/run/netns/{}", self.0);
        std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    setns(File::open(path).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
                    inside()
                })
                .join()
                .unwrap()
        })
    }

    /// Starts a program in the namespace.
    pub(crate) fn spawn(&self, program: &str, arguments: &[&str]) -> Process {
        let child = Command::new("ip")
            .args(["netns", "exec", &self.0, program])
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Process(child)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(Command::new("ip").args(["netns", "del", &self.0]).status());
    }
}

/// A program that ends with this.
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Runs shell commands; panics with their output when one fails.
pub(crate) fn run(script: &str) -> String {
    let output = Command::new("sh").args(["-ec", script]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{script}\n{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Waits until a condition holds, at most ten seconds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = clock::instant();
    let (mut reader, _writer) = std::io::pipe().unwrap();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(10), "waited in vain: {what}");
        wait(&mut reader, 20);
    }
}

/// Waits on a pipe that nobody writes to: a pause that names its length.
fn wait(reader: &mut std::io::PipeReader, millis: u16) {
    use std::os::fd::AsFd;
    let mut polled = [nix::poll::PollFd::new(reader.as_fd(), nix::poll::PollFlags::POLLIN)];
    if nix::poll::poll(&mut polled, millis).unwrap() > 0 {
        reader.read_exact(&mut [0]).unwrap();
    }
}

/// The SQLite file of a folder.
pub(crate) fn database_url(dir: &Path) -> String {
    format!("sqlite://{}", dir.join("hausmeister.db").display())
}

/// Milliseconds until a lease ends.
pub(crate) fn left(lease: &Lease) -> i64 {
    lease.expires_at.millis_since(UnixMillis(clock::now().0))
}
