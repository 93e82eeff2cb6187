//! First passwords of people who come from a file.
//!
//! A random one has 66 bits. Against that many guesses the cost of a hash decides nothing: a thousand graphics cards that try a thousand
//! million of the cheap hashes each second need longer than a year for the half of them. So those are hashed at a small cost, a thousand in
//! a second, and again at the full cost when the person signs in for the first time. What stands in a file was chosen by a person, and
//! is hashed at the full cost at once.

use argon2::Block;

use crate::spoken;
use inventory::password::{Cost, MEMORY_KIB, PasswordError, hash_in};

/// A first password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum First {
    /// Made by [`First::random`].
    Random(String),
    /// From a file.
    Chosen(String),
}

impl First {
    /// Made at random, and long: see [`spoken::long_password`].
    pub(crate) fn random() -> Self {
        Self::Random(spoken::long_password())
    }

    /// The password.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Random(text) | Self::Chosen(text) => text,
        }
    }
}

/// The hashes of passwords, in their order. Chosen ones take 50 ms each: not for a server's task.
pub(crate) fn hash_all(passwords: &[First]) -> Result<Vec<String>, PasswordError> {
    let mut memory = vec![Block::default(); MEMORY_KIB as usize];
    let hash = |password: &First| match password {
        First::Random(text) => hash_in(text, Cost::Random, &mut memory),
        First::Chosen(text) => hash_in(text, Cost::Chosen, &mut memory),
    };
    passwords.iter().map(hash).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use inventory::password::{Checker, is_cheap};

    #[tokio::test]
    async fn both_kinds_are_accepted_and_only_the_random_ones_are_cheap() {
        let given = [First::random(), First::Chosen("vom Sekretariat".into())];
        let hashes = hash_all(&given).unwrap();
        let checker = Checker::start().unwrap();
        for (first, hash) in given.iter().zip(&hashes) {
            assert!(checker.check(first.text(), Some(hash)).await.unwrap());
            assert!(!checker.check("etwas anderes", Some(hash)).await.unwrap());
            assert_eq!(is_cheap(hash), matches!(first, First::Random(_)));
        }
    }

    #[test]
    fn a_whole_school_is_hashed_in_seconds() {
        let school: Vec<First> = (0..1500).map(|_| First::random()).collect();
        #[expect(clippy::disallowed_methods, reason = "what is measured is time")]
        let began = Instant::now();
        assert_eq!(hash_all(&school).unwrap().len(), 1500);
        let took = began.elapsed();
        println!("1,500 first passwords in {took:?}");
        assert!(took.as_secs() < 10, "{took:?}");
    }
}
