//! What a watch reports.

use proto::mvccpb;

use crate::kv::KeyValue;
use crate::number::Revision;

/// Changes, or a bookmark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The watch has reported everything up to this revision. To go on later, watch from the next one.
    pub revision: Revision,
    /// The changes, in their order. The changes of one revision are never torn apart. None: a bookmark.
    pub events: Vec<Event>,
}

impl Update {
    /// Returns whether there is nothing to report but the revision.
    pub fn is_bookmark(&self) -> bool {
        self.events.is_empty()
    }

    /// Returns about how many bytes it occupies.
    pub(super) fn weight(&self) -> usize {
        let bytes = |kv: &KeyValue| kv.key.len() + kv.value.len();
        let event =
            |event: &Event| size_of::<Event>() + bytes(&event.kv) + event.prev_kv.as_ref().map_or(0, bytes);
        size_of::<Update>() + self.events.iter().map(event).sum::<usize>()
    }
}

/// A change of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What was done.
    pub kind: EventKind,
    /// The key as it is now. Of a deletion only the key and the revision are set.
    pub kv: KeyValue,
    /// The key as it was, if it was asked for, existed, and is not compacted.
    pub prev_kv: Option<KeyValue>,
}

/// What was done to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// It was put.
    Put,
    /// It was deleted.
    Delete,
}

impl From<mvccpb::Event> for Event {
    fn from(event: mvccpb::Event) -> Event {
        let kind = match event.r#type() {
            mvccpb::event::EventType::Put => EventKind::Put,
            mvccpb::event::EventType::Delete => EventKind::Delete,
        };
        let kv = event.kv.map(KeyValue::from).unwrap_or_default();
        Event { kind, kv, prev_kv: event.prev_kv.map(KeyValue::from) }
    }
}
