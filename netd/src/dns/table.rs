//! The prepared answers: an immutable table that is made anew when something changed, and asked with one or two look-ups.
//!
//! Answers are held as the bytes that follow the question.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;

use hickory_server::proto::ProtoError;
use hickory_server::proto::rr::rdata::SOA;
use hickory_server::proto::rr::{Name, RData, Record, RecordType};
use hickory_server::proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};
use inventory::Cidr;

use crate::neighbours::Link;

/// All names that are answered here and not elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Table {
    nodes: HashMap<Box<[u8]>, Node, Seed>,
    zones: HashMap<Box<[u8]>, Zone, Seed>,
    /// Names above zones. They exist, whatever the zone around them says (RFC 8020).
    above_zones: HashSet<Box<[u8]>, Seed>,
    /// Labels of the longest zone name: no suffix longer than that needs to be looked up.
    zone_labels_max: usize,
    networks: Vec<Cidr>,
    /// Interfaces with an address in one of them.
    pub(crate) links: Vec<Link>,
}

/// Hashes the names of this table, faster than the standard library does: every question is looked up here, while strangers have
/// little say in what stands here, and do not know the seed.
#[derive(Debug, Clone, Copy)]
struct Seed(u64);

impl Default for Seed {
    fn default() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }
}

impl BuildHasher for Seed {
    type Hasher = Mixer;

    fn build_hasher(&self) -> Mixer {
        Mixer(self.0)
    }
}

/// Eight bytes at a time, each folded in by a multiplication to 128 bits.
#[derive(Debug)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(piece).for_each(|(to, from)| *to = *from);
            let product = u128::from(self.0 ^ u64::from_le_bytes(word)) * u128::from(ODD);
            let [low, high] = [product, product >> 64].map(|half| (half & u128::from(u64::MAX)) as u64);
            self.0 = low ^ high;
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A name that exists.
#[derive(Debug)]
struct Node {
    /// Wire form of the zone's name.
    zone: Box<[u8]>,
    sets: Vec<(RecordType, Set)>,
}

/// Records of one name and type.
#[derive(Debug, Clone, Default)]
pub(crate) struct Set {
    /// The records; their owner is the name they were made for.
    #[cfg(test)]
    pub(crate) records: Vec<Record>,
    /// How many there are.
    pub(crate) count: u16,
    /// The records without their owners, each preceded by a pointer to the question's name.
    pub(crate) wire: Vec<u8>,
}

/// A part of the name space that is answered here.
#[derive(Debug)]
pub(crate) struct Zone {
    #[cfg(test)]
    pub(crate) soa: Record,
    /// The SOA record without its owner, for negative answers (RFC 2308).
    pub(crate) soa_wire: Vec<u8>,
    /// Length of the owner on the wire.
    pub(crate) name_bytes: usize,
    below: Below,
}

/// What names are answered that stand below a zone's name and are not listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Below {
    /// They do not exist.
    Nothing,
    /// They exist but have no records.
    Empty,
    /// They are not answered here.
    Elsewhere,
    /// They are what the zone's name is (`localhost`, RFC 6761 section 6.3).
    Same,
}

/// What the table says.
#[derive(Debug)]
pub(crate) enum Found<'t> {
    /// These records.
    Answer(&'t Set),
    /// The name exists, without such records.
    NoData(&'t Zone),
    /// There is no such name.
    NoName(&'t Zone),
    /// This is not known here.
    Elsewhere,
}

impl Table {
    /// A table for clients in these networks.
    pub(crate) fn new(networks: Vec<Cidr>) -> Self {
        Self { networks, ..Self::default() }
    }

    /// The same with these interfaces of ours, where clients may ask by IPv6.
    pub(crate) fn with_links(self, links: Vec<Link>) -> Self {
        Self { links, ..self }
    }

    /// Whether an address is this machine's or in one of the school's networks.
    pub(crate) fn holds(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(ip) => ip.is_loopback() || self.networks.iter().any(|network| network.contains(ip)),
            IpAddr::V6(ip) => ip.is_loopback(),
        }
    }

    /// The zone that lends its SOA to negative answers about names that are not ours.
    pub(crate) fn root(&self) -> Option<&Zone> {
        self.zones.get(ROOT)
    }

    /// Looks a name up, given in wire form and lower case.
    pub(crate) fn find(&self, name: &[u8], kind: RecordType) -> Found<'_> {
        if let Some(node) = self.nodes.get(name) {
            return self.in_node(node, kind);
        }
        let labels = Suffixes(name).count();
        for suffix in Suffixes(name).skip(labels.saturating_sub(self.zone_labels_max)) {
            if let Some(zone) = self.zones.get(suffix) {
                return match zone.below {
                    Below::Nothing if self.above_zones.contains(name) => Found::NoData(zone),
                    Below::Nothing => Found::NoName(zone),
                    Below::Empty => Found::NoData(zone),
                    Below::Elsewhere => continue,
                    Below::Same => {
                        self.nodes.get(suffix).map_or(Found::NoData(zone), |n| self.in_node(n, kind))
                    }
                };
            }
        }
        // A single label is a name that somebody forgot to complete. Forwarding it would tell the world our devices' names.
        // That top-level domains exist is not denied (RFC 8020), only that they have addresses.
        match self.zones.get(ROOT) {
            Some(root) if labels == 1 && matches!(kind, RecordType::A | RecordType::AAAA) => {
                Found::NoData(root)
            }
            _ => Found::Elsewhere,
        }
    }

    fn in_node<'t>(&'t self, node: &'t Node, kind: RecordType) -> Found<'t> {
        // Everything about a name is one of its sets (RFC 8482 section 4.1).
        let set = node.sets.iter().find(|(has, _)| *has == kind || kind == RecordType::ANY);
        match (set, self.zones.get(&node.zone)) {
            (Some((_, set)), _) => Found::Answer(set),
            (None, Some(zone)) => Found::NoData(zone),
            (None, None) => Found::Elsewhere,
        }
    }

    /// Adds a zone; the first of a name stays.
    pub(crate) fn add_zone(&mut self, name: &Name, soa: SOA, below: Below) -> Result<(), ProtoError> {
        let key = wire(name)?;
        if self.zones.contains_key(key.as_slice()) {
            return Ok(());
        }
        let soa = Record::from_rdata(name.clone(), NEGATIVE_TTL_SECS, RData::SOA(soa));
        let zone = Zone {
            #[cfg(test)]
            soa: soa.clone(),
            soa_wire: tail(&soa)?,
            name_bytes: key.len(),
            below,
        };
        // The root is no zone of ours; it only lends its name to negative answers.
        if !name.is_root() {
            self.above_zones.extend(Suffixes(&key).skip(1).map(Box::from));
            self.zone_labels_max = self.zone_labels_max.max(usize::from(name.num_labels()));
            self.zones.insert(key.into(), zone);
            self.add(soa)?;
        } else {
            self.zones.insert(key.into(), zone);
        }
        Ok(())
    }

    /// Adds a record to the longest zone that holds its name; one that no zone holds is left out. Names between the record's
    /// and the zone's come to exist (RFC 8020 section 3.1).
    pub(crate) fn add(&mut self, record: Record) -> Result<(), ProtoError> {
        let key = wire(&record.name)?;
        let zone = Suffixes(&key).find(|suffix| self.zones.contains_key(*suffix));
        let Some(zone) = zone.map(Box::<[u8]>::from) else { return Ok(()) };
        let node = || Node { zone: zone.clone(), sets: Vec::new() };
        for between in Suffixes(&key).skip(1).take_while(|suffix| suffix.len() > zone.len()) {
            self.nodes.entry(between.into()).or_insert_with(node);
        }
        let node = self.nodes.entry(key.into()).or_insert_with(node);
        let kind = record.record_type();
        let bytes = tail(&record)?;
        let index = match node.sets.iter().position(|(has, _)| *has == kind) {
            Some(index) => index,
            None => {
                node.sets.push((kind, Set::default()));
                node.sets.len() - 1
            }
        };
        let Some((_, set)) = node.sets.get_mut(index) else { return Ok(()) };
        let bytes = [&QUESTION_NAME, bytes.as_slice()].concat();
        // No record of ours holds another one in its data.
        let known = set.wire.windows(bytes.len()).any(|there| there == bytes);
        if !known && set.count < RECORDS_PER_SET_MAX {
            set.wire.extend_from_slice(&bytes);
            set.count += 1;
            #[cfg(test)]
            set.records.push(record);
        }
        Ok(())
    }
}

/// A name and its parents, without the root. Names come from our own parsers, so the lengths fit.
pub(crate) struct Suffixes<'n>(pub(crate) &'n [u8]);

impl<'n> Iterator for Suffixes<'n> {
    type Item = &'n [u8];

    fn next(&mut self) -> Option<&'n [u8]> {
        let name = self.0;
        let length = usize::from(*name.first()?);
        if length == 0 {
            return None;
        }
        self.0 = name.get(1 + length..).unwrap_or_default();
        Some(name)
    }
}

/// A name in wire form and lower case.
pub(crate) fn wire(name: &Name) -> Result<Vec<u8>, ProtoError> {
    let mut bytes = Vec::with_capacity(64);
    let mut encoder = BinEncoder::new(&mut bytes);
    encoder.set_name_encoding(NameEncoding::UncompressedLowercase);
    name.emit(&mut encoder)?;
    Ok(bytes)
}

/// A record in wire form without its owner.
fn tail(record: &Record) -> Result<Vec<u8>, ProtoError> {
    let mut bytes = Vec::with_capacity(128);
    let mut encoder = BinEncoder::new(&mut bytes);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    record.emit(&mut encoder)?;
    let owner = wire(&record.name)?.len();
    Ok(bytes.split_off(owner.min(bytes.len())))
}

/// Compression pointer to the first name after the header (RFC 1035 section 4.1.4).
pub(crate) const QUESTION_NAME: [u8; 2] = [0xc0, 12];
/// How long clients may remember that something is not there: short, since new PCs appear while people watch.
pub(crate) const NEGATIVE_TTL_SECS: u32 = 10;
/// A device with more addresses than this keeps the first ones.
const RECORDS_PER_SET_MAX: u16 = 32;
const ROOT: &[u8] = &[0];
/// The golden ratio, as 64 bits after the point.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
