//! The client's half against the server's, strangers' clients against a server on loopback, and damage of every kind.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use proptest::prelude::*;
use time::OffsetDateTime;
use time::macros::datetime;

use super::client::{Algorithms, Answer, Enrolment, ra_certificate};
use super::server::octets;
use super::*;
use crate::ca::{DeviceCa, KeyKind, Subject, fresh_serial};
use crate::cms::{self, Cipher, Identity, RsaKey, SingleDes};
use crate::x509::Digest;

const NOW: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);
const USUAL: Algorithms = Algorithms { cipher: Cipher::Aes128, digest: Digest::Sha256 };

static CA: LazyLock<DeviceCa> =
    LazyLock::new(|| DeviceCa::generate("Testschule", KeyKind::P256, NOW).unwrap());
/// PKCS#8 of a key that many tests ask a certificate for.
static KEY: LazyLock<Vec<u8>> = LazyLock::new(|| RsaKey::generate().unwrap().to_pkcs8().unwrap().to_vec());

fn server(single_des: SingleDes) -> Server {
    Server::new(CA.ra().clone(), CA.certificate(), single_des).unwrap()
}

fn key() -> RsaKey {
    RsaKey::from_pkcs8(&KEY).unwrap()
}

fn ra() -> &'static [u8] {
    CA.ra().certificate()
}

fn issue(request: &Request) -> Vec<u8> {
    let subject =
        Subject { enrolment: "enrolment-1", device_serial: Some("C02XYZ"), organisation: "Testschule" };
    let until = OffsetDateTime::from_unix_timestamp(NOW.unix_timestamp() + 86_400 * 700).unwrap();
    CA.issue(&request.public_key, &subject, &fresh_serial().unwrap(), NOW, until).unwrap()
}

/// A message with this content and type, signed by a key that nobody knows.
fn message(content: &[u8], kind: &str) -> Vec<u8> {
    let attributes = vec![
        (MESSAGE_TYPE, cms::printable(kind).unwrap()),
        (TRANSACTION_ID, cms::printable("t 1").unwrap()),
        (SENDER_NONCE, octets(&[5; 16]).unwrap()),
    ];
    cms::sign_with(Some(content), attributes, CA.ra(), &[], Digest::Sha256).unwrap()
}

#[test]
fn an_ipad_gets_a_certificate_and_renews_it_with_every_algorithm() {
    let server = server(SingleDes::Accepted);
    let certificates = server.ca_certificates().unwrap();
    assert_eq!(ra_certificate(certificates.media_type, &certificates.body).unwrap(), ra());
    for cipher in [Cipher::Des, Cipher::TripleDes, Cipher::Aes128, Cipher::Aes256] {
        for digest in [Digest::Sha256, Digest::Sha384, Digest::Sha512] {
            let algorithms = Algorithms { cipher, digest };
            let (enrolment, message) = Enrolment::initial(key(), "secret", ra(), NOW, algorithms).unwrap();
            let request = server.request(&message).unwrap();
            assert_eq!(request.kind, Kind::Initial);
            assert_eq!(request.challenge.as_ref().unwrap().as_str(), "secret");
            assert!(request.is_signed_with_requested_key);
            assert_eq!(request.public_key, key().public_key());
            let certificate = issue(&request);
            // The client reads no single DES: the answer to it comes in Triple DES.
            let answer = enrolment.read(&server.grant(&request, &certificate).unwrap(), ra()).unwrap();
            assert_eq!(answer, Answer::Granted(certificate.clone()));

            let present = Arc::new(Identity::with_rsa(&certificate, key()).unwrap());
            let (renewal, message) =
                Enrolment::renewal(present, CA.ra().rsa().unwrap(), ra(), algorithms).unwrap();
            let request = server.request(&message).unwrap();
            assert_eq!((request.kind, request.challenge.is_none()), (Kind::Renewal, true));
            assert!(!request.is_signed_with_requested_key);
            assert_eq!(request.transaction.signer.certificate, certificate);
            assert_eq!(CA.is_ours(&request.transaction.signer.certificate).unwrap().enrolment, "enrolment-1");
            let renewed = issue(&request);
            let answer = renewal.read(&server.grant(&request, &renewed).unwrap(), ra()).unwrap();
            assert_eq!(answer, Answer::Granted(renewed));
        }
    }
}

#[test]
fn a_refusal_names_its_reason_and_its_transaction() {
    let server = server(SingleDes::Refused);
    let (enrolment, message) = Enrolment::initial(key(), "wrong", ra(), NOW, USUAL).unwrap();
    let request = server.request(&message).unwrap();
    for (info, _) in FailInfo::ALL {
        let answer = server.refuse(&request.transaction, info).unwrap();
        assert_eq!(enrolment.read(&answer, ra()).unwrap(), Answer::Refused(info));
    }
    let (other, _) = Enrolment::initial(key(), "wrong", ra(), NOW, USUAL).unwrap();
    let answer = server.refuse(&request.transaction, FailInfo::BadRequest).unwrap();
    assert!(matches!(other.read(&answer, ra()), Err(ScepError::OtherTransaction)));
    assert!(matches!(enrolment.read(&answer, CA.certificate()), Err(ScepError::OtherTransaction)));
}

/// Runs a message that is refused; returns why, and what the client is told.
fn rejected(server: &Server, message: &[u8]) -> (ScepError, Option<FailInfo>) {
    let rejection = *server.request(message).unwrap_err();
    let info = rejection.answer.map(|(transaction, info)| {
        // Whatever the reason, an answer can be made of it.
        server.refuse(&transaction, info).unwrap();
        info
    });
    (rejection.error, info)
}

#[test]
fn single_des_is_read_only_where_it_is_allowed() {
    let algorithms = Algorithms { cipher: Cipher::Des, ..USUAL };
    let (_, message) = Enrolment::initial(key(), "secret", ra(), NOW, algorithms).unwrap();
    assert!(server(SingleDes::Accepted).request(&message).is_ok());
    let (error, info) = rejected(&server(SingleDes::Refused), &message);
    assert!(matches!(error, ScepError::Message(cms::CmsError::Cipher(_))));
    assert_eq!(info, Some(FailInfo::BadAlg));
}

#[test]
fn whatever_cannot_be_read_inside_looks_the_same_outside() {
    let server = server(SingleDes::Refused);
    let csr = |key: &RsaKey| {
        let signing = rcgen::KeyPair::try_from(key.to_pkcs8().unwrap().as_slice()).unwrap();
        rcgen::CertificateParams::new(Vec::new()).unwrap().serialize_request(&signing).unwrap().der().to_vec()
    };
    let mut forged = csr(&key());
    *forged.last_mut().unwrap() ^= 1;
    let sealed = |content: &[u8]| cms::seal(content, ra(), Cipher::Aes128).unwrap();
    let mut damaged = sealed(&csr(&key()));
    *damaged.last_mut().unwrap() ^= 1;
    let cases =
        [sealed(&forged), sealed(b""), sealed(b"no request"), damaged, b"no envelope".to_vec(), Vec::new()];
    for envelope in cases {
        let (error, info) = rejected(&server, &message(&envelope, PKCS_REQ));
        assert!(matches!(error, ScepError::Unreadable), "{error}");
        assert_eq!(info, Some(FailInfo::BadMessageCheck));
    }
}

#[test]
fn messages_of_other_types_and_for_others_are_answered() {
    let server = server(SingleDes::Refused);
    for kind in ["20", "21", "22", "3", "99"] {
        let (error, info) = rejected(&server, &message(b"", kind));
        assert!(matches!(error, ScepError::Kind(_)));
        assert_eq!(info, Some(FailInfo::BadRequest));
    }
    let other = DeviceCa::generate("Andere", KeyKind::P256, NOW).unwrap();
    let (_, message) = Enrolment::initial(key(), "x", other.ra().certificate(), NOW, USUAL).unwrap();
    let (error, info) = rejected(&server, &message);
    assert!(matches!(error, ScepError::Message(cms::CmsError::OtherRecipient)));
    assert_eq!(info, Some(FailInfo::BadRequest));
}

#[test]
fn messages_without_a_signature_or_too_long_are_not_answered() {
    let server = server(SingleDes::Refused);
    let (_, good) = Enrolment::initial(key(), "x", ra(), NOW, USUAL).unwrap();
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    for message in [&b""[..], b"GET", &forged, &vec![0x30; MESSAGE_BYTES_MAX + 1]] {
        assert_eq!(rejected(&server, message).1, None);
    }
    let profile = cms::sign(b"no SCEP", CA.ra(), &[], NOW).unwrap();
    assert!(matches!(rejected(&server, &profile), (ScepError::Attribute("transactionID"), None)));
}

#[test]
fn short_and_elliptic_keys_are_refused() {
    let server = server(SingleDes::Refused);
    for kind in ["rsa:1024", "ec -pkeyopt ec_paramgen_curve:P-256"] {
        let dir = tempfile::tempdir().unwrap();
        let arguments = format!("req -new -newkey {kind} -nodes -keyout k -subj /CN=x -outform DER -out csr");
        let Ok(run) = Command::new("openssl").args(arguments.split(' ')).current_dir(dir.path()).output()
        else {
            return eprintln!("skipped: there is no openssl");
        };
        assert!(run.status.success());
        let csr = std::fs::read(dir.path().join("csr")).unwrap();
        let message = message(&cms::seal(&csr, ra(), Cipher::Aes256).unwrap(), PKCS_REQ);
        let (error, info) = rejected(&server, &message);
        assert!(matches!(error, ScepError::Key));
        assert_eq!(info, Some(FailInfo::BadAlg));
    }
}

#[test]
fn a_signer_for_whom_no_answer_could_be_encrypted_is_refused() {
    let elliptic = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&elliptic).unwrap();
    let signer = Arc::new(Identity::new(certificate.der(), &elliptic.serialize_der()).unwrap());
    let (_, message) = Enrolment::renewal(signer, &key(), ra(), USUAL).unwrap();
    let (error, info) = rejected(&server(SingleDes::Refused), &message);
    assert!(matches!(error, ScepError::Key));
    assert_eq!(info, Some(FailInfo::BadAlg));
}

#[test]
fn a_challenge_does_not_reach_a_log() {
    let (_, message) = Enrolment::initial(key(), "s3cret", ra(), NOW, USUAL).unwrap();
    assert!(!format!("{:?}", server(SingleDes::Refused).request(&message).unwrap()).contains("s3cret"));
}

#[test]
fn a_real_request_of_another_server_is_verified_and_refused() {
    let Some(message) = crate::cms_tests::vector("PKCSReq.der") else { return };
    let server = server(SingleDes::Accepted);
    let (error, info) = rejected(&server, &message);
    assert!(matches!(error, ScepError::Message(cms::CmsError::OtherRecipient)), "{error}");
    assert_eq!(info, Some(FailInfo::BadRequest));
}

#[test]
fn a_message_in_the_query_is_read_in_every_spelling() {
    let bytes: Vec<u8> = (0..=255).collect();
    let plain = BASE64_STANDARD.encode(&bytes);
    let percent = plain.replace('+', "%2B").replace('/', "%2f").replace('=', "%3D");
    let lines = plain
        .as_bytes()
        .chunks(64)
        .map(|it| std::str::from_utf8(it).unwrap())
        .collect::<Vec<_>>()
        .join("\r\n");
    let unpadded = plain.trim_end_matches('=').to_owned();
    for text in
        [plain.clone(), percent, plain.replace('+', " "), lines, unpadded, BASE64_URL_SAFE.encode(&bytes)]
    {
        assert_eq!(decode_get(&text).unwrap(), bytes, "{text}");
    }
    for text in ["%", "%2", "%zz", "a", "ä", "!!!!"] {
        assert!(matches!(decode_get(text), Err(ScepError::Base64)), "{text}");
    }
    assert!(matches!(decode_get(&"A".repeat(MESSAGE_BYTES_MAX * 4 + 1)), Err(ScepError::TooLong(_))));
}

#[test]
fn one_certificate_is_sent_as_itself() {
    let server = Server::new(CA.ra().clone(), ra(), SingleDes::Refused).unwrap();
    let certificates = server.ca_certificates().unwrap();
    assert_eq!((certificates.media_type, &certificates.body[..]), ("application/x-x509-ca-cert", ra()));
    assert_eq!(ra_certificate(certificates.media_type, &certificates.body).unwrap(), ra());
}

/// Serves SCEP on loopback for as long as the process lives; answers with the address.
fn serve(ca: &'static DeviceCa) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/scep", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let server = Server::new(ca.ra().clone(), ca.certificate(), SingleDes::Accepted).unwrap();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut target, mut length) = (String::new(), 0);
            let mut line = String::new();
            while reader.read_line(&mut line).unwrap_or(0) > 2 {
                if target.is_empty() {
                    target = line.split(' ').nth(1).unwrap_or_default().to_owned();
                } else if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let (media_type, answer) = operate(&server, ca, &target, body);
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                answer.len()
            );
            stream.write_all(&[head.as_bytes(), &answer].concat()).unwrap();
        }
    });
    url
}

fn operate(server: &Server, ca: &DeviceCa, target: &str, body: Vec<u8>) -> (&'static str, Vec<u8>) {
    if target.contains("operation=GetCACaps") {
        return ("text/plain", server.capabilities().into());
    }
    if target.contains("operation=GetCACert") {
        let certificates = server.ca_certificates().unwrap();
        return (certificates.media_type, certificates.body);
    }
    let message = match target.split_once("message=") {
        Some((_, message)) => decode_get(message.split('&').next().unwrap()).unwrap(),
        None => body,
    };
    let request = server.request(&message).unwrap();
    let by_old = ca.is_ours(&request.transaction.signer.certificate).is_ok();
    let by_challenge = request.challenge.as_ref().is_some_and(|it| it.as_str() == "secret");
    if !by_old && !by_challenge {
        return (MEDIA_TYPE, server.refuse(&request.transaction, FailInfo::BadRequest).unwrap());
    }
    let now = system_now();
    let subject = Subject { enrolment: "enrolment-1", device_serial: None, organisation: "Testschule" };
    let serial = fresh_serial().unwrap();
    let certificate = ca
        .issue(&request.public_key, &subject, &serial, now - time::Duration::DAY, now + time::Duration::DAY)
        .unwrap();
    (MEDIA_TYPE, server.grant(&request, &certificate).unwrap())
}

/// The clients of others look at the clock, so these tests cannot bring their own.
fn system_now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

static P256: LazyLock<DeviceCa> =
    LazyLock::new(|| DeviceCa::generate("Schule", KeyKind::P256, system_now()).unwrap());
static RSA: LazyLock<DeviceCa> =
    LazyLock::new(|| DeviceCa::generate("Schule", KeyKind::Rsa2048, system_now()).unwrap());

/// Runs a program in a folder; returns whether it succeeded, what it wrote, and what it complained about.
fn run(dir: &std::path::Path, program: &str, arguments: &str) -> Option<(bool, Vec<u8>, String)> {
    let Ok(run) = Command::new(program).args(arguments.split(' ')).current_dir(dir).output() else {
        eprintln!("skipped: there is no {program}");
        return None;
    };
    Some((run.status.success(), run.stdout, String::from_utf8_lossy(&run.stderr).into_owned()))
}

#[test]
fn strongswan_gets_a_certificate_and_is_refused_with_a_wrong_challenge() {
    for ca in [&*P256, &*RSA] {
        let dir = tempfile::tempdir().unwrap();
        let url = serve(ca);
        let pki = |arguments: &str| run(dir.path(), "pki", arguments);
        let Some((ok, key, error)) = pki("--gen --type rsa --size 2048 --outform pem") else { return };
        assert!(ok, "{error}");
        std::fs::write(dir.path().join("key.pem"), key).unwrap();
        let (ok, _, error) =
            pki(&format!("--scepca --url {url} --caout ca.pem --raout ra.pem --outform pem --force"))
                .unwrap();
        assert!(ok, "{error}");
        let enrol = |password: &str| {
            pki(&format!(
                "--scep --url {url} --in key.pem --dn CN=ignored --password {password} --cacert-enc ra.pem --cacert-sig ra.pem --cacert ca.pem --cipher des3 --digest sha256 --outform der"
            ))
            .unwrap()
        };
        let (ok, certificate, error) = enrol("secret");
        assert!(ok, "{error}");
        assert_eq!(ca.is_ours(&certificate).unwrap().enrolment, "enrolment-1");
        let (ok, _, error) = enrol("wrong");
        assert!(!ok && error.contains("badRequest"), "{error}");

        std::fs::write(dir.path().join("old.der"), certificate).unwrap();
        let (ok, certificate, error) = pki(&format!(
            "--scep --url {url} --in key.pem --dn CN=ignored --cert old.der --key key.pem --cacert-enc ra.pem --cacert-sig ra.pem --cacert ca.pem --cipher des3 --digest sha512 --outform der"
        ))
        .unwrap();
        assert!(ok, "{error}");
        ca.is_ours(&certificate).unwrap();
    }
}

#[test]
fn certmonger_reads_capabilities_and_certificates() {
    let dir = tempfile::tempdir().unwrap();
    let url = serve(&P256);
    let submit = "/usr/lib/certmonger/scep-submit";
    let Some((ok, out, error)) = run(dir.path(), submit, &format!("-c -u {url}")) else { return };
    assert!(ok, "{error}");
    assert!(String::from_utf8_lossy(&out).contains("SCEPStandard"));
    let (ok, out, error) = run(dir.path(), submit, &format!("-C -u {url}")).unwrap();
    assert!(ok, "{error}");
    assert!(pem::parse_many(&out).unwrap().iter().any(|part| part.contents() == P256.certificate()));
}

/// A request, to be damaged.
static SAMPLE: LazyLock<Vec<u8>> =
    LazyLock::new(|| Enrolment::initial(key(), "secret", ra(), NOW, USUAL).unwrap().1);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(server(SingleDes::Accepted).request(&bytes).is_err());
        let inside = message(&bytes, PKCS_REQ);
        prop_assert!(server(SingleDes::Accepted).request(&inside).is_err());
        let sealed = message(&cms::seal(&bytes, ra(), Cipher::TripleDes).unwrap(), PKCS_REQ);
        prop_assert!(server(SingleDes::Accepted).request(&sealed).is_err());
    }

    #[test]
    fn any_text_in_the_query_is_read_or_refused(text in ".{0,200}") {
        let _ = decode_get(&text);
    }

    #[test]
    fn a_damaged_request_never_asks_for_another_key(at in any::<prop::sample::Index>(), value in any::<u8>()) {
        let mut message = SAMPLE.clone();
        let at = at.index(message.len());
        message[at] = value;
        if let Ok(request) = server(SingleDes::Refused).request(&message) {
            let key = key();
            prop_assert_eq!(request.public_key, key.public_key());
        }
    }
}
