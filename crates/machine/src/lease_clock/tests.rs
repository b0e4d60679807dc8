//! The lease clock as a list of sentences, and against random histories.

use proptest::prelude::*;

use super::*;

const EPOCH: RenewEpoch = RenewEpoch(1);

fn at(seconds: u64) -> Millis {
    Millis(seconds * 1000)
}

fn primary() -> LeaseClock {
    let mut clock = LeaseClock::new(LeaseClockOptions::default());
    clock.promoted(7, 1000, at(0));
    clock.applied(7);
    clock
}

/// Renews a lease; the time to live that is promised, and whether that takes a reset.
fn renew(clock: &mut LeaseClock, id: LeaseId, now: Millis) -> Result<(i64, bool), RenewError> {
    clock.renew(id, now).map(|renewed| (renewed.ttl_seconds, renewed.reset.is_some()))
}

/// Renews a lease and has the reset that this takes applied.
fn reset(clock: &mut LeaseClock, id: LeaseId, epoch: RenewEpoch, now: Millis) {
    let reset = clock.renew(id, now).unwrap().reset.expect("a reset is asked for");
    clock.checkpointed(id, None, epoch, now);
    clock.reset_applied(reset);
}

fn ids(due: &Due) -> Vec<i64> {
    due.expired.iter().map(|expired| expired.id.0).collect()
}

#[test]
fn a_lease_runs_out_after_its_time_and_not_a_millisecond_before() {
    let mut clock = primary();
    clock.granted(LeaseId(1), 10, None, EPOCH, at(5));
    assert_eq!(clock.scan(Millis(14_999)), Due::default());
    assert_eq!(clock.next_due(), Some(at(15)));
    let expected = Expired { id: LeaseId(1), term: 7, epoch: EPOCH };
    assert_eq!(clock.scan(at(15)).expired, [expected]);
}

#[test]
fn renewing_starts_the_full_time_again() {
    let mut clock = primary();
    clock.granted(LeaseId(1), 10, None, EPOCH, at(0));
    assert_eq!(renew(&mut clock, LeaseId(1), at(9)), Ok((10, false)));
    assert_eq!(clock.scan(at(18)), Due::default());
    assert_eq!(ids(&clock.scan(at(19))), [1]);
}

#[test]
fn an_expired_lease_cannot_be_renewed_until_it_is_decided() {
    let mut clock = primary();
    clock.granted(LeaseId(1), 10, None, EPOCH, at(0));
    clock.scan(at(10));
    assert_eq!(clock.renew(LeaseId(1), at(10)), Err(RenewError::Expiring));
    clock.revoked(LeaseId(1));
    assert_eq!(clock.renew(LeaseId(1), at(11)), Err(RenewError::NotFound));
}

/// The renewal may have waited for longer than the lease lived: on a socket, while the process was paused.
#[test]
fn a_renewal_that_comes_before_the_scan_counts() {
    let mut clock = primary();
    clock.granted(LeaseId(1), 10, None, EPOCH, at(0));
    assert_eq!(renew(&mut clock, LeaseId(1), at(12)), Ok((10, false)));
    assert_eq!(ids(&clock.scan(at(21))), [0; 0]);
    assert_eq!(ids(&clock.scan(at(22))), [1]);
}

/// The checkpoint of a rest would be applied after the renewal, and a new leader would start from that rest.
#[test]
fn a_renewal_resets_a_checkpoint_that_is_on_its_way() {
    let mut clock = primary();
    clock.granted(LeaseId(1), 400, None, EPOCH, at(0));
    assert_eq!(clock.scan(at(300)).checkpoints, [Checkpoint { id: LeaseId(1), remaining_seconds: 100 }]);
    assert_eq!(renew(&mut clock, LeaseId(1), at(300)), Ok((400, true)));
    clock.checkpointed(LeaseId(1), Some(100), EPOCH, at(301));
    reset(&mut clock, LeaseId(1), RenewEpoch(9), at(302));
    assert_eq!(renew(&mut clock, LeaseId(1), at(303)), Ok((400, false)));
    clock.demoted();
    clock.promoted(8, 1000, at(304));
    assert_eq!(clock.time_to_live(LeaseId(1), at(304)).unwrap().remaining_seconds, Some(401));
}

/// A member may be elected before it has applied what the leader before it left in the log.
#[test]
fn a_renewal_resets_a_checkpoint_that_an_earlier_leader_left_in_the_log() {
    let mut clock = LeaseClock::new(LeaseClockOptions::default());
    clock.granted(LeaseId(1), 400, None, EPOCH, at(0));
    clock.promoted(8, 1000, at(300));
    assert_eq!(renew(&mut clock, LeaseId(1), at(301)), Ok((400, true)));
    clock.checkpointed(LeaseId(1), Some(100), EPOCH, at(302));
    clock.applied(7);
    assert_eq!(renew(&mut clock, LeaseId(1), at(302)), Ok((400, true)));
    reset(&mut clock, LeaseId(1), RenewEpoch(9), at(303));
    assert_eq!(renew(&mut clock, LeaseId(1), at(303)), Ok((400, true)), "there may be more of them");
    clock.applied(8);
    assert_eq!(renew(&mut clock, LeaseId(1), at(304)), Ok((400, false)));
    // The next leader begins anew.
    clock.demoted();
    clock.promoted(9, 1000, at(305));
    assert_eq!(renew(&mut clock, LeaseId(1), at(305)), Ok((400, true)));
    // A short lease has no checkpoints, and its renewal waits for nothing.
    clock.granted(LeaseId(2), 10, None, EPOCH, at(305));
    assert_eq!(renew(&mut clock, LeaseId(2), at(306)), Ok((10, false)));
}

#[test]
fn an_expired_lease_that_is_still_there_is_handed_out_again() {
    let mut clock = primary();
    clock.granted(LeaseId(1), 10, None, EPOCH, at(0));
    assert_eq!(ids(&clock.scan(at(10))), [1]);
    assert_eq!(ids(&clock.scan(at(12))), [0; 0]);
    assert_eq!(ids(&clock.scan(at(13))), [1]);
}

#[test]
fn a_follower_counts_nothing_and_renews_nothing() {
    let mut clock = LeaseClock::new(LeaseClockOptions::default());
    clock.granted(LeaseId(1), 10, None, EPOCH, at(0));
    assert_eq!(clock.scan(at(1000)), Due::default());
    assert_eq!(clock.next_due(), None);
    assert_eq!(clock.renew(LeaseId(1), at(1)), Err(RenewError::NotPrimary));
    assert_eq!(
        clock.time_to_live(LeaseId(1), at(1)),
        Some(TimeToLive { granted_seconds: 10, remaining_seconds: None })
    );
}

#[test]
fn a_new_leader_gives_every_lease_its_full_time_and_the_extension() {
    let mut clock = LeaseClock::new(LeaseClockOptions::default());
    clock.granted(LeaseId(1), 10, None, EPOCH, at(0));
    clock.granted(LeaseId(2), 600, Some(20), EPOCH, at(0));
    clock.promoted(8, 1000, at(100));
    assert_eq!(clock.next_due(), Some(at(111)), "10 s and the extension");
    assert_eq!(
        clock.time_to_live(LeaseId(2), at(100)).unwrap().remaining_seconds,
        Some(21),
        "as checkpointed"
    );
    clock.demoted();
    assert_eq!(clock.scan(at(10_000)), Due::default());
}

#[test]
fn a_leader_elected_again_forgets_what_it_had_handed_out() {
    let mut clock = primary();
    clock.granted(LeaseId(1), 10, None, EPOCH, at(0));
    clock.scan(at(10));
    clock.demoted();
    clock.promoted(9, 1000, at(11));
    assert_eq!(renew(&mut clock, LeaseId(1), at(12)), Ok((10, false)));
}

#[test]
fn the_time_to_live_is_truncated_towards_zero_and_goes_negative() {
    let mut clock = primary();
    clock.granted(LeaseId(1), 10, None, EPOCH, at(0));
    for (now, expected) in [(0, 10), (1, 9), (9_000, 1), (9_001, 0), (10_000, 0), (10_999, 0), (11_000, -1)] {
        let left = clock.time_to_live(LeaseId(1), Millis(now)).unwrap();
        assert_eq!(
            left,
            TimeToLive { granted_seconds: 10, remaining_seconds: Some(expected) },
            "at {now} ms"
        );
    }
    assert_eq!(clock.time_to_live(LeaseId(2), at(0)), None);
}

#[test]
fn leases_are_listed_by_expiry() {
    let mut clock = primary();
    for (id, ttl) in [(1, 30), (2, 10), (3, 20)] {
        clock.granted(LeaseId(id), ttl, None, EPOCH, at(0));
    }
    assert_eq!(clock.leases(), [LeaseId(2), LeaseId(3), LeaseId(1)]);
}

#[test]
fn a_scan_hands_out_at_most_five_hundred() {
    let mut clock = primary();
    for id in 1..=1200 {
        clock.granted(LeaseId(id), 10, None, EPOCH, at(0));
    }
    let scans: Vec<usize> = (0..4).map(|_| clock.scan(at(10)).expired.len()).collect();
    assert_eq!(scans, [500, 500, 200, 0]);
}

#[test]
fn a_long_lease_is_checkpointed_every_five_minutes_and_a_renewal_resets_that() {
    let mut clock = primary();
    clock.granted(LeaseId(1), 1000, None, EPOCH, at(0));
    clock.granted(LeaseId(2), 300, None, EPOCH, at(0));
    assert_eq!(clock.scan(at(299)), Due::default());
    let due = clock.scan(Millis(299_999 + 2));
    assert_eq!(due.checkpoints, [Checkpoint { id: LeaseId(1), remaining_seconds: 700 }], "rounded up");
    assert_eq!(ids(&due), [2]);
    clock.checkpointed(LeaseId(1), Some(700), EPOCH, at(301));
    assert_eq!(renew(&mut clock, LeaseId(1), at(400)), Ok((1000, true)));
    assert_eq!(
        renew(&mut clock, LeaseId(1), at(401)),
        Ok((1000, true)),
        "the reset that was asked for before is not applied, and may be lost"
    );
    reset(&mut clock, LeaseId(1), RenewEpoch(9), at(402));
    assert_eq!(renew(&mut clock, LeaseId(1), at(402)), Ok((1000, false)));
    assert_eq!(clock.scan(at(601)).checkpoints, []);
    assert_eq!(clock.scan(at(702)).checkpoints, [Checkpoint { id: LeaseId(1), remaining_seconds: 700 }]);
}

#[test]
fn a_lease_that_is_renewed_when_its_checkpoint_is_due_is_checkpointed_the_next_time() {
    let mut clock = primary();
    clock.granted(LeaseId(1), 1000, None, EPOCH, at(0));
    assert_eq!(renew(&mut clock, LeaseId(1), Millis(299_500)), Ok((1000, false)));
    assert_eq!(clock.scan(at(300)).checkpoints, [], "nothing is missing of its time");
    clock.check_invariants();
    assert_eq!(clock.scan(at(600)).checkpoints, [Checkpoint { id: LeaseId(1), remaining_seconds: 700 }]);
    // That one is lost.
    assert_eq!(clock.scan(at(900)).checkpoints, [Checkpoint { id: LeaseId(1), remaining_seconds: 400 }]);
    assert_eq!(clock.scan(at(1200)).checkpoints, [Checkpoint { id: LeaseId(1), remaining_seconds: 100 }]);
    assert_eq!(ids(&clock.scan(at(1300))), [1]);
    clock.check_invariants();
}

/// The state that two members have of one lease, and the log that it comes from.
struct Replicated {
    members: [LeaseClock; 2],
    /// What was proposed, and is not applied.
    log: Vec<(Checkpoint, Option<Reset>)>,
    /// What the first member has applied, and the second one has not.
    behind: Vec<(Checkpoint, RenewEpoch)>,
    /// How many of these are of an earlier term.
    left: usize,
    index: u64,
}

impl Replicated {
    /// As [`Replicated::new`], with this in the log of an earlier leader, and not applied.
    fn with_left(ttl_seconds: i64, left: &[i64]) -> Self {
        let mut both = Self::new(ttl_seconds);
        both.members[0].promoted(1, 1000, at(0));
        let checkpoint = |&remaining_seconds| (Checkpoint { id: LeaseId(1), remaining_seconds }, None);
        both.log.extend(left.iter().map(checkpoint));
        both.left = left.len();
        both
    }

    /// Two members with one lease; the first leads.
    fn new(ttl_seconds: i64) -> Self {
        let mut members = [(); 2].map(|()| LeaseClock::new(LeaseClockOptions::default()));
        members[0].promoted(1, 1000, at(0));
        members[0].applied(1);
        members.iter_mut().for_each(|clock| clock.granted(LeaseId(1), ttl_seconds, None, EPOCH, at(0)));
        Self { members, log: Vec::new(), behind: Vec::new(), left: 0, index: 1 }
    }

    /// The first member applies this many of the commands.
    fn apply(&mut self, commands: usize, now: Millis) {
        for (checkpoint, reset) in self.log.drain(..commands) {
            self.index += 1;
            let epoch = RenewEpoch(self.index);
            self.members[0].apply(checkpoint, epoch, now);
            self.behind.push((checkpoint, epoch));
            reset.into_iter().for_each(|reset| self.members[0].reset_applied(reset));
        }
        // The first entry of its own term is applied with the last one of an earlier term.
        self.left = self.left.saturating_sub(commands);
        if self.left == 0 {
            self.members[0].applied(1);
        }
    }

    fn scan(&mut self, now: Millis) {
        let due = self.members[0].scan(now);
        self.log.extend(due.checkpoints.into_iter().map(|checkpoint| (checkpoint, None)));
    }

    /// Renews the lease. What the client gets when everything that this needs is applied, is the time until which the lease
    /// lives; and how many commands that are.
    fn renew(&mut self, now: Millis) -> Option<(Millis, usize)> {
        let renewed = self.members[0].renew(LeaseId(1), now).ok()?;
        let needs = match renewed.reset {
            Some(reset) => {
                self.log.push((reset.checkpoint(), Some(reset)));
                self.log.len()
            }
            None => 0,
        };
        Some((now.after(renewed.ttl_seconds as u64 * 1000), needs))
    }

    /// The first member dies and the second one leads. Its log has so many more of the commands, and all but the last
    /// `unapplied` are applied when it is elected. Returns when the lease expires there.
    fn fail_over(mut self, commands: usize, unapplied: usize, now: Millis) -> Millis {
        self.apply(commands.min(self.log.len()), now);
        let late = self.behind.split_off(self.behind.len().saturating_sub(unapplied));
        let successor = &mut self.members[1];
        self.behind.into_iter().for_each(|(checkpoint, epoch)| successor.apply(checkpoint, epoch, now));
        successor.promoted(2, 1000, now);
        late.into_iter().for_each(|(checkpoint, epoch)| successor.apply(checkpoint, epoch, now));
        successor.applied(2);
        successor.expiry(LeaseId(1)).expect("a lease")
    }
}

#[test]
fn a_renewal_outlives_a_checkpoint_that_was_on_its_way() {
    let mut both = Replicated::new(400);
    both.scan(at(300));
    assert_eq!(both.log, [(Checkpoint { id: LeaseId(1), remaining_seconds: 100 }, None)]);
    let (promised, needs) = both.renew(at(300)).expect("it lives");
    assert_eq!((promised, needs), (at(700), 2), "a reset after the checkpoint");
    assert!(both.fail_over(2, 0, at(303)) >= promised);
}

#[test]
fn a_reset_from_before_a_checkpoint_does_not_stand_for_one_after_it() {
    let mut both = Replicated::new(1000);
    both.scan(at(300));
    both.apply(1, at(300));
    both.renew(at(595)).expect("it lives");
    both.scan(at(600));
    assert_eq!(both.log.len(), 2, "a reset, and a checkpoint after it");
    both.apply(1, at(600));
    let (promised, needs) = both.renew(at(600)).expect("it lives");
    assert_eq!((promised, needs), (at(1600), 2));
    assert!(both.fail_over(2, 0, at(603)) >= promised);
}

/// A member may be elected before it has applied the reset, and its log has the reset for sure: it was promised on.
#[test]
fn a_renewal_outlives_its_leader_whose_successor_applies_the_reset_when_it_leads() {
    let mut both = Replicated::new(1000);
    both.scan(at(900));
    both.apply(1, at(900));
    let (promised, needs) = both.renew(at(901)).expect("it lives");
    assert_eq!((promised, needs), (at(1901), 1));
    assert!(both.fail_over(1, 1, at(902)) >= promised);
}

#[test]
fn a_checkpoint_that_is_lost_costs_one_reset_and_not_one_for_each_renewal() {
    let mut both = Replicated::new(1000);
    both.scan(at(300));
    both.log.clear();
    assert_eq!(both.renew(at(301)).expect("it lives").1, 1);
    both.apply(1, at(301));
    assert_eq!(
        both.renew(at(302)).expect("it lives").1,
        0,
        "the checkpoint would have come before the reset"
    );
}

#[test]
fn after_a_leader_change_no_second_sees_more_expiries_than_allowed() {
    let mut clock = LeaseClock::new(LeaseClockOptions::default());
    for id in 1..=3000 {
        clock.granted(LeaseId(id), 10, None, EPOCH, at(0));
    }
    clock.promoted(8, 0, at(0));
    let in_second = |clock: &mut LeaseClock, second: u64| {
        let mut count = 0;
        for half in 0..4 {
            count += clock.scan(Millis(second * 1000 + 999 * half / 3)).expired.len();
        }
        count
    };
    let counts: Vec<usize> = (9..15).map(|second| in_second(&mut clock, second)).collect();
    // Handed out again after three seconds, as nobody revokes here.
    assert_eq!(counts[..4], [0, 750, 750, 750]);
}

#[test]
fn a_few_leases_are_not_spread() {
    let mut clock = LeaseClock::new(LeaseClockOptions::default());
    for id in 1..=999 {
        clock.granted(LeaseId(id), 10, None, EPOCH, at(0));
    }
    clock.promoted(8, 0, at(0));
    assert_eq!(clock.scan(at(10)).expired.len() + clock.scan(at(10)).expired.len(), 999);
}

impl LeaseClock {
    /// Applies a checkpoint or a reset.
    fn apply(&mut self, Checkpoint { id, remaining_seconds }: Checkpoint, epoch: RenewEpoch, now: Millis) {
        self.checkpointed(id, (remaining_seconds > 0).then_some(remaining_seconds), epoch, now);
        self.check_invariants();
    }

    /// When a lease runs out at the primary.
    fn expiry(&self, id: LeaseId) -> Option<Millis> {
        let Role::Primary(primary) = &self.role else { return None };
        primary.running.get(&id).map(|running| running.expiry)
    }
}

#[derive(Debug, Clone)]
enum Step {
    Grant(i64, i64),
    Revoke(i64),
    Renew(i64),
    Promote,
    Demote,
    Scan,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..6i64, 1..900i64).prop_map(|(id, ttl)| Step::Grant(id, ttl)),
        (0..6i64).prop_map(Step::Revoke),
        (0..6i64).prop_map(Step::Renew),
        Just(Step::Promote),
        Just(Step::Demote),
        Just(Step::Scan),
        (0..400_000u64).prop_map(Step::Pass),
    ]
}

/// What the test knows of a lease.
#[derive(Debug, Clone, Copy)]
struct Known {
    ttl: i64,
    /// Where somebody counts.
    expiry: Option<u64>,
    handed_out: Option<u64>,
}

impl Known {
    fn started(ttl: i64, from: Option<u64>) -> Self {
        Self { ttl, expiry: from.map(|from| from + ttl as u64 * 1000), handed_out: None }
    }

    fn is_over(&self, now: u64) -> bool {
        self.expiry.is_some_and(|expiry| expiry <= now)
    }
}

/// What happens to a lease whose checkpoints and resets take a while to be applied.
#[derive(Debug, Clone)]
enum Turn {
    Pass(u64),
    Scan,
    Renew,
    Apply(usize),
    /// The last command was refused, and will never be applied.
    Lose,
    /// A reset comes that an earlier leader has asked for and handed on.
    Foreign,
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        2 => (0..200_000u64).prop_map(Turn::Pass),
        1 => (0..2_000u64).prop_map(Turn::Pass),
        2 => Just(Turn::Scan),
        3 => Just(Turn::Renew),
        2 => (0..3usize).prop_map(Turn::Apply),
        1 => Just(Turn::Lose),
        1 => Just(Turn::Foreign),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// However late checkpoints and resets are applied, the next leader gives a lease at least what its client was promised.
    #[test]
    fn a_promise_outlives_the_leader(
        ttl in 301..1500i64,
        left in prop::collection::vec(0..300i64, 0..3),
        turns in prop::collection::vec(turn(), 1..60),
        last in 0..4usize,
        unapplied in 0..4usize,
    ) {
        let mut both = Replicated::with_left(ttl, &left);
        let mut now = at(0);
        let mut promised = if left.is_empty() { now.after(ttl as u64 * 1000) } else { now };
        // Promises that wait for a command to be applied: how many commands that takes, and until when the lease lives.
        let mut waiting: Vec<(usize, Millis)> = Vec::new();
        for turn in turns {
            match turn {
                Turn::Pass(millis) => now = now.after(millis),
                Turn::Scan => both.scan(now),
                Turn::Renew => match both.renew(now) {
                    Some((until, 0)) => promised = promised.max(until),
                    Some((until, needs)) => waiting.push((needs, until)),
                    None => break,
                },
                Turn::Foreign => both.log.push((Checkpoint { id: LeaseId(1), remaining_seconds: 0 }, None)),
                Turn::Lose => {
                    // What an earlier leader left is committed.
                    let refused = both.log.len() > both.left;
                    both.log.truncate(both.log.len() - usize::from(refused));
                    waiting.retain(|(needs, _)| *needs <= both.log.len());
                }
                Turn::Apply(commands) => {
                    let commands = commands.min(both.log.len());
                    both.apply(commands, now);
                    waiting.iter_mut().for_each(|(needs, _)| *needs = needs.saturating_sub(commands));
                    for (_, until) in waiting.extract_if(.., |(needs, _)| *needs == 0) {
                        promised = promised.max(until);
                    }
                }
            }
        }
        prop_assert!(both.fail_over(last, unapplied, now) >= promised);
    }

    /// A lease is never handed out before its time, counted from the last grant, renewal or change of leader; the
    /// first scan after it hands it out, and then it cannot be renewed.
    #[test]
    fn never_early_never_forgotten(steps in prop::collection::vec(step(), 1..80)) {
        let mut clock = primary();
        let mut leases: BTreeMap<i64, Known> = BTreeMap::new();
        let (mut now, mut is_primary, mut term) = (0, true, 7);
        for step in steps {
            match step {
                Step::Grant(id, ttl) => {
                    clock.granted(LeaseId(id), ttl, None, EPOCH, Millis(now));
                    leases.insert(id, Known::started(ttl, is_primary.then_some(now)));
                }
                Step::Revoke(id) => {
                    clock.revoked(LeaseId(id));
                    leases.remove(&id);
                }
                Step::Renew(id) => {
                    let renewed = clock.renew(LeaseId(id), Millis(now)).map(|renewed| renewed.ttl_seconds);
                    let expected = match leases.get(&id) {
                        _ if !is_primary => Err(RenewError::NotPrimary),
                        None => Err(RenewError::NotFound),
                        Some(known) if known.handed_out.is_some() => Err(RenewError::Expiring),
                        Some(known) => Ok(known.ttl),
                    };
                    prop_assert_eq!(renewed, expected);
                    if let Ok(ttl) = renewed {
                        leases.insert(id, Known::started(ttl, Some(now)));
                    }
                }
                Step::Promote => {
                    term += 1;
                    is_primary = true;
                    clock.promoted(term, 1000, Millis(now));
                    leases.values_mut().for_each(|known| *known = Known::started(known.ttl, Some(now + 1000)));
                }
                Step::Demote => {
                    is_primary = false;
                    clock.demoted();
                    leases.values_mut().for_each(|known| *known = Known::started(known.ttl, None));
                }
                Step::Scan => {
                    for Expired { id, term: of, .. } in clock.scan(Millis(now)).expired {
                        let known = leases.get_mut(&id.0).unwrap();
                        prop_assert!(known.is_over(now), "handed out early");
                        prop_assert!(known.handed_out.is_none_or(|at| at + 3000 <= now), "handed out again too soon");
                        prop_assert_eq!(of, term);
                        known.handed_out = Some(now);
                    }
                    let forgotten = |known: &Known| known.is_over(now) && known.handed_out.is_none_or(|at| at + 3000 <= now);
                    prop_assert!(!leases.values().any(|known| forgotten(known) && known.handed_out != Some(now)));
                }
                Step::Pass(millis) => now += millis,
            }
            clock.check_invariants();
        }
    }
}
