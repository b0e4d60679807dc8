//! Members come and go: the commands that change who the cluster consists of.
//!
//! Raft's configuration and the table of members must name the same members, and raft's is in force as soon as an
//! entry is appended (rule M1), long before the entry is applied. So a change is checked **before** it is proposed
//! ([`Machine::check_change`]), by the leader, against a state that holds every earlier change, and only one is under
//! way at a time; then what raft was told to do is what applying does. Applying checks all the same rules again: they
//! cannot fail by then, and a command in the log must have an outcome whatever it says.
//!
//! Some rules are the proposing leader's alone ([`ChangeRules`]), as they are flags, and flags can differ between members:
//! how many learners there may be, and whether a change must leave a quorum of members that have ever started. etcd
//! looks at the first of them when it applies, so that members with different flags disagree about who is in the
//! cluster. Here they are arguments of the check, and never looked at again.

use prost::Message;
use proto::etcdserverpb::{self as api, InternalRaftRequest};
use proto::membershippb::{Member, RaftAttributes};
use proto::quoratepb::{MemberAdd, MemberPromote, MemberRemove, MemberUpdate, MembersReset};

use crate::auth::{Access, Identity};
use crate::member::Cluster;
use crate::source::Failure;
use crate::{Body, Effect, Machine, Outcome, Rejection, Reply, tables};

/// A change to who the cluster consists of, or where a member is reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MemberChange<'a> {
    /// A member joins, as a voter or a learner.
    Add(&'a MemberAdd),
    /// A member leaves for good.
    Remove(&'a MemberRemove),
    /// A learner becomes a voter.
    Promote(&'a MemberPromote),
    /// A member has other peer URLs.
    Update(&'a MemberUpdate),
}

/// The rules of the member that proposes a change: its flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeRules {
    /// `--max-learners`.
    pub learners_max: usize,
    /// `--strict-reconfig-check`: a learner is promoted only if a quorum of the voters has ever started. (The other
    /// changes meet this rule on the member that was asked: [`may_add_voter`], [`may_remove_voter`].)
    pub strict: bool,
}

impl<'a> MemberChange<'a> {
    /// The change that an entry holds, if it holds one.
    #[must_use]
    pub fn of(entry: &'a InternalRaftRequest) -> Option<Self> {
        if let Some(request) = &entry.member_add {
            return Some(Self::Add(request));
        }
        if let Some(request) = &entry.member_remove {
            return Some(Self::Remove(request));
        }
        if let Some(request) = &entry.member_promote {
            return Some(Self::Promote(request));
        }
        entry.member_update.as_deref().map(Self::Update)
    }

    /// The member that it is about.
    #[must_use]
    pub fn id(self) -> u64 {
        match self {
            Self::Add(request) => request.member.as_ref().map_or(0, |member| member.id),
            Self::Remove(request) => request.id,
            Self::Promote(request) => request.id,
            Self::Update(request) => request.id,
        }
    }
}

impl Machine {
    /// Whether somebody may propose the change: what etcd checks, in its order.
    ///
    /// # Errors
    /// The refusal, for the caller of the change.
    pub fn check_change(
        &self,
        identity: Identity<'_>,
        change: MemberChange<'_>,
        rules: ChangeRules,
    ) -> Result<(), Rejection> {
        self.authorise(identity, Access::Admin)?;
        let members = || self.cluster.members.values();
        if let MemberChange::Promote(request) = change
            && self.cluster.members.contains_key(&request.id)
            && rules.strict
            && !may_promote(members())
        {
            return Err(Rejection::NotEnoughStarted);
        }
        self.cluster.check(change)?;
        match change {
            MemberChange::Add(request) if adds_learner(request) => {
                let learners = members().filter(|member| is_learner(member)).count();
                if learners < rules.learners_max { Ok(()) } else { Err(Rejection::TooManyLearners) }
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn change_member(&mut self, change: MemberChange<'_>) -> Result<Outcome, Failure> {
        self.cluster.check(change)?;
        match change {
            MemberChange::Add(request) => self.add_member(request),
            MemberChange::Remove(request) => self.remove_member(request.id),
            MemberChange::Promote(request) => {
                self.edit_member(request.id, |attributes| attributes.is_learner = false)
            }
            MemberChange::Update(request) => {
                self.edit_member(request.id, |attributes| attributes.peer_urls.clone_from(&request.peer_urls))
            }
        }
    }

    fn add_member(&mut self, request: &MemberAdd) -> Result<Outcome, Failure> {
        let member = request.member.clone().ok_or(Rejection::MemberNotFound)?;
        tables::put_member(&mut self.store, &member);
        let added = shown(&member);
        self.cluster.members.insert(member.id, member);
        let response =
            api::MemberAddResponse { header: None, member: Some(added), members: self.cluster.shown() };
        Ok(changed(&response))
    }

    fn remove_member(&mut self, id: u64) -> Result<Outcome, Failure> {
        self.forget_member(id);
        let response = api::MemberRemoveResponse { header: None, members: self.cluster.shown() };
        Ok(changed(&response).with_effect(Effect::MemberRemoved { id }))
    }

    fn forget_member(&mut self, id: u64) {
        self.cluster.members.remove(&id);
        self.cluster.removed.insert(id);
        tables::remove_member(&mut self.store, id);
    }

    fn edit_member(&mut self, id: u64, edit: impl FnOnce(&mut RaftAttributes)) -> Result<Outcome, Failure> {
        let member = self.cluster.members.get_mut(&id).ok_or(Rejection::MemberNotFound)?;
        edit(member.raft_attributes.get_or_insert_default());
        tables::put_member(&mut self.store, member);
        // The responses of update and promote are the same but for their names.
        let response = api::MemberUpdateResponse { header: None, members: self.cluster.shown() };
        Ok(changed(&response))
    }

    /// All members but one are removed, and that one is a voter from now on: raft's configuration was rewritten so by
    /// the operator's order (`--force-new-cluster`), without asking anybody.
    pub(crate) fn reset_members(&mut self, request: &MembersReset) -> Result<Outcome, Failure> {
        if !self.cluster.members.contains_key(&request.keep_id) {
            return Err(Rejection::MemberNotFound.into());
        }
        let others: Vec<u64> =
            self.cluster.members.keys().copied().filter(|id| *id != request.keep_id).collect();
        let mut outcome = self.edit_member(request.keep_id, |attributes| attributes.is_learner = false)?;
        for id in others {
            self.forget_member(id);
            outcome = outcome.with_effect(Effect::MemberRemoved { id });
        }
        outcome.result = Ok(Reply { revision: 0, body: Body::empty() });
        Ok(outcome)
    }
}

impl Cluster {
    /// The rules that are the same on every member (etcd: `ValidateConfigurationChange`).
    fn check(&self, change: MemberChange<'_>) -> Result<(), Rejection> {
        let id = change.id();
        if self.removed.contains(&id) {
            return Err(Rejection::MemberNotFound);
        }
        let known = self.members.get(&id);
        match change {
            MemberChange::Add(_) if known.is_some() => Err(Rejection::MemberExists),
            MemberChange::Add(request) => {
                let member = request.member.as_ref().ok_or(Rejection::MemberNotFound)?;
                self.check_urls(id, peer_urls(member))
            }
            MemberChange::Promote(_) if known.is_some_and(|member| !is_learner(member)) => {
                Err(Rejection::MemberNotLearner)
            }
            MemberChange::Remove(_) | MemberChange::Promote(_) | MemberChange::Update(_)
                if known.is_none() =>
            {
                Err(Rejection::MemberNotFound)
            }
            MemberChange::Update(request) => self.check_urls(id, &request.peer_urls),
            MemberChange::Remove(_) | MemberChange::Promote(_) => Ok(()),
        }
    }

    /// No two members share a peer URL.
    fn check_urls(&self, id: u64, urls: &[String]) -> Result<(), Rejection> {
        let mut others = self.members.values().filter(|member| member.id != id).flat_map(peer_urls);
        if others.any(|taken| urls.contains(taken)) { Err(Rejection::PeerUrlExists) } else { Ok(()) }
    }

    /// All members by id, as clients see them.
    fn shown(&self) -> Vec<api::Member> {
        self.members.values().map(shown).collect()
    }
}

fn adds_learner(request: &MemberAdd) -> bool {
    request.member.as_ref().is_some_and(is_learner)
}

/// Whether the member has no vote.
#[must_use]
pub fn is_learner(member: &Member) -> bool {
    member.raft_attributes.as_ref().is_some_and(|attributes| attributes.is_learner)
}

/// Where other members reach it.
#[must_use]
pub fn peer_urls(member: &Member) -> &[String] {
    member.raft_attributes.as_ref().map_or(&[], |attributes| &attributes.peer_urls)
}

/// A member as clients see it.
#[must_use]
pub fn shown(member: &Member) -> api::Member {
    let attributes = member.member_attributes.clone().unwrap_or_default();
    api::Member {
        id: member.id,
        name: attributes.name,
        peer_ur_ls: peer_urls(member).to_vec(),
        client_ur_ls: attributes.client_urls,
        is_learner: is_learner(member),
    }
}

/// Whether the member has ever started: then it has published its name.
#[must_use]
pub fn is_started(member: &Member) -> bool {
    member.member_attributes.as_ref().is_some_and(|attributes| !attributes.name.is_empty())
}

/// How many of the voters there are, and have started.
fn voters<'a>(members: impl IntoIterator<Item = &'a Member>) -> (usize, usize) {
    let voters = members.into_iter().filter(|member| !is_learner(member));
    voters.fold((0, 0), |(all, started), member| (all + 1, started + usize::from(is_started(member))))
}

/// Strict reconfiguration: whether a quorum would have started if a voter joined that has not. Always allowed next to
/// one member, which is how a cluster grows again from its last one.
#[must_use]
pub fn may_add_voter<'a>(members: impl IntoIterator<Item = &'a Member>) -> bool {
    let (all, started) = voters(members);
    let joined = all + 1;
    (started == 1 && joined == 2) || started > joined / 2
}

/// Strict reconfiguration: whether a quorum of the others has started if this voter left.
#[must_use]
pub fn may_remove_voter<'a>(members: impl IntoIterator<Item = &'a Member>, id: u64) -> bool {
    let (left, started) = voters(members.into_iter().filter(|member| member.id != id));
    started > left / 2
}

/// Strict reconfiguration: whether a quorum has started once a learner, which has, is a voter.
#[must_use]
pub fn may_promote<'a>(members: impl IntoIterator<Item = &'a Member>) -> bool {
    let (all, started) = voters(members);
    started + 1 > all.div_ceil(2)
}

/// The headers of this service have no revision (contract: api, section 4).
fn changed(response: &impl Message) -> Outcome {
    let body = Body::encoded(response.encode_to_vec().into());
    Outcome::replied(Reply { revision: 0, body }).with_effect(Effect::MembersChanged)
}

#[cfg(test)]
mod tests {
    use proto::membershippb::Attributes;

    use super::*;

    /// Members as letters: `S` a voter that has started, `u` one that has not, `l` a learner.
    fn members(letters: &str) -> Vec<Member> {
        let member = |(id, letter)| Member {
            id,
            raft_attributes: Some(RaftAttributes { peer_urls: Vec::new(), is_learner: letter == 'l' }),
            member_attributes: (letter == 'S')
                .then(|| Attributes { name: "n".into(), client_urls: Vec::new() }),
        };
        (1..).zip(letters.chars()).map(member).collect()
    }

    #[test]
    fn a_voter_joins_only_if_a_quorum_will_have_started() {
        for allowed in ["S", "Sl", "SS", "SSS", "SSSS", "SSSu"] {
            assert!(may_add_voter(&members(allowed)), "{allowed}");
        }
        for refused in ["", "u", "Su", "uu", "Suu", "SSu", "SSuu", "ul"] {
            assert!(!may_add_voter(&members(refused)), "{refused}");
        }
    }

    #[test]
    fn a_voter_leaves_only_if_a_quorum_of_the_others_has_started() {
        // The one that leaves is the first.
        for allowed in ["SS", "uS", "SSS", "uSS", "SSSu", "uSSl"] {
            assert!(may_remove_voter(&members(allowed), 1), "{allowed}");
        }
        for refused in ["S", "Sl", "Su", "SSu", "SSuu"] {
            assert!(!may_remove_voter(&members(refused), 1), "{refused}");
        }
    }

    #[test]
    fn a_learner_is_promoted_only_if_a_quorum_will_have_started() {
        for allowed in ["Sl", "SSl", "Sul", "SSSl", "SSul"] {
            assert!(may_promote(&members(allowed)), "{allowed}");
        }
        for refused in ["ul", "uul", "uuul", "Suuul"] {
            assert!(!may_promote(&members(refused)), "{refused}");
        }
    }
}
