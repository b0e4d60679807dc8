//! What a member finds on its disk at its start, or founds there.

use std::path::Path;

use machine::Machine;
use proto::membershippb::{Member, RaftAttributes};
use proto::quoratepb::ClusterBootstrap;
use raft::{Membership, Node, NodeId};

use crate::config::{Config, Url};
use crate::data_dir::DataDir;
use crate::error::StartError;
use crate::ids::Identity;
use crate::limits::WAL_SEGMENT_BYTES;

/// What is on the disk, opened.
pub(super) struct Opened {
    pub(super) identity: Identity,
    pub(super) machine: Machine,
    pub(super) log: raft::durable::Log,
    pub(super) node: Node,
    pub(super) bootstrap: Option<ClusterBootstrap>,
    pub(super) data_dir: DataDir,
}

impl Opened {
    pub(super) fn open(config: &Config) -> Result<Self, StartError> {
        let data_dir = DataDir::take(&config.data_dir)?;
        let known = data_dir.identity()?;
        let identity = match known {
            Some(identity) => identity,
            None => Identity::founding(&config.name, &config.cluster)?,
        };
        let store_dir = data_dir.store_dir();
        let machine = open_machine(&data_dir, identity)
            .map_err(|source| StartError::Store { path: store_dir, source })?;
        let wal_dir = config.wal_dir.clone().unwrap_or_else(|| data_dir.wal_dir());
        let (log, node) = open_raft(config, &data_dir, &wal_dir, identity, &machine)
            .map_err(|source| StartError::Log { path: wal_dir, source })?;
        if known.is_none() {
            data_dir.found(&identity)?;
        }
        // Until the founding command is applied, it is proposed at each start.
        let bootstrap = machine.cluster_id().is_none().then(|| founding(config, identity));
        Ok(Self { identity, machine, log, node, bootstrap, data_dir })
    }
}

fn open_machine(data_dir: &DataDir, identity: Identity) -> Result<Machine, machine::OpenError> {
    let options = mvcc::Options { identity: [identity.cluster.0, identity.member.0], ..Default::default() };
    let store = mvcc::Store::open(data_dir.disk(), &data_dir.store_dir(), options)?;
    Machine::open(store)
}

fn open_raft(
    config: &Config,
    data_dir: &DataDir,
    wal_dir: &Path,
    identity: Identity,
    machine: &Machine,
) -> Result<(raft::durable::Log, Node), raft::durable::Error> {
    let options = raft::durable::Options {
        identity: [identity.cluster.0, identity.member.0],
        segment_bytes: WAL_SEGMENT_BYTES,
        tail_bytes_max: raft::Limits::default().tail_bytes_max,
        membership: founding_voters(config),
        incarnation: raft::Incarnation(1),
    };
    let mut log = raft::durable::Log::open(data_dir.disk(), wal_dir, options)?.log;
    let restored = log.restore(raft::Index(machine.store().applied().index))?;
    let node_config = raft::Config {
        election_ticks: config.raft.election_timeout_ticks(),
        ..raft::Config::new(NodeId(identity.member.0), seed())
    };
    let mut node = Node::new(node_config, restored);
    if node.membership().is_lone_voter(NodeId(identity.member.0)) {
        // Nobody else could lead: there is nothing to wait for.
        node.campaign();
    }
    Ok((log, node))
}

/// Those who found the cluster, each from the same list: what a new log begins with.
fn founding_voters(config: &Config) -> Membership {
    let id = |urls: &Vec<Url>| NodeId(crate::ids::member_id(urls, &config.cluster.token).0);
    Membership::new(config.cluster.initial.values().map(id), [])
}

/// For election timeouts, which must differ between members and need no secrecy.
fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}

/// The cluster as its founders know it.
fn founding(config: &Config, identity: Identity) -> ClusterBootstrap {
    let member = |(_, urls): (&String, &Vec<Url>)| Member {
        id: crate::ids::member_id(urls, &config.cluster.token).0,
        raft_attributes: Some(RaftAttributes {
            peer_urls: urls.iter().map(Url::to_string).collect(),
            is_learner: false,
        }),
        member_attributes: None,
    };
    ClusterBootstrap {
        cluster_id: identity.cluster.0,
        members: config.cluster.initial.iter().map(member).collect(),
    }
}
