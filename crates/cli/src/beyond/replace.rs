//! How a member is replaced without losing the quorum: what the next step is, given how the cluster is now.
//!
//! The new member is added as a learner (the quorum stays as it is), catches up, is promoted (now there is one voter more),
//! and only then the old one is removed. Each step is chosen from what the cluster says, and from nothing that an earlier
//! run left behind, so that a run that was interrupted goes on where it was.
//!
//! **Never below quorum**: a step that changes who votes is taken only when those that answer are a majority of the voters
//! before *and* after it.

use std::collections::BTreeSet;

/// A member as the cluster lists it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: u64,
    /// Its name; empty until it has started once.
    pub name: String,
    /// Where the other members reach it.
    pub peer_urls: Vec<String>,
    /// Whether it is without a vote.
    pub is_learner: bool,
}

/// How the cluster is now.
#[derive(Debug, Clone, Default)]
pub struct Situation {
    /// The list of members.
    pub members: Vec<Member>,
    /// The members that answer at one of their client URLs.
    pub answering: BTreeSet<u64>,
    /// The leader; 0 for none.
    pub leader: u64,
    /// The index that the leader has committed.
    pub leader_index: u64,
    /// The index that the new member has applied, once it answers.
    pub new_index: Option<u64>,
}

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Order {
    /// The member to be replaced, by its id (hexadecimal) or its name.
    pub old: String,
    /// The name of the new one.
    pub name: String,
    /// Where the other members will reach the new one.
    pub peer_urls: Vec<String>,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Add the new member as a learner.
    AddLearner,
    /// The new member's process has to be started by somebody.
    AwaitStart {
        /// Its id.
        new: u64,
    },
    /// It is this many entries behind the leader.
    AwaitCatchUp {
        /// Its id.
        new: u64,
        /// How many entries it lacks.
        behind: u64,
    },
    /// Give the new member a vote.
    Promote {
        /// Its id.
        new: u64,
    },
    /// Hand leadership over, so that the removal costs no election.
    MoveLeader {
        /// From the old member.
        from: u64,
        /// To this one.
        to: u64,
    },
    /// Remove the old member.
    Remove {
        /// Its id.
        old: u64,
    },
    /// The new member votes and the old one is gone.
    Done {
        /// The new member.
        new: u64,
    },
    /// There is no safe step: why, and what to do.
    Refuse(String),
}

/// A learner is promoted when it lacks no more than this many entries. The servers have the last word: etcd refuses one
/// that has less than nine tenths of the leader's log.
const BEHIND_MAX: u64 = 100;

/// Returns the next step.
pub fn next(order: &Order, now: &Situation) -> Step {
    // A new member of the same name is not the old one.
    let is_new = |member: &Member| shares_url(member, order) && member.name == order.name;
    let is_old = |member: &&Member| is_id(member, &order.old) || member.name == order.old && !is_new(member);
    let old = now.members.iter().find(is_old);
    let new = now.members.iter().find(|member| shares_url(member, order));
    match (old, new) {
        (Some(old), Some(new)) if old.id == new.id => Step::Refuse(format!(
            "{} itself has the peer URLs {}: give those of the new member",
            title(old),
            order.peer_urls.join(",")
        )),
        (Some(old), None) => add(old, order, now),
        (_, Some(new)) if !now.answering.contains(&new.id) => Step::AwaitStart { new: new.id },
        (_, Some(new)) if new.is_learner => promote(new, now),
        (Some(old), Some(new)) => remove(old, new, now),
        (None, Some(new)) => Step::Done { new: new.id },
        (None, None) => Step::Refuse(format!(
            "no member is called {} and none has the peer URLs {}: see `member list`",
            order.old,
            order.peer_urls.join(",")
        )),
    }
}

fn is_id(member: &Member, wanted: &str) -> bool {
    u64::from_str_radix(wanted, 16).is_ok_and(|id| id == member.id)
}

fn shares_url(member: &Member, order: &Order) -> bool {
    member.peer_urls.iter().any(|url| order.peer_urls.contains(url))
}

fn title(member: &Member) -> String {
    format!("{} ({:x})", if member.name.is_empty() { "a member" } else { &member.name }, member.id)
}

fn voters(now: &Situation) -> BTreeSet<u64> {
    now.members.iter().filter(|member| !member.is_learner).map(|member| member.id).collect()
}

/// Whether those of the voters that answer are a majority of them.
fn is_quorum(voters: &BTreeSet<u64>, now: &Situation) -> bool {
    voters.intersection(&now.answering).count() > voters.len() / 2
}

fn refuse_below_quorum(what: &str, after: &BTreeSet<u64>, now: &Situation) -> Step {
    let up = after.intersection(&now.answering).count();
    Step::Refuse(format!(
        "{what} would leave {up} of {} voters that answer, and {} are needed: start the missing members first",
        after.len(),
        after.len() / 2 + 1
    ))
}

fn add(old: &Member, order: &Order, now: &Situation) -> Step {
    if let Some(other) = now.members.iter().find(|member| member.name == order.name && member.id != old.id) {
        return Step::Refuse(format!("{} already has the name {}: choose another", title(other), order.name));
    }
    let learner = now.members.iter().find(|member| member.is_learner && member.id != old.id);
    if let Some(learner) = learner {
        return Step::Refuse(format!(
            "{} is a learner already, and there can be only one: promote or remove it first",
            title(learner)
        ));
    }
    let voters = voters(now);
    if !is_quorum(&voters, now) {
        return refuse_below_quorum("a change of members now", &voters, now);
    }
    Step::AddLearner
}

fn promote(new: &Member, now: &Situation) -> Step {
    let behind = now.leader_index.saturating_sub(now.new_index.unwrap_or(0));
    if behind > BEHIND_MAX {
        return Step::AwaitCatchUp { new: new.id, behind };
    }
    let mut after = voters(now);
    after.insert(new.id);
    if !is_quorum(&after, now) {
        return refuse_below_quorum("the promotion", &after, now);
    }
    Step::Promote { new: new.id }
}

fn remove(old: &Member, new: &Member, now: &Situation) -> Step {
    let mut after = voters(now);
    after.remove(&old.id);
    if !is_quorum(&after, now) {
        return refuse_below_quorum("the removal", &after, now);
    }
    if now.leader == old.id && now.answering.contains(&old.id) {
        return Step::MoveLeader { from: old.id, to: new.id };
    }
    Step::Remove { old: old.id }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: u64) -> Member {
        Member {
            id,
            name: format!("n{id}"),
            peer_urls: vec![format!("http://h{id}:2380")],
            is_learner: false,
        }
    }

    fn order() -> Order {
        Order { old: "n1".into(), name: "n9".into(), peer_urls: vec!["http://h9:2380".into()] }
    }

    fn situation(voters: u64, answering: &[u64]) -> Situation {
        Situation {
            members: (1..=voters).map(member).collect(),
            answering: answering.iter().copied().collect(),
            leader: 1,
            leader_index: 1000,
            new_index: None,
        }
    }

    /// What a server does for a step, and what the operator does when asked to.
    fn take(step: &Step, now: &mut Situation) {
        match *step {
            Step::AddLearner => {
                now.members.push(Member { name: String::new(), is_learner: true, ..member(9) })
            }
            Step::AwaitStart { new } => {
                now.answering.insert(new);
                now.new_index = Some(10);
            }
            Step::AwaitCatchUp { .. } => now.new_index = Some(now.leader_index - 5),
            Step::Promote { new } => {
                now.members.iter_mut().filter(|m| m.id == new).for_each(|m| m.is_learner = false)
            }
            Step::MoveLeader { to, .. } => now.leader = to,
            Step::Remove { old } => now.members.retain(|m| m.id != old),
            Step::Done { .. } | Step::Refuse(_) => {}
        }
    }

    /// The steps until the end, each chosen anew from how the cluster is.
    fn steps(now: &mut Situation) -> Vec<Step> {
        let mut steps = Vec::new();
        while !matches!(steps.last(), Some(Step::Done { .. } | Step::Refuse(_))) {
            assert!(is_quorum(&voters(now), now), "below quorum after {steps:?}");
            let step = next(&order(), now);
            take(&step, now);
            steps.push(step);
        }
        steps
    }

    const ALL: [Step; 7] = [
        Step::AddLearner,
        Step::AwaitStart { new: 9 },
        Step::AwaitCatchUp { new: 9, behind: 990 },
        Step::Promote { new: 9 },
        Step::MoveLeader { from: 1, to: 9 },
        Step::Remove { old: 1 },
        Step::Done { new: 9 },
    ];

    #[test]
    fn a_leader_is_replaced_step_by_step() {
        assert_eq!(steps(&mut situation(3, &[1, 2, 3])), ALL);
        assert_eq!(steps(&mut situation(1, &[1])), ALL);
    }

    #[test]
    fn a_dead_member_is_replaced_without_moving_leadership() {
        let mut now = situation(3, &[2, 3]);
        now.leader = 2;
        let steps = steps(&mut now);
        assert_eq!(steps[4..], [Step::Remove { old: 1 }, Step::Done { new: 9 }]);
    }

    #[test]
    fn a_run_that_was_interrupted_goes_on() {
        for done in 0..ALL.len() {
            let mut now = situation(3, &[1, 2, 3]);
            ALL[..done].iter().for_each(|step| take(step, &mut now));
            assert_eq!(steps(&mut now), ALL[done..]);
        }
    }

    #[test]
    fn a_member_is_replaced_by_one_of_the_same_name() {
        let order = Order { name: "n1".into(), ..order() };
        let mut now = situation(3, &[1, 2, 3]);
        assert_eq!(next(&order, &now), Step::AddLearner);
        now.members.push(Member { name: "n1".into(), ..member(9) });
        now.answering.insert(9);
        now.leader = 2;
        assert_eq!(next(&order, &now), Step::Remove { old: 1 });
        now.members.remove(0);
        assert_eq!(next(&order, &now), Step::Done { new: 9 });
    }

    /// A cluster of so many voters and a learner that has caught up, of which these answer.
    fn with_learner(voters: u64, answering: &[u64]) -> Situation {
        let mut now = situation(voters, answering);
        take(&Step::AddLearner, &mut now);
        now.new_index = Some(1000);
        now
    }

    #[test]
    fn no_step_leads_below_the_quorum() {
        let refused = |what: &str, need: u64| {
            Step::Refuse(format!(
                "{what} voters that answer, and {need} are needed: start the missing members first"
            ))
        };
        assert_eq!(next(&order(), &with_learner(4, &[1, 2, 9])), Step::Promote { new: 9 }, "3 of 5");
        let lone = with_learner(3, &[1, 9]);
        assert_eq!(next(&order(), &lone), refused("the promotion would leave 2 of 4", 3));
        let mut two = with_learner(2, &[1, 9]);
        take(&Step::Promote { new: 9 }, &mut two);
        assert_eq!(next(&order(), &two), refused("the removal would leave 1 of 2", 2));
    }

    #[test]
    fn orders_that_make_no_sense_are_refused() {
        let refusal = |order: &Order, now: &Situation| match next(order, now) {
            Step::Refuse(why) => why,
            step => panic!("{step:?}"),
        };
        let mut now = situation(3, &[1, 2, 3]);
        let own = Order { peer_urls: vec!["http://h1:2380".into()], ..order() };
        assert!(refusal(&own, &now).starts_with("n1 (1) itself has the peer URLs"));
        let unknown = Order { old: "n7".into(), ..order() };
        assert!(refusal(&unknown, &now).starts_with("no member is called n7"));
        let taken = Order { name: "n2".into(), ..order() };
        assert_eq!(refusal(&taken, &now), "n2 (2) already has the name n2: choose another");
        now.members.push(Member { is_learner: true, ..member(4) });
        assert!(refusal(&order(), &now).starts_with("n4 (4) is a learner already"));
        assert!(
            refusal(&order(), &situation(3, &[1]))
                .starts_with("a change of members now would leave 1 of 3 voters")
        );
    }
}
