//! The words of a line of interactive input: bare, in single quotes as they are, in double quotes with Go's escapes.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use super::exit::{Exit, Failure};
use crate::go::quote::unquote_prefix;

/// Returns the words of a line. Keys that are not UTF-8 are written with `\x` escapes in double quotes.
///
/// # Errors
/// When a quote is not closed, or an escape is none.
pub fn split(line: &str) -> Result<Vec<OsString>, Failure> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, following) = match first {
            '\'' => rest[1..]
                .split_once('\'')
                .map(|(word, following)| (word.as_bytes().to_vec(), following))
                .ok_or_else(|| malformed(line, "a quote is not closed"))?,
            '"' => unquote_prefix(rest)
                .ok_or_else(|| malformed(line, "a quote is not closed, or an escape is not one of Go's"))?,
            _ => {
                let (word, following) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
                (word.as_bytes().to_vec(), following)
            }
        };
        words.push(OsString::from_vec(word));
        rest = following.trim_start();
    }
    Ok(words)
}

fn malformed(line: &str, why: &str) -> Failure {
    Failure::new(Exit::InvalidInput, format!("malformed line: {line} ({why})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_bare_or_quoted() {
        let cases: [(&str, &[&str]); 7] = [
            ("put k v", &["put", "k", "v"]),
            ("  put\tk  'a  b' ", &["put", "k", "a  b"]),
            (r#"put k "a\n\"b""#, &["put", "k", "a\n\"b"]),
            (r"put k 'a\n'", &["put", "k", r"a\n"]),
            (r#"put it's a"b"#, &["put", "it's", "a\"b"]),
            (r#"put "" ''"#, &["put", "", ""]),
            (r#""a""b"'c'd"#, &["a", "b", "c", "d"]),
        ];
        for (line, words) in cases {
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
        assert_eq!(split(r#"del "\xff""#).unwrap()[1], OsString::from_vec(vec![0xff]));
        for line in ["put 'a", r#"put "a"#, r#"put "\q""#] {
            assert_eq!(split(line).unwrap_err().exit, Exit::InvalidInput, "{line}");
        }
    }
}
