//! Manifests there and back, and damaged ones.

use super::*;
use crate::used::FsKind;
use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use uuid::Uuid;

fn partition(number: u32, first_lba: u64, sectors: u64) -> Partition {
    Partition {
        number,
        identity: Identity::Gpt {
            type_guid: Uuid::from_u128(0x0fc63daf_8483_4772_8e79_3d69d8477de4),
            unique: Uuid::from_u128(u128::from(number) + 1),
            name: "Daten \u{1f4be}".into(),
            attributes: 4,
        },
        first_lba,
        sectors,
        filesystem: Filesystem { kind: FsKind::Ext, uuid: Some("x".into()), min_bytes: 512, used_bytes: 1 },
        grow: false,
    }
}

fn header() -> Header {
    Header {
        image: "Raum 204".into(),
        created_at: 1_795_000_000_000,
        chunk_bytes: 65536,
        sector_bytes: 512,
        disk_bytes: 64 << 20,
        table: TableKind::Gpt { disk: Uuid::from_u128(7) },
        boot_code: Header::encode_boot_code(&[0xfa; 440]),
        partitions: vec![partition(1, 2048, 4096), partition(3, 8192, 1001)],
    }
}

fn sample() -> Manifest {
    let mut first = ChunkTable::default();
    for number in [0, 1, 2, 5, 31] {
        first.push(number, Hash::of(&[number as u8])).unwrap();
    }
    let mut second = ChunkTable::default();
    second.push_zeros(0, 3).unwrap();
    second.push(3, Hash::of(b"x")).unwrap();
    second.push(7, Hash::zero_chunk()).unwrap();
    Manifest::new(header(), vec![first, second]).unwrap()
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

#[test]
fn a_signed_manifest_comes_back_and_only_its_own_key_verifies_it() {
    let signed = sample().sign(&key(1));
    let bytes = signed.to_bytes();
    assert_eq!(Manifest::parse_signed(&bytes, &key(1).verifying_key()).unwrap(), signed);
    let wrong = Manifest::parse_signed(&bytes, &key(2).verifying_key());
    assert!(matches!(wrong, Err(ManifestError::Signature)));
    assert_eq!(signed.id(), sample().id());
    let unsigned = Manifest::parse_signed(&sample().to_bytes(), &key(1).verifying_key());
    assert!(matches!(unsigned, Err(ManifestError::Signature)));
}

#[test]
fn every_changed_bit_of_a_signed_manifest_is_noticed() {
    let bytes = sample().sign(&key(1)).to_bytes();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(Manifest::parse_signed(&changed, &key(1).verifying_key()).is_err(), "byte {at}");
    }
}

#[test]
fn every_shortened_or_lengthened_manifest_is_refused() {
    let bytes = sample().sign(&key(1)).to_bytes();
    for len in 0..bytes.len() {
        assert!(Manifest::parse(&bytes[..len]).is_err(), "{len}");
    }
    assert!(Manifest::parse(&[&bytes[..], &[0]].concat()).is_err());
}

#[test]
fn spans_tell_zeros_from_chunks_and_count_both() {
    let manifest = sample();
    let (_, table) = manifest.partitions().nth(1).unwrap();
    let spans: Vec<_> =
        table.spans().map(|s| (s.first, s.count(), matches!(s.content, Content::Zeros(_)))).collect();
    assert_eq!(spans, [(0, 3, true), (3, 1, false), (7, 1, true)]);
    assert_eq!(manifest.chunk_count(), 10);
    assert_eq!(manifest.hashes().count(), 6);
}

#[test]
fn impossible_layouts_are_refused() {
    let refused = |change: &dyn Fn(&mut Header)| {
        let mut header = header();
        change(&mut header);
        let tables = header.partitions.iter().map(|_| ChunkTable::default()).collect();
        matches!(Manifest::new(header, tables), Err(ManifestError::Layout(_)))
    };
    assert!(!refused(&|_| {}));
    assert!(refused(&|h| h.partitions[1].first_lba = 6143), "overlap");
    assert!(refused(&|h| h.partitions.swap(0, 1)), "order");
    assert!(refused(&|h| h.partitions[0].first_lba = 33), "over the table");
    assert!(refused(&|h| h.partitions[1].sectors = u64::MAX), "overflow");
    assert!(refused(&|h| h.partitions[1].sectors = 0), "empty");
    assert!(refused(&|h| h.partitions[1].sectors = 1 << 20), "beyond the disk");
    assert!(refused(&|h| h.partitions[1].number = 1), "twice");
    assert!(refused(&|h| h.partitions[1].number = 129), "no such entry");
    assert!(refused(&|h| h.partitions[1].filesystem.min_bytes = 1 << 30), "fs larger");
    assert!(refused(&|h| h.partitions.iter_mut().for_each(|p| p.grow = true)), "two grow");
    assert!(refused(&|h| h.partitions[0].identity = Identity::BootGap), "gap in a GPT");
    assert!(refused(&|h| h.table = TableKind::Mbr { signature: 0 }), "GPT entries in an MBR");
    assert!(refused(&|h| h.chunk_bytes = 4096), "chunk length");
    assert!(refused(&|h| h.sector_bytes = 520), "sector");
    assert!(refused(&|h| h.disk_bytes = 1 << 50), "disk");
    assert!(refused(&|h| h.boot_code = "AAAA".into()), "short code");
    assert!(refused(&|h| h.image = "a\nb".into()), "name");
}

#[test]
fn chunks_beyond_the_partition_or_out_of_order_are_refused() {
    let mut table = ChunkTable::default();
    table.push(8, Hash::of(b"a")).unwrap();
    // 1001 sectors are 7.8 chunks: number 7 is the last.
    assert!(Manifest::new(header(), vec![ChunkTable::default(), table.clone()]).is_err());
    assert!(table.push(8, Hash::of(b"b")).is_err());
    assert!(table.push(u32::MAX, Hash::of(b"b")).is_err());
    assert!(table.push_zeros(3, 1).is_err());
    assert!(Manifest::new(header(), vec![table]).is_err());
}

#[test]
fn a_header_written_in_another_way_is_refused() {
    let bytes = sample().to_bytes();
    let len = u32::from_le_bytes(bytes[8..12].try_into().unwrap()) as usize;
    let spaced = [&b" "[..], &bytes[12..12 + len]].concat();
    let changed = [&bytes[..8], &(spaced.len() as u32).to_le_bytes(), &spaced, &bytes[12 + len..]].concat();
    assert!(matches!(Manifest::parse(&changed), Err(ManifestError::NotCanonical)));
    let mut other = bytes.clone();
    other[7] = b'2';
    assert!(matches!(Manifest::parse(&other), Err(ManifestError::Magic)));
}

#[test]
fn a_table_that_claims_billions_of_hashes_costs_nothing() {
    let bytes = sample().to_bytes();
    let len = u32::from_le_bytes(bytes[8..12].try_into().unwrap()) as usize;
    let mut huge = bytes[..12 + len].to_vec();
    huge.extend_from_slice(&1u32.to_le_bytes());
    huge.extend_from_slice(&0u32.to_le_bytes());
    huge.extend_from_slice(&0x7fff_fff0u32.to_le_bytes());
    assert!(matches!(Manifest::parse(&huge), Err(ManifestError::Length)));
}

proptest! {
    #[test]
    fn what_can_be_parsed_is_written_back_the_same(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), sign in any::<bool>()
    ) {
        let manifest = if sign { sample().sign(&key(3)) } else { sample() };
        let mut bytes = manifest.to_bytes();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(parsed) = Manifest::parse(&bytes) {
            prop_assert_eq!(parsed.to_bytes(), bytes);
        }
    }

    #[test]
    fn any_table_comes_back(steps in prop::collection::vec((0u32..3, any::<bool>()), 0..60)) {
        let mut table = ChunkTable::default();
        let mut number = 0;
        let mut pushed = Vec::new();
        for (gap, zero) in steps {
            number += gap;
            let hash = if zero { Hash::zero_chunk() } else { Hash::of(&number.to_le_bytes()) };
            table.push(number, hash).unwrap();
            pushed.push((number, hash));
            number += 1;
        }
        let mut header = header();
        header.partitions[1].sectors = 1 << 16;
        let manifest = Manifest::new(header, vec![ChunkTable::default(), table]).unwrap();
        let again = Manifest::parse(&manifest.to_bytes()).unwrap();
        let mut read = Vec::new();
        for span in again.partitions().nth(1).unwrap().1.spans() {
            match span.content {
                Content::Zeros(count) => read.extend((0..count).map(|n| (span.first + n, Hash::zero_chunk()))),
                Content::Chunks(hashes) => read.extend(hashes.iter().zip(span.first..).map(|(h, n)| (n, *h))),
            }
        }
        prop_assert_eq!(read, pushed);
    }

    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Manifest::parse(&bytes);
        let _ = Manifest::parse(&[b"HAUSIMG1\x02\0\0\0{}", &bytes[..]].concat());
    }
}
