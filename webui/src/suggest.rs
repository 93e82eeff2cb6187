//! Names for new devices: counted up from the last one in the room.

use inventory::Hostname;

/// The name that follows the greatest one of the room (`r204-pc03` → `r204-pc04`), or the first one of an empty room, made
/// from the room's name (`Raum 204` → `r204-pc01`). Never a name of `taken`. `None` when counting leads nowhere.
pub(crate) fn next_name(room: &str, in_room: &[&Hostname], taken: &[&Hostname]) -> Option<Hostname> {
    let last = in_room.iter().filter_map(|name| counted(name.as_str())).max_by_key(|(_, number, _)| *number);
    let (stem, mut number, width) = match last {
        Some((stem, number, width)) => (stem.to_owned(), number, width),
        None => (format!("{}-pc", stem_of(room)), 0, 2),
    };
    for _ in 0..=taken.len() {
        number = number.checked_add(1)?;
        let name: Hostname = format!("{stem}{number:0width$}").parse().ok()?;
        if !taken.contains(&&name) {
            return Some(name);
        }
    }
    None
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
    for c in room.to_lowercase().chars() {
        match c {
            'ä' => stem.push_str("ae"),
            'ö' => stem.push_str("oe"),
            'ü' => stem.push_str("ue"),
            'ß' => stem.push_str("ss"),
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
        let in_room: Vec<&Hostname> = in_room.iter().collect();
        let taken: Vec<&Hostname> = in_room.iter().copied().chain(elsewhere.iter()).collect();
        let name = next_name(room, &in_room, &taken).map(|n| n.to_string());
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
            let taken: Vec<&Hostname> = taken.iter().collect();
            if let Some(name) = next_name(&room, &taken, &taken) {
                prop_assert!(!taken.contains(&&name));
            }
            prop_assert!(next_name(&room, &[], &taken).is_some());
        }
    }
}
