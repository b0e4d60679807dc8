//! What the fuzzer keeps runs here, each input as it is and damaged in every simple way.

use archive::fuzz::{pieces, sample};
use archive::piece::{PieceError, Reader};
use testkit::Corpus;

#[test]
fn no_kept_input_and_none_like_it_finds_a_bug() {
    Corpus { name: "pieces", damaged_max: 4_000, inputs_min: 5 }.check(pieces);
}

fn is_read(bytes: &[u8]) -> bool {
    Reader::open(bytes).and_then(|reader| reader.for_each(|_| Ok::<(), PieceError>(()))).is_ok()
}

/// The golden bytes of the form: docs/format/archive.md.
#[test]
fn a_piece_has_the_form_that_is_written_down() {
    let piece = sample();
    assert_eq!(piece[..8], *b"QRPIECE\x01");
    assert_eq!(piece[8..13], [1, 152, 0, 0, 0], "the header has 152 bytes");
    let number = |at: usize| u64::from_le_bytes(piece[at..at + 8].try_into().unwrap());
    let numbers: Vec<u64> = (0..7).map(|place| number(13 + 8 * place)).collect();
    assert_eq!(numbers, [1, 2, 5, 7, 3, 9, 1_700_000_000_000]);
    assert_eq!(archive::chain::Digest::of(b"before").0, piece[69..101]);
    assert_eq!(piece[piece.len() - 41..piece.len() - 36], [5, 32, 0, 0, 0], "the end has a digest");
    let digest = archive::chain::Digest::of(&piece);
    assert_eq!(digest.to_string(), "7cfb8217d0e0f516b184a5962639632797a207432b5c5037d78694ad64f107cf");
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    let piece = sample();
    assert!(is_read(&piece));
    for place in 0..piece.len() {
        for bit in 0..8 {
            let mut flipped = piece.clone();
            flipped[place] ^= 1 << bit;
            assert!(!is_read(&flipped), "bit {bit} of byte {place}");
        }
        assert!(!is_read(&piece[..place]), "cut at {place}");
    }
    assert!(!is_read(&[&piece[..], b"x"].concat()));
}
