//! The NT hash, from which MSCHAPv2 computes its answers (RFC 2759 section 8.3). Whoever has it needs no password: it is made of a
//! password that opens the WLAN and nothing else, and never stored.

use md4::{Digest as _, Md4};

/// MD4 of the password in UTF-16, little-endian.
pub(crate) fn hash(password: &str) -> [u8; 16] {
    let utf16: Vec<u8> = password.encode_utf16().flat_map(u16::to_le_bytes).collect();
    Md4::digest(&utf16).into()
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_that_of_the_rfc() {
        // RFC 2759 section 9.2.
        let hex: String = super::hash("clientPass").iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(hex, "44EBBA8D5312B8D611474411F56989AE");
    }
}
