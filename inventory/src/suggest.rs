//! Names for new devices: counted up from the last one in the room.

use crate::Hostname;

/// The names that follow in a room: after the greatest one (`r204-pc03` → `r204-pc04`), or from the first one of an empty room, made from
/// the room's name (`Raum 204` → `r204-pc01`).
#[derive(Debug, Clone)]
pub struct Series {
    stem: String,
    number: u64,
    width: usize,
}

impl Series {
    /// The names after those that devices of the room have.
    #[must_use]
    pub fn after<'n>(room: &str, in_room: impl IntoIterator<Item = &'n Hostname>) -> Self {
        let last = in_room
            .into_iter()
            .filter_map(|name| counted(name.as_str()))
            .max_by_key(|(_, number, _)| *number);
        match last {
            Some((stem, number, width)) => Self { stem: stem.to_owned(), number, width },
            None => Self { stem: format!("{}-pc", stem_of(room)), number: 0, width: 2 },
        }
    }

    /// The next name that is free. `None` when counting leads nowhere.
    pub fn next_free(&mut self, is_taken: impl Fn(&Hostname) -> bool) -> Option<Hostname> {
        loop {
            self.number = self.number.checked_add(1)?;
            let Self { stem, number, width } = self;
            let width = *width;
            let name: Hostname = format!("{stem}{number:0width$}").parse().ok()?;
            if !is_taken(&name) {
                return Some(name);
            }
        }
    }
}

/// Splits `r204-pc03` into `r204-pc`, 3 and the width 2.
fn counted(name: &str) -> Option<(&str, u64, usize)> {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = name.strip_prefix(stem)?;
    Some((stem, digits.parse().ok()?, digits.len()))
}

/// A host name's beginning from a room's name.
fn stem_of(room: &str) -> String {
    let mut stem = String::new();
    for c in crate::import::ascii(room).chars() {
        match c {
            c if c.is_ascii_alphanumeric() => stem.push(c),
            _ if !stem.is_empty() && !stem.ends_with('-') => stem.push('-'),
            _ => {}
        }
    }
    let stem = stem.trim_end_matches('-');
    // `Raum 204` is r204 to everybody.
    let stem = match stem.strip_prefix("raum-").or_else(|| stem.strip_prefix("room-")) {
        Some(number) if number.starts_with(|c: char| c.is_ascii_digit()) => format!("r{number}"),
        _ => stem.to_owned(),
    };
    let stem: String = stem.chars().take(STEM_CHARS_MAX).collect();
    let stem = stem.trim_end_matches('-');
    if stem.is_empty() { "raum".into() } else { stem.to_owned() }
}

const STEM_CHARS_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(room: &str, in_room: &[&str], elsewhere: &[&str], expected: &str) {
        let parse = |names: &[&str]| names.iter().map(|n| n.parse().unwrap()).collect::<Vec<Hostname>>();
        let (in_room, elsewhere) = (parse(in_room), parse(elsewhere));
        let taken: Vec<&Hostname> = in_room.iter().chain(&elsewhere).collect();
        let name =
            Series::after(room, &in_room).next_free(|name| taken.contains(&name)).map(|n| n.to_string());
        assert_eq!(name.as_deref(), Some(expected), "{room}");
    }

    #[test]
    fn names_count_up_in_the_room() {
        check("Raum 204", &["r204-pc01", "r204-pc03"], &[], "r204-pc04");
        check("Raum 204", &["r204-pc09"], &["r204-pc10"], "r204-pc11");
        check("Raum 204", &["r204-pc99", "lehrer"], &[], "r204-pc100");
        check("Raum 204", &[], &[], "r204-pc01");
        check("Raum 204", &["beamer"], &["r204-pc01"], "r204-pc02");
        check("Lehrerzimmer", &[], &[], "lehrerzimmer-pc01");
        check("Bücherei (groß)", &[], &[], "buecherei-gross-pc01");
        check("???", &[], &[], "raum-pc01");
    }

    proptest! {
        #[test]
        fn any_room_gets_a_usable_free_name(room in "\\PC{0,80}", taken in proptest::collection::vec("[a-z]{1,3}[0-9]{0,25}", 0..6)) {
            let taken: Vec<Hostname> = taken.iter().map(|n| n.parse().unwrap()).collect();
            let is_taken = |name: &Hostname| taken.contains(name);
            if let Some(name) = Series::after(&room, &taken).next_free(is_taken) {
                prop_assert!(!taken.contains(&name));
            }
            prop_assert!(Series::after(&room, []).next_free(is_taken).is_some());
        }
    }
}
