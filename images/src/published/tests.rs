//! What a reader takes, and what it refuses.

use std::collections::HashSet;

use super::*;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn chunk(n: u8) -> (Hash, Stored) {
    let mut content = vec![0; CHUNK_BYTES];
    blake3::Hasher::new().update(&[n]).finalize_xof().fill(&mut content[..1000 + usize::from(n)]);
    (Hash::of(&content), Stored::pack(&content).unwrap())
}

fn built(numbers: &[u8]) -> BuiltPack {
    let mut builder = PackBuilder::default();
    numbers.iter().map(|n| chunk(*n)).for_each(|(hash, stored)| builder.push(&hash, &stored));
    builder.finish().unwrap()
}

fn opened(pack: &BuiltPack) -> PackIndex {
    PackIndex::parse(&pack.name, &pack.index).unwrap()
}

fn set(numbers: &[u8]) -> HashSet<Hash> {
    numbers.iter().map(|n| chunk(*n).0).collect()
}

fn catalogue() -> Catalogue {
    let published = |image: &str| Published {
        image: image.into(),
        version: 3,
        made_at: 5,
        manifest: Hash::of(b"m"),
        used_bytes: 7,
        packs: vec![Hash::of(b"p")],
    };
    Catalogue { made_at: 9, images: vec![published("Debian 12"), published("Windows 11")] }
}

#[test]
fn a_catalogue_is_read_only_with_the_right_key_and_unchanged() {
    let bytes = catalogue().to_signed_bytes(&key(1)).unwrap();
    assert_eq!(Catalogue::parse_signed(&bytes, &key(1).verifying_key()).unwrap(), catalogue());
    let other = Catalogue::parse_signed(&bytes, &key(2).verifying_key());
    assert!(matches!(other, Err(PublishedError::Signature)), "{other:?}");
    let changed = String::from_utf8(bytes).unwrap().replace("Debian 12", "Debian 13");
    let changed = Catalogue::parse_signed(changed.as_bytes(), &key(1).verifying_key());
    assert!(matches!(changed, Err(PublishedError::Signature)), "{changed:?}");
    let none = Catalogue::parse_signed(b"<html>", &key(1).verifying_key());
    assert!(matches!(none, Err(PublishedError::Catalogue(_))), "{none:?}");
}

#[test]
fn an_index_must_have_its_name_and_records_that_do_not_overlap() {
    let pack = built(&[1, 2, 3]);
    assert_eq!(opened(&pack).chunks().map(|(hash, _)| *hash).collect::<Vec<_>>(), pack.chunks);
    let mut changed = pack.index.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert!(PackIndex::parse(&pack.name, &changed).is_err());
    for entries in [
        vec![
            (Hash::of(b"a"), Place { offset: 0, stored_len: 9 }),
            (Hash::of(b"b"), Place { offset: 60, stored_len: 9 }),
        ],
        vec![(Hash::of(b"a"), Place { offset: u64::MAX, stored_len: 9 })],
        vec![(Hash::of(b"a"), Place { offset: 0, stored_len: 1 << 20 })],
    ] {
        let bytes = index::encode(entries);
        assert!(PackIndex::parse(&Hash::of(&bytes), &bytes).is_err());
    }
}

#[test]
fn neighbours_are_fetched_together_and_nothing_in_between() {
    let pack = built(&[0, 1, 2, 3, 4, 5]);
    let index = opened(&pack);
    let ranges = |wanted: &[u8], max| -> Vec<Vec<Hash>> {
        pieces(&index, &set(wanted), max).iter().map(|p| p.chunks().copied().collect()).collect()
    };
    let hashes = |numbers: &[u8]| numbers.iter().map(|n| chunk(*n).0).collect::<Vec<_>>();
    assert_eq!(ranges(&[0, 1, 2, 4, 5], 1 << 20), [hashes(&[0, 1, 2]), hashes(&[4, 5])]);
    assert_eq!(ranges(&[0, 1], 1), [hashes(&[0]), hashes(&[1])], "a record is never cut");
    assert!(ranges(&[9], 1 << 20).is_empty());
    let all = pieces(&index, &set(&[0, 1, 2, 3, 4, 5]), 1 << 20);
    assert_eq!(all[0].range, 0..pack.pack.len() as u64);
}

#[test]
fn records_are_read_from_whatever_pieces_the_network_brings_and_damage_stays_where_it_is() {
    let pack = built(&[1, 2, 3]);
    let all = pieces(&opened(&pack), &set(&[1, 2, 3]), 1 << 20);
    let mut records = Records::of(&all[0]);
    let found: Vec<_> = pack.pack.chunks(7).flat_map(|bytes| records.feed(bytes)).collect();
    assert_eq!(found, [1, 2, 3].map(|n| Ok(chunk(n))));
    assert!(records.is_done());

    let mut damaged = pack.pack.clone();
    let second = all[0].records[1].1.offset;
    damaged[usize::try_from(second).unwrap() + 60] ^= 1;
    let found = Records::of(&all[0]).feed(&damaged);
    assert_eq!(found, [Ok(chunk(1)), Err(BadRecord { hash: chunk(2).0, offset: second }), Ok(chunk(3))]);
}

#[test]
fn a_record_with_a_right_checksum_and_another_chunk_inside_is_refused() {
    let (hash, _) = chunk(1);
    let (_, other) = chunk(2);
    let mut builder = PackBuilder::default();
    builder.push(&hash, &other);
    let pack = builder.finish().unwrap();
    let piece = &pieces(&opened(&pack), &set(&[1]), 1 << 20)[0];
    assert_eq!(Records::of(piece).feed(&pack.pack), [Err(BadRecord { hash, offset: 0 })]);
}

#[test]
fn a_pack_stays_published_as_long_as_half_of_it_is_needed() {
    let packs = [built(&[1, 2, 3, 4]), built(&[1, 2]), built(&[7, 8, 9])].map(|pack| opened(&pack));
    assert_eq!(
        worth_keeping(&packs, &set(&[1, 2, 3, 4, 7])),
        [true, false, false],
        "covered already; a third"
    );
    assert_eq!(worth_keeping(&packs, &set(&[7, 8])), [false, false, true]);
    assert_eq!(worth_keeping(&packs, &set(&[])), [false; 3]);
}

#[test]
fn only_what_is_followed_is_fetched_and_what_is_not_offered_is_named() {
    let catalogue = catalogue();
    let followed = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let (images, absent) = newest_followed(&catalogue, &names);
        let images: Vec<String> = images.iter().map(|p| p.image.clone()).collect();
        (images.join(","), absent.join(","))
    };
    assert_eq!(followed(&["*"]), ("Debian 12,Windows 11".into(), String::new()));
    assert_eq!(followed(&["Windows 11", "Mint"]), ("Windows 11".into(), "Mint".into()));
    assert_eq!(followed(&[]), (String::new(), String::new()));
}
