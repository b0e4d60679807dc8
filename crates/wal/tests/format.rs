//! The bytes on disk, held against an encoder written from `docs/format/wal.md`; and logs that nobody would write,
//! made with it: lengths that lie, records that do not belong, noise under sound checksums.

#![allow(clippy::unwrap_used)] // the helpers of a test are a test

mod support;

use std::path::PathBuf;

use support::{Choices, DIR, IDENTITY, budget, open_with};
use wal::{Crash, Error, Head, SimDisk, Wal};

const SEGMENT_BYTES: u64 = 8 * 512;

fn crc(parts: &[&[u8]]) -> [u8; 4] {
    crc32fast::hash(&parts.concat()).to_le_bytes()
}

fn path(segment: u64) -> PathBuf {
    PathBuf::from(format!("{DIR}/{segment:016x}.wal"))
}

struct SegmentBytes {
    id: u64,
    bytes: Vec<u8>,
}

impl SegmentBytes {
    /// A segment with its header: chain, predecessor, its end, its last record.
    fn new(id: u64, chain: u32, [predecessor, end, last]: [u64; 3]) -> Self {
        let mut bytes = b"QuorWAL\0\x01\0\0\0\0\0\0\0".to_vec();
        let fields = [IDENTITY[0], IDENTITY[1], id, u64::from(chain), SEGMENT_BYTES, predecessor, end, last];
        bytes.extend(fields.iter().flat_map(|field| field.to_le_bytes()));
        bytes.resize(508, 0);
        bytes.extend(crc(&[&bytes]));
        Self { id, bytes }
    }

    /// Adds sectors written by the batch that began with sector `start`.
    fn write(mut self, start: u32, stream: &[u8]) -> Self {
        for piece in stream.chunks(504) {
            let sector = (self.bytes.len() / 512) as u32;
            let word = (0xff00_0000 | start).to_le_bytes();
            let identity = IDENTITY.map(u64::to_le_bytes).concat();
            let check = crc(&[&identity, &self.id.to_le_bytes(), &word, &sector.to_le_bytes()]);
            self.bytes.extend(word);
            self.bytes.extend(check);
            self.bytes.extend(piece);
            self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        }
        self
    }

    fn of_length(mut self, length: u64) -> Vec<u8> {
        self.bytes.resize(length as usize, 0);
        self.bytes
    }
}

/// A record's bytes with any length in its header, and its header CRC.
fn record_of_length(head: Head, chain: u32, payload: &[u8], length: u32) -> (Vec<u8>, u32) {
    let mut bytes = vec![0xa7, head.kind, 0, 0];
    bytes.extend(length.to_le_bytes());
    bytes.extend(head.number.to_le_bytes());
    bytes.extend(head.tag.to_le_bytes());
    bytes.extend(chain.to_le_bytes());
    bytes.extend(crc(&[payload]));
    let header_crc = crc(&[&bytes]);
    bytes.extend(header_crc);
    bytes.extend(payload);
    (bytes, u32::from_le_bytes(header_crc))
}

fn record(head: Head, chain: u32, payload: &[u8]) -> (Vec<u8>, u32) {
    record_of_length(head, chain, payload, payload.len() as u32)
}

fn head(number: u64) -> Head {
    Head { kind: 5, number, tag: number * 2 }
}

#[test]
fn the_files_are_what_the_page_says() {
    let disk = SimDisk::new(1);
    let mut wal = open_with(&disk, SEGMENT_BYTES).unwrap().0;
    wal.append(head(1), &[b"first ", b"record"]).unwrap();
    wal.sync().unwrap();
    wal.append(head(2), &[&[0xee; 1000]]).unwrap();
    wal.append(head(3), &[]).unwrap();
    wal.flush().unwrap();
    let last = wal.append(head(4), &[b"x"]).unwrap();
    wal.sync().unwrap();
    wal.witness().unwrap();
    wal.roll().unwrap();
    wal.append(head(5), &[b"next"]).unwrap();
    wal.sync().unwrap();

    let (first, chain) = record(head(1), 0, b"first record");
    let (second, chain) = record(head(2), chain, &[0xee; 1000]);
    let (third, chain) = record(head(3), chain, b"");
    let (fourth, chain) = record(head(4), chain, b"x");
    let (fifth, _) = record(head(5), chain, b"next");
    let segment = SegmentBytes::new(1, 0, [0, 0, 0])
        .write(1, &first)
        .write(2, &[second, third].concat())
        .write(2, &fourth)
        // The witness: a sector without a record.
        .write(6, &[0]);
    let end = segment.bytes.len() as u64;
    assert_eq!(disk.content(&path(1)).unwrap(), segment.of_length(end));
    let segment = SegmentBytes::new(2, chain, [1, end, last.offset]).write(1, &fifth);
    assert_eq!(disk.content(&path(2)).unwrap(), segment.of_length(SEGMENT_BYTES));
}

/// The same without help from any code: what is on disks out there must be read for ever.
#[test]
fn the_first_bytes_are_these() {
    let disk = SimDisk::new(1);
    let mut wal = open_with(&disk, SEGMENT_BYTES).unwrap().0;
    wal.append(Head { kind: 5, number: 0x0102_0304, tag: 9 }, &[b"golden"]).unwrap();
    wal.sync().unwrap();
    let content = disk.content(&path(1)).unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(&content[..16]), "51756f7257414c000100000000000000");
    assert_eq!(hex(&content[16..40]), "070000000000000009000000000000000100000000000000");
    // Chain, length, and no predecessor.
    assert_eq!(hex(&content[40..56]), "00000000000000000010000000000000");
    assert!(content[56..508].iter().all(|byte| *byte == 0));
    assert_eq!(hex(&content[508..512]), "a09d8dfe");
    assert_eq!(hex(&content[512..520]), "010000ff472fade2");
    assert_eq!(hex(&content[520..552]), "a70500000600000004030201000000000900000000000000000000002786ff33");
    assert_eq!(hex(&content[552..562]), "0a2799c6676f6c64656e");
    assert!(content[562..].iter().all(|byte| *byte == 0));
}

fn open(segments: &[(u64, Vec<u8>)]) -> Result<Wal, Error> {
    let disk = SimDisk::new(1);
    for (id, bytes) in segments {
        let file = wal::Disk::create(&disk, &path(*id), bytes.len() as u64).unwrap();
        file.write_at(0, bytes).unwrap();
    }
    open_with(&disk.crash(Crash::KeepAll), SEGMENT_BYTES).map(|(wal, _)| wal)
}

/// Opens a disk that holds these segments and reads all of it.
fn read(segments: &[(u64, Vec<u8>)]) -> Result<Vec<u64>, Error> {
    let wal = open(segments)?;
    wal.reader().scan_all().map(|record| Ok(record?.head.number)).collect()
}

fn assert_corrupt(segments: &[(u64, Vec<u8>)], file: u64, offset: u64) {
    match read(segments) {
        Err(Error::Corrupt { path: found, offset: at, .. }) => assert_eq!((found, at), (path(file), offset)),
        other => panic!("{other:?}"),
    }
}

fn one(stream: &[u8]) -> Vec<(u64, Vec<u8>)> {
    vec![(1, SegmentBytes::new(1, 0, [0, 0, 0]).write(1, stream).of_length(SEGMENT_BYTES))]
}

#[test]
fn a_length_that_lies_is_refused_and_not_believed() {
    assert_eq!(read(&one(&record(head(1), 0, b"abc").0)).unwrap(), [1]);
    for length in [7 * 504 - 35, 1 << 20, u32::MAX] {
        assert_corrupt(&one(&record_of_length(head(1), 0, b"abc", length).0), 1, 520);
    }
    // Within the segment, it could be torn; in front of a later batch it is not.
    let lying = record_of_length(head(1), 0, b"abc", 600).0;
    assert_eq!(read(&one(&lying)).unwrap(), [0; 0]);
    let segment = SegmentBytes::new(1, 0, [0, 0, 0]).write(1, &lying).write(2, &record(head(2), 0, b"").0);
    assert_corrupt(&[(1, segment.of_length(SEGMENT_BYTES))], 1, 520);
}

#[test]
fn a_record_out_of_another_history_is_refused() {
    let (first, chain) = record(head(1), 0, b"abc");
    let (stranger, _) = record(head(2), chain ^ 1, b"def");
    let segment = one(&[first.clone(), stranger].concat());
    assert_corrupt(&segment, 1, 520 + 39);
    assert!(open(&segment).is_err(), "it shows already when the log is opened");
    // A segment that does not follow its predecessor, though each is sound.
    let old = SegmentBytes::new(1, 0, [0, 0, 0]).write(1, &first).of_length(1024);
    let (second, _) = record(head(2), chain ^ 1, b"def");
    let new = SegmentBytes::new(2, chain ^ 1, [1, 1024, 520]).write(1, &second).of_length(SEGMENT_BYTES);
    assert_corrupt(&[(1, old.clone()), (2, new)], 2, 0);
    let (second, _) = record(head(2), chain, b"def");
    let new = SegmentBytes::new(2, chain, [1, 1024, 520]).write(1, &second).of_length(SEGMENT_BYTES);
    assert_eq!(read(&[(1, old), (2, new)]).unwrap(), [1, 2]);
}

#[test]
fn a_header_that_makes_no_sense_is_refused() {
    let (first, chain) = record(head(1), 0, b"abc");
    let old = SegmentBytes::new(1, 0, [0, 0, 0]).write(1, &first).of_length(1024);
    let newest = |predecessor| SegmentBytes::new(2, chain, predecessor).of_length(SEGMENT_BYTES);
    assert_eq!(read(&[(1, old.clone()), (2, newest([1, 1024, 520]))]).unwrap(), [1]);
    for predecessor in [[2, 1024, 520], [3, 1024, 520], [1, 0, 0], [1, u64::MAX, 520]] {
        assert_corrupt(&[(1, old.clone()), (2, newest(predecessor))], 2, 0);
    }
    assert_corrupt(&[(1, old.clone()), (2, newest([1, 4096, 520]))], 1, 1024);
    // A file under another's name.
    assert_corrupt(&[(3, newest([1, 1024, 520]))], 3, 0);
}

/// Streams of noise, and of records with mistakes in them, under sound stamps: any answer will do but a panic.
#[test]
fn no_stream_makes_it_panic() {
    let mut choices = Choices(77);
    for _ in 0..20_000 * budget() {
        let mut stream = Vec::new();
        let mut chain = 0;
        for number in 0..choices.below(6) as u64 {
            let payload = vec![[0, 0xa7, 0xff][choices.below(3)]; choices.below(700)];
            let length = match choices.below(8) {
                0 => choices.below(5000) as u32,
                1 => u32::MAX - choices.below(600) as u32,
                _ => payload.len() as u32,
            };
            let (bytes, next) = record_of_length(head(number), chain, &payload, length);
            stream.extend(bytes);
            chain = next;
            if choices.below(4) == 0 {
                stream.resize(stream.len().next_multiple_of(504), 0);
            }
        }
        for _ in 0..choices.below(3) {
            let len = stream.len().max(1);
            stream.resize(len, 0);
            stream[choices.below(len)] = choices.below(256) as u8;
        }
        stream.truncate(7 * 504);
        let start = 1 + choices.below(3) as u32;
        let mut bytes = SegmentBytes::new(1, 0, [0, 0, 0]).write(start, &stream).of_length(SEGMENT_BYTES);
        if choices.below(2) == 0 {
            let hole = 512 * (1 + choices.below(7));
            bytes[hole..hole + 512].fill(0);
        }
        let _ = read(&[(1, bytes.clone())]);
        // The same as a sealed segment.
        let end = 512 + choices.below(3584) as u64;
        let newest = SegmentBytes::new(2, chain, [1, end, 520]).of_length(SEGMENT_BYTES);
        let _ = read(&[(1, bytes), (2, newest)]);
    }
}
