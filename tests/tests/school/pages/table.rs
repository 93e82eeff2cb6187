//! What pages there are: read from the table of routes itself, so that a page that nothing leads to is found.

use std::collections::BTreeSet;

/// Paths of the pages that need a sign-in, as the table writes them: `/devices/{id}`.
pub(super) fn pages() -> BTreeSet<String> {
    let mut pages = BTreeSet::new();
    for call in TABLE.split("get(").skip(1) {
        let Some((_, rest)) = call.split_once('"') else { continue };
        let (path, rest) = rest.split_once('"').unwrap();
        let public = rest.lines().next().unwrap().contains(".public()");
        if !public && !path.starts_with("/api/") && !NO_PAGES.contains(&path) {
            pages.insert(path.to_owned());
        }
    }
    assert!(pages.len() > 15, "the table is written differently: {pages:?}");
    pages
}

/// The entry of the table that an address of this server belongs to: every id becomes `{id}`, and a query is left out.
pub(super) fn pattern(path: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let is_uuid = |part: &str| part.len() == 36 && part.bytes().filter(|b| *b == b'-').count() == 4;
    // Apps have the numbers of the App Store.
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    // Backups have the ids of their repository: eight hexadecimal digits. No word of ours looks like that.
    let is_short = |part: &str| part.len() == 8 && part.bytes().all(|b| b.is_ascii_hexdigit());
    let is_id = |part: &str| is_uuid(part) || is_number(part) || is_short(part);
    let parts = path.split('/').map(|part| if is_id(part) { "{id}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// A stream, and files that can be fetched once there are some.
const NO_PAGES: [&str; 6] = [
    "/events",
    "/import/people/{id}/passwords",
    "/apple/push/request",
    "/apple/ade/request",
    "/my/wlan/apple",
    "/my/wlan/windows",
];
const TABLE: &str = include_str!("../../../../webui/src/routes.rs");
