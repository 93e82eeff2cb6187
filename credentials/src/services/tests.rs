//! What Apple's portals hand out, as they do and in every wrong way.
#![allow(clippy::indexing_slicing, reason = "a broken promise should end the test")]

use std::process::Command;

use apple::Authority;
use apple::enrolment::EnrolmentService;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use super::ade::{SKIPPED, ServerToken, school_profile, token_key};
use super::push::{read, request, signed_request};
use super::{ServiceError, pem_text};
use crate::cms::{self, Cipher};
use crate::x509::Digest;

const NOW: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);
const TOPIC: &str = "com.apple.mgmt.External.0f1e2d3c-0000-4000-8000-abcdefabcdef";

fn now() -> i64 {
    NOW.unix_timestamp()
}

/// Runs openssl in a folder with these files; what it wrote to `out`. `None` without openssl.
fn openssl(files: &[(&str, &str)], arguments: &str) -> Option<Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(dir.path().join(name), content).unwrap();
    }
    let Ok(run) = Command::new("openssl").args(arguments.split(' ')).current_dir(dir.path()).output() else {
        eprintln!("skipped: there is no openssl");
        return None;
    };
    assert!(run.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&run.stderr));
    Some(std::fs::read(dir.path().join("out")).unwrap_or(run.stdout))
}

#[test]
fn a_push_certificate_is_asked_for_and_belongs_to_its_request() {
    let apple = Authority::new();
    let (ours, other) = (request("Testschule").unwrap(), request("Testschule").unwrap());
    let certificate = apple.push_certificate_for(&ours.csr, TOPIC, NOW + Duration::days(365));
    let found = read(certificate.as_bytes(), "", Some(&ours.key), now()).unwrap();
    assert_eq!((found.topic.as_str(), found.ends_at), (TOPIC, (NOW + Duration::days(365)).unix_timestamp()));
    assert!(!format!("{found:?}").contains("PRIVATE"));
    let der = pem::parse(&certificate).unwrap().into_contents();
    assert_eq!(read(&der, "", Some(&ours.key), now()).unwrap(), found, "as DER");
    let with_key = format!("{}{certificate}", *ours.key);
    assert_eq!(read(with_key.as_bytes(), "", None, now()).unwrap(), found, "with its key");

    let wrong = |file: &[u8], key: Option<&str>, at: i64| read(file, "", key, at).unwrap_err();
    assert!(matches!(wrong(certificate.as_bytes(), Some(&other.key), now()), ServiceError::OtherKey));
    assert!(matches!(wrong(certificate.as_bytes(), None, now()), ServiceError::NoKey));
    assert!(matches!(
        wrong(certificate.as_bytes(), Some(&ours.key), now() + 366 * 86_400),
        ServiceError::Over
    ));
    let other_kind = apple.push_certificate_for(&ours.csr, "com.example.app", NOW + Duration::days(365));
    assert!(matches!(wrong(other_kind.as_bytes(), Some(&ours.key), now()), ServiceError::NoTopic));
    for nonsense in [&b""[..], b"PK", b"-----BEGIN ", &[0x30; 100], &[0; 70_000]] {
        assert!(read(nonsense, "", Some(&ours.key), now()).is_err());
    }
}

#[test]
fn a_pkcs12_file_opens_with_its_password() {
    let apple = Authority::new();
    let ours = request("Testschule").unwrap();
    let certificate = apple.push_certificate_for(&ours.csr, TOPIC, NOW + Duration::days(365));
    let files = [("c.pem", certificate.as_str()), ("k.pem", ours.key.as_str())];
    // As Keychain writes it, and as OpenSSL 3 does.
    for way in ["-legacy ", ""] {
        let arguments = format!("pkcs12 -export {way}-in c.pem -inkey k.pem -passout pass:geheim -out out");
        let Some(file) = openssl(&files, &arguments) else { return };
        assert_eq!(read(&file, "geheim", None, now()).unwrap().topic, TOPIC, "{way}");
        assert!(matches!(read(&file, "falsch", None, now()), Err(ServiceError::Password)), "{way}");
    }
}

#[test]
fn a_vendor_signs_the_request_as_apple_wants_it() {
    let (apple, ours) = (Authority::new(), request("Testschule").unwrap());
    let vendor_request = request("Vendor").unwrap();
    let vendor = apple.push_certificate_for(&vendor_request.csr, TOPIC, NOW + Duration::days(365));
    let signed =
        signed_request(&ours.csr, &format!("{}{vendor}{}", *vendor_request.key, apple.pem())).unwrap();
    let document = plist::Value::from_reader_xml(STANDARD.decode(signed).unwrap().as_slice()).unwrap();
    let text = |key: &str| document.as_dictionary().unwrap()[key].as_string().unwrap().to_owned();
    let csr = STANDARD.decode(text("PushCertRequestCSR")).unwrap();
    assert_eq!(pem_text("CERTIFICATE REQUEST", &csr), ours.csr);
    assert_eq!(text("PushCertCertificateChain").matches("BEGIN CERTIFICATE").count(), 2);
    let signer = pem::parse(&vendor).unwrap().into_contents();
    let key = crate::x509::Certificate::parse(&signer).unwrap().public_key;
    let signature = STANDARD.decode(text("PushCertSignature")).unwrap();
    let algorithm = const_oid::db::rfc5912::RSA_ENCRYPTION;
    crate::x509::verify(key, algorithm, Some(Digest::Sha256), &csr, &signature).unwrap();
}

#[test]
fn a_server_token_opens_with_its_key_only() {
    let key = token_key("Testschule", NOW).unwrap();
    let other = token_key("Testschule", NOW).unwrap();
    let json = EnrolmentService::token("2027-11-22T12:00:00Z");
    let message = format!(
        "Content-Type: text/plain;charset=UTF-8\r\n\r\n-----BEGIN MESSAGE-----\n{json}\n-----END MESSAGE-----\n"
    );
    let der = pem::parse(&*key.certificate).unwrap().into_contents();
    let sealed = cms::seal(message.as_bytes(), &der, Cipher::TripleDes).unwrap();
    let lines = pem_text("X", &sealed).replace("-----BEGIN X-----", "").replace("-----END X-----", "");
    let smime = format!(
        "Content-Type: application/pkcs7-mime; name=\"smime.p7m\"; smime-type=enveloped-data\r\nContent-Transfer-Encoding: base64\r\n\r\n{}",
        lines.trim()
    );
    let mut files = vec![smime.into_bytes(), sealed];
    let by_openssl = [("c.pem", key.certificate.as_str()), ("m", message.as_str())];
    files.extend(openssl(&by_openssl, "smime -encrypt -aes256 -in m -out out c.pem"));
    for file in &files {
        let token = ServerToken::open(file, &key.key, &key.certificate, now()).unwrap();
        assert_eq!(token.ends_at().unwrap(), datetime!(2027-11-22 12:00 UTC).unix_timestamp());
        assert!(!format!("{token:?}").contains(&token.access_secret));
        assert!(ServerToken::open(file, &other.key, &other.certificate, now()).is_err());
        let later = now() + 400 * 86_400;
        assert!(matches!(
            ServerToken::open(file, &key.key, &key.certificate, later),
            Err(ServiceError::Over)
        ));
    }
    for nonsense in [&b""[..], b"Content-Type: x\n\nAAAA", b"\x30\x03\x02\x01\x05", &[b'A'; 70_000]] {
        assert!(ServerToken::open(nonsense, &key.key, &key.certificate, now()).is_err());
    }
}

#[test]
fn a_session_is_asked_for_as_rfc_5849_describes_it() {
    // Section 3.4: the example of Twitter's and Google's documentation has a body; this one was computed with `openssl dgst -sha1 -hmac`.
    let token = ServerToken {
        consumer_key: "CK&1".into(),
        consumer_secret: "CS+/=".into(),
        access_token: "AT".into(),
        access_secret: "AS%".into(),
        access_token_expiry: "2027-11-22T12:00:00Z".into(),
    };
    let header = token.authorization("https://mdmenrollment.apple.com/session", "n0nce", 1_700_000_000);
    let base = "GET&https%3A%2F%2Fmdmenrollment.apple.com%2Fsession&oauth_consumer_key%3DCK%25261%26oauth_nonce%3Dn0nce%26oauth_signature_method%3DHMAC-SHA1%26oauth_timestamp%3D1700000000%26oauth_token%3DAT%26oauth_version%3D1.0";
    let Some(signature) = openssl(&[("m", base)], "dgst -sha1 -hmac CS%2B%2F%3D&AS%25 -binary -out out m")
    else {
        return;
    };
    let signature = STANDARD.encode(signature).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    assert!(header.ends_with(&format!("oauth_signature=\"{signature}\"")), "{header}");
    assert!(header.starts_with("OAuth oauth_consumer_key=\"CK%261\", oauth_nonce=\"n0nce\", "), "{header}");
}

#[test]
fn what_the_setup_assistant_skips_is_known_to_apple() {
    let mut skipped = SKIPPED.to_vec();
    skipped.sort_unstable();
    skipped.dedup();
    assert_eq!(skipped.len(), SKIPPED.len());
    let profile = school_profile("Testschule", "https://mdm.schule.example/ade", &[b"x".to_vec()]);
    assert_eq!(profile["is_mdm_removable"], false);
    assert_eq!(profile["anchor_certs"][0], "eA==");
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let schema = here.ancestors().map(|dir| dir.join("shared/apple/schema/other/skipkeys.yaml"));
    let Some(schema) = schema.into_iter().find(|path| path.exists()) else {
        eprintln!("skipped: Apple's schema is not here");
        return;
    };
    let schema = std::fs::read_to_string(schema).unwrap();
    for key in SKIPPED {
        assert!(schema.contains(&format!("- key: {key}\n")), "{key}");
    }
}
