//! Random commands against the naive model: every answer must be the model's, byte for byte.

#![allow(clippy::unwrap_used)] // helpers of tests are tests, too

mod support;

use std::collections::BTreeMap;

use bytes::Bytes;
use machine::{Applied, Body, Failure, Machine, Rejection, Reply, read, txn, validate};
use mvcc::{Changes, Item};
use proptest::prelude::*;
use prost::Message;
use proto::etcdserverpb::{InternalRaftRequest, RangeRequest};
use proto::mvccpb::KeyValue;
use support::{generate, model::Model, store};

type Keys = BTreeMap<Bytes, KeyValue>;

/// What somebody knows of the keys who has only watched.
fn follow(keys: &mut Keys, changes: &Changes) {
    let decoded = |item: &Item| KeyValue::decode(item.encoded.clone()).unwrap();
    let before_all = keys.clone();
    for change in changes.changes.iter() {
        assert_eq!(change.revision.main, changes.revision);
        assert_eq!(change.before.as_ref().map(decoded).as_ref(), before_all.get(&change.key));
        match &change.after {
            Some(item) => drop(keys.insert(change.key.clone(), decoded(item))),
            None => assert!(keys.remove(&change.key).is_some(), "a delete of nothing is no change"),
        }
    }
}

/// The same read outside the log: on a view, and a range also as a stream.
fn check_reads(machine: &Machine, command: &InternalRaftRequest, applied: &Result<Reply, Rejection>) {
    let served = |result: Result<Reply, Failure>| {
        result.map_err(|failure| match failure {
            Failure::Rejected(rejection) => rejection,
            Failure::Store(error) => panic!("{error}"),
        })
    };
    if *applied == Err(Rejection::Corrupt) {
        return;
    }
    if let Some(request) = &command.range {
        assert_eq!(&served(read::range(&machine.view(), request)), applied);
        let is_whole = request.limit <= 0 || request.sort_target == 0;
        if validate::range_stream(request).is_ok() && is_whole && request.sort_target == 0 {
            assert_eq!(&served(stream(machine, request)), applied);
        }
    }
    if let Some(request) = command.txn.as_ref().filter(|request| txn::is_read_only(request)) {
        assert_eq!(&served(read::txn(&machine.view(), request)), applied);
    }
}

fn stream(machine: &Machine, request: &RangeRequest) -> Result<Reply, Failure> {
    let mut stream = read::RangeStream::new((*request).clone(), 8);
    let (mut merged, mut revision) = (Vec::new(), 0);
    while let Some(chunk) = stream.next(&machine.view())? {
        chunk.body.write(&mut merged);
        revision = chunk.header_revision.unwrap_or_default();
    }
    Ok(Reply { revision, body: Body::encoded(merged.into()) })
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
}
