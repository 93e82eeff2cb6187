//! Real messages of Apple's devices, OpenSSL as a second opinion in both directions, and damage of every kind.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use proptest::prelude::*;
use time::macros::datetime;

use crate::ca::{DeviceCa, KeyKind, Subject};
use crate::cms::*;
use crate::x509::{Digest, X509Error, chains_to};

const NOW: time::OffsetDateTime = datetime!(2026-11-22 12:00 UTC);

/// A file of Apple's, or `None` with a word about it: the folder is not part of this project.
pub(crate) fn vector(name: &str) -> Option<Vec<u8>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let given = std::env::var_os("HAUSMEISTER_APPLE").map(PathBuf::from);
    let beside = here.ancestors().map(|dir| dir.join("shared/apple"));
    let found =
        given.into_iter().chain(beside).map(|dir| dir.join("vectors").join(name)).find(|path| path.exists());
    match found {
        Some(path) => Some(std::fs::read(path).unwrap()),
        None => {
            eprintln!(
                "skipped: {name} is not here; set HAUSMEISTER_APPLE to the folder that holds `vectors`"
            );
            None
        }
    }
}

/// Runs openssl in a fresh folder with these files; returns its success and what it wrote to `out`.
fn openssl(files: &[(&str, &[u8])], arguments: &str) -> Option<(bool, Vec<u8>)> {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(dir.path().join(name), content).unwrap();
    }
    let run = Command::new("openssl").args(arguments.split(' ')).current_dir(dir.path()).output();
    let Ok(run) = run else {
        eprintln!("skipped: there is no openssl");
        return None;
    };
    if !run.status.success() {
        eprintln!("openssl {arguments}: {}", String::from_utf8_lossy(&run.stderr));
    }
    Some((run.status.success(), std::fs::read(dir.path().join("out")).unwrap_or_default()))
}

/// An identity made by openssl, with its key as PEM.
fn openssl_identity(key: &str) -> Option<(Vec<u8>, Vec<u8>, String)> {
    let dir = tempfile::tempdir().unwrap();
    let run =
        |arguments: &str| Command::new("openssl").args(arguments.split(' ')).current_dir(dir.path()).output();
    run(&format!("req -x509 -newkey {key} -nodes -keyout k.pem -out c.pem -days 30 -subj /CN=test")).ok()?;
    run("x509 -in c.pem -outform DER -out c.der").ok()?;
    run("pkcs8 -topk8 -nocrypt -in k.pem -outform DER -out k.der").ok()?;
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    let pem = [read("k.pem"), read("c.pem")].concat();
    Some((read("c.der"), read("k.der"), String::from_utf8(pem).unwrap()))
}

/// An authority, and an identity of a device with an RSA key issued by it; made once, since RSA keys take their time.
pub(crate) static CA: LazyLock<DeviceCa> =
    LazyLock::new(|| DeviceCa::generate("Testschule", KeyKind::P256, NOW).unwrap());
static DEVICE: LazyLock<Identity> = LazyLock::new(|| {
    let key = RsaKey::generate().unwrap();
    let subject = Subject { enrolment: "e1", device_serial: None, organisation: "Testschule" };
    let der = CA.issue(key.public_key(), &subject, &[1], NOW, NOW + time::Duration::days(9)).unwrap();
    Identity::with_rsa(&der, key).unwrap()
});

#[test]
fn a_real_mdm_signature_is_verified_over_its_body_and_no_other() {
    let (Some(signature), Some(body)) = (vector("mdmSignatureHeader2"), vector("mdmSignatureBody2")) else {
        return;
    };
    let signer = verify_detached(&signature, &body).unwrap();
    assert_eq!(signer.fingerprint, crate::x509::fingerprint(&signer.certificate));
    assert!(signer.others.is_empty());
    assert!(matches!(verify_detached(&signature, b"another"), Err(CmsError::Signature)));
    assert!(matches!(verify(&signature), Err(CmsError::Signature | CmsError::Part(_))));
    // The body of the first vector was never published: it is read up to the comparison.
    let Some(first) = vector("mdmSignatureHeader1") else { return };
    assert!(matches!(verify_detached(&first, &body), Err(CmsError::Signature)));
}

#[test]
fn machine_information_leads_to_apple_through_expired_authorities() {
    let (Some(message), Some(chain)) =
        (vector("ota2"), vector("zentral/Apple_iPhone_Device_CA_Fullchain.pem"))
    else {
        return;
    };
    let (content, signer) = verify(&message).unwrap();
    assert!(String::from_utf8(content).unwrap().contains("<key>SERIAL</key>"));
    assert_eq!(signer.others.len(), 3);
    let anchors: Vec<Vec<u8>> =
        pem::parse_many(&chain).unwrap().into_iter().map(|part| part.into_contents()).collect();
    for anchor in &anchors {
        chains_to(&signer.certificate, &signer.others, std::slice::from_ref(anchor)).unwrap();
    }
    // Only the nearest authority leads to the certificate without the others that the device sends along.
    let near: Vec<_> = anchors
        .iter()
        .filter(|it| chains_to(&signer.certificate, &[], std::slice::from_ref(it)).is_ok())
        .collect();
    assert_eq!(near.len(), 1);
    let ours = [CA.certificate().to_vec()];
    assert!(matches!(chains_to(&signer.certificate, &signer.others, &ours), Err(X509Error::Untrusted)));
    assert!(matches!(chains_to(&signer.certificate, &signer.others, &[]), Err(X509Error::Untrusted)));
}

#[test]
fn a_device_certificate_is_no_authority_for_another() {
    let key = RsaKey::generate().unwrap();
    let signing = rcgen::KeyPair::try_from(DEVICE.rsa().unwrap().to_pkcs8().unwrap().as_slice()).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_der(&DEVICE.certificate().into(), signing).unwrap();
    let public_key = rcgen::SubjectPublicKeyInfo::from_der(key.public_key()).unwrap();
    let forged = rcgen::CertificateParams::new(Vec::new()).unwrap().signed_by(&public_key, &issuer).unwrap();
    let intermediates = [DEVICE.certificate().to_vec()];
    let anchors = [CA.certificate().to_vec()];
    chains_to(DEVICE.certificate(), &[], &anchors).unwrap();
    assert!(matches!(chains_to(forged.der(), &intermediates, &anchors), Err(X509Error::Untrusted)));
}

#[test]
fn what_is_signed_here_verifies_here_and_with_openssl() {
    let p256 = {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
        Identity::new(certificate.der(), &key.serialize_der()).unwrap()
    };
    let profile = b"<?xml version=\"1.0\"?><plist/>";
    for identity in [&*DEVICE, &p256] {
        let chain = [CA.certificate().to_vec(), identity.certificate().to_vec()];
        let message = sign(profile, identity, &chain, NOW).unwrap();
        let (content, signer) = verify(&message).unwrap();
        assert_eq!(content, profile);
        assert_eq!(signer.certificate, identity.certificate());
        assert_eq!(signer.others, [CA.certificate()]);
        let files: [(&str, &[u8]); 1] = [("m", &message)];
        let Some(run) = openssl(&files, "cms -verify -inform DER -in m -noverify -binary -out out") else {
            return;
        };
        assert_eq!(run, (true, profile.to_vec()));
    }
}

#[test]
fn openssl_believes_in_the_chain_of_a_signed_profile() {
    let message = sign(b"profile", &DEVICE, &[], NOW).unwrap();
    let ca = pem::encode(&pem::Pem::new("CERTIFICATE", CA.certificate()));
    let files: [(&str, &[u8]); 2] = [("m", &message), ("ca.pem", ca.as_bytes())];
    let at = (NOW + time::Duration::hours(1)).unix_timestamp();
    let arguments =
        format!("cms -verify -inform DER -in m -CAfile ca.pem -purpose any -attime {at} -binary -out out");
    let Some((ok, _)) = openssl(&files, &arguments) else { return };
    assert!(ok);
}

#[test]
fn every_algorithm_of_openssl_is_verified() {
    let body = b"body with\nlines";
    for (key, digest, extra) in [
        ("rsa:1024", "sha1", ""),
        ("rsa:1024", "sha256", " -noattr"),
        ("rsa:2048", "sha1", " -noattr"),
        ("rsa:2048", "sha384", ""),
        ("rsa:3072", "sha512", " -keyid"),
        ("ec -pkeyopt ec_paramgen_curve:P-256", "sha256", ""),
        ("ec -pkeyopt ec_paramgen_curve:P-256", "sha256", " -noattr -keyid"),
        ("ec -pkeyopt ec_paramgen_curve:P-384", "sha384", ""),
    ] {
        let Some((certificate, _, pem)) = openssl_identity(key) else { return };
        for attached in ["", " -nodetach -stream -indef"] {
            let files: [(&str, &[u8]); 2] = [("id.pem", pem.as_bytes()), ("body", body)];
            let arguments = format!(
                "cms -sign -binary -in body -signer id.pem -md {digest} -outform DER -out out{extra}{attached}"
            );
            let Some((ok, message)) = openssl(&files, &arguments) else { return };
            assert!(ok, "{arguments}");
            let signer = if attached.is_empty() {
                assert!(verify_detached(&message, b"other").is_err(), "{arguments}");
                verify_detached(&message, body).unwrap()
            } else {
                assert!(verify_detached(&message, body).is_err(), "{arguments}");
                let (content, signer) = verify(&message).unwrap();
                assert_eq!(content, body);
                signer
            };
            assert_eq!(signer.certificate, certificate, "{arguments}");
        }
    }
}

#[test]
fn a_message_without_its_certificate_is_refused() {
    let Some((_, _, pem)) = openssl_identity("rsa:2048") else { return };
    let files: [(&str, &[u8]); 2] = [("id.pem", pem.as_bytes()), ("body", b"x")];
    let arguments = "cms -sign -binary -in body -signer id.pem -nocerts -outform DER -out out";
    let Some((_, message)) = openssl(&files, arguments) else { return };
    assert!(matches!(verify_detached(&message, b"x"), Err(CmsError::NoCertificate)));
}

#[test]
fn two_signers_are_refused() {
    let (Some(one), Some(two)) = (openssl_identity("rsa:2048"), openssl_identity("rsa:2048")) else { return };
    let files: [(&str, &[u8]); 3] =
        [("1.pem", one.2.as_bytes()), ("2.pem", two.2.as_bytes()), ("body", b"x")];
    let arguments = "cms -sign -binary -in body -signer 1.pem -signer 2.pem -outform DER -out out";
    let Some((_, message)) = openssl(&files, arguments) else { return };
    assert!(matches!(verify_detached(&message, b"x"), Err(CmsError::Part("single signer"))));
}

/// RFC 5652 section 5.4 signs attributes and plain content alike; whoever strips the attributes must not pass them as content.
#[test]
fn signed_attributes_do_not_pass_for_content() {
    use ::cms::{content_info::ContentInfo, signed_data::SignedData};
    use der::{Any, Decode as _, Encode as _};

    let message = sign(b"profile", &DEVICE, &[], NOW).unwrap();
    let mut info = ContentInfo::from_der(&message).unwrap();
    let mut data: SignedData = info.content.decode_as().unwrap();
    let mut signer = data.signer_infos.0.get(0).unwrap().clone();
    let attributes = signer.signed_attrs.take().unwrap().to_der().unwrap();
    data.encap_content_info.econtent = None;
    data.signer_infos.0 = vec![signer].try_into().unwrap();
    info.content = Any::encode_from(&data).unwrap();
    let stripped = info.to_der().unwrap();
    assert!(matches!(verify_detached(&stripped, &attributes), Err(CmsError::Part("content"))));
}

#[test]
fn an_envelope_opens_for_its_recipient_only() {
    for cipher in [Cipher::Des, Cipher::TripleDes, Cipher::Aes128, Cipher::Aes256] {
        for length in [0, 1, 15, 16, 17, 5000] {
            let content = vec![7; length];
            let message = seal(&content, DEVICE.certificate(), cipher).unwrap();
            let opened = open(&message, &DEVICE, SingleDes::Accepted).unwrap();
            assert_eq!((&*opened.content, opened.cipher), (&content, cipher));
            assert!(matches!(open(&message, CA.ra(), SingleDes::Accepted), Err(CmsError::OtherRecipient)));
        }
    }
    let des = seal(b"x", DEVICE.certificate(), Cipher::Des).unwrap();
    assert!(matches!(open(&des, &DEVICE, SingleDes::Refused), Err(CmsError::Cipher(_))));
}

#[test]
fn openssl_opens_what_is_sealed_here_and_the_other_way_round() {
    let Some((certificate, key, pem)) = openssl_identity("rsa:2048") else { return };
    let identity = Identity::new(&certificate, &key).unwrap();
    let content = b"a token for a school";
    for (cipher, name) in
        [(Cipher::TripleDes, "des3"), (Cipher::Aes128, "aes128"), (Cipher::Aes256, "aes256")]
    {
        let message = seal(content, &certificate, cipher).unwrap();
        let files: [(&str, &[u8]); 2] = [("m", &message), ("id.pem", pem.as_bytes())];
        let arguments = "cms -decrypt -inform DER -in m -recip id.pem -inkey id.pem -binary -out out";
        assert_eq!(openssl(&files, arguments).unwrap(), (true, content.to_vec()));
        // With indefinite lengths, and content in parts under an implicit tag.
        for extra in ["", " -stream -indef", " -keyid"] {
            let files: [(&str, &[u8]); 2] = [("body", content), ("id.pem", pem.as_bytes())];
            let arguments =
                format!("cms -encrypt -binary -in body -{name} -outform DER -out out{extra} id.pem");
            let (ok, message) = openssl(&files, &arguments).unwrap();
            assert!(ok);
            let opened = open(&message, &identity, SingleDes::Refused).unwrap();
            assert_eq!((&opened.content[..], opened.cipher), (&content[..], cipher), "{arguments}");
        }
    }
}

#[test]
fn a_damaged_key_and_a_damaged_content_end_alike() {
    let message = seal(&[7; 100], DEVICE.certificate(), Cipher::Aes128).unwrap();
    let key_at = message.windows(4).position(|it| it == [4, 0x82, 1, 0]).unwrap() + 4;
    for at in [key_at, key_at + 255, message.len() - 1, message.len() - 20] {
        let mut damaged = message.clone();
        damaged[at] ^= 1;
        // One time in 256, a wrong key gives bytes with a right padding.
        match open(&damaged, &DEVICE, SingleDes::Refused) {
            Err(CmsError::Decrypt) => {}
            Ok(opened) => assert_ne!(&opened.content[..], &[7; 100]),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn an_identity_is_not_joined_of_parts_that_do_not_fit() {
    let key = RsaKey::generate().unwrap();
    assert!(matches!(Identity::with_rsa(DEVICE.certificate(), key), Err(CmsError::Identity(_))));
    assert!(Identity::new(CA.certificate(), &DEVICE.rsa().unwrap().to_pkcs8().unwrap()).is_err());
    assert!(matches!(Identity::new(CA.certificate(), b"no key"), Err(CmsError::Identity(_))));
}

#[test]
fn an_identity_is_read_from_pem_of_every_kind() {
    let dir = tempfile::tempdir().unwrap();
    let run = |arguments: &str| {
        let run = Command::new("openssl").args(arguments.split(' ')).current_dir(dir.path()).output();
        run.is_ok_and(|run| run.status.success())
    };
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    if !run("genrsa -traditional -out rsa1.pem 2048") {
        return eprintln!("skipped: there is no openssl");
    }
    assert!(run("pkcs8 -topk8 -nocrypt -in rsa1.pem -out rsa8.pem"));
    assert!(run("pkcs8 -topk8 -passout pass:x -in rsa1.pem -out locked.pem"));
    assert!(run("ecparam -name prime256v1 -genkey -noout -out ec1.pem"));
    assert!(run("pkcs8 -topk8 -nocrypt -in ec1.pem -out ec8.pem"));
    let ca = pem::encode(&pem::Pem::new("CERTIFICATE", CA.certificate()));
    for (certificate, key) in [("rsa1", "rsa1"), ("rsa1", "rsa8"), ("ec1", "ec1"), ("ec1", "ec8")] {
        assert!(run(&format!("req -x509 -key {certificate}.pem -out c.pem -days 30 -subj /CN=x")));
        // The order does not matter.
        let text = [ca.clone(), read("c.pem"), read(&format!("{key}.pem"))].concat();
        let (identity, chain) = Identity::from_pem(&text).unwrap();
        assert_eq!(chain, [CA.certificate()]);
        assert_eq!(verify(&sign(b"x", &identity, &chain, NOW).unwrap()).unwrap().0, b"x");
        assert!(Identity::from_pem(&[ca.clone(), read(&format!("{key}.pem"))].concat()).is_err());
    }
    assert!(Identity::from_pem(&[read("locked.pem"), ca.clone()].concat()).is_err());
    assert!(Identity::from_pem(&[read("rsa1.pem"), read("ec1.pem"), ca].concat()).is_err());
    assert!(Identity::from_pem("").is_err());
}

#[test]
fn signed_attributes_are_sorted_by_their_bytes() {
    use crate::ber::{Cursor, INTEGER, SEQUENCE, SET};

    let message = sign(b"profile", &DEVICE, &[], NOW).unwrap();
    let mut data = verify::open_content_info(&message, const_oid::db::rfc5911::ID_SIGNED_DATA).unwrap();
    let signers = std::iter::from_fn(|| data.any().ok()).last().unwrap();
    let mut signer = signers.open().single(SEQUENCE).unwrap().open();
    signer.next(INTEGER).unwrap();
    let mut attributes: Cursor<'_> =
        std::iter::from_fn(|| signer.any().ok()).find(|it| it.tag == 0xa0).unwrap().open();
    let attributes: Vec<_> = std::iter::from_fn(|| attributes.any().ok()).map(|it| it.whole).collect();
    assert_eq!((signers.tag, attributes.len()), (SET, 3));
    assert!(attributes.is_sorted());
}

#[test]
fn an_unsigned_profile_does_not_pass_for_a_signed_one() {
    let Some(profile) = vector("zentral/test.mobileconfig") else { return };
    assert!(matches!(verify(&profile), Err(CmsError::Encoding(_))));
}

#[test]
fn digests_are_the_known_ones() {
    assert_eq!(Digest::Sha1.hash(b"abc")[..4], [0xa9, 0x99, 0x3e, 0x36]);
    assert_eq!(Digest::Sha256.hash(b"abc")[..4], [0xba, 0x78, 0x16, 0xbf]);
    assert_eq!(Digest::Sha384.hash(b"abc").len(), 48);
    assert_eq!(Digest::Sha512.hash(b"abc").len(), 64);
}

/// A message signed here, and an envelope, to be damaged.
static SAMPLES: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    let signed = sign(b"profile", &DEVICE, &[CA.certificate().to_vec()], NOW).unwrap();
    [signed, seal(b"content", DEVICE.certificate(), Cipher::Aes128).unwrap()]
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(verify(&bytes).is_err());
        prop_assert!(verify_detached(&bytes, b"").is_err());
        prop_assert!(open(&bytes, &DEVICE, SingleDes::Accepted).is_err());
        let _ = certificates(&bytes);
        let chain = std::slice::from_ref(&bytes);
        prop_assert!(chains_to(&bytes, chain, chain).is_err());
    }

    #[test]
    fn a_damaged_message_never_gives_another_content(
        which in 0..2_usize,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut message = SAMPLES[which].clone();
        for (at, value) in edits {
            let at = at.index(message.len());
            message[at] = value;
        }
        if let Ok((content, signer)) = verify(&message) {
            // A damaged certificate still signs, as long as its key and its name are whole; it is another one then.
            prop_assert_eq!(content, b"profile");
            prop_assert_eq!(signer.fingerprint, crate::x509::fingerprint(&signer.certificate));
        }
        let _ = open(&message, &DEVICE, SingleDes::Accepted);
    }
}
