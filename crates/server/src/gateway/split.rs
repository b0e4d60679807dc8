//! Where one JSON object of a stream ends: found once for each byte, however the bytes come.

/// What is wrong with a stream of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotAnObject;

/// A place in a stream of JSON objects.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    /// Objects and lists that are open.
    depth: usize,
    is_in_string: bool,
    is_escaped: bool,
}

impl Splitter {
    /// Takes bytes that follow those before, up to the end of an object. Returns how many bytes that is, or `None` if the
    /// object goes on.
    ///
    /// # Errors
    /// Something else than an object begins.
    pub(super) fn end_of_object(&mut self, bytes: &[u8]) -> Result<Option<usize>, NotAnObject> {
        for (place, byte) in bytes.iter().enumerate() {
            if self.take(*byte)? {
                return Ok(Some(place + 1));
            }
        }
        Ok(None)
    }

    /// Returns whether nothing of an object has come.
    pub(super) fn is_between_objects(&self) -> bool {
        self.depth == 0
    }

    /// Takes a byte. Returns whether an object ends with it.
    fn take(&mut self, byte: u8) -> Result<bool, NotAnObject> {
        if self.is_in_string {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => self.is_in_string = false,
                _ => {}
            }
            return Ok(false);
        }
        match byte {
            b'{' => self.depth += 1,
            _ if self.depth == 0 => {
                return if byte.is_ascii_whitespace() { Ok(false) } else { Err(NotAnObject) };
            }
            b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            b'"' => self.is_in_string = true,
            _ => {}
        }
        Ok(self.depth == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(text: &str, piece: usize) -> Result<Vec<String>, NotAnObject> {
        let (mut splitter, mut found, mut have) = (Splitter::default(), Vec::new(), String::new());
        for bytes in text.as_bytes().chunks(piece) {
            let mut rest = bytes;
            while let Some(end) = splitter.end_of_object(rest)? {
                have.push_str(std::str::from_utf8(&rest[..end]).unwrap());
                found.push(std::mem::take(&mut have).trim().to_owned());
                rest = &rest[end..];
            }
            have.push_str(std::str::from_utf8(rest).unwrap());
        }
        assert_eq!(splitter.is_between_objects(), have.trim().is_empty());
        Ok(found)
    }

    #[test]
    fn objects_are_told_apart_whatever_pieces_they_come_in() {
        let text = r#" {"a":"}{\"\\"}{} {"b":[{"c":[]},"]"]}  {"d"#;
        for piece in 1..text.len() {
            let found = objects(text, piece).unwrap();
            assert_eq!(found, [r#"{"a":"}{\"\\"}"#, "{}", r#"{"b":[{"c":[]},"]"]}"#], "{piece}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused_where_it_begins() {
        for text in ["[]", "7", "{},{}", "}", "\"a\"", "null", "{}]"] {
            assert_eq!(objects(text, 1), Err(NotAnObject), "{text}");
        }
    }
}
