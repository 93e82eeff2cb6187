//! EnvelopedData (RFC 5652 section 6) with RSA key transport.

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockDecryptMut as _, BlockEncryptMut as _, KeyIvInit as _};
use aes::{Aes128, Aes256};
use aws_lc_rs::rsa::{Pkcs1PublicEncryptingKey, PublicEncryptingKey};
use cms::content_info::{CmsVersion, ContentInfo};
use cms::enveloped_data::{
    EncryptedContentInfo, EnvelopedData, KeyTransRecipientInfo, RecipientIdentifier, RecipientInfo,
    RecipientInfos,
};
use const_oid::ObjectIdentifier;
use const_oid::db::{rfc5911, rfc5912};
use der::asn1::{OctetString, SetOfVec};
use der::{Any, Encode as _};
use des::{Des, TdesEde3};
use spki::AlgorithmIdentifierOwned;
use zeroize::Zeroizing;

use super::signed::issuer_and_serial;
use super::verify::{CONTEXT_0, KEY_IDENTIFIER, is_named, open_content_info};
use super::{CmsError, Identity, random};
use crate::ber::{self, Cursor, Element};
use crate::x509::{self, Certificate};

/// How the content of a message is encrypted; all in CBC mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cipher {
    /// Single DES: read where [`SingleDes::Accepted`], never written except by a client that asks for it in a test.
    Des,
    /// Triple DES with three keys.
    TripleDes,
    /// AES with 128 bits.
    Aes128,
    /// AES with 256 bits.
    Aes256,
}

/// Whether messages in single DES are read. Anybody can break it; old SCEP clients send nothing better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SingleDes {
    /// They are refused.
    Refused,
    /// They are read.
    Accepted,
}

/// A message that was decrypted.
pub struct Opened {
    /// What was inside.
    pub content: Zeroizing<Vec<u8>>,
    /// How it was encrypted.
    pub cipher: Cipher,
}

/// Decrypts a message that is addressed to the certificate of `identity`, whose key must be RSA.
///
/// The content is not authenticated: a caller must expect any bytes.
///
/// # Errors
/// The message is unreadable, for somebody else, in a cipher that is not accepted; or it does not decrypt, with one error for
/// every cause.
pub fn open(message: &[u8], identity: &Identity, single_des: SingleDes) -> Result<Opened, CmsError> {
    let der = ber::to_der(message)?;
    let mut data = open_content_info(&der, rfc5911::ID_ENVELOPED_DATA)?;
    data.next(ber::INTEGER)?;
    data.optional(CONTEXT_0)?; // certificates of the sender
    let recipients = data.next(ber::SET)?;
    let mut encrypted = data.next(ber::SEQUENCE)?.open();
    encrypted.next(ber::OBJECT_IDENTIFIER)?;
    let (oid, parameters) = x509::algorithm(encrypted.next(ber::SEQUENCE)?)?;
    let ciphertext = implicit_octets(encrypted.any()?)?;
    let cipher = Cipher::from_oid(oid)
        .filter(|cipher| *cipher != Cipher::Des || single_des == SingleDes::Accepted)
        .ok_or_else(|| CmsError::Cipher(oid.to_string()))?;
    let iv =
        parameters.filter(|it| it.tag == ber::OCTET_STRING).ok_or(CmsError::Part("initialisation vector"))?;

    let wrapped = key_for(identity.certificate(), recipients)?;
    let key = identity.rsa().ok_or(CmsError::Identity("an elliptic key cannot decrypt"))?.decrypt(wrapped);
    // RFC 3218 section 2.3.2: whoever could tell a bad key from a bad content could decrypt other messages step by step
    // (Bleichenbacher). A random key makes the one end like the other.
    let substitute = Zeroizing::new(random::<{ KEY_BYTES_MAX }>()?.to_vec());
    let key = key.filter(|key| key.len() == cipher.key_bytes()).unwrap_or(substitute);
    let key = key.get(..cipher.key_bytes()).ok_or(CmsError::Decrypt)?;
    let content = cipher.decrypt(key, iv.content, &ciphertext).ok_or(CmsError::Decrypt)?;
    Ok(Opened { content, cipher })
}

/// Encrypts `content` for the holder of a certificate with an RSA key.
///
/// # Errors
/// The certificate is unreadable or its key is not RSA of 2048 bits or more.
pub fn seal(content: &[u8], recipient: &[u8], cipher: Cipher) -> Result<Vec<u8>, CmsError> {
    let unusable = |_| CmsError::Identity("the recipient's certificate has no RSA key of 2048 bits or more");
    let public_key =
        PublicEncryptingKey::from_der(Certificate::parse(recipient)?.public_key).map_err(unusable)?;
    let public_key = Pkcs1PublicEncryptingKey::new(public_key)
        .map_err(|_| CmsError::Identity("the recipient's key is not usable"))?;
    let random_key = Zeroizing::new(random::<{ KEY_BYTES_MAX }>()?);
    let random_iv = random::<{ IV_BYTES_MAX }>()?;
    let key = random_key.get(..cipher.key_bytes()).unwrap_or_default();
    let iv = random_iv.get(..cipher.iv_bytes()).unwrap_or_default();
    let ciphertext = cipher.encrypt(key, iv, content).ok_or(CmsError::Part("content key"))?;
    let mut wrapped = vec![0; public_key.ciphertext_size()];
    public_key
        .encrypt(key, &mut wrapped)
        .map_err(|_| CmsError::Identity("the recipient's key is not usable"))?;

    let recipient = RecipientInfo::Ktri(KeyTransRecipientInfo {
        version: CmsVersion::V0,
        rid: RecipientIdentifier::IssuerAndSerialNumber(issuer_and_serial(recipient)?),
        key_enc_alg: AlgorithmIdentifierOwned { oid: rfc5912::RSA_ENCRYPTION, parameters: Some(Any::null()) },
        enc_key: OctetString::new(wrapped)?,
    });
    let data = EnvelopedData {
        version: CmsVersion::V0,
        originator_info: None,
        recip_infos: RecipientInfos(SetOfVec::try_from(vec![recipient])?),
        encrypted_content: EncryptedContentInfo {
            content_type: rfc5911::ID_DATA,
            content_enc_alg: AlgorithmIdentifierOwned {
                oid: cipher.oid(),
                parameters: Some(Any::encode_from(&OctetString::new(iv)?)?),
            },
            encrypted_content: Some(OctetString::new(ciphertext)?),
        },
        unprotected_attrs: None,
    };
    let info = ContentInfo { content_type: rfc5911::ID_ENVELOPED_DATA, content: Any::encode_from(&data)? };
    Ok(info.to_der()?)
}

/// The encrypted key that is meant for the holder of `certificate`.
fn key_for<'a>(certificate: &[u8], recipients: Element<'a>) -> Result<&'a [u8], CmsError> {
    let certificate = Certificate::parse(certificate)?;
    let mut recipients = recipients.open();
    for _ in 0..RECIPIENTS_MAX {
        if recipients.is_empty() {
            break;
        }
        let recipient = recipients.any()?;
        // Key agreement and passwords have other tags.
        if recipient.tag != ber::SEQUENCE {
            continue;
        }
        let mut fields = recipient.open();
        fields.next(ber::INTEGER)?;
        if !is_named(fields.any()?, &certificate) {
            continue;
        }
        let (oid, _) = x509::algorithm(fields.next(ber::SEQUENCE)?)?;
        if oid != rfc5912::RSA_ENCRYPTION {
            return Err(CmsError::Cipher(oid.to_string()));
        }
        return Ok(fields.next(ber::OCTET_STRING)?.content);
    }
    Err(CmsError::OtherRecipient)
}

/// The content of `[0] IMPLICIT OCTET STRING`. Under an implicit tag only the reader of the message knows that it is a string,
/// so [`ber::to_der`] leaves one that was sent in parts alone.
fn implicit_octets(element: Element<'_>) -> Result<Vec<u8>, CmsError> {
    match element.tag {
        KEY_IDENTIFIER => Ok(element.content.to_vec()),
        CONTEXT_0 => {
            let (mut parts, mut out): (Cursor<'_>, _) = (element.open(), Vec::new());
            while !parts.is_empty() {
                out.extend_from_slice(parts.next(ber::OCTET_STRING)?.content);
            }
            Ok(out)
        }
        _ => Err(CmsError::Part("encrypted content")),
    }
}

impl Cipher {
    fn from_oid(oid: ObjectIdentifier) -> Option<Self> {
        [Self::Des, Self::TripleDes, Self::Aes128, Self::Aes256]
            .into_iter()
            .find(|cipher| cipher.oid() == oid)
    }

    fn oid(self) -> ObjectIdentifier {
        match self {
            Self::Des => DES_CBC,
            Self::TripleDes => rfc5911::DES_EDE_3_CBC,
            Self::Aes128 => rfc5911::ID_AES_128_CBC,
            Self::Aes256 => rfc5911::ID_AES_256_CBC,
        }
    }

    fn key_bytes(self) -> usize {
        match self {
            Self::Des => 8,
            Self::TripleDes => 24,
            Self::Aes128 => 16,
            Self::Aes256 => 32,
        }
    }

    fn iv_bytes(self) -> usize {
        match self {
            Self::Des | Self::TripleDes => 8,
            Self::Aes128 | Self::Aes256 => 16,
        }
    }

    /// `None` if key, vector or padding do not fit.
    fn decrypt(self, key: &[u8], iv: &[u8], ciphertext: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let content = match self {
            Self::Des => cbc::Decryptor::<Des>::new_from_slices(key, iv)
                .ok()?
                .decrypt_padded_vec_mut::<Pkcs7>(ciphertext),
            Self::TripleDes => cbc::Decryptor::<TdesEde3>::new_from_slices(key, iv)
                .ok()?
                .decrypt_padded_vec_mut::<Pkcs7>(ciphertext),
            Self::Aes128 => cbc::Decryptor::<Aes128>::new_from_slices(key, iv)
                .ok()?
                .decrypt_padded_vec_mut::<Pkcs7>(ciphertext),
            Self::Aes256 => cbc::Decryptor::<Aes256>::new_from_slices(key, iv)
                .ok()?
                .decrypt_padded_vec_mut::<Pkcs7>(ciphertext),
        };
        content.ok().map(Zeroizing::new)
    }

    /// `None` if key or vector do not fit.
    fn encrypt(self, key: &[u8], iv: &[u8], content: &[u8]) -> Option<Vec<u8>> {
        Some(match self {
            Self::Des => {
                cbc::Encryptor::<Des>::new_from_slices(key, iv).ok()?.encrypt_padded_vec_mut::<Pkcs7>(content)
            }
            Self::TripleDes => cbc::Encryptor::<TdesEde3>::new_from_slices(key, iv)
                .ok()?
                .encrypt_padded_vec_mut::<Pkcs7>(content),
            Self::Aes128 => cbc::Encryptor::<Aes128>::new_from_slices(key, iv)
                .ok()?
                .encrypt_padded_vec_mut::<Pkcs7>(content),
            Self::Aes256 => cbc::Encryptor::<Aes256>::new_from_slices(key, iv)
                .ok()?
                .encrypt_padded_vec_mut::<Pkcs7>(content),
        })
    }
}

/// desCBC of the OIW, which no RFC of the CMS family lists.
const DES_CBC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.7");
const KEY_BYTES_MAX: usize = 32;
const IV_BYTES_MAX: usize = 16;
const RECIPIENTS_MAX: usize = 16;
