//! Decisions about permission against an oracle that works another way: it writes down every key
//! and range that a request needs, however deep it is nested, and ticks off the pieces of the key
//! space that they cover.
//!
//! 100,000 requests, of 400 random sets of users, roles, permissions and leases. More with
//! `QUORATE_TEST_BUDGET` (a factor).

#![allow(clippy::unwrap_used)] // helpers of tests are tests, too

mod support;

use bytes::Bytes;
use machine::auth::{Access, Identity};
use machine::{Applied, Machine, Rejection, txn};
use mvcc::LeaseId;
use proptest::prelude::*;
use proto::authpb::Permission;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{
    AuthEnableRequest, AuthRoleAddRequest, AuthRoleGrantPermissionRequest, AuthUserAddRequest,
    AuthUserGrantRoleRequest, Compare, DeleteRangeRequest, InternalRaftRequest, LeaseGrantRequest,
    PutRequest, RangeRequest, RequestHeader, RequestOp, TxnRequest, WatchCreateRequest,
};
use support::store;

/// Requests for each set of users.
const REQUESTS: usize = 250;
const KEYS: [&str; 6] = ["\0", "a", "a\0", "b", "bb", "c"];
/// Where a range may start or end, and behind each key the next possible one: between two of these,
/// nothing starts or ends.
const BOUNDS: [&str; 11] = ["\0", "\0\0", "a", "a\0", "a\0\0", "b", "b\0", "bb", "bb\0", "c", "c\0"];

/// Who there is: `u` with the roles, `admin` and `root` with the role `root`.
#[derive(Debug, Clone)]
struct Cluster {
    /// Of each role of `u`: type, key, range end.
    roles: Vec<Vec<(i32, &'static str, &'static str)>>,
    /// Which lease each key is attached to.
    leases: Vec<Option<i64>>,
}

// The oracle.

/// A key or range that a request needs, and whether to write it.
type Need<'a> = (bool, &'a [u8], &'a [u8]);

/// One bit for each piece of the key space that the range covers.
fn pieces(key: &[u8], end: &[u8]) -> u32 {
    let covers = |bound: &&str| {
        let bound = bound.as_bytes();
        if end.is_empty() { bound == key } else { bound >= key && (end == [0] || bound < end) }
    };
    let places = BOUNDS.iter().enumerate().filter(|(_, bound)| covers(bound));
    places.map(|(place, _)| 1 << place).sum()
}

impl Cluster {
    fn permitted(&self, write: bool) -> u32 {
        let counts = |kind: i32| kind == 2 || kind == i32::from(write);
        let all = self.roles.iter().flatten().filter(|(kind, ..)| counts(*kind));
        all.fold(0, |sum, (_, key, end)| sum | pieces(key.as_bytes(), end.as_bytes()))
    }

    fn grants(&self, (write, key, end): Need<'_>) -> bool {
        let range = if pieces(key, end) == 0 { pieces(key, b"") } else { pieces(key, end) };
        range & !self.permitted(write) == 0
    }

    fn keys_of(&self, lease: i64) -> impl Iterator<Item = &'static [u8]> {
        let attached = self.leases.iter().zip(KEYS).filter(move |(of, _)| **of == Some(lease) && lease != 0);
        attached.map(|(_, key)| key.as_bytes())
    }

    fn needs<'a>(&self, request: &'a Request, needs: &mut Vec<Need<'a>>) {
        match request {
            Request::RequestRange(range) => needs.push((false, &range.key, &range.range_end)),
            Request::RequestPut(put) => {
                needs.push((true, &put.key, b""));
                needs.extend(self.keys_of(put.lease).map(|key| (true, key, &b""[..])));
                needs.extend(put.prev_kv.then_some((false, &put.key[..], &b""[..])));
            }
            Request::RequestDeleteRange(delete) => {
                needs.push((true, &delete.key, &delete.range_end));
                needs.extend(delete.prev_kv.then_some((false, &delete.key[..], &delete.range_end[..])));
            }
            Request::RequestTxn(txn) => {
                needs.extend(
                    txn.compare.iter().map(|compare| (false, &compare.key[..], &compare.range_end[..])),
                );
                let operations = txn.success.iter().chain(&txn.failure);
                operations.for_each(|operation| self.needs(operation.request.as_ref().unwrap(), needs));
            }
        }
    }

    /// The refusal of somebody who needs that, where the newest auth revision is `now`.
    fn refusal(&self, who: Identity<'_>, now: u64, needs: &[Need<'_>]) -> Option<Rejection> {
        match (who.auth_revision, who.username) {
            (0, _) => Some(Rejection::UserEmpty),
            (old, _) if old < now => Some(Rejection::AuthOldRevision),
            (_, "root" | "admin") => None,
            (_, "u") if needs.iter().all(|need| self.grants(*need)) => None,
            _ => Some(Rejection::PermissionDenied),
        }
    }

    fn lease_refusal(&self, who: Identity<'_>, now: u64, lease: i64, write: bool) -> Option<Rejection> {
        let needs: Vec<Need<'_>> = self.keys_of(lease).map(|key| (write, key, &b""[..])).collect();
        match who.username {
            "" => Some(Rejection::UserEmpty),
            "root" | "admin" => None,
            _ if needs.is_empty() => None,
            _ => self.refusal(who, now, &needs),
        }
    }
}

// The state machine, brought to the same state by commands.

struct World {
    machine: Machine,
    index: u64,
}

impl World {
    fn new(cluster: &Cluster) -> Self {
        let mut world = Self { machine: store::fresh(), index: 0 };
        ["root", "admin", "u"].into_iter().for_each(|name| world.add_user(name));
        ["root", "admin"].into_iter().for_each(|name| world.grant_role(name, "root"));
        for (number, permissions) in cluster.roles.iter().enumerate() {
            world.add_role(&format!("role {number}"), permissions);
        }
        for lease in [1, 2] {
            let grant = LeaseGrantRequest { id: lease, ttl: 60 };
            world.must(InternalRaftRequest { lease_grant: Some(grant), ..Default::default() });
        }
        for (lease, key) in cluster.leases.iter().zip(KEYS) {
            let put = PutRequest { key: key.into(), lease: lease.unwrap_or(0), ..Default::default() };
            world.must(InternalRaftRequest { put: Some(put), ..Default::default() });
        }
        let enable = Some(Box::new(AuthEnableRequest {}));
        world.must(InternalRaftRequest { auth_enable: enable, ..Default::default() });
        world
    }

    fn add_user(&mut self, name: &str) {
        let request = AuthUserAddRequest { name: name.into(), ..Default::default() };
        self.must(InternalRaftRequest { auth_user_add: Some(request.into()), ..Default::default() });
    }

    fn grant_role(&mut self, user: &str, role: &str) {
        let request = AuthUserGrantRoleRequest { user: user.into(), role: role.into() };
        self.must(InternalRaftRequest { auth_user_grant_role: Some(request.into()), ..Default::default() });
    }

    /// Adds a role that `u` holds.
    fn add_role(&mut self, name: &str, permissions: &[(i32, &'static str, &'static str)]) {
        let request = AuthRoleAddRequest { name: name.into() };
        self.must(InternalRaftRequest { auth_role_add: Some(request.into()), ..Default::default() });
        self.grant_role("u", name);
        for &(perm_type, key, range_end) in permissions {
            let perm = Some(Permission { perm_type, key: key.into(), range_end: range_end.into() });
            let request = AuthRoleGrantPermissionRequest { name: name.into(), perm };
            let grant = Some(Box::new(request));
            self.must(InternalRaftRequest { auth_role_grant_permission: grant, ..Default::default() });
        }
    }

    fn must(&mut self, entry: InternalRaftRequest) {
        self.apply(&entry).unwrap();
    }

    fn apply(&mut self, entry: &InternalRaftRequest) -> Result<(), Rejection> {
        self.index += 1;
        let outcome = self.machine.apply(Applied { index: self.index, term: 1 }, entry).unwrap();
        outcome.result.map(drop)
    }
}

/// A request, or a question about a lease.
#[derive(Debug, Clone)]
enum Asked {
    Operation(Request),
    Watch(Bytes, Bytes),
    KeepAlive(i64),
    LeaseKeys(i64),
    LeaseList,
}

fn decide(world: &World, who: Identity<'_>, asked: &Asked) -> Option<Rejection> {
    let Asked::Operation(request) = asked else {
        let watch;
        let access = match asked {
            Asked::Watch(key, range_end) => {
                watch = WatchCreateRequest {
                    key: key.clone(),
                    range_end: range_end.clone(),
                    ..Default::default()
                };
                Access::Watch(&watch)
            }
            Asked::KeepAlive(id) => Access::LeaseKeepAlive(LeaseId(*id)),
            Asked::LeaseKeys(id) => Access::LeaseKeys(LeaseId(*id)),
            _ => Access::LeaseList,
        };
        return world.machine.authorise(who, access).err();
    };
    let access = match request {
        Request::RequestRange(request) => Access::Range(request),
        Request::RequestPut(request) => Access::Put(request),
        Request::RequestDeleteRange(request) => Access::DeleteRange(request),
        Request::RequestTxn(request) => Access::Txn(request),
    };
    let decision = world.machine.authorise(who, access).err();
    let is_read = match access {
        Access::Range(_) => true,
        Access::Txn(request) => txn::is_read_only(request),
        _ => false,
    };
    if is_read {
        assert_eq!(world.machine.auth().authorise(who, access).err(), decision, "on a view");
    }
    decision
}

fn expected(cluster: &Cluster, who: Identity<'_>, now: u64, asked: &Asked) -> Option<Rejection> {
    match asked {
        Asked::Operation(request) => {
            let mut needs = Vec::new();
            cluster.needs(request, &mut needs);
            cluster.refusal(who, now, &needs)
        }
        Asked::Watch(key, end) => cluster.refusal(who, now, &[(false, key, end)]),
        Asked::KeepAlive(id) => cluster.lease_refusal(who, now, *id, true),
        Asked::LeaseKeys(id) => cluster.lease_refusal(who, now, *id, false),
        Asked::LeaseList => {
            let refusal = |id| cluster.lease_refusal(who, now, id, false);
            refusal(1).or_else(|| refusal(2))
        }
    }
}

fn entry(request: &Request, who: Identity<'_>) -> InternalRaftRequest {
    let header = RequestHeader { id: 1, username: who.username.into(), auth_revision: who.auth_revision };
    let entry = InternalRaftRequest { header: Some(header), ..Default::default() };
    match request.clone() {
        Request::RequestRange(range) => InternalRaftRequest { range: Some(range.into()), ..entry },
        Request::RequestPut(put) => InternalRaftRequest { put: Some(put), ..entry },
        Request::RequestDeleteRange(delete) => InternalRaftRequest { delete_range: Some(delete), ..entry },
        Request::RequestTxn(txn) => InternalRaftRequest { txn: Some(txn), ..entry },
    }
}

/// Applying refuses what the decision refuses, with the same words and without a trace; and nothing
/// else for permission.
fn check_apply(world: &mut World, who: Identity<'_>, request: &Request, decision: Option<Rejection>) {
    let before = world.machine.store().state_hash();
    let result = world.apply(&entry(request, who));
    match decision {
        Some(rejection) => {
            assert_eq!(result, Err(rejection));
            assert_eq!(world.machine.store().state_hash(), before);
        }
        None => assert!(matches!(result, Ok(()) | Err(Rejection::LeaseNotFound)), "{result:?}"),
    }
}

// Random clusters and requests.

fn key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&KEYS[..])
}

fn end() -> impl Strategy<Value = &'static str> {
    prop_oneof![3 => Just(""), 1 => Just("\0"), 4 => prop::sample::select(&BOUNDS[1..])]
}

fn cluster() -> impl Strategy<Value = Cluster> {
    let range =
        (key(), end()).prop_filter("a range", |(key, end)| end.is_empty() || *end == "\0" || key < end);
    // Granted twice, the same range permits what was granted last.
    let role = prop::collection::btree_map(range, 0..4i32, 0..4)
        .prop_map(|permissions| permissions.into_iter().map(|((key, end), kind)| (kind, key, end)).collect());
    let roles = prop::collection::vec(role, 0..4);
    let leases = prop::collection::vec(prop::option::weighted(0.3, 1..3i64), KEYS.len());
    (roles, leases).prop_map(|(roles, leases)| Cluster { roles, leases })
}

fn range() -> impl Strategy<Value = (Bytes, Bytes)> {
    (key(), end()).prop_map(|(key, end)| (key.into(), end.into()))
}

/// One operation, or transactions three deep.
fn operation() -> impl Strategy<Value = Request> {
    let leaf = prop_oneof![
        2 => range().prop_map(|(key, range_end)| {
            Request::RequestRange(RangeRequest { key, range_end, ..Default::default() })
        }),
        2 => (key(), 0..4i64, any::<bool>()).prop_map(|(key, lease, prev_kv)| {
            Request::RequestPut(PutRequest { key: key.into(), lease, prev_kv, ..Default::default() })
        }),
        1 => (range(), any::<bool>()).prop_map(|((key, range_end), prev_kv)| {
            Request::RequestDeleteRange(DeleteRangeRequest { key, range_end, prev_kv })
        }),
    ];
    leaf.prop_recursive(3, 6, 2, |inner| {
        let branch =
            prop::collection::vec(inner.prop_map(|request| RequestOp { request: Some(request) }), 0..2);
        let compare = range().prop_map(|(key, range_end)| Compare { key, range_end, ..Default::default() });
        (prop::collection::vec(compare, 0..2), branch.clone(), branch).prop_map(
            |(compare, success, failure)| Request::RequestTxn(TxnRequest { compare, success, failure }),
        )
    })
}

fn asked() -> impl Strategy<Value = Asked> {
    prop_oneof![
        12 => operation().prop_map(Asked::Operation),
        1 => range().prop_map(|(key, range_end)| Asked::Watch(key, range_end)),
        1 => (0..4i64).prop_map(Asked::KeepAlive),
        1 => (0..4i64).prop_map(Asked::LeaseKeys),
        1 => Just(Asked::LeaseList),
    ]
}

/// A name, and how old the identity is: mostly `u`, as of now.
fn who() -> impl Strategy<Value = (&'static str, i64)> {
    let name = prop_oneof![8 => Just("u"), 1 => prop::sample::select(&["root", "admin", "ghost"][..])];
    let age = prop_oneof![12 => Just(0), 1 => Just(1), 1 => Just(-1)];
    prop_oneof![15 => (name, age), 1 => Just(("", i64::MAX))]
}

/// More with `QUORATE_TEST_BUDGET` (a factor).
#[allow(clippy::disallowed_methods)] // tests have an environment
fn clusters() -> u32 {
    let budget = std::env::var("QUORATE_TEST_BUDGET").ok().and_then(|text| text.parse().ok());
    400 * budget.unwrap_or(1)
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2_000, ..ProptestConfig::with_cases(clusters()) })]

    #[test]
    fn every_decision_is_the_oracles(
        cluster in cluster(),
        requests in prop::collection::vec((who(), asked()), REQUESTS),
    ) {
        let mut world = World::new(&cluster);
        let now = world.machine.auth().revision();
        let identify = |username, age: i64| match age {
            i64::MAX => Identity::NOBODY,
            age => Identity { username, auth_revision: now.saturating_add_signed(-age) },
        };
        for ((name, age), asked) in &requests {
            let who = identify(*name, *age);
            let decision = decide(&world, who, asked);
            prop_assert_eq!(decision, expected(&cluster, who, now, asked), "{:?} asks {:?}", who, asked);
        }
        // Applying changes which keys the leases have, so the last one only.
        if let Some(((name, age), Asked::Operation(request))) = requests.last() {
            let who = identify(*name, *age);
            let decision = decide(&world, who, &requests[requests.len() - 1].1);
            check_apply(&mut world, who, request, decision);
        }
        world.machine.auth().check_invariants();
    }
}
