//! The malformed `:authority` of old etcd clients, put out of harm's way.
//!
//! Go clients up to 3.4 send the URL of an endpoint (`http://127.0.0.1:2379`) as `:authority` where a host and a port
//! belong, those of 3.5.0 even `#initially=[...]`. grpc-go takes anything; the HTTP/2 library here resets the stream,
//! as RFC 9113 (section 8.3.1) tells it to. Nothing here reads the authority of a gRPC request, so a field that begins
//! in one of these ways gets another name, as long as the right one, and is then a header like any other.
//!
//! That is all that must change in a header block (RFC 7541). The value stays as it is, Huffman code or not, and as
//! name and value keep their lengths, the entry of the dynamic table that the client may refer to from then on has the
//! same size on both sides. No table has to be kept here: a field that refers to an entry decodes to what the entry was
//! renamed to.

/// Takes the place of `:authority`; as long, so that the sizes of table entries agree.
const NEW_NAME: &[u8; 10] = b"x-endpoint";

/// Index of `:authority` in the static table.
const AUTHORITY: usize = 1;

/// How a value begins that is no authority. None of them can begin with these: there is no empty port, and no `#`.
const MALFORMED: [&[u8]; 3] = [b"http://", b"https://", b"#"];

/// The block with its malformed `:authority` renamed; `None` if it has none, or is not understood.
pub(super) fn rename_malformed(block: &[u8]) -> Option<Vec<u8>> {
    let field = find_authority(block)?;
    if !MALFORMED.iter().any(|start| field.value.starts_with(start)) {
        return None;
    }
    let mut renamed = Vec::with_capacity(block.len() + 1 + NEW_NAME.len());
    renamed.extend_from_slice(&block[..field.at]);
    // The same representation with a name of its own: name index 0, then the name as a plain string.
    renamed.push(block[field.at] & !(AUTHORITY as u8));
    renamed.push(NEW_NAME.len() as u8);
    renamed.extend_from_slice(NEW_NAME);
    renamed.extend_from_slice(&block[field.at + 1..]);
    Some(renamed)
}

/// A literal field with the name `:authority`.
struct Authority<'a> {
    /// Where it begins: one byte with the representation and the name's index, then the value.
    at: usize,
    value: Text<'a>,
}

fn find_authority(block: &[u8]) -> Option<Authority<'_>> {
    let mut input = Input { block, at: 0 };
    while let Some(first) = block.get(input.at) {
        let at = input.at;
        let name_bits = match first {
            0x80.. => {
                input.integer(7)?; // indexed: name and value are in a table
                continue;
            }
            0x40.. => 6, // literal, to be indexed
            0x20.. => {
                input.integer(5)?; // size of the dynamic table
                continue;
            }
            _ => 4, // literal, not to be indexed
        };
        let name = input.integer(name_bits)?;
        if name == 0 {
            input.text()?;
        }
        let value = input.text()?;
        if name == AUTHORITY {
            return Some(Authority { at, value });
        }
    }
    None
}

/// A string, as it is written.
struct Text<'a> {
    bytes: &'a [u8],
    is_huffman: bool,
}

impl Text<'_> {
    fn starts_with(&self, start: &[u8]) -> bool {
        if !self.is_huffman {
            return self.bytes.starts_with(start);
        }
        // No code is the beginning of another, so the code of the text begins with that of its beginning.
        let mut bits = self.bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1));
        start.iter().all(|symbol| {
            let (code, length) = huffman_code(*symbol);
            (0..length).rev().all(|bit| bits.next() == Some(code >> bit & 1 == 1))
        })
    }
}

/// RFC 7541, appendix B: the codes of the characters in [`MALFORMED`], with their lengths in bits.
fn huffman_code(symbol: u8) -> (u16, u32) {
    match symbol {
        b'#' => (0xffa, 12),
        b'/' => (0x18, 6),
        b':' => (0x5c, 7),
        b'h' => (0x27, 6),
        b'p' => (0x2b, 6),
        b's' => (0x8, 5),
        b't' => (0x9, 5),
        other => unreachable!("{other} is in none of the beginnings"),
    }
}

/// A block being read. Every step is `None` at the end of the block, and for integers beyond any sane length.
struct Input<'a> {
    block: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.block.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// RFC 7541, section 5.1: an integer in the low `bits` of a byte, and in those that follow if it does not fit.
    fn integer(&mut self, bits: u32) -> Option<usize> {
        let mask = (1 << bits) - 1;
        let mut value = usize::from(self.byte()? & mask);
        if value < usize::from(mask) {
            return Some(value);
        }
        for shift in [0, 7, 14] {
            let byte = self.byte()?;
            value += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// Section 5.2: a length with the mark of the Huffman code, then the bytes.
    fn text(&mut self) -> Option<Text<'a>> {
        let is_huffman = self.block.get(self.at)? & 0x80 != 0;
        let length = self.integer(7)?;
        let bytes = self.block.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(Text { bytes, is_huffman })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    /// A block as grpc-go begins it (`:method: POST`, `:scheme: http`, `:path: /s/M`), with this authority.
    fn block(representation: u8, value: &[u8]) -> Vec<u8> {
        let mut block = hex("83 86 44 04 2f732f4d");
        block.push(representation);
        block.push(value.len() as u8);
        block.extend_from_slice(value);
        block.extend_from_slice(&hex("5f 01 61"));
        block
    }

    #[test]
    fn a_url_is_no_authority() {
        for value in [b"http://127.0.0.1:2379".as_slice(), b"https://[::1]:1", b"#initially=[a:1;b:2]"] {
            for representation in [0x41, 0x01, 0x11] {
                let before = block(representation, value);
                let after = rename_malformed(&before).unwrap();
                let mut expected = before[..8].to_vec();
                expected.push(representation - 1);
                expected.push(10);
                expected.extend_from_slice(b"x-endpoint");
                expected.extend_from_slice(&before[9..]);
                assert_eq!(after, expected, "{}", value.escape_ascii());
            }
        }
    }

    #[test]
    fn nor_is_it_one_in_huffman_code() {
        // `http://127.0.0.1:2379`, as the code of grpc-go has it.
        let url = hex("9d29aee30c044eae05c0b86e09975f");
        let mut block = hex("83 86 44 04 2f732f4d 41");
        block.push(0x80 | url.len() as u8);
        block.extend_from_slice(&url);
        assert!(rename_malformed(&block).is_some());
    }

    #[test]
    fn an_authority_stays_what_it_is() {
        for value in [b"127.0.0.1:2379".as_slice(), b"http:2379", b"httpd.example:80", b""] {
            assert_eq!(rename_malformed(&block(0x41, value)), None, "{}", value.escape_ascii());
        }
        // RFC 7541, C.4.1 and C.4.2: `www.example.com` in Huffman code, then a reference to it.
        assert_eq!(rename_malformed(&hex("828684418cf1e3c2e5f23a6ba0ab90f4ff")), None);
        assert_eq!(rename_malformed(&hex("828684be5886a8eb10649cbf")), None);
    }

    #[test]
    fn no_block_is_too_strange() {
        let whole = block(0x41, b"http://a");
        for end in 0..whole.len() {
            let _ = rename_malformed(&whole[..end]);
        }
        for first in 0..=u8::MAX {
            for second in [0, 1, 0x7f, 0x80, 0xff] {
                let _ = rename_malformed(&[first, second, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x41]);
            }
        }
    }
}
