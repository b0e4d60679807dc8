//! The receiving end: from chunks to the directory of a store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use wal::Disk;

use super::SnapshotId;
use super::format::{
    CHUNK_HEADER_BYTES, CONTENT_BYTES_MAX, End, FORMAT, Header, Kind, RECORD_HEADER_BYTES, open_chunk,
};
use crate::build::{self, HistoryWriter};
use crate::checkpoint::{Mark, ends_with};
use crate::history::{self, Payload};
use crate::index::Entry;
use crate::open::DATABASE;
use crate::record::Fields;
use crate::state_hash::{self, StateHash};
use crate::tables::{Loader, Pair};
use crate::{Change, Error, Options, Revision, encoding};

/// Why a snapshot is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A chunk is not what it should be. The import is over, unless it is only damaged or not the next one: then the right
    /// one can be pushed still.
    #[error("chunk {number} of the snapshot: {what}")]
    Chunk {
        /// The chunk expected.
        number: u32,
        /// What is wrong.
        what: &'static str,
    },
    /// A newer version made it.
    #[error("the snapshot has format {found}, and this version reads formats up to {known}")]
    NewerFormat {
        /// Its format.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// It cannot be stored.
    #[error(transparent)]
    Store(#[from] Error),
}

/// A store being built from the chunks of a snapshot.
///
/// Chunks are taken in order, from 0. Whatever they are, the import neither panics nor takes more memory than a chunk, a
/// record and some tens of MiB of pages. After [`finish`](Self::finish) the directory is a store's, and
/// [`Store::open`](crate::Store::open) opens it; before, and after a crash at any point, there is no database in it, and
/// [`replace_store`](super::replace_store) refuses it. Dropped, it leaves its files: see
/// [`discard_incoming`](super::discard_incoming).
pub struct SnapshotImport {
    dir: PathBuf,
    options: Options,
    loader: Loader,
    changes: Changes,
    /// Number of the next chunk.
    number: u32,
    /// Of the chunks so far.
    hash: u128,
    /// The beginning of a record that goes on in the next chunk.
    partial: Vec<u8>,
    content: Content,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The last chunk was taken.
    Ended,
    Failed,
}

/// What has come so far.
#[derive(Default)]
struct Content {
    header: Option<Header>,
    last_kind: Option<Kind>,
    /// The last row's or key's key.
    last_key: Vec<u8>,
    rows: u64,
    row_hash: StateHash,
    keys: u64,
    key_hash: StateHash,
    changes: u64,
}

/// The history being written.
struct Changes(HistoryWriter);

/// What a chunk brings for the database.
#[derive(Default)]
struct Records<'a> {
    rows: Vec<(&'a [u8], &'a [u8])>,
    pairs: Vec<Pair<'a>>,
}

type Checked<T> = Result<T, &'static str>;

/// Why a record is not taken.
enum Refused {
    Content(&'static str),
    NewerFormat(u32),
    Store(Error),
}

impl From<&'static str> for Refused {
    fn from(what: &'static str) -> Self {
        Self::Content(what)
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl SnapshotImport {
    /// Begins to build a store in `dir`, which is emptied first. The options are those that it will be opened with.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn begin(disk: Arc<dyn Disk>, dir: &Path, options: Options) -> Result<Self, Error> {
        let (loader, history) = build::empty_store(disk, dir, options)?;
        Ok(Self {
            dir: dir.to_owned(),
            options,
            loader,
            changes: Changes(history),
            number: 0,
            hash: 0,
            partial: Vec::new(),
            content: Content::default(),
            state: State::Open,
        })
    }

    /// Where it is built.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The chunk that it takes next: all before it are in.
    #[must_use]
    pub fn next_chunk(&self) -> u32 {
        self.number
    }

    /// Whether the last chunk was taken: [`finish`](Self::finish) is next.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.state == State::Ended
    }

    /// Which snapshot it is, as soon as that is known.
    #[must_use]
    pub fn id(&self) -> Option<SnapshotId> {
        self.content.header.map(|header| header.id())
    }

    fn refuse(&self, what: &'static str) -> ImportError {
        ImportError::Chunk { number: self.number, what }
    }

    /// Takes the next chunk. Blocks on the disk.
    ///
    /// # Errors
    /// [`ImportError::Chunk`] for what is damaged, out of order or contradicts itself, and those of the disk.
    pub fn push(&mut self, chunk: Bytes) -> Result<(), ImportError> {
        if self.state != State::Open {
            return Err(self.refuse("the import is over"));
        }
        let Some((number, _)) = open_chunk(&chunk) else {
            return Err(self.refuse("it does not match its checksum"));
        };
        if number != self.number {
            return Err(self.refuse("it is not the next one"));
        }
        let taken = self.take(chunk.slice(CHUNK_HEADER_BYTES..));
        if taken.is_err() {
            self.state = State::Failed;
        }
        taken.map_err(|refused| match refused {
            Refused::Content(what) => self.refuse(what),
            Refused::NewerFormat(found) => ImportError::NewerFormat { found, known: FORMAT },
            Refused::Store(error) => ImportError::Store(error),
        })?;
        self.number += 1;
        Ok(())
    }

    fn take(&mut self, payload: Bytes) -> Result<(), Refused> {
        if self.partial.is_empty() && payload.first() == Some(&(Kind::End as u8)) {
            return Ok(self.take_end(&payload)?);
        }
        self.hash = state_hash::of_chunks(self.hash, &payload);
        let mut stream = payload;
        if !self.partial.is_empty() {
            self.partial.extend_from_slice(&stream);
            if matches!(next_record(&self.partial)?, Next::Cut) {
                return Ok(());
            }
            stream = std::mem::take(&mut self.partial).into();
        }
        let whole = stream.clone();
        let mut records = Records::default();
        while let Next::Record(kind, length) = next_record(&stream)? {
            let place = whole.len() - stream.len() + RECORD_HEADER_BYTES;
            stream.advance(RECORD_HEADER_BYTES + length);
            self.take_record(kind, &whole, place, length, &mut records)?;
        }
        self.partial = stream.to_vec();
        if !records.rows.is_empty() {
            self.loader.put_rows(&records.rows)?;
        }
        if !records.pairs.is_empty() {
            self.loader.put_pairs(&records.pairs)?;
        }
        Ok(())
    }

    fn take_record<'a>(
        &mut self,
        kind: Kind,
        stream: &'a Bytes,
        place: usize,
        length: usize,
        records: &mut Records<'a>,
    ) -> Result<(), Refused> {
        let content = &stream[place..place + length];
        let before = self.content.last_kind.replace(kind);
        let header = match (before, kind, self.content.header) {
            (None, Kind::Header, _) => {
                let header = Header::decode(content).map_err(Refused::NewerFormat)?;
                let header = header.ok_or("its header makes no sense")?;
                self.content.header = Some(header);
                self.changes.0.start_behind(header.floor());
                return Ok(());
            }
            (Some(before), Kind::Row | Kind::Key | Kind::Change, Some(header)) if before <= kind => header,
            _ => return Err("its records are not in order".into()),
        };
        if before != Some(kind) {
            self.content.last_key.clear();
        }
        match kind {
            Kind::Row => records.rows.push(self.content.row(content, before == Some(kind))?),
            Kind::Key => records.pairs.push(self.content.pair(content, &header, before == Some(kind))?),
            _ => {
                let change = self.changes.parse(stream.slice(place..place + length), &header)?;
                self.changes.0.append(&change)?;
                self.content.changes += 1;
            }
        }
        Ok(())
    }

    /// The last chunk: all that was said at the beginning must have come.
    fn take_end(&mut self, payload: &[u8]) -> Checked<()> {
        let end = match next_record(payload)? {
            Next::Record(Kind::End, length) if payload.len() == RECORD_HEADER_BYTES + length => {
                End::decode(&payload[RECORD_HEADER_BYTES..])
            }
            _ => None,
        };
        let expected = End { chunks: self.number, changes: self.content.changes, hash: self.hash };
        if end != Some(expected) {
            return Err("the chunks are not those that the end speaks of");
        }
        let header = self.content.header.ok_or("it ends before it begins")?;
        if !ends_with(self.changes.0.last(), header.revision, header.compact_revision) {
            return Err("the history does not end with the revision");
        }
        let Content { rows, row_hash, keys, key_hash, .. } = self.content;
        if (rows, row_hash) != (header.rows, header.row_hash) {
            return Err("the rows are not those that the header speaks of");
        }
        if (keys, key_hash) != (header.keys, header.key_hash) {
            return Err("the keys are not those that the header speaks of");
        }
        self.state = State::Ended;
        Ok(())
    }

    /// Makes all of it durable, and a store of it. Returns which snapshot it is.
    ///
    /// # Errors
    /// If chunks are missing, and those of the disk.
    pub fn finish(self) -> Result<SnapshotId, ImportError> {
        let header = match self.content.header {
            Some(header) if self.state == State::Ended => header,
            _ => return Err(self.refuse("it is missing")),
        };
        let Self { dir, options, loader, changes, .. } = self;
        let written = changes.0.finish()?;
        let mark = Mark {
            revision: header.revision,
            compact_revision: header.compact_revision,
            applied: header.applied,
            keys: header.keys,
            key_hash: header.key_hash,
            rows: header.rows,
            row_hash: header.row_hash,
            ..written.mark(options.identity)
        };
        loader.finish(mark.encode(), &dir.join(DATABASE))?;
        Ok(header.id())
    }
}

/// What a stream begins with.
enum Next {
    /// A whole record: its kind and the length of its content.
    Record(Kind, usize),
    /// A record that goes on in the next chunk, or nothing.
    Cut,
}

fn next_record(stream: &[u8]) -> Checked<Next> {
    let mut fields = Fields(stream);
    let (Some(kind), Some(length)) = (fields.u8(), fields.u32()) else { return Ok(Next::Cut) };
    let kind = Kind::of(kind).ok_or("a record of an unknown kind")?;
    let length = length as usize;
    if length > CONTENT_BYTES_MAX {
        return Err("a record is too long");
    }
    Ok(if fields.0.len() < length { Next::Cut } else { Next::Record(kind, length) })
}

/// Takes a key off the front, with its length before it.
fn keyed(content: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut fields = Fields(content);
    let length = fields.u32()? as usize;
    Some((fields.bytes(length)?, fields.0))
}

/// Bytes of the record of an entry.
const ENTRY_BYTES: usize = 52;

impl Content {
    fn row<'a>(&mut self, content: &'a [u8], is_next: bool) -> Checked<(&'a [u8], &'a [u8])> {
        let (key, value) = keyed(content).ok_or("a row makes no sense")?;
        let (table, row) = key.split_first().ok_or("a row has no table")?;
        self.follow(key, is_next)?;
        self.rows += 1;
        self.row_hash += state_hash::of_row(*table, row, value);
        Ok((key, value))
    }

    fn pair<'a>(&mut self, content: &'a [u8], header: &Header, is_next: bool) -> Checked<Pair<'a>> {
        let (key, records) = keyed(content).ok_or("a key makes no sense")?;
        let (entry, value) = records.split_at_checked(ENTRY_BYTES).ok_or("a key makes no sense")?;
        let pair = Pair::check(key, entry, value)?;
        self.follow(key, is_next)?;
        let Entry { create_revision, mod_revision, version, .. } = pair.entry;
        let is_possible =
            (2..=mod_revision).contains(&create_revision) && mod_revision <= header.revision && version > 0;
        if !is_possible {
            return Err("a key has impossible revisions");
        }
        self.keys += 1;
        self.key_hash += state_hash::of_key(state_hash::digest(key), &pair.entry);
        Ok(pair)
    }

    /// Checks that keys ascend.
    fn follow(&mut self, key: &[u8], is_next: bool) -> Checked<()> {
        if is_next && key <= &self.last_key[..] {
            return Err("keys are not in order");
        }
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        Ok(())
    }
}

impl Changes {
    /// Reads a change that must be the next one.
    fn parse(&self, mut content: Bytes, header: &Header) -> Checked<Change> {
        let mut fields = Fields(&content);
        let (Some(main), Some(sub)) = (fields.i64(), fields.u32()) else {
            return Err("a change makes no sense");
        };
        content.advance(12);
        let revision = Revision { main, sub };
        if !self.0.last().precedes_beyond(revision, header.compact_revision) || main > header.revision {
            return Err("a change is not the next one");
        }
        let change = history::parse_payload(revision, &content)
            .filter(|change| is_possible(change, header) && is_as_written(change, &content));
        change.ok_or("a change makes no sense")
    }
}

fn is_possible(change: &Change, header: &Header) -> bool {
    let main = change.revision.main;
    let after = change.after.as_ref().is_none_or(|after| {
        let meta = after.meta;
        meta.mod_revision.main == main && meta.create_revision <= main && meta.version > 0
    });
    let before = change.before.item().is_none_or(|before| {
        let is_kept = main > header.compact_revision;
        is_kept
            && before.meta.mod_revision.main < main
            && before.meta.version > 0
            && before.key_bytes() == change.key
    });
    after && before
}

/// Whether the bytes are those that this crate writes for the change.
fn is_as_written(change: &Change, content: &[u8]) -> bool {
    let written = Payload::of(change);
    let mut rest = content;
    let has_parts = written.parts().into_iter().all(|part| match rest.strip_prefix(part) {
        Some(more) => {
            rest = more;
            true
        }
        None => false,
    });
    let items = change.after.iter().chain(change.before.item());
    has_parts && rest.is_empty() && items.into_iter().all(|item| encoding::is_canonical(&item.encoded))
}
