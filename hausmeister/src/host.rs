//! What this computer has: interfaces with their networks, and who holds a port.

use std::collections::HashSet;
use std::fs;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{OpenOptionsExt as _, fchown, lchown};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use inventory::Cidr;

/// A network interface with its first IPv4 address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// The network that the address lies in.
    pub network: Cidr,
    /// The default gateway in that network, if another machine is it.
    pub gateway: Option<Ipv4Addr>,
    /// Whether there is something at the other end of its cable.
    pub has_link: bool,
}

/// Whether there is an interface of that name, whatever its state.
#[must_use]
pub fn has_interface(name: &str) -> bool {
    nix::net::if_::if_nametoindex(name).is_ok()
}

/// All interfaces but loopback that are up and have an IPv4 address, with the first one each.
///
/// # Errors
/// The kernel does not tell.
pub fn interfaces_with_addresses() -> anyhow::Result<Vec<Interface>> {
    let routes = fs::read_to_string("/proc/net/route").unwrap_or_default();
    let mut found: Vec<Interface> = Vec::new();
    for entry in nix::ifaddrs::getifaddrs()? {
        let flags = nix::net::if_::InterfaceFlags::IFF_UP;
        let loopback = nix::net::if_::InterfaceFlags::IFF_LOOPBACK;
        if !entry.flags.contains(flags) || entry.flags.contains(loopback) {
            continue;
        }
        let address = entry.address.as_ref().and_then(|a| a.as_sockaddr_in()).map(|a| a.ip());
        let mask = entry.netmask.as_ref().and_then(|m| m.as_sockaddr_in()).map(|m| m.ip());
        let (Some(address), Some(mask)) = (address, mask) else { continue };
        if found.iter().any(|i| i.name == entry.interface_name) {
            continue;
        }
        let network = Cidr::containing(address, u8::try_from(u32::from(mask).leading_ones()).unwrap_or(32));
        let gateway = default_gateway(&routes, &entry.interface_name);
        let has_link = entry.flags.contains(nix::net::if_::InterfaceFlags::IFF_RUNNING);
        found.push(Interface { name: entry.interface_name, address, network, gateway, has_link });
    }
    Ok(found)
}

/// The gateway of the default route through an interface, from the text of /proc/net/route (numbers in the host's order).
fn default_gateway(routes: &str, interface: &str) -> Option<Ipv4Addr> {
    routes.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace();
        let (name, destination, gateway) = (fields.next()?, fields.next()?, fields.next()?);
        let gateway = u32::from_str_radix(gateway, 16).ok()?;
        (name == interface && destination == "00000000" && gateway != 0)
            .then(|| Ipv4Addr::from(gateway.swap_bytes()))
    })
}

/// The account that the packaged daemons run as; `packaging/deb/postinst` creates it.
pub const SERVICE_USER: &str = "hausmeister";

/// What starts all daemons, where the program was installed as a package.
pub const SERVICE_UNITS: &str = "/lib/systemd/system/hausmeister.target";

/// Gives the data folder, and others, to the packaged daemons' account, and lets it read the configuration, which stays root's. Does
/// nothing when this process is not root or there is no such account, as where the program was not installed as a package.
///
/// # Errors
/// The list of accounts cannot be read, or a file cannot be given away.
pub fn give_to_daemons(folders: &[&Path], config: &Path) -> anyhow::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let Some(user) =
        nix::unistd::User::from_name(SERVICE_USER).context("cannot read the list of accounts")?
    else {
        return Ok(());
    };
    let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
    lchown(config, None, Some(gid))
        .with_context(|| format!("cannot let {SERVICE_USER} read {}", config.display()))?;
    for folder in folders {
        give_folder(folder, uid, gid)
            .with_context(|| format!("cannot give {} to {SERVICE_USER}", folder.display()))?;
    }
    Ok(())
}

/// A folder and all in it. The account that owns it may be exchanging its entries meanwhile, so each folder is opened without
/// following a link, and its entries are named through what was opened: root never gives away anything outside.
fn give_folder(folder: &Path, uid: u32, gid: u32) -> std::io::Result<()> {
    let flags = libc::O_NOFOLLOW | libc::O_DIRECTORY;
    let opened = fs::OpenOptions::new().read(true).custom_flags(flags).open(folder)?;
    fchown(&opened, Some(uid), Some(gid))?;
    let through = PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd()));
    for entry in fs::read_dir(&through)? {
        let entry = entry?;
        let path = through.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            give_folder(&path, uid, gid)?;
        } else {
            lchown(&path, Some(uid), Some(gid))?;
        }
    }
    Ok(())
}

/// Transport protocol of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP, listening.
    Tcp,
}

/// Who has a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// Nobody.
    Nobody,
    /// A program that this user may look at.
    Program {
        /// Its name.
        name: String,
        /// Its process id.
        pid: u32,
    },
    /// A program of somebody with more privileges, or of another container.
    Hidden,
}

/// Who has a port in this network namespace.
#[must_use]
pub fn holder_of(transport: Transport, port: u16) -> Holder {
    let files = match transport {
        Transport::Udp => ["/proc/net/udp", "/proc/net/udp6"],
        Transport::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
    };
    let mut inodes = HashSet::new();
    for file in files {
        inodes.extend(socket_inodes(&fs::read_to_string(file).unwrap_or_default(), transport, port));
    }
    if inodes.is_empty() {
        return Holder::Nobody;
    }
    match process_with_socket(&inodes) {
        Some((name, pid)) => Holder::Program { name, pid },
        None => Holder::Hidden,
    }
}

/// Inodes of the sockets bound to a port, from the text of /proc/net/{udp,tcp}{,6}.
fn socket_inodes(table: &str, transport: Transport, port: u16) -> Vec<u64> {
    let listening = |state: &str| transport == Transport::Udp || state == "0A";
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (_, bound) = fields.get(1)?.rsplit_once(':')?;
            let bound = u16::from_str_radix(bound, 16).ok()?;
            (bound == port && listening(fields.get(3)?)).then(|| fields.get(9)?.parse().ok()).flatten()
        })
        .collect()
}

fn process_with_socket(inodes: &HashSet<u64>) -> Option<(String, u32)> {
    process_with(|target| {
        let inode = target.to_str().and_then(|t| t.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
        inode.is_some_and(|inode| inodes.contains(&inode))
    })
}

/// A process that has a file open, with its name.
#[must_use]
pub fn process_with_file(path: &Path) -> Option<(String, u32)> {
    let path = fs::canonicalize(path).ok()?;
    process_with(|target| target == path)
}

/// The first process that has something open whose name in `/proc/PID/fd` is wanted.
fn process_with(wanted: impl Fn(&Path) -> bool) -> Option<(String, u32)> {
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else { continue };
        let mut targets =
            descriptors.flatten().filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
        if targets.any(|target| wanted(&target)) {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some((name.trim().to_owned(), pid));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn what_a_link_leads_to_is_not_given_away() {
        assert!(nix::unistd::geteuid().is_root(), "the tests run as root");
        let place = tempfile::tempdir().unwrap();
        let (outside, data) = (place.path().join("outside"), place.path().join("data"));
        fs::create_dir_all(data.join("keys")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("shadow"), "").unwrap();
        fs::write(data.join("keys/ca.key"), "").unwrap();
        std::os::unix::fs::symlink(&outside, data.join("folder")).unwrap();
        std::os::unix::fs::symlink(outside.join("shadow"), data.join("keys/file")).unwrap();
        give_folder(&data, 4242, 4243).unwrap();
        let owner = |path: PathBuf| fs::symlink_metadata(path).map(|m| (m.uid(), m.gid())).unwrap();
        for given in [data.clone(), data.join("keys"), data.join("keys/ca.key"), data.join("folder")] {
            assert_eq!(owner(given.clone()), (4242, 4243), "{}", given.display());
        }
        assert_eq!((owner(outside.clone()), owner(outside.join("shadow"))), ((0, 0), (0, 0)));
        assert!(give_folder(&data.join("folder"), 1, 1).is_err(), "a link in place of the folder is refused");
    }

    #[test]
    fn the_default_gateway_is_read_from_the_kernels_table() {
        let routes = "Iface\tDestination\tGateway\tFlags\n\
                      eth0\t00000000\t0100A8C0\t0003\n\
                      eth1\t00004D0A\t00000000\t0001\n";
        assert_eq!(default_gateway(routes, "eth0"), Some(Ipv4Addr::new(192, 168, 0, 1)));
        assert_eq!(default_gateway(routes, "eth1"), None);
    }

    #[test]
    fn the_holder_of_a_port_is_found() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let holder = holder_of(Transport::Udp, port);
        assert!(matches!(holder, Holder::Program { pid, .. } if pid == std::process::id()), "{holder:?}");
        drop(socket);
        assert_eq!(holder_of(Transport::Udp, port), Holder::Nobody);
    }

    #[test]
    fn who_has_a_file_open_is_found() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let own = std::process::id();
        assert!(process_with_file(file.path()).is_some_and(|(_, pid)| pid == own));
        let path = file.into_temp_path();
        assert_eq!(process_with_file(&path), None);
    }
}
