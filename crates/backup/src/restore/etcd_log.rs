//! The write-ahead log of an etcd that does not run: what it has behind its database.
//!
//! ```text
//!  wal/0000000000000000-0000000000000000.wal, …       named by number and first index, read in the order of the numbers
//!  frame:   length 8 │ record │ 0 to 7 bytes          length: lower 56 bits; the top byte is 80 + the bytes behind the record
//!  record:  protobuf { 1: type, 2: CRC, 3: data }     CRC-32C of the data of all records so far, but for those of type CRC
//! ```
//!
//! Each file begins with a record of the CRC so far. A length of 0 is the end of what was written into a file; the last one may
//! also end within a record that was being written when the etcd was killed, and nobody was promised anything of that.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use prost::Message;

use super::RestoreError;
use super::error::io_error;

const METADATA: i64 = 1;
const ENTRY: i64 = 2;
const STATE: i64 = 3;
const CRC: i64 = 4;
const SNAPSHOT: i64 = 5;

/// Bytes of a length.
const LENGTH_BYTES: usize = 8;

/// Bytes that a disk writes at once: of a record that was being written, each such piece is there or zero.
const SECTOR_BYTES: usize = 512;

/// Longest file that is taken into memory, in bytes. etcd begins another one after 64 MB.
const FILE_BYTES_MAX: u64 = 1 << 30;

#[derive(Clone, PartialEq, Message)]
struct Record {
    #[prost(int64, tag = "1")]
    kind: i64,
    #[prost(uint32, tag = "2")]
    crc: u32,
    #[prost(bytes = "bytes", tag = "3")]
    data: bytes::Bytes,
}

/// An entry of the raft log.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Entry {
    /// What the data is: 0 is a command, others change who the members are.
    #[prost(int32, tag = "1")]
    pub(super) kind: i32,
    #[prost(uint64, tag = "2")]
    pub(super) term: u64,
    #[prost(uint64, tag = "3")]
    pub(super) index: u64,
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) data: bytes::Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct HardState {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(uint64, tag = "2")]
    vote: u64,
    #[prost(uint64, tag = "3")]
    commit: u64,
}

/// What a log has.
#[derive(Debug, Default)]
pub(super) struct EtcdLog {
    /// The last entry that the member knew to be committed.
    pub(super) commit: u64,
    /// The entries behind the database, consecutive.
    pub(super) entries: Vec<Entry>,
}

impl EtcdLog {
    /// Reads the log in a directory, of which the database has everything up to an index.
    pub(super) fn read(dir: &Path, applied: u64) -> Result<Self, RestoreError> {
        Self::of_files(files(dir)?.into_iter().map(|path| (path.clone(), content(&path))), applied)
    }

    /// Reads a log that is in these files, oldest first: the path of each, for errors, and what is in it.
    pub(super) fn of_files(
        files: impl ExactSizeIterator<Item = (PathBuf, Result<Vec<u8>, RestoreError>)>,
        applied: u64,
    ) -> Result<Self, RestoreError> {
        let mut reader = Reader { log: Self::default(), applied, crc: 0 };
        let count = files.len();
        for (place, (path, content)) in files.enumerate() {
            reader.read_file(&path, &content?, place + 1 == count)?;
        }
        let mut log = reader.log;
        // What was overwritten may have known of more.
        log.commit = log.commit.min(log.entries.last().map_or(applied, |last| last.index));
        Ok(log)
    }
}

/// The files in their order.
fn files(dir: &Path) -> Result<Vec<PathBuf>, RestoreError> {
    let mut files = Vec::new();
    for file in fs::read_dir(dir).map_err(io_error("list", dir))? {
        let path = file.map_err(io_error("list", dir))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        let numbers = name.strip_suffix(".wal").and_then(|stem| stem.split_once('-'));
        if let Some((number, _)) = numbers.and_then(|(one, other)| Some((number(one)?, number(other)?))) {
            files.push((number, path));
        }
    }
    files.sort();
    let wrong = |path: &Path, what: &str| RestoreError::EtcdLog {
        path: path.to_owned(),
        offset: 0,
        what: what.to_owned(),
    };
    if files.is_empty() {
        return Err(wrong(dir, "there is no file of a log"));
    }
    match files.windows(2).find(|pair| pair[1].0 != pair[0].0 + 1) {
        Some(pair) => Err(wrong(&pair[1].1, "the file before it is missing")),
        None => Ok(files.into_iter().map(|(_, path)| path).collect()),
    }
}

fn content(path: &Path) -> Result<Vec<u8>, RestoreError> {
    let bytes = fs::metadata(path).map_err(io_error("look at", path))?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(io_error("read", path)(ErrorKind::FileTooLarge.into()));
    }
    fs::read(path).map_err(io_error("read", path))
}

struct Reader {
    log: EtcdLog,
    applied: u64,
    crc: u32,
}

/// What comes next in a file.
enum Next {
    Record(Record, usize),
    End,
    /// The end of the last file is torn.
    Torn,
}

impl Reader {
    fn read_file(&mut self, path: &Path, content: &[u8], is_last: bool) -> Result<(), RestoreError> {
        let mut offset = 0;
        loop {
            let wrong =
                |what: String| RestoreError::EtcdLog { path: path.to_owned(), offset: offset as u64, what };
            match self.next(content, offset, is_last).map_err(|what| wrong(what.to_owned()))? {
                Next::Record(record, next) => {
                    self.take(&record).map_err(wrong)?;
                    offset = next;
                }
                Next::End | Next::Torn => return Ok(()),
            }
        }
    }

    fn next(&mut self, content: &[u8], offset: usize, is_last: bool) -> Result<Next, &'static str> {
        let rest = &content[offset..];
        let Some((length, body)) = rest.split_first_chunk::<LENGTH_BYTES>() else {
            let is_end = rest.iter().all(|byte| *byte == 0);
            return if is_end || is_last { Ok(Next::End) } else { Err("the file ends within a record") };
        };
        let length = u64::from_le_bytes(*length);
        if length == 0 {
            return Ok(Next::End);
        }
        let bytes = usize::try_from(length & ((1 << 56) - 1)).unwrap_or(usize::MAX);
        let padding = if length >> 63 == 1 { (length >> 56 & 7) as usize } else { 0 };
        let Some(data) = bytes.checked_add(padding).and_then(|all| body.get(..all)) else {
            return if is_last { Ok(Next::Torn) } else { Err("the file ends within a record") };
        };
        let next = offset + LENGTH_BYTES + data.len();
        match self.check(&data[..bytes]) {
            Ok(record) => Ok(Next::Record(record, next)),
            Err(_) if is_last && is_torn(content, offset + LENGTH_BYTES, next) => Ok(Next::Torn),
            Err(what) => Err(what),
        }
    }

    /// Reads a record and holds it against its CRC.
    fn check(&mut self, bytes: &[u8]) -> Result<Record, &'static str> {
        let record = Record::decode(bytes).map_err(|_| "the record is no message of a log")?;
        if record.kind == CRC {
            // The first of all files begins anew.
            let is_right = self.crc == 0 || record.crc == self.crc;
            self.crc = record.crc;
            return if is_right { Ok(record) } else { Err("the file does not follow the one before it") };
        }
        let crc = crc32c::crc32c_append(self.crc, &record.data);
        if crc != record.crc {
            return Err("the record does not match its checksum");
        }
        self.crc = crc;
        Ok(record)
    }

    fn take(&mut self, record: &Record) -> Result<(), String> {
        match record.kind {
            ENTRY => {
                let entry = Entry::decode(record.data.clone()).map_err(|_| "the record is no entry")?;
                self.take_entry(entry)
            }
            STATE => {
                let state = HardState::decode(record.data.clone()).map_err(|_| "the record is no state")?;
                self.log.commit = state.commit;
                Ok(())
            }
            METADATA | CRC | SNAPSHOT => Ok(()),
            kind => Err(format!("a record of kind {kind} is unknown: a newer etcd wrote it")),
        }
    }

    /// Takes an entry in the place of what was there from its index on.
    fn take_entry(&mut self, entry: Entry) -> Result<(), String> {
        let entries = &mut self.log.entries;
        if entry.index <= self.applied {
            entries.clear();
            return Ok(());
        }
        entries.retain(|earlier| earlier.index < entry.index);
        let before = entries.last().map_or(self.applied, |last| last.index);
        if entry.index != before + 1 {
            return Err(format!(
                "entry {} follows {before}: the database is older than the log; start this etcd once more and stop it",
                entry.index
            ));
        }
        entries.push(entry);
        Ok(())
    }
}

/// Returns a file with the CRC of each record made right, up to the first record that is none: what a fuzzer needs to get past
/// them.
pub(super) fn with_right_checksums(content: &[u8]) -> Vec<u8> {
    let (mut sealed, mut rest, mut crc) = (Vec::new(), content, 0);
    while let Some((length, body)) = rest.split_first_chunk::<LENGTH_BYTES>() {
        let bytes = usize::try_from(u64::from_le_bytes(*length) & ((1 << 56) - 1)).unwrap_or(usize::MAX);
        let Some(record) = body.get(..bytes).and_then(|record| Record::decode(record).ok()) else { break };
        if bytes == 0 {
            break;
        }
        crc = if record.kind == CRC { crc } else { crc32c::crc32c_append(crc, &record.data) };
        put_frame(&mut sealed, &Record { crc, ..record });
        let padding = bytes.next_multiple_of(8) - bytes;
        rest = body.get(bytes + padding..).unwrap_or_default();
    }
    sealed.extend_from_slice(rest);
    sealed
}

/// Appends a record as it is in a file.
fn put_frame(out: &mut Vec<u8>, record: &Record) {
    let record = record.encode_to_vec();
    let padding = (8 - record.len() % 8) % 8;
    let flag = if padding == 0 { 0 } else { (0x80 | padding as u64) << 56 };
    out.extend((record.len() as u64 | flag).to_le_bytes());
    out.extend(record);
    out.extend(vec![0; padding]);
}

/// Whether a piece of what was to be written is missing: all zero, as it was before.
fn is_torn(content: &[u8], from: usize, to: usize) -> bool {
    let mut at = from;
    while at < to {
        let end = ((at / SECTOR_BYTES + 1) * SECTOR_BYTES).min(to);
        if content[at..end].iter().all(|byte| *byte == 0) {
            return true;
        }
        at = end;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log as it is written.
    struct Writer {
        bytes: Vec<u8>,
        crc: u32,
    }

    impl Writer {
        /// Begins a file.
        fn begin(crc: u32) -> Self {
            let mut writer = Self { bytes: Vec::new(), crc };
            writer.frame(&Record { kind: CRC, crc, data: bytes::Bytes::new() });
            writer
        }

        fn put(&mut self, kind: i64, message: &impl Message) {
            let data = message.encode_to_vec();
            self.crc = crc32c::crc32c_append(self.crc, &data);
            self.frame(&Record { kind, crc: self.crc, data: data.into() });
        }

        fn frame(&mut self, record: &Record) {
            put_frame(&mut self.bytes, record);
        }

        fn entries(&mut self, indices: impl IntoIterator<Item = u64>, term: u64) {
            for index in indices {
                let data = vec![7; (index % 50) as usize].into();
                self.put(ENTRY, &Entry { kind: 0, term, index, data });
            }
        }

        fn commit(&mut self, commit: u64) {
            self.put(STATE, &HardState { term: 1, vote: 1, commit });
        }

        fn save(&self, dir: &Path, number: u64, index: u64) -> PathBuf {
            let path = dir.join(format!("{number:016x}-{index:016x}.wal"));
            // Space is set aside.
            fs::write(&path, [&self.bytes[..], &[0; 4096]].concat()).unwrap();
            path
        }
    }

    /// Two files: entries 1 to 20, and 18 to 30 of another term in the place of the last ones, committed up to 28.
    fn written(dir: &Path) -> (PathBuf, PathBuf) {
        let mut first = Writer::begin(0);
        first.put(METADATA, &HardState::default());
        first.entries(1..=20, 1);
        first.commit(15);
        let mut second = Writer::begin(first.crc);
        second.entries(18..=30, 2);
        second.commit(28);
        (first.save(dir, 0, 0), second.save(dir, 1, 18))
    }

    fn ids(log: &EtcdLog) -> Vec<(u64, u64)> {
        log.entries.iter().map(|entry| (entry.index, entry.term)).collect()
    }

    #[test]
    fn what_is_behind_the_database_is_read_and_later_entries_replace_earlier_ones() {
        let dir = tempfile::tempdir().unwrap();
        written(dir.path());
        let log = EtcdLog::read(dir.path(), 16).unwrap();
        let expected: Vec<_> = [(17, 1)].into_iter().chain((18..=30).map(|index| (index, 2))).collect();
        assert_eq!((log.commit, ids(&log)), (28, expected));
        assert_eq!(EtcdLog::read(dir.path(), 40).unwrap().entries, []);
    }

    #[test]
    fn a_log_that_begins_behind_the_database_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::begin(0);
        writer.entries(10..=12, 1);
        writer.save(dir.path(), 0, 0);
        let error = EtcdLog::read(dir.path(), 7).unwrap_err().to_string();
        assert!(error.contains("entry 10 follows 7"), "{error}");
        assert_eq!(ids(&EtcdLog::read(dir.path(), 11).unwrap()), [(12, 1)]);
    }

    #[test]
    fn a_torn_end_is_an_end_and_damage_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = written(dir.path());
        let whole = fs::read(&second).unwrap();
        let used = whole.len() - 4096;
        // The last record says what is committed: without it, what the file before said.
        fs::write(&second, &whole[..used - 5]).unwrap();
        let log = EtcdLog::read(dir.path(), 16).unwrap();
        assert_eq!((log.commit, log.entries.len()), (15, 14));
        // A bit within.
        let mut damaged = whole.clone();
        damaged[used / 2] ^= 4;
        fs::write(&second, &damaged).unwrap();
        let error = EtcdLog::read(dir.path(), 16).unwrap_err().to_string();
        assert!(error.contains("000000000001-0000000000000012.wal, offset "), "{error}");
        fs::write(&second, &whole).unwrap();
        let mut cut = fs::read(&first).unwrap();
        cut.truncate(300);
        fs::write(&first, &cut).unwrap();
        EtcdLog::read(dir.path(), 16).unwrap_err();
        fs::remove_file(&first).unwrap();
        let error = EtcdLog::read(dir.path(), 25).map(|log| ids(&log));
        assert_eq!(
            error.unwrap(),
            (26..=30).map(|index| (index, 2)).collect::<Vec<_>>(),
            "older files may go"
        );
        fs::remove_file(&second).unwrap();
        assert!(EtcdLog::read(dir.path(), 25).unwrap_err().to_string().contains("no file of a log"));
    }

    /// Neither panics nor takes what is not there.
    #[test]
    fn files_of_whatever_bytes_are_read_or_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (first, _) = written(dir.path());
        let whole = fs::read(&first).unwrap();
        for place in 0..whole.len().min(1500) {
            let mut damaged = whole.clone();
            damaged[place] ^= 0x55;
            fs::write(&first, &damaged).unwrap();
            if let Ok(log) = EtcdLog::read(dir.path(), 16) {
                assert!(log.entries.len() <= 14);
            }
        }
    }
}
