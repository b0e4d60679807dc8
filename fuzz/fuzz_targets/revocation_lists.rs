//! Files with lists of revoked certificates.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| server::fuzz::revocation_lists(input));
