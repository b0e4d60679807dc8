//! Lines of standard input.

use std::io;

use super::exit::{Exit, Failure};

/// Reads a line with its newline.
///
/// # Errors
/// With exit code 3 when there is no whole line any more (`EOF`), or it is not UTF-8.
pub fn read_line() -> Result<String, Failure> {
    let mut line = String::new();
    match io::stdin().read_line(&mut line) {
        Ok(_) if line.ends_with('\n') => Ok(line),
        Ok(_) => Err(invalid("EOF")),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(invalid("input is not UTF-8: write such bytes as \"\\xff\", in double quotes"))
        }
        Err(error) => Err(invalid(error)),
    }
}

fn invalid(text: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::InvalidInput, text)
}
