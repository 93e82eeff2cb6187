//! `hausmeister check` in situations that schools have: it names what is wrong and the way out, and nothing that is in order.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::support::lan::{Lan, ip};
use super::support::school::School;
use super::support::{Process, command, output, program};

#[test]
fn a_server_that_was_just_set_up_is_in_order() {
    let school = School::set_up(Lan::new(0));
    let german = Checked::of(&mut school.hausmeister_check());
    german.is_in_order();
    german.finds("ok", "kein anderer DHCP-Server auf br0");
    let english = check(&in_english(school));
    english.is_in_order();
    english.finds("ok", "ports free: 67/udp 69/udp 53/udp 53/tcp 4011/udp 8067/tcp 8443/tcp 443/tcp");
    english.finds("ok", "interface br0 has 10.77.0.1");
    english.finds("ok", "no other DHCP server on br0");
}

#[test]
fn a_taken_port_is_told_with_its_holder() {
    let school = in_english(School::set_up(Lan::new(0)));
    let mut dnsmasq = command("dnsmasq");
    dnsmasq.args(["-d", "-C", "/dev/null", "--no-resolv", "--interface=br0", "--dhcp-leasefile=/dev/null"]);
    dnsmasq.arg("--dhcp-range=10.77.0.20,10.77.0.29");
    let dnsmasq = Process::start(dnsmasq, school.log("dnsmasq")).until_it_says("DHCP, IP range");
    let mut web = command("python3");
    web.args(["-u", "-m", "http.server", "443"]);
    let web = Process::start(web, school.log("web")).until_it_says("Serving HTTP");

    let checked = check(&school);
    checked.failed();
    for port in ["67/udp (DHCP)", "53/udp (DNS)", "53/tcp (DNS)"] {
        checked.finds("ERROR", &format!("port {port} is taken by dnsmasq (process {})", dnsmasq.id()));
    }
    checked.finds("ERROR", &format!("port 443/tcp (Web) is taken by python3 (process {})", web.id()));
    checked.finds("ok", "ports free: 69/udp 4011/udp 8067/tcp 8443/tcp");
    let (code, said) = output(school.hausmeister().arg("up"));
    assert!(code == 1 && said.contains("netd cannot start; `hausmeister check` tells"), "{said}");

    with_few_capabilities_holders_are_hidden(&school);
    drop((dnsmasq, web));
    check(&school).is_in_order();
}

/// Whoever has fewer privileges than the other program is not told who it is, but that the port is taken.
fn with_few_capabilities_holders_are_hidden(school: &School) {
    let mut limited = command("setpriv");
    limited.args(["--bounding-set=-all,+net_bind_service,+net_admin", "--inh-caps=-all"]);
    limited.arg(program("hausmeister"));
    let checked = Checked::of(limited.arg("--config").arg(school.config()).arg("check"));
    checked.failed();
    checked.finds("ERROR", "these capabilities are missing: CAP_NET_RAW");
    checked.finds("ERROR", "port 67/udp (DHCP) is taken; by whom cannot be seen");
    checked.finds("ok", "ports free: 69/udp 4011/udp 8067/tcp 8443/tcp");
    checked.finds("WARNING", "could not look for other DHCP servers on br0");
}

#[test]
fn an_interface_that_cannot_be_served_is_named() {
    let school = in_english(School::set_up(Lan::new(0)));
    ip("link add bare0 type veth peer name bare1\nlink set bare0 up\nlink set bare1 up\n\
        link add loose0 type veth peer name loose1\nlink set loose0 up\naddress add 10.78.0.1/24 dev loose0\n");
    school.configure("[\"br0\"]", "[\"br0\", \"bare0\", \"loose0\", \"ghost0\"]");
    let checked = check(&school);
    checked.failed();
    checked.finds("ERROR", "interface bare0 is down or has no IPv4 address -> switch it on and give it");
    checked.finds("ERROR", "there is no interface ghost0 -> correct [netd] interfaces");
    checked.finds("WARNING", "interface loose0 has no link -> check cable and switch");
    checked.finds("WARNING", "no network is set up for loose0 (10.78.0.0/24); there is no DHCP there");
    checked.finds("ok", "interface br0 has 10.77.0.1");

    ip("link delete bare0\nlink delete loose0\n");
    school.configure("[\"br0\", \"bare0\", \"loose0\", \"ghost0\"]", "[]");
    let every = check(&school);
    every.is_in_order();
    every.finds("ok", "interface br0 has 10.77.0.1");
    ip("address flush dev br0\n");
    check(&school).finds("ERROR", "no interface has an IPv4 address -> give the one towards the school");
}

#[test]
fn a_mistake_in_the_configuration_is_told_with_its_place() {
    let school = School::set_up(Lan::new(0));
    let path = school.config().display().to_string();
    let whole = std::fs::read_to_string(school.config()).unwrap();
    let cases = [
        ("zone = \"schule.internal\"", "zone = ", "line 4"),
        ("zone = \"schule.internal\"", "zoen = \"schule.internal\"", "section [site]: unknown field `zoen`"),
        (
            "[netd]",
            "[netdd]",
            "unknown section [netdd]; known are site, netd, deployd, mdm, radius, webui, backup",
        ),
        ("dns_forwarders = []", "dns_forwarders = [\"dns.example\"]", "\"dns.example\" is no address"),
    ];
    for (from, to, expected) in cases {
        school.configure(from, to);
        let checked = Checked::of(school.hausmeister_check().env("LC_ALL", "en_US.UTF-8"));
        checked.failed();
        checked.finds("ERROR", &path);
        checked.finds("ERROR", expected);
        checked.finds("ERROR", "-> correct the place that is named");
        std::fs::write(school.config(), &whole).unwrap();
    }
    std::fs::remove_file(school.config()).unwrap();
    check(&school).finds("ERROR", "`hausmeister init`");
}

#[test]
fn what_init_made_and_somebody_broke_is_named() {
    let school = in_english(School::set_up(Lan::new(0)));
    let key = school.data().join("keys/ca.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::remove_file(school.data().join("boot/initrd.img")).unwrap();
    std::fs::remove_file(school.data().join("keys/signing.key")).unwrap();
    std::fs::remove_file(school.data().join("hausmeister.db")).unwrap();
    let checked = check(&school);
    checked.failed();
    checked.finds("ERROR", &format!("others can read {} -> chmod 600 the file", key.display()));
    checked.finds("ERROR", "lacks: initrd.img; PCs cannot boot from the network");
    checked.finds("ERROR", "signing.key is missing");
    checked.finds("ERROR", "nobody can sign in -> run `hausmeister init`");
}

#[test]
fn another_dhcp_server_is_a_warning_where_ours_gives_addresses() {
    let school = in_english(School::set_up(Lan::new(0)));
    let router = school.lan.computer("52:54:00:30:00:02");
    let foreign = router.give_addresses("10.77.0.2/24", "10.77.0.20,10.77.0.29", &school.log("dnsmasq"));
    let checked = check(&school);
    assert_eq!(checked.code, 0, "a warning is no failure:\n{}", checked.said);
    checked.finds(
        "WARNING",
        "another DHCP server answers on br0: 10.77.0.2 -> switch it off, or set the network",
    );
    drop(foreign);
    check(&school).is_in_order();
}

#[test]
fn another_dhcp_server_is_expected_in_proxy_mode() {
    let lan = Lan::new(0);
    let router = lan.computer("52:54:00:30:00:02");
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("dnsmasq.log");
    let foreign = router.give_addresses("10.77.0.2/24", "10.77.0.20,10.77.0.29", &log);
    let school = in_english(School::set_up(lan));
    let checked = check(&school);
    checked.is_in_order();
    checked.finds("ok", "addresses on br0 come, as set, from the DHCP server 10.77.0.2");
    drop(foreign);
    check(&school).finds("WARNING", "nobody gives addresses on br0: its network is in proxy mode");
}

#[test]
fn a_running_server_is_no_stranger_to_itself() {
    let school = in_english(School::set_up(Lan::new(0)));
    let up = school.up();
    let checked = check(&school);
    checked.is_in_order();
    for port in ["67/udp (DHCP)", "53/tcp (DNS)", "8443/tcp (Agent)", "443/tcp (Web)"] {
        checked.finds("ok", &format!("port {port} is held by our hausmeister (process {})", up.id()));
    }
    drop(up);
    let netd = school.start("netd");
    let checked = check(&school);
    checked.is_in_order();
    checked.finds("ok", &format!("port 67/udp (DHCP) is held by our netd (process {})", netd.id()));
    checked.finds("ok", "ports free: 8067/tcp 8443/tcp 443/tcp");
}

/// What `check` said.
struct Checked {
    code: i32,
    said: String,
    /// Level, and what was found with its remedy on one line.
    findings: Vec<(String, String)>,
}

impl Checked {
    fn of(command: &mut Command) -> Self {
        let (code, said) = output(command);
        let mut findings: Vec<(String, String)> = Vec::new();
        for line in said.lines() {
            match (line.split_at_checked(9), findings.last_mut()) {
                (Some((level @ ("ok       " | "WARNING  " | "ERROR    "), text)), _) => {
                    findings.push((level.trim().to_owned(), text.to_owned()));
                }
                // A remedy, or a finding of several lines.
                (_, Some((_, text))) => *text = format!("{text} {}", line.trim()),
                (_, None) => panic!("a line without a finding:\n{said}"),
            }
        }
        assert!(!findings.is_empty(), "check says nothing");
        for (level, text) in &findings {
            assert_eq!(text.contains(" -> "), level != "ok", "a way out belongs to what is wrong:\n{said}");
        }
        let wrong = findings.iter().any(|(level, _)| level == "ERROR");
        assert_eq!(code, i32::from(wrong), "the exit code tells whether the daemons can work:\n{said}");
        Self { code, said, findings }
    }

    /// Nothing is wrong but, perhaps, the space on the machine that tests; and nobody has set up backups.
    fn is_in_order(&self) {
        let expected = [" GiB ", "Sicherungen", "backups"];
        let wrong = |(level, text): &&(String, String)| {
            level != "ok" && !expected.iter().any(|part| text.contains(part))
        };
        assert_eq!(self.findings.iter().find(wrong), None, "\n{}", self.said);
    }

    fn failed(&self) {
        assert_eq!(self.code, 1, "{}", self.said);
    }

    fn finds(&self, level: &str, text: &str) {
        let found = self.findings.iter().any(|(has, says)| has == level && says.contains(text));
        assert!(found, "no {level} {text:?} in\n{}", self.said);
    }
}

fn check(school: &School) -> Checked {
    Checked::of(&mut school.hausmeister_check())
}

fn in_english(school: School) -> School {
    school.configure("[site]\n", "[site]\nlanguage = \"en\"\n");
    school
}
