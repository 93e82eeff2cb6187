//! `hausmeister init`: from an installed program to a server that can be started. Whatever exists is left as it is, so that
//! it can be repeated after an interruption.

use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use inventory::ca::{Authority, write_secret};
use inventory::config::ConfigFile;
use inventory::mdm::ServerUrl;
use inventory::{By, Cidr, DhcpMode, Inventory, Network, NetworkId, Role};
use rand::Rng as _;

use crate::backup::phrase::random_sign;
use crate::cli::InitArgs;
use crate::host::{Interface, SERVICE_UNITS, give_to_daemons, interfaces_with_addresses};

/// Sets up this server.
///
/// # Errors
/// A file cannot be written, no interface has an address, or an answer makes no sense.
pub async fn run(config_path: &Path, args: InitArgs) -> anyhow::Result<()> {
    let interfaces = chosen_interfaces(&args.interfaces)?;
    write_config(config_path, &args, &interfaces)?;
    let site = ConfigFile::read(config_path)?.site()?;
    std::fs::create_dir_all(&site.data_dir)
        .with_context(|| format!("cannot create {}", site.data_dir.display()))?;

    let authority = Authority::ensure(&site.keys_dir(), &site.name)?;
    let signing_key = site.keys_dir().join(SIGNING_KEY);
    if !signing_key.exists() {
        let secret: [u8; 32] = rand::rng().random();
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        write_secret(&signing_key, hex.as_bytes())?;
    }
    install_boot_files(&args.boot_files, &site.boot_dir(), authority.pem())?;

    let inventory = Inventory::open(&site.database_url()).await?;
    let by = By { actor: "hausmeister init", at: inventory::clock::now() };
    let password = first_admin(&inventory, by, &args).await?;
    let networks = add_networks(&inventory, by, &interfaces).await?;
    inventory.close().await;
    // After the database is closed: what its last connection leaves behind is given away too.
    give_to_daemons(&[&site.data_dir], config_path)?;

    println!("{} is set up.", site.name);
    println!("  configuration   {}", config_path.display());
    println!("  data and keys   {}", site.data_dir.display());
    for (interface, network) in interfaces.iter().zip(&networks) {
        println!("  {:<15} {network}", interface.name);
    }
    match password {
        Some(password) => println!("  sign in as      {}  with the password  {password}", args.admin),
        None => println!("  sign in as      {}", args.admin),
    }
    println!("  certificate     {}  (let browsers trust it)", site.keys_dir().join("ca.pem").display());
    if Path::new(SERVICE_UNITS).exists() {
        println!("Next: `hausmeister check`, then `systemctl start hausmeister.target`.");
    } else {
        println!("Next: `hausmeister check`, then `hausmeister up`.");
    }
    Ok(())
}

fn chosen_interfaces(named: &[String]) -> anyhow::Result<Vec<Interface>> {
    let found = interfaces_with_addresses()?;
    if named.is_empty() {
        if found.is_empty() {
            bail!(
                "no network interface has an IPv4 address; give the one towards the school a fixed address first"
            );
        }
        return Ok(found);
    }
    named
        .iter()
        .map(|name| {
            found.iter().find(|interface| interface.name == *name).cloned().with_context(|| {
                let known: Vec<&str> = found.iter().map(|i| i.name.as_str()).collect();
                format!(
                    "interface {name} does not exist or has no IPv4 address; these have one: {}",
                    known.join(", ")
                )
            })
        })
        .collect()
}

fn write_config(path: &Path, args: &InitArgs, interfaces: &[Interface]) -> anyhow::Result<()> {
    if path.exists() {
        println!("Keeping the configuration {}.", path.display());
        return Ok(());
    }
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let list = |items: Vec<String>| items.iter().map(|i| quoted(i)).collect::<Vec<_>>().join(", ");
    let mut text = format!(
        "# Hausmeister reads this file when it starts. Everything else is set on the web page.\n\
         [site]\nname = {}\nzone = {}\ndata_dir = {}\n",
        quoted(args.name.as_deref().unwrap_or("Schule")),
        quoted(args.zone.as_deref().unwrap_or("schule.internal")),
        quoted(&args.data_dir.display().to_string()),
    );
    if let Some(database) = &args.database {
        text += &format!("database = {}\n", quoted(database));
    }
    if let Some(url) = &args.mdm_url {
        let url = ServerUrl::try_from(url.clone()).map_err(anyhow::Error::msg)?;
        text += &format!("mdm_url = {}\n", quoted(url.as_str()));
    }
    text += &format!(
        "\n[netd]\ninterfaces = [{}]\ndns_forwarders = [{}]\n\n[deployd]\nkernel_arguments = {}\n\n[webui]\npage_listen = \"0.0.0.0:{}\"\n",
        list(interfaces.iter().map(|i| i.name.clone()).collect()),
        list(args.dns_forwarders.iter().map(Ipv4Addr::to_string).collect()),
        quoted(&args.kernel_arguments),
        netd::Config::default().page_port,
    );
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    }
    // The database address may hold a password.
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o640)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    std::io::Write::write_all(&mut file, text.as_bytes())?;
    file.sync_all()?;
    Ok(())
}

/// Copies the boot environment and adds the school's certificate to it. The initramfs is a sequence of archives that the
/// kernel unpacks one after the other (Documentation/driver-api/early-userspace/buffer-format.rst).
fn install_boot_files(from: &Path, to: &Path, ca_pem: &str) -> anyhow::Result<()> {
    if !from.join("initrd.img").exists() {
        println!(
            "No boot environment in {}: PCs cannot boot from the network until `hausmeister boot-environment` made one \
                  and `hausmeister init --boot-files` was repeated.",
            from.display()
        );
        return Ok(());
    }
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        if !entry.file_type()?.is_file() {
            continue;
        }
        let mut content = std::fs::read(entry.path())?;
        if entry.file_name() == "initrd.img" {
            content.resize(content.len().next_multiple_of(4), 0);
            content.extend(images::bootenv::site_cpio(ca_pem));
        }
        let target = to.join(entry.file_name());
        let unfinished = target.with_extension("new");
        std::fs::write(&unfinished, content)
            .with_context(|| format!("cannot write {}", unfinished.display()))?;
        std::fs::rename(&unfinished, &target)?;
    }
    Ok(())
}

/// Adds the first admin, unless somebody may sign in already. Returns a password that was made up.
async fn first_admin(inventory: &Inventory, by: By<'_>, args: &InitArgs) -> anyhow::Result<Option<String>> {
    if inventory.has_users().await? {
        return Ok(None);
    }
    let given = match &args.password_file {
        Some(path) => {
            let text =
                std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            Some(text.lines().next().unwrap_or_default().to_owned())
        }
        None => None,
    };
    if given.as_ref().is_some_and(|password| password.chars().count() < 10) {
        bail!("the first admin's password must have at least 10 characters");
    }
    let password = given.clone().unwrap_or_else(made_up_password);
    inventory.create_user(by, &args.admin, &inventory::password::hash(&password)?, Role::SchoolAdmin).await?;
    Ok(given.is_none().then_some(password))
}

/// Four groups of four letters and digits that cannot be mistaken for each other: 79 bits.
fn made_up_password() -> String {
    let groups: Vec<String> = (0..4).map(|_| (0..4).map(|_| random_sign()).collect()).collect();
    groups.join("-")
}

/// Adds a network for every interface whose network is not known yet; returns a line about each.
async fn add_networks(
    inventory: &Inventory,
    by: By<'_>,
    interfaces: &[Interface],
) -> anyhow::Result<Vec<String>> {
    let mut told = Vec::new();
    for interface in interfaces {
        let cidr = interface.network;
        let (known, _) = inventory.networks().await?;
        if let Some(network) = known.iter().find(|n| n.cidr.contains(interface.address)) {
            told.push(format!("network {} ({}), as set before", network.name, network.cidr));
            continue;
        }
        let others = netd::dhcp::probe(&interface.name, PROBE).await.unwrap_or_default();
        let mode = if others.is_empty() { DhcpMode::Server } else { DhcpMode::Proxy };
        let Some((pool_first, pool_last)) = pool(cidr, interface.address) else {
            told.push(format!("network {cidr} is too small for a pool; add it on the page Netze"));
            continue;
        };
        let network = Network {
            id: NetworkId::random(),
            name: format!("{} {cidr}", interface.name),
            cidr,
            router: Some(interface.gateway.unwrap_or(interface.address)),
            pool_first,
            pool_last,
            lease_secs: 8 * 3600,
            mode,
        };
        inventory.put_network(by, &network).await?;
        told.push(match others.first() {
            None => format!("gives addresses {pool_first} to {pool_last} of {cidr}"),
            Some(other) => format!("boots PCs beside the DHCP server {} that answers there", other.server),
        });
    }
    Ok(told)
}

/// The upper half of a network without its last 5 addresses, which people like to give by hand.
fn pool(cidr: Cidr, own: Ipv4Addr) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let (first, last) = (u32::from(cidr.network()), u32::from(cidr.broadcast()));
    let size = last - first;
    let (mut from, to) = (first + size / 2 + 1, last.checked_sub(6)?);
    if from <= u32::from(own) && u32::from(own) <= to {
        from = u32::from(own) + 1;
    }
    (from < to).then(|| (from.into(), to.into()))
}

/// How long other DHCP servers are listened for.
const PROBE: Duration = Duration::from_secs(3);
/// File of the key that signs image manifests.
pub const SIGNING_KEY: &str = "signing.key";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_lies_in_the_upper_half_and_never_holds_the_server() {
        let check = |cidr: &str, own: [u8; 4], expected: Option<([u8; 4], [u8; 4])>| {
            let pool = pool(cidr.parse().unwrap(), own.into());
            assert_eq!(pool, expected.map(|(a, b)| (a.into(), b.into())), "{cidr}");
        };
        check("10.77.0.0/24", [10, 77, 0, 1], Some(([10, 77, 0, 128], [10, 77, 0, 249])));
        check("10.77.0.0/24", [10, 77, 0, 200], Some(([10, 77, 0, 201], [10, 77, 0, 249])));
        check("10.0.0.0/16", [10, 0, 0, 1], Some(([10, 0, 128, 0], [10, 0, 255, 249])));
        check("10.77.0.0/29", [10, 77, 0, 1], None);
    }

    #[test]
    fn a_made_up_password_is_long_and_different_each_time() {
        let (a, b) = (made_up_password(), made_up_password());
        assert!(a.len() == 19 && a != b, "{a} {b}");
    }
}
