//! Which parts of a file system are in use.

use super::*;
use crate::blockdev::MemDev;
use proptest::prelude::*;

#[test]
fn something_unknown_is_taken_whole() {
    let dev = MemDev::new(vec![7; 300_000]);
    let used = detect_and_map(&dev, 1000..200_000).unwrap();
    assert_eq!(used, Used::raw(199_000));
    assert_eq!(detect_and_map(&dev, 5..5).unwrap().ranges.bytes(), 0);
    let beyond = detect_and_map(&dev, 1000..300_001);
    assert!(matches!(beyond, Err(UsedError::BeyondTheDisk)));
}

#[test]
fn a_bitlocker_partition_is_refused_with_the_remedy() {
    let mut bytes = vec![0; 100_000];
    bytes[3..11].copy_from_slice(b"-FVE-FS-");
    let error = detect_and_map(&MemDev::new(bytes), 0..100_000).unwrap_err().to_string();
    assert!(error.contains("BitLocker") && error.contains("manage-bde -off"), "{error}");
}

proptest! {
    #[test]
    fn bits_become_the_ranges_of_the_set_ones(
        bits in prop::collection::vec(prop::sample::select(vec![0u8, 0xff, 0x0f, 0x80, 0x5a]), 0..40), count in 0u64..330
    ) {
        let mut ranges = Ranges::default();
        push_bits(&mut ranges, &bits, 3, count, 10, 1000);
        let set: Vec<u64> = (0..count.min(bits.len() as u64 * 8))
            .filter(|n| bits[*n as usize / 8] >> (n % 8) & 1 == 1)
            .flat_map(|n| (1000 + (3 + n) * 10)..(1000 + (4 + n) * 10))
            .collect();
        prop_assert_eq!(ranges.iter().flatten().collect::<Vec<_>>(), set);
    }
}
