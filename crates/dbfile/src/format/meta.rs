//! Meta pages: the two roots of a file, of which a commit replaces the older.
//!
//! ```text
//! 16 magic u32 │ 20 version u32 │ 24 page size u32 │ 28 flags u32
//! 32 root page u64 │ 40 sequence u64 │ 48 free list u64 │ 56 pages u64 │ 64 txid u64 │ 72 checksum u64
//! ```
//!
//! The checksum is FNV-1a over bytes 16 to 71.

use super::{HEADER_BYTES, Header, PageId, PageKind, PageSize, u32_at, u64_at};

/// Bytes of a meta page that mean something, header included.
pub(crate) const META_BYTES: usize = 80;

const MAGIC: u32 = 0xed0c_daed;
const VERSION: u32 = 2;
const CHECKSUM_AT: usize = 72;

/// What the root of a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// Length of a page.
    pub page_size: PageSize,
    /// Top of the tree of buckets.
    pub root: PageId,
    /// The list of free pages; `None` if it is not stored, as in files that etcd writes.
    pub free_list: Option<PageId>,
    /// Pages in use or free: the number of the first page never used.
    pub pages: u64,
    /// Number of the commit.
    pub txid: u64,
}

/// Why a page is no valid meta page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetaFault {
    Magic(u32),
    Version(u32),
    Checksum { stored: u64, computed: u64 },
    PageSize(u32),
}

impl MetaFault {
    pub(crate) const fn is_big_endian(self) -> bool {
        matches!(self, Self::Magic(found) if found == MAGIC.swap_bytes())
    }
}

impl Meta {
    /// Reads the first [`META_BYTES`] of a page. As in bbolt, the header of the page is not looked at.
    pub(crate) fn read(page: &[u8]) -> Result<Self, MetaFault> {
        let (magic, version) = (u32_at(page, 16), u32_at(page, 20));
        if magic != MAGIC {
            return Err(MetaFault::Magic(magic));
        }
        if version != VERSION {
            return Err(MetaFault::Version(version));
        }
        let (stored, computed) = (u64_at(page, CHECKSUM_AT), checksum(page));
        if stored != computed {
            return Err(MetaFault::Checksum { stored, computed });
        }
        let page_bytes = u32_at(page, 24);
        let page_size = PageSize::new(page_bytes).ok_or(MetaFault::PageSize(page_bytes))?;
        let free_list = PageId(u64_at(page, 48));
        Ok(Self {
            page_size,
            root: PageId(u64_at(page, 32)),
            free_list: (free_list != PageId::NONE).then_some(free_list),
            pages: u64_at(page, 56),
            txid: u64_at(page, 64),
        })
    }

    /// Returns the bytes of the meta page `id`, as far as they mean something.
    pub(crate) fn bytes(&self, id: PageId) -> [u8; META_BYTES] {
        let mut page = [0; META_BYTES];
        let header = Header { id, flags: PageKind::Meta.flags(), count: 0, overflow: 0 };
        page[..HEADER_BYTES].copy_from_slice(&header.bytes());
        page[16..20].copy_from_slice(&MAGIC.to_le_bytes());
        page[20..24].copy_from_slice(&VERSION.to_le_bytes());
        page[24..28].copy_from_slice(&self.page_size.bytes().to_le_bytes());
        page[32..40].copy_from_slice(&self.root.0.to_le_bytes());
        page[48..56].copy_from_slice(&self.free_list.unwrap_or(PageId::NONE).0.to_le_bytes());
        page[56..64].copy_from_slice(&self.pages.to_le_bytes());
        page[64..72].copy_from_slice(&self.txid.to_le_bytes());
        seal_meta(&mut page);
        page
    }
}

/// Gives a meta page the checksum that goes with its content. One that is cut short is left as it is.
pub(crate) fn seal_meta(page: &mut [u8]) {
    if page.len() >= META_BYTES {
        let checksum = checksum(page);
        page[CHECKSUM_AT..META_BYTES].copy_from_slice(&checksum.to_le_bytes());
    }
}

/// FNV-1a of a meta page's content.
fn checksum(page: &[u8]) -> u64 {
    page[HEADER_BYTES..CHECKSUM_AT]
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    const META: Meta = Meta {
        page_size: PageSize::new(4096).unwrap(),
        root: PageId(3),
        free_list: Some(PageId(2)),
        pages: 6,
        txid: 2,
    };

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(Meta::read(&META.bytes(PageId(0))), Ok(META));
        let unlisted = Meta { free_list: None, ..META };
        assert_eq!(Meta::read(&unlisted.bytes(PageId(1))), Ok(unlisted));
    }

    #[test]
    fn every_flipped_bit_of_the_content_is_found() {
        let page = META.bytes(PageId(0));
        for bit in HEADER_BYTES * 8..META_BYTES * 8 {
            let mut flipped = page;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Meta::read(&flipped).is_err(), "bit {bit}");
        }
    }
}
