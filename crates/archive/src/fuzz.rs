//! What a fuzzer does with pieces. Its inputs are kept, and run as a test as well
//! (`tests/corpus.rs`).
//!
//! As few inputs would get past the checksums, each is also tried with checksums that are right. A
//! piece that can be read is built anew from its parts, and must say the same of itself.

use backup::Row;
use sha2::{Digest as _, Sha256};

use crate::chain::Digest;
use crate::piece::{About, Builder, Part, PieceError, Reader, Sample};

/// Bytes before the first section.
const MAGIC_BYTES: usize = 8;

/// Bytes of a section before its content, and behind it.
const HEAD_BYTES: usize = 5;
const CRC_BYTES: usize = 4;

/// The kind of the last section.
const END: u8 = 5;

/// Reads an input as a piece, as it is and with checksums that are right.
///
/// # Panics
/// When a piece that was read is another one when it is built anew: a bug.
pub fn pieces(input: &[u8]) {
    examine(input);
    if let Some(sealed) = sealed(input) {
        examine(&sealed);
    }
}

#[derive(Default)]
struct Parts {
    rows: Vec<(i64, Vec<u8>, Vec<u8>)>,
    tables: Vec<(Vec<u8>, Vec<Row>)>,
    samples: Vec<Sample>,
}

fn examine(input: &[u8]) {
    let Ok(reader) = Reader::open(input) else { return };
    let mut parts = Parts::default();
    let read = reader.for_each(|part| {
        match part {
            Part::Row(revision, key, value) => {
                parts.rows.push((revision.main, key.to_vec(), value.to_vec()));
            }
            Part::Table(name, rows) => parts.tables.push((name.to_vec(), rows)),
            Part::Sample(sample) => parts.samples.push(sample),
        }
        Ok::<(), PieceError>(())
    });
    let Ok(header) = read else { return };
    let mut builder = Builder::after(header.from - 1, header.before);
    for (main, key, value) in &parts.rows {
        builder.row(*main, key, value);
    }
    let about = About {
        cluster: header.cluster,
        member: header.member,
        raft_term: header.raft_term,
        raft_index: header.raft_index,
        time: header.time,
    };
    let built = builder.finish(&about, [], &parts.samples);
    assert_eq!(built.header, header, "the same rows are the same piece");
    let again = Reader::open(&built.bytes[..]).expect("a piece of ours");
    let again = again.for_each(|_| Ok::<(), PieceError>(())).expect("a piece of ours");
    assert_eq!(again, header);
}

/// The input with the checksums of its sections, its chain and its digest made right, as far as it
/// has sections.
fn sealed(input: &[u8]) -> Option<Vec<u8>> {
    let mut out = input.get(..MAGIC_BYTES)?.to_vec();
    let mut rest = input.get(MAGIC_BYTES..)?;
    while let Some((head, behind)) = rest.split_at_checked(HEAD_BYTES) {
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let content = behind.get(..length)?;
        let start = out.len();
        let digest: [u8; 32] = Sha256::digest(&out).into();
        out.extend_from_slice(head);
        out.extend_from_slice(if head[0] == END && length == digest.len() { &digest } else { content });
        let crc = crc32fast::hash(&out[start..]);
        out.extend_from_slice(&crc.to_le_bytes());
        rest = behind.get(length + CRC_BYTES..).unwrap_or_default();
    }
    Some(out)
}

/// Returns a small piece, as a beginning for a fuzzer and for tests.
#[must_use]
pub fn sample() -> Vec<u8> {
    use dbfile::etcd::{KeyValue, RevisionKey};
    let mut builder = Builder::after(4, Digest::of(b"before"));
    for (main, sub, key) in [(5, 0, "a"), (5, 1, "b"), (6, 0, "a")] {
        let put = KeyValue {
            key: key.as_bytes(),
            create_revision: 5,
            mod_revision: main,
            version: main - 4,
            value: b"v",
            lease: 0,
        };
        builder.row(main, &RevisionKey::put(main, sub).bytes(), &put.encoded());
    }
    let tombstone = KeyValue { key: b"b", ..KeyValue::default() };
    builder.row(7, &RevisionKey::delete(7, 0).bytes(), &tombstone.encoded());
    let about = About { cluster: 1, member: 2, raft_term: 3, raft_index: 9, time: 1_700_000_000_000 };
    let leases: Vec<Row> = vec![(b"12345678".to_vec(), b"lease".to_vec())];
    let samples = [Sample { time: 1_700_000_000_000, revision: 7, compact_revision: -1 }];
    builder.finish(&about, [(&b"lease"[..], &leases[..]), (b"alarm", &[])], &samples).bytes
}
