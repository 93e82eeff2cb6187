//! A school whose server is its gateway, and an internet: servers that talk without end, so that one can see when it stops.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use inventory::gate::{Layer, NewRule, Of, Target};
use inventory::{
    By, DeviceId, DhcpMode, Interface, InterfaceKind, Inventory, Level, Network, NetworkId, NewDevice, Room,
    Stray, clock,
};

use crate::lab::{Namespace, Server, database_url, run};

/// A host of the internet, and the server's address towards it.
pub(crate) const HOST: &str = "198.51.100.2";
pub(crate) const OUTSIDE: &str = "198.51.100.1";
pub(crate) const HOST6: &str = "2001:db8::2";
/// A public resolver that speaks DNS over HTTPS; here it is another address of the host.
pub(crate) const RESOLVER: &str = "9.9.9.9";

/// A device of the school.
pub(crate) struct Device {
    pub(crate) id: DeviceId,
    pub(crate) namespace: Namespace,
    pub(crate) ip: Ipv4Addr,
    pub(crate) mac: String,
}

/// Two PCs in room 204, one in room 205, a teacher's PC in room 204, a gateway, an internet.
pub(crate) struct Campus {
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) inventory: Inventory,
    pub(crate) server: Server,
    pub(crate) rooms: [Room; 2],
    pub(crate) devices: Vec<Device>,
    pub(crate) network: NetworkId,
    _dir: tempfile::TempDir,
    pub(crate) internet: Namespace,
}

/// Index of a device.
pub(crate) const FIRST: usize = 0;
pub(crate) const SECOND: usize = 1;
pub(crate) const ELSEWHERE: usize = 2;
pub(crate) const TEACHER: usize = 3;

impl Campus {
    /// A campus whose network says this; the gateway runs.
    pub(crate) fn new(level: Level) -> Self {
        Self::with_programs(level, None)
    }

    /// The same, with programs that the gateway finds before the system's.
    pub(crate) fn with_programs(level: Level, programs: Option<&Path>) -> Self {
        // The internet's name server signs nothing.
        let dns = format!("dns_forwarders = [\"{HOST}\"]\ndnssec = \"off\"");
        Self::with(level, programs, |_, _| dns)
    }

    /// The same, with something more in the internet, which is told a folder for its files; it returns lines for the section `[netd]`.
    pub(crate) fn with(
        level: Level,
        programs: Option<&Path>,
        more: impl FnOnce(&Namespace, &Path) -> String,
    ) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let inventory = runtime.block_on(Inventory::open(&database_url(dir.path()))).unwrap();
        let (gateway, internet) = (Namespace::new("g"), Namespace::new("i"));
        lay_out(&gateway.0, &internet.0);
        talk(&internet);
        answer_names(&internet);
        let network = runtime.block_on(network(&inventory, level));
        let rooms = runtime.block_on(async {
            [
                inventory.create_room(by(), "204").await.unwrap(),
                inventory.create_room(by(), "205").await.unwrap(),
            ]
        });
        let places = [&rooms[0], &rooms[0], &rooms[1], &rooms[0]];
        let devices = (0u8..).zip(places).map(|(n, room)| {
            let device = Device::new(n, &gateway.0);
            let id = runtime.block_on(register(&inventory, n, room, &device));
            Device { id, ..device }
        });
        let devices: Vec<Device> = devices.collect();
        runtime.block_on(inventory.set_owner(by(), devices[TEACHER].id, None, true)).unwrap();
        let section = format!("interfaces = [\"lan0\"]\n{}", more(&internet, dir.path()));
        let mut server = Server::new(gateway, dir.path(), "gateway", &section);
        if let Some(folder) = programs {
            server = server.with_programs_of(folder);
        }
        server.start();
        Self { runtime, inventory, server, rooms, devices, network, _dir: dir, internet }
    }

    /// A rule of that layer from now, for so many milliseconds.
    pub(crate) fn rule(&self, layer: Layer, target: Target, level: Level, millis: Option<i64>) {
        let now = clock::now();
        let ends_at = millis.map(|millis| inventory::UnixMillis(now.0 + millis));
        let rule = NewRule { layer, target, setting: level.into(), starts_at: now, ends_at };
        self.runtime.block_on(self.inventory.add_rules(By { actor: "test", at: now }, &[rule])).unwrap();
    }

    pub(crate) fn room(&self) -> Target {
        Target::Room(self.rooms[0].id)
    }

    /// The level that was read from the kernel.
    pub(crate) fn confirmed(&self, device: usize) -> Option<Level> {
        let all = self.runtime.block_on(self.inventory.confirmed_levels(Of::School)).unwrap();
        all.get(&self.devices[device].id).map(|confirmed| confirmed.level)
    }

    pub(crate) fn notices(&self) -> Vec<String> {
        self.runtime
            .block_on(self.inventory.notices())
            .unwrap()
            .into_iter()
            .map(|notice| notice.text)
            .collect()
    }

    /// Addresses in use that nothing explains.
    pub(crate) fn strays(&self) -> Vec<Stray> {
        self.runtime.block_on(self.inventory.strays(clock::now())).unwrap().0
    }

    /// Runs nft on the gateway.
    pub(crate) fn nft(&self, command: &str) -> String {
        run(&format!("ip netns exec {} nft '{command}'", self.server.namespace.0))
    }
}

pub(crate) fn by() -> By<'static> {
    By { actor: "test", at: clock::now() }
}

fn lay_out(gateway: &str, internet: &str) {
    run(&format!(
        "ip -n {gateway} link add lan0 type bridge mcast_snooping 0
         ip -n {gateway} link set lan0 up
         ip -n {gateway} link set lo up
         ip -n {gateway} addr add 10.77.0.1/16 dev lan0
         ip -n {gateway} addr add fd77::1/64 dev lan0 nodad
         ip link add wan0 netns {gateway} type veth peer name eth0 netns {internet}
         ip -n {gateway} addr add {OUTSIDE}/24 dev wan0
         ip -n {gateway} addr add 2001:db8::1/64 dev wan0 nodad
         ip -n {gateway} link set wan0 up
         ip -n {gateway} route add default via {HOST}
         ip netns exec {gateway} sysctl -qw net.ipv6.conf.all.forwarding=1
         ip -n {internet} addr add {HOST}/24 dev eth0
         ip -n {internet} addr add {HOST6}/64 dev eth0 nodad
         ip -n {internet} addr add {RESOLVER}/32 dev lo
         ip -n {internet} link set lo up
         ip -n {internet} link set eth0 up
         ip -n {internet} route add fd77::/64 via 2001:db8::1"
    ));
}

async fn network(inventory: &Inventory, level: Level) -> NetworkId {
    let network = Network {
        id: NetworkId::random(),
        name: "Schule".into(),
        cidr: "10.77.0.0/16".parse().unwrap(),
        router: Some([10, 77, 0, 1].into()),
        pool_first: [10, 77, 9, 0].into(),
        pool_last: [10, 77, 9, 200].into(),
        lease_secs: 3600,
        mode: DhcpMode::Server,
    };
    inventory.put_network(by(), &network).await.unwrap();
    // The internet knows no way back to the school's addresses: what arrives was hidden behind the server's.
    inventory.set_network_gate(by(), network.id, Some(level.into()), None, true).await.unwrap();
    network.id
}

async fn register(inventory: &Inventory, n: u8, room: &Room, device: &Device) -> DeviceId {
    let mac = device.mac.parse().unwrap();
    let card = Interface { mac, kind: InterfaceKind::Lan, reserved_ip: Some(device.ip) };
    let name = format!("pc{n}x").parse().unwrap();
    let new = NewDevice { name, room: room.id, desired_image: None, interfaces: vec![card] };
    inventory.create_device(by(), &new).await.unwrap()
}

impl Device {
    fn new(n: u8, gateway: &str) -> Self {
        let namespace = Namespace::new("d");
        let (ip, mac) = (Ipv4Addr::new(10, 77, 1, n + 1), format!("52:54:00:00:01:{n:02x}"));
        run(&format!(
            "ip link add eth0 netns {d} address {mac} type veth peer name port{n} netns {gateway}
             ip -n {gateway} link set port{n} master lan0
             ip -n {gateway} link set port{n} up
             ip -n {d} link set lo up
             ip -n {d} addr add {ip}/16 dev eth0
             ip -n {d} addr add fd77::{v6}/64 dev eth0 nodad
             ip -n {d} link set eth0 up
             ip -n {d} route add default via 10.77.0.1
             ip -n {d} route add default via fd77::1",
            d = namespace.0,
            v6 = n + 0x10,
        ));
        Self { id: DeviceId::random(), namespace, ip, mac }
    }

    /// Whether a TCP connection comes about.
    pub(crate) fn reaches(&self, address: &str) -> bool {
        let address: SocketAddr = address.parse().unwrap();
        self.namespace.enter(|| TcpStream::connect_timeout(&address, PATIENCE).is_ok())
    }

    /// Opens a connection that never stops talking.
    pub(crate) fn listen(&self, address: &str) -> Stream {
        let address: SocketAddr = address.parse().unwrap();
        let mut stream = self.namespace.enter(|| TcpStream::connect_timeout(&address, PATIENCE)).unwrap();
        Stream::of(move |buffer| stream.read(buffer).ok().filter(|bytes| *bytes > 0).is_some())
    }

    /// The same with datagrams, as QUIC does.
    pub(crate) fn listen_udp(&self, address: &str) -> Stream {
        let socket = self.namespace.enter(|| UdpSocket::bind("[::]:0")).unwrap();
        let address: SocketAddr = address.parse().unwrap();
        let address = match address {
            SocketAddr::V4(v4) => SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()),
            v6 => v6,
        };
        // It asks again and again, as whoever waits for a gap would.
        let asking = socket.try_clone().unwrap();
        std::thread::spawn(move || repeat(20, || drop(asking.send_to(b"go on", address))));
        Stream::of(move |buffer| socket.recv(buffer).is_ok())
    }

    /// Asks the school's resolver for the IPv4 address of a name: whether there is one.
    pub(crate) fn resolves(&self, name: &str) -> bool {
        let mut question = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0".to_vec();
        for label in name.split('.') {
            question.push(u8::try_from(label.len()).unwrap());
            question.extend(label.as_bytes());
        }
        question.extend([0, 0, 1, 0, 1]);
        let answer = self.ask("10.77.0.1:53", &question).unwrap();
        answer[6..8] != [0, 0]
    }

    /// What answers a datagram to that address; nothing when nobody does in time.
    pub(crate) fn ask(&self, address: &str, question: &[u8]) -> Option<Vec<u8>> {
        let socket = self.namespace.enter(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect(address).unwrap();
        socket.send(question).ok()?;
        let mut answer = vec![0; 1500];
        let bytes = socket.recv(&mut answer).ok()?;
        answer.truncate(bytes);
        Some(answer)
    }
}

/// Something that arrives all the time.
pub(crate) struct Stream(Arc<AtomicI64>);

impl Stream {
    fn of(mut receive: impl FnMut(&mut [u8]) -> bool + Send + 'static) -> Self {
        let last = Arc::new(AtomicI64::new(0));
        let seen = Arc::clone(&last);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while receive(&mut buffer) {
                seen.store(clock::now().0, Ordering::Relaxed);
            }
        });
        Self(last)
    }

    /// When something arrived last, in milliseconds UTC.
    pub(crate) fn last(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether something arrived within the last 200 ms.
    pub(crate) fn flows(&self) -> bool {
        clock::now().0 - self.last() < 200
    }
}

/// Servers of the internet: TCP and UDP ports that begin to talk when somebody comes, and a foreign resolver.
fn talk(internet: &Namespace) {
    for port in [80, 443, 853] {
        let listener = internet.enter(|| TcpListener::bind(("::", port))).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || babble(|data| (&stream).write_all(data).is_ok()));
            }
        });
    }
    for address in [HOST, HOST6] {
        let socket = internet.enter(|| UdpSocket::bind((address, 443))).unwrap();
        std::thread::spawn(move || {
            let mut known = HashSet::new();
            while let Ok((_, from)) = socket.recv_from(&mut [0; 1500]) {
                let socket = socket.try_clone().unwrap();
                if known.insert(from) {
                    std::thread::spawn(move || babble(|data| socket.send_to(data, from).is_ok()));
                }
            }
        });
    }
    let resolver = internet.enter(|| UdpSocket::bind((RESOLVER, 53))).unwrap();
    std::thread::spawn(move || {
        while let Ok((_, from)) = resolver.recv_from(&mut [0; 1500]) {
            drop(resolver.send_to(FOREIGN, from));
        }
    });
}

/// The internet's name server: every name has the host's address, and no other record.
fn answer_names(internet: &Namespace) {
    let socket = internet.enter(|| UdpSocket::bind((HOST, 53))).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((bytes, from)) = socket.recv_from(&mut buffer) {
            let question = &buffer[..bytes];
            let name = question[12..].iter().position(|byte| *byte == 0).unwrap();
            let end = 12 + name + 5;
            let is_a = question[end - 4..end - 2] == [0, 1];
            let mut answer = question[..end].to_vec();
            answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
            if is_a {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
                answer.extend(HOST.parse::<Ipv4Addr>().unwrap().octets());
            }
            drop(socket.send_to(&answer, from));
        }
    });
}

/// What the foreign resolver answers to everything.
pub(crate) const FOREIGN: &[u8] = b"a foreign resolver";

/// A hundred bytes every five milliseconds, for a minute or until nobody takes them.
fn babble(mut send: impl FnMut(&[u8]) -> bool) {
    let mut taken = true;
    repeat(5, || taken = taken && send(&[b'.'; 100]));
}

/// Does something every so many milliseconds, for a minute.
fn repeat(millis: u16, mut what: impl FnMut()) {
    let (reader, _writer) = std::io::pipe().unwrap();
    for _ in 0..60_000 / u32::from(millis) {
        what();
        let mut polled =
            [nix::poll::PollFd::new(std::os::fd::AsFd::as_fd(&reader), nix::poll::PollFlags::POLLIN)];
        let _ = nix::poll::poll(&mut polled, millis);
    }
}

/// How long a connection may take: everything is on this machine.
const PATIENCE: Duration = Duration::from_millis(600);
