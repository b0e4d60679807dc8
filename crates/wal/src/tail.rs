//! What the newest segment holds after a stop of any kind: pure functions over its bytes.
//!
//! The rule of [`sector`] decides. Let the *line* be the largest batch start that any sector carries.
//!
//! * Before the line everything was synced: an untouched sector, a damaged one, or a record that does not fit its
//!   checksums is corruption.
//! * From the line on lies the last batch. Its untouched sectors are what a torn write leaves; the log ends before the
//!   first record that needs one. A damaged sector, or a record whose sectors are all there and that does not fit its
//!   checksums, is corruption there, too: no torn write leaves that.
//!
//! What remains behind the end is to be zeroed, and the last batch to be written again: see [`Tail::erasures`] and
//! [`Tail::rewrites`].

use crate::record::{Found, Head, find};
use crate::sector::{self, BODY, SECTOR, STAMP, Stamper, State};

/// Damage that no crash explains.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) offset: u64,
    pub(crate) what: &'static str,
}

/// The intact part of a segment, and what lies behind it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    /// First sector behind the records.
    pub(crate) end: u32,
    /// Header CRC of the last record; the chain to go on with.
    pub(crate) chain: u32,
    pub(crate) first: Option<Head>,
    /// Where the last record starts.
    pub(crate) last: Option<u64>,
    /// Where a torn batch was cut off, and how many bytes of it were found.
    pub(crate) torn: Option<(u64, u64)>,
    /// Sectors that were never written and are not zero.
    pub(crate) stray: Vec<u32>,
    /// First sector of the last batch, which a sync may or may not have reached.
    line: u32,
    /// First sector behind the last that was written.
    written: u32,
    /// Bytes that count in the sector before `end`, if the torn batch goes on in it.
    partial: Option<usize>,
}

/// Looks at a segment's bytes from its first sector on. Sectors beyond `content` are zero, up to `sectors` in all.
pub(crate) fn examine(content: &[u8], sectors: u32, stamper: &Stamper, chain: u32) -> Result<Tail, Damage> {
    let survey = survey(content, stamper)?;
    let mut stream = Vec::new();
    sector::strip_stamps(&content[SECTOR..survey.whole as usize * SECTOR], &mut stream);
    let capacity = (sectors as usize - 1) * BODY;
    let walk = walk(&stream, capacity, survey.line, chain)?;
    let end = 1 + walk.end.div_ceil(BODY) as u32;
    let partial = Some(walk.end % BODY).filter(|bytes| *bytes != 0).map(|bytes| STAMP + bytes);
    let cut = sector::to_file((BODY + walk.end) as u64);
    let torn = partial.is_some() || survey.written > end;
    let torn_end = offset_of(survey.written);
    Ok(Tail {
        end,
        chain: walk.chain,
        first: walk.first,
        last: walk.last,
        torn: torn.then(|| (cut, torn_end.saturating_sub(cut))),
        stray: survey.stray,
        line: survey.line,
        written: survey.written,
        partial,
    })
}

/// The sectors of a segment, seen from outside.
struct Survey {
    line: u32,
    /// Sectors before this one are all written.
    whole: u32,
    /// The first sector behind the last written one.
    written: u32,
    stray: Vec<u32>,
}

fn survey(content: &[u8], stamper: &Stamper) -> Result<Survey, Damage> {
    let mut survey = Survey { line: 1, whole: 1, written: 1, stray: Vec::new() };
    for (sector, bytes) in (0u32..).zip(content.chunks_exact(SECTOR)).skip(1) {
        match stamper.state(sector, bytes) {
            State::Damaged => return Err(damage(sector, "a sector is damaged")),
            State::Untouched { stray: false } => {}
            State::Untouched { stray: true } => survey.stray.push(sector),
            State::Written { start } => survey.note(sector, start)?,
        }
    }
    // A stray bit in front of the last written sector is a hole in the torn batch, and repaired as such.
    survey.stray.retain(|sector| *sector >= survey.written);
    Ok(survey)
}

impl Survey {
    fn note(&mut self, sector: u32, start: u32) -> Result<(), Damage> {
        if start < self.line {
            return Err(damage(sector, "a batch goes on behind the next one"));
        }
        if start > self.whole {
            return Err(damage(self.whole, "a sector is missing from what was synced"));
        }
        if start > self.line && start < self.written {
            return Err(damage(sector, "a batch begins within the one before"));
        }
        if self.whole == sector {
            self.whole += 1;
        }
        self.line = start;
        self.written = sector + 1;
        Ok(())
    }
}

/// The records of a segment, seen from inside.
struct Walk {
    /// Bytes of the stream that hold intact records, and padding.
    end: usize,
    chain: u32,
    first: Option<Head>,
    last: Option<u64>,
}

/// Goes through the records of `stream`, which begins in sector 1.
fn walk(stream: &[u8], capacity: usize, line: u32, chain: u32) -> Result<Walk, Damage> {
    let mut walk = Walk { end: 0, chain, first: None, last: None };
    while walk.end < stream.len() {
        let at = walk.end;
        let offset = sector::to_file((BODY + at) as u64);
        match find(stream, at) {
            Found::Padding { next } => walk.end = next,
            Found::Record { header, .. } if header.chain != walk.chain => {
                return Err(Damage { offset, what: "a record does not follow the one before it" });
            }
            Found::Record { header, crc, payload } => {
                walk.end = payload.end;
                walk.chain = crc;
                walk.first.get_or_insert(header.head);
                walk.last = Some(offset);
            }
            Found::Damaged(what) => return Err(Damage { offset, what }),
            Found::Short { needs } if needs > capacity => {
                return Err(Damage { offset, what: "a record reaches beyond its segment" });
            }
            Found::Short { .. } if sector::sector_of(offset) < line => {
                return Err(Damage { offset, what: "a record that was synced is not all there" });
            }
            Found::Short { .. } => break,
        }
    }
    Ok(walk)
}

fn damage(sector: u32, what: &'static str) -> Damage {
    Damage { offset: offset_of(sector), what }
}

fn offset_of(sector: u32) -> u64 {
    u64::from(sector) * SECTOR as u64
}

impl Tail {
    /// Zeros over what is left of a torn batch, sector by sector, and over stray bits. To be synced before
    /// [`Tail::rewrites`]: as long as the sector in which the cut is has not changed, the record that goes on from there
    /// lacks what it lacked before, whichever of these sectors are zero already.
    pub(crate) fn erasures(&self) -> Vec<(u64, Vec<u8>)> {
        let torn = (self.end < self.written).then(|| (self.end, (self.written - self.end) as usize));
        let runs = torn.into_iter().chain(self.stray.iter().map(|sector| (*sector, 1)));
        runs.map(|(sector, count)| (offset_of(sector), vec![0; count * SECTOR])).collect()
    }

    /// The header and the last batch once more: its sync may have failed, and the page cache would not say so (W5). And
    /// the sector in which the cut is, without what is behind the cut.
    pub(crate) fn rewrites(&self, content: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let header = (0, content[..SECTOR].to_vec());
        let mut batch = content[offset_of(self.line) as usize..offset_of(self.end) as usize].to_vec();
        if let Some(bytes) = self.partial {
            let cut = batch.len() - SECTOR + bytes;
            batch[cut..].fill(0);
        }
        let batch = (offset_of(self.line), batch);
        [header, batch].into_iter().filter(|(_, bytes)| !bytes.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sectors from 1 on, none of which holds a record: the number of the batch's start, `.` untouched, `~` untouched but
    /// for a bit, `!` damaged.
    fn sectors(picture: &str, stamper: &Stamper) -> Vec<u8> {
        let mut content = vec![0xaa; SECTOR];
        for (sector, mark) in (1u32..).zip(picture.split_whitespace()) {
            let mut bytes = [0; SECTOR];
            match mark {
                "." => {}
                "~" => bytes[100] = 4,
                "!" => bytes[..20].fill(0x55),
                start => bytes[..STAMP].copy_from_slice(&stamper.stamp(sector, start.parse().unwrap())),
            }
            content.extend(bytes);
        }
        content
    }

    #[test]
    fn the_line_decides_what_is_torn_and_what_is_damage() {
        // The sector with which the log goes on, and whether something was torn; or the damaged one.
        type Expected = Result<(u32, bool), u32>;
        let cases: [(&str, Expected); 18] = [
            ("", Ok((1, false))),
            ("1", Ok((2, false))),
            ("1 1 1", Ok((4, false))),
            ("1 1 3 4 4", Ok((6, false))),
            // A torn last batch: its first sector missing, one in the middle, all but the last.
            ("1 1 . 3", Ok((3, true))),
            ("1 1 3 . 3", Ok((4, true))),
            ("1 1 . . . 3", Ok((3, true))),
            (". 1", Ok((1, true))),
            // Bits that flipped behind everything, and in a hole.
            ("1 . ~", Ok((2, false))),
            ("1 2 ~ 2", Ok((3, true))),
            // What came before the last batch had been synced.
            ("1 . 3", Err(2)),
            (". 2", Err(1)),
            ("1 ~ 3 3", Err(2)),
            ("1 1 3 . 5", Err(4)),
            // No torn write leaves a damaged sector, wherever it is.
            ("1 ! 3", Err(2)),
            ("1 !", Err(2)),
            // Batches that are not one behind the other.
            ("1 1 3 1", Err(4)),
            ("1 1 2", Err(3)),
        ];
        let stamper = Stamper::new([1, 2], 3);
        for (picture, expected) in cases {
            let found = examine(&sectors(picture, &stamper), 64, &stamper, 0);
            let found = found.map(|tail| (tail.end, tail.torn.is_some()));
            let found = found.map_err(|damage| (damage.offset / SECTOR as u64) as u32);
            assert_eq!(found, expected, "{picture}");
        }
    }

    #[test]
    fn repairs_leave_a_log_that_ends_in_the_same_place() {
        let stamper = Stamper::new([1, 2], 3);
        for picture in ["1 1 . 3 . 3", ". 1 1", "1 2 2 . 2 . ~ .", "1 2 ~ 2"] {
            let mut content = sectors(picture, &stamper);
            let tail = examine(&content, 64, &stamper, 0).unwrap();
            let writes = [tail.erasures(), tail.rewrites(&content)].concat();
            for (offset, bytes) in writes {
                content[offset as usize..offset as usize + bytes.len()].copy_from_slice(&bytes);
            }
            let again = examine(&content, 64, &stamper, 0).unwrap();
            assert_eq!((again.end, again.torn, again.stray), (tail.end, None, vec![]), "{picture}");
        }
    }
}
