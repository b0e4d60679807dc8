//! Write-ahead logs of etcd.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| backup::restore::fuzz::etcd_log(input));
