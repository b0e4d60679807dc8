//! The bytes of a version while versions are sorted: with what is sorted, or still in the file.
//!
//! What is sorted is written to a file and read again, so a long version is better left where it is: its place is sorted
//! instead, and it is read when its turn comes. That is a read anywhere in the file. It costs little as long as the system keeps the file
//! in memory, and a wait for the disk each time if it cannot. Then everything goes with what is sorted.

use bytes::Bytes;
use dbfile::{Db, ReadAt, ValuePlace};
use mvcc::{Item, Revision};

use super::RestoreError;
use super::keys::Version;

/// Longest version that goes with what is sorted in any case, in bytes: to write it and read it costs less than a read of its own.
const SHORT_BYTES_MAX: usize = 256;

/// Where the bytes of a version are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// Here.
    Here(Bytes),
    /// In the file.
    There(ValuePlace),
}

/// Which versions go with what is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spooled {
    bytes_max: usize,
}

impl Spooled {
    /// Chooses for a file of so many bytes, where so many bytes of files stay in memory; `None`: nobody knows.
    pub(super) fn of(file_bytes: u64, cached_bytes: Option<u64>) -> Self {
        // Half of it, as what is written takes as much again.
        let is_cached = cached_bytes.is_some_and(|cached| file_bytes <= cached / 2);
        Self { bytes_max: if is_cached { SHORT_BYTES_MAX } else { usize::MAX } }
    }

    /// Returns the form of a version: its bytes are those of its row.
    pub(super) fn form(self, version: &Version<'_>) -> Form {
        match version.row.value {
            value if value.len() <= self.bytes_max => Form::Here(Bytes::copy_from_slice(value)),
            _ => Form::There(version.row.value_place()),
        }
    }
}

/// Marks of the two forms.
const HERE: u8 = 1;
const THERE: u8 = 2;

impl Form {
    /// Returns it as bytes, in parts.
    pub(super) fn encoded(&self) -> ([u8; 13], &[u8]) {
        let mut front = [0; 13];
        match self {
            Self::Here(bytes) => {
                front[0] = HERE;
                (front, bytes)
            }
            Self::There(ValuePlace { offset, bytes }) => {
                front[0] = THERE;
                front[1..9].copy_from_slice(&offset.to_le_bytes());
                front[9..].copy_from_slice(&bytes.to_le_bytes());
                (front, &[])
            }
        }
    }

    /// Reads what [`encoded`](Self::encoded) has made.
    pub(super) fn decode(encoded: Bytes) -> Self {
        let (front, _) = encoded.split_first_chunk::<13>().expect("a form has a front");
        match front[0] {
            HERE => Self::Here(encoded.slice(13..)),
            _ => {
                let [_, offset @ .., a, b, c, d] = *front;
                let (offset, bytes) = (u64::from_le_bytes(offset), u32::from_le_bytes([a, b, c, d]));
                Self::There(ValuePlace { offset, bytes })
            }
        }
    }

    /// Returns the version that this revision made.
    ///
    /// # Errors
    /// If the file cannot be read, or has something else there than before.
    pub(super) fn item<S: ReadAt>(self, db: &Db<S>, revision: Revision) -> Result<Item, RestoreError> {
        let encoded = match self {
            Self::Here(bytes) => bytes,
            Self::There(place) => db.value_at(place)?.into(),
        };
        Item::of_record(revision, encoded).ok_or_else(RestoreError::changes_meanwhile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_what_it_was() {
        let place = ValuePlace { offset: u64::MAX - 1, bytes: 7 << 24 };
        for form in [Form::Here(Bytes::new()), Form::Here("bytes".into()), Form::There(place)] {
            let (front, rest) = form.encoded();
            assert_eq!(Form::decode([&front[..], rest].concat().into()), form);
        }
    }

    #[test]
    fn long_versions_stay_in_a_file_that_stays_in_memory_and_in_no_other() {
        let stay =
            |file_bytes, cached_bytes| Spooled::of(file_bytes, cached_bytes).bytes_max == SHORT_BYTES_MAX;
        assert!(stay(50, Some(100)));
        assert!(!stay(51, Some(100)) && !stay(1, Some(1)) && !stay(0, None));
    }
}
