//! How the events for one watcher become responses: whole revisions, and fragments where the client permits them.

use super::Watcher;
use crate::watch::reply::{Fragment, Kind, QueuedEvent, WatchReply};
use crate::watch::stream::Stream;
use crate::wire::{Header, WireReply};

/// Parts of at most `revisions_max` distinct revisions, a revision never split (V5).
pub(super) fn split_by_revisions(events: Vec<QueuedEvent>, revisions_max: usize) -> Vec<Vec<QueuedEvent>> {
    let mut parts: Vec<Vec<QueuedEvent>> = Vec::new();
    let mut revisions = 0;
    let mut last = None;
    for event in events {
        let revision = event.revision;
        if last != Some(revision) {
            if revisions % revisions_max == 0 {
                parts.push(Vec::new());
            }
            revisions += 1;
            last = Some(revision);
        }
        if let Some(part) = parts.last_mut() {
            part.push(event);
        }
    }
    parts
}

/// Queues events as one response, or as fragments if that is permitted and the response is as long as `limit`.
pub(super) fn push_events(
    stream: &mut Stream,
    header: Header,
    watcher: &Watcher,
    events: Vec<QueuedEvent>,
    limit: usize,
) {
    let watch_id = watcher.watch_id;
    if !watcher.options.fragment || events.len() < 2 {
        return stream.push_events(header, watch_id, events);
    }
    let reply = |events, fragment| WatchReply { header, watch_id, kind: Kind::Events { events, fragment } };
    let envelope = reply(Vec::new(), Fragment::Further).wire_len();
    if envelope + events.iter().map(QueuedEvent::field_len).sum::<usize>() < limit {
        return stream.push_events(header, watch_id, events);
    }
    let mut pieces: Vec<Vec<QueuedEvent>> = Vec::new();
    let mut size = 0;
    for event in events {
        let bytes = event.field_len();
        match pieces.last_mut() {
            Some(piece) if size + bytes < limit => piece.push(event),
            _ => {
                pieces.push(vec![event]);
                size = envelope;
            }
        }
        size += bytes;
    }
    let last = pieces.len() - 1;
    for (number, events) in pieces.into_iter().enumerate() {
        let fragment = if number < last { Fragment::Further } else { Fragment::Last };
        stream.push(reply(events, fragment));
    }
}
