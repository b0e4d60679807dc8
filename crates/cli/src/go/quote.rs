//! How Go writes and reads quoted strings: the verb `%q` of its package `fmt`.

use std::fmt::Write as _;

/// Returns the bytes as a quoted Go string, as `%q` prints them. What is not UTF-8 becomes `\x` escapes.
pub fn quote(bytes: &[u8]) -> String {
    let mut quoted = String::with_capacity(bytes.len() + 2);
    quoted.push('"');
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|character| push_escaped(&mut quoted, character));
        for byte in chunk.invalid() {
            let _ = write!(quoted, "\\x{byte:02x}");
        }
    }
    quoted.push('"');
    quoted
}

fn push_escaped(quoted: &mut String, character: char) {
    let simple = match character {
        '"' | '\\' => character,
        '\x07' => 'a',
        '\x08' => 'b',
        '\x0c' => 'f',
        '\n' => 'n',
        '\r' => 'r',
        '\t' => 't',
        '\x0b' => 'v',
        _ => return push_unless_printable(quoted, character),
    };
    quoted.push('\\');
    quoted.push(simple);
}

fn push_unless_printable(quoted: &mut String, character: char) {
    let code = u32::from(character);
    let _ = match code {
        _ if is_printable(character) => write!(quoted, "{character}"),
        0..0x20 | 0x7f => write!(quoted, "\\x{code:02x}"),
        0x20..0x1_0000 => write!(quoted, "\\u{code:04x}"),
        _ => write!(quoted, "\\U{code:08x}"),
    };
}

/// Returns whether Go's `strconv.IsPrint` holds. Rust's `escape_debug` leaves the same characters as they are, a combining
/// mark only after another character: hence the letter before it.
fn is_printable(character: char) -> bool {
    character == '\'' || String::from_iter(['a', character]).escape_debug().nth(1) == Some(character)
}

/// A quoted string that was read, and what follows it.
pub type Unquoted<'a> = (Vec<u8>, &'a str);

/// Reads a quoted string at the start of `text`, in double quotes with escapes or in back quotes without, as
/// `fmt.Sscanf` does for `%q`. Returns `None` when there is none, or it is malformed.
pub fn unquote_prefix(text: &str) -> Option<Unquoted<'_>> {
    if let Some(raw) = text.strip_prefix('`') {
        let (content, rest) = raw.split_once('`')?;
        return Some((content.replace('\r', "").into_bytes(), rest));
    }
    let mut rest = text.strip_prefix('"')?;
    let mut bytes = Vec::new();
    loop {
        let character = rest.chars().next()?;
        match character {
            '"' => return Some((bytes, &rest[1..])),
            '\n' => return None,
            '\\' => rest = unescape(&rest[1..], &mut bytes)?,
            _ => {
                bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &rest[character.len_utf8()..];
            }
        }
    }
}

/// Reads what follows a backslash into `bytes`, and returns what follows that.
fn unescape<'a>(text: &'a str, bytes: &mut Vec<u8>) -> Option<&'a str> {
    let letter = text.chars().next().filter(char::is_ascii)?;
    let simple = match letter {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' | '"' => letter as u8,
        'x' => return byte_of(text, 1, 2, 16, bytes),
        '0'..='7' => return byte_of(text, 0, 3, 8, bytes),
        'u' => return character_of(text, 4, bytes),
        'U' => return character_of(text, 8, bytes),
        _ => return None,
    };
    bytes.push(simple);
    Some(&text[1..])
}

fn byte_of<'a>(
    text: &'a str,
    skip: usize,
    digits: usize,
    radix: u32,
    bytes: &mut Vec<u8>,
) -> Option<&'a str> {
    let value = number_of(text, skip, digits, radix)?;
    bytes.push(u8::try_from(value).ok()?);
    text.get(skip + digits..)
}

fn character_of<'a>(text: &'a str, digits: usize, bytes: &mut Vec<u8>) -> Option<&'a str> {
    let character = char::from_u32(number_of(text, 1, digits, 16)?)?;
    bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    text.get(1 + digits..)
}

fn number_of(text: &str, skip: usize, digits: usize, radix: u32) -> Option<u32> {
    let digits = text.get(skip..skip + digits)?;
    let all = digits.chars().all(|digit| digit.is_digit(radix));
    if all { u32::from_str_radix(digits, radix).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Printed by Go 1.26: `fmt.Printf("%q")`.
    const QUOTED: [(&[u8], &str); 8] = [
        (b"foo", r#""foo""#),
        (b"a\"b\\c", r#""a\"b\\c""#),
        (b"\x07\x08\x0c\n\r\t\x0b\x00\x1b\x7f", r#""\a\b\f\n\r\t\v\x00\x1b\x7f""#),
        (b"\xff\xfea", r#""\xff\xfea""#),
        ("é世\u{301}'".as_bytes(), "\"é世\u{301}'\""),
        ("\u{a0}\u{200b}\u{feff}".as_bytes(), r#""\u00a0\u200b\ufeff""#),
        ("\u{10ffff}😀".as_bytes(), "\"\\U0010ffff😀\""),
        (b"\xe4\xb8", r#""\xe4\xb8""#),
    ];

    #[test]
    fn strings_are_quoted_as_go_does_and_read_back() {
        for (bytes, quoted) in QUOTED {
            assert_eq!(quote(bytes), quoted);
            assert_eq!(unquote_prefix(quoted), Some((bytes.to_vec(), "")), "{quoted}");
        }
    }

    #[test]
    fn a_quoted_string_ends_at_its_quote() {
        assert_eq!(unquote_prefix(r#""a\x00\101" = "b""#), Some((b"a\0A".to_vec(), r#" = "b""#)));
        assert_eq!(unquote_prefix("`a\\n`rest"), Some((b"a\\n".to_vec(), "rest")));
        for text in ["a", "\"a", r#""\q""#, r#""\x1""#, r#""\400""#, r#""\ud800""#, "\"a\n\"", "`a"] {
            assert_eq!(unquote_prefix(text), None, "{text}");
        }
    }
}
