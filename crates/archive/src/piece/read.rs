//! Reading a piece that may be anything: section by section, trusting nothing.

use std::io::{self, Read};

use backup::Row;
use dbfile::etcd::RevisionKey;
use sha2::{Digest as _, Sha256};

use super::format::{END, HEADER, MAGIC, ROWS, SAMPLES, TABLE, parse_samples, take_bytes};
use super::{Header, Sample};
use crate::chain::{Digest, RowsDigest, link};
use crate::limits::SECTION_BYTES_MAX;

/// Why a piece cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PieceError {
    /// Its bytes cannot be had.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// They are not those of a piece.
    #[error("at byte {offset}: {what}")]
    Wrong {
        /// Where.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
}

/// A part of a piece.
#[derive(Debug)]
pub enum Part<'p> {
    /// A row of the bucket of keys.
    Row(RevisionKey, &'p [u8], &'p [u8]),
    /// Rows of a table: all of it, or the first or next of its rows.
    Table(&'p [u8], Vec<Row>),
    /// What the newest revision was at some time.
    Sample(Sample),
}

/// A piece that is being read.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    header: Header,
    hasher: Sha256,
    offset: u64,
    /// The kind of the last section.
    last_kind: u8,
    /// The last row.
    last: Option<RevisionKey>,
    chain: Digest,
    rows: RowsDigest,
}

impl<R: Read> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// See [`PieceError`].
    pub fn open(mut source: R) -> Result<Self, PieceError> {
        let mut magic = [0; MAGIC.len()];
        let read = source.read_exact(&mut magic);
        if read.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::UnexpectedEof) {
            read?;
        }
        if magic != MAGIC {
            return Err(PieceError::Wrong { offset: 0, what: "it does not begin as a piece does" });
        }
        let mut hasher = Sha256::new();
        hasher.update(magic);
        let mut header = Vec::new();
        let (kind, bytes) = read_section(&mut source, &mut hasher, 0, &mut header)?;
        let parsed = (kind == HEADER).then(|| Header::parse(&header)).flatten();
        let wrong = PieceError::Wrong { offset: 8, what: "it has no header that makes sense" };
        let header = parsed.ok_or(wrong)?;
        Ok(Self {
            source,
            chain: header.before,
            header,
            hasher,
            offset: MAGIC.len() as u64 + bytes,
            last_kind: HEADER,
            last: None,
            rows: RowsDigest::default(),
        })
    }

    /// What the piece says of itself. Only [`for_each`](Self::for_each) finds out whether it is
    /// true.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Goes through all parts, and checks what the header says. A part that `take` gets before an
    /// error is not to be believed.
    ///
    /// # Errors
    /// Those of `take`, and see [`PieceError`].
    pub fn for_each<E: From<PieceError>>(
        mut self,
        mut take: impl FnMut(Part<'_>) -> Result<(), E>,
    ) -> Result<Header, E> {
        let mut content = Vec::new();
        loop {
            let digest = self.hasher.clone();
            let start = self.offset;
            let (kind, bytes) = read_section(&mut self.source, &mut self.hasher, start, &mut content)?;
            self.offset += bytes;
            let wrong = |what| E::from(PieceError::Wrong { offset: start, what });
            if kind < self.last_kind {
                return Err(wrong("a section is out of order"));
            }
            self.last_kind = kind;
            match kind {
                ROWS => self.take_rows(&content, start, &mut take)?,
                TABLE => {
                    let (name, rows) =
                        parse_table(&content).ok_or_else(|| wrong("a table makes no sense"))?;
                    take(Part::Table(name, rows))?;
                }
                SAMPLES => {
                    let samples = parse_samples(&content).ok_or_else(|| wrong("a sample makes no sense"))?;
                    samples.into_iter().try_for_each(|sample| take(Part::Sample(sample)))?;
                }
                END => {
                    let expected: [u8; 32] = digest.finalize().into();
                    self.check_end(&content, &expected).map_err(wrong)?;
                    return Ok(self.header);
                }
                _ => return Err(wrong("a section of a kind that is unknown")),
            }
        }
    }

    fn take_rows<E: From<PieceError>>(
        &mut self,
        mut content: &[u8],
        offset: u64,
        take: &mut impl FnMut(Part<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let wrong = |what| PieceError::Wrong { offset, what };
        while !content.is_empty() {
            let row = take_bytes(&mut content).zip(take_bytes(&mut content));
            let (key, value) = row.ok_or_else(|| wrong("a row ends behind its section"))?;
            let revision = RevisionKey::parse(key).map_err(|_| wrong("a row is of no revision"))?;
            self.follow(revision, key, value).map_err(wrong)?;
            take(Part::Row(revision, key, value))?;
        }
        Ok(())
    }

    /// Checks that a row follows the one before it.
    fn follow(&mut self, revision: RevisionKey, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        let RevisionKey { main, sub, .. } = revision;
        match self.last {
            Some(last) if last.main == main => {
                if sub != last.sub + 1 {
                    return Err("the rows of a revision are not in order");
                }
            }
            last => {
                let expected = last.map_or(self.header.from, |last| last.main + 1);
                if main != expected || sub != 0 || main > self.header.to {
                    return Err("a revision is missing, or there is one too many");
                }
                self.close();
            }
        }
        self.last = Some(revision);
        self.rows.add(key, value);
        Ok(())
    }

    /// Ends a revision; returns the digest of its rows.
    fn close(&mut self) -> Digest {
        let rows = std::mem::take(&mut self.rows).finish();
        if self.last.is_some() {
            self.chain = link(&self.chain, &rows);
        }
        rows
    }

    fn check_end(&mut self, content: &[u8], expected: &[u8; 32]) -> Result<(), &'static str> {
        if content != expected {
            return Err("it does not match its digest");
        }
        if self.source.read(&mut [0]).is_ok_and(|read| read > 0) {
            return Err("there is something behind its end");
        }
        if self.last.is_none_or(|last| last.main != self.header.to) {
            return Err("its last revisions are missing");
        }
        let rows = self.close();
        if rows != self.header.rows || self.chain != self.header.after {
            return Err("its rows are not those of its chain");
        }
        Ok(())
    }
}

/// Reads a section, and returns its kind and how many bytes it takes.
fn read_section(
    source: &mut impl Read,
    hasher: &mut Sha256,
    offset: u64,
    content: &mut Vec<u8>,
) -> Result<(u8, u64), PieceError> {
    let wrong = |what| PieceError::Wrong { offset, what };
    let mut head = [0; 5];
    read_all(source, &mut head, offset)?;
    let [kind, length @ ..] = head;
    let length = u32::from_le_bytes(length);
    if length > SECTION_BYTES_MAX {
        return Err(wrong("a section is longer than any"));
    }
    content.clear();
    // What is not there is not made room for.
    let read = source.by_ref().take(u64::from(length)).read_to_end(content)?;
    if read != length as usize {
        return Err(wrong("it ends within a section"));
    }
    let mut crc = [0; 4];
    read_all(source, &mut crc, offset)?;
    let mut crc_hasher = crc32fast::Hasher::new();
    crc_hasher.update(&head);
    crc_hasher.update(content);
    if crc_hasher.finalize() != u32::from_le_bytes(crc) {
        return Err(wrong("a section does not match its checksum"));
    }
    hasher.update(head);
    hasher.update(&*content);
    hasher.update(crc);
    Ok((kind, head.len() as u64 + u64::from(length) + crc.len() as u64))
}

fn read_all(source: &mut impl Read, buffer: &mut [u8], offset: u64) -> Result<(), PieceError> {
    source.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => PieceError::Wrong { offset, what: "it ends before its end" },
        _ => PieceError::Io(error),
    })
}

fn parse_table(mut content: &[u8]) -> Option<(&[u8], Vec<Row>)> {
    let name = take_bytes(&mut content)?;
    let mut rows = Vec::new();
    while !content.is_empty() {
        let (key, value) = take_bytes(&mut content).zip(take_bytes(&mut content))?;
        rows.push((key.to_vec(), value.to_vec()));
    }
    Some((name, rows))
}
