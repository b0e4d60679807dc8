//! Permissions, against a second way to decide.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| machine::auth::fuzz::permissions(input));
