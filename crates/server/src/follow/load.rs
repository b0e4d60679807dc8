//! Loading everything: from a snapshot of the source to a state that is like it.

use std::sync::Arc;
use std::time::Duration;

use backup::restore::{Content, RestoreError, Version};
use bytes::Bytes;
use engine::command::Field;
use engine::reply::Unserved;
use mvcc::Extent;
use proto::quoratepb::{
    FollowAuth, FollowBegin, FollowChange, FollowLease, FollowLeases, FollowPhase, FollowRevisions,
};
use tokio::sync::mpsc;

use super::Fault;
use super::batch::Batch;
use super::session::Session;

/// Batches that are read ahead.
const AHEAD: usize = 2;

/// Leases in one command.
pub(super) const LEASES_PER_COMMAND: usize = 1000;

/// Time between two lines of a load that waits for checkpoints.
const ROOM_PATIENCE: Duration = Duration::from_secs(10);

/// Why the file is not read on.
enum Ended {
    Restore(RestoreError),
    /// Nobody takes it.
    Left,
}

impl From<RestoreError> for Ended {
    fn from(error: RestoreError) -> Self {
        Self::Restore(error)
    }
}

impl Session {
    /// Loads everything anew.
    pub(super) async fn load(&self) -> Result<(), Fault> {
        let content = Arc::new(super::snapshot::fetch(&self.source, &self.api.settings.spool_dir).await?);
        let Extent { revision, compact_revision } = content.extent();
        let shown = self.follow().map_or(0, |follow| follow.shown);
        if revision < shown {
            return Err(Fault::Source(format!(
                "its snapshot is of revision {revision}, and this cluster was at {shown}"
            )));
        }
        tracing::info!(
            "source-cluster-id" = format!("{:x}", self.source.id),
            revision,
            "compact-revision" = compact_revision,
            "everything is loaded from the source"
        );
        self.api.follow.loads();
        let begin = FollowBegin { source_cluster_id: self.source.id, base_revision: compact_revision.max(0) };
        self.propose(Field::FollowBegin, &begin).await?;
        self.load_keys(&content, revision).await?;
        self.load_leases(&content).await?;
        let users = users_of(&content)?;
        self.propose(Field::FollowAuth, &FollowAuth { load: self.load_number(), ..users }).await?;
        self.turn(FollowPhase::Following, revision).await?;
        tracing::info!(revision, "everything is loaded; the source is followed from here on");
        Ok(())
    }

    async fn load_keys(&self, content: &Arc<Content>, revision: i64) -> Result<(), Fault> {
        let (batches, mut ready) = mpsc::channel(AHEAD);
        let reading = content.clone();
        let read = tokio::task::spawn_blocking(move || read(&reading, &batches));
        let mut after = 1;
        while let Some(batch) = ready.recv().await {
            after = self.take_over(after, batch).await?;
        }
        match read.await.map_err(|error| Fault::Source(error.to_string()))? {
            Ok(()) => {}
            Err(Ended::Restore(error)) => return Err(Fault::Source(format!("its snapshot: {error}"))),
            Err(Ended::Left) => return Err(Fault::NotLeading),
        }
        if after < revision {
            // Nothing of the newest revision was kept, because it is compacted.
            let rest =
                FollowRevisions { load: self.load_number(), after, through: revision, changes: Vec::new() };
            self.propose(Field::FollowRevisions, &rest).await?;
        }
        Ok(())
    }

    /// Proposes revisions. Returns the revision that the state is at then.
    pub(super) async fn take_over(&self, after: i64, batch: Batch) -> Result<i64, Fault> {
        self.room().await?;
        let through = batch.through();
        let command = FollowRevisions { load: self.load_number(), after, through, changes: batch.changes };
        self.propose(Field::FollowRevisions, &command).await?;
        Ok(through)
    }

    /// Waits until checkpoints have caught up with what was taken over: a command that is not applied in time would look as if
    /// this member did not lead any more.
    async fn room(&self) -> Result<(), Fault> {
        loop {
            match self.api.shared.unstored.room_within(ROOM_PATIENCE).await {
                Ok(()) => return Ok(()),
                Err(Unserved::TooMany) => tracing::info!("the load waits for checkpoints"),
                Err(_) => return Err(Fault::Source("this member has no space for what comes".to_owned())),
            }
        }
    }

    async fn load_leases(&self, content: &Content) -> Result<(), Fault> {
        let of = |lease: &proto::leasepb::Lease| FollowLease {
            id: lease.id,
            ttl: lease.ttl,
            remaining: lease.remaining_ttl,
        };
        for leases in content.leases().chunks(LEASES_PER_COMMAND) {
            let leases = leases.iter().map(of).collect();
            self.propose_leases(leases, Vec::new()).await?;
        }
        Ok(())
    }

    /// Proposes what the source says of leases.
    pub(super) async fn propose_leases(&self, leases: Vec<FollowLease>, gone: Vec<i64>) -> Result<(), Fault> {
        let command = FollowLeases { load: self.load_number(), leases, gone };
        self.propose(Field::FollowLeases, &command).await
    }
}

/// Users and roles of a file, as a command without its load.
pub(super) fn users_of(content: &Content) -> Result<FollowAuth, Fault> {
    let users = content.users().map_err(|error| Fault::Source(format!("its snapshot: {error}")))?;
    Ok(FollowAuth {
        load: 0,
        enabled: users.is_enabled,
        revision: users.revision,
        users: users.users,
        roles: users.roles,
    })
}

/// Reads all versions of a file into batches.
fn read(content: &Content, batches: &mpsc::Sender<Batch>) -> Result<(), Ended> {
    let mut batch = Batch::default();
    let mut last = 0;
    let send = |batch: Batch| batches.blocking_send(batch).map_err(|_| Ended::Left);
    content.for_each_version(|version: Version| {
        let Version { revision, key, item } = version;
        if revision.main != last && batch.is_full() {
            send(std::mem::take(&mut batch))?;
        }
        last = revision.main;
        let (put, deleted) = match item {
            Some(item) => (item.encoded, Bytes::new()),
            None => (Bytes::new(), key),
        };
        batch.push(FollowChange { main: revision.main, sub: revision.sub, put, deleted });
        Ok::<(), Ended>(())
    })?;
    batch.take().map_or(Ok(()), send)
}
