//! A version of a key, and a change from one version to the next.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::{Before, Error, Meta, ReadError, Revision, encoding};

/// A version of a key. Cheap to clone: the bytes are shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Everything but key and value, decoded.
    pub meta: Meta,
    /// The whole as protobuf `mvccpb.KeyValue`, ready to be spliced into a reply.
    pub encoded: Bytes,
}

impl Item {
    /// Reads a version from its protobuf form, as etcd keeps it. `None`: the form is not the one in which etcd writes it, or it
    /// cannot be the version that this change made.
    #[must_use]
    pub fn of_record(revision: Revision, encoded: Bytes) -> Option<Self> {
        let fields = encoding::parse(&encoded)?;
        let meta = fields.meta(revision.sub);
        let is_possible = !fields.key.is_empty()
            && meta.mod_revision == revision
            && (2..=revision.main).contains(&meta.create_revision)
            && meta.version > 0;
        let is_sound = is_possible && encoding::is_canonical(&encoded);
        is_sound.then_some(Self { meta, encoded })
    }

    pub(crate) fn new(key: &[u8], meta: Meta, value: &[u8]) -> Self {
        Self { meta, encoded: encoding::key_value(key, &meta, value) }
    }

    /// An item without value and lease, as etcd's index knows it.
    pub(crate) fn without_value(key: &[u8], meta: Meta) -> Self {
        let shown = Meta { lease: crate::LeaseId(0), ..meta };
        Self { meta, encoded: encoding::key_value(key, &shown, b"") }
    }

    /// The same in memory of its own: what was read from a file is a slice of all that was read with it, and keeps that.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { meta: self.meta, encoded: Bytes::copy_from_slice(&self.encoded) }
    }

    /// The key: a slice of the encoded form.
    #[must_use]
    pub fn key(&self) -> Bytes {
        self.encoded.slice_ref(self.key_bytes())
    }

    /// The key, borrowed.
    #[must_use]
    pub fn key_bytes(&self) -> &[u8] {
        encoding::parse_key(&self.encoded)
    }

    /// The value: a slice of the encoded form.
    #[must_use]
    pub fn value(&self) -> Bytes {
        match self.value_bytes() {
            [] => Bytes::new(),
            value => self.encoded.slice_ref(value),
        }
    }

    /// The value, borrowed.
    #[must_use]
    pub fn value_bytes(&self) -> &[u8] {
        encoding::parse(&self.encoded).expect("an item holds what this crate encoded, or has verified").value
    }
}

/// One change of one key.
#[derive(Debug, Clone)]
pub struct Change {
    /// Which change it is.
    pub revision: Revision,
    /// The key.
    pub key: Bytes,
    /// What the key is afterwards. `None`: it was deleted.
    pub after: Option<Item>,
    /// What the key was before the transaction that this change is part of.
    pub before: Before,
    // Apart, as most changes are not watched.
    event: OnceLock<Box<Bytes>>,
    event_with_previous: OnceLock<Box<Bytes>>,
}

impl Change {
    pub(crate) fn new(revision: Revision, key: Bytes, after: Option<Item>, before: Before) -> Self {
        Self { revision, key, after, before, event: OnceLock::new(), event_with_previous: OnceLock::new() }
    }

    /// Whether the key was put; otherwise it was deleted.
    #[must_use]
    pub fn is_put(&self) -> bool {
        self.after.is_some()
    }

    /// Whether a watcher that asked for the previous version is shown one: not for a put that created the key.
    fn shows_previous(&self) -> bool {
        let creates = self.after.as_ref().is_some_and(|item| item.meta.create_revision == self.revision.main);
        self.before.is_some() && !creates
    }

    /// Returns whether [`event_with_previous`](Self::event_with_previous) needs nothing from the disk.
    #[must_use]
    pub fn is_previous_in_memory(&self) -> bool {
        let is_there = matches!(self.before, Before::Nothing | Before::Item(_));
        is_there || !self.shows_previous() || self.event_with_previous.get().is_some()
    }

    /// The same in memory of its own: what was read from a file is a slice of all that was read with it, and keeps that.
    #[must_use]
    pub fn detached(&self) -> Self {
        let key = Bytes::copy_from_slice(&self.key);
        Self::new(self.revision, key, self.after.as_ref().map(Item::detached), self.before.detached())
    }

    /// The same, with what it replaced, which is read from the disk if it is not in memory.
    ///
    /// # Errors
    /// Those of the disk, [`Error::DamagedValue`] if that is damaged or lost.
    pub fn detached_with_before(&self) -> Result<Self, Error> {
        if let Before::Lost(lost) = &self.before {
            return if self.shows_previous() { Err(lost.error(&self.key)) } else { Ok(self.detached()) };
        }
        if !self.before.is_stored() || !self.shows_previous() {
            return Ok(self.detached());
        }
        let before = match self.read_before() {
            Ok(before) => before.as_ref().map(Item::detached),
            Err(ReadError::Store(error)) => return Err(error),
            // Gone, as for everybody.
            Err(ReadError::Compacted(_) | ReadError::Future(_) | ReadError::GivenUp) => None,
        };
        let detached = Self { before: Before::Nothing, ..self.clone() }.detached();
        Ok(Self { before: before.into(), ..detached })
    }

    /// The change as protobuf `mvccpb.Event` without the previous version. Encoded for the first who asks, then shared.
    #[must_use]
    pub fn event(&self) -> &Bytes {
        self.event.get_or_init(|| Box::new(self.encode_event(None)))
    }

    /// The same with the previous version, if there is one to show. It may take a look at the disk, once.
    ///
    /// # Errors
    /// As [`read_before`](Self::read_before).
    pub fn event_with_previous(&self) -> Result<&Bytes, ReadError> {
        if !self.shows_previous() {
            return Ok(self.event());
        }
        if let Some(event) = self.event_with_previous.get() {
            return Ok(event);
        }
        Ok(match self.read_before()? {
            Some(previous) => {
                self.event_with_previous.get_or_init(|| Box::new(self.encode_event(Some(&previous.encoded))))
            }
            None => self.event(),
        })
    }

    fn encode_event(&self, previous: Option<&[u8]>) -> Bytes {
        match &self.after {
            Some(item) => encoding::event(false, &item.encoded, previous),
            None => {
                let meta = Meta { mod_revision: self.revision, ..Meta::default() };
                encoding::event(true, &encoding::key_value(&self.key, &meta, b""), previous)
            }
        }
    }

    /// Returns the bytes of the versions that it keeps in memory, and of the key.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let after = self.after.as_ref().map_or(0, |item| item.encoded.len());
        self.key.len() + after + self.before.bytes()
    }
}

/// The changes of one transaction, all of the same main revision, by `sub`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Changes {
    /// Their main revision.
    pub revision: i64,
    /// The changes; at least one.
    pub changes: Arc<[Change]>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LeaseId;

    #[test]
    fn key_and_value_are_slices_of_the_encoded_form() {
        let meta = Meta { version: 1, lease: LeaseId(5), ..Meta::default() };
        let item = Item::new(b"key", meta, b"value");
        assert_eq!((&item.key()[..], &item.value()[..]), (&b"key"[..], &b"value"[..]));
        assert_eq!(Item::new(b"key", meta, b"").value(), Bytes::new());
        assert_eq!(Item::without_value(b"key", meta).encoded, &b"\x0a\x03key\x20\x01"[..]);
    }

    #[test]
    fn a_put_that_creates_the_key_shows_no_previous_version() {
        let old = Item::new(b"k", Meta { create_revision: 2, version: 1, ..Meta::default() }, b"old");
        let revision = Revision { main: 5, sub: 1 };
        let put = |create_revision| {
            let after =
                Item::new(b"k", Meta { create_revision, mod_revision: revision, ..Meta::default() }, b"new");
            Change::new(revision, Bytes::from_static(b"k"), Some(after), Some(old.clone()).into())
        };
        let old_in = |change: &Change| {
            let event = change.event_with_previous().unwrap();
            event.windows(old.encoded.len()).any(|part| part == old.encoded)
        };
        assert!(old_in(&put(2)) && !old_in(&put(5)));
        let delete = Change::new(revision, Bytes::from_static(b"k"), None, Some(old.clone()).into());
        assert_eq!(delete.event(), &b"\x08\x01\x12\x05\x0a\x01k\x18\x05"[..]);
    }
}
