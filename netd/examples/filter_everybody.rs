//! The DNS server by itself, for which everybody in the school's networks is filtered with the first filter: to try lists, and to
//! measure what they cost without a gate. Takes the daemon's own configuration file.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use inventory::config::ConfigFile;
use inventory::{Inventory, Level};
use netd::clients::{Client, Clients, Link};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_env_filter("info").with_writer(std::io::stderr).init();
    let path = std::env::args().skip_while(|argument| argument != "--config").nth(1);
    let file = ConfigFile::read(&PathBuf::from(path.unwrap_or_else(|| "hausmeister.toml".into())))?;
    let (site, config): (_, netd::Config) = (file.site()?, file.section("netd")?);
    let inventory = Inventory::open(&site.database_url()).await?;
    let clients = Arc::new(arc_swap::ArcSwap::from_pointee(Clients::default()));
    let (openings, _opened) = tokio::sync::mpsc::channel(1);
    let dns = netd::dns::Config {
        listen: vec![SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, config.dns_port).into()],
        zone: site.zone.clone(),
        own_names: Vec::new(),
        own_addresses: Vec::new(),
        portal: None,
        forwarders: config.dns_forwarders.iter().map(netd::config::Forwarder::server).collect(),
        dnssec: netd::dns::dnssec::Settings { mode: netd::dns::dnssec::Mode::Off, ..Default::default() },
        authorities: netd::dns::AUTHORITIES.into(),
        lists_dir: site.lists_dir(),
    };
    let _handle =
        netd::dns::serve(dns, inventory.clone(), Some(Link { clients: Arc::clone(&clients), openings }))
            .await?;
    loop {
        let filter = inventory.filters().await?.0.first().map(|filter| filter.id);
        let everybody = Client { number: 0, level: Level::Filtered, filter, list: None };
        let networks = inventory.networks().await?.0.into_iter().map(|network| (network.cidr, everybody));
        clients.store(Arc::new(Clients { networks: networks.collect(), ..Clients::default() }));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
