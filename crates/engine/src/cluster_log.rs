//! Lines about the cluster: who comes and goes, and at which version it runs. They are etcd's, as operators search for them.
//!
//! They are found by comparing the state before and after a batch of commands, so that there is one place for all ways in which a
//! cluster changes, a snapshot among them.

use machine::Machine;
use proto::membershippb::Member;

/// What was last written of the cluster.
#[derive(Debug, Default)]
pub(crate) struct ClusterLog {
    known: Known,
}

#[derive(Debug, Default, Clone, PartialEq)]
struct Known {
    cluster: u64,
    /// By id.
    members: Vec<Member>,
    version: Option<String>,
}

/// What there is to say.
#[derive(Debug, PartialEq)]
enum Change<'a> {
    Added(&'a Member),
    Removed(&'a Member),
    Promoted(&'a Member),
    Updated(&'a Member),
    FirstVersion(&'a str),
    Version { from: &'a str, to: &'a str },
}

impl ClusterLog {
    /// Begins with the cluster that a member finds at its start, and writes it down.
    pub(crate) fn begin(machine: &Machine, own_id: u64) -> ClusterLog {
        let known = Known::of(machine);
        for member in &known.members {
            tracing::info!(
                "cluster-id" = format!("{:x}", known.cluster),
                "local-member-id" = format!("{own_id:x}"),
                "recovered-remote-peer-id" = format!("{:x}", member.id),
                "recovered-remote-peer-urls" = ?urls(member),
                "recovered-remote-peer-is-learner" = is_learner(member),
                "recovered/added member from store"
            );
        }
        if let Some(version) = &known.version {
            tracing::info!("cluster-version" = short(version), "set cluster version from store");
        }
        ClusterLog { known }
    }

    /// Writes down how the cluster differs from what it was.
    pub(crate) fn follow(&mut self, machine: &Machine, own_id: u64) {
        let now = Known::of(machine);
        let (cluster, own) = (format!("{:x}", now.cluster), format!("{own_id:x}"));
        for change in changes(&self.known, &now) {
            change.log(&cluster, &own);
        }
        self.known = now;
    }
}

impl Known {
    fn of(machine: &Machine) -> Known {
        let mut members: Vec<Member> = machine.members().cloned().collect();
        members.sort_by_key(|member| member.id);
        Known {
            cluster: machine.cluster_id().unwrap_or_default(),
            members,
            version: machine.cluster_version().map(str::to_owned),
        }
    }

    fn member(&self, id: u64) -> Option<&Member> {
        self.members.iter().find(|member| member.id == id)
    }
}

/// Returns how the cluster differs from what it was. What a member says of itself does not count.
fn changes<'a>(before: &'a Known, now: &'a Known) -> Vec<Change<'a>> {
    let mut changes = Vec::new();
    for member in &now.members {
        match before.member(member.id) {
            None => changes.push(Change::Added(member)),
            Some(old) if is_learner(old) && !is_learner(member) => changes.push(Change::Promoted(member)),
            Some(old) if urls(old) != urls(member) => changes.push(Change::Updated(member)),
            Some(_) => {}
        }
    }
    let is_gone = |member: &&Member| now.member(member.id).is_none();
    changes.extend(before.members.iter().filter(is_gone).map(Change::Removed));
    match (&before.version, &now.version) {
        (None, Some(version)) => changes.push(Change::FirstVersion(version)),
        (Some(from), Some(to)) if from != to => changes.push(Change::Version { from, to }),
        _ => {}
    }
    changes
}

impl Change<'_> {
    fn log(&self, cluster: &str, own: &str) {
        match self {
            Change::Added(member) => tracing::info!(
                "cluster-id" = cluster,
                "local-member-id" = own,
                "added-peer-id" = format!("{:x}", member.id),
                "added-peer-peer-urls" = ?urls(member),
                "added-peer-is-learner" = is_learner(member),
                "added member"
            ),
            Change::Removed(member) => tracing::info!(
                "cluster-id" = cluster,
                "local-member-id" = own,
                "removed-remote-peer-id" = format!("{:x}", member.id),
                "removed-remote-peer-urls" = ?urls(member),
                "removed-remote-peer-is-learner" = is_learner(member),
                "removed member"
            ),
            Change::Promoted(member) => tracing::info!(
                "cluster-id" = cluster,
                "local-member-id" = own,
                "promoted-member-id" = format!("{:x}", member.id),
                "promote member"
            ),
            Change::Updated(member) => tracing::info!(
                "cluster-id" = cluster,
                "local-member-id" = own,
                "updated-remote-peer-id" = format!("{:x}", member.id),
                "updated-remote-peer-urls" = ?urls(member),
                "updated-remote-peer-is-learner" = is_learner(member),
                "updated member"
            ),
            Change::FirstVersion(version) => tracing::info!(
                "cluster-id" = cluster,
                "local-member-id" = own,
                "cluster-version" = short(version),
                "set initial cluster version"
            ),
            Change::Version { from, to } => tracing::info!(
                "cluster-id" = cluster,
                "local-member-id" = own,
                from = short(from),
                to = short(to),
                "updated cluster version"
            ),
        }
    }
}

fn urls(member: &Member) -> &[String] {
    member.raft_attributes.as_ref().map_or(&[], |raft| &raft.peer_urls)
}

fn is_learner(member: &Member) -> bool {
    member.raft_attributes.as_ref().is_some_and(|raft| raft.is_learner)
}

/// Returns a version as etcd shows that of a cluster: without the patch.
fn short(version: &str) -> &str {
    version.rsplit_once('.').map_or(version, |(short, _)| short)
}

#[cfg(test)]
mod tests {
    use proto::membershippb::{Attributes, RaftAttributes};

    use super::*;

    fn member(id: u64, url: &str, is_learner: bool) -> Member {
        let raft = RaftAttributes { peer_urls: vec![url.to_owned()], is_learner };
        Member { id, raft_attributes: Some(raft), member_attributes: None }
    }

    fn known(members: &[Member], version: Option<&str>) -> Known {
        Known { cluster: 7, members: members.to_vec(), version: version.map(str::to_owned) }
    }

    #[test]
    fn who_comes_changes_and_goes_is_said_once() {
        let (one, two, learner) = (member(1, "a", false), member(2, "b", false), member(3, "c", true));
        let before = known(&[one.clone(), two.clone(), learner.clone()], None);
        assert_eq!(changes(&before, &before), []);
        let (moved, promoted, new) = (member(1, "d", false), member(3, "c", false), member(4, "e", true));
        let now = known(&[moved.clone(), promoted.clone(), new.clone()], None);
        let expected = [
            Change::Updated(&moved),
            Change::Promoted(&promoted),
            Change::Added(&new),
            Change::Removed(&two),
        ];
        assert_eq!(changes(&before, &now), expected);
    }

    #[test]
    fn a_member_that_says_who_it_is_has_not_changed() {
        let before = known(&[member(1, "a", false)], None);
        let mut now = before.clone();
        now.members[0].member_attributes =
            Some(Attributes { name: "n".to_owned(), client_urls: vec!["u".to_owned()] });
        assert_eq!(changes(&before, &now), []);
    }

    #[test]
    fn versions_are_said_when_they_change() {
        let (none, old, new) = (known(&[], None), known(&[], Some("3.6.0")), known(&[], Some("3.7.0")));
        assert_eq!(changes(&none, &new), [Change::FirstVersion("3.7.0")]);
        assert_eq!(changes(&new, &old), [Change::Version { from: "3.7.0", to: "3.6.0" }]);
        assert_eq!(changes(&new, &new), []);
        assert_eq!(short("3.7.0"), "3.7");
    }
}
