//! The pending part of the log: an image of the sectors that the next write puts behind those of the file.

use crate::limits::PENDING_BYTES_MAX;
use crate::record::{Header, RECORD_HEADER_BYTES};
use crate::sector::{self, BODY, SECTOR, Stamper};

/// Sectors in the making. Parts are copied once, straight to where they will lie in the file.
#[derive(Debug)]
pub(crate) struct Image {
    stamper: Stamper,
    bytes: Vec<u8>,
    /// Number of the sector with which `bytes` begins.
    first: u32,
    /// Number of the sector with which the current batch began.
    start: u32,
}

impl Image {
    /// An empty image behind the sectors before `first`, all of them synced.
    pub(crate) fn new(stamper: Stamper, first: u32) -> Self {
        Self { stamper, bytes: Vec::new(), first, start: first }
    }

    /// Goes on in another file behind the sectors before `first`, all of them synced. The memory is used again: what
    /// begins a segment is often the middle of a long run of appends.
    pub(crate) fn restart(&mut self, stamper: Stamper, first: u32) {
        self.bytes.clear();
        let bytes = std::mem::take(&mut self.bytes);
        *self = Self { stamper, bytes, first, start: first };
    }

    /// Offset in the file where the next byte goes.
    pub(crate) fn end(&self) -> u64 {
        let end = u64::from(self.first) * SECTOR as u64 + self.bytes.len() as u64;
        if self.is_aligned() { sector::body_of(sector::sector_of(end)) } else { end }
    }

    /// The sectors to write, padded, and their offset in the file; `None` if there is nothing to write.
    pub(crate) fn pad(&mut self) -> Option<(u64, &[u8])> {
        self.bytes.resize(self.bytes.len().next_multiple_of(SECTOR), 0);
        let offset = u64::from(self.first) * SECTOR as u64;
        (!self.bytes.is_empty()).then_some((offset, &self.bytes))
    }

    /// Forgets the sectors: the file has them.
    pub(crate) fn written(&mut self) {
        debug_assert!(self.is_aligned(), "only padded sectors are written");
        self.first += (self.bytes.len() / SECTOR) as u32;
        self.bytes.clear();
        // One very long record must not keep its memory.
        self.bytes.shrink_to(4 * PENDING_BYTES_MAX);
    }

    /// Begins the next batch: everything written so far was synced.
    pub(crate) fn synced(&mut self) {
        debug_assert!(self.bytes.is_empty(), "a sync covers what was written before");
        self.start = self.first;
    }

    pub(crate) fn pending_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Adds a record and returns the chain for the next one.
    pub(crate) fn put_record(&mut self, header: &Header, payload: &[&[u8]]) -> u32 {
        let (bytes, crc) = header.encode();
        let stream = RECORD_HEADER_BYTES + header.length as usize;
        self.bytes.reserve((stream / BODY + 2) * SECTOR);
        self.put(&bytes);
        for part in payload {
            self.put(part);
        }
        crc
    }

    /// Adds a sector without a record: what is found behind a batch proves that the batch was synced.
    pub(crate) fn put_witness(&mut self) {
        debug_assert!(self.is_aligned(), "a witness is a sector of its own");
        self.put_stamp();
    }

    fn put(&mut self, mut part: &[u8]) {
        while !part.is_empty() {
            if self.is_aligned() {
                self.put_stamp();
            }
            let room = SECTOR - self.bytes.len() % SECTOR;
            let (now, later) = part.split_at(part.len().min(room));
            self.bytes.extend_from_slice(now);
            part = later;
        }
    }

    fn put_stamp(&mut self) {
        let sector = self.first + (self.bytes.len() / SECTOR) as u32;
        self.bytes.extend_from_slice(&self.stamper.stamp(sector, self.start));
    }

    fn is_aligned(&self) -> bool {
        self.bytes.len().is_multiple_of(SECTOR)
    }
}
