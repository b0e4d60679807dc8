//! Whether the members hold the same state: compared through the log, all the time (rule A6).
//!
//! ```text
//!  log      … 41: mark, checks 30 … 52: mark, checks 41 … 57: claim of n3 for 41 … 63: mark, checks 52 …
//!  leader        remembers its hash at 41 ──► says it at 52    and claims it ──► counts: all is well
//!  n2            remembers its own at 41  ──► the same         and claims it ──► counts: all is well
//!  n3            remembers its own at 41  ──► another: serves nobody, claims ──► counts: alone with it, starts over
//! ```
//!
//! Every member passes every mark at the same place of the log, so the hashes that it compares are of the same moment,
//! without anything having to stop. A member that finds a difference cannot know who is wrong. It serves nobody and claims
//! its hash; the others, when they pass that claim, claim theirs. When the next mark comes the claims are counted: what a
//! majority of the voters holds is right. As long as there is none, because too few have claimed or there are only two,
//! nothing is decided, and nobody throws anything away: whoever starts over leaves a majority behind that has everything.
//!
//! A member that has come across a damaged value holds the same hash as the others, and is wrong all the same. It claims what nobody
//! holds, at every mark, until the claims of the others show that a majority has everything. Then it starts over like one that
//! differs; nobody's service is interrupted before that, its own included.
//!
//! What is remembered here is not part of the replicated state: after a start it is empty, and a mark from before is not
//! checked. So this never refuses a command and never changes what applying does (A1).

use std::collections::{BTreeMap, BTreeSet};

use proto::quoratepb::{StateHashClaim, StateHashMark};

/// A state hash (see [`mvcc::Store::state_hash`]).
pub type Hash = u128;

/// A place in the log and the hash of the state there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The mark's entry.
    pub index: u64,
    /// The state's hash.
    pub hash: Hash,
}

/// What a mark or a claim shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// The leader holds something else here: nobody is to be served, and this claim to be proposed.
    Differs {
        /// What this member holds.
        own: Mark,
        /// The leader's hash at the same place.
        leader: Hash,
    },
    /// Of two states this member's is the right one after all.
    Vindicated,
    /// This member's state is wrong: it must be thrown away and fetched from the others.
    Wrong {
        /// What this member held.
        own: Mark,
        /// What it should have been.
        right: Hash,
    },
}

/// What a member remembers of the comparison.
#[derive(Debug)]
pub struct Agreement {
    own_id: u64,
    last: Option<Mark>,
    /// The mark before `last`: what claims are about.
    checked: Option<Mark>,
    /// What the leader holds, when it is not what this member holds.
    dispute: Option<Hash>,
    claims: Claims,
    /// Whether this member cannot read a value that it should have.
    has_damage: bool,
}

/// Who claims what of one mark.
#[derive(Debug, Default)]
struct Claims {
    by_hash: BTreeMap<Hash, BTreeSet<u64>>,
    /// This member has claimed too.
    is_own_made: bool,
    /// Somebody claimed something of an earlier mark: the marks come too fast for claims to meet.
    came_late: bool,
}

impl Agreement {
    /// The member `own_id`, which has seen no mark yet.
    #[must_use]
    pub fn new(own_id: u64) -> Self {
        Self {
            own_id,
            last: None,
            checked: None,
            dispute: None,
            claims: Claims::default(),
            has_damage: false,
        }
    }

    /// The command with which this member, as the leader, marks the log and lets its last mark be checked.
    #[must_use]
    pub fn next_mark(&self) -> StateHashMark {
        let (checked_index, checked_hash) = self
            .last
            .map_or_else(Default::default, |mark| (mark.index, mark.hash.to_le_bytes().to_vec().into()));
        StateHashMark { member_id: self.own_id, checked_index, checked_hash }
    }

    /// Whether members differ or differed a moment ago: then marks must leave time for claims.
    #[must_use]
    pub fn is_disputed(&self) -> bool {
        self.dispute.is_some() || self.claims.came_late || !self.claims.by_hash.is_empty()
    }

    /// A mark was applied: at `now`, where this member's state has that hash, in a cluster with these voters.
    pub fn mark(&mut self, now: Mark, command: &StateHashMark, voters: &BTreeSet<u64>) -> Option<Finding> {
        let verdict = self.settle(voters);
        self.checked = self.last.replace(now);
        // What a majority holds has just been found out: no leader's word is needed.
        if verdict.is_some() {
            return verdict;
        }
        let own = self.checked.filter(|own| own.index == command.checked_index)?;
        let leader = match self.dispute {
            // A leader cannot be right because it agrees with itself: it claims on.
            Some(leader) if command.member_id == self.own_id => leader,
            _ => hash(&command.checked_hash)?,
        };
        if own.hash != leader {
            self.dispute = Some(leader);
            self.claims.is_own_made = true;
            return Some(Finding::Differs { own, leader });
        }
        // Either it was right all the time, or what differed is the same again.
        self.dispute.take().map(|_| Finding::Vindicated)
    }

    /// Counts the claims of the mark that was checked last: of those who have a vote now, for a claim says what it says,
    /// but its member may have left.
    fn settle(&mut self, voters: &BTreeSet<u64>) -> Option<Finding> {
        let claims = std::mem::take(&mut self.claims);
        let own = self.claimed(self.checked?);
        let is_majority = |members: &BTreeSet<u64>| members.intersection(voters).count() > voters.len() / 2;
        let (right, members) = claims.by_hash.iter().find(|(_, members)| is_majority(members))?;
        // It claimed the same before it knew of its damage. Whoever starts over must leave a majority behind without it.
        let others: BTreeSet<u64> = members.iter().copied().filter(|id| *id != self.own_id).collect();
        if own.hash != *right && !is_majority(&others) {
            return None;
        }
        let was_disputed = self.dispute.take().is_some();
        if own.hash != *right {
            Some(Finding::Wrong { own, right: *right })
        } else {
            was_disputed.then_some(Finding::Vindicated)
        }
    }

    /// A claim was applied. Gives the claim that this member is to make too, if it remembers the mark and has not made one.
    pub fn claim(&mut self, command: &StateHashClaim) -> Option<StateHashClaim> {
        let claimed = hash(&command.hash)?;
        let Some(own) = self.checked.filter(|own| own.index == command.index) else {
            self.claims.came_late = true;
            return None;
        };
        self.claims.by_hash.entry(claimed).or_default().insert(command.member_id);
        let is_asked = !std::mem::replace(&mut self.claims.is_own_made, true);
        is_asked.then(|| self.claim_of(own))
    }

    /// Returns whether this member cannot read a value that it should have.
    #[must_use]
    pub fn has_damage(&self) -> bool {
        self.has_damage
    }

    /// Notes that this member cannot read a value that it should have.
    pub fn note_damage(&mut self) {
        self.has_damage = true;
    }

    /// Forgets that: the state has been replaced.
    pub fn forget_damage(&mut self) {
        self.has_damage = false;
    }

    /// Returns the claim that a member with a damaged value makes of the mark that was checked last, if it has not made one: that
    /// it does not hold what it should.
    pub fn claim_of_damage(&mut self) -> Option<StateHashClaim> {
        let own = self.checked.filter(|_| self.has_damage)?;
        let is_due = !std::mem::replace(&mut self.claims.is_own_made, true);
        is_due.then(|| self.claim_of(own))
    }

    /// What this member claims to hold at a mark: with a damaged value, what nobody holds.
    fn claimed(&self, own: Mark) -> Mark {
        if self.has_damage { Mark { hash: !own.hash ^ Hash::from(self.own_id), ..own } } else { own }
    }

    /// The claim that follows from [`Finding::Differs`].
    #[must_use]
    pub fn claim_of(&self, own: Mark) -> StateHashClaim {
        let own = self.claimed(own);
        StateHashClaim {
            member_id: self.own_id,
            index: own.index,
            hash: own.hash.to_le_bytes().to_vec().into(),
        }
    }
}

fn hash(bytes: &[u8]) -> Option<Hash> {
    Some(Hash::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voters(ids: impl IntoIterator<Item = u64>) -> BTreeSet<u64> {
        BTreeSet::from_iter(ids)
    }

    /// Three members, the first of which leads, and the log that they all apply.
    struct Cluster {
        members: Vec<Agreement>,
        index: u64,
    }

    impl Cluster {
        fn new() -> Self {
            Self { members: (1..=3).map(Agreement::new).collect(), index: 0 }
        }

        /// A mark of the leader, where the members have these hashes.
        fn mark(&mut self, hashes: [Hash; 3]) -> Vec<Option<Finding>> {
            self.index += 10;
            let command = self.members[0].next_mark();
            let index = self.index;
            let mark = |(member, hash): (&mut Agreement, Hash)| {
                member.mark(Mark { index, hash }, &command, &voters(1..=3))
            };
            self.members.iter_mut().zip(hashes).map(mark).collect()
        }

        /// A member that found a difference claims, and these pass that claim before the next mark, and claim too.
        fn claim(&mut self, member: usize, finding: Option<Finding>, in_time: &[usize]) {
            let Some(Finding::Differs { own, .. }) = finding else { panic!("{finding:?}") };
            let claim = self.members[member].claim_of(own);
            let mut claims =
                Vec::from_iter(self.members.iter_mut().zip(0..).filter_map(|(member, number)| {
                    member.claim(&claim).filter(|_| in_time.contains(&number))
                }));
            while let Some(claim) = claims.pop() {
                for member in &mut self.members {
                    assert_eq!(member.claim(&claim), None, "everybody has claimed");
                }
            }
        }
    }

    #[test]
    fn equal_states_agree() {
        let mut cluster = Cluster::new();
        for hash in 0..5 {
            assert_eq!(cluster.mark([hash; 3]), [None; 3]);
        }
        assert!(!cluster.members[0].is_disputed());
    }

    #[test]
    fn one_with_a_damaged_value_starts_over_when_a_majority_has_everything() {
        let mut cluster = Cluster::new();
        cluster.members[2].note_damage();
        assert_eq!(cluster.members[2].claim_of_damage(), None, "nothing was checked yet");
        cluster.mark([1; 3]);
        cluster.mark([2; 3]);
        let claim = cluster.members[2].claim_of_damage().expect("a mark was passed");
        assert_eq!(cluster.members[2].claim_of_damage(), None, "once for each mark");
        let answers: Vec<_> = cluster.members.iter_mut().filter_map(|member| member.claim(&claim)).collect();
        assert_eq!(answers.len(), 2);
        // One of the others is away, or slow.
        cluster.members.iter_mut().for_each(|member| assert_eq!(member.claim(&answers[0]), None));
        assert_eq!(cluster.mark([3; 3]), [None; 3], "nobody is in doubt, and nothing is thrown away");
        let claim = cluster.members[2].claim_of_damage().expect("another mark was passed");
        let answers: Vec<_> = cluster.members.iter_mut().filter_map(|member| member.claim(&claim)).collect();
        for answer in &answers {
            cluster.members.iter_mut().for_each(|member| assert_eq!(member.claim(answer), None));
        }
        let found = cluster.mark([4; 3]);
        assert_eq!(found[..2], [None, None]);
        assert!(matches!(found[2], Some(Finding::Wrong { right: 2, .. })), "{found:?}");
    }

    /// The second finds its damage when it has answered the first one's claim: of three, one must not be left alone.
    #[test]
    fn one_that_has_claimed_before_it_knew_of_its_damage_waits_for_the_others() {
        let mut cluster = Cluster::new();
        cluster.members[2].note_damage();
        cluster.mark([1; 3]);
        cluster.mark([2; 3]);
        let claim = cluster.members[2].claim_of_damage().expect("a mark was passed");
        let answers: Vec<_> = cluster.members.iter_mut().filter_map(|member| member.claim(&claim)).collect();
        for answer in &answers {
            cluster.members.iter_mut().for_each(|member| assert_eq!(member.claim(answer), None));
        }
        cluster.members[0].note_damage();
        assert_eq!(cluster.members[0].claim_of_damage(), None, "it has claimed");
        let found = cluster.mark([3; 3]);
        assert_eq!(found[..2], [None, None], "two are left, and keep what they have");
        assert!(matches!(found[2], Some(Finding::Wrong { right: 1, .. })), "{found:?}");
    }

    #[test]
    fn two_with_damaged_values_throw_nothing_away() {
        let mut cluster = Cluster::new();
        cluster.members[1..].iter_mut().for_each(Agreement::note_damage);
        cluster.mark([1; 3]);
        cluster.mark([2; 3]);
        for member in 1..3 {
            let Some(claim) = cluster.members[member].claim_of_damage() else { continue };
            let answers: Vec<_> =
                cluster.members.iter_mut().filter_map(|member| member.claim(&claim)).collect();
            for answer in answers {
                cluster.members.iter_mut().for_each(|member| assert_eq!(member.claim(&answer), None));
            }
        }
        assert_eq!(cluster.mark([3; 3]), [None; 3]);
    }

    #[test]
    fn one_that_differs_starts_over() {
        let mut cluster = Cluster::new();
        assert_eq!(cluster.mark([1, 1, 9]), [None; 3]);
        let found = cluster.mark([2, 2, 9]);
        let own = Mark { index: 10, hash: 9 };
        assert_eq!(found, [None, None, Some(Finding::Differs { own, leader: 1 })]);
        cluster.claim(2, found[2], &[0, 1]);
        assert!(cluster.members.iter().all(Agreement::is_disputed));
        assert_eq!(cluster.mark([2, 2, 9]), [None, None, Some(Finding::Wrong { own, right: 1 })]);
        assert!(!cluster.members[0].is_disputed());
    }

    #[test]
    fn a_leader_that_differs_from_the_majority_is_wrong() {
        let mut cluster = Cluster::new();
        cluster.mark([9, 1, 1]);
        let found = cluster.mark([9, 2, 2]);
        cluster.claim(1, found[1], &[0]);
        let own = Mark { index: 10, hash: 9 };
        let claim = cluster.members[2].claim_of(Mark { index: 10, hash: 1 });
        cluster.members.iter_mut().for_each(|member| assert_eq!(member.claim(&claim), None));
        // The leader's next word is as wrong as its last one, and nobody listens.
        let found = cluster.mark([9, 2, 2]);
        assert_eq!(found[0], Some(Finding::Wrong { own, right: 1 }));
        assert_eq!(found[1..], [Some(Finding::Vindicated); 2]);
    }

    #[test]
    fn the_next_leader_decides_when_the_one_that_was_wrong_is_gone() {
        let mut cluster = Cluster::new();
        cluster.mark([9, 1, 1]);
        let found = cluster.mark([9, 2, 2]);
        assert!(found[1..].iter().all(Option::is_some), "both are in doubt");
        // The first one dies before anything is counted; the second leads, and does not believe itself.
        cluster.members.rotate_left(1);
        let found = cluster.mark([2, 2, 9]);
        assert!(matches!(found[0], Some(Finding::Differs { .. })), "{found:?}");
        assert_eq!(found[1], Some(Finding::Vindicated));
        cluster.claim(0, found[0], &[1]);
        assert_eq!(cluster.mark([2, 2, 9])[0], Some(Finding::Vindicated));
    }

    #[test]
    fn a_wrong_leader_is_not_right_because_it_leads() {
        let mut cluster = Cluster::new();
        cluster.mark([1, 1, 9]);
        assert!(cluster.mark([2, 2, 9])[2].is_some());
        // The first one dies, and the third one leads.
        cluster.members.rotate_left(2);
        for _ in 0..3 {
            let found = cluster.mark([9, 2, 2]);
            assert!(matches!(found[0], Some(Finding::Differs { .. })), "{found:?}");
            cluster.claim(0, found[0], &[]);
        }
    }

    #[test]
    fn as_long_as_too_few_have_claimed_nothing_is_decided() {
        let mut cluster = Cluster::new();
        cluster.mark([9, 1, 1]);
        for _ in 0..3 {
            let found = cluster.mark([9, 1, 1]);
            assert!(matches!(found[1], Some(Finding::Differs { .. })), "{found:?}");
            // The third is not there.
            cluster.claim(1, found[1], &[0]);
        }
        let found = cluster.mark([9, 1, 1]);
        cluster.claim(1, found[1], &[0, 2]);
        let claim = cluster.members[2].claim_of(cluster.members[2].checked.unwrap());
        cluster.members.iter_mut().for_each(|member| assert_eq!(member.claim(&claim), None));
        assert!(matches!(cluster.mark([9, 1, 1])[0], Some(Finding::Wrong { .. })));
    }

    #[test]
    fn of_two_nobody_knows_who_is_wrong() {
        let mut members = [Agreement::new(1), Agreement::new(2)];
        let mark = |members: &mut [Agreement; 2], index| {
            let command = members[0].next_mark();
            let found = members[0].mark(Mark { index, hash: 1 }, &command, &voters([1, 2]));
            assert_eq!(found, None, "the leader agrees with itself");
            members[1].mark(Mark { index, hash: 2 }, &command, &voters([1, 2]))
        };
        mark(&mut members, 10);
        for index in [20, 30, 40] {
            let Some(Finding::Differs { own, .. }) = mark(&mut members, index) else { panic!() };
            let claim = members[1].claim_of(own);
            let other = members[0].claim(&claim).unwrap();
            members[1].claim(&claim);
            members[0].claim(&other);
            members[1].claim(&other);
        }
    }

    #[test]
    fn who_has_left_has_no_say() {
        let mut cluster = Cluster::new();
        cluster.mark([1, 1, 9]);
        let found = cluster.mark([2, 2, 9]);
        cluster.claim(2, found[2], &[0, 1]);
        // The first two were removed: of one voter, that one is the majority.
        let command = cluster.members[0].next_mark();
        let found = cluster.members[2].mark(Mark { index: 30, hash: 9 }, &command, &voters([3]));
        assert!(!matches!(found, Some(Finding::Wrong { .. })), "{found:?}");
    }

    #[test]
    fn claims_that_come_late_slow_the_marks_down() {
        let mut cluster = Cluster::new();
        cluster.mark([1, 1, 9]);
        let found = cluster.mark([2, 2, 9]);
        cluster.mark([3, 3, 9]);
        cluster.claim(2, found[2], &[]);
        assert!(cluster.members[0].is_disputed());
        let found = cluster.mark([3, 3, 9]);
        assert!(matches!(found[2], Some(Finding::Differs { own: Mark { index: 30, .. }, .. })), "{found:?}");
    }

    #[test]
    fn a_learner_is_told_and_has_no_say() {
        let mut cluster = Cluster::new();
        cluster.mark([1, 1, 9]);
        let Some(Finding::Differs { own, .. }) = cluster.mark([2, 2, 9])[2] else { panic!() };
        let claim = cluster.members[2].claim_of(own);
        let others: Vec<_> = cluster.members.iter_mut().map(|member| member.claim(&claim)).collect();
        for claim in others.into_iter().flatten() {
            cluster.members.iter_mut().for_each(|member| assert_eq!(member.claim(&claim), None));
        }
        let command = cluster.members[0].next_mark();
        let found = cluster.members[2].mark(Mark { index: 30, hash: 9 }, &command, &voters([1, 2]));
        assert_eq!(found, Some(Finding::Wrong { own, right: 1 }));
    }

    #[test]
    fn who_remembers_nothing_compares_nothing() {
        let mut cluster = Cluster::new();
        cluster.mark([1, 1, 9]);
        cluster.members[2] = Agreement::new(3);
        assert_eq!(cluster.mark([2, 2, 9]), [None; 3]);
        assert!(matches!(cluster.mark([2, 2, 9])[2], Some(Finding::Differs { .. })));
    }

    #[test]
    fn a_hash_of_another_length_is_of_a_version_not_known_here() {
        let mut member = Agreement::new(1);
        member.mark(Mark { index: 1, hash: 5 }, &StateHashMark::default(), &voters(1..=3));
        let strange = StateHashMark { checked_index: 1, checked_hash: vec![0; 32].into(), member_id: 2 };
        assert_eq!(member.mark(Mark { index: 2, hash: 5 }, &strange, &voters(1..=3)), None);
    }
}
