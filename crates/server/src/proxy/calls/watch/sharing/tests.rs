//! Who shares what, told step by step: what is done in answer to a client or the member, in words.

use proto::mvccpb::{Event, KeyValue};

use super::*;

fn scope(key: &'static str) -> Scope {
    Scope { key: key.into(), range_end: Bytes::new(), filters: Vec::new(), prev_kv: false, fragment: false }
}

fn watcher(id: i64) -> WatcherId {
    WatcherId { stream: StreamId(1), id }
}

fn new(next: i64) -> Receiver {
    Receiver { next, wants_progress: false, is_created: false }
}

fn header(revision: i64) -> Option<ResponseHeader> {
    Some(ResponseHeader { revision, ..Default::default() })
}

fn created(watch_id: i64, revision: i64) -> WatchResponse {
    WatchResponse { header: header(revision), watch_id, created: true, ..Default::default() }
}

fn progress(watch_id: i64, revision: i64) -> WatchResponse {
    WatchResponse { header: header(revision), watch_id, ..Default::default() }
}

fn events(watch_id: i64, revisions: &[i64]) -> WatchResponse {
    let event = |revision: &i64| Event {
        kv: Some(KeyValue { mod_revision: *revision, ..Default::default() }),
        ..Default::default()
    };
    let newest = revisions.iter().copied().max().unwrap_or(0);
    WatchResponse { events: revisions.iter().map(event).collect(), ..progress(watch_id, newest) }
}

/// Writes what is done as words: `create 1 from 5`, `cancel 1`, `7 created`, `7 events 5 6`.
fn words(actions: Vec<Action>) -> Vec<String> {
    use prost::Message;
    let word = |action| match action {
        Action::Ask(WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) }) => {
            format!("create {} from {}", create.watch_id, create.start_revision)
        }
        Action::Ask(WatchRequest { request_union: Some(RequestUnion::CancelRequest(cancel)) }) => {
            format!("cancel {}", cancel.watch_id)
        }
        Action::Ask(other) => panic!("{other:?}"),
        Action::Reply { to, content, kind } => {
            let mut wire = Vec::new();
            engine::wire::WireReply::write(&content.to(0), &mut wire);
            let response = WatchResponse::decode(&wire[..]).unwrap();
            let what = match kind {
                ReplyKind::Created => "created".to_owned(),
                ReplyKind::Refused => format!("refused {}", response.cancel_reason),
                ReplyKind::Ended => format!("ended {}", response.compact_revision),
                ReplyKind::Update if response.events.is_empty() => "progress".to_owned(),
                ReplyKind::Update => response
                    .events
                    .iter()
                    .map(|event| event.kv.as_ref().unwrap().mod_revision.to_string())
                    .fold("events".to_owned(), |text, revision| text + " " + &revision),
            };
            format!("{} {what}", to.id)
        }
    };
    actions.into_iter().map(word).collect()
}

#[test]
fn who_comes_before_the_member_has_answered_shares_its_answer() {
    let mut sharing = Sharing::default();
    assert_eq!(words(sharing.add(watcher(1), scope("k"), new(0))), ["create 1 from 0"]);
    assert!(words(sharing.add(watcher(2), scope("k"), new(0))).is_empty());
    assert_eq!(words(sharing.add(watcher(3), scope("other"), new(0))), ["create 2 from 0"]);
    assert_eq!(words(sharing.response(&created(1, 10))), ["1 created", "2 created"]);
    assert_eq!(words(sharing.response(&created(2, 10))), ["3 created"]);
    assert_eq!(words(sharing.response(&events(1, &[11]))), ["1 events 11", "2 events 11"]);
    assert_eq!(sharing.coalesced(), 1);
}

#[test]
fn who_watches_from_now_on_hears_from_the_member_when_that_is_and_then_joins() {
    let mut sharing = Sharing::default();
    sharing.add(watcher(1), scope("k"), new(0));
    sharing.response(&created(1, 10));
    assert_eq!(words(sharing.add(watcher(2), scope("k"), new(0))), ["create 2 from 0"]);
    assert_eq!(words(sharing.response(&created(2, 15))), ["2 created", "cancel 2"]);
    // An event between the two is news to the first alone.
    assert_eq!(words(sharing.response(&events(1, &[12]))), ["1 events 12"]);
    assert_eq!(words(sharing.response(&events(1, &[14, 16]))), ["1 events 14 16", "2 events 16"]);
}

#[test]
fn who_wants_an_older_revision_catches_up_alone() {
    let mut sharing = Sharing::default();
    sharing.add(watcher(1), scope("k"), new(0));
    sharing.response(&created(1, 10));
    assert_eq!(words(sharing.add(watcher(2), scope("k"), new(3))), ["create 2 from 3"]);
    assert_eq!(words(sharing.response(&created(2, 10))), ["2 created"]);
    assert_eq!(
        words(sharing.response(&events(2, &[4, 7]))),
        ["2 events 4 7"],
        "it is not where the first is"
    );
    assert_eq!(words(sharing.response(&events(1, &[11]))), ["1 events 11"], "nor does the first wait for it");
    assert_eq!(words(sharing.response(&events(2, &[11]))), ["2 events 11", "cancel 2"]);
    assert_eq!(words(sharing.response(&events(1, &[12]))), ["1 events 12", "2 events 12"]);
    // What the member says before it has heard that it is canceled is about nobody.
    assert!(words(sharing.response(&events(2, &[12]))).is_empty());
}

#[test]
fn who_begins_where_a_shared_watch_is_joins_it_at_once() {
    let mut sharing = Sharing::default();
    sharing.add(watcher(1), scope("k"), new(5));
    assert!(words(sharing.add(watcher(2), scope("k"), new(8))).is_empty());
    assert_eq!(words(sharing.response(&created(1, 20))), ["1 created", "2 created"]);
    assert_eq!(words(sharing.response(&events(1, &[6, 9]))), ["1 events 6 9", "2 events 9"]);
    assert_eq!(words(sharing.add(watcher(3), scope("k"), new(10))), ["3 created"]);
    assert_eq!(words(sharing.response(&events(1, &[10]))), ["1 events 10", "2 events 10", "3 events 10"]);
}

#[test]
fn progress_goes_to_who_wants_it_and_not_ahead_of_a_start() {
    let mut sharing = Sharing::default();
    let wants = |next| Receiver { wants_progress: true, ..new(next) };
    sharing.add(watcher(1), scope("k"), wants(5));
    sharing.add(watcher(2), scope("k"), new(5));
    sharing.add(watcher(3), scope("k"), wants(50));
    sharing.response(&created(1, 20));
    assert_eq!(words(sharing.response(&progress(1, 20))), ["1 progress"]);
    assert_eq!(words(sharing.response(&progress(1, 49))), ["1 progress", "3 progress"]);
}

#[test]
fn parts_of_a_response_go_out_as_parts_and_nobody_joins_amid_them() {
    let mut sharing = Sharing::default();
    sharing.add(watcher(1), scope("k"), new(5));
    sharing.response(&created(1, 20));
    let part = WatchResponse { fragment: true, ..events(1, &[9, 9]) };
    assert_eq!(words(sharing.response(&part)), ["1 events 9 9"]);
    assert!(sharing.is_amid_parts(watcher(1)));
    assert_eq!(words(sharing.add(watcher(2), scope("k"), new(9))), ["create 2 from 9"]);
    assert_eq!(words(sharing.response(&events(1, &[9]))), ["1 events 9"], "of the same revision");
    assert!(!sharing.is_amid_parts(watcher(1)));
}

#[test]
fn a_refusal_is_everybodys_and_so_is_an_end() {
    let mut sharing = Sharing::default();
    sharing.add(watcher(1), scope("k"), new(0));
    sharing.add(watcher(2), scope("k"), new(0));
    let refused =
        WatchResponse { canceled: true, watch_id: -1, cancel_reason: "why".to_owned(), ..created(1, 10) };
    assert_eq!(words(sharing.response(&refused)), ["1 refused why", "2 refused why"]);
    sharing.add(watcher(1), scope("k"), new(2));
    sharing.response(&created(2, 10));
    let ended = WatchResponse { canceled: true, compact_revision: 7, ..progress(2, 0) };
    assert_eq!(words(sharing.response(&ended)), ["1 ended 7", "cancel 2"]);
    assert_eq!(words(sharing.add(watcher(1), scope("k"), new(7))), ["create 3 from 7"]);
    assert_eq!(sharing.coalesced(), 0);
}

#[test]
fn the_last_receiver_takes_the_watch_with_it() {
    let mut sharing = Sharing::default();
    sharing.add(watcher(1), scope("k"), new(0));
    sharing.add(watcher(2), scope("k"), new(0));
    sharing.response(&created(1, 10));
    sharing.response(&events(1, &[12]));
    let (_, receiver, actions) = sharing.remove(watcher(1)).unwrap();
    assert_eq!((receiver.next, words(actions).len()), (13, 0));
    let (_, _, actions) = sharing.remove(watcher(2)).unwrap();
    assert_eq!(words(actions), ["cancel 1"]);
    assert!(sharing.remove(watcher(2)).is_none());
    // One that goes before the member has answered does not put its answer into another's place.
    sharing.add(watcher(3), scope("a"), new(0));
    sharing.remove(watcher(3));
    sharing.add(watcher(4), scope("b"), new(0));
    assert!(words(sharing.response(&created(2, 12))).is_empty());
    assert_eq!(words(sharing.response(&created(3, 12))), ["4 created"]);
}

#[test]
fn what_is_shared_goes_on_with_another_member_where_it_was() {
    let mut sharing = Sharing::default();
    sharing.add(watcher(1), scope("k"), new(5));
    sharing.response(&created(1, 20));
    sharing.response(&events(1, &[6, 9]));
    sharing.add(watcher(2), scope("other"), new(0));
    assert_eq!(words(sharing.resume().unwrap()), ["create 1 from 10", "create 2 from 0"]);
    assert!(words(sharing.response(&created(1, 20))).is_empty(), "the client knows");
    assert_eq!(words(sharing.response(&created(2, 20))), ["2 created"]);
    assert_eq!(words(sharing.response(&events(1, &[11]))), ["1 events 11"]);
    // What the next member refuses ends what the client has.
    sharing.resume().unwrap();
    let refused = WatchResponse { canceled: true, watch_id: -1, ..created(1, 10) };
    assert_eq!(words(sharing.response(&refused)), ["1 ended 0"]);
    sharing.response(&created(2, 20));
    sharing.response(&WatchResponse { fragment: true, ..events(2, &[30]) });
    assert_eq!(sharing.resume(), Err(AmidParts));
}
