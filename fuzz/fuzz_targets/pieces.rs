//! Pieces of an archive.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| archive::fuzz::pieces(input));
