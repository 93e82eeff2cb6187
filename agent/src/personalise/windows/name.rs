//! The name of a Windows PC, made of the device's name in the inventory.
//!
//! Source: Microsoft, "ComputerName" of Microsoft-Windows-Shell-Setup
//! (learn.microsoft.com/windows-hardware/customize/desktop/unattend/microsoft-windows-shell-setup-computername): at most 15
//! bytes, and "Naming conventions in Active Directory" (learn.microsoft.com/troubleshoot/windows-server/active-directory/
//! naming-conventions-for-computer-domain-site-ou): letters, digits and hyphens, not digits alone.

/// The name, at most 15 characters. A host name that Windows takes stays as it is. One that is too long is cut, and four digits
/// that are made of all of it tell it from the others that begin alike.
pub(super) fn computer_name(hostname: &str) -> String {
    let plain: String = hostname.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    let plain = plain.trim_matches('-');
    let only_digits = plain.bytes().all(|b| b.is_ascii_digit());
    let named = if only_digits { format!("PC-{plain}") } else { plain.to_owned() };
    if named.len() <= CHARS_MAX {
        return named.trim_matches('-').to_owned();
    }
    let hash = blake3::hash(hostname.to_ascii_lowercase().as_bytes()).to_hex();
    let tail = hash.get(..DIGITS).unwrap_or_default();
    let head: String = named.chars().take(CHARS_MAX - DIGITS - 1).collect();
    format!("{}-{tail}", head.trim_end_matches('-'))
}

const CHARS_MAX: usize = 15;
const DIGITS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_becomes_one_that_windows_takes() {
        for (hostname, name) in [
            ("r204-pc07", "r204-pc07"),
            ("abcdefghijklmno", "abcdefghijklmno"),
            ("204", "PC-204"),
            ("12345678901234", "PC-1234567-029b"),
            ("", "PC"),
        ] {
            assert_eq!(computer_name(hostname), name, "{hostname:?}");
        }
    }

    #[test]
    fn long_names_that_begin_alike_stay_different() {
        let left = computer_name("computerraum-204-pc07");
        let right = computer_name("computerraum-204-pc08");
        assert_ne!(left, right);
        assert_eq!((left.len(), right.len()), (15, 15));
        assert!(left.starts_with("computerra-") && right.starts_with("computerra-"));
    }

    proptest::proptest! {
        #[test]
        fn every_host_name_gives_a_name_that_windows_takes(hostname in "[a-zA-Z0-9][a-zA-Z0-9-]{0,62}") {
            let name = computer_name(&hostname);
            proptest::prop_assert!((1..=15).contains(&name.len()), "{name}");
            proptest::prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
            proptest::prop_assert!(!name.bytes().all(|b| b.is_ascii_digit()));
            proptest::prop_assert!(!name.starts_with('-') && !name.ends_with('-'));
        }
    }
}
