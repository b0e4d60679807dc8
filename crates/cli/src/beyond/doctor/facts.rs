//! What is known of a cluster before it is judged.

use std::time::Duration;

use crate::beyond::metrics::Metrics;

/// Everything that was collected.
#[derive(Debug, Clone, Default)]
pub struct ClusterFacts {
    /// The members by the list of the cluster; empty when nobody could be asked.
    pub members: Vec<MemberFacts>,
    /// Every endpoint that was asked.
    pub endpoints: Vec<EndpointFacts>,
    /// The alarms that are raised, by member and name; `None` when nobody could be asked.
    pub alarms: Option<Vec<(u64, String)>>,
    /// The biggest keys, the biggest first; `None` when they were not looked at.
    pub big_keys: Option<Vec<BigKey>>,
    /// How many keys were looked at for it, and how many there are.
    pub keys_seen: (u64, u64),
}

/// A member by the list of the cluster.
#[derive(Debug, Clone, Default)]
pub struct MemberFacts {
    /// Its id.
    pub id: u64,
    /// Its name; empty for a member that was added and has not started.
    pub name: String,
    /// Whether it is without a vote.
    pub is_learner: bool,
}

impl MemberFacts {
    /// Returns how it is called: its name, or its id.
    pub fn title(&self) -> String {
        if self.name.is_empty() { format!("{:x}", self.id) } else { self.name.clone() }
    }
}

/// An endpoint and what it said.
#[derive(Debug, Clone, Default)]
pub struct EndpointFacts {
    /// Its address.
    pub address: String,
    /// Its status, or why there is none.
    pub status: Option<Result<StatusFacts, String>>,
    /// Its metrics; `None` when it serves none to us.
    pub metrics: Option<Metrics>,
    /// How far its clock is ahead of ours, in milliseconds, give or take [`EndpointFacts::clock_error`].
    pub clock_ahead_ms: Option<i64>,
    /// How wrong that may be: a second of resolution and the time of the request.
    pub clock_error: Duration,
    /// Its certificate; `None` without TLS.
    pub certificate: Option<Certificate>,
}

impl EndpointFacts {
    /// Returns the status, when there is one.
    pub fn answered(&self) -> Option<&StatusFacts> {
        self.status.as_ref()?.as_ref().ok()
    }
}

/// A server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Certificate {
    /// In how many seconds it expires; negative when it has expired.
    pub expires_in_seconds: i64,
}

/// The status of a member.
#[derive(Debug, Clone, Default)]
pub struct StatusFacts {
    /// The member that answered.
    pub member_id: u64,
    /// Its version.
    pub version: String,
    /// The leader it knows; 0 for none.
    pub leader: u64,
    /// Whether it is without a vote.
    pub is_learner: bool,
    /// Its raft term.
    pub raft_term: u64,
    /// The last index that it knows to be committed.
    pub raft_index: u64,
    /// The last index that it applied.
    pub raft_applied_index: u64,
    /// The size of its database.
    pub db_size: u64,
    /// The part of it in use.
    pub db_size_in_use: u64,
    /// The size at which it stops taking writes; 0 when it does not say.
    pub db_size_quota: u64,
    /// The newest revision.
    pub revision: i64,
    /// What it says is wrong with itself.
    pub errors: Vec<String>,
}

/// A key and the bytes of its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BigKey {
    /// The key, as text.
    pub key: String,
    /// The bytes of key and value.
    pub bytes: u64,
}
