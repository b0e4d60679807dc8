//! Calls of the source. Each answer says which cluster gave it, and that is looked at before anything else.

use std::time::Duration;

use bytes::Bytes;
use client::{Channel, Client, Tls};
use futures_util::{StreamExt, stream};
use proto::etcdserverpb as pb;
use proto::etcdserverpb::auth_client::AuthClient;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::lease_client::LeaseClient;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use proto::etcdserverpb::watch_client::WatchClient;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::quoratepb::FollowLease;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::{Fault, FollowSettings};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the hash of all keys may take.
const HASH_PATIENCE: Duration = Duration::from_secs(120);

/// Longest message taken. What a watch tells comes in fragments of the source's longest request; a list of a million leases is
/// shorter.
const RECEIVE_BYTES_MAX: usize = 64 << 20;

/// Questions about leases that are open at a time.
const QUESTIONS_MAX: usize = 32;

/// A key of which only the header of the answer is looked at.
const ANY_KEY: &[u8] = b"\0";

/// The cluster that is followed.
#[derive(Clone)]
pub(super) struct Source {
    channel: Channel,
    /// Which cluster it is.
    pub(super) id: u64,
    /// The member that answered first.
    pub(super) member: u64,
}

/// HashKV of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hash {
    pub(super) hash: u32,
    /// The revision that was hashed.
    pub(super) revision: i64,
    pub(super) compact_revision: i64,
}

/// Whether permissions are checked, and how often they have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AuthStatus {
    pub(super) is_enabled: bool,
    pub(super) revision: u64,
}

impl Source {
    /// Connects, and finds out which cluster it is. `expected`: the one that it must be.
    pub(super) async fn connect(settings: &FollowSettings, expected: Option<u64>) -> Result<Self, Fault> {
        let mut builder = Client::builder().endpoints(settings.endpoints.iter().cloned());
        let has_tls = settings.ca.is_some() || settings.identity.is_some();
        if has_tls {
            let mut tls = Tls::new();
            if let Some(ca) = &settings.ca {
                tls = tls.ca_file(ca);
            }
            if let Some((cert, key)) = &settings.identity {
                tls = tls.identity_files(cert, key);
            }
            builder = builder.tls(tls);
        }
        if let Some((user, file)) = &settings.user {
            let password = std::fs::read_to_string(file)
                .map_err(|error| Fault::Source(format!("{}: {error}", file.display())))?;
            builder = builder.user(user, password.trim_end_matches(['\r', '\n']));
        }
        let client = builder.connect().await.map_err(|error| Fault::Source(error.to_string()))?;
        let mut source = Self { channel: client.channel(), id: 0, member: 0 };
        let header = source.probe(0).await?;
        if let Some(expected) = expected.filter(|expected| *expected != header.cluster_id) {
            return Err(another(header.cluster_id, expected));
        }
        (source.id, source.member) = (header.cluster_id, header.member_id);
        Ok(source)
    }

    /// Checks who answered. Returns the revision that the answer names.
    fn check(&self, header: Option<&pb::ResponseHeader>) -> Result<i64, Fault> {
        let header = header.ok_or_else(|| Fault::Source("an answer has no header".to_owned()))?;
        match header.cluster_id {
            id if id == self.id => Ok(header.revision),
            id => Err(another(id, self.id)),
        }
    }

    async fn probe(&self, revision: i64) -> Result<pb::ResponseHeader, Fault> {
        let request = pb::RangeRequest {
            key: Bytes::from_static(ANY_KEY),
            revision,
            count_only: true,
            limit: 1,
            ..Default::default()
        };
        let mut stub = KvClient::new(self.channel.clone());
        let answer = in_time("its revision", PATIENCE, stub.range(request)).await?;
        answer.header.ok_or_else(|| Fault::Source("an answer has no header".to_owned()))
    }

    /// Its newest revision.
    pub(super) async fn revision(&self) -> Result<i64, Fault> {
        let header = self.probe(0).await?;
        self.check(Some(&header))
    }

    /// Begins to watch all keys.
    pub(super) async fn watch(&self, from: i64) -> Result<Watching, Fault> {
        let create = pb::WatchCreateRequest {
            key: Bytes::from_static(b"\0"),
            range_end: Bytes::from_static(b"\0"),
            start_revision: from,
            fragment: true,
            ..Default::default()
        };
        self.begin_watch(create).await
    }

    async fn begin_watch(&self, create: pb::WatchCreateRequest) -> Result<Watching, Fault> {
        let (requests, outgoing) = mpsc::channel(1);
        let create = pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        // There is room for one.
        let _ = requests.try_send(create);
        let mut stub = WatchClient::new(self.channel.clone()).max_decoding_message_size(RECEIVE_BYTES_MAX);
        let answers = in_time("a watch", PATIENCE, stub.watch(ReceiverStream::new(outgoing))).await?;
        Ok(Watching { source: self.clone(), answers, _requests: requests })
    }

    /// Up to where it is compacted now, if that is above a revision.
    pub(super) async fn compacted_above(&self, revision: i64) -> Result<Option<i64>, Fault> {
        let at = revision.max(1);
        let request = pb::RangeRequest {
            key: Bytes::from_static(ANY_KEY),
            revision: at,
            count_only: true,
            limit: 1,
            ..Default::default()
        };
        let mut stub = KvClient::new(self.channel.clone());
        match tokio::time::timeout(PATIENCE, stub.range(request)).await {
            Err(_) => return Err(Fault::Source("its compaction: no answer in time".to_owned())),
            Ok(Ok(answer)) => {
                self.check(answer.into_inner().header.as_ref())?;
                return Ok(None);
            }
            Ok(Err(status)) if status.message() == machine::Rejection::Compacted.text() => {}
            Ok(Err(status)) => return Err(Fault::of_call("its compaction", &status)),
        }
        // A watch that begins too early is told where the history begins.
        let create = pb::WatchCreateRequest {
            key: Bytes::from_static(ANY_KEY),
            start_revision: at,
            ..Default::default()
        };
        let mut watching = self.begin_watch(create).await?;
        loop {
            let next = tokio::time::timeout(PATIENCE, watching.next()).await;
            match next.map_err(|_| Fault::Source("its compaction: no answer in time".to_owned()))?? {
                Told::Compacted(at) => return Ok(Some(at)),
                Told::Events { .. } => {}
            }
        }
    }

    /// A snapshot, piece by piece.
    pub(super) async fn snapshot(&self) -> Result<Streaming<pb::SnapshotResponse>, Fault> {
        let mut stub =
            MaintenanceClient::new(self.channel.clone()).max_decoding_message_size(RECEIVE_BYTES_MAX);
        in_time("a snapshot", HASH_PATIENCE, stub.snapshot(pb::SnapshotRequest {})).await
    }

    /// Ids of all leases.
    pub(super) async fn leases(&self) -> Result<Vec<i64>, Fault> {
        let mut stub = LeaseClient::new(self.channel.clone()).max_decoding_message_size(RECEIVE_BYTES_MAX);
        let answer = in_time("its leases", PATIENCE, stub.lease_leases(pb::LeaseLeasesRequest {})).await?;
        self.check(answer.header.as_ref())?;
        Ok(answer.leases.into_iter().map(|lease| lease.id).collect())
    }

    /// What is left of leases. Those that are gone are left out.
    pub(super) async fn times(&self, ids: &[i64]) -> Result<Vec<FollowLease>, Fault> {
        let mut asked = stream::iter(ids.iter().map(|id| self.time(*id))).buffer_unordered(QUESTIONS_MAX);
        let mut found = Vec::new();
        while let Some(lease) = asked.next().await {
            found.extend(lease?);
        }
        found.sort_unstable_by_key(|lease| lease.id);
        Ok(found)
    }

    async fn time(&self, id: i64) -> Result<Option<FollowLease>, Fault> {
        let mut stub = LeaseClient::new(self.channel.clone());
        let request = pb::LeaseTimeToLiveRequest { id, keys: false };
        let answer = in_time("a lease", PATIENCE, stub.lease_time_to_live(request)).await?;
        self.check(answer.header.as_ref())?;
        // One whose time is up has a second: the source decides whether it goes.
        let lease = FollowLease { id, ttl: answer.granted_ttl, remaining: answer.ttl.max(1) };
        Ok((answer.granted_ttl > 0).then_some(lease))
    }

    /// How often users and roles have changed; `None`: it does not say, as before etcd 3.5.
    pub(super) async fn auth_status(&self) -> Result<Option<AuthStatus>, Fault> {
        let mut stub = AuthClient::new(self.channel.clone());
        match tokio::time::timeout(PATIENCE, stub.auth_status(pb::AuthStatusRequest {})).await {
            Err(_) => Err(Fault::Source("its users: no answer in time".to_owned())),
            Ok(Err(status)) if status.code() == Code::Unimplemented => Ok(None),
            Ok(Err(status)) => Err(Fault::of_call("its users", &status)),
            Ok(Ok(answer)) => {
                let answer = answer.into_inner();
                self.check(answer.header.as_ref())?;
                Ok(Some(AuthStatus { is_enabled: answer.enabled, revision: answer.auth_revision }))
            }
        }
    }

    /// Everything about users and roles that can be asked for, as one value to be compared: all but passwords.
    pub(super) async fn users_print(&self) -> Result<Vec<String>, Fault> {
        let mut stub = AuthClient::new(self.channel.clone());
        let mut print = Vec::new();
        let users = in_time("its users", PATIENCE, stub.user_list(pb::AuthUserListRequest {})).await?;
        self.check(users.header.as_ref())?;
        for name in users.users {
            let request = pb::AuthUserGetRequest { name: name.clone() };
            let user = in_time("a user", PATIENCE, stub.user_get(request)).await?;
            print.push(format!("user {name} {:?}", user.roles));
        }
        let roles = in_time("its roles", PATIENCE, stub.role_list(pb::AuthRoleListRequest {})).await?;
        for role in roles.roles {
            let request = pb::AuthRoleGetRequest { role: role.clone() };
            let found = in_time("a role", PATIENCE, stub.role_get(request)).await?;
            print.push(format!("role {role} {:?}", found.perm));
        }
        Ok(print)
    }

    /// HashKV of what it has now. (Asked for a revision that was compacted lately, etcd answers with what the compaction has
    /// hashed, which a cluster that has loaded since does not know.)
    pub(super) async fn hash_kv(&self) -> Result<Hash, Fault> {
        let mut stub = MaintenanceClient::new(self.channel.clone());
        let newest = pb::HashKvRequest { revision: 0 };
        let answer = in_time("its hash", HASH_PATIENCE, stub.hash_kv(newest)).await?;
        let revision = self.check(answer.header.as_ref())?;
        let pb::HashKvResponse { hash, compact_revision, .. } = answer;
        Ok(Hash { hash, revision, compact_revision })
    }

    /// Returns whether a NOSPACE alarm is raised under this id. Who may not know has not raised one.
    pub(super) async fn is_fenced(&self, id: u64) -> bool {
        let request =
            pb::AlarmRequest { action: pb::alarm_request::AlarmAction::Get as i32, ..Default::default() };
        let mut stub = MaintenanceClient::new(self.channel.clone());
        let Ok(answer) = in_time("its alarms", PATIENCE, stub.alarm(request)).await else { return false };
        answer.alarms.iter().any(|alarm| alarm.member_id == id)
    }

    /// Raises or disarms a NOSPACE alarm under an id that is nobody's.
    pub(super) async fn fence(&self, id: u64, is_raised: bool) -> Result<(), Fault> {
        use pb::alarm_request::AlarmAction::{Activate, Deactivate};
        let action = if is_raised { Activate } else { Deactivate };
        let request =
            pb::AlarmRequest { action: action as i32, member_id: id, alarm: pb::AlarmType::Nospace as i32 };
        let mut stub = MaintenanceClient::new(self.channel.clone());
        // etcd 3.4 puts no header in front of this answer; another cluster would be found out by the next one.
        let answer = in_time("its alarm", PATIENCE, stub.alarm(request)).await?;
        answer.header.map_or(Ok(()), |header| self.check(Some(&header)).map(drop))
    }
}

/// A watch of the source. Dropping it ends it.
pub(super) struct Watching {
    source: Source,
    answers: Streaming<pb::WatchResponse>,
    _requests: mpsc::Sender<pb::WatchRequest>,
}

/// What a watch tells.
pub(super) enum Told {
    Events {
        events: Vec<proto::mvccpb::Event>,
        is_fragment: bool,
    },
    /// What it began with is gone; the history begins here.
    Compacted(i64),
}

impl Watching {
    /// Returns what it tells next.
    pub(super) async fn next(&mut self) -> Result<Told, Fault> {
        let answer = self.answers.message().await.map_err(|status| Fault::of_call("the watch", &status))?;
        let answer = answer.ok_or_else(|| Fault::Source("the watch: it ended".to_owned()))?;
        // etcd leaves the revision out of some, and never the cluster.
        self.source.check(answer.header.as_ref())?;
        if answer.compact_revision > 0 {
            return Ok(Told::Compacted(answer.compact_revision));
        }
        if answer.canceled {
            return Err(Fault::Source(format!("the watch: it was canceled: {}", answer.cancel_reason)));
        }
        Ok(Told::Events { events: answer.events, is_fragment: answer.fragment })
    }
}

fn another(found: u64, expected: u64) -> Fault {
    Fault::Source(format!("cluster {found:x} answers, and {expected:x} is followed"))
}

async fn in_time<T>(
    what: &str,
    patience: Duration,
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Fault> {
    match tokio::time::timeout(patience, call).await {
        Err(_) => Err(Fault::Source(format!("{what}: no answer in time"))),
        Ok(Err(status)) => Err(Fault::of_call(what, &status)),
        Ok(Ok(answer)) => Ok(answer.into_inner()),
    }
}
