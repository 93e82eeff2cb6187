//! The key that signs image manifests.

use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use images::hex;
use inventory::config::Site;

/// Why manifests cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("cannot read the signing key {}; `hausmeister init` makes one", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no key.
    #[error("{} is no signing key: expected 64 hexadecimal digits; restore it from a backup", path.display())]
    Format {
        /// The file.
        path: PathBuf,
    },
}

/// Reads `signing.key`: the 32 bytes of an Ed25519 key, hexadecimal.
///
/// # Errors
/// See [`KeyError`]; the content appears in none of them.
pub(crate) fn signing_key(site: &Site) -> Result<SigningKey, KeyError> {
    let path = site.keys_dir().join(FILE);
    let text =
        std::fs::read_to_string(&path).map_err(|source| KeyError::Read { path: path.clone(), source })?;
    parse(text.trim()).ok_or_else(|| KeyError::Format { path: Path::new(&path).to_owned() })
}

fn parse(text: &str) -> Option<SigningKey> {
    hex::decode(text).map(|bytes| SigningKey::from_bytes(&bytes))
}

/// The key that what it signs is checked with, hexadecimal, as agents and other servers are told it.
pub(crate) fn verifying_key_hex(key: &SigningKey) -> String {
    hex::encode(key.verifying_key().as_bytes())
}

const FILE: &str = "signing.key";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_64_hexadecimal_digits_are_a_key() {
        assert_eq!(parse(&"0a".repeat(32)).unwrap().to_bytes(), [10; 32]);
        for text in ["", "0a", &"0a".repeat(31), &"0a".repeat(33), &"zz".repeat(32), &"ä".repeat(32)] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
