//! From events of the source to transactions of the destination.

use bytes::Bytes;
use proto::etcdserverpb::{DeleteRangeRequest, PutRequest, RequestOp, request_op::Request};
use proto::mvccpb::{Event, event::EventType};

/// Under which names keys are written to the destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Renaming {
    /// What the keys of the source begin with.
    pub(super) from: Bytes,
    /// What stands in its place at the destination.
    pub(super) to: Bytes,
}

impl Renaming {
    /// Returns the name of a key of the source at the destination.
    pub(super) fn apply(&self, key: &[u8]) -> Bytes {
        let rest = key.strip_prefix(self.from.as_ref()).unwrap_or(key);
        [&self.to, rest].concat().into()
    }
}

/// Returns the requests of each transaction: one transaction for each revision of the source, so that what was written
/// at once is seen at once, unless it has more than `ops_max` requests.
pub(super) fn transactions(events: Vec<Event>, renaming: &Renaming, ops_max: usize) -> Vec<Vec<RequestOp>> {
    let revision_of = |event: &Event| event.kv.as_ref().map_or(0, |pair| pair.mod_revision);
    let revisions = events.chunk_by(|one, other| revision_of(one) == revision_of(other));
    let pieces = revisions.flat_map(|events| events.chunks(ops_max.max(1)));
    pieces.map(|events| events.iter().filter_map(|event| request(event, renaming)).collect()).collect()
}

fn request(event: &Event, renaming: &Renaming) -> Option<RequestOp> {
    let pair = event.kv.as_ref()?;
    let key = renaming.apply(&pair.key);
    let request = match event.r#type() {
        EventType::Put => Request::RequestPut(put(key, pair.value.clone())),
        EventType::Delete => {
            Request::RequestDeleteRange(DeleteRangeRequest { key, ..DeleteRangeRequest::default() })
        }
    };
    Some(RequestOp { request: Some(request) })
}

/// Returns the request that writes a key. Its lease is one of the source, and not known at the destination.
pub(super) fn put(key: Bytes, value: Bytes) -> PutRequest {
    PutRequest { key, value, ..PutRequest::default() }
}

#[cfg(test)]
mod tests {
    use proto::mvccpb::KeyValue;

    use super::*;

    fn event(kind: EventType, key: &'static str, mod_revision: i64) -> Event {
        let key = Bytes::from_static(key.as_bytes());
        let kv = KeyValue { key, mod_revision, value: "v".into(), lease: 7, ..KeyValue::default() };
        Event { r#type: kind.into(), kv: Some(kv), prev_kv: None }
    }

    fn renaming(from: &'static str, to: &'static str) -> Renaming {
        Renaming { from: from.into(), to: to.into() }
    }

    fn shown(transactions: &[Vec<RequestOp>]) -> Vec<Vec<String>> {
        let show = |op: &RequestOp| match op.request.as_ref().unwrap() {
            Request::RequestPut(put) => {
                assert_eq!(put.lease, 0);
                format!("put {} {}", text(&put.key), text(&put.value))
            }
            Request::RequestDeleteRange(delete) => format!("del {}", text(&delete.key)),
            other => panic!("{other:?}"),
        };
        transactions.iter().map(|ops| ops.iter().map(show).collect()).collect()
    }

    fn text(bytes: &Bytes) -> String {
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn what_was_written_at_once_is_written_at_once() {
        let events = vec![
            event(EventType::Put, "a/1", 5),
            event(EventType::Delete, "a/2", 5),
            event(EventType::Put, "a/3", 5),
            event(EventType::Put, "a/1", 6),
        ];
        let written = |ops_max| shown(&transactions(events.clone(), &renaming("a/", "b/"), ops_max));
        assert_eq!(written(128), [vec!["put b/1 v", "del b/2", "put b/3 v"], vec!["put b/1 v"]]);
        assert_eq!(written(2), [vec!["put b/1 v", "del b/2"], vec!["put b/3 v"], vec!["put b/1 v"]]);
        assert_eq!(written(0).len(), 4);
        assert!(transactions(Vec::new(), &renaming("", ""), 1).is_empty());
    }

    #[test]
    fn only_the_beginning_of_a_key_is_renamed() {
        let cases = [
            ("a", "b", "aaa", "baa"),
            ("", "x/", "k", "x/k"),
            ("p/", "", "p/p/k", "p/k"),
            ("a", "a", "ab", "ab"),
        ];
        for (from, to, key, expected) in cases {
            assert_eq!(renaming(from, to).apply(key.as_bytes()), expected);
        }
    }
}
