//! Who this PC is: a key pair, and a self-signed certificate over it that carries it through TLS.
//!
//! The server knows a PC by the BLAKE3 hash of its public key and by nothing else. The certificate's names and dates mean
//! nothing to it.

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};

/// A key pair with its certificate.
#[derive(Clone)]
pub struct Identity {
    private_key: Vec<u8>,
    private_key_pem: String,
    certificate: Vec<u8>,
    fingerprint: String,
}

impl Identity {
    /// A fresh key, EC P-256.
    ///
    /// # Errors
    /// No randomness, which does not happen on a running kernel.
    pub fn generate() -> Result<Identity, rcgen::Error> {
        Identity::over(&KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)
    }

    /// The identity over a key that was kept.
    ///
    /// # Errors
    /// Not a private key in PKCS#8.
    pub fn from_private_key(pkcs8: &[u8]) -> Result<Identity, rcgen::Error> {
        Identity::over(&KeyPair::try_from(pkcs8)?)
    }

    fn over(key: &KeyPair) -> Result<Identity, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Hausmeister PC");
        let certificate = params.self_signed(key)?.der().to_vec();
        let fingerprint = blake3::hash(&key.subject_public_key_info()).to_hex().to_string();
        Ok(Identity {
            private_key: key.serialize_der(),
            private_key_pem: key.serialize_pem(),
            certificate,
            fingerprint,
        })
    }

    /// The private key, PKCS#8 DER.
    pub fn private_key(&self) -> &[u8] {
        &self.private_key
    }

    /// The same as PEM: the only form that the HTTP client takes.
    pub(crate) fn private_key_pem(&self) -> &str {
        &self.private_key_pem
    }

    /// The certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// What the server knows this PC by: BLAKE3 of the SubjectPublicKeyInfo, 64 hexadecimal digits.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_key_gives_the_same_identity_again() {
        let first = Identity::generate().unwrap();
        let again = Identity::from_private_key(first.private_key()).unwrap();
        assert_eq!(first.fingerprint(), again.fingerprint());
        assert_eq!(first.fingerprint().len(), 64);
        assert_ne!(first.fingerprint(), Identity::generate().unwrap().fingerprint());
    }

    #[test]
    fn neither_garbage_nor_debugging_reveals_or_makes_a_key() {
        assert!(Identity::from_private_key(b"").is_err());
        assert!(Identity::from_private_key(&[0x30; 200]).is_err());
        let shown = format!("{:?}", Identity::generate().unwrap());
        assert!(shown.contains("fingerprint") && !shown.contains("private"), "{shown}");
    }
}
