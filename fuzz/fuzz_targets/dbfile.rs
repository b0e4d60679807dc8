//! Database files of etcd.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| dbfile::fuzz::files(input));
