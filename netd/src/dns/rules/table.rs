//! A million names in a few megabytes: which of up to 32 lists hold a name or one of its parents.
//!
//! A name is kept as a hash of its wire form, of which 58 bits remain: SipHash with a key that is drawn when the server starts. The
//! names of a list cannot be read back, which is no loss, and hashes of two names can be equal. Among a million listed names a name
//! that nobody listed meets one of them with probability 2^20 / 2^58 = 4e-12; a school that asks for a million different names
//! of four labels in a year sees that once in 60,000 years, and not again after the next start. Whoever writes a list cannot know
//! the key and cannot make names meet.
//!
//! The entries are sorted by hash and stand in one array without gaps, 8 bytes each: 48 bits of the hash and the number of the
//! combination of lists. An index of 1 byte per entry says where those with the same upper bits begin, so that a look-up reads
//! one or two cache lines. Names below a listed name are kept although they say nothing new: to leave them out, all names would
//! have to be held as texts until the last one is known.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};

use super::super::table::Suffixes;

/// A name as tables of one key look it up: hashed once, whatever the number of tables.
#[derive(Debug)]
pub(crate) struct Hashed {
    /// Of the name and its parents, the name's own first.
    hashes: [u64; LABELS_MAX],
    count: usize,
}

impl Hashed {
    /// Hashes a name in wire form and lower case. Of a name with more labels than anybody uses only the last ones count.
    pub(crate) fn new(key: &RandomState, name: &[u8]) -> Self {
        let (mut hashes, mut count) = ([0; LABELS_MAX], 0);
        let surplus = Suffixes(name).count().saturating_sub(LABELS_MAX);
        for (place, suffix) in hashes.iter_mut().zip(Suffixes(name).skip(surplus)) {
            *place = hash(key, suffix);
            count += 1;
        }
        Self { hashes, count }
    }
}

/// Lists that a table tells apart.
pub(crate) const LISTS_MAX: usize = 32;
/// Names of a table, over all lists.
pub(crate) const NAMES_MAX: usize = 16_000_000;

/// Which lists hold a name, and which except it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mask {
    /// A bit for each list that holds it.
    pub(crate) listed: u32,
    /// A bit for each list that excepts it.
    pub(crate) excepted: u32,
}

/// Names on lists; see the module.
pub(crate) struct Names {
    /// Sorted by hash: its lower 48 of 58 bits, and 16 bits that are an index into `masks`.
    entries: Vec<u64>,
    /// Where the entries of each bucket begin, and at the end how many there are.
    starts: Vec<u32>,
    masks: Vec<Mask>,
}

impl Names {
    /// The masks of a name and its parents that are on a list, the name's own first.
    pub(crate) fn of<'a>(&'a self, name: &'a Hashed) -> impl Iterator<Item = Mask> + 'a {
        let asked = if self.entries.is_empty() { 0 } else { name.count };
        name.hashes.iter().take(asked).filter_map(|hash| self.one(*hash))
    }

    /// Whether a name or one of its parents is on any list.
    pub(crate) fn holds(&self, name: &Hashed) -> bool {
        let mut listed = false;
        for mask in self.of(name) {
            if mask.excepted != 0 {
                return false;
            }
            listed = true;
        }
        listed
    }

    /// How many different names there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn one(&self, hash: u64) -> Option<Mask> {
        let bucket = bucket(hash, self.starts.len() - 1);
        let (from, to) = (*self.starts.get(bucket)?, *self.starts.get(bucket + 1)?);
        let entries = self.entries.get(usize::try_from(from).ok()?..usize::try_from(to).ok()?)?;
        let wanted = entry(hash, 0);
        let found = entries.iter().find(|entry| **entry & !NUMBER_BITS == wanted)?;
        self.masks.get(usize::try_from(found & NUMBER_BITS).ok()?).copied()
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Names({})", self.entries.len())
    }
}

/// Collects names.
#[derive(Debug)]
pub(crate) struct Builder {
    key: RandomState,
    /// 58 bits of hash, and 6 bits that are the number of a bit of the mask.
    hashes: Vec<u64>,
}

impl Builder {
    /// An empty table.
    pub(crate) fn new(key: RandomState) -> Self {
        Self { key, hashes: Vec::new() }
    }

    /// Makes room for a text of so many bytes. What is not used is given back in the end, and was never touched; growing little by
    /// little would leave holes as large as the table itself.
    pub(crate) fn expect(&mut self, bytes: u64) {
        let names = usize::try_from(bytes / TEXT_BYTES_PER_NAME).unwrap_or(NAMES_MAX);
        self.hashes.reserve_exact(names.min(NAMES_MAX.saturating_sub(self.hashes.len())));
    }

    /// Adds a name to a list, given in wire form and lower case. Beyond [`NAMES_MAX`] and [`LISTS_MAX`] nothing is added.
    pub(crate) fn add(&mut self, name: &[u8], list: usize, excepted: bool) {
        if list < LISTS_MAX && self.hashes.len() < NAMES_MAX {
            let bit = u64::try_from(list).unwrap_or_default() << 1 | u64::from(excepted);
            self.hashes.push(hash(&self.key, name) & !BIT_BITS | bit);
        }
    }

    /// Whether nothing more can be added.
    pub(crate) fn is_full(&self) -> bool {
        self.hashes.len() >= NAMES_MAX
    }

    /// Sorts and merges what was added, in place: the peak is what the names themselves take.
    pub(crate) fn build(self) -> Names {
        let mut hashes = self.hashes;
        hashes.sort_unstable();
        let buckets = hashes.len() / BUCKET_ENTRIES + 1;
        let mut starts = Vec::with_capacity(buckets + 1);
        let mut masks = Masks::new();
        let (mut read, mut kept) = (0, 0);
        while let Some(&first) = hashes.get(read) {
            let mut mask = 0;
            while let Some(&next) = hashes.get(read).filter(|next| **next & !BIT_BITS == first & !BIT_BITS) {
                mask |= 1_u64 << (next & BIT_BITS);
                read += 1;
            }
            while starts.len() <= bucket(first & !BIT_BITS, buckets) {
                starts.push(u32::try_from(kept).unwrap_or(u32::MAX));
            }
            if let Some(slot) = hashes.get_mut(kept) {
                *slot = entry(first & !BIT_BITS, masks.number(mask));
                kept += 1;
            }
        }
        starts.resize(buckets + 1, u32::try_from(kept).unwrap_or(u32::MAX));
        hashes.truncate(kept);
        hashes.shrink_to_fit();
        Names { entries: hashes, starts, masks: masks.all.into_iter().map(split).collect() }
    }
}

/// The combinations of lists that occur.
struct Masks {
    numbers: HashMap<u64, u16>,
    all: Vec<u64>,
}

impl Masks {
    fn new() -> Self {
        let mut masks = Self { numbers: HashMap::new(), all: Vec::new() };
        // Each list by itself always has a number, so that there is one to fall back to.
        for bit in 0..u64::BITS {
            masks.number(1 << bit);
        }
        masks
    }

    /// The number of a combination. When 65,536 are known, a name in yet another one stays on the first of its lists only.
    fn number(&mut self, mask: u64) -> u16 {
        if let Some(number) = self.numbers.get(&mask) {
            return *number;
        }
        let Ok(number) = u16::try_from(self.all.len()) else {
            return u16::try_from(mask.trailing_zeros()).unwrap_or_default();
        };
        self.all.push(mask);
        self.numbers.insert(mask, number);
        number
    }
}

/// Even bits are lists that hold the name, odd ones those that except it.
fn split(mask: u64) -> Mask {
    let every_second = |mask: u64| (0..32).fold(0, |bits, n| bits | u32::from(mask >> (2 * n) & 1 == 1) << n);
    Mask { listed: every_second(mask), excepted: every_second(mask >> 1) }
}

/// 58 bits, at the upper end.
fn hash(key: &RandomState, name: &[u8]) -> u64 {
    let mut hasher = key.build_hasher();
    hasher.write(name);
    hasher.finish() & !BIT_BITS
}

/// Buckets follow each other as hashes do.
fn bucket(hash: u64, buckets: usize) -> usize {
    let scaled = u128::from(hash) * u128::try_from(buckets).unwrap_or_default();
    usize::try_from(scaled >> 64).unwrap_or_default()
}

/// The upper 10 bits are lost, and known from the bucket once there are a few thousand names.
fn entry(hash: u64, number: u16) -> u64 {
    hash >> 6 << 16 | u64::from(number)
}

/// No name that people use has more.
const LABELS_MAX: usize = 32;
/// Shorter lines are rare.
const TEXT_BYTES_PER_NAME: u64 = 8;
const BIT_BITS: u64 = 0x3f;
const NUMBER_BITS: u64 = 0xffff;
/// Entries of a bucket on average: half a cache line.
const BUCKET_ENTRIES: usize = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wire(name: &str) -> Vec<u8> {
        let labels = name.split('.').filter(|label| !label.is_empty());
        let mut wire: Vec<u8> = labels
            .flat_map(|label| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat())
            .collect();
        wire.push(0);
        wire
    }

    /// A table with its key, asked by text.
    struct Asked(RandomState, Names);

    impl Asked {
        fn of(&self, name: &str) -> Vec<Mask> {
            self.1.of(&Hashed::new(&self.0, &wire(name))).collect()
        }

        fn holds(&self, name: &str) -> bool {
            self.1.holds(&Hashed::new(&self.0, &wire(name)))
        }
    }

    fn table(lists: &[&[&str]]) -> Asked {
        let key = RandomState::new();
        let mut builder = Builder::new(key.clone());
        for (number, list) in lists.iter().enumerate() {
            for name in *list {
                let (name, excepted) = name.strip_prefix('@').map_or((*name, false), |name| (name, true));
                builder.add(&wire(name), number, excepted);
            }
        }
        Asked(key, builder.build())
    }

    #[test]
    fn a_name_is_on_the_lists_that_hold_it_or_a_parent() {
        let names = table(&[&["ads.example", "both.example"], &["both.example", "@ok.both.example"]]);
        let masks = |name: &str| -> Vec<(u32, u32)> {
            names.of(name).iter().map(|mask| (mask.listed, mask.excepted)).collect()
        };
        assert_eq!(masks("ads.example"), [(1, 0)]);
        assert_eq!(masks("a.b.ads.example"), [(1, 0)]);
        assert_eq!(masks("x.ok.both.example"), [(0, 2), (3, 0)]);
        for name in ["example", "bads.example", "ads.example.org", ""] {
            assert_eq!(masks(name), [], "{name}");
        }
        assert!(names.holds("ads.example") && !names.holds("ok.both.example"));
        assert_eq!(names.1.len(), 3);
    }

    #[test]
    fn an_empty_table_holds_nothing() {
        assert!(!table(&[]).holds("a.example"));
    }

    #[test]
    fn all_32_lists_are_told_apart_and_more_are_left_out() {
        let key = RandomState::new();
        let mut builder = Builder::new(key.clone());
        for list in 0..40 {
            builder.add(&wire("many.example"), list, false);
            builder.add(&wire("many.example"), list, true);
            builder.add(&wire(&format!("l{list}.example")), list, list % 2 == 1);
        }
        let names = Asked(key, builder.build());
        let all = Mask { listed: u32::MAX, excepted: u32::MAX };
        assert_eq!(names.of("many.example"), [all]);
        assert_eq!(names.of("l31.example"), [Mask { listed: 0, excepted: 1 << 31 }]);
        assert_eq!(names.of("l32.example"), []);
    }

    #[test]
    fn rare_combinations_beyond_the_last_number_keep_one_list() {
        let mut masks = Masks::new();
        for mask in 1..70_000_u64 {
            let number = masks.number(mask);
            let meant = masks.all[usize::from(number)];
            assert!(meant == mask || meant == 1 << mask.trailing_zeros());
        }
        assert_eq!(masks.all.len(), 65_536);
    }

    /// Half a million names, as many that are not there: none is missed and none is made up.
    #[test]
    fn nothing_is_found_that_is_not_there() {
        let key = RandomState::new();
        let mut builder = Builder::new(key.clone());
        builder.expect(100);
        for n in 0..500_000 {
            builder.add(&wire(&format!("n{n}.example")), n % 3, false);
        }
        let names = Asked(key, builder.build());
        assert_eq!(names.1.len(), 500_000);
        assert!((0..500_000).all(|n| names.holds(&format!("n{n}.example"))));
        assert!(!(500_000..1_000_000).any(|n| names.holds(&format!("n{n}.example"))));
        // 8 bytes of entry and 1 of index.
        assert!(names.1.entries.capacity() * 8 + names.1.starts.capacity() * 4 < 500_000 * 10);
    }

    #[test]
    fn a_name_of_very_many_labels_is_still_below_its_parents() {
        let names = table(&[&["ads.example"]]);
        assert!(names.holds(&("a.".repeat(100) + "ads.example")));
        assert!(!names.holds(&("a.".repeat(100) + "example")));
    }

    proptest! {
        /// A listed name and everything below it is found; nothing else is.
        #[test]
        fn exactly_listed_names_and_their_sub_domains_are_found(
            listed in proptest::collection::hash_set("[a-c]{1,2}(\\.[a-c]{1,2}){0,3}", 0..40),
            asked in proptest::collection::vec("[a-c]{1,2}(\\.[a-c]{1,2}){0,4}", 1..60),
        ) {
            let list: Vec<&str> = listed.iter().map(String::as_str).collect();
            let names = table(&[&list]);
            for name in &list {
                prop_assert!(names.holds(name));
                let below = format!("www.{name}");
                prop_assert!(names.holds(&below));
            }
            for name in &asked {
                let below = listed.iter().any(|l| name == l || name.ends_with(&format!(".{l}")));
                prop_assert_eq!(names.holds(name), below);
            }
        }
    }
}
