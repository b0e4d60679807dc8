//! What the fuzzer keeps runs here, each input as it is and damaged in every simple way.
//!
//! `fuzz/corpus/etcd_log` has the beginnings of logs that etcd 3.4 and 3.7 have written, and whatever input has once found a
//! bug.

use testkit::Corpus;

#[test]
fn no_kept_input_and_none_like_it_finds_a_bug() {
    // A file has thousands of bytes.
    Corpus { name: "etcd_log", damaged_max: 2_000, inputs_min: 4 }.check(backup::restore::fuzz::etcd_log);
}
