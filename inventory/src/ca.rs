//! The school's own certificate authority: what PCs and browsers trust our servers by.
//!
//! Its key lies in a file only root can read, never in the database. Server certificates are made when a server starts and
//! exist in memory only, so they always name the addresses of the day.

use std::fs;
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};

/// Why the authority cannot be used.
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
    /// A key or certificate cannot be made or understood.
    #[error("{what}: {source}")]
    Certificate {
        /// What was tried.
        what: &'static str,
        /// What the library said.
        source: rcgen::Error,
    },
}

/// A server certificate with its key, ready for a TLS library.
pub struct ServerCert {
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// Its private key, PKCS#8 DER.
    pub key: Vec<u8>,
}

/// The school's certificate authority.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes a new authority in `keys_dir` (created with mode 0700), unless there is one, and opens it.
    ///
    /// # Errors
    /// The folder cannot be written, or half of an authority lies there.
    pub fn ensure(keys_dir: &Path, school: &str) -> Result<Self, CaError> {
        if !keys_dir.join(CERTIFICATE).exists() {
            let key = KeyPair::generate().map_err(failed("make the authority's key"))?;
            let mut params = CertificateParams::default();
            let mut name = DistinguishedName::new();
            name.push(DnType::CommonName, format!("Hausmeister {school}"));
            params.distinguished_name = name;
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            // Wide limits: a PC with a dead clock battery must still be able to trust the server that tells it the time.
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2049, 12, 31);
            let certificate = params.self_signed(&key).map_err(failed("make the authority's certificate"))?;
            // The key first: a certificate without its key would look like a finished authority.
            write_secret(&keys_dir.join(KEY), key.serialize_pem().as_bytes())?;
            write_secret(&keys_dir.join(CERTIFICATE), certificate.pem().as_bytes())?;
        }
        Self::open(keys_dir)
    }

    /// Opens the authority in `keys_dir`.
    ///
    /// # Errors
    /// There is none, or its files cannot be understood.
    pub fn open(keys_dir: &Path) -> Result<Self, CaError> {
        let read = |name: &str| {
            let path = keys_dir.join(name);
            fs::read_to_string(&path).map_err(|source| CaError::File { path, source })
        };
        let pem = read(CERTIFICATE)?;
        let key = KeyPair::from_pem(&read(KEY)?).map_err(failed("read the authority's key"))?;
        let issuer =
            Issuer::from_ca_cert_pem(&pem, key).map_err(failed("read the authority's certificate"))?;
        Ok(Self { pem, issuer })
    }

    /// The authority's certificate, PEM. Public.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Makes a certificate for a server that is reached by these addresses and names.
    ///
    /// # Errors
    /// A name is no DNS name.
    pub fn issue_server(&self, addresses: &[IpAddr], names: &[String]) -> Result<ServerCert, CaError> {
        let what = "make a server certificate";
        let mut params = CertificateParams::new(names.to_vec()).map_err(failed(what))?;
        params.subject_alt_names.extend(addresses.iter().map(|address| SanType::IpAddress(*address)));
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, "Hausmeister");
        params.distinguished_name = name;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        // A day back for clocks that run late; browsers refuse server certificates valid for more than 398 days.
        let now = crate::clock::now().0 / 1000;
        let at = |seconds: i64| time::OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(params_epoch());
        params.not_before = at(now - 86_400);
        params.not_after = at(now + 396 * 86_400);
        let key = KeyPair::generate().map_err(failed(what))?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed(what))?;
        Ok(ServerCert { certificate: certificate.der().to_vec(), key: key.serialize_der() })
    }
}

/// Writes a file that only its owner can read, durably, in a folder that only its owner can enter. Never overwrites.
///
/// # Errors
/// The file exists, or the folder cannot be written.
pub fn write_secret(path: &Path, content: &[u8]) -> Result<(), CaError> {
    let fail = |source| CaError::File { path: path.to_owned(), source };
    if let Some(dir) = path.parent() {
        let mut builder = fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(dir).map_err(fail)?;
    }
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(fail)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(fail)
}

fn failed(what: &'static str) -> impl Fn(rcgen::Error) -> CaError {
    move |source| CaError::Certificate { what, source }
}

fn params_epoch() -> time::OffsetDateTime {
    rcgen::date_time_ymd(2020, 1, 1)
}

const CERTIFICATE: &str = "ca.pem";
const KEY: &str = "ca.key";

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn an_authority_is_made_once_and_its_key_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let keys = dir.path().join("keys");
        let first = Authority::ensure(&keys, "Testschule").unwrap();
        let second = Authority::ensure(&keys, "Andere").unwrap();
        assert_eq!(first.pem(), second.pem());
        let mode = fs::metadata(keys.join(KEY)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let cert =
            second.issue_server(&["10.77.0.1".parse().unwrap()], &["server.schule.internal".into()]).unwrap();
        assert!(!cert.certificate.is_empty() && !cert.key.is_empty());
    }
}
