//! The writer's end of a log.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, DiskDir};
use crate::error::Context;
use crate::image::Image;
use crate::limits::{PAYLOAD_BYTES_MAX, PENDING_BYTES_MAX, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
use crate::open_files::OpenFiles;
use crate::prepare::{Prepared, Preparer};
use crate::reader::{Reader, SegmentInfo, Shared};
use crate::record::{Head, Header, RECORD_HEADER_BYTES};
use crate::recover::{Recovered, Recovery, recover};
use crate::sector::{self, BODY, SECTOR};
use crate::segment::{FIRST, Predecessor, Segment, SegmentHeader, segment_path};
use crate::{Error, Position};

/// How a log is laid out, and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Length of a segment file in bytes, a multiple of 512 between [`SEGMENT_BYTES_MIN`] and
    /// [`SEGMENT_BYTES_MAX`]. A record that is longer gets a segment of its own length. May differ from one opening
    /// to the next: segments that exist stay as they are.
    pub segment_bytes: u64,
    /// Whose log it is (a cluster and a member): written into each segment, and the log of another is refused.
    pub identity: [u64; 2],
}

impl Options {
    /// Returns the length of the longest payload that fits into a segment of this length, in bytes.
    #[must_use]
    pub const fn payload_max(&self) -> u64 {
        let sectors = self.segment_bytes / SECTOR as u64 - 1;
        let fits = sectors * BODY as u64 - RECORD_HEADER_BYTES as u64;
        if fits < PAYLOAD_BYTES_MAX { fits } else { PAYLOAD_BYTES_MAX }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, identity: [0, 0] }
    }
}

/// A log, held by its one writer.
///
/// Records are in memory after [`append`](Self::append), readable after [`flush`](Self::flush) and durable after
/// [`sync`](Self::sync).
///
/// Invariants: no sector is written twice (but by recovery); a batch begins in a sector of its own, after everything
/// before it was synced; a segment gets its name after everything that it calls its past was synced.
pub struct Wal {
    files: Arc<OpenFiles>,
    dir: PathBuf,
    /// The directory, open: once a segment has begun to change, no descriptor is needed that might not be had.
    names: Box<dyn DiskDir>,
    options: Options,
    shared: Arc<Shared>,
    current: Arc<Segment>,
    image: Image,
    /// Header CRC of the last record appended.
    chain: u32,
    /// Where the last record appended to the current segment starts.
    last: Option<u64>,
    /// Whether sectors were written that no sync has covered.
    unsynced: bool,
    preparer: Preparer,
    poisoned: bool,
}

impl Wal {
    /// Opens the log in `dir`, or makes one, and says what was found. What was appended and never synced may be gone;
    /// what is still there is durable now.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when something that was durable is damaged; [`Error::ForeignLog`], [`Error::NewerFormat`];
    /// [`Error::Io`] and [`Error::NoSpace`].
    ///
    /// # Panics
    /// When [`Options::segment_bytes`] is out of bounds.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, options: Options) -> Result<(Self, Recovery), Error> {
        let bounds = SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX;
        let bytes = options.segment_bytes;
        assert!(bounds.contains(&bytes) && bytes.is_multiple_of(SECTOR as u64), "{bytes} bytes in a segment");
        disk.create_dir_all(dir).context("create", dir)?;
        let names = disk.open_dir(dir).context("open", dir)?;
        let files = Arc::new(OpenFiles::new(disk));
        let preparer = Preparer::new(files.clone(), dir, options.segment_bytes);
        let found = match recover(&files, dir, options.identity)? {
            Some(found) => found,
            None => create(&files, dir, &*names, options, &preparer)?,
        };
        let current = found.segments.last().cloned().expect("a log has at least one segment");
        let image = Image::new(current.stamper.clone(), found.end);
        let last = current.last();
        let wal = Self {
            files,
            dir: dir.to_owned(),
            names,
            options,
            shared: Arc::new(Shared::new(found.segments)),
            current,
            image,
            chain: found.chain,
            last,
            unsynced: false,
            preparer,
            poisoned: false,
        };
        Ok((wal, found.recovery))
    }

    /// Appends a record whose payload is the parts one behind the other, and says where it starts.
    ///
    /// It is in memory until [`flush`](Self::flush) or [`sync`](Self::sync). When it does not fit into the current
    /// segment, the log is synced and the next segment begun, which is as long as the record needs.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond [`PAYLOAD_BYTES_MAX`]; [`Error::NoSpace`] when another segment is needed and there is no space: nothing was
    /// appended and the log goes on. [`Error::Io`], [`Error::Poisoned`].
    pub fn append(&mut self, head: Head, payload: &[&[u8]]) -> Result<Position, Error> {
        self.check_alive()?;
        let bytes: usize = payload.iter().map(|part| part.len()).sum();
        if bytes as u64 > PAYLOAD_BYTES_MAX {
            return Err(Error::TooLarge { bytes, max: PAYLOAD_BYTES_MAX });
        }
        let needed = (RECORD_HEADER_BYTES + bytes) as u64;
        if self.room() < needed {
            self.start_next(needed)?;
        }
        if self.image.pending_bytes() >= PENDING_BYTES_MAX {
            self.flush()?;
        }
        Ok(self.put(head, bytes as u32, payload))
    }

    fn put(&mut self, head: Head, length: u32, payload: &[&[u8]]) -> Position {
        let mut crc = crc32fast::Hasher::new();
        for part in payload {
            crc.update(part);
        }
        let position = self.end();
        let header = Header { head, length, chain: self.chain, payload_crc: crc.finalize() };
        self.chain = self.image.put_record(&header, payload);
        if self.last.is_none() {
            self.current.set_first(Some(head));
        }
        self.last = Some(position.offset);
        position
    }

    /// Longest payload that fits into a segment of the usual length, in bytes.
    pub fn payload_max(&self) -> u64 {
        self.options.payload_max()
    }

    /// Bytes of records, [`RECORD_HEADER_BYTES`] each included, that the current segment still takes. A flush takes
    /// up to 504 of them for padding. A caller that ends each segment with a record of its own keeps an eye on this
    /// and calls [`roll`](Self::roll) itself.
    pub fn room(&self) -> u64 {
        let used = sector::to_stream(self.image.end());
        sector::to_stream(self.current.header.length).saturating_sub(used)
    }

    /// Hands what was appended to the operating system: readable now, durable not yet.
    ///
    /// # Errors
    /// [`Error::Io`], which poisons the log, and [`Error::Poisoned`].
    pub fn flush(&mut self) -> Result<(), Error> {
        self.check_alive()?;
        let Some((offset, bytes)) = self.image.pad() else { return Ok(()) };
        let end = offset + bytes.len() as u64;
        let written = self.current.file().and_then(|file| file.write_at(offset, bytes));
        let written = written.context("write", &self.current.path);
        self.poison_on_error(written)?;
        self.image.written();
        self.unsynced = true;
        self.current.set_end(end, self.last);
        Ok(())
    }

    /// Makes everything appended so far durable, by one sync, and returns where the log ends.
    ///
    /// # Errors
    /// [`Error::Io`], which poisons the log: what the disk holds of the un-synced part is not known, and a sync that
    /// is tried again may succeed without having written (W5). [`Error::Poisoned`].
    pub fn sync(&mut self) -> Result<Position, Error> {
        self.flush()?;
        if self.unsynced {
            let synced = self.current.file().and_then(|file| file.sync_data());
            let synced = synced.context("sync", &self.current.path);
            self.poison_on_error(synced)?;
            self.unsynced = false;
            self.image.synced();
        }
        Ok(self.end())
    }

    /// Leaves proof that everything so far was synced: syncs, and writes one sector behind it, which is not synced.
    ///
    /// As long as a batch is the last one, a sector of it that reads as zeros looks like a torn write. With anything
    /// behind it, it is known for corruption. Worth calling when a log falls idle, and before it is closed.
    ///
    /// # Errors
    /// As [`sync`](Self::sync).
    pub fn witness(&mut self) -> Result<(), Error> {
        self.sync()?;
        let is_empty = self.image.end() == FIRST;
        if !is_empty && self.room() >= BODY as u64 {
            self.image.put_witness();
            self.flush()?;
        }
        Ok(())
    }

    /// Makes the next segment ahead of need, so that starting it is cheap and a full disk shows early.
    ///
    /// # Errors
    /// [`Error::NoSpace`] or [`Error::Io`]: nothing has changed, and the call may be repeated.
    pub fn prepare_next(&mut self) -> Result<(), Error> {
        self.check_alive()?;
        self.preparer.prepare()
    }

    /// Does the same on another thread.
    pub fn preparer(&self) -> Preparer {
        self.preparer.clone()
    }

    /// Whether the next segment is there already.
    pub fn is_next_prepared(&self) -> bool {
        self.preparer.is_prepared()
    }

    /// Syncs, ends the current segment and starts the next. Does nothing when the current one is empty.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn roll(&mut self) -> Result<(), Error> {
        self.check_alive()?;
        if self.last.is_none() { Ok(()) } else { self.start_next(0) }
    }

    /// Starts a segment that has room for a record with so many bytes, its header included.
    fn start_next(&mut self, needed: u64) -> Result<(), Error> {
        // First, what may fail without harm.
        self.preparer.prepare_at_least(sector::file_bytes_for(needed))?;
        self.sync()?;
        let sealed = self.current.clone();
        self.start_segment(
            Predecessor { segment: sealed.id(), end: sealed.end(), last: self.last },
            self.chain,
        )?;
        sealed.mark_sealed();
        Ok(())
    }

    /// Gives the prepared segment its header and its name, behind `predecessor`. Everything in that has been synced.
    fn start_segment(&mut self, predecessor: Predecessor, chain: u32) -> Result<(), Error> {
        let named = self.preparer.hand_over(|prepared| {
            let header = SegmentHeader {
                identity: self.options.identity,
                id: self.current.id() + 1,
                chain,
                length: prepared.bytes,
                predecessor: Some(predecessor),
            };
            name_segment(&self.files, &self.dir, &*self.names, header, prepared, &self.preparer.path())
        });
        let segment = Arc::new(self.poison_on_error(named)?);
        self.shared.push(segment.clone());
        self.image.restart(segment.stamper.clone(), 1);
        self.current = segment;
        self.chain = chain;
        self.last = None;
        self.unsynced = false;
        Ok(())
    }

    /// Cuts the record at `position`, and everything behind it, off: durably, and whole or not at all (W7). The
    /// position is that of a record, or where one ends. Everything that remains is durable, too. A few free KiB are
    /// enough: a full disk can be cut.
    ///
    /// # Errors
    /// [`Error::NoSuchRecord`] if there is nothing at this position; else as [`append`](Self::append). Without success
    /// the log is as before.
    pub fn truncate_to(&mut self, position: Position) -> Result<(), Error> {
        self.check_alive()?;
        self.flush()?;
        let Some(chain) = self.chain_at(position)? else { return Ok(()) };
        self.preparer.prepare_for_cut()?;
        self.sync()?;
        let cut = self.shared.get(position.segment).ok_or(Error::NoSuchRecord(position))?;
        let end = position.offset.clamp(FIRST, cut.end().max(FIRST));
        let last = cut.last().filter(|last| *last < end);
        self.start_segment(Predecessor { segment: cut.id(), end, last }, chain)?;
        cut.set_end(end, last);
        if end <= FIRST {
            cut.set_first(None);
        }
        let void = self.shared.take_between(cut.id(), self.current.id());
        for segment in void.iter().rev() {
            // Nobody reads on in what is void, whoever holds it.
            segment.set_end(0, None);
            self.files.forget(segment.id());
            let removed = self.files.disk().remove(&segment.path).context("remove", &segment.path);
            self.poison_on_error(removed)?;
            self.sync_dir()?;
        }
        cut.mark_sealed();
        Ok(())
    }

    /// The chain in front of the first record at or behind `position`; `None` if there is no such record.
    fn chain_at(&self, position: Position) -> Result<Option<u32>, Error> {
        let segment = self.shared.get(position.segment).ok_or(Error::NoSuchRecord(position))?;
        if let Some(chain) = segment.chain_at(position.offset)? {
            return Ok(Some(chain));
        }
        // The end of a sealed segment: the record is in a later one, unless that is the current one and empty.
        let next = self
            .shared
            .after(segment.id())
            .filter(|next| next.id() != self.current.id() || self.last.is_some());
        Ok(next.map(|next| next.header.chain))
    }

    /// Unlinks all segments before the one with this id, but not the current one, and none from the first that is
    /// [pinned](Reader::pin) on.
    ///
    /// # Errors
    /// [`Error::Io`]: some may be gone and some not; the call may be repeated.
    pub fn release_before(&mut self, segment: u64) -> Result<(), Error> {
        self.check_alive()?;
        while let Some(oldest) = self.shared.take_oldest(segment.min(self.current.id())) {
            oldest.release();
            if let Err(error) = self.files.disk().remove(&oldest.path).context("remove", &oldest.path) {
                oldest.unrelease();
                self.shared.put_back(oldest);
                return Err(error);
            }
            self.sync_dir()?;
        }
        Ok(())
    }

    /// Makes a removal durable before the next one, so that a crash leaves no gap.
    fn sync_dir(&mut self) -> Result<(), Error> {
        let synced = self.names.sync().context("sync", &self.dir);
        self.poison_on_error(synced)
    }

    /// Where the next record will start, unless a flush or a new segment comes between.
    pub fn end(&self) -> Position {
        Position { segment: self.current.id(), offset: self.image.end() }
    }

    /// The segments, oldest first. The last one is being written.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.shared.describe()
    }

    /// Bytes of all segment files together.
    pub fn bytes(&self) -> u64 {
        self.segments().iter().map(|segment| segment.file_bytes).sum()
    }

    /// A reader's end of the log.
    pub fn reader(&self) -> Reader {
        Reader::new(self.shared.clone())
    }

    fn check_alive(&self) -> Result<(), Error> {
        if self.poisoned { Err(Error::Poisoned) } else { Ok(()) }
    }

    fn poison_on_error<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        self.poisoned |= result.is_err();
        result
    }
}

/// Makes the first segment of a log.
fn create(
    files: &Arc<OpenFiles>,
    dir: &Path,
    names: &dyn DiskDir,
    options: Options,
    preparer: &Preparer,
) -> Result<Recovered, Error> {
    preparer.prepare()?;
    let named = preparer.hand_over(|prepared| {
        let header = SegmentHeader {
            identity: options.identity,
            id: 1,
            chain: 0,
            length: prepared.bytes,
            predecessor: None,
        };
        name_segment(files, dir, names, header, prepared, &preparer.path())
    });
    let segment = Arc::new(named?);
    let recovery = Recovery { created: true, ..Recovery::default() };
    Ok(Recovered { segments: vec![segment], end: 1, chain: 0, recovery })
}

/// Gives the prepared file its header and then its name, durably (W4).
fn name_segment(
    files: &Arc<OpenFiles>,
    dir: &Path,
    names: &dyn DiskDir,
    header: SegmentHeader,
    Prepared { file, .. }: Prepared,
    temporary: &Path,
) -> Result<Segment, Error> {
    let path = segment_path(dir, header.id);
    file.write_at(0, &header.encode()).context("write", temporary)?;
    file.sync_data().context("sync", temporary)?;
    files.disk().rename(temporary, &path).context("rename", temporary)?;
    names.sync().context("sync", dir)?;
    Ok(Segment::new(files.clone(), path, file, header))
}
