//! What the fuzzer keeps runs here, each input as it is and damaged in every simple way.
//!
//! `fuzz/corpus/dbfile` has seeds with every kind of page, and whatever input has once found a bug.

use testkit::Corpus;

#[test]
fn no_kept_input_and_none_like_it_finds_a_bug() {
    // A file has thousands of bytes.
    Corpus { name: "dbfile", damaged_max: 800, inputs_min: 5 }.check(dbfile::fuzz::files);
}
