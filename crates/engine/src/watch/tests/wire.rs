//! The hand-written encoding of responses against the generated one.

use std::sync::Arc;

use prost::Message;
use proto::etcdserverpb::{ResponseHeader, WatchResponse};
use proto::mvccpb::event::EventType;
use proto::mvccpb::{Event, KeyValue};

use super::{Op, TIGHT, World};
use crate::watch::reply::{Batch, Fragment, Kind, QueuedEvent, WatchReply};
use crate::wire::{Header, WireReply};

const HEADER: Header = Header { cluster_id: u64::MAX, member_id: 300, revision: 77, raft_term: 2 };

fn check(watch_id: i64, kind: Kind, expected: WatchResponse) {
    for header in [HEADER, Header { revision: 0, ..HEADER }, Header::default()] {
        let reply = WatchReply { header, watch_id, kind: kind.clone() };
        let mut wire = Vec::new();
        reply.write(&mut wire);
        let header = ResponseHeader {
            cluster_id: header.cluster_id,
            member_id: header.member_id,
            revision: header.revision,
            raft_term: header.raft_term,
        };
        let expected = WatchResponse { header: Some(header), watch_id, ..expected.clone() };
        assert_eq!(WatchResponse::decode(&wire[..]).unwrap(), expected);
        assert_eq!(wire.len(), expected.encoded_len());
        assert_eq!(reply.wire_len(), wire.len());
    }
}

#[test]
fn a_response_without_events_is_what_protobuf_makes_of_it() {
    let reason = |text: &str| text.repeat(20);
    for watch_id in [0, 1, 127, 128, i64::MAX, -1, i64::MIN] {
        let none = WatchResponse::default;
        check(watch_id, Kind::Created, WatchResponse { created: true, ..none() });
        check(watch_id, Kind::Canceled, WatchResponse { canceled: true, ..none() });
        check(watch_id, Kind::Progress, none());
        check(
            watch_id,
            Kind::Refused { reason: reason("no such thing ") },
            WatchResponse {
                created: true,
                canceled: true,
                cancel_reason: reason("no such thing "),
                ..none()
            },
        );
        check(
            watch_id,
            Kind::Failed { reason: reason("unreadable ") },
            WatchResponse { canceled: true, cancel_reason: reason("unreadable "), ..none() },
        );
        for compact_revision in [1, 128, i64::MAX] {
            check(
                watch_id,
                Kind::Compacted { compact_revision },
                WatchResponse { canceled: true, compact_revision, ..none() },
            );
        }
    }
}

/// A put that creates `a`, one that changes it, and a delete of it, the last two with a value before them.
fn history() -> [Batch; 3] {
    let mut world = World::new(TIGHT);
    [[Op::Put(0, 3)], [Op::Put(0, 200)], [Op::Delete(0)]].map(|ops| world.commit(&ops).unwrap())
}

fn pair(mod_revision: i64, version: i64, len: usize) -> KeyValue {
    KeyValue {
        key: "a".into(),
        create_revision: 2,
        mod_revision,
        version,
        value: vec![b'v'; len].into(),
        lease: 0,
    }
}

#[test]
fn events_carry_their_pair_and_the_one_before_as_etcd_shows_them() {
    let batches = history();
    let deleted = KeyValue { key: "a".into(), mod_revision: 4, ..Default::default() };
    let put = |kv, prev_kv| Event { r#type: EventType::Put as i32, kv: Some(kv), prev_kv };
    let delete = |kv, prev_kv| Event { r#type: EventType::Delete as i32, kv: Some(kv), prev_kv };
    for prev_kv in [false, true] {
        let shown = |pair| if prev_kv { Some(pair) } else { None };
        let expected = vec![
            put(pair(2, 1, 3), None),
            put(pair(3, 2, 200), shown(pair(2, 1, 3))),
            delete(deleted.clone(), shown(pair(3, 2, 200))),
        ];
        for fragment in [Fragment::Whole, Fragment::Further, Fragment::Last] {
            let event = |batch: &Batch| QueuedEvent::of(&batch[0], prev_kv).unwrap();
            let events = batches.iter().map(event).collect();
            check(
                5,
                Kind::Events { events, fragment },
                WatchResponse {
                    events: expected.clone(),
                    fragment: fragment == Fragment::Further,
                    ..Default::default()
                },
            );
        }
    }
}

/// A client that does not read has thousands of events waiting, each perhaps of a transaction with megabytes (rule I2).
#[test]
fn an_event_that_waits_keeps_nothing_but_itself() {
    for prev_kv in [false, true] {
        let batches = history();
        let kept = Arc::downgrade(&batches[1]);
        let waiting = QueuedEvent::of(&batches[1][0], prev_kv).unwrap();
        drop(batches);
        assert!(kept.upgrade().is_none());
        assert!(waiting.decoded().kv.is_some());
    }
}
