//! What HTTP asks of the member.

use std::fmt;
use std::future::Future;

/// An alarm that is raised somewhere in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// A member is out of space.
    NoSpace,
    /// A member's data is corrupt.
    Corrupt,
    /// An alarm of a kind that this version does not know.
    Unknown,
}

impl Alarm {
    /// The name as it stands in queries and answers.
    pub fn name(self) -> &'static str {
        match self {
            Alarm::NoSpace => "NOSPACE",
            Alarm::Corrupt => "CORRUPT",
            Alarm::Unknown => "UNKNOWN",
        }
    }
}

/// How much a read must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// Behind a read barrier.
    Linearizable,
    /// Whatever this member has.
    Serializable,
}

/// Why a read failed, in the words a client of gRPC would see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadFailure(pub String);

impl fmt::Display for ReadFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The versions that `/version` reports beside the server's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    /// The cluster version, once it is decided (`3.7.0`).
    pub cluster: Option<String>,
    /// The storage version, once it is known.
    pub storage: Option<String>,
}

/// Where consensus stands, for `/debug/vars`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RaftStatus {
    /// The member.
    pub id: u64,
    /// Its term.
    pub term: u64,
    /// Whom it voted for in that term; 0 for nobody.
    pub vote: u64,
    /// The committed index.
    pub committed: u64,
    /// The applied index.
    pub applied: u64,
    /// The leader; 0 for none.
    pub leader: u64,
    /// Its role, as etcd names it: `StateLeader`, `StateFollower`, `StateCandidate`, `StatePreCandidate`.
    pub role: &'static str,
}

impl RaftStatus {
    pub(super) fn to_json(&self) -> String {
        format!(
            "{{\"id\":\"{:x}\",\"term\":{},\"vote\":\"{:x}\",\"commit\":{},\"lead\":\"{:x}\",\"raftState\":\"{}\",\
             \"applied\":{},\"progress\":{{}},\"leadtransferee\":\"0\"}}",
            self.id, self.term, self.vote, self.committed, self.leader, self.role, self.applied,
        )
    }
}

/// The member as its health checks see it. A trait because the tests have a member of their own.
pub trait HealthProbe: Send + Sync + 'static {
    /// The alarms raised now, in the cluster's order.
    fn alarms(&self) -> Vec<Alarm>;

    /// Whether this member knows a leader.
    fn has_leader(&self) -> bool;

    /// Whether this member is a learner.
    fn is_learner(&self) -> bool;

    /// The versions known now.
    fn versions(&self) -> Versions;

    /// Where consensus stands.
    fn raft_status(&self) -> RaftStatus;

    /// Reads nothing in particular (etcd: a range of one key, keys only, past any permission), as a client with this
    /// consistency would, within the time that a request may take.
    fn read(&self, consistency: Consistency) -> impl Future<Output = Result<(), ReadFailure>> + Send;
}
