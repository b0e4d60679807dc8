//! Opening a file: which page size, and which of the two meta pages.

use crate::digest::bytes_without_digest;
use crate::error::PageKinds;
use crate::format::{HEADER_BYTES, Header, META_BYTES, Meta, MetaFault, PageId, PageKind};
use crate::limits::{PAGE_BYTES_MAX, PAGE_BYTES_MIN, RUN_BYTES_MAX_DEFAULT};
use crate::source::{length, read};
use crate::{Error, ReadAt, Reason};

/// What a reader takes.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Longest run of pages that is taken into memory, in bytes, and so also the limit for a key and its value. The
    /// branches above a run have the same limit for all of them together.
    pub run_bytes_max: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { run_bytes_max: RUN_BYTES_MAX_DEFAULT }
    }
}

/// A database file that is open for reading.
///
/// It holds no lock, and sees a file that a server writes to as it is at the moment: to read such a file, stop the
/// server or take a backup.
#[derive(Debug)]
pub struct Db<S> {
    pub(super) source: S,
    pub(super) options: Options,
    meta: Meta,
}

impl<S: ReadAt> Db<S> {
    /// Opens a file with the default [`Options`].
    ///
    /// # Errors
    /// When it cannot be read, when no meta page is valid, and when the file is shorter than the valid one says.
    pub fn open(source: S) -> Result<Self, Error> {
        Self::open_with(source, Options::default())
    }

    /// Opens a file.
    ///
    /// # Errors
    /// As [`Db::open`].
    pub fn open_with(source: S, options: Options) -> Result<Self, Error> {
        let bytes = bytes_without_digest(length(&source)?);
        let (id, meta) = choose(&Metas { source: &source, bytes })?;
        check_meta(&source, id, &meta, bytes)?;
        Ok(Self { source, options, meta })
    }

    /// Returns what the root of the file says.
    pub const fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Returns the length of the database in bytes, free pages included: etcd's `totalSize` and `dbSize`. The file may be
    /// longer, by a digest or by space that a server has set aside.
    pub const fn bytes(&self) -> u64 {
        self.meta.pages * self.meta.page_size.bytes() as u64
    }
}

/// Meta pages of a source.
struct Metas<'s, S> {
    source: &'s S,
    /// Length without a digest.
    bytes: u64,
}

impl<S: ReadAt> Metas<'_, S> {
    /// Reads the meta page at a place in the file.
    fn read(&self, offset: u64) -> Result<Result<Meta, Reason>, Error> {
        if self.bytes < offset.saturating_add(META_BYTES as u64) {
            return Ok(Err(Reason::TooShort { bytes: self.bytes }));
        }
        let mut page = [0; META_BYTES];
        read(self.source, &mut page, offset)?;
        Ok(Meta::read(&page).map_err(Reason::from))
    }

    /// Finds a valid meta page where bbolt looks for one: at the front, then where page 1 may begin.
    fn first(&self) -> Result<Meta, Error> {
        let refused = match self.read(0)? {
            Ok(meta) => return Ok(meta),
            Err(reason) => reason,
        };
        let mut page_bytes = PAGE_BYTES_MIN;
        while page_bytes <= PAGE_BYTES_MAX {
            if let Ok(meta) = self.read(page_bytes.into())? {
                return Ok(meta);
            }
            page_bytes *= 2;
        }
        Err(Error::page(PageId(0), 0, refused))
    }
}

/// Chooses between the two meta pages: the valid one, or of two the newer.
fn choose<S: ReadAt>(metas: &Metas<'_, S>) -> Result<(PageId, Meta), Error> {
    let second_at = PageId(1).offset(metas.first()?.page_size);
    match (metas.read(0)?, metas.read(second_at)?) {
        (Ok(first), Ok(second)) if second.txid > first.txid => Ok((PageId(1), second)),
        (Ok(first), _) => Ok((PageId(0), first)),
        (Err(_), Ok(second)) => Ok((PageId(1), second)),
        (Err(reason), Err(_)) => Err(Error::page(PageId(0), 0, reason)),
    }
}

/// Checks what the root says against the file.
fn check_meta<S: ReadAt>(source: &S, id: PageId, meta: &Meta, bytes: u64) -> Result<(), Error> {
    let offset = id.offset(meta.page_size);
    let fault = |reason| Err(Error::page(id, offset, reason));
    let mut header = [0; HEADER_BYTES];
    read(source, &mut header, offset)?;
    let header = Header::read(&header);
    if header.id != id {
        return fault(Reason::Id { found: header.id });
    }
    if !header.is(PageKind::Meta) {
        return fault(Reason::Kind { found: header.flags, expected: PageKinds::One(PageKind::Meta) });
    }
    let page_bytes = meta.page_size.bytes();
    if meta.pages.checked_mul(page_bytes.into()).is_none_or(|needed| needed > bytes) {
        return fault(Reason::PagesBeyondFile { pages: meta.pages, page_bytes, bytes });
    }
    for target in [Some(meta.root), meta.free_list].into_iter().flatten() {
        if !meta.has(target) {
            return fault(Reason::TargetOutside { target, pages: meta.pages });
        }
    }
    Ok(())
}

impl Meta {
    /// Returns whether a page of the tree or the free list may be this one.
    pub(super) const fn has(&self, target: PageId) -> bool {
        target.0 >= PageId::FIRST.0 && target.0 < self.pages
    }
}

impl From<MetaFault> for Reason {
    fn from(fault: MetaFault) -> Self {
        match fault {
            fault if fault.is_big_endian() => Self::BigEndian,
            MetaFault::Magic(found) => Self::Magic { found },
            MetaFault::Version(found) => Self::Version { found },
            MetaFault::Checksum { stored, computed } => Self::MetaChecksum { stored, computed },
            MetaFault::PageSize(found) => Self::PageSize { found },
        }
    }
}
