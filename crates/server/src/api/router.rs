//! From the path of a request to the method that serves it, and what all methods have in common: metrics, the
//! client's API version, and the leader that a client may insist on.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use engine::wire::WireReply;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use prost::Message;
use tokio_stream::Stream;
use tonic::{Code, Status};

use super::Api;
use super::method::{Method, dispatch, unknown};
use super::observe::Started;
use super::status::{corrupt, no_leader, not_for_learners};
use crate::auth::Caller;
use crate::grpc::admission;
use crate::grpc::body::ResponseBody;
use crate::grpc::deadline::{Deadline, Timer, exceeded, given_up, within};
use crate::grpc::encoding::Encoding;
use crate::grpc::messages::Messages;
use crate::grpc::metadata::Metadata;
use crate::grpc::replies::Replies;
use crate::grpc::request_body::RequestBody;
use crate::grpc::unary::{check_sent, failure, respond};
use crate::logging::messages;
use crate::readers::ConnectionId;
use crate::spans::{self, CallSpan};
use crate::tls::CertificateName;

/// Serves one gRPC request, and ends it at its deadline.
pub(crate) async fn serve(
    api: Arc<Api>,
    connection: ConnectionId,
    request: Request<RequestBody>,
) -> Response<ResponseBody> {
    let metadata = Metadata::of(request.headers());
    let deadline = match admission::admit(request.method(), &metadata) {
        Ok(deadline) => deadline,
        Err(refusal) => return *refusal,
    };
    let Some(method) = Method::of(request.uri().path()) else {
        return failure(&unknown(request.uri().path()));
    };
    let span = api.spans.as_ref();
    let span = span.and_then(|spans| spans.begin(method.service(), method.name(), request.headers()));
    let started = api.observer.started(method);
    let ending = Ending { api: api.clone(), method, started, deadline, span: span.clone(), code: None };
    let encoding = match admit(&api, method, &metadata) {
        Ok(encoding) => encoding,
        Err(status) => return ending.fail(&status),
    };
    let wants_leader = wants_leader(&metadata);
    let caller = Caller::of(&metadata, request.extensions().get::<CertificateName>(), connection);
    let call = Call { ending, caller, encoding, wants_leader, body: request.into_body() };
    let served = within(deadline, spans::within(span, dispatch(call))).await;
    served.unwrap_or_else(|| failure(&exceeded()))
}

/// The checks that come before any method's own (contract: semantics, section 1).
fn admit(api: &Api, method: Method, metadata: &Metadata<'_>) -> Result<Encoding, Status> {
    if api.status.is_learner() && !method.is_for_learners() {
        return Err(not_for_learners());
    }
    if api.shared.is_in_doubt() && !method.is_about_the_member() {
        return Err(corrupt());
    }
    let version = metadata.client_version.map(HeaderValue::as_bytes);
    if version.is_some_and(|version| std::str::from_utf8(version).is_err()) {
        return Err(Status::invalid_argument("etcdserver: invalid client api version"));
    }
    api.observer.client(method.kind(), version);
    if wants_leader(metadata) && api.shared.leader().is_none() {
        return Err(no_leader());
    }
    if api.shared.is_stopping() {
        return Err(Status::unavailable("etcdserver: server stopped"));
    }
    api.check_follow(method)?;
    Encoding::of(metadata.encoding)
}

/// Whether the client would rather have an error than an answer of a member without a leader.
fn wants_leader(metadata: &Metadata<'_>) -> bool {
    metadata.has_leader.is_some_and(|value| value == "true")
}

/// `--warning-unary-request-duration`: what an operator searches the log for.
fn warn_if_slow(api: &Api, method: Method, started: Started) {
    let took = started.elapsed();
    if took > api.settings.slow_request {
        tracing::warn!(
            "time spent" = ?took,
            "response type" = format!("/{}/{}", method.service(), method.name()),
            "{}",
            messages::REQUEST_STATS
        );
    }
}

/// A request on its way to a method.
pub(super) struct Call {
    ending: Ending,
    caller: Caller,
    encoding: Encoding,
    wants_leader: bool,
    body: RequestBody,
}

impl Call {
    /// Returns which method is called.
    pub(super) fn method(&self) -> Method {
        self.ending.method
    }

    pub(super) async fn unary<Q, R, F, Fut>(self, serve: F) -> Response<ResponseBody>
    where
        Q: Message + Default,
        R: WireReply,
        F: FnOnce(Arc<Api>, Caller, Q) -> Fut,
        Fut: Future<Output = Result<R, Status>>,
    {
        let Self { mut ending, caller, encoding, body, .. } = self;
        let (api, method, started) = (ending.api.clone(), ending.method, ending.started);
        let receive = spans::stage("receive");
        let received = api.messages(body, encoding).only(|wire| api.check_wire(method, wire)).await;
        drop(receive);
        let reply = match received {
            Ok((request, bytes)) => {
                api.observer.received(method, bytes);
                let authorise = spans::stage("authorise");
                let admitted = api.admit(method, &caller).await;
                drop(authorise);
                match admitted {
                    Ok(()) => serve(api.clone(), caller, request).await,
                    Err(status) => Err(status),
                }
            }
            Err(status) => Err(status),
        };
        let bytes = reply.as_ref().map_or(0, WireReply::wire_len);
        let write = spans::stage("reply");
        let (code, response) = respond(reply, encoding).await;
        drop(write);
        if code == Code::Ok {
            api.observer.sent(method, bytes);
        }
        ending.code = Some(code);
        warn_if_slow(&api, method, started);
        response
    }

    pub(super) async fn server_stream<Q, R, S, F, Fut>(self, serve: F) -> Response<ResponseBody>
    where
        Q: Message + Default + Send + 'static,
        R: WireReply,
        S: Stream<Item = Result<R, Status>> + Send + 'static,
        F: FnOnce(Arc<Api>, Caller, Q) -> Fut,
        Fut: Future<Output = Result<S, Status>>,
    {
        let Self { ending, caller, encoding, body, .. } = self;
        let api = ending.api.clone();
        let stream = match api.messages(body, encoding).only(|_| Ok(())).await {
            Ok((request, bytes)) => {
                api.observer.received(ending.method, bytes);
                match api.admit(ending.method, &caller).await {
                    Ok(()) => serve(api, caller, request).await,
                    Err(status) => Err(status),
                }
            }
            Err(status) => Err(status),
        };
        match stream {
            Ok(stream) => stream_response(ending, encoding, stream),
            Err(status) => ending.fail(&status),
        }
    }

    pub(super) fn bidi_stream<Q, R, S, F>(self, serve: F) -> Response<ResponseBody>
    where
        Q: Message + Default + Send + 'static,
        R: WireReply,
        S: Stream<Item = Result<R, Status>> + Send + 'static,
        F: FnOnce(&Arc<Api>, Caller, Messages<Q>) -> S,
    {
        let Self { ending, caller, encoding, wants_leader, body } = self;
        let api = ending.api.clone();
        let requests = api.messages(body, encoding);
        let stream = UntilEnd::new(&api, serve(&api, caller, requests), wants_leader);
        stream_response(ending, encoding, stream)
    }
}

impl Api {
    /// The messages of a request.
    fn messages<Q: Message + Default>(&self, body: RequestBody, encoding: Encoding) -> Messages<Q> {
        Messages::new(body, encoding, self.settings.receive_bytes_max, &self.unfinished)
    }
}

fn stream_response<R, S>(ending: Ending, encoding: Encoding, stream: S) -> Response<ResponseBody>
where
    R: WireReply,
    S: Stream<Item = Result<R, Status>> + Send + 'static,
{
    let counted = Counted { stream: Box::pin(stream), timer: Timer::new(ending.deadline), ending };
    let body = Replies::new(counted, encoding);
    let mut response = Response::new(ResponseBody::Stream(tonic::body::Body::new(body)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    if encoding == Encoding::Gzip {
        response.headers_mut().insert("grpc-encoding", HeaderValue::from_static("gzip"));
    }
    response
}

/// A stream without an end of its own: it ends when the member leaves, which would otherwise wait for its client, and if
/// the client insists on a leader, when there has been none for a while.
///
/// The status is one that clients resume after: etcd's Go client opens its watches and keepalives anew after `Unavailable`,
/// and as the connection was told to go away before, it does so elsewhere.
pub(crate) struct UntilEnd<S> {
    stream: Pin<Box<S>>,
    end: Pin<Box<dyn Future<Output = Status> + Send>>,
}

/// Election timeouts that a stream endures without a leader, as in etcd.
const LEADERLESS_ELECTIONS: u32 = 3;

impl<S> UntilEnd<S> {
    pub(super) fn new(api: &Arc<Api>, stream: S, wants_leader: bool) -> Self {
        let (shared, worker) = (api.shared.clone(), api.worker.clone());
        let patience = LEADERLESS_ELECTIONS * api.settings.election_timeout;
        let end = async move {
            tokio::select! {
                () = worker.streams_end() => Status::unavailable("etcdserver: server stopped"),
                () = shared.doubted() => corrupt(),
                () = shared.leaderless_for(patience), if wants_leader => no_leader(),
            }
        };
        Self { stream: Box::pin(stream), end: Box::pin(end) }
    }
}

impl<S, R> Stream for UntilEnd<S>
where
    S: Stream<Item = Result<R, Status>>,
{
    type Item = Result<R, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // What is there goes out first.
        match self.stream.as_mut().poll_next(cx) {
            Poll::Pending => {}
            ready => return ready,
        }
        // An error is the last that is asked of a stream, so a future that is done is not polled again.
        let status = ready!(self.end.as_mut().poll(cx));
        Poll::Ready(Some(Err(status)))
    }
}

/// A stream whose messages are counted, and which ends at its deadline or with a message that is too long.
struct Counted<S> {
    stream: Pin<Box<S>>,
    timer: Timer,
    ending: Ending,
}

impl<S, R> Counted<S>
where
    S: Stream<Item = Result<R, Status>>,
    R: WireReply,
{
    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<R, Status>>> {
        // First, as a stream may always have more.
        if self.timer.poll(cx).is_ready() {
            return Poll::Ready(Some(Err(exceeded())));
        }
        let item = ready!(self.stream.as_mut().poll_next(cx));
        Poll::Ready(item.map(|item| item.and_then(|reply| check_sent(reply.wire_len()).map(|()| reply))))
    }
}

impl<S, R> Stream for Counted<S>
where
    S: Stream<Item = Result<R, Status>>,
    R: WireReply,
{
    type Item = Result<R, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = ready!(self.poll_item(cx));
        let ending = &mut self.ending;
        match &item {
            Some(Ok(reply)) => ending.api.observer.sent(ending.method, reply.wire_len()),
            Some(Err(status)) => ending.code = Some(status.code()),
            None => ending.code = Some(Code::Ok),
        }
        Poll::Ready(item)
    }
}

/// Counts a call as handled when it goes, with the code that it ended with. Every call has one, as its future is dropped
/// when the client gives it up, or at its deadline.
struct Ending {
    api: Arc<Api>,
    method: Method,
    started: Started,
    deadline: Option<Deadline>,
    /// `None`: the call is not sampled.
    span: Option<CallSpan>,
    /// `None`, as long as the client or the deadline may end it.
    code: Option<Code>,
}

impl Ending {
    fn fail(mut self, status: &Status) -> Response<ResponseBody> {
        self.code = Some(status.code());
        failure(status)
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let code = self.code.unwrap_or_else(|| given_up(self.deadline));
        self.api.observer.handled(self.method, self.started, code);
        if let Some(span) = &self.span {
            span.end(code);
        }
    }
}
