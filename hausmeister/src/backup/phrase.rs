//! The recovery phrase: what opens the backups on another machine. Made to be written down on paper and typed again.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::str::FromStr;

use anyhow::Context as _;
use inventory::ca::write_secret;
use rand::Rng as _;

/// 25 letters and digits: 23 by chance (113 bits) and two that show a slip of the pen. Never in a log: it has no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Phrase(String);

/// Why a text is no phrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PhraseError {
    /// A sign that no phrase has.
    #[error(
        "no recovery phrase holds the sign {0:?}; it has small letters without i, l and o, and digits without 0 and 1"
    )]
    Sign(char),
    /// Too many or too few.
    #[error("a recovery phrase has {LENGTH} signs, this one has {0}")]
    Length(usize),
    /// Each sign could stand there, all together not.
    #[error("one of the signs is wrong: compare it with the paper, sign by sign")]
    Check,
}

impl Phrase {
    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        let chance: String = (0..LENGTH - CHECK).map(|_| random_sign()).collect();
        Self(format!("{chance}{}", check_signs(&chance)))
    }

    /// The one that this server has; `None` if it has none.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub fn kept(keys_dir: &Path) -> anyhow::Result<Option<Self>> {
        let path = keys_dir.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.parse().with_context(|| path.display().to_string())?)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Keeps it on this server, readable by nobody else: backups are made without a person.
    ///
    /// # Errors
    /// There is one, or the folder cannot be written.
    pub fn keep(&self, keys_dir: &Path) -> anyhow::Result<()> {
        Ok(write_secret(&keys_dir.join(FILE), self.to_string().as_bytes())?)
    }

    /// As the repository's password.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.0
    }
}

/// In groups, for people.
impl fmt::Display for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, sign) in self.0.chars().enumerate() {
            if n > 0 && n % GROUP == 0 {
                f.write_str("-")?;
            }
            write!(f, "{sign}")?;
        }
        Ok(())
    }
}

impl FromStr for Phrase {
    type Err = PhraseError;

    fn from_str(text: &str) -> Result<Self, PhraseError> {
        let signs = text.chars().filter(|sign| !sign.is_whitespace() && *sign != '-');
        let signs: String = signs.flat_map(char::to_lowercase).collect();
        if let Some(strange) = signs.chars().find(|sign| !SIGNS.contains(*sign)) {
            return Err(PhraseError::Sign(strange));
        }
        match signs.split_at_checked(LENGTH - CHECK) {
            Some((chance, check)) if signs.len() == LENGTH => {
                if check_signs(chance) == check {
                    Ok(Self(signs))
                } else {
                    Err(PhraseError::Check)
                }
            }
            _ => Err(PhraseError::Length(signs.len())),
        }
    }
}

/// One of the letters and digits that cannot be mistaken for each other.
#[must_use]
pub fn random_sign() -> char {
    let at = rand::rng().random_range(0..SIGNS.len());
    SIGNS.chars().nth(at).unwrap_or('x')
}

/// The last signs, which follow from the others: one of 961 slips passes.
fn check_signs(chance: &str) -> String {
    let hash = blake3::hash(chance.as_bytes());
    let sign = |byte: &u8| SIGNS.chars().nth(usize::from(*byte) % SIGNS.len()).unwrap_or('x');
    hash.as_bytes().iter().take(CHECK).map(sign).collect()
}

const SIGNS: &str = "abcdefghjkmnpqrstuvwxyz23456789";
const LENGTH: usize = 25;
const CHECK: usize = 2;
const GROUP: usize = 5;
/// In the folder of keys.
pub const FILE: &str = "backup.phrase";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phrase_is_read_as_people_type_it_and_a_slip_is_found() {
        let phrase = Phrase::random();
        let shown = phrase.to_string();
        assert_eq!((shown.len(), shown.matches('-').count()), (29, 4), "{shown}");
        for typed in [
            shown.clone(),
            shown.to_uppercase(),
            shown.replace('-', " "),
            format!(" {}\n", shown.replace('-', "")),
        ] {
            assert!(typed.parse::<Phrase>().is_ok_and(|read| read == phrase), "{typed}");
        }
        assert!(Phrase::random() != phrase);
        let slip = format!("{}{}", if shown.starts_with('a') { 'b' } else { 'a' }, &shown[1..]);
        // Two check signs let one slip of 961 pass.
        let found = slip.parse::<Phrase>();
        assert!(found.is_err() || check_signs(&slip.replace('-', "")[..23]) == slip.replace('-', "")[23..]);
        assert_eq!("abc".parse::<Phrase>().err(), Some(PhraseError::Length(3)));
        assert_eq!(
            shown.replacen(|_: char| true, "0", 1).parse::<Phrase>().err(),
            Some(PhraseError::Sign('0'))
        );
    }

    #[test]
    fn the_check_signs_never_change() {
        assert!(format!("{}{}", "a".repeat(23), check_signs(&"a".repeat(23))).parse::<Phrase>().is_ok());
        expect_test::expect!["ya"].assert_eq(&check_signs(&"a".repeat(23)));
    }
}
