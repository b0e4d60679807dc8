//! Files with certificates, and certificates that clients send.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| server::fuzz::certificates(input));
