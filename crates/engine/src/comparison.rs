//! Comparing states with the other members (rule A6): what the pure [`Agreement`] does not have, a clock and a way to
//! propose.
//!
//! The leader marks the log when a second has passed, or a thousand commands, in which something changed, and once more
//! so that the last mark is checked too; then it leaves an idle cluster alone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use machine::Machine;
use machine::agreement::{Agreement, Finding, Mark};
use proto::etcdserverpb::InternalRaftRequest;
use proto::membershippb::Member;
use proto::quoratepb::StateHashClaim;

use crate::author::Author;
use crate::command::{Field, encode_command};
use crate::event::ConsensusEvent;
use crate::inbox::Sender;
use crate::messages;
use crate::request::{Proposal, RequestId};
use crate::shared::{Doubt, Shared};

/// Longest time that a change is not marked.
const MARK_INTERVAL: Duration = Duration::from_secs(1);

/// Most commands between two marks.
const MARK_COMMANDS: u64 = 1_000;

/// Nobody waits for the commands from here.
const NOBODY: RequestId = RequestId(0);

/// The comparison, as the apply thread drives it.
pub(crate) struct Comparison {
    own_id: u64,
    agreement: Agreement,
    consensus: Sender<ConsensusEvent>,
    shared: Arc<Shared>,
    /// Commands since the last mark.
    commands: u64,
    /// What the last mark holds has not been checked.
    is_unchecked: bool,
    /// A mark was proposed and is not applied yet.
    is_proposed: bool,
    marked: Instant,
}

impl Comparison {
    pub(crate) fn new(own_id: u64, consensus: Sender<ConsensusEvent>, shared: Arc<Shared>) -> Self {
        Self {
            own_id,
            agreement: Agreement::new(own_id),
            consensus,
            shared,
            commands: 0,
            is_unchecked: false,
            is_proposed: false,
            marked: Instant::now(),
        }
    }

    /// A command was applied.
    pub(crate) fn follow(&mut self, index: u64, command: &InternalRaftRequest, machine: &Machine) {
        if let Some(mark) = &command.state_hash_mark {
            let now = Mark { index, hash: machine.store().state_hash() };
            let finding = self.agreement.mark(now, mark, &voters(machine));
            self.is_unchecked = std::mem::take(&mut self.commands) > 0;
            self.is_proposed = false;
            self.marked = Instant::now();
            if let Some(finding) = finding {
                self.found(finding);
            }
            self.claim_damage(machine);
        } else if let Some(claim) = &command.state_hash_claim {
            if let Some(own) = self.agreement.claim(claim) {
                self.propose_claim(&own);
            }
        } else {
            self.commands += 1;
        }
    }

    /// The store was replaced by a snapshot: nothing that was remembered is of this state.
    pub(crate) fn forget(&mut self) {
        self.agreement = Agreement::new(self.own_id);
        self.commands = 0;
        self.shared.set_in_doubt(Doubt::State, false);
    }

    /// Looks whether somebody has come across a damaged value. Where the others can replace it, they are asked whether they have
    /// everything; where not, the log says what to do.
    pub(crate) fn look_for_damage(&mut self, machine: &Machine) {
        let damage = machine.store().damaged_value();
        if damage.is_none() && self.agreement.has_damage() {
            // The store was emptied, to follow another cluster.
            self.agreement.forget_damage();
        }
        let Some(damage) = damage.filter(|_| !self.agreement.has_damage()) else { return };
        self.agreement.note_damage();
        let remedy = match machine.members().len() {
            0 | 1 => messages::DAMAGE_ALONE,
            _ if self.can_be_replaced(machine) => messages::DAMAGE_REPLACED,
            _ => messages::DAMAGE_OF_TWO,
        };
        tracing::error!(
            "local-member-id" = format!("{:x}", self.own_id),
            error = damage,
            remedy,
            "{}",
            messages::DAMAGE
        );
        self.claim_damage(machine);
    }

    /// Whether the others are a majority without this member.
    fn can_be_replaced(&self, machine: &Machine) -> bool {
        let voters = voters(machine);
        voters.iter().filter(|&&id| id != self.own_id).count() > voters.len() / 2
    }

    fn claim_damage(&mut self, machine: &Machine) {
        if self.agreement.has_damage()
            && self.can_be_replaced(machine)
            && let Some(claim) = self.agreement.claim_of_damage()
        {
            self.propose_claim(&claim);
        }
    }

    fn found(&mut self, finding: Finding) {
        match finding {
            Finding::Differs { own, leader } => {
                self.shared.set_in_doubt(Doubt::State, true);
                tracing::error!(
                    "local-member-id" = format!("{:x}", self.own_id),
                    "index" = own.index,
                    "hash" = format!("{:032x}", own.hash),
                    "leader-hash" = format!("{leader:032x}"),
                    "{}",
                    messages::STATE_DIFFERS
                );
                let claim = self.agreement.claim_of(own);
                self.propose_claim(&claim);
            }
            Finding::Vindicated => {
                tracing::warn!("the state of this member is that of the majority; it serves again");
                self.shared.set_in_doubt(Doubt::State, false);
            }
            Finding::Wrong { own, right } => {
                self.shared.set_in_doubt(Doubt::State, true);
                tracing::error!(
                    "local-member-id" = format!("{:x}", self.own_id),
                    "index" = own.index,
                    "hash" = format!("{:032x}", own.hash),
                    "right-hash" = format!("{right:032x}"),
                    "{}",
                    messages::STATE_WRONG
                );
                // Nobody may be led by this state.
                let _ = self.consensus.send(ConsensusEvent::Resign);
                self.shared.ending.start_over();
            }
        }
    }

    fn propose_claim(&self, claim: &StateHashClaim) {
        let command = encode_command(NOBODY, &Author::Nobody, Field::StateHashClaim, claim);
        let _ = self.consensus.send(ConsensusEvent::Propose(vec![Proposal { id: NOBODY, command }]));
    }

    /// When to look at [`mark_if_due`](Self::mark_if_due) again even if nothing happens.
    pub(crate) fn next_due(&self, machine: &Machine) -> Option<Instant> {
        self.is_wanted(machine).then(|| self.marked + MARK_INTERVAL)
    }

    /// As the leader, proposes a mark if it is time for one.
    pub(crate) fn mark_if_due(&mut self, machine: &Machine) {
        if !self.is_wanted(machine) {
            return;
        }
        let enough = self.commands >= MARK_COMMANDS && !self.is_proposed && !self.agreement.is_disputed();
        if !enough && self.marked.elapsed() < MARK_INTERVAL {
            return;
        }
        self.marked = Instant::now();
        self.is_proposed = true;
        let mark = self.agreement.next_mark();
        let command = encode_command(NOBODY, &Author::Nobody, Field::StateHashMark, &mark);
        let proposal = Proposal { id: NOBODY, command };
        let _ = self.consensus.send(ConsensusEvent::ProposeAsLeader(vec![proposal]));
    }

    fn is_wanted(&self, machine: &Machine) -> bool {
        let leads = self.shared.is_led_by(self.own_id);
        let has_news = self.commands > 0 || self.is_unchecked || self.agreement.is_disputed();
        leads && has_news && machine.members().len() > 1
    }
}

fn has_vote(member: &Member) -> bool {
    !member.raft_attributes.as_ref().is_some_and(|raft| raft.is_learner)
}

fn voters(machine: &Machine) -> BTreeSet<u64> {
    machine.members().filter(|member| has_vote(member)).map(|member| member.id).collect()
}
