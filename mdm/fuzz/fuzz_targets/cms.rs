//! Whatever bytes a stranger sends as a signature, as machine information or as a SCEP message: nothing panics, DER stays as it
//! is, no message verifies that the fuzzer did not get from somewhere, and a refusal can always be answered.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mdm::ca::{DeviceCa, KeyKind};
use mdm::scep::Server;
use mdm::{ber, cms, scep, x509};

static CA: LazyLock<DeviceCa> =
    LazyLock::new(|| DeviceCa::generate("Fuzz", KeyKind::P256, time::OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_000)).unwrap());

fuzz_target!(|bytes: &[u8]| {
    if let Ok(der) = ber::to_der(bytes) {
        assert_eq!(ber::to_der(&der).as_ref(), Ok(&der));
    }
    // Half signature, half body.
    let (signature, body) = bytes.split_at(bytes.len() / 2);
    let _ = cms::verify_detached(signature, body);
    if let Ok((_, signer)) = cms::verify(bytes) {
        assert_eq!(signer.fingerprint, x509::fingerprint(&signer.certificate));
        let _ = x509::chains_to(&signer.certificate, &signer.others, &[CA.certificate().to_vec()]);
    }
    let _ = cms::certificates(bytes);
    let _ = cms::open(bytes, CA.ra(), cms::SingleDes::Accepted);
    let _ = CA.is_ours(bytes);
    let _ = scep::decode_get(&String::from_utf8_lossy(bytes));
    let server = Server::new(CA.ra().clone(), CA.certificate(), cms::SingleDes::Accepted).unwrap();
    match server.request(bytes) {
        Ok(request) => assert!(server.refuse(&request.transaction, scep::FailInfo::BadRequest).is_ok()),
        Err(rejection) => {
            if let Some((transaction, info)) = rejection.answer {
                assert!(server.refuse(&transaction, info).is_ok());
            }
        }
    }
});
