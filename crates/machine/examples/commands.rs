//! A state machine on a simulated disk: a few commands, what they give, and that a restart finds the same state.
//!
//! `cargo run -p quorate-machine --example commands`

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use machine::{Applied, Machine, Outcome, read};
use mvcc::{Options, Store};
use prost::Message;
use proto::etcdserverpb::{
    InternalRaftRequest, LeaseGrantRequest, LeaseRevokeRequest, PutRequest, RangeRequest, RangeResponse,
};
use wal::SimDisk;

fn main() -> Result<(), Box<dyn Error>> {
    let disk = SimDisk::new(1);
    let mut machine = open(&disk)?;

    // The raft log hands the same entries to every member. Here there is one, and the log is this list.
    let grant = LeaseGrantRequest { id: 7, ttl: 60 };
    let put = |key: &'static str, value: &'static str, lease| PutRequest {
        key: key.into(),
        value: value.into(),
        lease,
        ..PutRequest::default()
    };
    let log = [
        InternalRaftRequest { lease_grant: Some(grant), ..InternalRaftRequest::default() },
        InternalRaftRequest { put: Some(put("config", "blue", 0)), ..InternalRaftRequest::default() },
        InternalRaftRequest { put: Some(put("leader", "n1", 7)), ..InternalRaftRequest::default() },
        InternalRaftRequest { put: Some(put("leader", "n2", 99)), ..InternalRaftRequest::default() },
        InternalRaftRequest {
            lease_revoke: Some(LeaseRevokeRequest { id: 7 }),
            ..InternalRaftRequest::default()
        },
    ];
    for (index, entry) in (1..).zip(&log) {
        let outcome = machine.apply(Applied { index, term: 1 }, entry)?;
        print(index, &outcome);
        if index == 3 {
            checkpoint(&mut machine)?;
        }
    }

    // Reads do not go through the log: they run on a view, in any thread.
    let everything = RangeRequest { key: "\0".into(), range_end: "\0".into(), ..RangeRequest::default() };
    let reply = read::range(&machine.view(), &everything, &mvcc::ToTheEnd)?;
    let response = RangeResponse::decode(reply.body.to_bytes())?;
    println!("at revision {}: {} key, {:?}", reply.revision, response.count, response.kvs);

    // After a restart the store is where its last checkpoint was, and the rest of the log is applied again.
    let hash = machine.store().state_hash();
    drop(machine);
    let mut machine = open(&disk)?;
    let applied = machine.store().applied().index;
    println!("restarted at entry {applied}");
    for (index, entry) in (1..).zip(&log).skip(applied as usize) {
        machine.apply(Applied { index, term: 1 }, entry)?;
    }
    assert_eq!(machine.store().state_hash(), hash);
    println!("state hash {hash:032x}, as before");
    Ok(())
}

fn open(disk: &SimDisk) -> Result<Machine, Box<dyn Error>> {
    let store = Store::open(Arc::new(disk.clone()), Path::new("/member/store"), Options::default())?;
    Ok(Machine::open(store)?)
}

fn checkpoint(machine: &mut Machine) -> Result<(), mvcc::Error> {
    let store = machine.store_mut();
    if let Some(job) = store.freeze() {
        let done = job.run()?;
        store.complete(done);
    }
    Ok(())
}

fn print(index: u64, outcome: &Outcome) {
    match &outcome.result {
        Ok(reply) => println!("entry {index}: revision {}", reply.revision),
        Err(rejection) => println!("entry {index}: refused, {rejection}"),
    }
    for change in outcome.changes.iter().flat_map(|changes| changes.changes.iter()) {
        println!("  {} {} {:?}", change.revision, if change.is_put() { "PUT" } else { "DELETE" }, change.key);
    }
    for effect in &outcome.effects {
        println!("  {effect:?}");
    }
}
