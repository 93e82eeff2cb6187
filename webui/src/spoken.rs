//! Passwords for a first sign-in: easy to read aloud and to type, without signs that look alike.

use rand::Rng as _;

/// Six random syllables in three groups, for example `bamo-kedi-rufa`: 35 bits. It is good for one sign-in, which is throttled.
pub(crate) fn password() -> String {
    let mut random = rand::rng();
    let mut groups: Vec<String> = Vec::new();
    while groups.len() < GROUPS {
        let mut sign =
            |signs: &[u8]| signs.get(random.random_range(0..signs.len())).map_or('a', |b| char::from(*b));
        let group: String = [CONSONANTS, VOWELS, CONSONANTS, VOWELS].map(&mut sign).iter().collect();
        if !UNSPEAKABLE.contains(&group.as_str()) {
            groups.push(group);
        }
    }
    groups.join("-")
}

const GROUPS: usize = 3;
/// Without those that sound or look like another one, or are not heard: c, h, j, l, q, v, x, y, z.
const CONSONANTS: &[u8] = b"bdfgkmnprstw";
const VOWELS: &[u8] = b"aeiou";
/// What nobody wants to read aloud in front of a class.
const UNSPEAKABLE: &[&str] = &[
    "kaka", "kike", "popo", "pipi", "puta", "puto", "dago", "titi", "tits", "nuta", "wixe", "fuka", "fuke",
    "fuki",
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::password::PASSWORD_CHARS_MIN;

    #[test]
    fn a_made_up_password_can_be_used_and_read_aloud() {
        let made: HashSet<String> = (0..1000).map(|_| password()).collect();
        assert!(made.len() > 998, "they repeat");
        for password in made {
            assert!(password.len() == 14 && password.len() >= PASSWORD_CHARS_MIN, "{password}");
            assert!(
                password.bytes().all(|b| b == b'-' || b.is_ascii_lowercase() && !b"chjlqvxyz".contains(&b)),
                "{password}"
            );
            assert!(!UNSPEAKABLE.iter().any(|word| password.split('-').any(|group| group == *word)));
        }
    }
}
