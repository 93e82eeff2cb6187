//! Whatever bytes come in: reading a manifest does not panic, and what is accepted is written back the same.
#![no_main]

use images::manifest::Manifest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = Manifest::parse(bytes) {
        assert_eq!(manifest.to_bytes(), bytes);
        for (partition, table) in manifest.partitions() {
            for span in table.spans() {
                let end = u64::from(span.first) + span.count();
                assert!(end <= partition.chunks(manifest.header().sector_bytes));
            }
        }
    }
});
