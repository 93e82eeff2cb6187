//! The authority that issues the certificates of devices.
//!
//! Two keys: the authority's own, which only signs certificates, and one for SCEP, which decrypts requests from the network and
//! signs the answers. Whoever got hold of the second could read challenge passwords but issue nothing.
//!
//! The authority is not the one that PCs and browsers trust servers by: a device certificate must never pass for a server's.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use const_oid::ObjectIdentifier;
use const_oid::db::{rfc4519, rfc5280};
use der::Decode as _;
use rcgen::string::PrintableString;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SerialNumber, SubjectPublicKeyInfo,
};
use time::OffsetDateTime;
use x509_cert::time::Validity;
use zeroize::Zeroizing;

use crate::ber::{self, Cursor};
use crate::cms::{CmsError, Identity, RsaKey, random};
use crate::x509::{Certificate, DIGITAL_SIGNATURE, X509Error};

/// Why the authority cannot be used, or does not know a certificate.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A key file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A key file cannot be written.
    #[error(transparent)]
    Write(#[from] inventory::ca::CaError),
    /// A key or certificate cannot be made or understood.
    #[error("{what}: {source}")]
    Make {
        /// What was tried.
        what: &'static str,
        /// What the library said.
        source: rcgen::Error,
    },
    /// The stored text does not hold the four parts of an authority.
    #[error(
        "the stored device authority is damaged ({0}); restore the file from a backup, or every device must enrol again"
    )]
    Stored(&'static str),
    /// A key is not usable.
    #[error("the device authority: {0}")]
    Key(#[from] CmsError),
    /// A certificate cannot be read.
    #[error("{0}")]
    Certificate(#[from] X509Error),
    /// A certificate that this authority did not issue, or not for a device.
    #[error("the certificate is none that this server issued to a device; the device must enrol again")]
    NotOurs,
    /// A subject or serial number that no certificate can hold.
    #[error("a certificate cannot hold {0}")]
    Subject(&'static str),
}

/// What the authority's own key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA P-256.
    P256,
    /// RSA with 2048 bits, for SCEP clients that encrypt for every certificate they are shown (mdmb does).
    Rsa2048,
}

/// Who a certificate is for.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The name of the enrolment, which the server chose: common name.
    pub enrolment: &'a str,
    /// The serial number of the device, if known: attribute serialNumber.
    pub device_serial: Option<&'a str>,
    /// The school; what is longer than 64 characters is cut.
    pub organisation: &'a str,
}

/// What a certificate of ours says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The name of the enrolment.
    pub enrolment: String,
    /// The serial number of the device.
    pub device_serial: Option<String>,
    /// The serial number of the certificate, without leading zeros.
    pub serial: Vec<u8>,
    /// Valid from, seconds since 1970.
    pub not_before: i64,
    /// Valid until, seconds since 1970.
    pub not_after: i64,
    /// The public key: a SubjectPublicKeyInfo, DER.
    pub public_key: Vec<u8>,
}

/// The device authority.
pub struct DeviceCa {
    certificate: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
    ra: Arc<Identity>,
}

impl DeviceCa {
    /// Makes a new authority for a school. The result must be kept with [`DeviceCa::to_pem`].
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn generate(school: &str, kind: KeyKind, now: OffsetDateTime) -> Result<Self, CaError> {
        let what = "make the device authority";
        let key = match kind {
            KeyKind::P256 => KeyPair::generate(),
            KeyKind::Rsa2048 => KeyPair::try_from(RsaKey::generate()?.to_pkcs8()?.as_slice()),
        };
        let key = key.map_err(failed(what))?;
        let mut params = template("Hausmeister iPads", school, now - time::Duration::DAY, last_day())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(failed(what))?.der().to_vec();
        let issuer = Issuer::from_ca_cert_der(&certificate.as_slice().into(), key).map_err(failed(what))?;

        let ra_key = RsaKey::generate()?;
        let mut params = template("Hausmeister SCEP", school, now - time::Duration::DAY, last_day())?;
        params.is_ca = IsCa::ExplicitNoCa;
        // Apple's client looks for one certificate that may do both, below another in the same answer.
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.use_authority_key_identifier_extension = true;
        let public_key = SubjectPublicKeyInfo::from_der(ra_key.public_key()).map_err(failed(what))?;
        let ra = params.signed_by(&public_key, &issuer).map_err(failed(what))?;
        let ra = Arc::new(Identity::with_rsa(ra.der(), ra_key)?);
        Ok(Self { certificate, issuer, ra })
    }

    /// Everything that makes the authority, to be kept where only the server reads it: its key and certificate, then those
    /// for SCEP. One text, so that there is no half of an authority. A secret.
    ///
    /// # Errors
    /// A key cannot be encoded.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, CaError> {
        let ra_key = self.ra.rsa().ok_or(CaError::Stored("no RSA key"))?.to_pkcs8()?;
        let parts = [
            (PRIVATE_KEY, self.issuer.key().serialize_der()),
            (CERTIFICATE, self.certificate.clone()),
            (PRIVATE_KEY, ra_key.to_vec()),
            (CERTIFICATE, self.ra.certificate().to_vec()),
        ];
        let parts: Vec<_> = parts.into_iter().map(|(tag, der)| pem::Pem::new(tag, der)).collect();
        Ok(Zeroizing::new(pem::encode_many(&parts)))
    }

    /// Reads what [`DeviceCa::to_pem`] wrote.
    ///
    /// # Errors
    /// A part is missing or does not belong to the others.
    pub fn from_pem(text: &str) -> Result<Self, CaError> {
        let what = "read the device authority";
        let parts = pem::parse_many(text).map_err(|_| CaError::Stored("no PEM"))?;
        let [key, certificate, ra_key, ra] = parts.as_slice() else {
            return Err(CaError::Stored("not four parts"));
        };
        if [key, certificate, ra_key, ra].map(pem::Pem::tag)
            != [PRIVATE_KEY, CERTIFICATE, PRIVATE_KEY, CERTIFICATE]
        {
            return Err(CaError::Stored("parts in another order"));
        }
        let (certificate, ra) = (certificate.contents(), ra.contents());
        // Joining checks that the key belongs to the certificate, which rcgen does not.
        Identity::new(certificate, key.contents())?;
        let key = KeyPair::try_from(key.contents()).map_err(failed(what))?;
        let issuer = Issuer::from_ca_cert_der(&certificate.into(), key).map_err(failed(what))?;
        let parse = |der| Certificate::parse(der).map_err(X509Error::from);
        if !parse(ra)?.is_issued_by(&parse(certificate)?) {
            return Err(CaError::Stored("the SCEP certificate is by another authority"));
        }
        let ra = Arc::new(Identity::with_rsa(ra, RsaKey::from_pkcs8(ra_key.contents())?)?);
        Ok(Self { certificate: certificate.to_vec(), issuer, ra })
    }

    /// Opens the authority in `keys_dir`, and makes it first if there is none.
    ///
    /// # Errors
    /// The folder cannot be read or written, or what lies there is damaged.
    pub fn ensure(
        keys_dir: &Path,
        school: &str,
        kind: KeyKind,
        now: OffsetDateTime,
    ) -> Result<Self, CaError> {
        let path = keys_dir.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) => Self::from_pem(&Zeroizing::new(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let made = Self::generate(school, kind, now)?;
                inventory::ca::write_secret(&path, made.to_pem()?.as_bytes())?;
                Ok(made)
            }
            Err(source) => Err(CaError::File { path, source }),
        }
    }

    /// The authority's certificate, DER. Public; profiles bring it to the devices.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The identity for [`crate::scep::Server`].
    #[must_use]
    pub fn ra(&self) -> &Arc<Identity> {
        &self.ra
    }

    /// Issues a device certificate (DER) for a public key (SubjectPublicKeyInfo, DER). What it says is decided here alone.
    ///
    /// `serial` are 1 to 20 bytes that no other certificate of this authority has; see [`fresh_serial`].
    ///
    /// # Errors
    /// The key or a text is not usable.
    pub fn issue(
        &self,
        public_key: &[u8],
        subject: &Subject<'_>,
        serial: &[u8],
        not_before: OffsetDateTime,
        not_after: OffsetDateTime,
    ) -> Result<Vec<u8>, CaError> {
        let what = "issue a device certificate";
        // RFC 5280 section 4.1.2.2: positive, and at most 20 bytes together with the sign.
        let first = serial.first().copied().unwrap_or(0);
        if first == 0 || serial.len() + usize::from(first >> 7) > 20 {
            return Err(CaError::Subject("this serial number: 1 to 20 bytes, the first not zero"));
        }
        let short = |text: &str| (1..=NAME_CHARS_MAX).contains(&text.chars().count());
        if !short(subject.enrolment) || !subject.device_serial.is_none_or(short) {
            return Err(CaError::Subject("an enrolment or device serial of no or more than 64 characters"));
        }
        let mut params = template(subject.enrolment, subject.organisation, not_before, not_after)?;
        if let Some(device_serial) = subject.device_serial {
            let text = PrintableString::try_from(device_serial).map_err(failed(what))?;
            params
                .distinguished_name
                .push(DnType::CustomDnType(vec![2, 5, 4, 5]), DnValue::PrintableString(text));
        }
        params.serial_number = Some(SerialNumber::from_slice(serial));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let public_key = SubjectPublicKeyInfo::from_der(public_key).map_err(failed(what))?;
        Ok(params.signed_by(&public_key, &self.issuer).map_err(failed(what))?.der().to_vec())
    }

    /// Reads a certificate (DER) that this authority issued to a device: its signature, and that it is for clients and may
    /// sign. Whether its time has come or gone, or whether it was withdrawn, the caller decides.
    ///
    /// # Errors
    /// It is not ours or not for a device.
    pub fn is_ours(&self, certificate: &[u8]) -> Result<Issued, CaError> {
        let parsed = Certificate::parse(certificate).map_err(X509Error::from)?;
        let authority = Certificate::parse(&self.certificate).map_err(X509Error::from)?;
        let may_sign = parsed.key_usage().is_some_and(|first| first & DIGITAL_SIGNATURE != 0);
        let is_device = may_sign && parsed.has_extended_usage(rfc5280::ID_KP_CLIENT_AUTH);
        if !is_device || !parsed.is_issued_by(&authority) {
            return Err(CaError::NotOurs);
        }
        let validity = Validity::from_der(parsed.validity).map_err(|_| CaError::NotOurs)?;
        let seconds =
            |at: x509_cert::time::Time| i64::try_from(at.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
        let leading = parsed.serial.iter().take_while(|byte| **byte == 0).count();
        Ok(Issued {
            enrolment: attribute(parsed.subject, rfc4519::CN).ok_or(CaError::NotOurs)?,
            device_serial: attribute(parsed.subject, rfc4519::SERIAL_NUMBER),
            serial: parsed.serial.get(leading..).unwrap_or_default().to_vec(),
            not_before: seconds(validity.not_before),
            not_after: seconds(validity.not_after),
            public_key: parsed.public_key.to_vec(),
        })
    }
}

/// A serial number that no other certificate has: 16 random bytes, positive (RFC 5280 section 4.1.2.2).
///
/// # Errors
/// The system has no randomness.
pub fn fresh_serial() -> Result<[u8; 16], CaError> {
    let mut serial = random::<16>()?;
    if let Some(first) = serial.first_mut() {
        *first = *first & 0x3f | 0x40;
    }
    Ok(serial)
}

fn template(
    name: &str,
    school: &str,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
) -> Result<CertificateParams, CaError> {
    let mut params = CertificateParams::new(Vec::new()).map_err(failed("describe a certificate"))?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    // A school with a long name must be able to enrol devices, so it is cut where an identifier would be refused.
    let school: String = school.chars().take(NAME_CHARS_MAX).collect();
    if !school.is_empty() {
        params.distinguished_name.push(DnType::OrganizationName, school);
    }
    (params.not_before, params.not_after) = (not_before, not_after);
    Ok(params)
}

/// The value of an attribute of a name (RFC 5280 section 4.1.2.4).
fn attribute(name: &[u8], oid: ObjectIdentifier) -> Option<String> {
    let mut sets = Cursor::new(name).single(ber::SEQUENCE).ok()?.open();
    while let Ok(set) = sets.next(ber::SET) {
        let mut fields = set.open().next(ber::SEQUENCE).ok()?.open();
        if fields.next(ber::OBJECT_IDENTIFIER).ok()?.content == oid.as_bytes() {
            return String::from_utf8(fields.any().ok()?.content.to_vec()).ok();
        }
    }
    None
}

/// The authority outlives every device that enrols with it: when it goes, all of them must enrol again.
fn last_day() -> OffsetDateTime {
    rcgen::date_time_ymd(2049, 12, 31)
}

fn failed(what: &'static str) -> impl Fn(rcgen::Error) -> CaError {
    move |source| CaError::Make { what, source }
}

const FILE: &str = "mdm-devices.pem";
/// RFC 5280 appendix A: ub-common-name, ub-organization-name and ub-serial-number.
const NAME_CHARS_MAX: usize = 64;
const PRIVATE_KEY: &str = "PRIVATE KEY";
const CERTIFICATE: &str = "CERTIFICATE";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::x509::chains_to;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);
    const SUBJECT: Subject<'_> =
        Subject { enrolment: "a1b2", device_serial: Some("C02XYZ"), organisation: "Grundschule Süd" };

    fn issue(ca: &DeviceCa, subject: &Subject<'_>, serial: &[u8]) -> Result<Vec<u8>, CaError> {
        ca.issue(ca.ra().rsa().unwrap().public_key(), subject, serial, NOW, NOW + time::Duration::days(730))
    }

    #[test]
    fn an_authority_is_made_once_and_its_file_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let keys = dir.path().join("keys");
        let first = DeviceCa::ensure(&keys, "Testschule", KeyKind::P256, NOW).unwrap();
        let second = DeviceCa::ensure(&keys, "Andere", KeyKind::Rsa2048, NOW).unwrap();
        assert_eq!(first.certificate(), second.certificate());
        assert_eq!(first.ra().certificate(), second.ra().certificate());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&keys), mode(&keys.join(FILE))), (0o700, 0o600));
        second.is_ours(&issue(&first, &SUBJECT, &[1]).unwrap()).unwrap();
    }

    #[test]
    fn a_damaged_file_is_an_error_and_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (
            DeviceCa::generate("Eins", KeyKind::P256, NOW).unwrap().to_pem().unwrap(),
            DeviceCa::generate("Zwei", KeyKind::P256, NOW).unwrap().to_pem().unwrap(),
        );
        let parts = |text: &str| pem::parse_many(text).unwrap();
        let mixed = |indices: [(usize, bool); 4]| {
            let pick = |(at, own): (usize, bool)| parts(if own { &one } else { &other }).swap_remove(at);
            pem::encode_many(&indices.map(pick))
        };
        let cases = [
            String::new(),
            one[..one.len() / 2].to_owned(),
            mixed([(1, true), (0, true), (2, true), (3, true)]),
            mixed([(0, true), (1, false), (2, true), (3, true)]),
            mixed([(0, true), (1, true), (2, false), (3, false)]),
            mixed([(0, true), (1, true), (2, false), (3, true)]),
        ];
        for text in cases {
            fs::write(dir.path().join(FILE), &text).unwrap();
            assert!(DeviceCa::ensure(dir.path(), "Eins", KeyKind::P256, NOW).is_err());
            assert_eq!(fs::read_to_string(dir.path().join(FILE)).unwrap(), text);
        }
    }

    #[test]
    fn a_certificate_says_what_the_server_decided() {
        for kind in [KeyKind::P256, KeyKind::Rsa2048] {
            let ca = DeviceCa::generate("Testschule", kind, NOW).unwrap();
            let serial = fresh_serial().unwrap();
            let der = issue(&ca, &SUBJECT, &serial).unwrap();
            let issued = Issued {
                enrolment: "a1b2".into(),
                device_serial: Some("C02XYZ".into()),
                serial: serial.to_vec(),
                not_before: NOW.unix_timestamp(),
                not_after: NOW.unix_timestamp() + 730 * 86_400,
                public_key: ca.ra().rsa().unwrap().public_key().to_vec(),
            };
            assert_eq!(ca.is_ours(&der).unwrap(), issued);
            chains_to(&der, &[], &[ca.certificate().to_vec()]).unwrap();
        }
    }

    #[test]
    fn only_device_certificates_of_this_authority_are_ours() {
        let ca = DeviceCa::generate("Testschule", KeyKind::P256, NOW).unwrap();
        // The same name, another key.
        let twin = DeviceCa::generate("Testschule", KeyKind::P256, NOW).unwrap();
        let foreign = issue(&twin, &SUBJECT, &[1]).unwrap();
        let mut damaged = issue(&ca, &SUBJECT, &[1]).unwrap();
        *damaged.last_mut().unwrap() ^= 1;
        // By the right authority and for clients, but not made to sign.
        let mut params = template("a1b2", "", NOW, NOW).unwrap();
        params.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let silent = params.signed_by(&KeyPair::generate().unwrap(), &ca.issuer).unwrap().der().to_vec();
        for der in [ca.certificate(), ca.ra().certificate(), &foreign, &damaged, &silent] {
            assert!(matches!(ca.is_ours(der), Err(CaError::NotOurs)));
        }
        assert!(matches!(ca.is_ours(b"no certificate"), Err(CaError::Certificate(_))));
    }

    #[test]
    fn serial_numbers_and_names_keep_to_the_limits_of_x509() {
        let ca = DeviceCa::generate("Testschule", KeyKind::P256, NOW).unwrap();
        for (serial, fits) in [
            (vec![], false),
            (vec![0, 1], false),
            (vec![1; 20], true),
            (vec![1; 21], false),
            (vec![0xff; 19], true),
            (vec![0xff; 20], false),
        ] {
            assert_eq!(issue(&ca, &SUBJECT, &serial).is_ok(), fits, "{serial:?}");
            if fits {
                assert_eq!(ca.is_ours(&issue(&ca, &SUBJECT, &serial).unwrap()).unwrap().serial, serial);
            }
        }
        let long = "x".repeat(65);
        for subject in [
            Subject { enrolment: "", ..SUBJECT },
            Subject { enrolment: &long, ..SUBJECT },
            Subject { device_serial: Some(""), ..SUBJECT },
            Subject { device_serial: Some("ä"), ..SUBJECT },
        ] {
            assert!(issue(&ca, &subject, &[1]).is_err(), "{subject:?}");
        }
        let school = "Staatliche Grundschule am Süd".repeat(9);
        issue(&ca, &Subject { organisation: &school, ..SUBJECT }, &[1]).unwrap();
        issue(&ca, &Subject { organisation: "", ..SUBJECT }, &[1]).unwrap();
    }

    #[test]
    fn openssl_takes_a_device_certificate_for_a_client_and_for_nothing_else() {
        for kind in [KeyKind::P256, KeyKind::Rsa2048] {
            let ca = DeviceCa::generate("Testschule", kind, NOW).unwrap();
            let dir = tempfile::tempdir().unwrap();
            let device = issue(&ca, &SUBJECT, &fresh_serial().unwrap()).unwrap();
            for (name, der) in [("ca", ca.certificate()), ("ra", ca.ra().certificate()), ("device", &device)]
            {
                fs::write(dir.path().join(name), pem::encode(&pem::Pem::new(CERTIFICATE, der))).unwrap();
            }
            let verify = |arguments: &str| {
                let at = (NOW + time::Duration::HOUR).unix_timestamp().to_string();
                let run = Command::new("openssl")
                    .args(["verify", "-x509_strict", "-CAfile", "ca", "-attime", &at])
                    .args(arguments.split(' '))
                    .current_dir(dir.path())
                    .output();
                run.ok().map(|run| (run.status.success(), String::from_utf8_lossy(&run.stderr).into_owned()))
            };
            let Some((ok, error)) = verify("-purpose sslclient device") else {
                return eprintln!("skipped: there is no openssl");
            };
            assert!(ok, "{error}");
            assert!(!verify("-purpose sslserver device").unwrap().0);
            let (ok, error) = verify("-purpose any ra").unwrap();
            assert!(ok, "{error}");
            assert!(!verify("-untrusted device -purpose crlsign device").unwrap().0);
        }
    }
}
