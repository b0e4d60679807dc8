//! The format for people: keys and values, each on a line.
//!
//! To a pipe or a file, the bytes are written as they are. A terminal is shown escapes in place of what is not text: a
//! value must not be able to take over the terminal of who looks at it.

use proto::mvccpb::KeyValue;

use super::Page;

const KEY_COLOUR: &[u8] = b"\x1b[36m";
const NO_COLOUR: &[u8] = b"\x1b[0m";

impl Page {
    /// Prints a key and its value, or only the value.
    pub fn key_value(&mut self, pair: &KeyValue) {
        if !self.value_only {
            self.key(&pair.key);
        }
        self.byte_string(&pair.value);
        self.bytes.push(b'\n');
    }

    fn key(&mut self, key: &[u8]) {
        if self.terminal {
            self.bytes.extend_from_slice(KEY_COLOUR);
        }
        self.byte_string(key);
        if self.terminal {
            self.bytes.extend_from_slice(NO_COLOUR);
        }
        self.bytes.push(b'\n');
    }

    /// Prints a byte string: as it is, or with escapes.
    pub fn byte_string(&mut self, bytes: &[u8]) {
        match (self.hex, self.terminal) {
            (true, _) => bytes.iter().for_each(|byte| self.escape(*byte)),
            (false, true) => self.for_terminal(bytes),
            (false, false) => self.bytes.extend_from_slice(bytes),
        }
    }

    /// Prints a byte string that `--hex` is not about: as it is, or with escapes.
    pub fn plain(&mut self, bytes: &[u8]) {
        if self.terminal { self.for_terminal(bytes) } else { self.bytes.extend_from_slice(bytes) }
    }

    fn escape(&mut self, byte: u8) {
        self.bytes.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
    }

    fn for_terminal(&mut self, bytes: &[u8]) {
        for chunk in bytes.utf8_chunks() {
            for character in chunk.valid().chars() {
                let encoded = &mut [0; 4];
                let encoded = character.encode_utf8(encoded).as_bytes();
                match character {
                    '\n' | '\t' => self.bytes.extend_from_slice(encoded),
                    _ if character.is_control() => encoded.iter().for_each(|byte| self.escape(*byte)),
                    _ => self.bytes.extend_from_slice(encoded),
                }
            }
            chunk.invalid().iter().for_each(|byte| self.escape(*byte));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(page: Page, pair: (&[u8], &[u8])) -> Vec<u8> {
        let mut page = page;
        let [key, value] = [pair.0, pair.1].map(bytes::Bytes::copy_from_slice);
        page.key_value(&KeyValue { key, value, ..KeyValue::default() });
        page.bytes
    }

    #[test]
    fn bytes_are_written_as_they_are_but_to_terminals() {
        let pair: (&[u8], &[u8]) = (b"k\xff", b"a\x1b[2Jb\n\xc3\xa9");
        assert_eq!(printed(Page::default(), pair), b"k\xff\na\x1b[2Jb\n\xc3\xa9\n");
        let terminal = Page { terminal: true, ..Page::default() };
        assert_eq!(printed(terminal, pair), b"\x1b[36mk\\xff\x1b[0m\na\\x1b[2Jb\n\xc3\xa9\n");
        let hex = Page { hex: true, ..Page::default() };
        assert_eq!(printed(hex, (b"ab", b"")), b"\\x61\\x62\n\n");
        let values = Page { value_only: true, ..Page::default() };
        assert_eq!(printed(values, (b"a", b"b")), b"b\n");
    }
}
