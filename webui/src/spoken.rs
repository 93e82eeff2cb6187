//! Passwords that are easy to read aloud and to type: consonants and vowels in turn, without letters that look or sound like another.

use rand::Rng as _;

/// Three groups of four letters, for example `bamo-kedi-rufa`: 37 bits. It is good for one sign-in, which is throttled.
pub(crate) fn password() -> String {
    groups(3, 4)
}

/// Four groups of five letters, for example `kamor-tilus-benad-wufip`: 66 bits, enough to be kept as a cheap hash.
pub(crate) fn long_password() -> String {
    groups(4, 5)
}

fn groups(count: usize, letters: usize) -> String {
    let mut random = rand::rng();
    let mut groups: Vec<String> = Vec::with_capacity(count);
    while groups.len() < count {
        let mut letter =
            |of: &[u8]| of.get(random.random_range(0..of.len())).map_or('a', |byte| char::from(*byte));
        let group: String =
            (0..letters).map(|at| letter(if at % 2 == 0 { CONSONANTS } else { VOWELS })).collect();
        if !UNSPEAKABLE.iter().any(|word| group.contains(word)) {
            groups.push(group);
        }
    }
    groups.join("-")
}

/// Sixteen: 4 bits each.
const CONSONANTS: &[u8] = b"bdfghjklmnprstwz";
const VOWELS: &[u8] = b"aeiou";
/// What nobody wants to read aloud in front of a class.
const UNSPEAKABLE: &[&str] = &[
    "kaka", "kike", "popo", "pipi", "puta", "puto", "dago", "titi", "tits", "nuta", "wixe", "fuka", "fuke",
    "fuki", "hure", "nazi",
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use inventory::password::PASSWORD_CHARS_MIN;

    #[test]
    fn made_up_passwords_can_be_read_aloud_and_differ() {
        for (make, length) in [(password as fn() -> String, 14), (long_password, 23)] {
            let made: HashSet<String> = (0..1000).map(|_| make()).collect();
            assert!(made.len() > 998, "they repeat");
            for password in made {
                assert!(password.len() == length && length >= PASSWORD_CHARS_MIN, "{password}");
                let known = |b: u8| b == b'-' || CONSONANTS.contains(&b) || VOWELS.contains(&b);
                assert!(password.bytes().all(known), "{password}");
                assert!(!UNSPEAKABLE.iter().any(|word| password.contains(word)), "{password}");
            }
        }
    }
}
