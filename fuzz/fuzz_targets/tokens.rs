//! Tokens of both kinds.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| server::fuzz::tokens(input));
