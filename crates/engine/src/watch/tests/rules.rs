//! The rules of a watch one by one (contract: semantics, section 7; api, section 4).

use super::room_for;
use crate::limits::WATCH_QUEUE_BYTES_FULL;
use crate::watch::watcher::StreamId;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;

use bytes::Bytes;
use mvcc::KeyRange;

use super::{Op, TIGHT, Woken, World, key, line, lines, watch, watch_from};
use crate::limits::{WATCHED_KEYS_BYTES_FREE, WATCHED_KEYS_BYTES_MAX};
use crate::watch::bounds::Bounds;
use crate::watch::reply::{Kind, WatchReply};
use crate::watch::watcher::{CaughtUp, CreateWatch, Options};

/// Bounds that nothing here reaches.
fn wide() -> Bounds {
    Bounds::new(1 << 20)
}

#[test]
fn a_watch_from_now_starts_after_the_stores_revision_not_the_hubs() {
    let mut world = World::new(wide());
    let stream = world.hub.open();
    world.commit(&[Op::Put(0, 0)]);
    world.create(stream, watch());
    world.commit(&[Op::Put(0, 0)]);
    world.publish_all();
    assert_eq!(lines(&world.all(stream)), ["0@2: created", "0@3: +a3"]);
}

#[test]
fn events_of_a_watcher_that_keeps_up_have_the_revision_of_their_write() {
    let mut world = World::new(wide());
    let stream = world.hub.open();
    world.create(stream, watch());
    assert_eq!(line(&world.next(stream).unwrap()), "0@1: created");
    world.commit(&[Op::Put(0, 0), Op::Put(1, 0)]);
    world.publish_all();
    assert_eq!(line(&world.next(stream).unwrap()), "0@2: +a2 +b2");
    world.commit(&[Op::DeleteAll]);
    world.publish_all();
    assert_eq!(line(&world.next(stream).unwrap()), "0@3: -a3 -b3");
}

#[test]
fn filters_and_ranges_hold_for_live_events_and_for_history() {
    let changes = [vec![Op::Put(0, 0), Op::Put(1, 0)], vec![Op::Put(2, 0)], vec![Op::DeleteAll]];
    let no_put = Options { no_put: true, ..Options::default() };
    let no_delete = Options { no_delete: true, ..Options::default() };
    let nothing = Options { no_put: true, no_delete: true, ..Options::default() };
    let cases: [(KeyRange, Options, &[&str]); 6] = [
        (KeyRange::all(), Options::default(), &["+a2", "+b2", "+c3", "-a4", "-b4", "-c4"]),
        (KeyRange::all(), no_put, &["-a4", "-b4", "-c4"]),
        (KeyRange::all(), no_delete, &["+a2", "+b2", "+c3"]),
        (KeyRange::all(), nothing, &[]),
        (KeyRange::single(key(1)), Options::default(), &["+b2", "-b4"]),
        (KeyRange::between(key(1), key(3)), no_delete, &["+b2", "+c3"]),
    ];
    for (range, options, expected) in cases {
        for start_revision in [None, Some(2)] {
            let mut world = World::new(wide());
            let stream = world.hub.open();
            let request =
                CreateWatch { range: range.clone(), start_revision, watch_id: None, user: None, options };
            if start_revision.is_none() {
                world.create(stream, request.clone());
            }
            changes.iter().for_each(|ops| drop(world.commit(ops)));
            world.publish_all();
            if start_revision.is_some() {
                world.create(stream, request);
            }
            let replies = lines(&world.all(stream));
            let events: Vec<&str> = replies[1..].iter().flat_map(|line| line.split(' ').skip(1)).collect();
            assert_eq!(events, expected, "{range:?} {options:?} from {start_revision:?}");
        }
    }
}

#[test]
fn history_is_sent_under_the_stores_revision_even_where_that_is_ahead_of_what_was_published() {
    let mut world = World::with_history(TIGHT, 3);
    let stream = world.hub.open();
    world.commit(&[Op::Put(1, 0)]);
    world.create(stream, watch_from(3));
    assert_eq!(world.jobs.len(), 1, "what was before the hub is read from the store");
    assert_eq!(lines(&world.all(stream)), ["0@5: created", "0@5: +a3 +a4 +b5"]);
    // Published late, it is not sent again.
    world.publish_all();
    world.put(2);
    assert_eq!(lines(&world.all(stream)), ["0@6: +c6"]);
}

#[test]
fn a_watch_of_the_future_stays_silent_until_then() {
    let mut world = World::new(wide());
    let stream = world.hub.open();
    world.create(stream, watch_from(4));
    (0..4).for_each(|number| world.put(number));
    assert_eq!(lines(&world.all(stream)), ["0@1: created", "0@5: +c4 +d5"]);
}

#[test]
fn after_a_snapshot_every_watcher_goes_on_from_its_own_next_revision() {
    let mut world = World::new(wide());
    let stream = world.hub.open();
    world.create(stream, watch());
    world.create(stream, watch_from(5));
    world.put(0);
    assert_eq!(lines(&world.all(stream)), ["0@1: created", "1@1: created", "0@2: +a2"]);
    for number in 1..4 {
        world.commit(&[Op::Put(number, 0)]);
    }
    world.restore();
    assert_eq!(lines(&world.all(stream)), ["0@5: +b3 +c4 +d5", "1@5: +d5"]);
    world.put(4);
    assert_eq!(lines(&world.all(stream)), ["0@6: +e6", "1@6: +e6"]);
}

#[test]
fn after_a_snapshot_a_watcher_is_told_what_it_missed_for_good() {
    let mut world = World::new(wide());
    let stream = world.hub.open();
    world.create(stream, watch());
    for number in 0..4 {
        world.commit(&[Op::Put(number, 0)]);
    }
    world.store.compact(4).unwrap();
    world.restore();
    assert_eq!(lines(&world.all(stream)), ["0@1: created", "0@0: compacted 4"]);
}

#[test]
fn below_the_compact_revision_a_watch_is_created_and_then_cancelled_with_it() {
    for (start, is_cancelled) in [(1, true), (2, true), (3, false)] {
        let mut world = World::with_history(TIGHT, 4);
        world.compact(3);
        let stream = world.hub.open();
        world.create(stream, watch_from(start));
        let replies = lines(&world.all(stream));
        assert_eq!(replies[0], "0@5: created");
        if is_cancelled {
            assert_eq!(replies[1..], ["0@0: compacted 3"]);
            // Its id stays taken until the client cancels it.
            world.create(stream, CreateWatch { watch_id: Some(0), ..watch() });
            world.create(stream, watch());
            world.hub.cancel(stream, 0, 5);
            world.hub.cancel(stream, 0, 5);
            assert_eq!(
                lines(&world.all(stream))[..],
                [
                    "-1@5: refused, mvcc: duplicate watch ID provided on the WatchStream",
                    "1@5: created",
                    "0@5: canceled"
                ]
            );
        } else {
            assert_eq!(replies[1..], ["0@5: +a3 +a4 +a5"]);
        }
    }
}

#[test]
fn the_first_revisions_are_compacted_like_any_other() {
    let mut world = World::with_history(TIGHT, 4);
    world.compact(2);
    let stream = world.hub.open();
    world.create(stream, watch_from(1));
    assert_eq!(lines(&world.all(stream)), ["0@5: created", "0@0: compacted 2"]);
}

#[test]
fn ids_count_up_skip_those_in_use_and_are_not_picked_again() {
    let mut world = World::new(wide());
    let stream = world.hub.open();
    let with_id = |id| CreateWatch { watch_id: Some(id), ..watch() };
    let empty = CreateWatch { range: KeyRange::between(key(1), key(1)), ..watch() };
    world.create(stream, with_id(1));
    world.create(stream, watch());
    world.create(stream, watch());
    world.create(stream, with_id(2));
    world.create(stream, empty);
    world.hub.cancel(stream, 2, 1);
    world.hub.cancel(stream, 9, 1);
    world.create(stream, watch());
    world.create(stream, with_id(2));
    let expected = [
        "1@1: created",
        "0@1: created",
        "2@1: created",
        "-1@1: refused, mvcc: duplicate watch ID provided on the WatchStream",
        "-1@1: refused, mvcc: watcher range is empty",
        "2@1: canceled",
        "3@1: created",
        "2@1: created",
    ];
    assert_eq!(lines(&world.all(stream)), expected);
}

#[test]
fn nothing_follows_a_cancellation_and_what_was_queued_precedes_it() {
    let mut world = World::new(wide());
    let stream = world.hub.open();
    world.create(stream, watch());
    world.put(0);
    world.hub.cancel(stream, 0, 2);
    world.put(1);
    assert_eq!(lines(&world.all(stream)), ["0@1: created", "0@2: +a2", "0@2: canceled"]);
    assert_eq!(world.hub.watcher_count(), 0);
}

#[test]
fn an_answer_for_a_watcher_that_is_gone_meets_nobody() {
    let mut world = World::with_history(TIGHT, 3);
    let stream = world.hub.open();
    world.create(stream, watch_from(2));
    world.hub.cancel(stream, 0, 4);
    world.create(stream, CreateWatch { watch_id: Some(0), ..watch() });
    assert_eq!(lines(&world.all(stream)), ["0@4: created", "0@4: canceled", "0@4: created"]);

    let other = world.hub.open();
    world.create(other, watch_from(2));
    world.hub.close(other);
    world.answer_all();
    assert_eq!((world.hub.stream_count(), world.hub.watcher_count()), (1, 1));
}

#[test]
fn a_slow_client_misses_nothing_and_holds_nobody_up() {
    let mut world = World::new(TIGHT);
    let (slow, fast) = (world.hub.open(), world.hub.open());
    // Two watchers in turn, so that their messages do not join.
    for stream in [slow, slow, fast] {
        world.create(stream, watch());
    }
    let mut seen = Vec::new();
    for number in 0..20 {
        world.put(number % 3);
        seen.extend(lines(&world.all(fast)));
    }
    assert_eq!(seen.len(), 21);
    assert_eq!(world.hub.slow_watcher_count(), 2);
    for watch_id in [0, 1] {
        assert!(lines(&world.all(slow)).len() < 40);
        assert_eq!(world.hub.slow_watcher_count(), 0, "watcher {watch_id}");
    }
}

/// Rule I2: many clients that read slowly take no more memory together than few of them.
#[test]
fn while_all_queues_are_full_watchers_are_fed_from_history_and_miss_nothing() {
    const ROOM: usize = 64 << 10;
    let queues = room_for(ROOM);
    let mut world = World::within(queues.clone(), wide(), 0);
    let streams: Vec<StreamId> = (0..50).map(|_| world.hub.open()).collect();
    for stream in &streams {
        world.create(*stream, watch());
    }
    let changes = 2000;
    for number in 0..changes {
        world.put((number % 5) as u8);
    }
    // What each may have meanwhile, and one response that it was given while there was room.
    assert!(queues.bytes() <= ROOM + streams.len() * 2 * WATCH_QUEUE_BYTES_FULL, "{}", queues.bytes());
    assert!(world.hub.slow_watcher_count() > 0);
    for stream in &streams {
        let seen: usize = lines(&world.all(*stream)).iter().map(|line| line.matches('+').count()).sum();
        assert_eq!(seen, changes);
    }
    assert_eq!(world.hub.slow_watcher_count(), 0);
    assert_eq!(queues.bytes(), 0, "everything was taken");
    world.put(0);
    assert!(queues.bytes() > 0);
    streams.into_iter().for_each(|stream| world.hub.close(stream));
    assert_eq!(queues.bytes(), 0, "what a closed stream has is gone with it");
}

#[test]
fn a_watcher_that_waits_for_room_is_cancelled_when_what_it_needs_is_compacted() {
    let mut world = World::new(TIGHT);
    let stream = world.hub.open();
    world.create(stream, watch());
    world.create(stream, watch());
    (0..20).for_each(|number| world.put(number % 3));
    world.compact(15);
    let replies = lines(&world.all(stream));
    let ends: Vec<&String> = replies.iter().filter(|line| line.contains("compacted")).collect();
    assert_eq!(ends, ["0@0: compacted 15", "1@0: compacted 15"]);
}

#[test]
fn a_watcher_that_keeps_up_does_not_mind_a_compaction() {
    let mut world = World::new(TIGHT);
    let stream = world.hub.open();
    world.create(stream, watch());
    world.commit(&[Op::Put(0, 0)]);
    world.commit(&[Op::Put(0, 0)]);
    world.store.compact(3).unwrap();
    world.publish_all();
    world.hub.compacted(3);
    assert_eq!(lines(&world.all(stream)), ["0@1: created", "0@3: +a2 +a3"]);
}

#[test]
fn progress_is_told_only_when_every_watcher_has_been_sent_everything() {
    let mut world = World::with_history(TIGHT, 3);
    let stream = world.hub.open();
    world.hub.progress_request(stream);
    assert!(world.all(stream).is_empty(), "nobody watches");

    world.create(stream, watch());
    world.create(stream, watch_from(2));
    world.hub.progress_request(stream);
    assert_eq!(line(&world.next(stream).unwrap()), "0@4: created");
    assert_eq!(line(&world.next(stream).unwrap()), "1@4: created");
    assert!(world.next(stream).is_none(), "one of them is still read for");

    world.answer_all();
    world.hub.progress_request(stream);
    assert_eq!(lines(&world.all(stream)), ["1@4: +a2 +a3 +a4", "-1@4: progress"]);

    world.create(stream, watch_from(9));
    world.hub.progress_request(stream);
    assert_eq!(lines(&world.all(stream)), ["2@4: created"], "its first revision has not come");
}

#[test]
fn a_progress_clock_tells_quiet_watchers_that_asked_for_it() {
    let mut world = World::new(wide());
    let stream = world.hub.open();
    let notified = Options { progress_notify: true, ..Options::default() };
    let of = |number| CreateWatch { range: KeyRange::single(key(number)), options: notified, ..watch() };
    world.create(stream, of(0));
    world.create(stream, of(1));
    world.create(stream, watch());
    world.put(0);
    world.all(stream);
    world.hub.progress_tick(stream);
    assert_eq!(lines(&world.all(stream)), ["1@2: progress"]);
    world.hub.progress_tick(stream);
    assert_eq!(lines(&world.all(stream)), ["0@2: progress", "1@2: progress"]);
}

#[test]
fn a_watcher_of_the_future_is_told_no_progress_before_its_first_revision() {
    let mut world = World::with_history(wide(), 3);
    let stream = world.hub.open();
    let notified = Options { progress_notify: true, ..Options::default() };
    let from =
        |start| CreateWatch { options: notified, range: KeyRange::single(key(7)), ..watch_from(start) };
    // The store is at 4: one is due with the next revision, another with the one after.
    world.create(stream, from(5));
    world.create(stream, from(6));
    world.all(stream);
    let mut told = Vec::new();
    for _ in 4..=6 {
        world.hub.progress_tick(stream);
        world.hub.progress_request(stream);
        told.push(lines(&world.all(stream)).join(", "));
        world.put(0);
    }
    assert_eq!(told, ["", "0@5: progress", "0@6: progress, 1@6: progress, -1@6: progress"]);
}

#[test]
fn a_full_stream_is_told_no_progress() {
    let mut world = World::new(TIGHT);
    let stream = world.hub.open();
    let notified = Options { progress_notify: true, ..Options::default() };
    world.create(stream, CreateWatch { options: notified, ..watch() });
    for _ in 0..100 {
        world.hub.progress_tick(stream);
        world.hub.progress_request(stream);
    }
    assert_eq!(world.all(stream).len(), TIGHT.queue_responses);
}

#[test]
fn requests_wait_for_a_client_that_does_not_read_the_answers() {
    let mut world = World::new(TIGHT);
    let stream = world.hub.open();
    let waker = std::task::Waker::noop();
    for _ in 0..TIGHT.queue_responses {
        assert!(world.hub.takes_requests(stream, waker));
        world.create(stream, watch());
    }
    assert!(!world.hub.takes_requests(stream, waker));
    world.all(stream);
    assert!(world.hub.takes_requests(stream, waker));
}

#[test]
fn the_catch_up_thread_reads_for_a_few_watchers_of_a_stream_at_a_time() {
    let mut world = World::with_history(TIGHT, 3);
    let stream = world.hub.open();
    for _ in 0..5 {
        world.create(stream, watch_from(2));
        assert!(world.next(stream).is_some());
        assert!(world.jobs.len() <= TIGHT.reading);
    }
    while !world.jobs.is_empty() {
        assert!(world.jobs.len() <= TIGHT.reading);
        world.answer_one();
        let events = line(&world.next(stream).unwrap());
        assert!(events.ends_with("@4: +a2 +a3 +a4"), "{events}");
    }
    assert_eq!(world.hub.slow_watcher_count(), 0);
}

#[test]
fn history_that_cannot_be_read_ends_the_watch_with_the_reason() {
    let mut world = World::with_history(TIGHT, 3);
    let stream = world.hub.open();
    world.create(stream, watch_from(2));
    let job = world.jobs.pop_front().unwrap();
    world.answer(&job, CaughtUp::Failed { reason: "damaged".to_owned() });
    assert_eq!(lines(&world.all(stream)), ["0@4: created", "0@4: failed, damaged"]);
    assert_eq!(world.hub.watcher_count(), 0);
}

#[test]
fn a_response_of_history_has_a_bounded_number_of_revisions_and_splits_none() {
    let mut world = World::with_history(TIGHT, 0);
    (0..5).for_each(|_| drop(world.commit(&[Op::Put(0, 0), Op::Put(1, 0)])));
    let stream = world.hub.open();
    world.create(stream, watch_from(2));
    world.publish_all();
    let mut old = World::with_history(TIGHT, 7);
    let stream_of_old = old.hub.open();
    old.create(stream_of_old, watch_from(2));
    assert_eq!(
        lines(&old.all(stream_of_old)),
        ["0@8: created", "0@8: +a2 +a3 +a4", "0@8: +a5 +a6 +a7", "0@8: +a8"]
    );
    for reply in &lines(&world.all(stream))[1..] {
        assert_eq!(reply.matches('+').count() % 2, 0, "{reply}");
    }
}

#[test]
fn a_large_response_is_split_only_where_that_is_permitted_and_nothing_joins_its_parts() {
    let bounds = Bounds::new(600);
    let fragmenting = Options { fragment: true, ..Options::default() };
    for options in [Options::default(), fragmenting] {
        let mut world = World::new(bounds);
        let stream = world.hub.open();
        world.create(stream, CreateWatch { options, ..watch() });
        world.commit(&[Op::Put(0, 200), Op::Put(1, 200), Op::Put(2, 200)]);
        world.commit(&[Op::Put(0, 5)]);
        world.publish_all();
        let expected: &[&str] = match options.fragment {
            false => &["0@1: created", "0@2: +a2 +b2 +c2", "0@3: +a3"],
            true => &["0@1: created", "0@2: +a2 +b2 …", "0@2: +c2", "0@3: +a3"],
        };
        assert_eq!(lines(&world.all(stream)), expected);
    }
}

#[test]
fn every_fragment_is_below_the_limit_on_the_wire() {
    use crate::wire::WireReply;
    for limit in (100..400).step_by(13) {
        let mut world = World::new(Bounds::new(limit));
        let stream = world.hub.open();
        let options = Options { fragment: true, ..Options::default() };
        world.create(stream, CreateWatch { options, ..watch() });
        world.commit(&(0..12).map(|number| Op::Put(number, 20)).collect::<Vec<_>>());
        world.publish_all();
        let replies = world.all(stream);
        assert!(replies.iter().all(|reply| reply.wire_len() < limit), "limit {limit}");
        let longest = replies[1..].iter().map(WireReply::wire_len).max().unwrap();
        assert!(
            replies.len() == 2 || longest + 60 > limit,
            "limit {limit}: no fragment is small for nothing"
        );
    }
}

#[test]
fn a_previous_pair_is_shown_unless_it_is_compacted() {
    let prev_kv = Options { prev_kv: true, ..Options::default() };
    let mut world = World::with_history(TIGHT, 4);
    world.compact(3);
    let stream = world.hub.open();
    world.create(stream, CreateWatch { options: prev_kv, ..watch_from(3) });
    let replies = world.all(stream);
    let crate::watch::reply::Kind::Events { events, .. } = &replies[1].kind else {
        panic!("events expected")
    };
    let has_previous: Vec<bool> = events.iter().map(|event| event.decoded().prev_kv.is_some()).collect();
    assert_eq!(has_previous, [false, true, true], "r3's previous pair is that of r2");
}

/// A worker reads some values for a watcher that wants to know what was replaced, as it reads for a client that gets them. A
/// transaction may have replaced a million (rule I1).
#[test]
fn many_previous_pairs_that_are_not_in_memory_are_read_by_the_catch_up_thread() {
    let prev_kv = Options { prev_kv: true, ..Options::default() };
    let mut world = World::new(TIGHT);
    let streams = [world.hub.open(), world.hub.open()];
    world.create(streams[0], CreateWatch { options: prev_kv, ..watch() });
    world.create(streams[1], watch());
    world.commit(&[Op::Put(0, 5), Op::Put(1, 6), Op::Put(2, 7)]);
    world.publish_all();
    world.store.checkpoint().unwrap();
    streams.iter().for_each(|stream| drop(world.all(*stream)));
    // One that is read at once, two that are not, and one after them.
    world.commit(&[Op::Put(0, 1)]);
    world.publish_all();
    assert!(world.jobs.is_empty());
    world.commit(&[Op::Delete(1), Op::Put(2, 2)]);
    world.commit(&[Op::Put(0, 3)]);
    world.publish_all();
    let jobs: Vec<_> = world.jobs.iter().map(|job| (job.stream, job.from, job.prev_kv)).collect();
    assert_eq!(jobs, [(streams[0], 4, true)]);
    let [replies, plain] = streams.map(|stream| world.all(stream));
    let events = |replies: &[WatchReply]| -> Vec<_> {
        let events = replies.iter().flat_map(|reply| match &reply.kind {
            Kind::Events { events, .. } => &events[..],
            other => panic!("{other:?}"),
        });
        let lens = |event: proto::mvccpb::Event| {
            let len = |kv: Option<proto::mvccpb::KeyValue>| kv.map(|kv| kv.value.len());
            (len(event.kv), len(event.prev_kv))
        };
        events.map(|event| lens(event.decoded())).collect()
    };
    let expected = [(Some(1), Some(5)), (Some(0), Some(6)), (Some(2), Some(7)), (Some(3), Some(1))];
    assert_eq!(events(&replies), expected);
    assert_eq!(events(&plain), expected.map(|(now, _)| (now, None)));
    // The same where each transaction has replaced one, and many are published together.
    world.store.checkpoint().unwrap();
    (0..3).for_each(|number| _ = world.commit(&[Op::Put(number * 2, 9)]));
    let together = std::mem::take(&mut world.unpublished);
    world.hub.publish(together.iter());
    world.collect();
    assert_eq!(world.jobs.iter().map(|job| (job.stream, job.from)).collect::<Vec<_>>(), [(streams[0], 7)]);
    let [replies, plain] = streams.map(|stream| events(&world.all(stream)));
    assert_eq!(replies, [(Some(9), Some(3)), (Some(9), Some(2)), (Some(9), None)]);
    assert_eq!(plain.len(), 3);
}

/// Each goes through everything that was published meanwhile: thousands of them would keep the thread from others for long
/// (rule I1).
#[test]
fn of_the_watchers_that_stalled_not_many_go_on_at_once() {
    let mut world = World::new(TIGHT);
    let stream = world.hub.open();
    let silent = Options { no_put: true, no_delete: true, ..Options::default() };
    for _ in 0..3 {
        world.create(stream, CreateWatch { options: silent, ..watch() });
    }
    world.create(stream, watch());
    while world.next(stream).is_some() {}
    while world.hub.slow_watcher_count() == 0 {
        world.put(0);
    }
    assert_eq!(world.hub.slow_watcher_count(), 4, "the queue is full");
    let woken = Arc::new(Woken::default());
    while world.hub.slow_watcher_count() > 0 {
        let before = world.hub.slow_watcher_count();
        let reply = world.hub.next_reply(stream, &Waker::from(woken.clone()));
        assert!(before - world.hub.slow_watcher_count() <= TIGHT.resumed);
        assert!(reply.is_some() || woken.0.swap(false, Ordering::Relaxed), "who writes comes again");
    }
}

#[test]
fn watchers_of_long_keys_have_a_budget_and_those_of_short_ones_need_none() {
    const LONG: usize = WATCHED_KEYS_BYTES_MAX / 4 + WATCHED_KEYS_BYTES_FREE;
    let mut world = World::new(wide());
    let of = |byte: u8, length: usize| Bytes::from(vec![byte; length]);
    let long_key = || CreateWatch { range: KeyRange::single(of(b'a', LONG)), ..watch() };
    let long_end = || CreateWatch { range: KeyRange::between(key(0), of(b'b', LONG - 1)), ..watch() };
    let short = || CreateWatch { range: KeyRange::single(of(b'a', WATCHED_KEYS_BYTES_FREE)), ..watch() };
    let (first, second) = (world.hub.open(), world.hub.open());
    for request in [long_key(), long_end(), long_key()] {
        world.create(first, request);
    }
    for request in [long_end(), long_key(), short()] {
        world.create(second, request);
    }
    assert_eq!(lines(&world.all(first)), ["0@1: created", "1@1: created", "2@1: created"]);
    let refused = "-1@1: refused, etcdserver: too many requests";
    assert_eq!(lines(&world.all(second)), ["0@1: created", refused, "1@1: created"]);
    world.hub.cancel(first, 1, 1);
    world.create(second, long_key());
    world.create(second, long_key());
    assert_eq!(lines(&world.all(second)), ["2@1: created", refused]);
    world.hub.close(first);
    world.create(second, long_end());
    assert_eq!(lines(&world.all(second)), ["3@1: created"]);
}
