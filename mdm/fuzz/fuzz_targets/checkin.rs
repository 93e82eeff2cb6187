//! Whatever plist an iPad, or somebody with an iPad's certificate, sends as a check-in or as the response to a command: it is
//! understood or refused, and nothing panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mdm::checkin::CheckIn;
use mdm::response::Response;

/// More than the fuzzer makes.
const BYTES_MAX: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let _ = CheckIn::parse(bytes, BYTES_MAX);
    let _ = Response::parse(bytes, BYTES_MAX);
    // Bounds hold whatever comes.
    assert!(CheckIn::parse(bytes, 0).is_err());
    assert!(Response::parse(bytes, 0).is_err());
});
