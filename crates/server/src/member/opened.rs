//! What a member finds on its disk at its start, or founds there.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use datadir::DataDir;
use engine::memory::Shares;
use engine::snapshots::place::StorePlace;
use machine::Machine;
use prost::Message;
use proto::etcdserverpb::InternalRaftRequest;
use proto::membershippb::{Attributes, Member, RaftAttributes};
use proto::quoratepb::{ClusterBootstrap, MembersReset};
use raft::{EntryId, Index, Membership, Node, NodeId, Term};

use crate::bootstrap::{self, How, KnownMember, Origin};
use crate::config::Config;
use crate::error::StartError;
use crate::ids::Identity;
use crate::limits::WAL_SEGMENT_BYTES;
use crate::logging::{humanized, messages};
use crate::memory;
use crate::random::random;
use crate::tls::Connector;

/// What is on the disk, opened.
pub(super) struct Opened {
    pub(super) identity: Identity,
    /// What clients may fill of the memory.
    pub(super) shares: Shares,
    /// Where the store is.
    pub(super) place: StorePlace,
    pub(super) machine: Machine,
    pub(super) log: raft::durable::Log,
    pub(super) node: Node,
    pub(super) bootstrap: Option<ClusterBootstrap>,
    /// Everybody that the member knew of at its start: where to reach those that the machine does not know yet.
    pub(super) known: Vec<KnownMember>,
    pub(super) data_dir: DataDir,
}

/// A data directory that knows whose it is, before anything in it is opened.
pub(super) struct Taken {
    data_dir: DataDir,
    origin: Origin,
    is_founding: bool,
    starts_over: bool,
}

impl Taken {
    /// Takes the data directory; if it is new, finds out who the member is, which may mean asking others.
    pub(super) fn take(
        config: &Config,
        disk: Arc<dyn wal::Disk>,
        connector: &Arc<Connector>,
    ) -> Result<Self, StartError> {
        let data_dir = DataDir::take(disk, &config.data_dir)?;
        if let Some(found) = data_dir.origin()? {
            if config.cluster.discovery.as_ref().is_some_and(|discovery| discovery.service().is_some()) {
                let wal_dir = config.wal_dir.clone().unwrap_or_else(|| data_dir.wal_dir());
                tracing::warn!("wal-dir" = %wal_dir.display(), "{}", messages::DISCOVERY_IGNORED);
            }
            let Identity { cluster, member } = found.origin.identity;
            tracing::info!("local-member-id" = %member, "cluster-id" = %cluster, "restarting local member");
            return Ok(Self {
                data_dir,
                origin: found.origin,
                is_founding: found.is_founding,
                starts_over: found.starts_over,
            });
        }
        let origin = bootstrap::origin(config, connector)?;
        let Identity { cluster, member } = origin.identity;
        tracing::info!("local-member-id" = %member, "cluster-id" = %cluster, "starting local member");
        Ok(Self { data_dir, origin, is_founding: true, starts_over: false })
    }

    /// Opens log and store, or makes them.
    pub(super) fn open(self, config: &Config) -> Result<Opened, StartError> {
        let Self { mut data_dir, mut origin, is_founding, starts_over } = self;
        let identity = origin.identity;
        let wal_dir = config.wal_dir.clone().unwrap_or_else(|| data_dir.wal_dir());
        if is_founding {
            data_dir.begin(&origin)?;
        } else {
            check_log_is_there(&data_dir, &wal_dir)?;
        }
        if let Some(elsewhere) = &config.wal_dir {
            data_dir.take_log(elsewhere)?;
        }
        // Whoever forces a new cluster says that this member's state is all that is left.
        if starts_over && !config.cluster.force_new {
            throw_away(&data_dir, &wal_dir, &origin)?;
        }
        let store_dir = data_dir.store_dir();
        let shares = memory::shares(config);
        let place = store_place(&data_dir, identity, &shares);
        let machine = place
            .discard_incoming()
            .map_err(machine::OpenError::from)
            .and_then(|()| place.open())
            .map_err(|source| StartError::Store { path: store_dir, source })?;
        if let Some(threshold) = config.defragment_from {
            defragment(&machine, threshold)?;
        }
        if machine.removed_members().any(|id| id == identity.member.0) {
            messages::log_removed();
            return Err(StartError::Removed);
        }
        let (log, node) = open_raft(config, &data_dir, &wal_dir, &origin, &machine)
            .map_err(|source| StartError::Log { path: wal_dir, source })?;
        if config.cluster.force_new {
            origin.members.retain(|member| member.id == identity.member);
        }
        if is_founding || starts_over || config.cluster.force_new {
            data_dir.complete(&origin)?;
        }
        // Until the founding command is applied, it is proposed at each start.
        let is_unfounded = origin.how == How::Founded && machine.cluster_id().is_none();
        let bootstrap = is_unfounded.then(|| founding(&origin));
        Ok(Opened { identity, shares, place, machine, log, node, bootstrap, known: origin.members, data_dir })
    }
}

/// Defragments the database if that frees so many bytes.
fn defragment(machine: &Machine, threshold: u64) -> Result<(), StartError> {
    let store = machine.store();
    let (size, in_use) = (store.disk_bytes(), store.db_size());
    if size.saturating_sub(in_use) < threshold {
        tracing::info!(
            "current-db-size-bytes" = size,
            "current-db-size" = humanized(size),
            "current-db-size-in-use-bytes" = in_use,
            "current-db-size-in-use" = humanized(in_use),
            "bootstrap-defrag-threshold-bytes" = threshold,
            "bootstrap-defrag-threshold" = humanized(threshold),
            "{}",
            messages::DEFRAGMENTATION_SKIPPED
        );
        return Ok(());
    }
    let shrunk = store.rewrite().run(&|| true).map_err(StartError::Defragment)?;
    tracing::info!("bytes-before" = shrunk.before, "bytes-after" = shrunk.after, "finished defragmenting");
    Ok(())
}

/// Checks that a member whose founding is complete has its log: a new one would know nothing of what was promised (rule W3).
fn check_log_is_there(data_dir: &DataDir, wal_dir: &Path) -> Result<(), StartError> {
    match raft::durable::Log::exists(&*data_dir.disk(), wal_dir) {
        Ok(true) => Ok(()),
        Ok(false) => Err(StartError::LogMissing(wal_dir.to_owned())),
        Err(source) => Err(StartError::Log { path: wal_dir.to_owned(), source }),
    }
}

fn store_place(data_dir: &DataDir, identity: Identity, shares: &Shares) -> StorePlace {
    let options = mvcc::Options {
        identity: [identity.cluster.0, identity.member.0],
        cache_bytes: shares.cached_values,
        checkpoint_bytes: shares.checkpoint(),
        ..Default::default()
    };
    StorePlace { disk: data_dir.disk(), dir: data_dir.store_dir(), options }
}

fn open_raft(
    config: &Config,
    data_dir: &DataDir,
    wal_dir: &Path,
    origin: &Origin,
    machine: &Machine,
) -> Result<(raft::durable::Log, Node), raft::durable::Error> {
    let identity = origin.identity;
    let mut opened = raft::durable::Log::open(data_dir.disk(), wal_dir, log_options(origin))?;
    let applied = machine.store().applied();
    let applied = EntryId::new(Index(applied.index), Term(applied.term));
    let mut restored = opened.log.restore_at(applied)?;
    if config.cluster.force_new && !opened.created && opened.log.force_new_cluster(alone(identity))? {
        tracing::warn!(
            "cluster-id" = %identity.cluster,
            "local-member-id" = %identity.member,
            "commit-index" = opened.log.last().index.0,
            "forcing restart member"
        );
        restored = opened.log.restore_at(applied)?;
    }
    let limits = raft::Limits { entry_bytes_max: opened.log.entry_bytes_max(), ..raft::Limits::default() };
    let node_config = raft::Config {
        election_ticks: config.raft.election_timeout_ticks(),
        limits,
        // For election timeouts, which must differ between members.
        ..raft::Config::new(NodeId(identity.member.0), random())
    };
    let mut node = Node::new(node_config, restored);
    if node.membership().is_lone_voter(NodeId(identity.member.0)) {
        // Nobody else could lead: there is nothing to wait for.
        node.campaign();
    }
    Ok((opened.log, node))
}

fn log_options(origin: &Origin) -> raft::durable::Options {
    let identity = origin.identity;
    raft::durable::Options {
        identity: [identity.cluster.0, identity.member.0],
        segment_bytes: WAL_SEGMENT_BYTES,
        tail_bytes_max: raft::Limits::default().tail_bytes_max,
        membership: membership(origin),
        incarnation: raft::Incarnation(1),
    }
}

/// Log and store go, the term and the vote stay. The log first: it knows whether anybody else has what is in the store. A
/// crash on the way is made good by the next start, which begins here again.
fn throw_away(data_dir: &DataDir, wal_dir: &Path, origin: &Origin) -> Result<(), StartError> {
    let log_error = |source| StartError::Log { path: wal_dir.to_owned(), source };
    let mut opened =
        raft::durable::Log::open(data_dir.disk(), wal_dir, log_options(origin)).map_err(log_error)?;
    match opened.log.forget_entries() {
        Ok(()) => Ok(data_dir.remove_store()?),
        Err(raft::durable::Error::NobodyElse) => {
            tracing::error!(
                "this member's state is in doubt, but it is the only one left with a vote; it keeps what it has"
            );
            Ok(())
        }
        Err(source) => Err(log_error(source)),
    }
}

/// The command that follows from `--force-new-cluster`: every other member is removed.
fn alone(identity: Identity) -> Bytes {
    let reset = MembersReset { keep_id: identity.member.0 };
    let command = InternalRaftRequest { members_reset: Some(reset.into()), ..Default::default() };
    command.encode_to_vec().into()
}

/// The configuration that a new log starts with: every founder's is the same, and a member that joins has none until it is
/// told.
fn membership(origin: &Origin) -> Membership {
    match origin.how {
        How::Founded => Membership::new(origin.members.iter().map(|member| NodeId(member.id.0)), []),
        How::Joined => Membership::default(),
    }
}

/// The cluster as its founders know it. As in etcd they have their names from the start, and count as started.
fn founding(origin: &Origin) -> ClusterBootstrap {
    let member = |known: &KnownMember| Member {
        id: known.id.0,
        raft_attributes: Some(RaftAttributes { peer_urls: known.peer_urls.clone(), is_learner: false }),
        member_attributes: Some(Attributes { name: known.name.clone(), client_urls: Vec::new() }),
    };
    ClusterBootstrap {
        cluster_id: origin.identity.cluster.0,
        members: origin.members.iter().map(member).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Invocation;
    use crate::ids::{ClusterId, MemberId};

    /// A data directory with a raft log and something in place of a store; the member is 1 of so many founders.
    fn data(founders: u64, dir: &Path) -> (DataDir, Origin) {
        let data_dir = DataDir::take(std::sync::Arc::new(wal::OsDisk), dir).unwrap();
        let member = |id| KnownMember { id: MemberId(id), name: String::new(), peer_urls: Vec::new() };
        let identity = Identity { cluster: ClusterId(7), member: MemberId(1) };
        let origin = Origin { identity, how: How::Founded, members: (1..=founders).map(member).collect() };
        data_dir.begin(&origin).unwrap();
        raft::durable::Log::open(data_dir.disk(), &data_dir.wal_dir(), log_options(&origin)).unwrap();
        std::fs::create_dir(data_dir.store_dir()).unwrap();
        data_dir.start_over(&origin).unwrap();
        (data_dir, origin)
    }

    #[test]
    fn who_can_get_everything_from_others_throws_log_and_store_away() {
        let dir = tempfile::tempdir().unwrap();
        let (data_dir, origin) = data(3, dir.path());
        throw_away(&data_dir, &data_dir.wal_dir(), &origin).unwrap();
        assert!(!data_dir.store_dir().exists());
        let log =
            raft::durable::Log::open(data_dir.disk(), &data_dir.wal_dir(), log_options(&origin)).unwrap();
        assert_eq!(**log.log.memberships().current(), Membership::default(), "it waits to be told");
    }

    #[test]
    fn who_is_forced_to_go_on_alone_keeps_what_it_has() {
        let dir = tempfile::tempdir().unwrap();
        drop(data(3, dir.path()));
        let flags = [format!("--data-dir={}", dir.path().display()), "--force-new-cluster".to_owned()];
        let Ok(Invocation::Serve(config)) = Config::load(&flags, &[]) else { panic!("good flags") };
        let opened = Taken::take(&config, Arc::new(wal::OsDisk), &Connector::for_tests())
            .unwrap()
            .open(&config)
            .unwrap();
        assert!(opened.node.membership().is_lone_voter(NodeId(1)));
        let found = opened.data_dir.origin().unwrap().unwrap();
        assert!(!found.starts_over, "nor does the next start throw it away");
    }

    #[test]
    fn a_store_stays_when_its_log_is_not_thrown_away() {
        let dir = tempfile::tempdir().unwrap();
        // Nobody else has what is in it.
        let (data_dir, mut origin) = data(1, dir.path());
        throw_away(&data_dir, &data_dir.wal_dir(), &origin).unwrap();
        assert!(data_dir.store_dir().exists());
        // The log cannot be opened: it is another member's.
        origin.identity.member = MemberId(2);
        throw_away(&data_dir, &data_dir.wal_dir(), &origin).unwrap_err();
        assert!(data_dir.store_dir().exists());
    }
}
