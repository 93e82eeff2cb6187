//! `hausmeister check`: looks at the configuration and at this computer and says in plain words what is wrong and what to do.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use inventory::config::{ConfigFile, Language, Site};
use inventory::{DhcpMode, Inventory, Network, UnixMillis};

use crate::backup::place::Place;
use crate::host::{Holder, Interface, Transport, has_interface, holder_of, interfaces_with_addresses};
use crate::init::SIGNING_KEY;
use crate::up::redacted;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// In order.
    Ok,
    /// Something a person should know; the daemons run.
    Warning,
    /// The daemons cannot do their work.
    Error,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub text: String,
    /// What to do about it; empty when it is in order.
    pub remedy: String,
}

/// Collects findings in one language.
struct Report {
    language: Language,
    findings: Vec<Finding>,
}

impl Report {
    fn pick(&self, de: String, en: String) -> String {
        match self.language {
            Language::De => de,
            Language::En => en,
        }
    }

    fn ok(&mut self, de: String, en: String) {
        let text = self.pick(de, en);
        self.findings.push(Finding { level: Level::Ok, text, remedy: String::new() });
    }

    fn bad(&mut self, level: Level, text: (String, String), remedy: (&str, &str)) {
        let text = self.pick(text.0, text.1);
        let remedy = self.pick(remedy.0.to_owned(), remedy.1.to_owned());
        self.findings.push(Finding { level, text, remedy });
    }
}

/// Checks everything and prints it; the exit code tells whether the daemons can do their work.
///
/// # Errors
/// Never for a finding; only when the result cannot be printed.
pub async fn run(config_path: &Path) -> anyhow::Result<ExitCode> {
    let findings = findings(config_path).await;
    for finding in &findings {
        let mark = match finding.level {
            Level::Ok => "ok     ",
            Level::Warning => "WARNING",
            Level::Error => "ERROR  ",
        };
        println!("{mark}  {}", finding.text);
        if !finding.remedy.is_empty() {
            println!("         -> {}", finding.remedy);
        }
    }
    let worst = findings.iter().map(|f| f.level).max().unwrap_or(Level::Ok);
    Ok(if worst == Level::Error { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Everything that was looked at, in the order of dependence.
pub async fn findings(config_path: &Path) -> Vec<Finding> {
    look(config_path, true).await
}

/// The same without a look into the database, so that no finding can name a device or a person.
pub async fn findings_beside_database(config_path: &Path) -> Vec<Finding> {
    look(config_path, false).await
}

async fn look(config_path: &Path, into_database: bool) -> Vec<Finding> {
    let mut report = Report { language: language_of_terminal(), findings: Vec::new() };
    let Some(config) = configuration(&mut report, config_path) else { return report.findings };
    report.language = config.site.language;
    report.ok(
        format!("Konfiguration {} gelesen", config_path.display()),
        format!("configuration {} read", config_path.display()),
    );
    keys(&mut report, &config.site);
    boot_files(&mut report, &config.site);
    space(&mut report, &config.site);
    clock(&mut report, inventory::clock::now());
    time_zones(&mut report);
    capabilities(&mut report);
    let interfaces = interfaces(&mut report, &config.netd);
    ports(&mut report, &config);
    if into_database {
        let networks = database(&mut report, &config.site, &interfaces).await;
        other_dhcp_servers(&mut report, &interfaces, &networks).await;
    }
    backups(&mut report, &config.file, config_path);
    wlan(&mut report, config.radius.as_ref());
    report.findings
}

struct Config {
    file: ConfigFile,
    site: Site,
    netd: netd::Config,
    deployd: deployd::Config,
    radius: Option<radius::Config>,
    webui: webui::Config,
}

fn configuration(report: &mut Report, path: &Path) -> Option<Config> {
    let read = || -> Result<Config, inventory::config::ConfigError> {
        let file = ConfigFile::read(path)?;
        Ok(Config {
            site: file.site()?,
            netd: file.section("netd")?,
            deployd: file.section("deployd")?,
            radius: file.optional_section("radius")?,
            webui: file.section("webui")?,
            file,
        })
    };
    match read() {
        Ok(config) => Some(config),
        Err(error) => {
            report.bad(
                Level::Error,
                (error.to_string(), error.to_string()),
                ("die genannte Stelle berichtigen", "correct the place that is named"),
            );
            None
        }
    }
}

fn keys(report: &mut Report, site: &Site) {
    for (name, de, en) in [
        ("ca.pem", "Zertifikat der Schule", "the school's certificate"),
        ("ca.key", "Schlüssel der Schule", "the school's key"),
        (SIGNING_KEY, "Schlüssel für Images", "the key that signs images"),
    ] {
        let path = site.keys_dir().join(name);
        match fs::metadata(&path) {
            Err(error) => report.bad(
                Level::Error,
                (
                    format!("{de} {} fehlt: {error}", path.display()),
                    format!("{en} {} is missing: {error}", path.display()),
                ),
                ("`hausmeister init` ausführen", "run `hausmeister init`"),
            ),
            Ok(meta) if meta.permissions().mode() & 0o077 != 0 && name != "ca.pem" => report.bad(
                Level::Error,
                (
                    format!("{} ist für andere lesbar", path.display()),
                    format!("others can read {}", path.display()),
                ),
                (
                    "chmod 600 auf die Datei; dann neue Schlüssel erwägen",
                    "chmod 600 the file; then consider new keys",
                ),
            ),
            Ok(_) => report.ok(format!("{de} vorhanden"), format!("{en} is there")),
        }
    }
}

fn boot_files(report: &mut Report, site: &Site) {
    let missing: Vec<&str> =
        BOOT_FILES.into_iter().filter(|name| !site.boot_dir().join(name).is_file()).collect();
    if missing.is_empty() {
        report.ok("Startumgebung für PCs vorhanden".into(), "the boot environment for PCs is there".into());
    } else {
        let list = missing.join(", ");
        report.bad(
            Level::Error,
            (
                format!("in {} fehlt: {list}; PCs können nicht vom Netz starten", site.boot_dir().display()),
                format!("{} lacks: {list}; PCs cannot boot from the network", site.boot_dir().display()),
            ),
            (
                "`hausmeister boot-environment` und `hausmeister init --boot-files ORDNER` ausführen",
                "run `hausmeister boot-environment` and `hausmeister init --boot-files FOLDER`",
            ),
        );
    }
}

fn wlan(report: &mut Report, config: Option<&radius::Config>) {
    let Some(config) = config else { return };
    let module = Path::new("/usr/lib/freeradius/rlm_rest.so");
    if config.freeradius.exists() && module.exists() {
        report.ok("FreeRADIUS ist installiert".into(), "FreeRADIUS is installed".into());
    } else {
        report.bad(
            Level::Error,
            (
                "FreeRADIUS fehlt: niemand kommt ins WLAN".into(),
                "FreeRADIUS is missing: nobody can join the WLAN".into(),
            ),
            (
                "apt install freeradius freeradius-rest; systemctl disable --now freeradius",
                "apt install freeradius freeradius-rest; systemctl disable --now freeradius",
            ),
        );
    }
}

fn backups(report: &mut Report, file: &ConfigFile, path: &Path) {
    match Place::of(file, path) {
        Ok(Some(place)) => {
            let place = redacted(&place.restic.repository);
            report.ok(format!("Sicherungen gehen nach {place}"), format!("backups go to {place}"));
        }
        Ok(None) => report.bad(
            Level::Warning,
            ("es sind keine Sicherungen eingerichtet".into(), "no backups are set up".into()),
            (
                "`hausmeister backup setup --to ORT` ausführen, mit einem Ort auf einer anderen Platte",
                "run `hausmeister backup setup --to PLACE` with a place on another disk",
            ),
        ),
        Err(error) => report.bad(
            Level::Warning,
            (format!("es wird nicht gesichert: {error:#}"), format!("no backups are made: {error:#}")),
            ("die genannte Stelle berichtigen", "correct the place that is named"),
        ),
    }
}

/// A server whose battery is empty wakes in 1970: then certificates are not valid yet, and lessons and nights are wrong.
fn clock(report: &mut Report, now: UnixMillis) {
    if now < CLOCK_OLDEST {
        report.bad(
            Level::Error,
            (
                "die Uhr dieses Servers geht falsch: sie steht vor dem Jahr 2026".to_owned(),
                "the clock of this server is wrong: it shows a time before 2026".to_owned(),
            ),
            (
                "die Zeit stellen (timedatectl), systemd-timesyncd oder chrony einschalten, die Batterie des Servers prüfen",
                "set the time (timedatectl), switch systemd-timesyncd or chrony on, check the server's battery",
            ),
        );
    } else {
        report.ok("die Uhr kann stimmen".to_owned(), "the clock can be right".to_owned());
    }
}

/// Lessons and nights are in the school's time; without Debian's `tzdata` the pages would reckon in UTC.
fn time_zones(report: &mut Report) {
    if Path::new(TIME_ZONES).is_dir() {
        report.ok("Zeitzonen sind bekannt".to_owned(), "time zones are known".to_owned());
    } else {
        report.bad(
            Level::Warning,
            (
                format!("in {TIME_ZONES} stehen keine Zeitzonen: Stunden und Nächte gelten in UTC"),
                format!("there are no time zones in {TIME_ZONES}: lessons and nights are taken as UTC"),
            ),
            ("apt install tzdata", "apt install tzdata"),
        );
    }
}

fn space(report: &mut Report, site: &Site) {
    let Ok(stat) = nix::sys::statvfs::statvfs(&site.data_dir) else { return };
    let free = stat.blocks_available().saturating_mul(stat.fragment_size());
    let (de, en) = (
        format!("{} GiB frei in {}", free >> 30, site.data_dir.display()),
        format!("{} GiB free in {}", free >> 30, site.data_dir.display()),
    );
    if free < SPACE_WANTED {
        report.bad(
            Level::Warning,
            (de, en),
            ("für Images sollten es mindestens 20 GiB sein", "images want at least 20 GiB"),
        );
    } else {
        report.ok(de, en);
    }
}

fn capabilities(report: &mut Report) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let missing = missing_capabilities(&status);
    if missing.is_empty() {
        report.ok("Rechte ausreichend".into(), "privileges suffice".into());
    } else {
        let list = missing.join(", ");
        report.bad(
            Level::Error,
            (format!("diese Rechte fehlen: {list}"), format!("these capabilities are missing: {list}")),
            (
                "als root ausführen, oder der Unit die Rechte geben",
                "run as root, or give the unit these capabilities",
            ),
        );
    }
}

/// Capabilities that the daemons need and that `CapEff` of /proc/self/status does not hold (capability.h numbers them).
fn missing_capabilities(status: &str) -> Vec<&'static str> {
    let held = status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:")?.trim(), 16).ok())
        .unwrap_or(0);
    [(10, "CAP_NET_BIND_SERVICE"), (12, "CAP_NET_ADMIN"), (13, "CAP_NET_RAW")]
        .into_iter()
        .filter(|(bit, _)| held & (1 << bit) == 0)
        .map(|(_, name)| name)
        .collect()
}

fn interfaces(report: &mut Report, netd: &netd::Config) -> Vec<Interface> {
    let found = interfaces_with_addresses().unwrap_or_default();
    // netd then serves all that have an address.
    let names = match netd.interfaces.as_slice() {
        [] => found.iter().map(|interface| interface.name.clone()).collect(),
        named => named.to_vec(),
    };
    if names.is_empty() {
        report.bad(
            Level::Error,
            ("keine Netzkarte hat eine IPv4-Adresse".into(), "no interface has an IPv4 address".into()),
            (
                "der Netzkarte zur Schule eine feste Adresse geben",
                "give the one towards the school a fixed address",
            ),
        );
    }
    let mut served = Vec::new();
    for name in &names {
        match found.iter().find(|interface| interface.name == *name) {
            None if has_interface(name) => report.bad(
                Level::Error,
                (
                    format!("Netzkarte {name} ist aus oder hat keine IPv4-Adresse"),
                    format!("interface {name} is down or has no IPv4 address"),
                ),
                (
                    "sie einschalten und ihr eine feste Adresse geben",
                    "switch it on and give it a fixed address",
                ),
            ),
            None => report.bad(
                Level::Error,
                (format!("Netzkarte {name} gibt es nicht"), format!("there is no interface {name}")),
                ("[netd] interfaces berichtigen", "correct [netd] interfaces"),
            ),
            Some(interface) => {
                if interface.has_link {
                    report.ok(
                        format!("Netzkarte {name} hat {}", interface.address),
                        format!("interface {name} has {}", interface.address),
                    );
                } else {
                    report.bad(
                        Level::Warning,
                        (
                            format!("Netzkarte {name} hat keine Verbindung"),
                            format!("interface {name} has no link"),
                        ),
                        ("Kabel und Switch prüfen", "check cable and switch"),
                    );
                }
                served.push(interface.clone());
            }
        }
    }
    served
}

fn ports(report: &mut Report, config: &Config) {
    let wanted = [
        (Transport::Udp, config.netd.dhcp_port, "DHCP"),
        (Transport::Udp, config.netd.tftp_port, "TFTP"),
        (Transport::Udp, config.netd.dns_port, "DNS"),
        (Transport::Tcp, config.netd.dns_port, "DNS"),
        (Transport::Udp, config.netd.proxy_dhcp_port, "ProxyDHCP"),
        (Transport::Tcp, config.deployd.boot_listen.port(), "HTTP-Boot"),
        (Transport::Tcp, config.deployd.agent_listen.port(), "Agent"),
        (Transport::Tcp, config.webui.listen.port(), "Web"),
    ];
    let radius = config.radius.iter().flat_map(|config| {
        [(Transport::Udp, config.auth_port, "RADIUS"), (Transport::Udp, config.accounting_port, "RADIUS")]
    });
    let mut free = Vec::new();
    for (transport, port, what) in wanted.into_iter().chain(radius) {
        let proto = if transport == Transport::Udp { "udp" } else { "tcp" };
        match holder_of(transport, port) {
            Holder::Nobody => free.push(format!("{port}/{proto}")),
            Holder::Program { name, pid } if OWN.contains(&name.as_str()) => report.ok(
                format!("Port {port}/{proto} ({what}) hält unser {name} (Prozess {pid})"),
                format!("port {port}/{proto} ({what}) is held by our {name} (process {pid})"),
            ),
            Holder::Hidden => report.bad(
                Level::Error,
                (
                    format!("Port {port}/{proto} ({what}) ist belegt; von wem, ist ohne mehr Rechte nicht zu sehen"),
                    format!("port {port}/{proto} ({what}) is taken; by whom cannot be seen without more privileges"),
                ),
                ("als root ausführen", "run as root"),
            ),
            Holder::Program { name, pid } => report.bad(
                Level::Error,
                (
                    format!("Port {port}/{proto} ({what}) ist von {name} (Prozess {pid}) belegt"),
                    format!("port {port}/{proto} ({what}) is taken by {name} (process {pid})"),
                ),
                ("das Programm beenden oder abschalten", "stop or disable that program"),
            ),
        }
    }
    if !free.is_empty() {
        let list = free.join(" ");
        report.ok(format!("Ports frei: {list}"), format!("ports free: {list}"));
    }
}

/// Returns the networks, as far as they can be used.
async fn database(report: &mut Report, site: &Site, interfaces: &[Interface]) -> Vec<Network> {
    let inventory = match Inventory::open(&site.database_url()).await {
        Ok(inventory) => inventory,
        Err(error) => {
            let cause = std::error::Error::source(&error).map(|c| format!(": {c}")).unwrap_or_default();
            report.bad(
                Level::Error,
                (format!("Datenbank: {error}{cause}"), format!("database: {error}{cause}")),
                ("Adresse, Rechte und freien Platz prüfen", "check its address, permissions and free space"),
            );
            return Vec::new();
        }
    };
    let (networks, problems) = inventory.networks().await.unwrap_or_default();
    let (_, device_problems) = inventory.devices().await.unwrap_or_default();
    for problem in problems.iter().chain(&device_problems) {
        report.bad(
            Level::Warning,
            (problem.to_string(), problem.to_string()),
            (
                "auf der Seite berichtigen; alles andere läuft",
                "correct it on the page; everything else works",
            ),
        );
    }
    for interface in interfaces {
        if !networks.iter().any(|n| n.cidr.contains(interface.address)) {
            report.bad(
                Level::Warning,
                (
                    format!(
                        "zu {} ({}) ist kein Netz eingetragen; dort gibt es kein DHCP",
                        interface.name, interface.network
                    ),
                    format!(
                        "no network is set up for {} ({}); there is no DHCP there",
                        interface.name, interface.network
                    ),
                ),
                ("auf der Seite Netze eintragen", "add it on the page Netze"),
            );
        }
    }
    if inventory.has_users().await.unwrap_or(true) {
        report.ok("Datenbank in Ordnung".into(), "the database is in order".into());
    } else {
        report.bad(
            Level::Error,
            ("niemand kann sich anmelden".into(), "nobody can sign in".into()),
            ("`hausmeister init` ausführen", "run `hausmeister init`"),
        );
    }
    inventory.close().await;
    networks
}

async fn other_dhcp_servers(report: &mut Report, interfaces: &[Interface], networks: &[Network]) {
    for interface in interfaces {
        let name = &interface.name;
        let servers = match netd::dhcp::probe(name, PROBE).await {
            Ok(servers) => servers,
            Err(error) => {
                report.bad(
                    Level::Warning,
                    (
                        format!("auf {name} konnte nicht nach anderen DHCP-Servern gesehen werden: {error}"),
                        format!("could not look for other DHCP servers on {name}: {error}"),
                    ),
                    ("als root ausführen", "run as root"),
                );
                continue;
            }
        };
        let foreign: Vec<String> = servers
            .iter()
            .filter(|seen| !interfaces.iter().any(|own| own.address == seen.server))
            .map(|seen| seen.server.to_string())
            .collect();
        let mode = networks.iter().find(|n| n.cidr.contains(interface.address)).map(|n| n.mode);
        dhcp_server_beside_ours(report, name, mode, &foreign.join(", "));
    }
}

/// What it means that those other servers (none: empty) answer on an interface where ours does this.
fn dhcp_server_beside_ours(report: &mut Report, name: &str, mode: Option<DhcpMode>, foreign: &str) {
    match (mode, foreign) {
        (Some(DhcpMode::Proxy), "") => report.bad(
            Level::Warning,
            (
                format!("auf {name} gibt niemand Adressen: das Netz steht auf Proxy-Betrieb, kein anderer DHCP-Server antwortet"),
                format!("nobody gives addresses on {name}: its network is in proxy mode, and no other DHCP server answers"),
            ),
            (
                "den anderen DHCP-Server einschalten, oder den Betrieb des Netzes auf Server stellen",
                "switch the other DHCP server on, or set the network to server mode",
            ),
        ),
        (_, "") => report.ok(
            format!("kein anderer DHCP-Server auf {name}"),
            format!("no other DHCP server on {name}"),
        ),
        (Some(DhcpMode::Proxy | DhcpMode::Off), _) => report.ok(
            format!("die Adressen auf {name} gibt, wie eingestellt, der DHCP-Server {foreign}"),
            format!("addresses on {name} come, as set, from the DHCP server {foreign}"),
        ),
        (Some(DhcpMode::Server) | None, _) => report.bad(
            Level::Warning,
            (
                format!("auf {name} antwortet ein anderer DHCP-Server: {foreign}"),
                format!("another DHCP server answers on {name}: {foreign}"),
            ),
            (
                "ihn abschalten, oder das Netz auf Proxy-Betrieb stellen",
                "switch it off, or set the network to proxy mode",
            ),
        ),
    }
}

fn language_of_terminal() -> Language {
    let set = |name| std::env::var(name).ok().filter(|v: &String| !v.is_empty());
    match set("LC_ALL").or_else(|| set("LC_MESSAGES")).or_else(|| set("LANG")) {
        Some(locale) if !locale.starts_with("de") => Language::En,
        _ => Language::De,
    }
}

const BOOT_FILES: [&str; 5] = ["vmlinuz", "initrd.img", "shimx64.efi", "grubx64.efi", "undionly.kpxe"];
const OWN: [&str; 5] = ["hausmeister", "netd", "deployd", "freeradius", "webui"];
const PROBE: Duration = Duration::from_secs(3);
const SPACE_WANTED: u64 = 20 << 30;

/// 2026-01-01 in UTC: this program is younger.
const CLOCK_OLDEST: UnixMillis = UnixMillis(1_767_225_600_000);

/// Where the `tzdata` package puts the zones of this continent.
const TIME_ZONES: &str = "/usr/share/zoneinfo/Europe";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_capabilities_are_named() {
        assert!(missing_capabilities("Name:\tx\nCapEff:\t000001ffffffffff\n").is_empty());
        assert_eq!(missing_capabilities("CapEff:\t0000000000000400\n"), ["CAP_NET_ADMIN", "CAP_NET_RAW"]);
        assert_eq!(missing_capabilities("").len(), 3);
    }

    #[test]
    fn another_dhcp_server_is_wrong_only_where_ours_gives_addresses() {
        let level = |mode, foreign: &str| {
            let mut report = Report { language: Language::En, findings: Vec::new() };
            dhcp_server_beside_ours(&mut report, "br0", mode, foreign);
            report.findings.iter().map(|finding| finding.level).max()
        };
        assert_eq!(level(Some(DhcpMode::Server), "10.0.0.2"), Some(Level::Warning));
        assert_eq!(level(Some(DhcpMode::Server), ""), Some(Level::Ok));
        assert_eq!(level(Some(DhcpMode::Proxy), "10.0.0.2"), Some(Level::Ok));
        assert_eq!(level(Some(DhcpMode::Proxy), ""), Some(Level::Warning));
        assert_eq!(level(None, "10.0.0.2"), Some(Level::Warning));
    }

    #[test]
    fn a_clock_at_1970_is_an_error() {
        let level = |at| {
            let mut report = Report { language: Language::En, findings: Vec::new() };
            clock(&mut report, at);
            report.findings.iter().map(|finding| finding.level).max()
        };
        assert_eq!(level(UnixMillis(7_000)), Some(Level::Error));
        assert_eq!(level(CLOCK_OLDEST), Some(Level::Ok));
    }

    #[tokio::test]
    async fn a_missing_configuration_is_one_clear_error() {
        let found = findings(Path::new("/nonexistent/hausmeister.toml")).await;
        assert_eq!(found.len(), 1);
        let finding = found.first().unwrap();
        assert_eq!(finding.level, Level::Error);
        assert!(
            finding.text.contains("/nonexistent/hausmeister.toml")
                && finding.text.contains("hausmeister init")
        );
    }
}
