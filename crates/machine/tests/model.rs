//! Random commands against the naive model: every answer must be the model's, byte for byte.

#![allow(clippy::unwrap_used)] // helpers of tests are tests, too

mod support;

use std::collections::BTreeMap;

use bytes::Bytes;
use machine::{Applied, Body, Failure, Machine, Reading, Rejection, Reply, read, txn, validate};
use mvcc::{Changes, Item, View};
use proptest::prelude::*;
use prost::Message;
use proto::etcdserverpb::{CompactionRequest, InternalRaftRequest, RangeRequest, RangeResponse};
use proto::mvccpb::KeyValue;
use support::{generate, model::Model, store};

type Keys = BTreeMap<Bytes, KeyValue>;

/// What somebody knows of the keys who has only watched.
fn follow(keys: &mut Keys, changes: &Changes) {
    let decoded = |item: &Item| KeyValue::decode(item.encoded.clone()).unwrap();
    let before_all = keys.clone();
    for change in changes.changes.iter() {
        assert_eq!(change.revision.main, changes.revision);
        let before = change.read_before().unwrap();
        assert_eq!(before.as_ref().map(decoded).as_ref(), before_all.get(&change.key));
        match &change.after {
            Some(item) => drop(keys.insert(change.key.clone(), decoded(item))),
            None => assert!(keys.remove(&change.key).is_some(), "a delete of nothing is no change"),
        }
    }
}

fn served(result: Result<Reply, Failure>) -> Result<Reply, Rejection> {
    result.map_err(|failure| match failure {
        Failure::Rejected(rejection) => rejection,
        failure => panic!("{failure}"),
    })
}

/// The same read outside the log: on a view, and a range also as a stream.
fn check_reads(machine: &Machine, command: &InternalRaftRequest, applied: &Result<Reply, Rejection>) {
    if *applied == Err(Rejection::Corrupt) {
        return;
    }
    if let Some(request) = &command.range {
        assert_eq!(&served(read::range(&machine.view(), request, &mvcc::ToTheEnd)), applied);
        if validate::range_stream(request).is_ok() {
            assert_eq!(&served(stream(request, 8, || machine.view())), applied);
        }
    }
    if let Some(request) = command.txn.as_ref().filter(|request| txn::is_read_only(request)) {
        assert_eq!(&served(read::txn(&machine.view(), request, &mvcc::ToTheEnd)), applied);
    }
}

/// The messages of a stream merged. Each is read from another view.
fn stream(
    request: &RangeRequest,
    request_bytes_max: usize,
    mut view: impl FnMut() -> View,
) -> Result<Reply, Failure> {
    let mut stream = read::RangeStream::new((*request).clone(), request_bytes_max);
    let mut merged = Vec::new();
    loop {
        let chunk = stream.next(&view(), &mvcc::ToTheEnd)?.expect("the last message has a header");
        chunk.body.write(&mut merged);
        if let Some(revision) = chunk.header_revision {
            assert_eq!(stream.next(&view(), &mvcc::ToTheEnd)?, None);
            return Ok(Reply { revision, body: Body::encoded(merged.into()) });
        }
        let RangeResponse { kvs, more, count, .. } = RangeResponse::decode(chunk.body.to_bytes()).unwrap();
        assert_eq!((kvs.is_empty(), more, count), (false, false, 0));
    }
}

/// Reads what was left for later, and compares it with what was read at once.
fn check_unread(
    (rest, then, at_once): (Box<txn::Unread>, Result<Reply, Rejection>, Result<Reply, Rejection>),
) -> Result<(), TestCaseError> {
    let body = rest.read(&mvcc::ToTheEnd).unwrap();
    prop_assert_eq!(then.map(|reply| Reply { body, ..reply }), at_once);
    Ok(())
}

/// More with `QUORATE_TEST_BUDGET` (a factor).
#[allow(clippy::disallowed_methods)] // tests have an environment
fn cases() -> u32 {
    let budget = std::env::var("QUORATE_TEST_BUDGET").ok().and_then(|text| text.parse().ok());
    400 * budget.unwrap_or(1)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn every_answer_is_the_models(commands in prop::collection::vec(generate::command(), 1..60)) {
        let mut machine = store::fresh();
        let mut model = Model::new();
        let mut watched = Keys::new();
        for (place, command) in commands.iter().enumerate() {
            let (index, term) = (place as u64 + 1, 1);
            let expected = model.apply(index, term, command);
            let outcome = machine.apply(Applied { index, term }, command).unwrap();
            check_reads(&machine, command, &outcome.result);
            let actual = outcome.result.map(|reply| (reply.revision, reply.body.to_bytes().to_vec()));
            prop_assert_eq!(actual, expected, "command {}: {:?}", index, command);
            if let Some(changes) = &outcome.changes {
                follow(&mut watched, changes);
            }
            prop_assert_eq!(&watched, model.now());
        }
    }

    /// Whoever reads for a reply later, after other writes, a checkpoint and a compaction of everything, reads what would have
    /// been read then. Who never reads has the same state.
    #[test]
    fn a_reply_that_is_read_later_is_the_same(
        commands in prop::collection::vec(generate::command(), 1..60),
        keeps in 1usize..60,
    ) {
        let (mut now, mut later, mut never) = (store::fresh(), store::fresh(), store::fresh());
        let mut unread = Vec::new();
        for (place, command) in commands.iter().enumerate() {
            let applied = Applied { index: place as u64 + 1, term: 1 };
            let expected = now.apply(applied, command).unwrap();
            let outcome = later.apply_for(Reading::Later, applied, command).unwrap();
            prop_assert!(expected.unread.is_none());
            match outcome.unread {
                Some(rest) => unread.push((rest, outcome.result, expected.result)),
                None => prop_assert_eq!(&outcome.result, &expected.result),
            }
            never.apply_for(Reading::Never, applied, command).unwrap();
            prop_assert_eq!(later.store().state_hash(), now.store().state_hash());
            prop_assert_eq!(never.store().state_hash(), now.store().state_hash());
            if place % 7 == 0 {
                store::checkpoint(&mut later);
            }
            if unread.len() > keeps {
                check_unread(unread.remove(0))?;
            }
        }
        let applied = Applied { index: commands.len() as u64 + 1, term: 1 };
        let compaction = CompactionRequest { revision: later.store().revision(), physical: false };
        let compaction = InternalRaftRequest { compaction: Some(compaction), ..Default::default() };
        later.apply(applied, &compaction).unwrap();
        store::checkpoint(&mut later);
        unread.into_iter().try_for_each(check_unread)?;
    }

    #[test]
    fn a_stream_merged_is_the_unary_reply_whatever_happens_between_its_messages(
        before in prop::collection::vec(generate::write(), 1..150),
        between in prop::collection::vec(generate::write(), 1..20),
        request in generate::streamed_range(),
        request_bytes_max in prop::sample::select(&[1usize, 64, 1000][..]),
        compacts in prop::bool::weighted(0.2),
    ) {
        let mut machine = store::fresh();
        let mut index = 0;
        let mut apply = |machine: &mut Machine, command: &InternalRaftRequest| {
            index += 1;
            machine.apply(Applied { index, term: 1 }, command).unwrap();
        };
        before.iter().for_each(|command| apply(&mut machine, command));
        let first = machine.view();
        let unary = served(read::range(&first, &request, &mvcc::ToTheEnd));
        let at = if request.revision > 0 { request.revision } else { first.revision() };
        let mut is_first = true;
        let streamed = served(stream(&request, request_bytes_max, || {
            if !std::mem::replace(&mut is_first, false) {
                between.iter().for_each(|command| apply(&mut machine, command));
                let revision = machine.view().revision();
                let compaction = CompactionRequest { revision, physical: false };
                if compacts {
                    let command = InternalRaftRequest { compaction: Some(compaction), ..Default::default() };
                    apply(&mut machine, &command);
                }
            }
            machine.view()
        }));
        if streamed == Err(Rejection::Compacted) && streamed != unary {
            prop_assert!(machine.view().compact_revision() > at);
            prop_assert_eq!(request.sort_target, 0, "what is sorted is read at once");
        } else {
            prop_assert_eq!(streamed, unary);
        }
    }
}
