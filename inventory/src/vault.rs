//! Sealing the few secrets that must be read back, with a key that is not in the database: whoever copies the database alone learns
//! nothing. ChaCha20-Poly1305 (RFC 8439); each seal is bound to what it belongs to, so that it cannot be moved to another row.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::ca::{CaError, write_secret};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngCore as _;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// Why the key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// It cannot be written.
    #[error("cannot keep the key of sealed secrets")]
    Write(#[from] CaError),
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no key.
    #[error("{} does not hold {KEY_BYTES} bytes; restore it from the backup, or remove it: then second factors have to be set anew", .0.display())]
    Length(PathBuf),
}

/// The key. Clones share it.
#[derive(Clone)]
pub struct Vault(Arc<LessSafeKey>);

impl Vault {
    /// Reads the key from the folder of keys; makes one where there is none.
    pub fn open(keys_dir: &Path) -> Result<Self, VaultError> {
        let path = keys_dir.join(FILE);
        let key = match fs::read(&path) {
            Ok(key) => key,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let mut key = vec![0; KEY_BYTES];
                rand::rng().fill_bytes(&mut key);
                write_secret(&path, &key)?;
                key
            }
            Err(source) => return Err(VaultError::Read { path, source }),
        };
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key).map_err(|_| VaultError::Length(path))?;
        Ok(Self(Arc::new(LessSafeKey::new(key))))
    }

    /// Seals a secret of `owner`; base64url.
    pub fn seal(&self, owner: &[u8], secret: &[u8]) -> Option<String> {
        let mut nonce = [0; NONCE_LEN];
        // 96 random bits: a school seals a few thousand secrets in its life, far from where two nonces meet.
        rand::rng().fill_bytes(&mut nonce);
        let mut sealed = secret.to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        self.0.seal_in_place_append_tag(unique, Aad::from(owner), &mut sealed).ok()?;
        Some(URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat()))
    }

    /// What was sealed for `owner`; `None` if it was not, or with another key.
    pub fn unseal(&self, owner: &[u8], sealed: &str) -> Option<Vec<u8>> {
        let mut bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        Some(self.0.open_in_place(nonce, Aad::from(owner), sealed).ok()?.to_vec())
    }
}

const FILE: &str = "secrets.key";
const KEY_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn only_its_owner_and_its_key_open_a_seal() {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::open(dir.path()).unwrap();
        let sealed = vault.seal(b"lea", b"secret").unwrap();
        assert_ne!(sealed, vault.seal(b"lea", b"secret").unwrap());
        let again = Vault::open(dir.path()).unwrap();
        assert_eq!(again.unseal(b"lea", &sealed).as_deref(), Some(&b"secret"[..]));
        assert_eq!(again.unseal(b"max", &sealed), None);
        for damaged in ["", "AAAA", &sealed[1..], &sealed.replace(&sealed[20..21], "_")] {
            assert_eq!(again.unseal(b"lea", damaged), None, "{damaged}");
        }
        let other = tempfile::tempdir().unwrap();
        assert_eq!(Vault::open(other.path()).unwrap().unseal(b"lea", &sealed), None);
    }

    #[test]
    fn the_key_is_private_and_a_damaged_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        Vault::open(dir.path()).unwrap();
        let path = dir.path().join(FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "short").unwrap();
        let error = Vault::open(dir.path()).err().unwrap().to_string();
        assert!(error.contains("secrets.key"), "{error}");
    }
}
