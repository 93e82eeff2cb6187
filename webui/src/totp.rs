//! Codes that change every half minute.
//!
//! | Standard | What is done here                                                                     |
//! |----------|---------------------------------------------------------------------------------------|
//! | RFC 4226 | HOTP with HMAC-SHA-1 and six digits (section 5.3)                                     |
//! | RFC 6238 | the counter is the number of half minutes since 1970 (section 4); a code of the step before or after is accepted (5.2) |
//!
//! Nothing here reads a clock, draws random numbers or keeps anything; that a code is good once is the inventory's part.

use data_encoding::BASE32_NOPAD;
use inventory::UnixMillis;
use ring::hmac;

use crate::guard::percent;

/// The shared secret of a second factor.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret([u8; SECRET_BYTES]);

impl Secret {
    /// Of random bits: 160, as RFC 4226 section 4 recommends.
    pub(crate) fn new(random: [u8; SECRET_BYTES]) -> Self {
        Self(random)
    }

    /// Of bits that were kept.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// As people type it into an authenticator app: base32 in groups of four.
    pub(crate) fn text(&self) -> String {
        let text = BASE32_NOPAD.encode(&self.0);
        let groups: Vec<&str> =
            text.as_bytes().chunks(4).filter_map(|c| std::str::from_utf8(c).ok()).collect();
        groups.join(" ")
    }

    /// The address that authenticator apps scan.
    pub(crate) fn uri(&self, school: &str, name: &str) -> String {
        let issuer = percent(&format!("Hausmeister {school}")).replace('/', "%2F");
        let account = percent(name).replace('/', "%2F");
        format!("otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}", BASE32_NOPAD.encode(&self.0))
    }

    /// The time step whose code this is, if it is one of around `at`.
    pub(crate) fn step_of(&self, at: UnixMillis, code: &str) -> Option<i64> {
        let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        if code.len() != DIGITS || !code.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let code: u32 = code.parse().ok()?;
        let now = at.0.div_euclid(STEP_MILLIS);
        (now - 1..=now + 1).find(|step| self.code(*step) == code)
    }

    /// The code of a time step (RFC 4226 section 5.3).
    pub(crate) fn code(&self, step: i64) -> u32 {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let tag = tag.as_ref();
        let offset = usize::from(tag.last().copied().unwrap_or(0) & 0xf);
        let four = tag.get(offset..offset + 4).and_then(|four| four.try_into().ok()).unwrap_or([0; 4]);
        (u32::from_be_bytes(four) & 0x7fff_ffff) % 1_000_000
    }
}

/// Bytes of a secret.
pub(crate) const SECRET_BYTES: usize = 20;
const DIGITS: usize = 6;
/// RFC 6238 section 5.2 recommends 30 seconds.
const STEP_MILLIS: i64 = 30_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Secret {
        Secret(*b"12345678901234567890")
    }

    /// The SHA-1 rows of the table in RFC 6238 appendix B; the last six of its eight digits.
    #[test]
    fn rfc6238_appendix_b() {
        for (secs, code) in [
            (59, 287_082),
            (1_111_111_109, 81_804),
            (1_111_111_111, 50_471),
            (1_234_567_890, 5_924),
            (2_000_000_000, 279_037),
            (20_000_000_000, 353_130),
        ] {
            assert_eq!(secret().code(secs / 30), code, "{secs}");
        }
    }

    #[test]
    fn a_code_is_accepted_half_a_minute_around_its_time() {
        let at = |secs: i64| UnixMillis(secs * 1000);
        for (secs, step) in [(29, None), (30, Some(2)), (60, Some(2)), (119, Some(2)), (120, None)] {
            // The code of 60 to 89 s.
            let code = format!("{:06}", secret().code(2));
            assert_eq!(secret().step_of(at(secs), &code), step, "{secs}");
        }
        assert_eq!(secret().step_of(at(59), " 287 082 "), Some(1));
        for bad in ["", "287", "28708２", "+87082", "2870820", "28708x"] {
            assert_eq!(secret().step_of(at(59), bad), None, "{bad}");
        }
    }

    #[test]
    fn apps_can_read_the_secret() {
        assert_eq!(secret().text(), "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ");
        assert_eq!(
            secret().uri("Gymnasium am Markt", "frau.groß"),
            "otpauth://totp/Hausmeister%20Gymnasium%20am%20Markt:frau.gro%C3%9F?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Hausmeister%20Gymnasium%20am%20Markt"
        );
    }
}
