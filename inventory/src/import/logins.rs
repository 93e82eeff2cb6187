//! Names to sign in with, made from people's names.

use std::collections::{HashMap, HashSet};

use deunicode::deunicode_char;

/// A text in lower-case ASCII letters: umlauts written out as German does, other letters as they sound.
pub(crate) fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().flat_map(char::to_lowercase) {
        match c {
            'ä' => out.push_str("ae"),
            'ö' => out.push_str("oe"),
            'ü' => out.push_str("ue"),
            'ß' => out.push_str("ss"),
            c if c.is_ascii() => out.push(c),
            c => out.push_str(&deunicode_char(c).unwrap_or_default().to_ascii_lowercase()),
        }
    }
    out
}

/// Text for comparing names: case and accents do not tell people apart.
pub(super) fn same(text: &str) -> String {
    let folded = ascii(text);
    folded.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Gives names that nobody has, and remembers them.
pub(super) struct Logins {
    taken: HashSet<String>,
    /// The last number that a name was given, so that a thousand namesakes are not counted from one each time.
    numbers: HashMap<String, u32>,
}

impl Logins {
    /// With the names that are taken, in lower case.
    pub(super) fn new(taken: impl Iterator<Item = String>) -> Self {
        Self { taken: taken.collect(), numbers: HashMap::new() }
    }

    /// `max.mustermann`, or with a number if somebody has that.
    pub(super) fn of(&mut self, first: &str, last: &str) -> String {
        let stem = format!("{}.{}", part(first), part(last));
        let stem: String = stem.trim_matches(['.', '-']).chars().take(STEM_CHARS_MAX).collect();
        let stem = if stem.is_empty() { "person".to_owned() } else { stem };
        let number = self.numbers.entry(stem.clone()).or_default();
        loop {
            *number = number.saturating_add(1);
            let login = if *number == 1 { stem.clone() } else { format!("{stem}{number}") };
            if self.taken.insert(login.clone()) {
                return login;
            }
        }
    }
}

/// One name of a person: `Anna-Lena` stays `anna-lena`, `von der Heide` becomes `von-der-heide`.
fn part(name: &str) -> String {
    let mut out = String::new();
    for c in ascii(name).chars() {
        match c {
            c if c.is_ascii_alphanumeric() => out.push(c),
            ' ' | '-' if !out.is_empty() && !out.ends_with('-') => out.push('-'),
            _ => {}
        }
    }
    out.trim_end_matches('-').to_owned()
}

/// What is left of 60 characters for a number.
const STEM_CHARS_MAX: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_made_of_both_names_and_counted_up_when_taken() {
        let mut logins = Logins::new(["max.mustermann".to_owned()].into_iter());
        for (first, last, expected) in [
            ("Max", "Mustermann", "max.mustermann2"),
            ("Max", "Mustermann", "max.mustermann3"),
            ("Jürgen", "Groß", "juergen.gross"),
            ("Anna-Lena", "von der Heide", "anna-lena.von-der-heide"),
            ("Zoë", "D'Alessandro", "zoe.dalessandro"),
            ("Çağla", "Yıldız", "cagla.yildiz"),
            ("Łukasz", "Šimić", "lukasz.simic"),
            ("Ольга", "Петрова", "ol-ga.petrova"),
            ("?", "!", "person"),
            ("", "", "person2"),
        ] {
            let login = logins.of(first, last);
            if first == "Ольга" {
                assert!(login.ends_with(".petrova") && login.is_ascii(), "{login}");
            } else {
                assert_eq!(login, expected);
            }
        }
        assert_eq!(logins.of(&"x".repeat(500), "y").len(), 50);
    }
}
