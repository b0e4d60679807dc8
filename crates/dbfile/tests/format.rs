//! The bytes of a small file, each of them: what `docs/format/dbfile.md` lays down.

mod support;

use dbfile::{Db, PageId, PageSize, Verdict};
use support::{Tables, read, write};

/// `offset: bytes`. What is not named is zero.
const FILE: &str = "
    00000: 00 00 00 00 00 00 00 00 04 00 00 00 00 00 00 00
    00010: ed da 0c ed 02 00 00 00 00 10 00 00 00 00 00 00
    00020: 03 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
    00030: 02 00 00 00 00 00 00 00 06 00 00 00 00 00 00 00
    00040: 02 00 00 00 00 00 00 00 ae 61 3e 36 93 d0 4a a7
    01000: 01 00 00 00 00 00 00 00 04 00 00 00 00 00 00 00
    01010: ed da 0c ed 02 00 00 00 00 10 00 00 00 00 00 00
    01020: 03 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
    01030: 02 00 00 00 00 00 00 00 06 00 00 00 00 00 00 00
    01040: 01 00 00 00 00 00 00 00 8d 17 4f 2b 8a 09 50 88
    02000: 02 00 00 00 00 00 00 00 10 00 00 00 00 00 00 00
    03000: 03 00 00 00 00 00 00 00 02 00 02 00 00 00 00 00
    03010: 01 00 00 00 20 00 00 00 03 00 00 00 10 00 00 00
    03020: 01 00 00 00 23 00 00 00 04 00 00 00 10 00 00 00
    03030: 6b 65 79 04 00 00 00 00 00 00 00 00 00 00 00 00
    03040: 00 00 00 6d 65 74 61 05 00 00 00 00 00 00 00 00
    03050: 00 00 00 00 00 00 00
    04000: 04 00 00 00 00 00 00 00 02 00 03 00 00 00 00 00
    04010: 00 00 00 00 30 00 00 00 11 00 00 00 0c 00 00 00
    04020: 00 00 00 00 3d 00 00 00 11 00 00 00 0f 00 00 00
    04030: 00 00 00 00 4d 00 00 00 12 00 00 00 03 00 00 00
    04040: 00 00 00 00 00 00 00 02 5f 00 00 00 00 00 00 00
    04050: 00 0a 01 61 10 02 18 02 20 01 2a 01 31 00 00 00
    04060: 00 00 00 00 03 5f 00 00 00 00 00 00 00 00 0a 01
    04070: 62 10 03 18 03 20 01 2a 02 78 79 30 07 00 00 00
    04080: 00 00 00 00 03 5f 00 00 00 00 00 00 00 01 74 0a
    04090: 01 61
    05000: 05 00 00 00 00 00 00 00 02 00 00 00 00 00 00 00
    06000: 1a d5 d7 f8 f3 e3 83 d3 19 70 aa 3c ec 01 68 af
    06010: 45 f8 0c cb a4 d0 8f a0 3c e0 51 40 5c df ab 19
";
const FILE_BYTES: usize = 24576 + 32;

fn file() -> Vec<u8> {
    let mut file = vec![0; FILE_BYTES];
    for line in FILE.lines().filter(|line| !line.trim().is_empty()) {
        let (offset, bytes) = line.trim().split_once(": ").expect("an offset");
        let offset = usize::from_str_radix(offset, 16).expect("a hexadecimal offset");
        for (place, byte) in file[offset..].iter_mut().zip(bytes.split(' ')) {
            *place = u8::from_str_radix(byte, 16).expect("a hexadecimal byte");
        }
    }
    file
}

/// Put a=1; then, in one transaction, put b=xy with lease 7 and delete a.
fn tables() -> Tables {
    let row = |key: &[u8], value: &[u8]| (key.to_vec(), value.to_vec());
    let key = vec![
        row(b"\0\0\0\0\0\0\0\x02_\0\0\0\0\0\0\0\0", b"\x0a\x01a\x10\x02\x18\x02\x20\x01\x2a\x011"),
        row(b"\0\0\0\0\0\0\0\x03_\0\0\0\0\0\0\0\0", b"\x0a\x01b\x10\x03\x18\x03\x20\x01\x2a\x02xy\x30\x07"),
        row(b"\0\0\0\0\0\0\0\x03_\0\0\0\0\0\0\0\x01t", b"\x0a\x01a"),
    ];
    vec![(b"key".to_vec(), key), (b"meta".to_vec(), Vec::new())]
}

#[test]
fn every_byte_is_written_as_laid_down() {
    assert!(write(PageSize::default(), &tables()).unwrap() == file());
}

#[test]
fn every_byte_is_read_as_laid_down() {
    let file = file();
    assert_eq!(read(&file[..]).unwrap(), tables());
    let db = Db::open(&file[..]).unwrap();
    let meta = db.meta();
    assert_eq!((meta.root, meta.free_list, meta.pages, meta.txid), (PageId(3), Some(PageId(2)), 6, 2));
    assert_eq!(db.bytes(), 24576);
    let census = db.check().unwrap();
    assert_eq!((census.pages_in_use, census.pages_free, census.buckets, census.rows), (6, 0, 2, 3));
}

#[test]
fn the_digest_is_that_of_all_pages() {
    let mut file = file();
    assert!(matches!(dbfile::verify(&file[..]), Ok(Verdict::Right(_))));
    file[0x5fff] ^= 1;
    assert!(matches!(dbfile::verify(&file[..]), Ok(Verdict::Wrong { .. })));
    file.truncate(24576);
    assert!(matches!(dbfile::verify(&file[..]), Ok(Verdict::Absent)));
}
