//! What each port answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use engine::worker::{Watching, Worker};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use mvcc::{KeyRange, RangeQuery, ToTheEnd};
use proto::etcdserverpb::{AlarmType, RangeRequest};
use serde::Serialize;

use crate::api::{Api, router};
use crate::bootstrap::{PROTOCOL, PROTOCOL_HEADER};
use crate::config::{Config, Console};
use crate::console;
use crate::gateway;
use crate::grpc::admission::looks_like_grpc;
use crate::grpc::body::ResponseBody;
use crate::grpc::request_body::RequestBody;
use crate::http::{Alarm, Consistency, HealthProbe, Http, RaftStatus, ReadFailure, Surface, Versions};
use crate::ids::MemberId;
use crate::net::trace;
use crate::readers::ConnectionId;
use crate::tls::CertificateName;
use crate::turn::Turns;

/// Scrapes of the metrics: each takes a millisecond, and a client may ask for thousands at once.
static SCRAPES: Turns = Turns::new();

/// The client port: gRPC, and HTTP beside it.
pub(crate) struct ClientPort {
    api: Arc<Api>,
    /// Every worker of the member: a scrape is about all of them, whichever it comes to.
    workers: Arc<[Arc<Worker>]>,
    http: Http<Probe>,
    /// HTTP has addresses of its own (`--listen-client-http-urls`).
    grpc_only: bool,
    serves_gateway: bool,
    console: Console,
    traces_requests: bool,
}

impl ClientPort {
    pub(crate) fn new(api: Arc<Api>, workers: Arc<[Arc<Worker>]>, config: &Config) -> Self {
        let probe = Arc::new(Probe(api.clone()));
        let http = Http::new(probe, api.metrics.clone(), config.http.clone());
        let grpc_only = !config.listen.client_http.is_empty();
        let (serves_gateway, traces_requests) = (config.serves_gateway, config.traces_requests);
        let console = config.console;
        Self { api, workers, http, grpc_only, serves_gateway, console, traces_requests }
    }

    /// Answers a request on a client address.
    ///
    /// gRPC is HTTP/2, and a call in HTTP/1.1 is none: browsers speak HTTP/1.1 without TLS, and a page could make such a
    /// call to a host of its own that points here, past `--host-whitelist`.
    pub(crate) async fn respond(
        self: Arc<Self>,
        connection: ConnectionId,
        request: Request<Incoming>,
    ) -> Response<ResponseBody> {
        let is_http2 = request.version() == Version::HTTP_2;
        if is_http2 && (self.grpc_only || looks_like_grpc(request.headers())) {
            if self.traces_requests {
                trace::write(&request);
            }
            router::serve(self.api.clone(), connection, request.map(RequestBody::Client)).await
        } else if self.grpc_only {
            let mut response = Response::new(ResponseBody::Full(None));
            *response.status_mut() = StatusCode::HTTP_VERSION_NOT_SUPPORTED;
            response
        } else {
            // Seldom, and longer than the other two: the others do not make room for it.
            Box::pin(self.http(Surface::Client, connection, request)).await
        }
    }

    /// Answers a request on an address that is for HTTP alone.
    pub(crate) async fn respond_http(
        self: Arc<Self>,
        surface: Surface,
        connection: ConnectionId,
        request: Request<Incoming>,
    ) -> Response<ResponseBody> {
        self.http(surface, connection, request).await
    }

    async fn http(
        &self,
        surface: Surface,
        connection: ConnectionId,
        request: Request<Incoming>,
    ) -> Response<ResponseBody> {
        let (mut head, body) = request.into_parts();
        if surface == Surface::Client && self.serves_gateway && gateway::serves(head.uri.path()) {
            return self.gateway(connection, &head, body).await;
        }
        if surface == Surface::Client && console::serves(head.uri.path()) {
            return self.console(&head).await;
        }
        // Who the client is by its certificate counts for gRPC alone (rule S5).
        head.extensions.remove::<CertificateName>();
        if head.uri.path() != "/metrics" {
            return plain(self.http.handle(surface, &head).await);
        }
        let scrape = async {
            refresh_gauges(&self.api, &self.workers);
            self.http.handle(surface, &head).await
        };
        plain(SCRAPES.take(scrape).await)
    }

    /// Answers a request in JSON, behind the access rules of all that is HTTP.
    async fn gateway(
        &self,
        connection: ConnectionId,
        head: &Parts,
        body: Incoming,
    ) -> Response<ResponseBody> {
        if let Some(answer) = self.http.answered_before_all(head) {
            return plain(answer);
        }
        let mut response = gateway::respond(&self.api, connection, head, body).await;
        self.http.allow_origin(head, &mut response);
        response
    }

    /// Answers a request for the web console, behind the rules about hosts. No page of another origin may read it.
    async fn console(&self, head: &Parts) -> Response<ResponseBody> {
        if let Some(answer) = self.http.answered_before_all(head) {
            return plain(answer);
        }
        let members = self.api.status.members();
        let surroundings = console::Surroundings {
            console: self.console,
            is_auth_enabled: self.api.is_auth_enabled(),
            client_urls: members
                .iter()
                .flat_map(|member| machine::member_change::shown(member).client_ur_ls)
                .collect(),
        };
        plain(console::respond(head, &surroundings).await)
    }
}

/// What tools and joining members ask of the peer port.
pub(crate) struct PeerPort {
    api: Arc<Api>,
    http: Http<Probe>,
}

impl PeerPort {
    pub(crate) fn new(api: Arc<Api>, config: &Config) -> Self {
        let http = Http::new(Arc::new(Probe(api.clone())), api.metrics.clone(), config.http.clone());
        Self { api, http }
    }

    pub(crate) async fn respond(self: Arc<Self>, request: Request<Incoming>) -> Response<ResponseBody> {
        if request.uri().path() == "/members" {
            return self.members();
        }
        let (head, _) = request.into_parts();
        plain(self.http.handle(Surface::Peer, &head).await)
    }

    /// The members as etcd's peer port shows them.
    fn members(&self) -> Response<ResponseBody> {
        let members: Vec<_> = self.api.status.members().iter().map(member_json).collect();
        // Go's encoder ends with a newline.
        let body = serde_json::to_string(&members).expect("structs of numbers and strings are JSON") + "\n";
        let mut response = Response::new(ResponseBody::Full(Some(body.into())));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        headers.insert(PROTOCOL_HEADER, http::HeaderValue::from_static(PROTOCOL));
        if let Ok(id) = format!("{:x}", self.api.cluster_id).parse() {
            headers.insert("x-etcd-cluster-id", id);
        }
        response
    }
}

/// A member in etcd's JSON, fields in etcd's order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MemberJson {
    id: u64,
    #[serde(rename = "peerURLs")]
    peer_urls: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_learner: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(rename = "clientURLs", skip_serializing_if = "Vec::is_empty")]
    client_urls: Vec<String>,
}

fn member_json(member: &proto::membershippb::Member) -> MemberJson {
    let shown = machine::member_change::shown(member);
    MemberJson {
        id: shown.id,
        peer_urls: shown.peer_ur_ls,
        is_learner: shown.is_learner,
        name: shown.name,
        client_urls: shown.client_ur_ls,
    }
}

fn plain(response: Response<crate::http::Body>) -> Response<ResponseBody> {
    response.map(ResponseBody::Http)
}

/// Gauges that are cheaper to look up when somebody asks than to keep up all the time.
fn refresh_gauges(api: &Api, workers: &[Arc<Worker>]) {
    let metrics = &api.metrics;
    metrics.server.is_learner.set(i64::from(api.status.is_learner()));
    metrics.server.proposals_pending.set(api.shared.waiters.waiting() as i64);
    metrics.server.proposals_applied.set(api.shared.applied.load(Ordering::Relaxed) as i64);
    metrics.mvcc.db_total_size.set(api.status.db_size() as i64);
    metrics.mvcc.db_size_in_use.set(api.status.db_size() as i64);
    metrics.server.auth_revision.set(api.auth.published.state().revision() as i64);
    let view = api.view();
    metrics.mvcc.current_revision.set(view.revision());
    metrics.mvcc.compact_revision.set(view.compact_revision());
    let everything = RangeQuery { count_only: true, ..RangeQuery::new(KeyRange::all()) };
    if let Ok(all) = view.range(&everything) {
        metrics.mvcc.keys.set(all.count as i64);
    }
    let watching = workers.iter().map(|worker| worker.watching()).fold(Watching::default(), Watching::plus);
    metrics.mvcc.watch_streams.set(watching.streams as i64);
    metrics.mvcc.watchers.set(watching.watchers as i64);
    metrics.mvcc.slow_watchers.set(watching.slow_watchers as i64);
    metrics.mvcc.pending_events.set(watching.pending_events as i64);
    metrics.mvcc.db_open_read_transactions.set(view.reads_under_way() as i64);
    metrics.server.alarms.set_raised(raised_alarms(api));
    let phase = crate::api::follow::phase_of(api.status.follow().as_deref());
    api.follow.observe(phase as i64, view.revision(), metrics);
    if let Some(version) = api.status.cluster_version() {
        let minor = version.rsplit_once('.').map_or(version.as_str(), |(minor, _)| minor);
        metrics.server.cluster_version.set(minor);
    }
}

/// Returns the alarms of the cluster, and the one that this member raises for itself when what it holds may be wrong; each a
/// name and a member.
fn raised_alarms(api: &Api) -> Vec<(String, String)> {
    let name = |kind: i32| AlarmType::try_from(kind).map_or("UNKNOWN", |kind| kind.as_str_name()).to_owned();
    let of_member = |id: u64| MemberId(id).to_string();
    let alarms = api.status.alarms();
    let raised = alarms.iter().map(|alarm| (name(alarm.alarm), of_member(alarm.member_id)));
    let own = (Alarm::Corrupt.name().to_owned(), of_member(api.member_id));
    raised.chain(api.shared.is_in_doubt().then_some(own)).collect()
}

/// The member as its health checks see it.
pub(crate) struct Probe(Arc<Api>);

impl HealthProbe for Probe {
    fn alarms(&self) -> Vec<Alarm> {
        let kind = |alarm: &proto::etcdserverpb::AlarmMember| match AlarmType::try_from(alarm.alarm) {
            Ok(AlarmType::Nospace) => Alarm::NoSpace,
            Ok(AlarmType::Corrupt) => Alarm::Corrupt,
            _ => Alarm::Unknown,
        };
        // One that only this member raises, for itself: what it holds may be wrong.
        let own = self.0.shared.is_in_doubt().then_some(Alarm::Corrupt);
        self.0.status.alarms().iter().map(kind).chain(own).collect()
    }

    fn has_leader(&self) -> bool {
        self.0.shared.leader().is_some()
    }

    fn is_learner(&self) -> bool {
        self.0.status.is_learner()
    }

    fn versions(&self) -> Versions {
        Versions { cluster: self.0.status.cluster_version(), storage: Some(self.0.status.storage_version()) }
    }

    fn raft_status(&self) -> RaftStatus {
        let shared = &self.0.shared;
        let leader = self.0.leader_id();
        let leads = leader == self.0.member_id;
        RaftStatus {
            id: self.0.member_id,
            term: shared.term.load(Ordering::Relaxed),
            vote: if leads { leader } else { 0 },
            committed: shared.committed.load(Ordering::Relaxed),
            applied: shared.applied.load(Ordering::Relaxed),
            leader,
            role: if leads { "StateLeader" } else { "StateFollower" },
        }
    }

    async fn read(&self, consistency: Consistency) -> Result<(), ReadFailure> {
        if consistency == Consistency::Linearizable {
            self.0.read_barrier().await.map_err(|status| ReadFailure(status.message().to_owned()))?;
        }
        let request = RangeRequest { key: "health".into(), keys_only: true, limit: 1, ..Default::default() };
        machine::read::range(&self.0.view(), &request, &ToTheEnd)
            .map(drop)
            .map_err(|failure| ReadFailure(failure.to_string()))
    }
}
