//! What the measurements of a store are given on their command lines.

use std::path::PathBuf;

/// How large a store is filled, and where.
pub(crate) struct Arguments {
    pub(crate) keys: u64,
    pub(crate) value_bytes: usize,
    /// Where the store is to be; `None`: in a temporary directory.
    pub(crate) dir: Option<PathBuf>,
}

impl Arguments {
    /// Reads `--keys`, `--value` and `--dir`; `keys` is how many there are without the first. Ends the process with a line about
    /// the usage of `program` if there is anything else.
    pub(crate) fn read(program: &str, keys: u64) -> Self {
        let usage = || -> ! {
            eprintln!("usage: {program} [--keys N] [--value BYTES] [--dir DIRECTORY]");
            std::process::exit(2)
        };
        let mut read = Self { keys, value_bytes: 1024, dir: None };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let value = words.next().unwrap_or_else(|| usage());
            match word.as_str() {
                "--keys" => read.keys = value.parse().unwrap_or_else(|_| usage()),
                "--value" => read.value_bytes = value.parse().unwrap_or_else(|_| usage()),
                "--dir" => read.dir = Some(PathBuf::from(value)),
                _ => usage(),
            }
        }
        read
    }
}
