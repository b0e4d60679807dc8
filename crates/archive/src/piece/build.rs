//! Building a piece in memory: it is bounded, and its name is known only when all of it is.

use backup::Row;

use super::format::{END, HEADER, MAGIC, ROWS, SAMPLES, TABLE, encode_samples, put_bytes, put_section};
use super::{About, Header, Sample};
use crate::chain::{Digest, RowsDigest, link};
use crate::limits::SECTION_BYTES;
use crate::name::PieceName;

/// Takes the rows of a piece in their order.
#[derive(Debug)]
pub struct Builder {
    before: Digest,
    from: i64,
    to: i64,
    after: Digest,
    rows: Digest,
    /// The revision whose rows are coming.
    open: Option<(i64, RowsDigest)>,
    /// Full sections of rows.
    sections: Vec<u8>,
    section: Vec<u8>,
}

/// A piece that is finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Its name.
    pub name: PieceName,
    /// What it says of itself.
    pub header: Header,
    /// All of it.
    pub bytes: Vec<u8>,
}

impl Builder {
    /// Begins a piece that follows a revision with this chain.
    #[must_use]
    pub fn after(revision: i64, chain: Digest) -> Self {
        Self {
            before: chain,
            from: revision + 1,
            to: revision,
            after: chain,
            rows: RowsDigest::default().finish(),
            open: None,
            sections: Vec::new(),
            section: Vec::new(),
        }
    }

    /// Takes the next row, of a main revision.
    ///
    /// # Panics
    /// If a revision is missing before it: the caller reads a history that has all of them.
    pub fn row(&mut self, main: i64, key: &[u8], value: &[u8]) {
        if self.open.as_ref().is_none_or(|(open, _)| *open != main) {
            self.close();
            assert_eq!(main, self.to + 1, "the revisions of a piece have no gap");
            self.open = Some((main, RowsDigest::default()));
        }
        if let Some((_, digest)) = &mut self.open {
            digest.add(key, value);
        }
        put_bytes(&mut self.section, key);
        put_bytes(&mut self.section, value);
        if self.section.len() >= SECTION_BYTES {
            self.end_section();
        }
    }

    /// Bytes of the rows so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.sections.len() + self.section.len()
    }

    /// The last revision that a row came of.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.open.as_ref().map_or(self.to, |(open, _)| *open)
    }

    /// Whether there was no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.to < self.from && self.open.is_none()
    }

    /// Finishes the piece, of which there is at least one row. Tables are the buckets that etcd has
    /// beside that of the keys.
    #[must_use]
    pub fn finish<'t>(
        mut self,
        about: &About,
        tables: impl IntoIterator<Item = (&'static [u8], &'t [Row])>,
        samples: &[Sample],
    ) -> Built {
        self.close();
        self.end_section();
        let Self { before, from, to, after, rows, sections, .. } = self;
        let About { cluster, member, raft_term, raft_index, time } = *about;
        let header = Header { cluster, member, from, to, before, after, rows, raft_term, raft_index, time };
        let mut bytes = MAGIC.to_vec();
        put_section(&mut bytes, HEADER, &header.encoded());
        bytes.extend_from_slice(&sections);
        for (name, rows) in tables {
            put_table(&mut bytes, name, rows);
        }
        put_section(&mut bytes, SAMPLES, &encode_samples(samples));
        let digest = Digest::of(&bytes);
        put_section(&mut bytes, END, &digest.0);
        let tag = (digest.short() >> 32) as u32;
        let (before, after) = (before.short(), after.short());
        Built { name: PieceName { from, to, time, before, after, tag }, header, bytes }
    }

    fn close(&mut self) {
        if let Some((main, digest)) = self.open.take() {
            self.rows = digest.finish();
            self.after = link(&self.after, &self.rows);
            self.to = main;
        }
    }

    fn end_section(&mut self) {
        if !self.section.is_empty() {
            put_section(&mut self.sections, ROWS, &self.section);
            self.section.clear();
        }
    }
}

/// Appends a table, in as many sections as it takes: at least one, for it may be empty now and have
/// had rows before.
fn put_table(out: &mut Vec<u8>, name: &[u8], rows: &[Row]) {
    let mut rows = rows.iter().peekable();
    loop {
        let mut section = Vec::new();
        put_bytes(&mut section, name);
        while let Some((key, value)) = rows.next_if(|_| section.len() < SECTION_BYTES) {
            put_bytes(&mut section, key);
            put_bytes(&mut section, value);
        }
        put_section(out, TABLE, &section);
        if rows.peek().is_none() {
            return;
        }
    }
}
