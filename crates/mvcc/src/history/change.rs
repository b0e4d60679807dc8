//! The record of a change.
//!
//! ```text
//!  0       1            5           9
//!  ├───────┼────────────┼───────────┼───────────────┬─────────────────┐
//!  │ flags │ before sub │ after len │ after         │ before (rest)   │
//!  └───────┴────────────┴───────────┴───────────────┴─────────────────┘
//!  flags: 1 = it is a tombstone, 2 = it has a before, 4 = of which the value is lost
//!  after: mvccpb.KeyValue; of a tombstone, with the key alone     before: mvccpb.KeyValue
//!  before, if its value is lost: 0 | value length 4 | mvccpb.KeyValue without the value
//! ```
//!
//! The zero is no tag of protobuf: a version that does not know the flag calls the record damaged, and does not show an empty
//! value.
//!
//! The revision is the record's number and tag in the log, whose CRCs cover everything.

use std::path::Path;

use bytes::Bytes;
use wal::{Position, Reader, Record};

use super::CHANGE;
use crate::before::Lost;
use crate::record::Fields;
use crate::{Before, Change, Error, Item, Revision, encoding};

const TOMBSTONE: u8 = 1;
const HAS_BEFORE: u8 = 2;
const IS_LOST: u8 = 4;
const HEADER_BYTES: usize = 9;

/// A record to write, not yet in one piece.
pub(crate) struct Payload {
    header: [u8; HEADER_BYTES],
    after: Bytes,
    before: Bytes,
}

impl Payload {
    /// The record of a change whose *before* is in memory.
    pub(crate) fn of(change: &Change) -> Self {
        Self::with_before(change, &change.before)
    }

    /// The record of a change with its *before*, which was read if it had to be.
    ///
    /// # Panics
    /// If there is no *before* although there was one, or it was not read: nobody would know it any more.
    pub(crate) fn with_before(change: &Change, before: &Before) -> Self {
        let expected = change.before.meta().map(|meta| meta.mod_revision);
        let given = before.meta().map(|meta| meta.mod_revision);
        assert_eq!(given, expected, "what {} has replaced", change.revision);
        assert!(!before.is_stored(), "what {} has replaced was read", change.revision);
        let after = match &change.after {
            Some(item) => item.encoded.clone(),
            None => encoding::tombstone(&change.key),
        };
        let mut header = [0; HEADER_BYTES];
        header[0] = if change.after.is_none() { TOMBSTONE } else { 0 };
        if let Some(meta) = before.meta() {
            header[0] |= HAS_BEFORE;
            header[1..5].copy_from_slice(&meta.mod_revision.sub.to_le_bytes());
        }
        let after_len = u32::try_from(after.len()).expect("requests are far smaller than 4 GiB");
        header[5..9].copy_from_slice(&after_len.to_le_bytes());
        let before = match before {
            Before::Lost(lost) => {
                header[0] |= IS_LOST;
                encode_lost(&change.key, lost)
            }
            other => other.item().map(|item| item.encoded.clone()).unwrap_or_default(),
        };
        Self { header, after, before }
    }

    pub(crate) fn len(&self) -> usize {
        HEADER_BYTES + self.after.len() + self.before.len()
    }

    pub(crate) fn parts(&self) -> [&[u8]; 3] {
        [&self.header, &self.after, &self.before]
    }
}

/// Reads the change at a position.
pub(crate) fn read(reader: &Reader, dir: &Path, position: Position) -> Result<Change, Error> {
    decode(dir, &reader.read(position)?)
}

/// Reads a change from its record.
pub(crate) fn decode(dir: &Path, record: &Record) -> Result<Change, Error> {
    let mut change = parse(record).ok_or_else(|| Error::Corrupt {
        path: dir.to_owned(),
        what: format!("the record at {} is not one of a change", record.position),
    })?;
    if let Before::Lost(lost) = &mut change.before {
        lost.found_at(dir.to_owned(), record.position);
    }
    Ok(change)
}

fn parse(record: &Record) -> Option<Change> {
    if record.head.kind != CHANGE {
        return None;
    }
    let revision =
        Revision { main: i64::try_from(record.head.number).ok()?, sub: u32::try_from(record.head.tag).ok()? };
    parse_payload(revision, &record.payload)
}

/// Reads a change from the payload of its record.
pub(crate) fn parse_payload(revision: Revision, payload: &Bytes) -> Option<Change> {
    let mut fields = Fields(payload);
    let flags = fields.u8()?;
    let before_sub = fields.u32()?;
    let after_end = HEADER_BYTES.checked_add(fields.u32()? as usize).filter(|&end| end <= payload.len())?;
    let after = payload.slice(HEADER_BYTES..after_end);
    let key = after.slice_ref(encoding::parse_key(&after));
    let after = if flags & TOMBSTONE == 0 { Some(item(after, revision.sub)?) } else { None };
    let before = match (flags & HAS_BEFORE != 0, flags & IS_LOST != 0) {
        (false, false) => Before::Nothing,
        (true, false) => Before::Item(item(payload.slice(after_end..), before_sub)?),
        (true, true) => Before::Lost(decode_lost(&payload[after_end..], &key, before_sub)?),
        (false, true) => return None,
    };
    Some(Change::new(revision, key, after, before))
}

fn encode_lost(key: &[u8], lost: &Lost) -> Bytes {
    let version = encoding::key_value(key, &lost.meta(), b"");
    [&[0][..], &lost.value_len().to_le_bytes(), &version].concat().into()
}

fn decode_lost(input: &[u8], key: &[u8], sub: u32) -> Option<Lost> {
    let mut fields = Fields(input);
    if fields.u8()? != 0 {
        return None;
    }
    let value_len = fields.u32()?;
    let version = encoding::parse(fields.0)?;
    (version.key == key && version.value.is_empty()).then(|| Lost::new(version.meta(sub), value_len))
}

fn item(encoded: Bytes, sub: u32) -> Option<Item> {
    let meta = encoding::parse(&encoded)?.meta(sub);
    Some(Item { meta, encoded })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Meta;

    #[test]
    fn a_version_whose_value_is_lost_has_these_bytes_and_is_read_as_that() {
        let revision = Revision { main: 9, sub: 1 };
        let meta = Meta {
            create_revision: 2,
            mod_revision: Revision { main: 7, sub: 3 },
            version: 4,
            lease: crate::LeaseId(5),
        };
        let change =
            Change::new(revision, Bytes::from_static(b"k"), None, Before::Lost(Lost::new(meta, 300)));
        let payload = Bytes::from(Payload::of(&change).parts().concat());
        let expected =
            b"\x07\x03\0\0\0\x03\0\0\0\x0a\x01k\0\x2c\x01\0\0\x0a\x01k\x10\x02\x18\x07\x20\x04\x30\x05";
        assert_eq!(payload, &expected[..]);
        let read = parse_payload(revision, &payload).unwrap();
        assert_eq!(read.before.lost(), change.before.lost());
        assert_eq!((read.before.value_len(), read.before.meta()), (300, Some(meta)));
        // To a program that does not know the flag, the zero is no field.
        assert_eq!(encoding::parse(&payload[12..]), None);
        // Nor is anything else taken for it.
        let with = |at: usize, byte: u8| {
            let mut bytes = payload.to_vec();
            bytes[at] = byte;
            parse_payload(revision, &bytes.into())
        };
        assert!(with(0, TOMBSTONE | IS_LOST).is_none() && with(0, TOMBSTONE | HAS_BEFORE).is_none());
        assert!(with(12, 1).is_none() && with(19, b'x').is_none());
        assert!((12..payload.len()).all(|end| {
            parse_payload(revision, &payload.slice(..end))
                .is_none_or(|read| read.before.lost().is_none_or(|lost| lost.meta() != meta))
        }));
    }
}
