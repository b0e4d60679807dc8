//! Segment files and their headers.
//!
//! The first sector of a segment says where its predecessor ends. That one field makes a segment *sealed* (it has a
//! successor), and it is also how a suffix is cut off (W7): whatever lies at or behind that place in older segments
//! is void from the moment the new segment has its name, and a rename happens or does not.
//!
//! ```text
//!  0       8        12  16            32   40         48        56         64      72      80        508
//!  ├───────┼────────┼───┼─────────────┼────┼──────────┼─────────┼──────────┼───────┼───────┼── 0 … ──┼─────┤
//!  │ magic │ format │ 0 │ identity 2× │ id │ previous │ its end │ its last │ chain │ batch │         │ crc │
//!  └───────┴────────┴───┴─────────────┴────┴──────────┴─────────┴──────────┴───────┴───────┴─────────┴─────┘
//! ```

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::disk::{Disk, DiskFile};
use crate::error::Context;
use crate::record::{HEADER_BYTES, Header, le_u32, le_u64};
use crate::sector::{self, SECTOR};
use crate::{Error, Position};

const MAGIC: &[u8; 8] = b"QuorWAL\0";
/// The format that this version writes, and the newest that it reads.
pub(crate) const FORMAT: u32 = 1;

/// What the first sector of a segment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) identity: [u64; 2],
    pub(crate) id: u64,
    /// Where the predecessor ends; `None` for the first segment of a log.
    pub(crate) previous: Option<Previous>,
    /// `check` of the record before the first one here.
    pub(crate) chain: u32,
    /// Batch of the first record here, at least.
    pub(crate) batch: u64,
}

/// The end of a sealed segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Previous {
    pub(crate) segment: u64,
    /// Everything at or behind this offset of the stream is void.
    pub(crate) end: u64,
    /// Where its last record starts; `end` if it has none.
    pub(crate) last: u64,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SECTOR] {
        let mut bytes = [0; SECTOR];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        let previous = self.previous.unwrap_or(Previous { segment: 0, end: 0, last: 0 });
        let fields = [
            self.identity[0],
            self.identity[1],
            self.id,
            previous.segment,
            previous.end,
            previous.last,
            u64::from(self.chain),
            self.batch,
        ];
        for (place, field) in fields.into_iter().enumerate() {
            bytes[16 + 8 * place..24 + 8 * place].copy_from_slice(&field.to_le_bytes());
        }
        let crc = crc32fast::hash(&bytes[..SECTOR - 4]);
        bytes[SECTOR - 4..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; SECTOR], path: &Path) -> Result<Self, Error> {
        let corrupt = |offset, what| Err(Error::Corrupt { path: path.to_owned(), offset, what });
        let sound = le_u32(bytes, SECTOR - 4) == crc32fast::hash(&bytes[..SECTOR - 4]);
        let format = le_u32(bytes, 8);
        if bytes[..8] != *MAGIC || !sound {
            return corrupt(0, "the segment's header does not match its checksum");
        }
        if format > FORMAT {
            return Err(Error::NewerFormat { path: path.to_owned(), found: format, known: FORMAT });
        }
        let field = |place: usize| le_u64(bytes, 16 + 8 * place);
        let previous = Previous { segment: field(3), end: field(4), last: field(5) };
        Ok(Self {
            identity: [field(0), field(1)],
            id: field(2),
            previous: (previous.segment != 0).then_some(previous),
            chain: field(6) as u32,
            batch: field(7),
        })
    }
}

/// An open segment. Whoever holds it can read it, also when it has been released.
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    pub(crate) file: Box<dyn DiskFile>,
    pub(crate) header: SegmentHeader,
    /// Bytes of the stream that fit.
    pub(crate) capacity: u64,
    /// Bytes of the stream that can be read: flushed, and not void.
    end: AtomicU64,
    /// Where the last record starts.
    last: AtomicU64,
}

/// The file name of a segment.
pub(crate) fn segment_path(dir: &Path, id: u64) -> PathBuf {
    dir.join(format!("{id:016x}.wal"))
}

/// The id in a segment's file name.
pub(crate) fn segment_id(path: &Path) -> Option<u64> {
    if path.extension()? != "wal" {
        return None;
    }
    let stem = path.file_stem()?.to_str()?;
    (stem.len() == 16).then(|| u64::from_str_radix(stem, 16).ok()).flatten()
}

impl Segment {
    pub(crate) fn new(path: PathBuf, file: Box<dyn DiskFile>, header: SegmentHeader) -> Result<Self, Error> {
        let len = file.len().context("look at", &path)?;
        let capacity = sector::stream_capacity(len);
        Ok(Self { path, file, header, capacity, end: AtomicU64::new(0), last: AtomicU64::new(0) })
    }

    pub(crate) fn open(disk: &dyn Disk, path: PathBuf, identity: [u64; 2]) -> Result<Self, Error> {
        let file = disk.open(&path).context("open", &path)?;
        let mut bytes = [0; SECTOR];
        if file.len().context("look at", &path)? < SECTOR as u64 {
            let what = "the segment is shorter than its header";
            return Err(Error::Corrupt { path, offset: 0, what });
        }
        file.read_at(0, &mut bytes).context("read", &path)?;
        let header = SegmentHeader::decode(&bytes, &path)?;
        if header.identity != identity {
            return Err(Error::ForeignLog { path, found: header.identity, expected: identity });
        }
        if segment_id(&path) != Some(header.id) {
            return Err(Error::Corrupt { path, offset: 32, what: "the segment is not the one of its name" });
        }
        Self::new(path, file, header)
    }

    pub(crate) fn id(&self) -> u64 {
        self.header.id
    }

    pub(crate) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    pub(crate) fn last(&self) -> u64 {
        self.last.load(Ordering::Acquire)
    }

    /// Publishes how far the segment can be read.
    pub(crate) fn set_end(&self, last: u64, end: u64) {
        self.last.store(last, Ordering::Release);
        self.end.store(end, Ordering::Release);
    }

    pub(crate) fn corrupt(&self, stream: u64, what: &'static str) -> Error {
        Error::Corrupt { path: self.path.clone(), offset: sector::file_offset(stream), what }
    }

    /// Reads bytes of the stream, and says whether all their sectors are stamped.
    pub(crate) fn read(&self, stream: u64, out: &mut [u8]) -> Result<bool, Error> {
        if stream + out.len() as u64 > self.capacity {
            return Err(self.corrupt(stream.min(self.capacity), "the segment ends within a record"));
        }
        let mut sectors = vec![0; sector::span(stream, out.len())];
        self.file.read_at(sector::sector_start(stream), &mut sectors).context("read", &self.path)?;
        sector::lift(&sectors, (stream % sector::ROOM as u64) as usize, out);
        Ok(sector::are_stamped(&sectors))
    }

    /// Reads and checks the header of the record at `stream`; `None` if there is none.
    pub(crate) fn header_at(&self, stream: u64) -> Result<Option<Header>, Error> {
        if stream + HEADER_BYTES as u64 > self.capacity {
            return Ok(None);
        }
        let mut bytes = [0; HEADER_BYTES];
        let stamped = self.read(stream, &mut bytes)?;
        let header = Header::decode(&bytes, Position { segment: self.id(), offset: stream });
        if header.is_some() && !stamped {
            return Err(self.corrupt(stream, "a sector's stamp is damaged"));
        }
        Ok(header)
    }
}
