//! What the fuzzer keeps runs here, each input as it is and damaged in every simple way.
//!
//! `fuzz/corpus/etcd_log` has the beginnings of logs that etcd 3.4 and 3.7 have written, and whatever input has once found a
//! bug. A new one is a file there, and nothing else.

use std::panic::catch_unwind;
use std::path::Path;

/// Damaged inputs of each kept one, at most: a file has thousands of bytes.
const DAMAGED_MAX: usize = 2_000;

/// The input cut short, and with single bytes changed, at places all over it.
fn damaged(input: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let step = input.len().div_ceil(DAMAGED_MAX / 4).max(1);
    (0..input.len()).step_by(step).flat_map(|place| {
        let with = |change: fn(u8) -> u8| {
            let mut bytes = input.to_vec();
            bytes[place] = change(bytes[place]);
            bytes
        };
        [input[..place].to_vec(), with(|byte| byte ^ 1), with(|byte| byte ^ 0x80), with(|_| 0)]
    })
}

#[test]
fn no_kept_input_and_none_like_it_finds_a_bug() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/etcd_log");
    let mut inputs = 0;
    for entry in std::fs::read_dir(corpus).expect("a directory of inputs") {
        let path = entry.expect("an entry").path();
        let input = std::fs::read(&path).expect("an input");
        for bytes in std::iter::once(input.clone()).chain(damaged(&input)) {
            let outcome = catch_unwind(|| backup::restore::fuzz::etcd_log(&bytes));
            assert!(outcome.is_ok(), "{} as {}", path.display(), bytes.escape_ascii());
        }
        inputs += 1;
    }
    assert!(inputs >= 4, "only {inputs} inputs");
}
