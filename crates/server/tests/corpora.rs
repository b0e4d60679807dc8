//! What the fuzzer keeps runs here, each input as it is and damaged in every simple way.
//!
//! `fuzz/corpus` has a directory for each target: seeds, and whatever input has once found a bug. A new one is a file there,
//! and nothing else.

use testkit::Corpus;

/// A body, and the directory of its inputs.
type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 4] = [
    ("permissions", machine::auth::fuzz::permissions),
    ("tokens", server::fuzz::tokens),
    ("certificates", server::fuzz::certificates),
    ("revocation_lists", server::fuzz::revocation_lists),
];

#[test]
fn no_kept_input_and_none_like_it_finds_a_bug() {
    for (name, body) in TARGETS {
        // A certificate has a thousand bytes.
        Corpus { name, damaged_max: 400, inputs_min: 5 }.check(body);
    }
}
