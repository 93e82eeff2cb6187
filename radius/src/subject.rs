//! Who signed in inside a tunnel, as a text that FreeRADIUS keeps with the TLS session and shows us again when the session is resumed.

use inventory::wlan::Method;
use inventory::{UserId, VoucherId};

/// Who signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A person, by that method. `proof` is another one as soon as the password is: a session that began with the old one is worth
    /// nothing any more.
    Person { id: UserId, method: Method, proof: String },
    /// Somebody with a voucher.
    Guest(VoucherId),
}

impl Subject {
    /// A person who proved to know that password; `hash` is what is stored of it.
    pub(crate) fn person(id: UserId, method: Method, hash: &str) -> Self {
        Self::Person { id, method, proof: proof(hash) }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        let (kind, id) = (parts.next()?, parts.next()?);
        let person = |method, proof: Option<&str>| {
            Some(Self::Person { id: id.parse().ok()?, method, proof: proof?.to_owned() })
        };
        match kind {
            "account" => person(Method::Password, parts.next()),
            "wlan" => person(Method::WifiPassword, parts.next()),
            "guest" => Some(Self::Guest(id.parse().ok()?)),
            _ => None,
        }
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Person { id, method: Method::WifiPassword, proof } => write!(f, "wlan {id} {proof}"),
            Self::Person { id, proof, .. } => write!(f, "account {id} {proof}"),
            Self::Guest(id) => write!(f, "guest {id}"),
        }
    }
}

/// Tells one password from the next, and nothing about either.
pub(crate) fn proof(hash: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, hash.as_bytes());
    digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_understood_again() {
        let (user, voucher) = (UserId::random(), VoucherId::random());
        for subject in [
            Subject::person(user, Method::Password, "hash"),
            Subject::person(user, Method::WifiPassword, "hash"),
            Subject::Guest(voucher),
        ] {
            assert_eq!(Subject::parse(&subject.to_string()), Some(subject));
        }
        for bad in ["", "account", "account x y", &format!("account {user}"), &format!("root {user} x")] {
            assert_eq!(Subject::parse(bad), None, "{bad}");
        }
        assert_ne!(proof("a"), proof("b"));
    }
}
