//! What applying costs: `cargo bench -p quorate-machine`. Prints nanoseconds for each command, the store included.

#![allow(clippy::unwrap_used)] // helpers of tests are tests, too
#![allow(clippy::disallowed_types)] // a benchmark has a clock

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use machine::{Applied, Machine, read};
use mvcc::{LeaseId, Options, Store};
use proto::authpb::Permission;
use proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{
    AuthEnableRequest, AuthRoleAddRequest, AuthRoleGrantPermissionRequest, AuthUserAddRequest,
    AuthUserGrantRoleRequest, Compare, InternalRaftRequest, PutRequest, RangeRequest, RequestHeader,
    RequestOp, TxnRequest,
};
use wal::SimDisk;

const KEYS: usize = 100_000;
const ROUNDS: usize = 300_000;
const VALUE: &[u8] = &[b'v'; 256];

fn main() {
    let mut machine = Machine::open(open_store()).unwrap();
    let mut index = 0;

    let puts: Vec<_> = (0..KEYS).map(put).collect();
    measure(&mut machine, &mut index, "put, new key", KEYS, &puts);
    measure(&mut machine, &mut index, "put, old key", ROUNDS, &puts);

    store_alone(&puts);

    let previous: Vec<_> = (0..KEYS)
        .map(|number| {
            let put = put(number).put.map(|put| PutRequest { prev_kv: true, ..put });
            InternalRaftRequest { put, ..InternalRaftRequest::default() }
        })
        .collect();
    measure(&mut machine, &mut index, "put, previous key-value asked for", ROUNDS, &previous);

    let swaps: Vec<_> = (0..KEYS).map(compare_and_put).collect();
    measure(&mut machine, &mut index, "txn: compare version, put, else get", ROUNDS, &swaps);
    ranges(&machine);
    with_authentication(&mut machine, &mut index);
    println!("state hash {:032x}", machine.store().state_hash());
}

/// The same put by a user with three roles of ten permissions each, and by root.
fn with_authentication(machine: &mut Machine, index: &mut u64) {
    let entry = InternalRaftRequest::default;
    let mut commands = Vec::new();
    for name in ["root", "user"] {
        let request = AuthUserAddRequest { name: name.into(), ..Default::default() };
        commands.push(InternalRaftRequest { auth_user_add: Some(request.into()), ..entry() });
    }
    for role in ["a", "b", "c"] {
        let request = AuthRoleAddRequest { name: role.into() };
        commands.push(InternalRaftRequest { auth_role_add: Some(request.into()), ..entry() });
        for number in 0..10 {
            let prefix = format!("/registry/pods/default/pod-{number}{role}");
            let perm = Permission { perm_type: 2, key: prefix.into(), range_end: Bytes::new() };
            let request = AuthRoleGrantPermissionRequest { name: role.into(), perm: Some(perm) };
            commands
                .push(InternalRaftRequest { auth_role_grant_permission: Some(request.into()), ..entry() });
        }
    }
    let perm = Permission { perm_type: 2, key: "/registry/".into(), range_end: "/registry0".into() };
    let request = AuthRoleGrantPermissionRequest { name: "b".into(), perm: Some(perm) };
    commands.push(InternalRaftRequest { auth_role_grant_permission: Some(request.into()), ..entry() });
    for (user, role) in [("root", "root"), ("user", "a"), ("user", "b"), ("user", "c")] {
        let request = AuthUserGrantRoleRequest { user: user.into(), role: role.into() };
        commands.push(InternalRaftRequest { auth_user_grant_role: Some(request.into()), ..entry() });
    }
    commands.push(InternalRaftRequest { auth_enable: Some(AuthEnableRequest {}.into()), ..entry() });
    measure(machine, index, "a change of users or roles", commands.len(), &commands);
    for name in ["user", "root"] {
        let header = RequestHeader { id: 1, username: name.into(), auth_revision: machine.auth().revision() };
        let by = |number| InternalRaftRequest { header: Some(header.clone()), ..put(number) };
        let puts: Vec<_> = (0..KEYS).map(by).collect();
        measure(machine, index, &format!("put, old key, by {name}"), ROUNDS, &puts);
    }
}

fn open_store() -> Store {
    Store::open(Arc::new(SimDisk::new(1)), Path::new("/bench"), Options::default()).unwrap()
}

fn measure(
    machine: &mut Machine,
    index: &mut u64,
    name: &str,
    count: usize,
    commands: &[InternalRaftRequest],
) {
    let start = Instant::now();
    for command in commands.iter().cycle().take(count) {
        *index += 1;
        machine.apply(Applied { index: *index, term: 1 }, command).unwrap().result.unwrap();
    }
    println!("{name:40} {:6.0} ns", start.elapsed().as_nanos() as f64 / count as f64);
}

/// Reads on a view, up to the bytes for the connection.
fn ranges(machine: &Machine) {
    let view = machine.view();
    let mut buffer = Vec::new();
    for (limit, keys_only) in [(1, false), (1000, false), (1000, true)] {
        let request = RangeRequest {
            key: key(500),
            range_end: "s".into(),
            limit,
            keys_only,
            ..RangeRequest::default()
        };
        let rounds = 200_000 / limit;
        let start = Instant::now();
        for _ in 0..rounds {
            buffer.clear();
            read::range(&view, &request, &mvcc::ToTheEnd).unwrap().body.write(&mut buffer);
        }
        let name = format!("range, limit {limit}{}", if keys_only { ", keys only" } else { "" });
        println!(
            "{name:40} {:6.0} ns, {} bytes",
            start.elapsed().as_nanos() as f64 / rounds as f64,
            buffer.len()
        );
    }
}

/// The same puts without the machine: the difference is what the machine costs.
fn store_alone(commands: &[InternalRaftRequest]) {
    let mut store = open_store();
    let mut round = || {
        for put in commands.iter().filter_map(|command| command.put.as_ref()) {
            let mut txn = store.txn();
            txn.put(put.key.clone(), put.value.clone(), LeaseId(0));
            txn.commit();
        }
    };
    round();
    let start = Instant::now();
    (0..ROUNDS / KEYS).for_each(|_| round());
    println!(
        "{:40} {:6.0} ns",
        "put, old key, the store alone",
        start.elapsed().as_nanos() as f64 / ROUNDS as f64
    );
}

fn key(number: usize) -> Bytes {
    format!("/registry/pods/default/pod-{number:08}").into()
}

fn put(number: usize) -> InternalRaftRequest {
    let put = PutRequest { key: key(number), value: VALUE.into(), ..PutRequest::default() };
    InternalRaftRequest { put: Some(put), ..InternalRaftRequest::default() }
}

fn compare_and_put(number: usize) -> InternalRaftRequest {
    let compare = Compare {
        result: CompareResult::Greater as i32,
        target: CompareTarget::Version as i32,
        key: key(number),
        target_union: Some(TargetUnion::Version(0)),
        ..Compare::default()
    };
    let range = RangeRequest { key: key(number), ..RangeRequest::default() };
    let txn = TxnRequest {
        compare: vec![compare],
        success: vec![RequestOp { request: put(number).put.map(Request::RequestPut) }],
        failure: vec![RequestOp { request: Some(Request::RequestRange(range)) }],
    };
    InternalRaftRequest { txn: Some(txn), ..InternalRaftRequest::default() }
}
