//! The parts of an inspection, and who reads them.
//!
//! What a segment holds does not depend on the others, so segments can be read at the same time. What is seen is shown in
//! the order of the log all the same: a reader hands over batches, and the batches of a segment follow those of the segment
//! before it. There is no thread in this crate: [`Readers`] brings those that there are.

use super::segment::{self, Opened, Seal};
use super::{Finding, Seen, SegmentSeen, damage};
use crate::Record;
use crate::sector::SECTOR;
use crate::segment::SegmentHeader;

/// What is handed over at a time: enough that handing over costs nothing, and little memory.
const BATCH_ITEMS: usize = 512;

/// Who reads the segments of a log under inspection.
pub trait Readers {
    /// Reads all parts, and hands what is in them to `take`: the batches of a part in the order in which it gave them, and
    /// the parts one after the other.
    fn read<'a>(&self, parts: &[Part<'a>], take: &mut dyn FnMut(Batch<'a>));
}

/// Reads one part after the other, in the thread that calls.
#[derive(Debug, Clone, Copy)]
pub struct InTurn;

impl Readers for InTurn {
    fn read<'a>(&self, parts: &[Part<'a>], take: &mut dyn FnMut(Batch<'a>)) {
        parts.iter().for_each(|part| part.read(take));
    }
}

/// A segment that is to be read.
pub struct Part<'a> {
    segment: &'a Opened,
    seal: Seal,
}

impl<'a> Part<'a> {
    /// Returns the parts of a log whose segments are these, oldest first.
    pub(super) fn of(live: &'a [Opened]) -> Vec<Self> {
        let part = |(place, segment)| Part { segment, seal: Seal::of(live.get(place + 1), segment) };
        live.iter().enumerate().map(part).collect()
    }

    /// Reads the segment and hands over what is in it. It is in memory as a whole until this returns, and for as long as
    /// one of its records is.
    pub fn read(&self, take: &mut dyn FnMut(Batch<'a>)) {
        let mut batch = Batch::default();
        let Some(header) = &self.segment.header else {
            // Without it stamps cannot be checked, nor can the records be believed to belong here.
            batch.0.extend([Item::Gap, Item::End(None)]);
            return take(batch);
        };
        batch.0.push(self.beginning(header));
        let end = segment::walk(self.segment, header, &self.seal, &mut |seen| {
            batch.0.extend(Item::of(seen));
            if batch.0.len() >= BATCH_ITEMS {
                take(std::mem::take(&mut batch));
            }
        });
        batch.0.push(Item::End(end));
        take(batch);
    }

    fn beginning(&self, header: &SegmentHeader) -> Item<'a> {
        Item::Segment {
            seen: SegmentSeen {
                id: header.id,
                path: &self.segment.path,
                file_bytes: self.segment.file_bytes,
                identity: header.identity,
                is_sealed: !matches!(self.seal, Seal::Open),
            },
            follows: header.predecessor.map(|_| header.chain),
        }
    }
}

/// Some of what a segment holds.
#[derive(Debug, Default)]
pub struct Batch<'a>(Vec<Item<'a>>);

#[derive(Debug)]
enum Item<'a> {
    /// A segment begins. `follows`: the chain that it goes on from, if there is a segment before it.
    Segment {
        seen: SegmentSeen<'a>,
        follows: Option<u32>,
    },
    Read(u64),
    Record(Record),
    Gap,
    Finding(Finding),
    /// The chain behind the last record; `None` behind a gap.
    End(Option<u32>),
}

impl Item<'_> {
    /// Returns what was seen in a segment, to be kept. `None`: it is nothing that is seen there.
    fn of(seen: Seen<'_>) -> Option<Self> {
        match seen {
            Seen::Read(bytes) => Some(Item::Read(bytes)),
            Seen::Record(record) => Some(Item::Record(record.clone())),
            Seen::Gap => Some(Item::Gap),
            Seen::Finding(finding) => Some(Item::Finding(finding)),
            Seen::Segment(_) => None,
        }
    }
}

/// What goes on from one segment to the next.
#[derive(Default)]
pub(super) struct Joint {
    /// Header CRC of the last record; `None` behind a gap and at the start.
    chain: Option<u32>,
}

impl Joint {
    /// Shows a batch, and holds the beginning of a segment against the end of the one before it.
    pub(super) fn show(&mut self, batch: Batch<'_>, see: &mut dyn FnMut(Seen<'_>)) {
        for item in batch.0 {
            match item {
                Item::Segment { seen, follows } => {
                    see(Seen::Segment(seen));
                    if self.chain.is_some() && follows.is_some() && self.chain != follows {
                        let what = "the segment does not follow the one before it";
                        see(damage(seen.path, 0, SECTOR as u64, what));
                    }
                }
                Item::Read(bytes) => see(Seen::Read(bytes)),
                Item::Record(record) => see(Seen::Record(&record)),
                Item::Gap => see(Seen::Gap),
                Item::Finding(finding) => see(Seen::Finding(finding)),
                Item::End(chain) => self.chain = chain,
            }
        }
    }
}
