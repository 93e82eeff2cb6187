//! The session cookie and the token in it.

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngCore as _;

/// A fresh session token: 256 random bits, base64url.
pub(crate) fn fresh_token() -> String {
    let mut bytes = [0; TOKEN_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What the database keeps of a token: whoever reads the database cannot sign in with it.
pub(crate) fn token_hash(token: &str) -> String {
    inventory::mdm::secret_hash(token)
}

/// The session token of a request, if it has the form of one.
pub(crate) fn token(headers: &HeaderMap) -> Option<&str> {
    let well_formed = |t: &&str| URL_SAFE_NO_PAD.decode(t).is_ok_and(|bytes| bytes.len() == TOKEN_BYTES);
    cookie(headers, COOKIE).filter(well_formed)
}

/// The value of a cookie (RFC 6265 section 4.2). Should a browser send one name twice, the first counts.
pub(crate) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

/// A `Set-Cookie` value. `value` must consist of cookie octets; anything else gives `None`. The prefix `__Host-` in the
/// names makes browsers insist on Secure, Path=/ and no Domain, so that no other host can plant one.
pub(crate) fn set_cookie(name: &str, value: &str, max_age_secs: u64) -> Option<HeaderValue> {
    let octet = |b: u8| matches!(b, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e);
    if !value.bytes().all(octet) {
        return None;
    }
    format!("{name}={value}; Path=/; Max-Age={max_age_secs}; Secure; HttpOnly; SameSite=Lax").parse().ok()
}

/// Cookie of the session.
pub(crate) const COOKIE: &str = "__Host-session";
/// A session ends this long after the sign-in.
pub(crate) const SESSION_SECS: u64 = 12 * 3600;
const TOKEN_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_from_the_cookie_it_was_set_with() {
        let fresh = fresh_token();
        assert_ne!(fresh, fresh_token());
        let set = set_cookie(COOKIE, &fresh, SESSION_SECS).unwrap();
        let set = set.to_str().unwrap();
        for attribute in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=43200"] {
            assert!(set.contains(attribute), "{set}");
        }
        let mut headers = HeaderMap::new();
        let sent = format!("x=y; {}", set.split(';').next().unwrap());
        headers.insert(header::COOKIE, sent.parse().unwrap());
        assert_eq!(token(&headers), Some(fresh.as_str()));
        assert!(!token_hash(&fresh).contains(&fresh));
    }

    #[test]
    fn nothing_but_a_token_is_taken_for_one() {
        for value in ["", "abc", "'; DROP TABLE sessions", &"A".repeat(42), &"A".repeat(44), &"=".repeat(43)]
        {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, format!("{COOKIE}={value}").parse().unwrap());
            assert_eq!(token(&headers), None, "{value}");
        }
        assert_eq!(set_cookie("a", "x; Domain=evil", 1), None);
    }
}
