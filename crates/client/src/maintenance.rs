//! Looking after members.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use proto::etcdserverpb as pb;
use tonic::Streaming;

use crate::client::Client;
use crate::error::Error;
use crate::kv::Header;
use crate::number::{MemberId, Revision};

/// Calls about single members. [`Client::maintenance`] begins them. Most are about the member that answers: choose it with
/// [`Client::at`].
///
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// for endpoint in client.endpoints() {
///     let status = client.at(&endpoint).maintenance().status().await?;
///     println!("{endpoint}: version {}, {} bytes", status.version, status.db_size);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Maintenance {
    client: Client,
}

/// How a member is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemberStatus {
    /// Who answered, and when.
    pub header: Header,
    /// The version of its program.
    pub version: String,
    /// Bytes that its database has on the disk.
    pub db_size: u64,
    /// Bytes of them that hold something.
    pub db_size_in_use: u64,
    /// Bytes that the database may have; 0 if it does not say.
    pub db_size_quota: u64,
    /// Who leads, as far as it knows.
    pub leader: Option<MemberId>,
    /// The last entry of raft's log that is committed.
    pub raft_index: u64,
    /// The term of raft that it is in.
    pub raft_term: u64,
    /// The last entry of raft's log that is applied.
    pub raft_applied_index: u64,
    /// What is wrong.
    pub errors: Vec<String>,
    /// Whether it has no vote.
    pub is_learner: bool,
    /// The version of what it has on the disk; empty if it does not say.
    pub storage_version: String,
    /// The version that the cluster is on its way down to.
    pub downgrade_target: Option<String>,
}

fn size(bytes: i64) -> u64 {
    u64::try_from(bytes).unwrap_or_default()
}

impl From<pb::StatusResponse> for MemberStatus {
    fn from(answer: pb::StatusResponse) -> MemberStatus {
        let downgrade = answer.downgrade_info.filter(|info| info.enabled);
        MemberStatus {
            header: answer.header.into(),
            version: answer.version,
            db_size: size(answer.db_size),
            db_size_in_use: size(answer.db_size_in_use),
            db_size_quota: size(answer.db_size_quota),
            leader: (answer.leader != 0).then_some(MemberId(answer.leader)),
            raft_index: answer.raft_index,
            raft_term: answer.raft_term,
            raft_applied_index: answer.raft_applied_index,
            errors: answer.errors,
            is_learner: answer.is_learner,
            storage_version: answer.storage_version,
            downgrade_target: downgrade.map(|info| info.target_version),
        }
    }
}

/// An alarm of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Alarm {
    /// Whose.
    pub member: MemberId,
    /// Why.
    pub kind: AlarmKind,
}

/// Why there is an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AlarmKind {
    /// The database has reached its quota.
    NoSpace,
    /// The member's data differs from the others'.
    Corrupt,
    /// A reason that this client does not know.
    Other(i32),
}

impl AlarmKind {
    fn number(self) -> i32 {
        match self {
            AlarmKind::NoSpace => pb::AlarmType::Nospace.into(),
            AlarmKind::Corrupt => pb::AlarmType::Corrupt.into(),
            AlarmKind::Other(number) => number,
        }
    }
}

impl From<pb::AlarmMember> for Alarm {
    fn from(alarm: pb::AlarmMember) -> Alarm {
        let kind = match pb::AlarmType::try_from(alarm.alarm) {
            Ok(pb::AlarmType::Nospace) => AlarmKind::NoSpace,
            Ok(pb::AlarmType::Corrupt) => AlarmKind::Corrupt,
            _ => AlarmKind::Other(alarm.alarm),
        };
        Alarm { member: MemberId(alarm.member_id), kind }
    }
}

/// A hash of the keys of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvHash {
    /// Who answered, and when.
    pub header: Header,
    /// The hash of everything from `compact_revision` to `revision`. Members that agree about both have the same.
    pub hash: u32,
    /// The revision that is hashed.
    pub revision: Revision,
    /// The oldest revision that is left.
    pub compact_revision: Option<Revision>,
}

/// What is to be done about a downgrade of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Downgrade {
    /// Say whether it could be begun.
    Validate,
    /// Begin it.
    Enable,
    /// Give it up.
    Cancel,
}

impl Client {
    /// Returns the calls about single members. See [`Maintenance`].
    pub fn maintenance(&self) -> Maintenance {
        Maintenance { client: self.clone() }
    }
}

/// Errors are those of any call; what is refused has etcd's text.
#[allow(clippy::missing_errors_doc, reason = "said once for all of them")]
impl Maintenance {
    /// Returns how the member is.
    pub async fn status(&self) -> Result<MemberStatus, Error> {
        Ok(self.client.maintenance_stub().status(pb::StatusRequest {}).await?.into_inner().into())
    }

    /// Returns all alarms of the cluster.
    pub async fn alarms(&self) -> Result<Vec<Alarm>, Error> {
        self.alarm(pb::AlarmRequest::default()).await
    }

    /// Raises an alarm.
    pub async fn raise(&self, alarm: Alarm) -> Result<Vec<Alarm>, Error> {
        self.alarm(request(alarm, pb::alarm_request::AlarmAction::Activate)).await
    }

    /// Ends an alarm. Returns it, unless there was none.
    pub async fn disarm(&self, alarm: Alarm) -> Result<Vec<Alarm>, Error> {
        self.alarm(request(alarm, pb::alarm_request::AlarmAction::Deactivate)).await
    }

    async fn alarm(&self, request: pb::AlarmRequest) -> Result<Vec<Alarm>, Error> {
        let answer = self.client.maintenance_stub().alarm(request).await?.into_inner();
        Ok(answer.alarms.into_iter().map(Alarm::from).collect())
    }

    /// Gives back space that the member's database does not use. The member serves nothing else meanwhile.
    pub async fn defragment(&self) -> Result<(), Error> {
        self.client.maintenance_stub().defragment(pb::DefragmentRequest {}).await?;
        Ok(())
    }

    /// Returns the hash of the member's keys, up to a revision if one is given.
    pub async fn hash_kv(&self, revision: Option<Revision>) -> Result<KvHash, Error> {
        let request = pb::HashKvRequest { revision: revision.map_or(0, |revision| revision.0) };
        let answer = self.client.maintenance_stub().hash_kv(request).await?.into_inner();
        let header = Header::from(answer.header);
        // Servers before 3.6 do not say it.
        let hashed = if answer.hash_revision > 0 { Revision(answer.hash_revision) } else { header.revision };
        Ok(KvHash {
            header,
            hash: answer.hash,
            revision: revision.unwrap_or(hashed),
            compact_revision: (answer.compact_revision > 0).then_some(Revision(answer.compact_revision)),
        })
    }

    /// Has the member, which must lead, pass the lead on.
    pub async fn move_leader(&self, to: impl Into<MemberId>) -> Result<(), Error> {
        let request = pb::MoveLeaderRequest { target_id: to.into().0 };
        self.client.maintenance_stub().move_leader(request).await?;
        Ok(())
    }

    /// Validates, begins or gives up a downgrade to a version (`3.6`, say; of no account when it is given up). Returns the
    /// version of the cluster.
    pub async fn downgrade(&self, action: Downgrade, version: &str) -> Result<String, Error> {
        let action = match action {
            Downgrade::Validate => pb::downgrade_request::DowngradeAction::Validate,
            Downgrade::Enable => pb::downgrade_request::DowngradeAction::Enable,
            Downgrade::Cancel => pb::downgrade_request::DowngradeAction::Cancel,
        };
        let request = pb::DowngradeRequest { action: action.into(), version: version.to_owned() };
        Ok(self.client.maintenance_stub().downgrade(request).await?.into_inner().version)
    }

    /// Begins a snapshot of the member. See [`Snapshot`].
    pub async fn snapshot(&self) -> Result<Snapshot, Error> {
        let stream = self.client.maintenance_stub().snapshot(pb::SnapshotRequest {}).await?.into_inner();
        Ok(Snapshot { stream, remaining: None, version: String::new() })
    }
}

fn request(alarm: Alarm, action: pb::alarm_request::AlarmAction) -> pb::AlarmRequest {
    pb::AlarmRequest { action: action.into(), member_id: alarm.member.0, alarm: alarm.kind.number() }
}

/// A snapshot: a stream of the bytes of a file. Its last 32 bytes are the SHA-256 of those before.
///
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use std::io::Write;
/// let mut file = std::fs::File::create("backup.db")?;
/// let mut snapshot = client.at("10.0.0.1:2379").maintenance().snapshot().await?;
/// while let Some(bytes) = snapshot.next().await {
///     file.write_all(&bytes?)?;
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Snapshot {
    stream: Streaming<pb::SnapshotResponse>,
    remaining: Option<u64>,
    version: String,
}

impl Snapshot {
    /// Returns the next bytes; `None` at the end.
    #[allow(clippy::should_implement_trait, reason = "the name that streams have, without a trait to import")]
    pub async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// Returns how many bytes are left, once the first ones are there.
    pub fn remaining(&self) -> Option<u64> {
        self.remaining
    }

    /// Returns the version of what is in it, if the member says it, once the first bytes are there.
    pub fn version(&self) -> Option<&str> {
        Some(self.version.as_str()).filter(|version| !version.is_empty())
    }
}

impl Stream for Snapshot {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match ready!(Pin::new(&mut self.stream).poll_next(context)) {
            None => Poll::Ready(None),
            Some(Err(status)) => Poll::Ready(Some(Err(status.into()))),
            Some(Ok(part)) => {
                self.remaining = Some(part.remaining_bytes);
                if !part.version.is_empty() {
                    self.version = part.version;
                }
                Poll::Ready(Some(Ok(part.blob)))
            }
        }
    }
}
