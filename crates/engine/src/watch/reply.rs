//! The messages of a watch stream, in the form in which they wait to be written.
//!
//! An event is encoded for the first watcher that it is queued for, and shared by all. A waiting message keeps its events and
//! nothing else: not the rest of the transaction that an event is of, nor what was read with it (rule I2).

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use machine::{Body, Pieces};
use mvcc::{Change, ReadError};
use prost::encoding::{encode_varint, encoded_len_varint};

use crate::limits::REPLY_PIECE_BYTES;
use crate::wire::{Header, WireReply};

/// The number of the events' field.
const EVENT_FIELD: u8 = 11;

/// Changes as they were published: one or more revisions, in order.
pub type Batch = Arc<[Change]>;

/// An event that waits to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedEvent {
    /// Main revision of the change.
    pub revision: i64,
    /// The `mvccpb.Event` message.
    event: Bytes,
}

impl QueuedEvent {
    /// Returns the event of a change, with the previous key-value pair if that is wanted and there is one.
    ///
    /// # Errors
    /// Those of the disk, if the pair is not in memory.
    pub fn of(change: &Change, prev_kv: bool) -> Result<Self, ReadError> {
        let event = if prev_kv { change.event_with_previous()? } else { change.event() };
        Ok(Self { revision: change.revision.main, event: event.clone() })
    }

    /// Returns the event as a client decodes it.
    #[cfg(test)]
    pub fn decoded(&self) -> proto::mvccpb::Event {
        prost::Message::decode(self.event.clone()).expect("an event is one")
    }

    /// Length as a field of a response, in bytes.
    pub fn field_len(&self) -> usize {
        field_len(self.event.len())
    }
}

/// Length of a length-delimited field with a one-byte key.
fn field_len(payload: usize) -> usize {
    1 + encoded_len_varint(payload as u64) + payload
}

fn put_field(buf: &mut impl BufMut, key: u8, payload: &[u8]) {
    buf.put_u8(key);
    encode_varint(payload.len() as u64, buf);
    buf.put_slice(payload);
}

/// What a message says.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A watcher was created.
    Created,
    /// A creation was refused.
    Refused {
        /// Why, as the client is told.
        reason: String,
    },
    /// A watcher was cancelled by its client.
    Canceled,
    /// A watcher asked for revisions that are gone.
    Compacted {
        /// The first revision that is not gone.
        compact_revision: i64,
    },
    /// A watcher was cancelled because the history that it needs cannot be read.
    Failed {
        /// Why, as the client is told.
        reason: String,
    },
    /// Events.
    Events {
        /// In the order of their revisions.
        events: Vec<QueuedEvent>,
        /// Whether more of the same response follows.
        fragment: Fragment,
    },
    /// Everything up to the header's revision was sent.
    Progress,
}

/// Which part of a response a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fragment {
    /// All of it.
    Whole,
    /// Further parts follow.
    Further,
    /// The last part of several.
    Last,
}

/// One `etcdserverpb.WatchResponse`.
#[derive(Debug, Clone)]
pub struct WatchReply {
    /// The header of the response.
    pub header: Header,
    /// The watcher, by the id that its client knows.
    pub watch_id: i64,
    /// What it says.
    pub kind: Kind,
}

impl WatchReply {
    /// Returns how many events it brings.
    pub fn event_count(&self) -> usize {
        if let Kind::Events { events, .. } = &self.kind { events.len() } else { 0 }
    }

    fn tail_len(&self) -> usize {
        let id = if self.watch_id == 0 { 0 } else { 1 + encoded_len_varint(self.watch_id as u64) };
        id + match &self.kind {
            Kind::Created | Kind::Canceled => 2,
            Kind::Refused { reason } => 4 + field_len(reason.len()),
            Kind::Compacted { compact_revision } => 3 + encoded_len_varint(*compact_revision as u64),
            Kind::Failed { reason } => 2 + field_len(reason.len()),
            Kind::Events { events, fragment } => {
                let events: usize = events.iter().map(QueuedEvent::field_len).sum();
                events + if *fragment == Fragment::Further { 2 } else { 0 }
            }
            Kind::Progress => 0,
        }
    }
}

impl WireReply for WatchReply {
    fn wire_len(&self) -> usize {
        self.header.field_len() + self.tail_len()
    }

    fn into_pieces(self, mut front: BytesMut) -> Pieces {
        let mut body = Body::empty();
        if let Kind::Events { events, .. } = &self.kind {
            events.iter().for_each(|event| body.field(EVENT_FIELD, event.event.clone()));
        }
        self.write_front(&mut front);
        Pieces::of(front, body, REPLY_PIECE_BYTES)
    }

    fn write(&self, buf: &mut impl BufMut) {
        self.write_front(buf);
        if let Kind::Events { events, .. } = &self.kind {
            for event in events {
                put_field(buf, EVENT_FIELD << 3 | 2, &event.event);
            }
        }
    }
}

impl WatchReply {
    /// Writes everything but the events.
    fn write_front(&self, buf: &mut impl BufMut) {
        self.header.write_field(buf);
        if self.watch_id != 0 {
            buf.put_u8(0x10);
            encode_varint(self.watch_id as u64, buf);
        }
        match &self.kind {
            Kind::Created => buf.put_slice(&[0x18, 1]),
            Kind::Canceled => buf.put_slice(&[0x20, 1]),
            Kind::Refused { reason } => {
                buf.put_slice(&[0x18, 1, 0x20, 1]);
                put_field(buf, 0x32, reason.as_bytes());
            }
            Kind::Compacted { compact_revision } => {
                buf.put_slice(&[0x20, 1, 0x28]);
                encode_varint(*compact_revision as u64, buf);
            }
            Kind::Failed { reason } => {
                buf.put_slice(&[0x20, 1]);
                put_field(buf, 0x32, reason.as_bytes());
            }
            Kind::Events { fragment: Fragment::Further, .. } => buf.put_slice(&[0x38, 1]),
            Kind::Events { .. } | Kind::Progress => {}
        }
    }
}
