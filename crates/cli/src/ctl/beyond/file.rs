//! Files that commands read: by their path, or `-` for standard input.

use std::io::Read as _;

use crate::ctl::exit::Failure;

/// Returns the text of a file.
///
/// # Errors
/// When it cannot be read, or is not UTF-8.
pub fn read_text(path: &str) -> Result<String, Failure> {
    let read = || match path {
        "-" => {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).map(|_| bytes)
        }
        path => std::fs::read(path),
    };
    let bytes = read().map_err(|error| Failure::error(format!("{path}: {error}")))?;
    String::from_utf8(bytes)
        .map_err(|error| Failure::error(format!("{path}: not UTF-8 ({})", error.utf8_error())))
}
