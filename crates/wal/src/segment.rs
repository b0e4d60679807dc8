//! Segment files and their headers.
//!
//! The first sector of a segment says where its predecessor ends. That makes the predecessor *sealed*: everything in
//! it before that place was synced, and everything at or behind that place, and every segment in between, is void. So
//! the one mechanism that starts a new segment is also how a suffix is cut off (W7): the new segment gets its name by
//! a rename, and a rename happens or does not.
//!
//! ```text
//!  0       8        12  16              32   40      48       56            64        72         80      508
//!  ├───────┼────────┼───┼───────────────┼────┼───────┼────────┼─────────────┼─────────┼──────────┼─ 0 ──┼─────┤
//!  │ magic │ format │ 0 │ identity (×2) │ id │ chain │ length │ predecessor │ its end │ its last │      │ CRC │
//!  └───────┴────────┴───┴───────────────┴────┴───────┴────────┴─────────────┴─────────┴──────────┴──────┴─────┘
//! ```
//!
//! Magic, format and CRC (of bytes 0..508) stay where they are in every format to come.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::RwLock;

use crate::disk::DiskFile;
use crate::error::Context;
use crate::limits::SEGMENT_BYTES_MAX;
use crate::open_files::OpenFiles;
use crate::record::{Head, le_u32, le_u64};
use crate::sector::{self, SECTOR, Stamper, State};
use crate::{Error, Position};

const MAGIC: &[u8; 8] = b"QuorWAL\0";
/// The format that this version writes, and the newest that it reads.
pub(crate) const FORMAT: u32 = 1;
/// Where the first record of a segment starts.
pub(crate) const FIRST: u64 = (SECTOR + sector::STAMP) as u64;
const CRC_AT: usize = SECTOR - 4;

/// What the first sector of a segment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) identity: [u64; 2],
    pub(crate) id: u64,
    /// Header CRC of the last record before this segment.
    pub(crate) chain: u32,
    /// Length of the file as it was made, and as it is until the segment is sealed.
    pub(crate) length: u64,
    /// Where the log before this segment ends; `None` for the first segment of a log.
    pub(crate) predecessor: Option<Predecessor>,
}

/// The end of a sealed segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Predecessor {
    pub(crate) segment: u64,
    /// Everything at or behind this offset is void.
    pub(crate) end: u64,
    /// Where its last record starts; `None` if it has none or that is not known.
    pub(crate) last: Option<u64>,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SECTOR] {
        let mut bytes = [0; SECTOR];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        let predecessor = self.predecessor.unwrap_or(Predecessor { segment: 0, end: 0, last: None });
        let fields = [
            self.identity[0],
            self.identity[1],
            self.id,
            u64::from(self.chain),
            self.length,
            predecessor.segment,
            predecessor.end,
            predecessor.last.unwrap_or(0),
        ];
        for (place, field) in fields.into_iter().enumerate() {
            bytes[16 + 8 * place..24 + 8 * place].copy_from_slice(&field.to_le_bytes());
        }
        let crc = crc32fast::hash(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; SECTOR], path: &Path) -> Result<Self, Error> {
        if bytes[..8] != *MAGIC || le_u32(bytes, CRC_AT) != crc32fast::hash(&bytes[..CRC_AT]) {
            return Err(Error::corrupt(path, 0, "the segment's header does not match its checksum"));
        }
        let format = le_u32(bytes, 8);
        if format > FORMAT {
            return Err(Error::NewerFormat { path: path.to_owned(), found: format, known: FORMAT });
        }
        let field = |place: usize| le_u64(bytes, 16 + 8 * place);
        let predecessor = (field(5) != 0).then(|| Predecessor {
            segment: field(5),
            end: field(6),
            last: (field(7) != 0).then(|| field(7)),
        });
        let header = Self {
            identity: [field(0), field(1)],
            id: field(2),
            chain: field(3) as u32,
            length: field(4),
            predecessor,
        };
        header.check(path)?;
        Ok(header)
    }

    /// What no writer of this format writes, whatever the checksum says.
    fn check(&self, path: &Path) -> Result<(), Error> {
        let length_fits = self.length <= SEGMENT_BYTES_MAX && self.length.is_multiple_of(SECTOR as u64);
        let comes_after = self.predecessor.is_none_or(|predecessor| {
            predecessor.segment < self.id && (SECTOR as u64..=SEGMENT_BYTES_MAX).contains(&predecessor.end)
        });
        if length_fits && comes_after && segment_id(path) == Some(self.id) {
            return Ok(());
        }
        Err(Error::corrupt(path, 0, "the segment's header makes no sense"))
    }
}

/// A segment of the log. A reader that holds it can read it, also after it was released.
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    pub(crate) header: SegmentHeader,
    pub(crate) stamper: Stamper,
    /// Where its file is to be had while it is not kept open here.
    files: Arc<OpenFiles>,
    /// Its file, while it is written to, and where it was released while somebody read it.
    kept_open: RwLock<Option<Arc<dyn DiskFile>>>,
    file_bytes: AtomicU64,
    is_released: AtomicBool,
    /// Offset behind what can be read: flushed, and not void.
    end: AtomicU64,
    /// Where the last record starts, 0 if there is none or it is not known.
    last: AtomicU64,
    /// The first record's head, once there is one.
    first: RwLock<Option<Head>>,
    /// Pins that keep it from being released.
    pub(crate) pins: AtomicUsize,
}

/// The file name of a segment.
pub(crate) fn segment_path(dir: &Path, id: u64) -> PathBuf {
    dir.join(format!("{id:016x}.wal"))
}

/// The id in a segment's file name.
pub(crate) fn segment_id(path: &Path) -> Option<u64> {
    let stem = path.file_name()?.to_str()?.strip_suffix(".wal")?;
    let is_id = stem.len() == 16 && stem.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_id.then(|| u64::from_str_radix(stem, 16).ok()).flatten()
}

impl Segment {
    /// A segment that was just made.
    pub(crate) fn new(
        files: Arc<OpenFiles>,
        path: PathBuf,
        file: Arc<dyn DiskFile>,
        header: SegmentHeader,
    ) -> Self {
        let segment = Self::closed(files, path, header, header.length);
        *segment.kept_open.write() = Some(file);
        segment
    }

    fn closed(files: Arc<OpenFiles>, path: PathBuf, header: SegmentHeader, file_bytes: u64) -> Self {
        Self {
            path,
            header,
            files,
            kept_open: RwLock::new(None),
            file_bytes: AtomicU64::new(file_bytes),
            is_released: AtomicBool::new(false),
            stamper: Stamper::new(header.identity, header.id),
            end: AtomicU64::new(SECTOR as u64),
            last: AtomicU64::new(0),
            first: RwLock::new(None),
            pins: AtomicUsize::new(0),
        }
    }

    /// Opens a segment and checks its header. Its end is the caller's to find out.
    pub(crate) fn open(files: &Arc<OpenFiles>, path: PathBuf, identity: [u64; 2]) -> Result<Self, Error> {
        let file: Arc<dyn DiskFile> =
            files.with_descriptor(|disk| disk.open(&path)).context("open", &path)?.into();
        let file_bytes = file.len().context("look at", &path)?;
        if file_bytes < SECTOR as u64 {
            return Err(Error::corrupt(&path, 0, "the segment is shorter than its header"));
        }
        let mut bytes = [0; SECTOR];
        file.read_at(0, &mut bytes).context("read", &path)?;
        let header = SegmentHeader::decode(&bytes, &path)?;
        if header.identity != identity {
            return Err(Error::ForeignLog { path, found: header.identity, expected: identity });
        }
        files.put(header.id, file);
        Ok(Self::closed(files.clone(), path, header, file_bytes))
    }

    /// Returns its file, which is opened if it is not open.
    pub(crate) fn file(&self) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(file) = &*self.kept_open.read() {
            return Ok(file.clone());
        }
        self.files.get(self.id(), &self.path, |file| self.check_own(file))
    }

    /// Checks that a file under the path of this segment is this segment. A log that was put in the place of this one has
    /// segments of the same names.
    fn check_own(&self, file: &dyn DiskFile) -> io::Result<()> {
        let mut bytes = [0; SECTOR];
        file.read_at(0, &mut bytes)?;
        match SegmentHeader::decode(&bytes, &self.path) {
            Ok(header) if header == self.header => Ok(()),
            _ => Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the segment is gone; its path leads to another one",
            )),
        }
    }

    /// Keeps its file open: it is going to be written to.
    pub(crate) fn keep_open(&self) -> Result<(), Error> {
        let file = self.file().context("open", &self.path)?;
        *self.kept_open.write() = Some(file);
        Ok(())
    }

    /// Says that its file is about to be removed, and that nobody gets hold of the segment any more. Those who have it
    /// already keep the file with it.
    pub(crate) fn release(self: &Arc<Self>) {
        self.is_released.store(true, Ordering::Release);
        if Arc::strong_count(self) > 1 {
            // Without a descriptor for it they find that the segment was released.
            let _ = self.keep_open();
        }
        self.files.forget(self.id());
    }

    /// Takes back what [`release`](Self::release) said: the file could not be removed.
    pub(crate) fn unrelease(&self) {
        self.is_released.store(false, Ordering::Release);
        *self.kept_open.write() = None;
    }

    /// Length of its file in bytes.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.file_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn id(&self) -> u64 {
        self.header.id
    }

    /// Where its first record starts, if it has one.
    pub(crate) fn start(&self) -> Position {
        Position { segment: self.id(), offset: FIRST }
    }

    pub(crate) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    pub(crate) fn last(&self) -> Option<u64> {
        Some(self.last.load(Ordering::Acquire)).filter(|offset| *offset != 0)
    }

    /// Publishes how far the segment can be read.
    pub(crate) fn set_end(&self, end: u64, last: Option<u64>) {
        self.last.store(last.unwrap_or(0), Ordering::Release);
        self.end.store(end, Ordering::Release);
    }

    pub(crate) fn first(&self) -> Option<Head> {
        *self.first.read()
    }

    pub(crate) fn set_first(&self, head: Option<Head>) {
        *self.first.write() = head;
    }

    /// Gives the unused rest of a sealed segment's file back. A sealed segment never keeps the length that it was made
    /// with, the newest always has it: so that the loss of the newest is noticed. Nothing else depends on this, so it
    /// is neither synced nor insisted on; recovery does it again where it is missing. The file is closed when others
    /// are read.
    pub(crate) fn mark_sealed(&self) {
        let used = self.end().next_multiple_of(SECTOR as u64);
        let len = if used == self.header.length { used + SECTOR as u64 } else { used };
        if self.file().and_then(|file| file.set_len(len)).is_ok() {
            self.file_bytes.store(len, Ordering::Relaxed);
        }
        if let Some(file) = self.kept_open.write().take() {
            self.files.put(self.id(), file);
        }
    }

    pub(crate) fn corrupt(&self, offset: u64, what: &'static str) -> Error {
        Error::corrupt(&self.path, offset, what)
    }

    /// Reads the stream from the start of the sector at `offset` on: whole sectors, at least up to `until` and about
    /// `bytes` of them, but not beyond `end`, which the caller has asked for once: it may move at any time. Every
    /// sector read must be one that was written.
    pub(crate) fn load(&self, offset: u64, until: u64, bytes: u64, end: u64) -> Result<Window, Error> {
        let from = offset / SECTOR as u64 * SECTOR as u64;
        let to = until.max(from + bytes).min(end).next_multiple_of(SECTOR as u64);
        let mut sectors = vec![0; to.saturating_sub(from) as usize];
        // The end was cut off, and the file with it, since the caller asked.
        let is_gone = || self.is_released.load(Ordering::Acquire) || self.end() < end;
        let no_such_record = || Error::NoSuchRecord(Position { segment: self.id(), offset });
        let file = self.file().map_err(|source| match is_gone() {
            true => no_such_record(),
            false => Error::Io { path: self.path.clone(), op: "open", source },
        })?;
        file.read_at(from, &mut sectors).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof if self.end() < end => no_such_record(),
            io::ErrorKind::UnexpectedEof => self.corrupt(from, "the file ends before the segment does"),
            _ => Error::Io { path: self.path.clone(), op: "read", source },
        })?;
        for (sector, content) in (sector::sector_of(from)..).zip(sectors.chunks_exact(SECTOR)) {
            if !matches!(self.stamper.state(sector, content), State::Written { .. }) {
                let at = u64::from(sector) * SECTOR as u64;
                return Err(self.corrupt(at, "a sector that was written does not carry its stamp"));
            }
        }
        let mut stream = Vec::new();
        sector::strip_stamps(&sectors, &mut stream);
        Ok(Window { from: sector::to_stream(from), stream: stream.into() })
    }
}

/// A piece of a segment's stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct Window {
    /// Offset in the stream of its first byte, which is a sector's first.
    pub(crate) from: u64,
    pub(crate) stream: Bytes,
}

impl Window {
    /// Index in `stream` of the file's byte at `offset`, if the window has it.
    pub(crate) fn index(&self, offset: u64) -> Option<usize> {
        let index = sector::to_stream(offset).checked_sub(self.from)?;
        usize::try_from(index).ok().filter(|index| *index < self.stream.len())
    }

    /// Offset in the file of the stream's byte at `index`.
    pub(crate) fn offset(&self, index: usize) -> u64 {
        sector::to_file(self.from + index as u64)
    }
}
