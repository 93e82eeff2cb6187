//! Which field of a line is what: by the names in the heading.

use std::collections::HashMap;

use super::text::Line;

/// Where the columns of a file stand.
#[derive(Debug)]
pub(super) struct Columns<C> {
    at: HashMap<C, usize>,
    /// Names in the heading that mean nothing here.
    pub(super) ignored: Vec<String>,
}

impl<C: Copy + Eq + std::hash::Hash> Columns<C> {
    /// Reads a heading. `names` are the known names in their order of preference, as [`plain`] makes them.
    pub(super) fn of_heading(heading: &Line, names: &[(C, &[&str])]) -> Self {
        let found: Vec<String> = (0..heading.len()).map(|at| plain(heading.field(at))).collect();
        let place = |names: &[&str]| names.iter().find_map(|name| found.iter().position(|f| f == name));
        let at: HashMap<C, usize> =
            names.iter().filter_map(|(column, names)| Some((*column, place(names)?))).collect();
        let ignored = (0..heading.len())
            .filter(|place| !at.values().any(|used| used == place) && !heading.field(*place).is_empty())
            .map(|place| super::problem::short(heading.field(place)))
            .collect();
        Self { at, ignored }
    }

    /// Columns whose places are known.
    pub(super) fn fixed(places: &[(C, usize)]) -> Self {
        Self { at: places.iter().copied().collect(), ignored: Vec::new() }
    }

    /// Whether the file has the column.
    pub(super) fn has(&self, column: C) -> bool {
        self.at.contains_key(&column)
    }

    /// The field of a line, if it is there and not empty.
    pub(super) fn of<'l>(&self, line: &'l Line, column: C) -> Option<&'l str> {
        self.at.get(&column).map(|at| line.field(*at)).filter(|text| !text.is_empty())
    }
}

/// A column's name without what differs between programs: `MAC-Adresse (LAN)` is `macadresselan`.
pub(super) fn plain(name: &str) -> String {
    super::logins::ascii(name).chars().filter(char::is_ascii_alphanumeric).collect()
}
