//! A machine that is told the changes of another one comes to hold the same, and takes nothing that contradicts it.

#![allow(clippy::unwrap_used)] // helpers of tests are tests, too

mod support;

use bytes::Bytes;
use machine::follow::Phase;
use machine::{Applied, Effect, Machine, Outcome, Rejection};
use mvcc::{KeyRange, RangeQuery};
use prost::Message;
use proto::etcdserverpb as pb;
use proto::quoratepb::{
    FollowAuth, FollowBegin, FollowChange, FollowLease, FollowLeases, FollowPhase, FollowRevisions,
    FollowTurn,
};
use support::store::{checkpoint, fresh, open};
use wal::SimDisk;

const SOURCE: u64 = 0xab;

/// A machine and the index of its last command.
struct World {
    machine: Machine,
    index: u64,
}

impl World {
    fn new(machine: Machine) -> Self {
        Self { machine, index: 0 }
    }

    fn apply(&mut self, entry: pb::InternalRaftRequest) -> Outcome {
        self.index += 1;
        self.machine.apply(Applied { index: self.index, term: 1 }, &entry).unwrap()
    }

    fn put(&mut self, key: &str, value: &str, lease: i64) -> Outcome {
        let put = pb::PutRequest {
            key: key.to_owned().into(),
            value: value.to_owned().into(),
            lease,
            ..Default::default()
        };
        self.apply(pb::InternalRaftRequest { put: Some(put), ..Default::default() })
    }

    fn delete(&mut self, key: &str, end: &str) -> Outcome {
        let delete = pb::DeleteRangeRequest {
            key: key.to_owned().into(),
            range_end: end.to_owned().into(),
            ..Default::default()
        };
        self.apply(pb::InternalRaftRequest { delete_range: Some(delete), ..Default::default() })
    }

    fn grant(&mut self, id: i64, ttl: i64) {
        let grant = Some(pb::LeaseGrantRequest { id, ttl });
        let outcome = self.apply(pb::InternalRaftRequest { lease_grant: grant, ..Default::default() });
        assert!(outcome.result.is_ok());
    }

    fn begin(&mut self, base_revision: i64) -> Outcome {
        let begin = FollowBegin { source_cluster_id: SOURCE, base_revision };
        self.apply(pb::InternalRaftRequest { follow_begin: Some(begin.into()), ..Default::default() })
    }

    fn revisions(&mut self, changes: Vec<FollowChange>, through: i64) -> Outcome {
        let after = self.machine.store().revision();
        self.revisions_after(after, changes, through)
    }

    fn revisions_after(&mut self, after: i64, changes: Vec<FollowChange>, through: i64) -> Outcome {
        let command = FollowRevisions { load: self.load(), after, through, changes };
        self.apply(pb::InternalRaftRequest { follow_revisions: Some(command.into()), ..Default::default() })
    }

    fn turn(&mut self, phase: FollowPhase, at: i64) -> Outcome {
        let turn = FollowTurn { load: self.load(), phase: phase.into(), reason: String::new(), at };
        self.apply(pb::InternalRaftRequest { follow_turn: Some(turn.into()), ..Default::default() })
    }

    fn leases(&mut self, leases: &[(i64, i64, i64)], gone: &[i64]) -> Outcome {
        let lease = |&(id, ttl, remaining): &(i64, i64, i64)| FollowLease { id, ttl, remaining };
        let command = FollowLeases {
            load: self.load(),
            leases: leases.iter().map(lease).collect(),
            gone: gone.to_vec(),
        };
        self.apply(pb::InternalRaftRequest { follow_leases: Some(command.into()), ..Default::default() })
    }

    fn load(&self) -> u64 {
        self.machine.follow().map_or(0, |follow| follow.load)
    }

    fn phase(&self) -> Phase {
        self.machine.follow().unwrap().phase.clone()
    }

    fn stopped_because(&self) -> String {
        match self.phase() {
            Phase::Stopped { reason, .. } => reason,
            other => panic!("{other:?}"),
        }
    }
}

/// A source with leases, overwritten and deleted keys and whole ranges, compacted at a revision.
fn source() -> World {
    let mut source = World::new(fresh());
    source.grant(5, 60);
    for number in 0..200 {
        let lease = if number % 4 == 0 { 5 } else { 0 };
        source.put(&format!("k{}", number * 7 % 31), &format!("{number}"), lease);
        if number % 9 == 0 {
            source.delete(&format!("k{}", number % 10), "k9");
        }
    }
    let compaction = Some(pb::CompactionRequest { revision: 90, physical: false });
    source.apply(pb::InternalRaftRequest { compaction, ..Default::default() });
    source
}

/// What a source keeps, as it is told: one change each.
fn kept(machine: &Machine) -> Vec<FollowChange> {
    let compacted = machine.store().compact_revision();
    let of = |revision: mvcc::Revision, key: Bytes, item: Option<mvcc::Item>| FollowChange {
        main: revision.main,
        sub: revision.sub,
        deleted: if item.is_none() { key } else { Bytes::new() },
        put: item.map_or_else(Bytes::new, |item| item.encoded),
    };
    let mut changes = Vec::new();
    if compacted > 0 {
        let query = RangeQuery::new(KeyRange::all()).at(compacted);
        for item in machine.store().range(&query).unwrap().items {
            changes.push(of(item.meta.mod_revision, item.key(), Some(item)));
        }
    }
    changes.sort_by_key(|change| (change.main, change.sub));
    let mut history = machine.view().history(compacted + 1);
    while let Some(batch) = history.next_batch().unwrap() {
        changes.extend(batch.into_iter().map(|change| of(change.revision, change.key, change.after)));
    }
    changes
}

/// Groups of whole revisions.
fn groups(changes: &[FollowChange], revisions: usize) -> Vec<Vec<FollowChange>> {
    let all: Vec<&[FollowChange]> = changes.chunk_by(|one, other| one.main == other.main).collect();
    all.chunks(revisions).map(|group| group.concat()).collect()
}

fn load(world: &mut World, source: &Machine, revisions: usize) {
    let compacted = source.store().compact_revision();
    assert!(world.begin(compacted.max(0)).result.is_ok());
    for group in groups(&kept(source), revisions) {
        let through = group.last().unwrap().main;
        let outcome = world.revisions(group, through);
        assert!(outcome.result.is_ok() && outcome.followed.is_empty(), "nobody watches a load");
    }
    let leases: Vec<_> = source
        .leases()
        .map(|(id, lease)| (id.0, lease.ttl_seconds, lease.remaining_seconds.unwrap_or(0)))
        .collect();
    world.leases(&leases, &[]);
    let outcome = world.turn(FollowPhase::Following, source.store().revision());
    assert!(outcome.effects.contains(&Effect::FollowLoaded), "{outcome:?}");
}

fn assert_same_keys(one: &Machine, other: &Machine) {
    let newest = one.store().revision();
    assert_eq!(other.store().revision(), newest);
    assert_eq!(other.store().compact_revision(), one.store().compact_revision());
    for at in one.store().compact_revision().max(1)..=newest {
        let hash = |machine: &Machine| machine.view().hash_kv(Some(at)).unwrap();
        assert_eq!(hash(other), hash(one), "at revision {at}");
    }
    let keys = |machine: &Machine| -> Vec<_> {
        machine
            .leases()
            .map(|(id, lease)| (id, lease.ttl_seconds, lease.keys().cloned().collect::<Vec<_>>()))
            .collect()
    };
    assert_eq!(keys(other), keys(one));
}

#[test]
fn a_load_makes_the_source_whatever_the_commands_hold_and_wherever_a_restart_falls() {
    let source = source();
    for (revisions, restarts) in [(1, false), (3, false), (1000, false), (5, true)] {
        let disk = SimDisk::new(2);
        let mut world = World::new(open(&disk));
        load(&mut world, &source.machine, revisions);
        if restarts {
            checkpoint(&mut world.machine);
            world.machine = open(&disk);
        }
        assert_same_keys(&source.machine, &world.machine);
        assert_eq!(world.phase(), Phase::Following);
    }
}

#[test]
fn the_same_commands_give_the_same_state_with_and_without_a_restart_in_the_middle() {
    let source = source();
    let changes = groups(&kept(&source.machine), 4);
    let run = |restart_at: usize| {
        let disk = SimDisk::new(7);
        let mut world = World::new(open(&disk));
        world.begin(90);
        for (number, group) in changes.iter().enumerate() {
            world.revisions(group.clone(), group.last().unwrap().main);
            if number == restart_at {
                checkpoint(&mut world.machine);
                world.machine = open(&disk);
            }
        }
        world.machine.store().state_hash()
    };
    let wanted = run(usize::MAX);
    for restart_at in [0, 1, 5, changes.len() - 1] {
        assert_eq!(run(restart_at), wanted);
    }
}

#[test]
fn changes_that_follow_are_shown_to_watchers_and_come_to_the_same() {
    let mut source = source();
    let mut world = World::new(fresh());
    load(&mut world, &source.machine, 10);
    let before = source.machine.store().revision();
    for number in 0..50 {
        source.put(&format!("n{}", number % 8), "v", 5);
        source.delete("n1", "n4");
    }
    let news: Vec<_> = kept(&source.machine).into_iter().filter(|change| change.main > before).collect();
    let through = source.machine.store().revision();
    let outcome = world.revisions(news, through);
    let shown: Vec<i64> = outcome.followed.iter().map(|changes| changes.revision).collect();
    assert_eq!(shown, (before + 1..=through).collect::<Vec<_>>());
    assert_same_keys(&source.machine, &world.machine);
}

#[test]
fn what_an_earlier_leader_or_load_left_in_the_log_changes_nothing() {
    let mut source = source();
    let mut world = World::new(fresh());
    load(&mut world, &source.machine, 10);
    let before = source.machine.store().revision();
    source.put("k", "v", 0);
    let news: Vec<_> = kept(&source.machine).into_iter().filter(|change| change.main > before).collect();
    let step = |world: &mut World| world.revisions_after(before, news.clone(), before + 1);
    assert!(step(&mut world).result.is_ok());
    let hash = world.machine.store().state_hash();
    assert_eq!(step(&mut world).result, Err(Rejection::FollowOutOfStep), "it was applied already");
    assert_eq!(world.machine.store().state_hash(), hash);
    let old = world.load();
    assert!(world.begin(90).result.is_ok());
    let late = FollowRevisions { load: old, after: 1, through: 2, changes: Vec::new() };
    let late = pb::InternalRaftRequest { follow_revisions: Some(late.into()), ..Default::default() };
    assert_eq!(world.apply(late).result, Err(Rejection::FollowOutOfStep), "of the load before");
    assert_eq!(world.turn(FollowPhase::Ended, 0).result, Err(Rejection::FollowOutOfStep), "not from loading");
}

#[test]
fn a_source_that_contradicts_what_is_here_stops_the_follow_and_nothing_of_it_is_taken() {
    type Lie = fn(&mut Vec<FollowChange>);
    let lies: [(&str, Lie); 7] = [
        ("is another version", |changes| {
            let mut kv = proto::mvccpb::KeyValue::decode(&changes[0].put[..]).unwrap();
            kv.version += 1;
            changes[0].put = kv.encode_to_vec().into();
        }),
        ("is another version", |changes| {
            let mut kv = proto::mvccpb::KeyValue::decode(&changes[0].put[..]).unwrap();
            kv.create_revision -= 1;
            changes[0].put = kv.encode_to_vec().into();
        }),
        ("is malformed", |changes| changes[0].put = b"\xff".as_slice().into()),
        ("is missing", |changes| {
            changes.remove(0);
        }),
        ("is not the next change", |changes| changes[0].sub = 1),
        ("deletes what is not here", |changes| {
            changes[0].put = Bytes::new();
            changes[0].deleted = "absent".into();
        }),
        ("comes after", |changes| changes[1].main = changes[0].main - 1),
    ];
    let mut source = source();
    let before = source.machine.store().revision();
    source.put("a", "1", 0);
    source.put("b", "2", 0);
    let news: Vec<_> = kept(&source.machine).into_iter().filter(|change| change.main > before).collect();
    for (reason, lie) in lies {
        let mut base = World::new(fresh());
        load(&mut base, &self::source().machine, 10);
        assert_eq!(base.machine.store().revision(), before);
        let mut told = news.clone();
        lie(&mut told);
        base.revisions(told, before + 2);
        assert!(base.stopped_because().contains(reason), "{}", base.stopped_because());
        let taken = base.machine.store().revision();
        assert!(taken <= before + 1, "what was right before it may be here");
        // Nothing follows any more, and nobody else writes.
        let again = base.revisions(news.clone(), before + 2);
        assert_eq!(again.result, Err(Rejection::FollowOutOfStep));
        assert_eq!(base.put("own", "v", 0).result, Err(Rejection::Following));
    }
}

#[test]
fn a_source_that_went_back_is_not_shown() {
    let source = source();
    let mut world = World::new(fresh());
    load(&mut world, &source.machine, 10);
    let mut older = World::new(fresh());
    older.put("k", "v", 0);
    assert!(world.begin(0).result.is_ok());
    let changes = kept(&older.machine);
    world.revisions(changes, 2);
    world.turn(FollowPhase::Following, 2);
    assert!(world.stopped_because().contains("is at revision 2"), "{}", world.stopped_because());
}

#[test]
fn only_a_cluster_that_was_never_written_to_begins_and_only_with_one_source() {
    let mut world = World::new(fresh());
    world.put("k", "v", 0);
    assert_eq!(world.begin(0).result, Err(Rejection::FollowNotEmpty));
    let mut world = World::new(fresh());
    world.grant(1, 60);
    assert_eq!(world.begin(0).result, Err(Rejection::FollowNotEmpty));
    let mut world = World::new(fresh());
    assert!(world.begin(0).result.is_ok());
    assert!(world.begin(0).result.is_ok(), "a load that was interrupted begins again");
    let other = FollowBegin { source_cluster_id: SOURCE + 1, base_revision: 0 };
    let other = pb::InternalRaftRequest { follow_begin: Some(other.into()), ..Default::default() };
    assert_eq!(world.apply(other).result, Err(Rejection::FollowSource));
}

/// What the leader relies on that has had no answer to the end of a follow: it proposes to go back, and knows by what is applied
/// whether it has ended.
#[test]
fn the_end_and_the_way_back_make_each_other_void() {
    let source = source();
    let newest = source.machine.store().revision();
    for ends_first in [false, true] {
        let mut world = World::new(fresh());
        load(&mut world, &source.machine, 10);
        assert!(world.turn(FollowPhase::CuttingOver, 0).result.is_ok());
        let turns = [(FollowPhase::Following, 0), (FollowPhase::Ended, newest)];
        let [first, second] = if ends_first { [turns[1], turns[0]] } else { turns };
        assert!(world.turn(first.0, first.1).result.is_ok());
        assert_eq!(world.turn(second.0, second.1).result, Err(Rejection::FollowOutOfStep));
        assert_eq!(matches!(world.phase(), Phase::Ended { .. }), ends_first);
    }
}

#[test]
fn clients_write_again_when_it_has_ended_and_not_before() {
    let source = source();
    let mut world = World::new(fresh());
    load(&mut world, &source.machine, 10);
    let newest = source.machine.store().revision();
    let grant = Some(pb::LeaseGrantRequest { id: 77, ttl: 60 });
    let grant = pb::InternalRaftRequest { lease_grant: grant, ..Default::default() };
    let revoke = Some(pb::LeaseRevokeRequest { id: 5 });
    let revoke = pb::InternalRaftRequest { lease_revoke: revoke, ..Default::default() };
    let compaction = Some(pb::CompactionRequest { revision: newest, physical: false });
    let compaction = pb::InternalRaftRequest { compaction, ..Default::default() };
    let user = pb::AuthUserAddRequest { name: "u".to_owned(), ..Default::default() };
    let user = pb::InternalRaftRequest { auth_user_add: Some(user.into()), ..Default::default() };
    for entry in [grant.clone(), revoke, compaction, user] {
        assert_eq!(world.apply(entry).result, Err(Rejection::Following));
    }
    assert_eq!(world.put("k", "v", 0).result, Err(Rejection::Following));
    assert_eq!(world.delete("k", "l").result, Err(Rejection::Following));
    assert!(world.turn(FollowPhase::CuttingOver, 0).result.is_ok());
    assert_eq!(world.put("k", "v", 0).result, Err(Rejection::Following));
    let early = world.turn(FollowPhase::Ended, newest + 1);
    assert_eq!(early.result, Err(Rejection::FollowOutOfStep), "the state is at another revision");
    assert!(world.turn(FollowPhase::Ended, newest).result.is_ok());
    assert!(world.put("k", "v", 0).result.is_ok());
    assert!(world.apply(grant).result.is_ok());
    assert_eq!(world.phase(), Phase::Ended { at: newest });
}

#[test]
fn a_lease_that_is_gone_goes_with_its_last_key_and_one_that_is_not_known_yet_holds_its_keys() {
    let mut source = World::new(fresh());
    source.grant(5, 60);
    let mut world = World::new(fresh());
    load(&mut world, &source.machine, 10);
    source.grant(6, 90);
    source.put("k", "v", 6);
    let news = kept(&source.machine);
    world.revisions(news, 2);
    let lease = |world: &World, id| {
        world.machine.lease(mvcc::LeaseId(id)).map(|lease| (lease.ttl_seconds, lease.keys().len()))
    };
    assert_eq!(lease(&world, 6), Some((machine::limits::LEASE_TTL_SECONDS_MAX, 1)), "nothing is known of it");
    world.leases(&[(6, 90, 45)], &[5]);
    assert_eq!((lease(&world, 5), lease(&world, 6)), (None, Some((90, 1))));
    world.leases(&[], &[6]);
    assert_eq!(lease(&world, 6), Some((90, 1)), "its key is here");
    source.delete("k", "");
    let news: Vec<_> = kept(&source.machine).into_iter().filter(|change| change.main > 2).collect();
    world.revisions(news, 3);
    world.leases(&[], &[6]);
    assert_eq!(lease(&world, 6), None);
}

#[test]
fn users_and_roles_are_those_of_the_source_with_their_passwords() {
    let mut world = World::new(fresh());
    assert!(world.begin(0).result.is_ok());
    let user = |name: &str, password: &str| {
        let user = proto::authpb::User {
            name: name.to_owned().into(),
            password: password.to_owned().into(),
            roles: vec!["r".to_owned()],
            options: None,
        };
        Bytes::from(user.encode_to_vec())
    };
    let role = proto::authpb::Role { name: "r".into(), key_permission: Vec::new() };
    let mut auth = |revision, users: Vec<Bytes>| {
        let command = FollowAuth {
            load: world.load(),
            enabled: false,
            revision,
            users,
            roles: vec![role.encode_to_vec().into()],
        };
        let entry = pb::InternalRaftRequest { follow_auth: Some(command.into()), ..Default::default() };
        let outcome = world.apply(entry);
        (outcome.effects, world.machine.auth().users().map(|(name, _)| name.to_owned()).collect::<Vec<_>>())
    };
    let (_, names) = auth(4, vec![user("a", "1"), user("b", "2")]);
    assert_eq!(names, ["a", "b"]);
    let (effects, names) = auth(6, vec![user("b", "3"), user("c", "4")]);
    assert_eq!(names, ["b", "c"]);
    let invalid = |name: &str| effects.contains(&Effect::UserTokensInvalid { user: name.into() });
    assert!(invalid("a") && invalid("b") && !invalid("c"));
    assert!(effects.contains(&Effect::AuthChanged { revision: 6 }));
    assert_eq!(world.machine.auth().revision(), 6);
}
