//! Validation with a real name server, BIND, whose zones are signed with Debian's tools.

use std::path::{Path, PathBuf};

use inventory::Level::{Filtered, On};
use inventory::{Filter, FilterId, ListAction, ListId, NewList};

use crate::internet::{Campus, HOST, by};
use crate::lab::{Namespace, Process, eventually, run};

/// Address of the name server in the internet.
const SIGNER: &str = "198.51.100.53";

/// A root zone with zones below it: `gut.` is signed, in `bogus.` somebody changed an address after it was signed, `offen.` is unsigned.
struct Signer {
    named: Process,
    anchor: PathBuf,
}

impl Signer {
    fn start(internet: &Namespace, dir: &Path) -> Self {
        let dir = dir.join("named");
        std::fs::create_dir(&dir).unwrap();
        let head = "$TTL 300\n@ IN SOA ns.gut. hostmaster.gut. 1 3600 600 86400 60\n@ IN NS ns.gut.\n";
        let address = format!("ns IN A {SIGNER}\nwww IN A 192.0.2.80\n");
        let zones = [
            ("gut", format!("{head}{address}alias IN CNAME www.offen.\nsicher IN CNAME www\n")),
            ("bogus", format!("{head}{address}")),
            ("offen", format!("{head}{address}")),
        ];
        let mut root = format!(
            "{head}gut. IN NS ns.gut.\nns.gut. IN A {SIGNER}\nbogus. IN NS ns.gut.\noffen. IN NS ns.gut.\n"
        );
        for (zone, text) in &zones {
            std::fs::write(dir.join(zone), text).unwrap();
            if *zone != "offen" {
                sign(&dir, zone, &format!("{zone}."));
                root += &std::fs::read_to_string(dir.join(format!("dsset-{zone}."))).unwrap();
            }
        }
        std::fs::write(dir.join("root"), root).unwrap();
        sign(&dir, "root", ".");
        let bogus = dir.join("bogus.signed");
        let text = std::fs::read_to_string(&bogus).unwrap();
        assert!(text.contains("192.0.2.80"));
        std::fs::write(&bogus, text.replace("192.0.2.80", "192.0.2.66")).unwrap();

        let path = dir.display();
        let zone = |name: &str, file: &str| {
            format!("zone \"{name}\" {{ type primary; file \"{path}/{file}\"; }};\n")
        };
        let conf = format!(
            "options {{ directory \"{path}\"; pid-file none; session-keyfile none; listen-on {{ {SIGNER}; }}; listen-on-v6 {{ none; }};
               recursion yes; allow-query {{ any; }}; allow-recursion {{ any; }}; dnssec-validation no; check-names primary ignore; }};
             controls {{ }};\n{}{}{}{}",
            zone(".", "root.signed"),
            zone("gut", "gut.signed"),
            zone("bogus", "bogus.signed"),
            zone("offen", "offen"),
        );
        std::fs::write(dir.join("named.conf"), conf).unwrap();
        run(&format!("ip -n {} addr add {SIGNER}/32 dev eth0", internet.0));
        let named = internet.spawn("named", &["-g", "-c", &format!("{path}/named.conf")]);
        eventually("the name server answers", || {
            dig(internet, SIGNER, "+norec . SOA").contains("status: NOERROR")
        });
        Self { named, anchor: dir.join("anchor") }
    }
}

/// Makes keys and signs a zone; those of the root are kept as what is trusted.
fn sign(dir: &Path, file: &str, zone: &str) {
    let d = dir.display();
    run(&format!(
        "cd {d}; zsk=$(dnssec-keygen -q -a ECDSAP256SHA256 {zone}); ksk=$(dnssec-keygen -q -a ECDSAP256SHA256 -f KSK {zone})
         cat $zsk.key $ksk.key >> {file}; cp $ksk.key anchor
         dnssec-signzone -o {zone} -f {file}.signed {file} >/dev/null 2>&1"
    ));
}

fn dig(from: &Namespace, server: &str, question: &str) -> String {
    run(&format!("ip netns exec {} dig +tries=1 +time=3 @{server} {question} || true", from.0))
}

/// What the school's server answers to a pupil's PC.
fn asked(campus: &Campus, question: &str) -> String {
    dig(&campus.devices[0].namespace, "10.77.0.1", question)
}

fn campus(mode: &str) -> (Campus, Signer) {
    let mut signer = None;
    let campus = Campus::with(On, None, |internet, dir| {
        let started = Signer::start(internet, dir);
        let anchor = started.anchor.display().to_string();
        signer = Some(started);
        format!("dns_forwarders = [\"{SIGNER}\"]\ndnssec = \"{mode}\"\ndnssec_trust_anchor = \"{anchor}\"")
    });
    (campus, signer.unwrap())
}

#[test]
fn signed_names_are_proven_forged_ones_are_refused_and_unsigned_ones_work() {
    let (campus, _signer) = campus("validate");
    let good = asked(&campus, "+dnssec www.gut");
    assert!(good.contains("192.0.2.80") && good.contains("flags: qr rd ra ad"), "{good}");
    assert!(!good.contains("RRSIG"), "signatures are not handed on: {good}");
    assert!(asked(&campus, "+noedns +adflag www.gut").contains("flags: qr rd ra ad"), "RFC 6840 section 5.8");
    assert!(
        !asked(&campus, "+noedns +noadflag www.gut").contains(" ad;"),
        "who does not ask is told nothing"
    );
    assert!(asked(&campus, "+dnssec sicher.gut").contains("flags: qr rd ra ad"), "along a signed alias");

    let forged = asked(&campus, "+dnssec www.bogus");
    assert!(forged.contains("status: SERVFAIL") && !forged.contains("192.0.2.66"), "{forged}");
    assert!(forged.contains("EDE: 6 (DNSSEC Bogus)"), "{forged}");
    assert!(asked(&campus, "www.bogus").contains("EDE: 6"), "and so it is from memory");

    let unsigned = asked(&campus, "+dnssec www.offen");
    assert!(unsigned.contains("192.0.2.80") && !unsigned.contains(" ad;"), "{unsigned}");
    let mixed = asked(&campus, "+dnssec alias.gut");
    assert!(mixed.contains("192.0.2.80") && !mixed.contains(" ad;"), "{mixed}");
    for (question, code) in [("nix.gut", "NXDOMAIN"), ("www.gut AAAA", "NOERROR"), ("nix", "NXDOMAIN")] {
        let nothing = asked(&campus, &format!("+dnssec {question} MX").replace("AAAA MX", "AAAA"));
        assert!(nothing.contains(&format!("status: {code}")) && nothing.contains(" ad;"), "{nothing}");
        assert!(nothing.contains("SOA"), "{nothing}");
    }
    let own = asked(&campus, "+dnssec server.schule.internal");
    assert!(own.contains("10.77.0.1") && own.contains("flags: qr aa rd ra;"), "{own}");
    assert!(campus.notices().is_empty(), "{:?}", campus.notices());
}

#[test]
fn blocked_names_are_answered_as_before() {
    let (campus, _signer) = campus("validate");
    let (list, filter) = (ListId::random(), FilterId::random());
    let new = NewList { name: "Gesperrt", source: None, names: "www.gut\nwww.bogus\n" };
    let filters = Filter {
        id: filter,
        name: "Schule".into(),
        safe_search: false,
        youtube: inventory::YouTube::Free,
        lists: vec![(list, ListAction::Block)],
    };
    campus.runtime.block_on(async {
        campus.inventory.put_name_list(by(), list, &new).await.unwrap();
        campus.inventory.put_filter(by(), &filters).await.unwrap();
        let filtered = Some(Filtered.into());
        campus.inventory.set_network_gate(by(), campus.network, filtered, Some(filter), true).await.unwrap();
    });
    eventually("the filter holds", || asked(&campus, "www.gut").contains("EDE: 15 (Blocked)"));
    let blocked = asked(&campus, "+dnssec www.bogus");
    assert!(blocked.contains("status: NXDOMAIN") && blocked.contains("EDE: 15 (Blocked)"), "{blocked}");
    assert!(!blocked.contains(" ad;"), "what is made here is not proven: {blocked}");
}

#[test]
fn by_itself_the_server_validates_where_the_forwarder_lets_it() {
    let (campus, signer) = campus("auto");
    eventually("it validates", || asked(&campus, "+dnssec sicher.gut").contains("flags: qr rd ra ad"));
    assert!(asked(&campus, "www.bogus").contains("SERVFAIL"));
    assert!(campus.notices().is_empty());
    drop(signer.named);
}

#[test]
fn a_forwarder_that_leaves_the_signatures_out_does_not_take_the_school_offline() {
    let names = |mode: &str| format!("dns_forwarders = [\"{HOST}\"]\ndnssec = \"{mode}\"");
    let campus = Campus::with(On, None, |_, _| names("auto"));
    assert!(asked(&campus, "+short www.example").contains(HOST));
    let notice = "leaves the signatures (DNSSEC) out: answers are not validated";
    eventually("the admin is told", || campus.notices().iter().any(|text| text.contains(notice)));
    assert!(asked(&campus, "+short www.another.example").contains(HOST));
    drop(campus);

    let campus = Campus::with(On, None, |_, _| names("validate"));
    assert!(asked(&campus, "www.example").contains("SERVFAIL"), "whoever wants more than that gets it");
    let notice = "names of signed zones are not answered";
    eventually("the admin is told", || campus.notices().iter().any(|text| text.contains(notice)));
    assert!(asked(&campus, "+short router.fritz.box").contains(HOST), "private names are not validated");
}
