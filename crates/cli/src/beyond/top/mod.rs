//! What `top` shows: members, rates and hot prefixes, from samples that were taken at intervals.
//!
//! [`View`] is what is known at one time, [`draw()`] puts it on a terminal of any size. The plain frame that is printed into
//! a pipe, the live one and the pictures of the manual are drawn by the same function.

mod draw;
mod hot;
mod plain;
mod rates;

pub use draw::draw;
pub use hot::{Hot, HotPrefix};
pub use plain::{frame, height, plain};
pub use rates::{Counters, Rates};

/// What is shown.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The cluster's id.
    pub cluster_id: u64,
    /// The newest revision.
    pub revision: i64,
    /// The raft term.
    pub raft_term: u64,
    /// How many keys there are, where a member says so.
    pub keys: Option<u64>,
    /// The members in the order of their list.
    pub members: Vec<MemberRow>,
    /// The alarms that are raised.
    pub alarms: Vec<String>,
    /// The prefixes with the most events, the hottest first.
    pub hot: Vec<HotPrefix>,
    /// Why there are no hot prefixes, if there is a reason.
    pub hot_note: Option<String>,
}

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// It does not answer.
    #[default]
    Down,
    /// It leads.
    Leader,
    /// It follows and votes.
    Follower,
    /// It follows without a vote.
    Learner,
}

impl Role {
    /// Returns its word.
    pub fn word(self) -> &'static str {
        match self {
            Role::Down => "DOWN",
            Role::Leader => "leader",
            Role::Follower => "follower",
            Role::Learner => "learner",
        }
    }
}

/// A member's line.
#[derive(Debug, Clone, Default)]
pub struct MemberRow {
    /// Its name, or its address.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// Its version.
    pub version: String,
    /// How many entries it has yet to apply of what the leader has committed.
    pub lag: Option<u64>,
    /// The size of its database.
    pub db_size: Option<u64>,
    /// The quota for it; 0 or `None` when not known.
    pub db_quota: Option<u64>,
    /// How much it is asked, when it serves metrics.
    pub rates: Option<Rates>,
}
