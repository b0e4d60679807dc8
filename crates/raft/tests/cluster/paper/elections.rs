//! Sections 5.1, 5.2 and 5.4.1: terms, elections, votes.

use super::*;

fn heartbeat() -> Body {
    Body::Heartbeat { session: Session(1), commit: Index(0), commit_term: None, round: Default::default() }
}

/// Section 5.1: who hears of a later term is a follower in that term.
fn takes_the_later_term(mut subject: Subject) {
    let later = subject.node.term().0 + 1;
    subject.append(2, later, EntryId::ZERO, Vec::new(), 0);
    assert_eq!((subject.node.term(), subject.node.role()), (Term(later), RoleName::Follower));
    assert_eq!(subject.node.leader(), Some(NodeId(2)));
}

#[test]
fn a_follower_takes_a_later_term() {
    takes_the_later_term(Subject::follower(3, 1, &[]));
}

#[test]
fn a_candidate_takes_a_later_term_and_follows() {
    takes_the_later_term(Subject::candidate(3, 1, &[]));
    takes_the_later_term(Subject::pre_candidate(3, 1, &[]));
}

#[test]
fn a_leader_takes_a_later_term_and_follows() {
    takes_the_later_term(Subject::leader(3, 1, &[]));
}

/// Section 5.1. Ours does more than to refuse: it tells a leader of the past that there is a later term.
#[test]
fn a_message_of_an_earlier_term_changes_nothing() {
    for mut subject in
        [Subject::follower(3, 3, &[1, 2]), Subject::candidate(3, 2, &[1, 2]), Subject::leader(3, 2, &[1, 2])]
    {
        let before = subject.node.status();
        subject.sent.clear();
        subject.append(2, 2, id(2, 2), vec![entry(3, 2)], 3);
        assert_eq!(subject.node.status(), before);
        assert_eq!(subject.sent.len(), 1);
        assert_eq!((&subject.sent[0].body, subject.sent[0].term), (&Body::LaterTerm, Term(3)));
    }
}

#[test]
fn a_node_starts_as_a_follower() {
    let subject = Subject::follower(3, 0, &[]);
    assert_eq!((subject.node.role(), subject.node.leader()), (RoleName::Follower, None));
}

#[test]
fn a_leader_sends_heartbeats_to_all() {
    let mut subject = Subject::established(3, 1, &[]);
    for _ in 0..3 {
        subject.sent.clear();
        subject.tick();
        let to: Vec<NodeId> = subject.sent("Heartbeat").iter().map(|message| message.to).collect();
        assert_eq!(to, [NodeId(2), NodeId(3)]);
        assert!(subject.sent.iter().all(|message| message.term == Term(2)));
    }
}

/// Section 5.2: silence begins an election: the next term, the own vote, a request to everybody. And a campaign that nobody
/// won is followed by another one. (A pre-vote precedes both.)
fn campaigns_after_silence(mut subject: Subject) {
    let term = subject.node.term();
    subject.ticks_to_campaign();
    assert_eq!(subject.node.term(), term, "asking costs no term");
    for voter in [2, 3] {
        subject.hear(voter, term.0, Body::PreVoteReply { next_term: term.next(), granted: true });
    }
    let status = subject.node.status();
    assert_eq!((status.role, status.term), (RoleName::Candidate, term.next()));
    assert_eq!(status.vote, Some(NodeId(1)));
    let requests = subject.sent("Vote");
    let to: Vec<(NodeId, Term)> = requests.iter().map(|message| (message.to, message.term)).collect();
    assert_eq!(to, [(NodeId(2), term.next()), (NodeId(3), term.next())]);
}

#[test]
fn a_follower_that_hears_nothing_begins_an_election() {
    campaigns_after_silence(Subject::follower(3, 1, &[]));
}

#[test]
fn a_candidate_that_does_not_win_begins_another_election() {
    campaigns_after_silence(Subject::candidate(3, 1, &[]));
}

/// Section 5.2: won by a majority, lost when a majority cannot say yes any more, open otherwise.
#[test]
fn an_election_is_won_by_a_majority() {
    use RoleName::{Candidate, Follower, Leader};
    for (voters, yes, no, expected) in [
        (1, 0, 0, Leader),
        (3, 2, 0, Leader),
        (3, 1, 0, Leader),
        (3, 1, 1, Leader),
        (3, 0, 0, Candidate),
        (3, 0, 1, Candidate),
        (3, 0, 2, Follower),
        (5, 4, 0, Leader),
        (5, 3, 0, Leader),
        (5, 2, 2, Leader),
        (5, 1, 0, Candidate),
        (5, 1, 2, Candidate),
        (5, 1, 3, Follower),
        (4, 1, 2, Follower),
    ] {
        let mut subject = Subject::candidate(voters, 0, &[]);
        for (place, granted) in [true].repeat(yes).into_iter().chain([false].repeat(no)).enumerate() {
            subject.hear(place as u64 + 2, 1, Body::VoteReply { granted });
        }
        assert_eq!(subject.node.role(), expected, "{voters} voters, {yes} yes, {no} no");
        assert_eq!(subject.node.term(), Term(1));
    }
}

/// Section 5.2: one vote in a term, first come first served; the same candidate may ask twice.
#[test]
fn a_follower_votes_once_in_a_term() {
    for (first, then, expected) in
        [(None, 2, true), (None, 3, true), (Some(2), 2, true), (Some(2), 3, false), (Some(3), 2, false)]
    {
        let mut subject = Subject::follower(3, 0, &[]);
        let ask = Body::Vote { last: EntryId::ZERO, reason: raft::CampaignReason::Silence };
        if let Some(first) = first {
            subject.hear(first, 1, ask.clone());
        }
        subject.sent.clear();
        subject.hear(then, 1, ask);
        let answer = subject.sent("VoteReply").remove(0);
        assert_eq!(answer.body, Body::VoteReply { granted: expected }, "voted {first:?}, asked by {then}");
    }
}

/// Section 5.2: a candidate that hears the leader of its own term, or of a later one, follows.
#[test]
fn a_candidate_gives_way_to_a_leader() {
    for later in [0, 1] {
        let mut subject = Subject::candidate(3, 0, &[]);
        subject.append(2, 1 + later, EntryId::ZERO, Vec::new(), 0);
        assert_eq!((subject.node.role(), subject.node.term()), (RoleName::Follower, Term(1 + later)));
        assert_eq!(subject.node.leader(), Some(NodeId(2)));
        let mut subject = Subject::candidate(3, 0, &[]);
        subject.hear(2, 1 + later, heartbeat());
        assert_eq!(subject.node.leader(), Some(NodeId(2)));
    }
}

/// Section 5.2: timeouts are drawn from an interval; ours is the configured one to twice that.
fn all_timeouts_occur(subject: impl Fn(u64) -> Subject) {
    let timeouts: std::collections::BTreeSet<u32> =
        (0..500).map(|seed| subject(seed).ticks_to_campaign()).collect();
    assert_eq!(timeouts, (ELECTION_TICKS..2 * ELECTION_TICKS).collect());
}

fn seeded_candidate(seed: u64) -> Subject {
    let mut subject = Subject::new(3, 1, &[], 0, seed);
    subject.node.campaign();
    subject.settle();
    for voter in [2, 3] {
        subject.hear(voter, 1, Body::PreVoteReply { next_term: Term(2), granted: true });
    }
    assert_eq!(subject.node.role(), RoleName::Candidate);
    subject
}

#[test]
fn a_followers_timeout_is_random() {
    all_timeouts_occur(|seed| Subject::new(3, 1, &[], 0, seed));
}

#[test]
fn a_candidates_timeout_is_random() {
    all_timeouts_occur(seeded_candidate);
}

/// Section 5.2: mostly one node alone times out first, so split votes are rare. Of five nodes, here: the share of cases in
/// which two share the shortest timeout.
fn conflicts_are_rare(timeout: impl Fn(u64) -> u32) {
    let cases = 1000;
    let conflict = |case: u64| {
        let mut timeouts: Vec<u32> = (0..5).map(|node| timeout(case * 5 + node)).collect();
        timeouts.sort_unstable();
        timeouts[0] == timeouts[1]
    };
    let conflicts = (0..cases).filter(|case| conflict(*case)).count() as u64;
    assert!(conflicts * 100 < cases * 40, "{conflicts} of {cases}");
}

#[test]
fn followers_seldom_time_out_together() {
    conflicts_are_rare(|seed| Subject::new(5, 1, &[], 0, seed).ticks_to_campaign());
}

#[test]
fn candidates_seldom_time_out_together() {
    conflicts_are_rare(|seed| seeded_candidate(seed).ticks_to_campaign());
}

/// Section 5.4.1: a request names the end of the candidate's log, and goes to all other voters.
#[test]
fn a_request_for_votes_names_the_last_entry() {
    for log in [&[1][..], &[1, 2], &[1, 2, 2]] {
        let term = log[log.len() - 1];
        let mut subject = Subject::pre_candidate(3, term, log);
        for voter in [2, 3] {
            subject.hear(voter, term, Body::PreVoteReply { next_term: Term(term + 1), granted: true });
        }
        let requests = subject.sent("Vote");
        assert_eq!(requests.iter().map(|request| request.to).collect::<Vec<_>>(), [NodeId(2), NodeId(3)]);
        let last = id(log.len() as u64, term);
        let expected = Body::Vote { last, reason: raft::CampaignReason::Silence };
        assert!(requests.iter().all(|request| request.body == expected), "{requests:?}");
    }
}

/// Section 5.4.1: no vote for a log that lacks something. The later last term wins, then the longer log. The answer to a
/// pre-vote is the same.
#[test]
fn a_voter_refuses_a_log_that_is_behind_its_own() {
    for (own, theirs, expected) in [
        (&[1][..], id(1, 1), true),
        (&[1], id(2, 1), true),
        (&[1, 1], id(1, 1), false),
        (&[1], id(1, 2), true),
        (&[1], id(2, 2), true),
        (&[1, 1], id(1, 2), true),
        (&[2], id(1, 1), false),
        (&[2], id(2, 1), false),
        (&[1, 2], id(3, 1), false),
        (&[], id(0, 0), true),
    ] {
        let mut subject = Subject::follower(3, 3, own);
        subject.hear(2, 3, Body::PreVote { next_term: Term(4), last: theirs });
        subject.hear(2, 4, Body::Vote { last: theirs, reason: raft::CampaignReason::Silence });
        let answers: Vec<Body> = subject.sent.into_iter().map(|message| message.body).collect();
        let pre_vote = Body::PreVoteReply { next_term: Term(4), granted: expected };
        assert_eq!(answers, [pre_vote, Body::VoteReply { granted: expected }], "{own:?}, {theirs}");
    }
}
