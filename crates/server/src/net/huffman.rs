//! The Huffman code of HPACK, as far as it takes to read a short string.
//!
//! The code of RFC 7541, appendix B, is canonical: the codes of one length are consecutive numbers in the order of their
//! symbols, and the first of them follows the last of the shorter ones. So the lengths alone say what the codes are.

/// Symbols of the code: every byte, and the end of the string, which never occurs in one.
const SYMBOLS: usize = 257;

/// The symbol for the end of the string.
const END: u16 = 256;

/// Length of the longest code, in bits.
const LENGTH_MAX: usize = 30;

/// RFC 7541, appendix B: the length of each symbol's code, in bits.
#[rustfmt::skip]
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5,
    5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6,
    6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22,
    23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22,
    21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20,
    22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19,
    21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22,
    22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

/// The codes of one length.
#[derive(Clone, Copy)]
struct Codes {
    /// The first of them.
    first: u32,
    /// How many there are.
    count: u32,
    /// Where their symbols begin in [`Code::symbols`].
    place: u32,
}

/// The whole code.
struct Code {
    by_length: [Codes; LENGTH_MAX + 1],
    /// All symbols, those with the shorter codes first.
    symbols: [u16; SYMBOLS],
}

static CODE: Code = Code::new();

impl Code {
    const fn new() -> Self {
        let mut code = Self {
            by_length: [Codes { first: 0, count: 0, place: 0 }; LENGTH_MAX + 1],
            symbols: [0; SYMBOLS],
        };
        let (mut length, mut first, mut place) = (1, 0, 0);
        while length <= LENGTH_MAX {
            first <<= 1;
            let (mut symbol, mut count) = (0, 0);
            while symbol < SYMBOLS {
                if LENGTHS[symbol] as usize == length {
                    code.symbols[place + count] = symbol as u16;
                    count += 1;
                }
                symbol += 1;
            }
            code.by_length[length] = Codes { first, count: count as u32, place: place as u32 };
            first += count as u32;
            place += count;
            length += 1;
        }
        code
    }

    /// Returns the symbol whose code this is, if it is a whole one.
    fn symbol(&self, bits: u32, length: usize) -> Option<u16> {
        let codes = self.by_length.get(length)?;
        let number = bits.checked_sub(codes.first).filter(|number| *number < codes.count)?;
        Some(self.symbols[(codes.place + number) as usize])
    }
}

/// Returns the text that was encoded as `bytes`; `None` if it is no text in this code (RFC 7541, section 5.2).
pub(super) fn decode(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(bytes.len() * 8 / 5);
    let (mut code, mut length) = (0_u32, 0);
    for bit in bytes.iter().flat_map(|byte| (0..8).rev().map(move |place| byte >> place & 1)) {
        code = code << 1 | u32::from(bit);
        length += 1;
        match CODE.symbol(code, length) {
            Some(END) => return None,
            Some(symbol) => {
                text.push(symbol as u8);
                (code, length) = (0, 0);
            }
            None if length == LENGTH_MAX => return None,
            None => {}
        }
    }
    // The last byte is filled up with ones, the beginning of the code for the end.
    (length < 8 && code == (1 << length) - 1).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    #[test]
    fn the_examples_of_the_standard_are_read() {
        // RFC 7541, C.4 and C.6.
        for (code, text) in [
            ("f1e3 c2e5 f23a 6ba0 ab90 f4ff", "www.example.com"),
            ("a8eb 1064 9cbf", "no-cache"),
            ("25a8 49e9 5ba9 7d7f", "custom-key"),
            ("d07a be94 1054 d444 a820 0595 040b 8166 e082 a62d 1bff", "Mon, 21 Oct 2013 20:13:21 GMT"),
            (
                "94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 \
                 b106 3d50 07",
                "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
            ),
        ] {
            assert_eq!(decode(&hex(code)), Some(text.as_bytes().to_vec()));
        }
        assert_eq!(decode(b""), Some(Vec::new()));
    }

    #[test]
    fn the_longest_codes_are_those_of_the_standard() {
        // RFC 7541, appendix B: 0x3ffffffc for LF, 0x3ffffffd for CR, 0x3ffffffe for 22, and 0x3fffffff for the end.
        let whole = |code: u32| ((u64::from(code) << 34) | ((1 << 34) - 1)).to_be_bytes();
        let text = |code| decode(&whole(code)[..4]);
        assert_eq!(text(0x3fff_fffc), Some(b"\n".to_vec()));
        assert_eq!(text(0x3fff_fffd), Some(b"\r".to_vec()));
        assert_eq!(text(0x3fff_fffe), Some(vec![22]));
        assert_eq!(text(0x3fff_ffff), None);
    }

    #[test]
    fn what_is_filled_up_wrongly_is_no_text() {
        assert_eq!(decode(&[0b0001_1111]), Some(b"a".to_vec()));
        assert_eq!(decode(&[0b0001_1110]), None, "not with ones");
        assert_eq!(decode(&[0b0001_1111, 0xff]), None, "with a byte of ones");
    }
}
