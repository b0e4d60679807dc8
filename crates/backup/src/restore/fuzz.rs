//! What a fuzzer does with the write-ahead log of an etcd. Its inputs are kept, and run as a test as well (`tests/corpus.rs`).
//!
//! An input is a file of a log: the only one, and the first and the second of two. As few inputs would get past the checksums
//! of the records, each is also tried with checksums that are right.

use std::path::Path;

use super::etcd_log::{EtcdLog, with_right_checksums};

/// Entries that the database may have already.
const APPLIED: [u64; 3] = [0, 1, 5];

/// Reads an input as a log.
///
/// # Panics
/// When what is read is no log: a bug.
pub fn etcd_log(input: &[u8]) {
    let sealed = with_right_checksums(input);
    for content in [input, &sealed] {
        let (first, second) = content.split_at(content.len() / 2);
        for applied in APPLIED {
            examine(&[content], applied);
            examine(&[content, content], applied);
            examine(&[first, second], applied);
        }
    }
}

fn examine(contents: &[&[u8]], applied: u64) {
    let path = Path::new("0000000000000000-0000000000000000.wal");
    let files = contents.iter().map(|content| (path.to_owned(), Ok(content.to_vec())));
    let Ok(log) = EtcdLog::of_files(files, applied) else { return };
    let expected = (applied + 1..).take(log.entries.len());
    assert!(log.entries.iter().map(|entry| entry.index).eq(expected), "the entries follow the database");
    let last = log.entries.last().map_or(applied, |last| last.index);
    assert!(log.commit <= last, "what is committed is there");
}
