//! Takes out of a text what belongs to people, and secrets.
//!
//! Two sieves: what looks like an address, a hardware address, an e-mail address, an id or a secret is found by its form; names
//! are found because they are known, whole or in parts, however they are written (`Müller`, `mueller`, `MUELLER`). Each becomes a
//! pseudonym (`person-3`, `address-1`) that is the same wherever it stands in one bundle, and means nothing in another.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use inventory::support::Personal;
use regex_lite::Regex;

/// What is known to be personal, and the pseudonyms given so far.
#[derive(Debug)]
pub struct Scrub {
    /// Words of a phrase, folded and joined with a blank, to what it is called.
    phrases: HashMap<String, String>,
    longest: usize,
    names: Pseudonyms,
    forms: Vec<(Form, Regex)>,
}

/// The pseudonyms given so far.
#[derive(Debug, Default)]
struct Pseudonyms {
    given: HashMap<(&'static str, String), usize>,
    counts: HashMap<&'static str, usize>,
}

/// What a text is found to be by its form.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// Nothing of it stays.
    Secret,
    /// The first group stays, the rest goes.
    SecretAfter,
    Mail,
    Id,
    Mac,
    Address,
    /// Long and mixed: a token, a hash or a key.
    Token,
}

impl Pseudonyms {
    fn of(&mut self, kind: &'static str, key: &str) -> String {
        let count = self.counts.entry(kind).or_default();
        let number = *self.given.entry((kind, key.to_owned())).or_insert_with(|| {
            *count += 1;
            *count
        });
        format!("{kind}-{number}")
    }
}

impl Scrub {
    /// Knows only forms.
    ///
    /// # Errors
    /// A form is no regular expression; a test makes each.
    pub fn new() -> Result<Self, regex_lite::Error> {
        let forms = FORMS
            .iter()
            .map(|(form, text)| Ok((*form, Regex::new(text)?)))
            .collect::<Result<_, regex_lite::Error>>()?;
        Ok(Self { phrases: HashMap::new(), longest: 0, names: Pseudonyms::default(), forms })
    }

    /// Learns a word or several words that belong to people or are the school's own.
    pub fn learn(&mut self, what: Personal, words: &str) {
        let kind = match what {
            Personal::Person => "person",
            Personal::Device => "device",
            Personal::Serial => "serial",
            Personal::Named => "name",
        };
        let pseudonym = self.names.of(kind, &key_of(words));
        self.remember(words, &pseudonym);
        if what == Personal::Person {
            // `Anna Maria` is somebody as `Anna` too; `von` and `der` are in every text.
            let parts: Vec<&str> = words.split(|sign: char| !is_word(sign)).collect();
            for part in parts.iter().filter(|part| part.chars().count() > 2) {
                if parts.len() > 1 && part.chars().next().is_some_and(char::is_uppercase) {
                    self.remember(part, &pseudonym);
                }
            }
        }
    }

    /// Learns what must not be shown at all, such as a value of the configuration.
    pub fn learn_secret(&mut self, secret: &str) {
        self.remember(secret, REMOVED);
        if let Some((before, _)) = secret.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@')) {
            for part in before.split(':') {
                self.remember(part, REMOVED);
            }
        }
    }

    fn remember(&mut self, words: &str, pseudonym: &str) {
        let key = key_of(words);
        let digits = key.chars().all(|sign| sign.is_ascii_digit());
        // Room 12 is in too many numbers to be found again.
        let short = key.chars().count() < if digits { 4 } else { 2 };
        if short || OWN.contains(&key.as_str()) {
            return;
        }
        self.longest = self.longest.max(key.split(' ').count());
        self.phrases.entry(key).or_insert_with(|| pseudonym.to_owned());
    }

    /// The text without what belongs to people, and without secrets.
    #[must_use]
    pub fn text(&mut self, text: &str) -> String {
        let mut held: Vec<String> = Vec::new();
        // Signs of the private planes stand for what was found; none may come in from outside.
        let mut text: String = text
            .chars()
            .filter(|sign| (!sign.is_control() || matches!(sign, '\n' | '\t')) && u32::from(*sign) < PRIVATE)
            .collect();
        for (form, pattern) in &self.forms {
            let names = &mut self.names;
            text = pattern
                .replace_all(&text, |found: &regex_lite::Captures<'_>| {
                    let whole = found.get(0).map_or("", |m| m.as_str());
                    let Some(pseudonym) = stands_for(*form, whole, names) else { return whole.to_owned() };
                    let kept = match form {
                        Form::SecretAfter => found.get(1).map_or("", |m| m.as_str()),
                        _ => "",
                    };
                    // More finds than there are signs: the place stays empty.
                    let place = u32::try_from(held.len()).ok().and_then(|n| PRIVATE.checked_add(n));
                    let sign = place.and_then(char::from_u32).map(String::from).unwrap_or_default();
                    held.push(pseudonym);
                    format!("{kept}{sign}")
                })
                .into_owned();
        }
        let text = self.without_known(&text);
        let mut out = String::with_capacity(text.len());
        for sign in text.chars() {
            match u32::from(sign).checked_sub(PRIVATE).and_then(|n| held.get(usize::try_from(n).ok()?)) {
                Some(pseudonym) => out.push_str(pseudonym),
                None => out.push(sign),
            }
        }
        out
    }

    /// Replaces known phrases, the longest first.
    fn without_known(&self, text: &str) -> String {
        let words = words_of(text);
        let mut out = String::with_capacity(text.len());
        let (mut at, mut copied) = (0, 0);
        while let Some((start, _, _)) = words.get(at) {
            let found = (1..=self.longest.min(words.len() - at)).rev().find_map(|length| {
                let phrase = words.get(at..at + length)?;
                let key = phrase.iter().map(|(_, _, word)| word.as_str()).collect::<Vec<_>>().join(" ");
                let (_, end, _) = phrase.last()?;
                Some((self.phrases.get(&key)?, *end, length))
            });
            if let Some((pseudonym, end, length)) = found {
                out.push_str(text.get(copied..*start).unwrap_or_default());
                out.push_str(pseudonym);
                copied = end;
                at += length;
            } else {
                at += 1;
            }
        }
        out.push_str(text.get(copied..).unwrap_or_default());
        out
    }
}

/// What to write in place of something that has this form, or `None` if it only looks so.
fn stands_for(form: Form, found: &str, names: &mut Pseudonyms) -> Option<String> {
    match form {
        Form::Secret | Form::SecretAfter => Some(REMOVED.to_owned()),
        Form::Mail => Some(names.of("mail", &found.to_lowercase())),
        Form::Id => Some(names.of("id", &found.to_lowercase())),
        Form::Mac => {
            let digits: String = found.chars().filter(char::is_ascii_hexdigit).collect();
            Some(names.of("mac", &digits.to_lowercase()))
        }
        Form::Address => {
            let address = found.trim_end_matches(['.', ':']);
            let parsed = address.parse::<IpAddr>().ok();
            // A socket address, or something that is written like four numbers but is none.
            let v4 = found.contains('.') && !found.contains(':');
            match parsed {
                Some(ip) if ip.is_loopback() || ip.is_unspecified() => None,
                Some(ip) => Some(names.of("address", &ip.to_string())),
                None if v4 => Some(names.of("address", address)),
                None => found.parse::<Ipv6Addr>().ok().map(|ip| names.of("address", &ip.to_string())),
            }
        }
        Form::Token => {
            let mixed = found.chars().any(|sign| sign.is_ascii_digit())
                && found.chars().any(|sign| sign.is_ascii_alphabetic());
            mixed.then(|| REMOVED.to_owned())
        }
    }
}

/// A text's words as they are compared: start, end (bytes), folded.
fn words_of(text: &str) -> Vec<(usize, usize, String)> {
    let mut words: Vec<(usize, usize, String)> = Vec::new();
    for (at, sign) in text.char_indices().filter(|(_, sign)| is_word(*sign)) {
        let end = at + sign.len_utf8();
        match words.last_mut() {
            Some((_, last, word)) if *last == at => {
                *last = end;
                fold(sign, word);
            }
            _ => {
                let mut word = String::new();
                fold(sign, &mut word);
                words.push((at, end, word));
            }
        }
    }
    words
}

fn key_of(words: &str) -> String {
    words_of(words).into_iter().map(|(_, _, word)| word).collect::<Vec<_>>().join(" ")
}

/// Letters, digits, and accents that stand behind their letter (Unicode, Combining Diacritical Marks).
fn is_word(sign: char) -> bool {
    u32::from(sign) < PRIVATE && (sign.is_alphanumeric() || ('\u{300}'..='\u{36f}').contains(&sign))
}

/// German names are written with and without umlauts.
fn fold(sign: char, word: &mut String) {
    match sign {
        'ä' | 'Ä' => word.push_str("ae"),
        'ö' | 'Ö' => word.push_str("oe"),
        'ü' | 'Ü' => word.push_str("ue"),
        'ß' | 'ẞ' => word.push_str("ss"),
        '\u{308}' => word.push('e'),
        other => word.extend(other.to_lowercase()),
    }
}

/// What stands in place of a secret.
pub const REMOVED: &str = "(removed)";

/// Supplementary Private Use Area-A and beyond (Unicode, section 23.5).
const PRIVATE: u32 = 0xF_0000;

/// Our own words, that an account or a device may be called too.
const OWN: [&str; 9] =
    ["hausmeister", "netd", "deployd", "mdm", "webui", "radius", "sqlite", "postgres", "localhost"];

/// In this order: what was found once is not looked at again.
const FORMS: [(Form, &str); 12] = [
    (Form::Secret, r"-----BEGIN [A-Z ]+-----[^-]*(-----END [A-Z ]+-----)?"),
    (Form::SecretAfter, r"(://)[^\s/@]+@"),
    (Form::SecretAfter, r"(?i)(bearer\s+|basic\s+)[A-Za-z0-9._~+/=-]{8,}"),
    (
        Form::SecretAfter,
        r#"(?i)((?:passwor[dt]|kennwort|passwd|passphrase|phrase|secret|token|psk|api[_-]?key)["']?\s*[:=]\s*)("[^"]*"|'[^']*'|[^\s,;]+)"#,
    ),
    (Form::Mail, r#"[^\s@<>"'(),;:=]+@[^\s@<>"'(),;:=]+"#),
    (Form::Id, r"\b[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\b"),
    (Form::Mac, r"\b[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}\b"),
    (Form::Mac, r"\b[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\b"),
    (Form::Mac, r"\b[0-9A-Fa-f]{12}\b"),
    (Form::Address, r"\b[0-9]{1,3}(\.[0-9]{1,3}){3}\b"),
    (Form::Address, r"[0-9A-Fa-f]*:[0-9A-Fa-f:]*:[0-9A-Fa-f.]*"),
    (Form::Token, r"\b[A-Za-z0-9_+=-]{24,}"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn scrub() -> Scrub {
        let mut scrub = Scrub::new().unwrap();
        scrub.learn(Personal::Person, "anna.mueller");
        scrub.learn(Personal::Person, "Anna Maria");
        scrub.learn(Personal::Person, "von Müller-Groß");
        scrub.learn(Personal::Device, "pc-r204-01");
        scrub.learn(Personal::Serial, "5CG1234XYZ");
        scrub.learn(Personal::Named, "Raum 204");
        scrub
    }

    fn check(text: &str, expected: &str) {
        assert_eq!(scrub().text(text), expected, "{text}");
    }

    #[test]
    fn what_has_a_form_is_found() {
        check("lease 10.1.2.3 to 00:11:22:aa:bb:cc", "lease address-1 to mac-1");
        check("0011.22aa.bbcc 00-11-22-AA-BB-CC 001122aabbcc", "mac-1 mac-1 mac-1");
        check("from [2001:db8::17]:53 and 10.0.0.0/8", "from [address-2]:53 and address-1/8");
        check("bound 127.0.0.1:53 at 12:34:56", "bound 127.0.0.1:53 at 12:34:56");
        check("mail to Eva.Lang@schule.example failed", "mail to mail-1 failed");
        check("postgres://hm:geheim@db/x", "postgres://(removed)db/x");
        check("password=geheim token: \"a b\"", "password=(removed) token: (removed)");
        check("Authorization: Bearer abcdefgh.ijkl", "Authorization: Bearer (removed)");
        check("hash 1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a", "hash (removed)");
        check("job 6f1e2d3c-0000-4000-8000-0123456789ab ended", "job id-1 ended");
        check("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----", "(removed)");
    }

    #[test]
    fn a_known_name_is_found_however_it_is_written() {
        for text in ["anna.mueller", "Anna.Müller", "ANNA MUELLER", "anna-mu\u{308}ller"] {
            check(text, "person-1");
        }
        check("Maria kam zu spät", "person-2 kam zu spät");
        check("Lehrer von Raum 204", "Lehrer von name-1");
        check("ipad-mueller-gross", "ipad-person-3-person-3");
        check("pc-r204-01 (5cg1234xyz) fehlt", "device-1 (serial-1) fehlt");
        check("/home/anna.mueller/x", "/home/person-1/x");
    }

    #[test]
    fn a_pseudonym_stays_the_same_and_signs_from_outside_mean_nothing() {
        let mut scrub = scrub();
        assert_eq!(scrub.text("10.0.0.1 10.0.0.2"), "address-1 address-2");
        assert_eq!(scrub.text("10.0.0.2\u{F0000}\u{1b}[31m"), "address-2[31m");
    }

    #[test]
    fn our_own_words_stay_and_short_numbers_too() {
        let mut scrub = Scrub::new().unwrap();
        scrub.learn(Personal::Person, "netd");
        scrub.learn(Personal::Named, "12");
        assert_eq!(scrub.text("netd: 12 leases"), "netd: 12 leases");
        scrub.learn_secret("postgres://hm:wort1@db/x");
        assert_eq!(scrub.text("it was wort1"), "it was (removed)");
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in ".{0,200}") {
            let _ = scrub().text(&text);
        }

        #[test]
        fn a_known_name_is_gone_from_any_text(before in "[ -~äöü]{0,20}", after in "[ -~äöü]{0,20}") {
            let text = scrub().text(&format!("{before} 5CG1234XYZ {after}"));
            proptest::prop_assert!(!text.contains("5CG1234XYZ"), "{}", text);
        }
    }
}
