//! Who gets through the handshake, with a client that does what a decent one would not.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, RootCertStore, SignatureScheme, SupportedProtocolVersion};

use crate::support::School;

/// Shows any certificate and signs with any key, whether they fit together or not.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn certificate(key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
    let mut params = CertificateParams::new(vec!["pc".into()]).unwrap();
    change(&mut params);
    params.self_signed(key).unwrap().der().clone()
}

/// Asks for work and returns the status line, or `None` when the handshake fails.
fn ask(
    school: &School,
    chain: Vec<CertificateDer<'static>>,
    key: &KeyPair,
    version: &'static SupportedProtocolVersion,
) -> Option<String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(school.ca.as_bytes()).unwrap()).unwrap();
    let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let signer = rustls::crypto::ring::sign::any_supported_type(&private).unwrap();
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::new(Shows(Arc::new(CertifiedKey::new(chain, signer)))));
    let mut tls = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut tcp = TcpStream::connect(school.handle().agent_address()).unwrap();
    tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut stream = rustls::Stream::new(&mut tls, &mut tcp);
    stream.write_all(b"GET /v1/work HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer).into_owned())
}

const UNKNOWN: &str = "HTTP/1.1 401";
const KNOWN: &str = "HTTP/1.1 200";

#[test]
fn somebody_elses_certificate_is_worth_nothing_without_its_key() {
    let school = School::open();
    let owner = KeyPair::generate().unwrap();
    let shown = certificate(&owner, |_| {});
    let fingerprint = {
        use rcgen::PublicKeyData as _;
        blake3::hash(&owner.subject_public_key_info()).to_hex().parse().unwrap()
    };
    let hardware = serde_json::json!({});
    let seen = inventory::Sighting { key: &fingerprint, hardware: &hardware, address: "10.0.0.1" };
    let entry = school.block(school.inventory.see_waiting(crate::support::by(), &seen)).unwrap();
    school.approve(&entry.code, "r204-pc01");

    let v13 = &rustls::version::TLS13;
    assert_eq!(ask(&school, vec![shown.clone()], &owner, v13).as_deref(), Some(KNOWN));
    let thief = KeyPair::generate().unwrap();
    assert_eq!(ask(&school, vec![shown.clone()], &thief, v13), None, "the signature is not the owner's");
    let own = certificate(&thief, |_| {});
    assert_eq!(ask(&school, vec![own.clone()], &thief, v13).as_deref(), Some(UNKNOWN));
    assert_eq!(ask(&school, vec![own, shown], &thief, v13), None, "no certificate may be carried along");
}

#[test]
fn only_the_key_counts_and_only_in_tls_1_3() {
    let school = School::open();
    let key = KeyPair::generate().unwrap();
    let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let v13 = &rustls::version::TLS13;
    let expired = certificate(&key, |params| {
        params.not_before = rcgen::date_time_ymd(1990, 1, 1);
        params.not_after = rcgen::date_time_ymd(1990, 1, 2);
    });
    assert_eq!(ask(&school, vec![expired], &key, v13).as_deref(), Some(UNKNOWN), "a dead clock battery");
    let other = certificate(&ed25519, |_| {});
    assert_eq!(ask(&school, vec![other], &ed25519, v13).as_deref(), Some(UNKNOWN));
    let plain = certificate(&key, |_| {});
    assert_eq!(ask(&school, vec![plain], &key, &rustls::version::TLS12), None);
    let huge = certificate(&key, |params| {
        params.subject_alt_names = (0..400)
            .map(|n| rcgen::SanType::DnsName(format!("host{n}.school.example").try_into().unwrap()))
            .collect();
    });
    assert!(huge.len() > 4096);
    assert_eq!(ask(&school, vec![huge], &key, v13), None, "too large to be a PC's own");
    assert_eq!(ask(&school, vec![CertificateDer::from(vec![0x30, 0x03, 1, 2, 3])], &key, v13), None);
}
