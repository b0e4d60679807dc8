//! One test for each known fault of etcd that let somebody do or see what they may not, as far as
//! the state machine decides it: https://nvd.nist.gov/vuln/detail/ with the number.

#![allow(clippy::unwrap_used)] // helpers of tests are tests, too

mod support;

use machine::auth::{Access, Identity};
use machine::{Applied, Machine, Outcome, Rejection};
use mvcc::LeaseId;
use proto::authpb::{Permission, permission::Type};
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{
    AuthEnableRequest, AuthRoleAddRequest, AuthRoleGrantPermissionRequest, AuthUserAddRequest,
    AuthUserGrantRoleRequest, CompactionRequest, Compare, InternalRaftRequest, LeaseGrantRequest,
    LeaseRevokeRequest, LeaseTimeToLiveRequest, PutRequest, RangeRequest, RequestHeader, RequestOp,
    TxnRequest, WatchCreateRequest,
};
use support::store;

const DENIED: Result<(), Rejection> = Err(Rejection::PermissionDenied);
const NOBODY: Result<(), Rejection> = Err(Rejection::UserEmpty);

/// A machine with authentication on. The user `u` reads and writes the keys from `a` to `b`, and
/// writes `w`; `secret` and `w` are attached to lease 1.
struct World {
    machine: Machine,
    index: u64,
}

impl World {
    fn new() -> Self {
        let mut world = Self { machine: store::fresh(), index: 0 };
        for name in ["root", "u"] {
            let request = AuthUserAddRequest { name: name.into(), ..Default::default() };
            world.must(InternalRaftRequest { auth_user_add: Some(request.into()), ..Default::default() });
        }
        let request = AuthRoleAddRequest { name: "r".into() };
        world.must(InternalRaftRequest { auth_role_add: Some(request.into()), ..Default::default() });
        for (kind, key, range_end) in [(Type::Readwrite, "a", "b"), (Type::Write, "w", "")] {
            let perm = Permission { perm_type: kind as i32, key: key.into(), range_end: range_end.into() };
            let request = AuthRoleGrantPermissionRequest { name: "r".into(), perm: Some(perm) };
            let grant = Some(Box::new(request));
            world.must(InternalRaftRequest { auth_role_grant_permission: grant, ..Default::default() });
        }
        for (user, role) in [("root", "root"), ("u", "r")] {
            let request = AuthUserGrantRoleRequest { user: user.into(), role: role.into() };
            world.must(InternalRaftRequest {
                auth_user_grant_role: Some(request.into()),
                ..Default::default()
            });
        }
        let grant = LeaseGrantRequest { id: 1, ttl: 60 };
        world.must(InternalRaftRequest { lease_grant: Some(grant), ..Default::default() });
        for key in ["secret", "w"] {
            let put = PutRequest { key: key.into(), value: "hidden".into(), lease: 1, ..Default::default() };
            world.must(InternalRaftRequest { put: Some(put), ..Default::default() });
        }
        let enable = Some(Box::new(AuthEnableRequest {}));
        world.must(InternalRaftRequest { auth_enable: enable, ..Default::default() });
        world
    }

    fn apply(&mut self, entry: &InternalRaftRequest) -> Outcome {
        self.index += 1;
        self.machine.apply(Applied { index: self.index, term: 1 }, entry).unwrap()
    }

    fn must(&mut self, entry: InternalRaftRequest) {
        self.apply(&entry).result.unwrap();
    }

    /// What somebody gets who gives the command. A refusal leaves no trace.
    fn command(&mut self, username: &str, entry: InternalRaftRequest) -> Result<(), Rejection> {
        let auth_revision = if username.is_empty() { 0 } else { self.machine.auth().revision() };
        let header = RequestHeader { id: 1, username: username.into(), auth_revision };
        let before = self.machine.store().state_hash();
        let outcome = self.apply(&InternalRaftRequest { header: Some(header), ..entry });
        if outcome.result.is_err() {
            assert_eq!(self.machine.store().state_hash(), before);
            assert!(outcome.changes.is_none() && outcome.effects.is_empty());
        }
        outcome.result.map(drop)
    }

    fn txn(&mut self, request: TxnRequest) -> Result<(), Rejection> {
        self.command("u", InternalRaftRequest { txn: Some(request), ..Default::default() })
    }

    /// What `u` gets who asks, without a command.
    fn ask(&self, access: Access<'_>) -> Result<(), Rejection> {
        self.machine.authorise(self.user("u"), access)
    }

    fn user(&self, username: &'static str) -> Identity<'static> {
        Identity { username, auth_revision: self.machine.auth().revision() }
    }
}

fn nested(depth: usize, innermost: Request, takes_failure: bool) -> TxnRequest {
    let operation = RequestOp {
        request: Some(match depth {
            0 => innermost,
            _ => Request::RequestTxn(nested(depth - 1, innermost, !takes_failure)),
        }),
    };
    let (success, failure) =
        if takes_failure { (Vec::new(), vec![operation]) } else { (vec![operation], Vec::new()) };
    TxnRequest { compare: Vec::new(), success, failure }
}

fn get(key: &'static str) -> Request {
    Request::RequestRange(RangeRequest { key: key.into(), ..Default::default() })
}

fn put(request: PutRequest) -> Request {
    Request::RequestPut(request)
}

/// No command is without a class: nobody can compact, or take or list leases, without credentials.
/// (That no method is without one is a test of the server, which has their table.)
#[test]
fn cve_2026_33413_no_command_is_without_a_class() {
    let mut world = World::new();
    let compact = |revision| {
        let request = CompactionRequest { revision, physical: false };
        InternalRaftRequest { compaction: Some(request), ..Default::default() }
    };
    assert_eq!(world.command("", compact(1)), NOBODY);
    assert_eq!(world.command("u", compact(1)), DENIED);
    assert_eq!(world.command("root", compact(1)), Ok(()));
    let grant = |id| {
        let request = LeaseGrantRequest { id, ttl: 60 };
        InternalRaftRequest { lease_grant: Some(request), ..Default::default() }
    };
    assert_eq!(world.command("", grant(2)), NOBODY);
    assert_eq!(world.command("u", grant(2)), Ok(()));
    let revoke =
        |id| InternalRaftRequest { lease_revoke: Some(LeaseRevokeRequest { id }), ..Default::default() };
    assert_eq!(world.command("", revoke(2)), NOBODY);
    assert_eq!(world.command("u", revoke(1)), DENIED);
    for access in [Access::AnyUser, Access::LeaseKeepAlive(LeaseId(2)), Access::LeaseList] {
        assert_eq!(world.machine.authorise(Identity::NOBODY, access), NOBODY);
    }
}

/// Transactions within transactions are looked into, at every depth, in both branches, compares
/// included.
#[test]
fn cve_2026_33343_nested_transactions_are_looked_into() {
    let mut world = World::new();
    let secret_put = || put(PutRequest { key: "secret".into(), ..Default::default() });
    let secret_compare = || {
        let compare = vec![Compare { key: "secret".into(), ..Default::default() }];
        Request::RequestTxn(TxnRequest { compare, ..Default::default() })
    };
    for depth in 0..30 {
        for takes_failure in [false, true] {
            assert_eq!(world.txn(nested(depth, get("a"), takes_failure)), Ok(()));
            assert_eq!(world.txn(nested(depth, get("secret"), takes_failure)), DENIED, "{depth}");
            assert_eq!(world.txn(nested(depth, secret_put(), takes_failure)), DENIED, "{depth}");
            assert_eq!(world.txn(nested(depth, secret_compare(), takes_failure)), DENIED, "{depth}");
        }
    }
}

/// In a transaction, too, a put that gives back the old key-value reads it, and one that attaches
/// its key to a lease decides about the lease's other keys.
#[test]
fn cve_2026_44283_previous_values_and_leases_of_puts_in_transactions() {
    let mut world = World::new();
    let writable = PutRequest { key: "w".into(), ..Default::default() };
    let mine = PutRequest { key: "a".into(), ..Default::default() };
    for depth in 0..3 {
        let mut apply = |request: &PutRequest| world.txn(nested(depth, put(request.clone()), false));
        assert_eq!(apply(&PutRequest { prev_kv: true, ..writable.clone() }), DENIED);
        assert_eq!(apply(&PutRequest { prev_kv: true, ..mine.clone() }), Ok(()));
        assert_eq!(apply(&PutRequest { lease: 1, ..mine.clone() }), DENIED);
    }
    let alone = |request| InternalRaftRequest { put: Some(request), ..Default::default() };
    assert_eq!(world.command("u", alone(PutRequest { prev_kv: true, ..writable.clone() })), DENIED);
    assert_eq!(world.command("u", alone(PutRequest { lease: 1, ..mine })), DENIED);
    assert_eq!(world.command("u", alone(writable)), Ok(()));
}

/// A watch without end needs a permission without end: its range is looked at as it was sent.
#[test]
fn cve_2026_73499_a_watch_is_looked_at_before_its_range_is_rewritten() {
    let world = World::new();
    let watch = |key: &'static str, range_end: &'static str| {
        let request =
            WatchCreateRequest { key: key.into(), range_end: range_end.into(), ..Default::default() };
        let decision = world.ask(Access::Watch(&request));
        assert_eq!(world.machine.auth().authorise(world.user("u"), Access::Watch(&request)), decision);
        decision
    };
    assert_eq!(watch("a", "\0"), DENIED);
    assert_eq!(watch("a", ""), Ok(()));
    assert_eq!(watch("a", "b"), Ok(()));
    assert_eq!(watch("a", "b\0"), DENIED);
    assert_eq!(watch("", ""), DENIED);
    assert_eq!(watch("", "\0"), DENIED);
    assert_eq!(watch("\0", "\0"), DENIED);
}

/// The names of a lease's keys are as secret as the keys.
#[test]
fn cve_2023_32082_a_leases_time_does_not_tell_its_keys() {
    let world = World::new();
    let time_to_live = |id, keys| {
        let request = LeaseTimeToLiveRequest { id, keys };
        world.ask(Access::of_time_to_live(&request))
    };
    assert_eq!(time_to_live(1, true), DENIED);
    assert_eq!(time_to_live(1, false), Ok(()));
    assert_eq!(time_to_live(2, true), Ok(()), "there is no such lease, and no key to tell");
    assert_eq!(world.ask(Access::LeaseList), DENIED);
}

/// What became of a check at one moment does not carry over to another: a permission that was taken
/// away is gone for commands proposed before (the members' caches once differed in this,
/// etcd-io/etcd#14571).
#[test]
fn a_command_proposed_before_a_permission_was_taken_away_is_refused() {
    let mut world = World::new();
    let put = PutRequest { key: "a".into(), ..Default::default() };
    let entry = InternalRaftRequest { put: Some(put), ..Default::default() };
    assert_eq!(world.command("u", entry.clone()), Ok(()));
    let header =
        RequestHeader { id: 1, username: "u".into(), auth_revision: world.machine.auth().revision() };
    let proposed = InternalRaftRequest { header: Some(header), ..entry };
    let add = AuthRoleAddRequest { name: "another".into() };
    let add = InternalRaftRequest { auth_role_add: Some(add.into()), ..Default::default() };
    assert_eq!(world.command("root", add), Ok(()));
    assert_eq!(world.apply(&proposed).result, Err(Rejection::AuthOldRevision));
}

/// Names as long as what a member can be sent, and as what etcd can keep: it ends its process on
/// longer ones.
#[test]
fn names_of_any_length_have_an_outcome() {
    let mut world = World::new();
    for (length, expected) in [
        (32_768, Ok(())),
        (32_769, Err(Rejection::InvalidAuthMgmt)),
        (65_536, Err(Rejection::InvalidAuthMgmt)),
        (1_500_000, Err(Rejection::InvalidAuthMgmt)),
    ] {
        let name = "\u{1}".repeat(length);
        let user = AuthUserAddRequest { name: name.clone(), ..Default::default() };
        let user = InternalRaftRequest { auth_user_add: Some(user.into()), ..Default::default() };
        assert_eq!(world.command("root", user), expected, "user of {length}");
        let role = AuthRoleAddRequest { name: name.clone() };
        let role = InternalRaftRequest { auth_role_add: Some(role.into()), ..Default::default() };
        assert_eq!(world.command("root", role), expected, "role of {length}");
        let grant = AuthUserGrantRoleRequest { user: "u".into(), role: name };
        let grant = InternalRaftRequest { auth_user_grant_role: Some(grant.into()), ..Default::default() };
        let expected = expected.map_err(|_| Rejection::RoleNotFound);
        assert_eq!(world.command("root", grant), expected, "grant of {length}");
    }
    let longest = Identity { username: &"x".repeat(1_500_000), auth_revision: u64::MAX };
    assert_eq!(world.machine.authorise(longest, Access::Admin), Err(Rejection::UserNotFound));
}

/// A reader cannot ask about what it does not know: a bug of the server, not of a client.
#[test]
#[should_panic(expected = "decided with the leases at hand")]
fn a_put_is_not_decided_without_the_leases() {
    let world = World::new();
    let put = PutRequest { key: "a".into(), lease: 1, ..Default::default() };
    let _ = world.machine.auth().authorise(world.user("u"), Access::Put(&put));
}
