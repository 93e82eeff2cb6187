//! Versions, and which of two is newer.
//!
//! | System  | Rule                                                                                                       |
//! |---------|------------------------------------------------------------------------------------------------------------|
//! | Debian  | Debian Policy 5.6.12, deb-version(7): epoch, upstream version, revision; digits as numbers, `~` before nothing |
//! | Windows | winget, <https://github.com/microsoft/winget-cli>, its `Versions.h`: parts at dots; of each the number, then the rest; a rest is older than none |
//!
//! Both are total: every two texts are older, newer or equivalent, and `1.0` and `1.0.0` are equivalent on Windows. Windows
//! Installer itself looks at three numbers when it decides about an upgrade
//! (<https://learn.microsoft.com/en-us/windows/win32/msi/productversion>); here the fourth counts, as on the page of programs.

use super::System;
use super::values::{ValueError, line, parsed};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;
use std::iter;
use std::str::FromStr;
use std::sync::Arc;

parsed! {
    /// A version as its maker writes it, at most 128 bytes. Which of two is newer depends on the system: [`System::compare`].
    Version = |text| line(text, 128).then(|| text.trim().to_owned()); "a version such as 128.0.3 or 2:8.2-1+deb12u1"
}

impl System {
    /// Whether `a` is older than, equivalent to or newer than `b` by the rule of this system.
    pub fn compare(self, a: &Version, b: &Version) -> Ordering {
        if a == b {
            return Ordering::Equal;
        }
        match self {
            Self::Debian => debian(a.as_str(), b.as_str()),
            Self::Windows => windows(a.as_str(), b.as_str()),
        }
    }
}

fn debian(a: &str, b: &str) -> Ordering {
    let (a, b) = (DebianParts::of(a), DebianParts::of(b));
    numbers(a.epoch, b.epoch)
        .then_with(|| debian_text(a.upstream, b.upstream))
        .then_with(|| debian_text(a.revision, b.revision))
}

struct DebianParts<'a> {
    epoch: &'a str,
    upstream: &'a str,
    revision: &'a str,
}

impl<'a> DebianParts<'a> {
    fn of(text: &'a str) -> Self {
        let epoch = text.split_once(':').filter(|(epoch, _)| epoch.bytes().all(|b| b.is_ascii_digit()));
        let (epoch, rest) = epoch.unwrap_or(("0", text));
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, "0"));
        Self { epoch, upstream, revision }
    }
}

/// Alternates between a stretch without digits and a number, as the policy describes.
fn debian_text(mut a: &str, mut b: &str) -> Ordering {
    while !(a.is_empty() && b.is_empty()) {
        let (text_a, rest_a) = stretch(a, |b| !b.is_ascii_digit());
        let (text_b, rest_b) = stretch(b, |b| !b.is_ascii_digit());
        let weights = |text: &'_ str| text.bytes().map(weight).collect::<Vec<_>>();
        let (number_a, after_a) = stretch(rest_a, |b| b.is_ascii_digit());
        let (number_b, after_b) = stretch(rest_b, |b| b.is_ascii_digit());
        let order = padded(weights(text_a).into_iter(), weights(text_b).into_iter(), 0);
        let order = order.then_with(|| numbers(number_a, number_b));
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (after_a, after_b);
    }
    Ordering::Equal
}

/// The end weighs 0: a tilde sorts before it, letters after it, and everything else after letters.
fn weight(byte: u8) -> i32 {
    match byte {
        b'~' => -1,
        _ if byte.is_ascii_alphabetic() => i32::from(byte),
        _ => i32::from(byte) + 256,
    }
}

fn windows(a: &str, b: &str) -> Ordering {
    padded(windows_parts(a), windows_parts(b), WindowsPart { number: "", rest: "" })
}

/// What stands between two dots: `0-rc1` has the number 0 and the rest `-rc1`.
#[derive(Clone, Copy)]
struct WindowsPart<'a> {
    number: &'a str,
    rest: &'a str,
}

fn windows_parts(text: &str) -> impl Iterator<Item = WindowsPart<'_>> {
    let bare = text.trim_start_matches(['v', 'V']).trim_start();
    let text = if bare.starts_with(|c: char| c.is_ascii_digit()) { bare } else { text };
    text.split('.').map(|part| {
        let (number, rest) = stretch(part.trim(), |b| b.is_ascii_digit());
        WindowsPart { number, rest: rest.trim() }
    })
}

trait Weighed {
    fn order(&self, other: &Self) -> Ordering;
}

impl Weighed for i32 {
    fn order(&self, other: &Self) -> Ordering {
        self.cmp(other)
    }
}

impl Weighed for WindowsPart<'_> {
    fn order(&self, other: &Self) -> Ordering {
        let lower = |text: &'_ str| text.to_ascii_lowercase();
        numbers(self.number, other.number)
            .then_with(|| self.rest.is_empty().cmp(&other.rest.is_empty()))
            .then_with(|| lower(self.rest).cmp(&lower(other.rest)))
    }
}

/// Compares two sequences as if the shorter one went on with `end`.
fn padded<T: Weighed + Copy>(a: impl Iterator<Item = T>, b: impl Iterator<Item = T>, end: T) -> Ordering {
    let (mut a, mut b) = (a.fuse(), b.fuse());
    let pairs = iter::from_fn(|| match (a.next(), b.next()) {
        (None, None) => None,
        (a, b) => Some((a.unwrap_or(end), b.unwrap_or(end))),
    });
    pairs.map(|(a, b)| a.order(&b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// Numbers of any length as digits; none is zero.
fn numbers(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// The longest beginning of which every byte is `wanted`, and what follows. Digits are ASCII, so both are whole characters.
fn stretch(text: &str, wanted: fn(u8) -> bool) -> (&str, &str) {
    let end = text.bytes().position(|b| !wanted(b)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(system: System, ascending: &[&[&str]]) {
        let v = |text: &str| text.parse::<Version>().unwrap();
        for (at, group) in ascending.iter().enumerate() {
            for (other_at, other) in ascending.iter().enumerate() {
                for a in *group {
                    for b in *other {
                        assert_eq!(system.compare(&v(a), &v(b)), at.cmp(&other_at), "{a} and {b}");
                    }
                }
            }
        }
    }

    #[test]
    fn windows_versions_are_numbers_between_dots() {
        check(
            System::Windows,
            &[
                &["0.9"],
                &["1.0-beta", "v1.0-BETA"],
                &["1.0-rc1"],
                &["1", "1.0", "v1.0.0", "01.0"],
                &["1.0.1"],
                &["1.2", "1.02"],
                &["1.10"],
                &["24.08"],
                &["128.0.3"],
                &["99999999999999999999.1"],
            ],
        );
    }

    #[test]
    fn debian_policy_5_6_12_tilde_epoch_and_revision() {
        check(
            System::Debian,
            &[
                &["1.0~~"],
                &["1.0~~a"],
                &["1.0~rc1-1"],
                &["1.0", "1.0-0", "0:1.0"],
                &["1.0-1~bpo12+1"],
                &["1.0-1", "1.0-01"],
                &["1.0-1+deb12u1"],
                &["1.0a"],
                &["1.0+dfsg"],
                &["1.9"],
                &["1.10"],
                &["1:0.1"],
            ],
        );
    }

    proptest! {
        #[test]
        fn every_order_is_total(texts in proptest::collection::vec("[v0-2a~.:+ -]{1,8}", 3)) {
            let versions: Vec<Version> = texts.iter().filter_map(|text| text.parse().ok()).collect();
            let [a, b, c] = versions.as_slice() else { return Ok(()) };
            for system in [System::Windows, System::Debian] {
                let compare = |a, b| system.compare(a, b);
                prop_assert_eq!(compare(a, b), compare(b, a).reverse());
                if compare(a, b).is_le() && compare(b, c).is_le() {
                    prop_assert!(compare(a, c).is_le());
                }
                if compare(a, b).is_eq() {
                    prop_assert_eq!(compare(a, c), compare(b, c));
                }
            }
        }
    }
}
