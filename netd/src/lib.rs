//! `netd`: DHCP, DNS, TFTP and the gate for the school's network.
//!
//! [`run`] starts all of them on one inventory and returns a [`Handle`]; dropping it stops them.

mod chain;
mod changes;
pub mod clients;
pub mod config;
pub mod dhcp;
pub mod dns;
pub mod gate;
mod interfaces;
mod neighbours;
pub mod net;
pub mod ra;
pub mod tftp;
mod udp;

pub use config::Config;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};

use inventory::config::Site;
use inventory::{Boxed, Inventory, Portal};

/// What is logged when nothing else is said. The libraries that ask forwarders name what was asked for in their warnings, and what
/// somebody looks up is nobody else's business.
pub const LOG_FILTER: &str = "info,hickory_net=off,hickory_proto=off,hickory_resolver=off";

/// Why netd cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// DHCP.
    #[error("DHCP cannot start")]
    Dhcp(#[from] net::Error),
    /// DNS.
    #[error("DNS cannot start")]
    Dns(#[from] dns::Error),
    /// TFTP.
    #[error("TFTP cannot start")]
    Tftp(#[from] tftp::Error),
    /// The gate.
    #[error("the gate cannot read the inventory")]
    Gate(#[from] inventory::Error),
}

/// The running daemon; it stops when this is dropped.
#[derive(Debug)]
pub struct Handle {
    dhcp: net::Handle,
    dns: dns::Handle,
    tftp: tftp::Handle,
    gate: gate::Handle,
    _routers: ra::Handle,
}

impl Handle {
    /// The DHCP server.
    #[must_use]
    pub fn dhcp(&self) -> &net::Handle {
        &self.dhcp
    }

    /// The DNS server.
    #[must_use]
    pub fn dns(&self) -> &dns::Handle {
        &self.dns
    }

    /// The TFTP server.
    #[must_use]
    pub fn tftp(&self) -> &tftp::Handle {
        &self.tftp
    }

    /// The gate.
    #[must_use]
    pub fn gate(&self) -> &gate::Handle {
        &self.gate
    }

    /// Waits until one of the servers ended, which none does by itself.
    pub async fn ended(&mut self) {
        tokio::select! {
            () = self.dhcp.ended() => {}
            () = self.dns.ended() => {}
            () = self.tftp.ended() => {}
            () = self.gate.ended() => {}
        }
    }
}

/// Starts the gate, DHCP, DNS and TFTP; they answer when this returns.
///
/// # Errors
/// A port cannot be opened, or the inventory cannot be read. What is wrong inside the inventory is no error but a notice.
pub fn run(site: &Site, config: Config, inventory: Inventory) -> Boxed<'_, Result<Handle, Error>> {
    Box::pin(start(site, config, inventory))
}

async fn start(site: &Site, config: Config, inventory: Inventory) -> Result<Handle, Error> {
    let everywhere = |port| SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port);
    let mut listen = vec![everywhere(config.dns_port).into()];
    if interfaces::have_ipv6() {
        listen.push(SocketAddr::from((Ipv6Addr::UNSPECIFIED, config.dns_port)));
    }
    let dns = dns::Config {
        listen,
        zone: site.zone.clone(),
        own_names: own_name().into_iter().collect(),
        own_addresses: Vec::new(),
        portal: site.portal.as_ref().map(|portal| portal.host().to_owned()),
        forwarders: config.dns_forwarders.iter().map(config::Forwarder::server).collect(),
        dnssec: dns::dnssec::Settings {
            mode: config.dnssec,
            except: config.dnssec_except.iter().map(config::Domain::name).collect(),
            trust_anchor: config.dnssec_trust_anchor.clone(),
        },
        authorities: dns::AUTHORITIES.into(),
        lists_dir: site.lists_dir(),
    };
    let tftp = tftp::Config {
        listen: everywhere(config.tftp_port),
        interfaces: config.interfaces.clone(),
        boot_dir: site.boot_dir(),
        http_port: config.boot_http_port,
        agent_port: config.agent_port,
        kernel_arguments: config.kernel_arguments.clone(),
    };
    let dhcp = net::Config {
        interfaces: config.interfaces.clone(),
        port: config.dhcp_port,
        proxy_port: config.proxy_dhcp_port,
        settings: dhcp::Settings {
            zone: site.zone.clone(),
            boot_http_port: config.boot_http_port,
            client_port: config.dhcp_port.saturating_add(1),
            portal: site.portal.as_ref().map(|portal| portal.uri(Portal::API_PATH)),
        },
    };
    let routers = ra::serve(&config.interfaces);
    // What DHCP names to its clients answers before DHCP does.
    let gate = gate::Config { dns_port: config.dns_port, page_port: config.page_port };
    let gate = gate::serve(gate, inventory.clone()).await?;
    let tftp = tftp::serve(tftp, inventory.clone()).await?;
    let dns = dns::serve(dns, inventory.clone(), Some(gate.link())).await?;
    let told = vec![dns.lease_signal(), gate.lease_signal()];
    let dhcp = net::serve(dhcp, inventory, told).await?;
    for (interface, address) in dhcp.addresses() {
        tracing::info!(interface, %address, "serving DHCP");
    }
    Ok(Handle { dhcp, dns, tftp, gate, _routers: routers })
}

/// This machine's host name, if it can be a DNS label.
fn own_name() -> Option<inventory::Hostname> {
    nix::unistd::gethostname().ok()?.to_str()?.split('.').next()?.parse().ok()
}
