//! The certificate by which devices know that they talk to the school: of the school's authority, with a name that never changes.
//!
//! Unlike those of our web servers it lies in a file: devices that resume a session, and people who were asked once whether they trust
//! it, see the same one for a year.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use inventory::UnixMillis;
use inventory::ca::{Authority, CaError};

/// Key and certificate of the server, PEM.
pub(crate) struct Identity {
    pub(crate) key: String,
    pub(crate) certificate: String,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// It cannot be made.
    #[error(transparent)]
    Authority(#[from] CaError),
    /// Its file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Reads the certificate for `name`; makes one where there is none, where it ends within two months, or where it is for another name.
pub(crate) fn ensure(
    keys_dir: &Path,
    authority: &Authority,
    name: &str,
    now: UnixMillis,
) -> Result<Identity, CertificateError> {
    let path = keys_dir.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) => {
            if let Some(identity) = parse(&text).filter(|identity| is_good(identity, name, now)) {
                return Ok(identity);
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(source) => return Err(CertificateError::File { path, source }),
    }
    let made = authority.issue_server(&[], &[name.to_owned()])?;
    let key = pem::encode(&pem::Pem::new(KEY, made.key));
    let certificate = pem::encode(&pem::Pem::new(CERTIFICATE, made.certificate));
    replace(&path, format!("{key}{certificate}").as_bytes())
        .map_err(|source| CertificateError::File { path, source })?;
    tracing::info!(name, "a new certificate for the WLAN");
    Ok(Identity { key, certificate })
}

/// The first certificate in a file, PEM. Of the authority of devices nothing else leaves its file.
pub(crate) fn first_certificate(text: &str) -> Option<String> {
    let parts = pem::parse_many(text).ok()?;
    parts.iter().find(|part| part.tag() == CERTIFICATE).map(pem::encode)
}

fn parse(text: &str) -> Option<Identity> {
    let parts = pem::parse_many(text).ok()?;
    let of = |tag: &str| parts.iter().find(|part| part.tag() == tag).map(pem::encode);
    Some(Identity { key: of(KEY)?, certificate: of(CERTIFICATE)? })
}

fn is_good(identity: &Identity, name: &str, now: UnixMillis) -> bool {
    let Ok(der) = pem::parse(&identity.certificate) else { return false };
    let Ok((_, certificate)) = x509_parser::parse_x509_certificate(der.contents()) else { return false };
    let named = certificate.subject_alternative_name().ok().flatten().is_some_and(|names| {
        let is = |one: &x509_parser::extensions::GeneralName<'_>| matches!(one, x509_parser::extensions::GeneralName::DNSName(dns) if *dns == name);
        names.value.general_names.iter().any(is)
    });
    let valid = certificate.validity();
    let seconds = now.0 / 1000;
    // A clock that was wrong when it was made, too.
    named
        && valid.not_before.timestamp() <= seconds
        && seconds + RENEWED_BEFORE_SECS < valid.not_after.timestamp()
}

/// A file that only its owner reads, there as a whole or not at all.
pub(crate) fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let _ = fs::remove_file(&new);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

const FILE: &str = "radius.pem";
const KEY: &str = "PRIVATE KEY";
const CERTIFICATE: &str = "CERTIFICATE";
/// Profiles name the authority and the name, not this certificate: nobody notices when it changes.
const RENEWED_BEFORE_SECS: i64 = 60 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_the_same_until_it_nears_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::ensure(dir.path(), "Testschule").unwrap();
        let at = |days: i64| UnixMillis(inventory::clock::now().0 + days * 86_400_000);
        let ensure = |name, days| ensure(dir.path(), &authority, name, at(days)).unwrap().certificate;
        let first = ensure("radius.schule.internal", 0);
        assert_eq!(ensure("radius.schule.internal", 300), first);
        let second = ensure("radius.schule.internal", 340);
        assert_ne!(second, first, "less than two months are left");
        let third = ensure("radius.andere.internal", 0);
        assert_ne!(third, second, "another name");
        fs::write(dir.path().join(FILE), "damaged").unwrap();
        assert_ne!(ensure("radius.andere.internal", 0), third);
        let text = fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert!(first_certificate(&text).unwrap().starts_with("-----BEGIN CERTIFICATE"));
    }
}
