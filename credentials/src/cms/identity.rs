//! Private keys with their certificates.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{self, KeySize, Pkcs1PrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
    RSA_PKCS1_SHA512, RsaEncoding,
};
use const_oid::db::rfc5912;
use der::Any;
use spki::AlgorithmIdentifierOwned;
use zeroize::Zeroizing;

use super::CmsError;
use crate::x509::{Certificate, Digest};

/// An RSA key that signs and decrypts, of 2048 bits or more.
pub struct RsaKey {
    pair: rsa::KeyPair,
    decrypting: Pkcs1PrivateDecryptingKey,
    /// SubjectPublicKeyInfo.
    public_key: Vec<u8>,
}

impl RsaKey {
    /// Makes a key of 2048 bits.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn generate() -> Result<Self, CmsError> {
        let failed = |_| CmsError::Identity("an RSA key cannot be made");
        Self::from_pair(rsa::KeyPair::generate(KeySize::Rsa2048).map_err(failed)?)
    }

    /// Reads a key, PKCS#8 DER.
    ///
    /// # Errors
    /// It is none, or too short.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, CmsError> {
        Self::from_pair(rsa::KeyPair::from_pkcs8(pkcs8).map_err(|_| CmsError::Identity(NO_RSA_KEY))?)
    }

    fn from_pair(pair: rsa::KeyPair) -> Result<Self, CmsError> {
        let failed = |_| CmsError::Identity("the RSA key is not usable");
        let public_key: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(failed)?;
        let public_key = public_key.as_ref().to_vec();
        let decrypting =
            PrivateDecryptingKey::from_pkcs8(&pkcs8(&pair)?).map_err(|_| CmsError::Identity(NO_RSA_KEY))?;
        Ok(Self { pair, decrypting: Pkcs1PrivateDecryptingKey::new(decrypting).map_err(failed)?, public_key })
    }

    /// The key, PKCS#8 DER. A secret.
    ///
    /// # Errors
    /// It cannot be encoded.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, CmsError> {
        pkcs8(&self.pair)
    }

    /// The public key, a SubjectPublicKeyInfo in DER.
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// Decrypts PKCS#1 v1.5. `None` for every failure.
    pub(super) fn decrypt(&self, encrypted: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mut out = Zeroizing::new(vec![0; self.decrypting.min_output_size()]);
        let length = self.decrypting.decrypt(encrypted, &mut out).ok()?.len();
        out.truncate(length);
        Some(out)
    }

    fn sign(&self, digest: Digest, message: &[u8]) -> Result<Vec<u8>, CmsError> {
        let encoding: &'static dyn RsaEncoding = match digest {
            Digest::Sha1 => return Err(CmsError::Identity("SHA-1 signatures are not made")),
            Digest::Sha256 => &RSA_PKCS1_SHA256,
            Digest::Sha384 => &RSA_PKCS1_SHA384,
            Digest::Sha512 => &RSA_PKCS1_SHA512,
        };
        let mut signature = vec![0; self.pair.public_modulus_len()];
        let signed = self.pair.sign(encoding, &SystemRandom::new(), message, &mut signature);
        signed.map_err(|_| CmsError::Identity("the RSA key cannot sign"))?;
        Ok(signature)
    }
}

enum Key {
    Rsa(RsaKey),
    P256(Box<EcdsaKeyPair>),
}

impl Key {
    /// Reads a key of the kind that its PEM label says: PKCS#8, PKCS#1 (RFC 8017) or SEC 1 (RFC 5915).
    fn read(label: &str, der: &[u8]) -> Result<Self, CmsError> {
        let rejected =
            |_| CmsError::Identity("the private key is neither RSA of 2048 bits or more nor ECDSA P-256");
        let elliptic = &ECDSA_P256_SHA256_ASN1_SIGNING;
        match label {
            "PRIVATE KEY" => match EcdsaKeyPair::from_pkcs8(elliptic, der) {
                Ok(pair) => Ok(Self::P256(Box::new(pair))),
                Err(_) => Ok(Self::Rsa(RsaKey::from_pair(rsa::KeyPair::from_pkcs8(der).map_err(rejected)?)?)),
            },
            "RSA PRIVATE KEY" => {
                Ok(Self::Rsa(RsaKey::from_pair(rsa::KeyPair::from_der(der).map_err(rejected)?)?))
            }
            "EC PRIVATE KEY" => {
                Ok(Self::P256(Box::new(EcdsaKeyPair::from_private_key_der(elliptic, der).map_err(rejected)?)))
            }
            _ => Err(CmsError::Identity("the private key is encrypted; decrypt it first")),
        }
    }

    fn belongs_to(&self, certificate: &[u8]) -> Result<bool, CmsError> {
        let public_key = Certificate::parse(certificate)?.public_key;
        Ok(match self {
            Self::Rsa(rsa) => public_key == rsa.public_key(),
            // A SubjectPublicKeyInfo ends with the point.
            Self::P256(pair) => public_key.ends_with(pair.public_key().as_ref()),
        })
    }
}

/// A certificate with its private key (RSA, or ECDSA P-256).
pub struct Identity {
    certificate: Vec<u8>,
    key: Key,
}

impl Identity {
    /// Joins a certificate (DER) and a private key (PKCS#8 DER), which must belong together.
    ///
    /// # Errors
    /// One of them is unreadable, of another kind, or they do not belong together.
    pub fn new(certificate: &[u8], pkcs8: &[u8]) -> Result<Self, CmsError> {
        Self::join(certificate, Key::read("PRIVATE KEY", pkcs8)?)
    }

    /// Reads a private key and certificates from one PEM text, as public authorities and their tools hand them out. Returns the
    /// identity and the other certificates, which lead from it to its authority.
    ///
    /// # Errors
    /// There is not exactly one key that is not encrypted, or no certificate belongs to it.
    pub fn from_pem(text: &str) -> Result<(Self, Vec<Vec<u8>>), CmsError> {
        let parts = pem::parse_many(text).map_err(|_| CmsError::Identity("the identity is no PEM text"))?;
        let is_key = |part: &&pem::Pem| part.tag().ends_with("PRIVATE KEY");
        let mut keys = parts.iter().filter(is_key);
        let (Some(key), None) = (keys.next(), keys.next()) else {
            return Err(CmsError::Identity("the PEM text must hold exactly one private key"));
        };
        let key = Key::read(key.tag(), key.contents())?;
        let mut chain: Vec<_> = parts
            .iter()
            .filter(|part| part.tag() == "CERTIFICATE")
            .map(|part| part.contents().to_vec())
            .collect();
        let own = chain.iter().position(|der| key.belongs_to(der).unwrap_or(false));
        let own =
            own.ok_or(CmsError::Identity("the PEM text holds no certificate that belongs to its key"))?;
        let certificate = chain.remove(own);
        Ok((Self { certificate, key }, chain))
    }

    /// Joins a certificate (DER) and an RSA key, which must belong together.
    ///
    /// # Errors
    /// The certificate is unreadable or does not belong to the key.
    pub fn with_rsa(certificate: &[u8], key: RsaKey) -> Result<Self, CmsError> {
        Self::join(certificate, Key::Rsa(key))
    }

    fn join(certificate: &[u8], key: Key) -> Result<Self, CmsError> {
        if !key.belongs_to(certificate)? {
            return Err(CmsError::Identity("the certificate does not belong to the private key"));
        }
        Ok(Self { certificate: certificate.to_vec(), key })
    }

    /// The certificate, DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The RSA key; `None` if the key is an elliptic one, which cannot decrypt.
    #[must_use]
    pub fn rsa(&self) -> Option<&RsaKey> {
        match &self.key {
            Key::Rsa(key) => Some(key),
            Key::P256(_) => None,
        }
    }

    /// Signs; returns the signature and its algorithm as a SignerInfo names it.
    pub fn sign(
        &self,
        digest: Digest,
        message: &[u8],
    ) -> Result<(Vec<u8>, AlgorithmIdentifierOwned), CmsError> {
        match &self.key {
            // rsaEncryption, not sha256WithRSAEncryption: both are allowed (RFC 3370 section 3.2), strongSwan takes only this.
            Key::Rsa(key) => Ok((
                key.sign(digest, message)?,
                AlgorithmIdentifierOwned { oid: rfc5912::RSA_ENCRYPTION, parameters: Some(Any::null()) },
            )),
            Key::P256(pair) if digest == Digest::Sha256 => {
                let failed = |_| CmsError::Identity("the elliptic key cannot sign");
                let signature = pair.sign(&SystemRandom::new(), message).map_err(failed)?;
                let algorithm =
                    AlgorithmIdentifierOwned { oid: rfc5912::ECDSA_WITH_SHA_256, parameters: None };
                Ok((signature.as_ref().to_vec(), algorithm))
            }
            Key::P256(_) => Err(CmsError::Identity("elliptic keys sign with SHA-256 only")),
        }
    }
}

fn pkcs8(pair: &rsa::KeyPair) -> Result<Zeroizing<Vec<u8>>, CmsError> {
    let der: Pkcs8V1Der<'_> =
        pair.as_der().map_err(|_| CmsError::Identity("the RSA key cannot be written"))?;
    Ok(Zeroizing::new(der.as_ref().to_vec()))
}

const NO_RSA_KEY: &str = "the private key is no RSA key of 2048 bits or more in PKCS#8";
