//! An `:authority` that the URI library would not take, put out of harm's way.
//!
//! grpc-go takes anything for an authority, and clients send anything: Go clients up to 3.4 the URL of an endpoint
//! (`http://127.0.0.1:2379`), those of 3.5.0 `#initially=[...]`, gRPC's C++ core and what is built on it (Python, C#) the
//! list of its endpoints (`a:2379,b:2379`) or a path with its slashes escaped (`tmp%2Fx.sock`). The HTTP/2 library here
//! resets the stream, as RFC 9113 (section 8.3.1) tells it to. Nothing here reads the authority of a gRPC request, so in
//! one that the library's own parser refuses, each byte that is no letter or digit becomes a hyphen. That is an authority,
//! and no name that `--host-whitelist` would have by accident.
//!
//! The field stays where it is and stays `:authority`. It could not be another header: those come after all
//! pseudo-headers (section 8.3), and gRPC's C++ core sends `:method` and `:scheme` after it.
//!
//! That is all that must change in a header block (RFC 7541). As name and value keep their lengths, the entry of the
//! dynamic table that the client may refer to from then on has the same size on both sides. No table has to be kept here:
//! a field that refers to an entry decodes to the value that took the other's place.
//!
//! Three cases are left to the library. A value that no header may have (control characters) is refused by etcd, too. A
//! field whose *name* refers to an entry of the dynamic table is not recognised: encoders refer to `:authority` in the
//! static table, or spell it out. An empty value cannot become another one of its length. It gets another *name* of the
//! same length, which is of use where no pseudo-header comes after it (grpc-go).

use std::borrow::Cow;

use http::HeaderValue;
use http::uri::Authority;

use super::huffman;

/// Takes the place of `:authority` where it is empty; as long, so that the sizes of table entries agree.
const NAME_OF_EMPTY: &[u8; 10] = b"x-endpoint";

const NAME: &[u8; 10] = b":authority";

/// Index of `:authority` in the static table.
const AUTHORITY: usize = 1;

/// Returns the block with its malformed `:authority` put right; `None` if it has none, or is not understood. The block may
/// end anywhere after that field: the rest of it may be in another frame.
pub(super) fn put_right(block: &[u8]) -> Option<Vec<u8>> {
    let Field { start, value_start, end, value } = find_authority(block)?;
    let value = value.plain()?;
    if !is_malformed(&value) {
        return None;
    }
    let mut right = Vec::with_capacity(block.len() + 1 + value.len());
    right.extend_from_slice(&block[..start]);
    if value.is_empty() {
        // The same representation with a name of its own, which index 0 announces.
        right.push(block[start] & !(AUTHORITY as u8));
        push_text(&mut right, NAME_OF_EMPTY);
        right.extend_from_slice(&block[value_start..]);
    } else {
        right.extend_from_slice(&block[start..value_start]);
        push_text(&mut right, &with_hyphens(&value));
        right.extend_from_slice(&block[end..]);
    }
    Some(right)
}

fn with_hyphens(value: &[u8]) -> Vec<u8> {
    value.iter().map(|byte| if byte.is_ascii_alphanumeric() { *byte } else { b'-' }).collect()
}

/// Appends a string without the Huffman code (RFC 7541, section 5.2).
fn push_text(block: &mut Vec<u8>, text: &[u8]) {
    const PREFIX_MAX: usize = 0x7f;
    if text.len() < PREFIX_MAX {
        block.push(text.len() as u8);
    } else {
        block.push(PREFIX_MAX as u8);
        let mut rest = text.len() - PREFIX_MAX;
        while rest >= 0x80 {
            block.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        block.push(rest as u8);
    }
    block.extend_from_slice(text);
}

/// Returns whether the library would reset the stream because of this authority, though it is a good header value.
fn is_malformed(value: &[u8]) -> bool {
    Authority::try_from(value).is_err() && HeaderValue::from_bytes(value).is_ok()
}

/// A literal field with the name `:authority`.
struct Field<'a> {
    /// Where it begins: one byte with the representation and the name's index, then the name if the index is 0.
    start: usize,
    value_start: usize,
    /// Where the next field begins.
    end: usize,
    value: Text<'a>,
}

fn find_authority(block: &[u8]) -> Option<Field<'_>> {
    let mut input = Input { block, at: 0 };
    while let Some(first) = block.get(input.at) {
        let start = input.at;
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
        let is_authority = match name {
            0 => input.text()?.plain().as_deref() == Some(NAME),
            index => index == AUTHORITY,
        };
        let value_start = input.at;
        let value = input.text()?;
        if is_authority {
            return Some(Field { start, value_start, end: input.at, value });
        }
    }
    None
}

/// A string, as it is written.
struct Text<'a> {
    bytes: &'a [u8],
    is_huffman: bool,
}

impl<'a> Text<'a> {
    /// Returns what the string says; `None` if its code is none.
    fn plain(&self) -> Option<Cow<'a, [u8]>> {
        if self.is_huffman {
            huffman::decode(self.bytes).map(Cow::Owned)
        } else {
            Some(Cow::Borrowed(self.bytes))
        }
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

    /// What clients send that is no authority.
    const MALFORMED: [&[u8]; 19] = [
        b"http://127.0.0.1:2379",
        b"https://[::1]:1",
        b"#initially=[a:1;b:2]",
        b"127.0.0.1:2379,127.0.0.2:2379",
        b"tmp%2Fx.sock",
        b"/tmp/x.sock",
        b"a/b",
        b"unix:///x",
        b" ",
        b"[::1",
        b"dns:///x:1",
        b"ipv4:1.2.3.4:5",
        b"ipv6:[::1]:5,[::1]:6",
        b"a b",
        b"{a}",
        b"a|b",
        b"a:b:c",
        "h\u{f6}st:1".as_bytes(),
        b"\xff",
    ];

    #[test]
    fn what_the_library_refuses_becomes_an_authority_of_the_same_length() {
        for value in MALFORMED {
            for representation in [0x41, 0x01, 0x11] {
                let before = block(representation, value);
                let after = put_right(&before).unwrap_or_else(|| panic!("{}", value.escape_ascii()));
                let right = with_hyphens(value);
                assert!(!is_malformed(&right) && right.len() == value.len());
                assert_eq!(after, block(representation, &right), "{}", value.escape_ascii());
            }
        }
        assert_eq!(put_right(&block(0x41, b"a:1,b:1")), Some(block(0x41, b"a-1-b-1")));
    }

    /// RFC 7541, section 5.1: lengths that do not fit into the first byte.
    #[test]
    fn long_values_keep_their_length() {
        for (length, encoded) in
            [(126, "7e"), (127, "7f 00"), (128, "7f 01"), (255, "7f 80 01"), (16_510, "7f ff 7f")]
        {
            let of = |value: u8| [hex("41"), hex(encoded), vec![value; length], hex("5f 01 61")].concat();
            assert_eq!(put_right(&of(b' ')).unwrap_or_else(|| panic!("{length}")), of(b'-'));
        }
    }

    #[test]
    fn an_empty_one_gets_another_name() {
        for representation in [0x41, 0x01, 0x11] {
            let before = block(representation, b"");
            let name = [&[representation - 1, 10], NAME_OF_EMPTY.as_slice()].concat();
            assert_eq!(put_right(&before), Some([&before[..8], &name, &before[9..]].concat()));
        }
    }

    #[test]
    fn a_name_that_is_spelled_out_is_recognised() {
        // As gRPC's C++ core sends it: no index, `:authority` as a plain string; then the same in Huffman code.
        let plain = hex("40 0a 3a617574686f72697479 07 613a312c623a31");
        let huffman = hex("00 88 b83b5339ec327d7f 07 613a312c623a31");
        assert_eq!(huffman::decode(&huffman[2..10]).unwrap(), NAME);
        assert_eq!(put_right(&plain).unwrap(), hex("40 0a 3a617574686f72697479 07 612d312d622d31"));
        assert_eq!(put_right(&huffman).unwrap(), hex("00 88 b83b5339ec327d7f 07 612d312d622d31"));
        assert_eq!(put_right(&hex("40 0a 3a617574686f72697479 01 61")), None, "a good one");
        assert_eq!(put_right(&hex("40 0a 782d656e64706f696e74 07 613a312c623a31")), None, "another name");
    }

    #[test]
    fn nor_is_it_one_in_huffman_code() {
        // `http://127.0.0.1:2379`, as the code of grpc-go has it.
        let url = hex("9d29aee30c044eae05c0b86e09975f");
        let mut block = hex("83 86 44 04 2f732f4d 41");
        block.push(0x80 | url.len() as u8);
        block.extend_from_slice(&url);
        assert_eq!(put_right(&block).unwrap(), [&block[..8], b"\x41\x15http---127-0-0-1-2379"].concat());
    }

    #[test]
    fn an_authority_stays_what_it_is() {
        for value in [
            b"127.0.0.1:2379".as_slice(),
            b"http:2379",
            b"httpd.example:80",
            b"[::1]:2379",
            b"a,b",
            b"unix:x",
        ] {
            assert_eq!(put_right(&block(0x41, value)), None, "{}", value.escape_ascii());
        }
        // RFC 7541, C.4.1 and C.4.2: `www.example.com` in Huffman code, then a reference to it.
        assert_eq!(put_right(&hex("828684418cf1e3c2e5f23a6ba0ab90f4ff")), None);
        assert_eq!(put_right(&hex("828684be5886a8eb10649cbf")), None);
    }

    #[test]
    fn what_no_header_may_have_is_left_to_the_library() {
        for value in [b"a\nb".as_slice(), b"a\0", b"\x7f"] {
            assert_eq!(put_right(&block(0x41, value)), None, "{}", value.escape_ascii());
        }
    }

    #[test]
    fn the_rest_of_the_block_may_be_in_another_frame() {
        let whole = block(0x41, b"a:1,b:1");
        let expected = put_right(&whole).unwrap();
        let cut = &whole[..whole.len() - 2];
        assert_eq!(put_right(cut).unwrap(), expected[..expected.len() - 2]);
    }

    #[test]
    fn no_block_is_too_strange() {
        let whole = block(0x41, b"http://a");
        for end in 0..whole.len() {
            let _ = put_right(&whole[..end]);
        }
        for first in 0..=u8::MAX {
            for second in [0, 1, 0x7f, 0x80, 0xff] {
                let _ = put_right(&[first, second, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x41]);
            }
        }
    }
}
