//! What clients send, as log lines show it.

/// Bytes of one text: enough to see what it is.
const BYTES_MAX: usize = 256;

/// Returns the beginning of a text that a client has sent, perhaps without proving who it is: it may have megabytes, and the
/// disk is not the client's to fill.
pub(crate) fn shown(text: &str) -> &str {
    let fits = text.char_indices().map(|(start, letter)| start + letter.len_utf8());
    &text[..fits.take_while(|end| *end <= BYTES_MAX).last().unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_text_the_beginning_is_shown() {
        for short in ["", "a", &"x".repeat(BYTES_MAX), &"\u{fc}".repeat(BYTES_MAX / 2)] {
            assert_eq!(shown(short), short);
        }
        assert_eq!(shown(&"x".repeat(1 << 20)), "x".repeat(BYTES_MAX));
        let odd = format!("x{}", "\u{fc}".repeat(BYTES_MAX));
        assert_eq!(shown(&odd).len(), BYTES_MAX - 1, "letters are not cut");
    }
}
