//! What a fuzzer keeps, as plain tests: each input as it is and damaged in every simple way.
//!
//! `fuzz/corpus` has a directory for each target: seeds, and whatever input has once found a bug. A new one is a file there,
//! and nothing else.

use std::panic::{RefUnwindSafe, catch_unwind};
use std::path::Path;

/// The inputs of one target.
#[derive(Debug, Clone, Copy)]
pub struct Corpus {
    /// Directory under `fuzz/corpus`.
    pub name: &'static str,
    /// Damaged inputs of each kept one, at most.
    pub damaged_max: usize,
    /// Inputs that there are, at least.
    pub inputs_min: usize,
}

impl Corpus {
    /// Gives the target's body each input, and those like it.
    ///
    /// # Panics
    /// If the body panics, with the input; or if there are fewer inputs than there must be.
    pub fn check(&self, body: impl Fn(&[u8]) + RefUnwindSafe) {
        let Self { name, damaged_max, inputs_min } = *self;
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
        let mut inputs = 0;
        for entry in std::fs::read_dir(directory).expect("a directory of inputs") {
            let path = entry.expect("an entry").path();
            let input = std::fs::read(&path).expect("an input");
            for bytes in std::iter::once(input.clone()).chain(damaged(&input, damaged_max)) {
                let outcome = catch_unwind(|| body(&bytes));
                assert!(outcome.is_ok(), "{name}: {} as {}", path.display(), bytes.escape_ascii());
            }
            inputs += 1;
        }
        assert!(inputs >= inputs_min, "{name}: only {inputs} inputs");
    }
}

/// The input cut short, and with single bytes changed, at places all over it.
fn damaged(input: &[u8], most: usize) -> impl Iterator<Item = Vec<u8>> {
    let step = input.len().div_ceil(most / 4).max(1);
    (0..input.len()).step_by(step).flat_map(|place| {
        let with = |change: fn(u8) -> u8| {
            let mut bytes = input.to_vec();
            bytes[place] = change(bytes[place]);
            bytes
        };
        [input[..place].to_vec(), with(|byte| byte ^ 1), with(|byte| byte ^ 0x80), with(|_| 0)]
    })
}
