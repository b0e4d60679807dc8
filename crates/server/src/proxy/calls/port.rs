//! What the port of the proxy answers: a call by its method, and HTTP beside it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use engine::wire::WireReply;
use futures_util::Stream;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use prost::Message;
use proto::etcdserverpb::MemberListRequest;
use tokio::sync::watch;
use tonic::{Code, Status};

use super::caller::Caller;
use super::cluster::Cluster;
use super::kv::Kv;
use super::lease::Leases;
use super::raw::Raw;
use super::upstream::{Call, Upstream};
use super::{http as about, watch as watches};
use crate::api::method::{Kind, Method, unknown};
use crate::api::observe::{Observer, Started};
use crate::grpc::admission::{self, looks_like_grpc};
use crate::grpc::body::ResponseBody;
use crate::grpc::deadline::{Deadline, Timer, exceeded, given_up, within};
use crate::grpc::encoding::Encoding;
use crate::grpc::messages::Messages;
use crate::grpc::metadata::Metadata;
use crate::grpc::replies::Replies;
use crate::grpc::reply::Plain;
use crate::grpc::request_body::RequestBody;
use crate::grpc::unary::{failure, respond};
use crate::metrics::Metrics;
use crate::net::backlog::Backlog;
use crate::net::connection::stopped;

/// A proxy of calls.
pub(super) struct Proxy {
    pub(super) upstream: Arc<Upstream>,
    pub(super) kv: Kv,
    pub(super) watches: Arc<watches::Hub>,
    pub(super) leases: Arc<Leases>,
    pub(super) cluster: Arc<Cluster>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) observer: Observer,
    /// Request messages of all clients that have come in part.
    pub(super) unfinished: Arc<Backlog>,
    /// Longest request message taken.
    pub(super) request_bytes_max: usize,
    pub(super) logs_calls: bool,
    /// Says when streams without an end of their own end.
    pub(super) streams_end: watch::Receiver<bool>,
    /// Whether there is an address that a check of the proxy itself could ask.
    pub(super) is_advertised: bool,
}

impl Proxy {
    /// Answers a request: a call, or HTTP.
    pub(super) async fn respond(self: Arc<Self>, request: Request<Incoming>) -> Response<ResponseBody> {
        let is_http2 = request.version() == Version::HTTP_2;
        if is_http2 && looks_like_grpc(request.headers()) {
            return Box::pin(self.serve(request.map(RequestBody::Client))).await;
        }
        self.respond_http(request).await
    }

    /// Answers a request on an address that is for HTTP alone.
    pub(super) async fn respond_http(self: Arc<Self>, request: Request<Incoming>) -> Response<ResponseBody> {
        let (head, _) = request.into_parts();
        about::respond(&self, &head).await.map(ResponseBody::Http)
    }

    async fn serve(self: Arc<Self>, request: Request<RequestBody>) -> Response<ResponseBody> {
        let metadata = Metadata::of(request.headers());
        let deadline = match admission::admit(request.method(), &metadata) {
            Ok(deadline) => deadline,
            Err(refusal) => return *refusal,
        };
        let Some(method) = Method::of(request.uri().path()) else {
            return failure(&unknown(request.uri().path()));
        };
        let started = self.observer.started(method);
        let ending = Ending { proxy: self.clone(), method, started, deadline, code: None };
        let encoding = match Encoding::of(metadata.encoding) {
            Ok(encoding) => encoding,
            Err(status) => return ending.fail(&status),
        };
        let (caller, timeout) = (Caller::of(&metadata), metadata.timeout.cloned());
        if matches!(method, Method::Watch | Method::LeaseKeepAlive) && caller.is_too_long() {
            return ending.fail(&Status::unauthenticated("etcdserver: invalid auth token"));
        }
        let request = Arrived { ending, caller, timeout, encoding, body: request.into_body() };
        let answer = async {
            match method {
                Method::Watch => request.watch(),
                Method::LeaseKeepAlive => request.keep_alive(),
                _ if method.kind() == Kind::Unary => request.unary().await,
                _ => request.server_stream().await,
            }
        };
        within(deadline, answer).await.unwrap_or_else(|| failure(&exceeded()))
    }

    /// Makes a call with one message each way.
    pub(super) async fn unary(&self, method: Method, call: Call<'_>, message: Raw) -> Result<Raw, Status> {
        match method.service() {
            _ if changes_more(method) => {
                // When it begins, and when it has ended, or its client has given it up.
                let _forgetting = self.kv.forgetting();
                match method {
                    Method::LeaseRevoke => self.leases.call(method, call, message).await,
                    _ => self.upstream.unary(method, call, message).await,
                }
            }
            "etcdserverpb.KV" => self.kv.call(method, call, message).await,
            "etcdserverpb.Lease" => self.leases.call(method, call, message).await,
            _ => match (method, self.cluster.members()) {
                (Method::MemberList, Some(members)) => {
                    MemberListRequest::decode(message.0).map_err(|error| {
                        Status::internal(format!("grpc: error unmarshalling request: {error}"))
                    })?;
                    Ok(Raw::of(&members))
                }
                _ => self.upstream.unary(method, call, message).await,
            },
        }
    }
}

/// Returns whether a call changes keys that it does not name, or who may read them.
fn changes_more(method: Method) -> bool {
    matches!(
        method,
        Method::AuthEnable
            | Method::LeaseRevoke
            | Method::Lock
            | Method::Unlock
            | Method::Campaign
            | Method::Proclaim
            | Method::Resign
    )
}

/// A call that has come.
struct Arrived {
    ending: Ending,
    caller: Caller,
    timeout: Option<HeaderValue>,
    encoding: Encoding,
    body: RequestBody,
}

impl Arrived {
    async fn unary(self) -> Response<ResponseBody> {
        let Self { mut ending, caller, timeout, encoding, body } = self;
        let (proxy, method) = (ending.proxy.clone(), ending.method);
        let reply = match proxy.messages(body, encoding).only(|_| Ok(())).await {
            Ok((message, bytes)) => {
                proxy.observer.received(method, bytes);
                let call = Call { caller: &caller, timeout: timeout.as_ref() };
                proxy.unary(method, call, message).await
            }
            Err(status) => Err(status),
        };
        let bytes = reply.as_ref().map_or(0, |reply| reply.0.len());
        let (code, response) = respond(reply.map(Plain), encoding).await;
        if code == Code::Ok {
            proxy.observer.sent(method, bytes);
        }
        ending.code = Some(code);
        response
    }

    async fn server_stream(self) -> Response<ResponseBody> {
        let Self { ending, caller, timeout, encoding, body } = self;
        let (proxy, method) = (ending.proxy.clone(), ending.method);
        if method == Method::RangeStream {
            return ending.fail(&Status::unimplemented("RangeStream is not supported by the gRPC proxy"));
        }
        let (message, bytes) = match proxy.messages::<Raw>(body, encoding).only(|_| Ok(())).await {
            Ok(message) => message,
            Err(status) => return ending.fail(&status),
        };
        proxy.observer.received(method, bytes);
        let call = Call { caller: &caller, timeout: timeout.as_ref() };
        match proxy.upstream.open(method, call, message).await {
            Ok(answer) => {
                let is_ended = answer.headers().contains_key("grpc-status");
                let end = end_of(&proxy);
                let passed = Passed { body: answer.into_body(), is_ended, end, ending };
                stream_of(tonic::body::Body::new(passed), None)
            }
            Err(status) => ending.fail(&status),
        }
    }

    fn watch(self) -> Response<ResponseBody> {
        let proxy = self.ending.proxy.clone();
        let replies = proxy.watches.watch(self.caller, proxy.messages(self.body, self.encoding));
        replies_of(self.ending, self.encoding, replies)
    }

    fn keep_alive(self) -> Response<ResponseBody> {
        let proxy = self.ending.proxy.clone();
        let replies = proxy.leases.keep_alive(self.caller, proxy.messages(self.body, self.encoding));
        replies_of(self.ending, self.encoding, replies)
    }
}

impl Proxy {
    fn messages<Q: Message + Default>(&self, body: RequestBody, encoding: Encoding) -> Messages<Q> {
        Messages::new(body, encoding, self.request_bytes_max, &self.unfinished)
    }
}

fn stream_of(body: tonic::body::Body, encoding: Option<&'static str>) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::Stream(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    if let Some(encoding) = encoding {
        response.headers_mut().insert("grpc-encoding", HeaderValue::from_static(encoding));
    }
    response
}

fn replies_of<R, S>(ending: Ending, encoding: Encoding, replies: S) -> Response<ResponseBody>
where
    R: WireReply,
    S: Stream<Item = Result<R, Status>> + Send + 'static,
{
    let end = end_of(&ending.proxy);
    let counted = Counted { replies: Box::pin(replies), timer: Timer::new(ending.deadline), end, ending };
    let body = tonic::body::Body::new(Replies::new(counted, encoding));
    stream_of(body, (encoding == Encoding::Gzip).then_some("gzip"))
}

/// What is ready when streams end.
type End = Pin<Box<dyn Future<Output = ()> + Send>>;

fn end_of(proxy: &Proxy) -> End {
    let mut end = proxy.streams_end.clone();
    Box::pin(async move { stopped(&mut end).await })
}

fn stopping() -> Status {
    Status::unavailable("the proxy is stopping")
}

/// Replies that are counted, and that end at the deadline of the call or with the proxy.
struct Counted<R> {
    replies: Pin<Box<dyn Stream<Item = Result<R, Status>> + Send>>,
    timer: Timer,
    end: End,
    ending: Ending,
}

impl<R: WireReply> Stream for Counted<R> {
    type Item = Result<R, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let item = if this.timer.poll(cx).is_ready() {
            Some(Err(exceeded()))
        } else if this.end.as_mut().poll(cx).is_ready() {
            Some(Err(stopping()))
        } else {
            ready!(this.replies.as_mut().poll_next(cx))
        };
        match &item {
            Some(Ok(reply)) => this.ending.proxy.observer.sent(this.ending.method, reply.wire_len()),
            Some(Err(status)) => this.ending.code = Some(status.code()),
            None => this.ending.code = Some(Code::Ok),
        }
        Poll::Ready(item)
    }
}

/// The body of a member's answer on its way to the client. One that breaks off, or that the proxy does not live to see the end of,
/// ends with a status.
struct Passed {
    body: client::Answer,
    /// The head of the answer had its status, a good one: there is nothing in it.
    is_ended: bool,
    end: End,
    ending: Ending,
}

impl Body for Passed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.ending.code.is_some() {
            return Poll::Ready(None);
        }
        let trailers = if self.end.as_mut().poll(cx).is_ready() {
            trailers_of(&stopping())
        } else {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_trailers() {
                    Ok(trailers) => trailers,
                    Err(data) => return Poll::Ready(Some(Ok(data))),
                },
                Some(Err(status)) => trailers_of(&status),
                None if self.is_ended => trailers_of(&Status::ok("")),
                None => trailers_of(&Status::unavailable("the member has ended the stream without a status")),
            }
        };
        let code = Status::from_header_map(&trailers).map_or(Code::Unknown, |status| status.code());
        self.ending.code = Some(code);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}

fn trailers_of(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if status.add_header(&mut trailers).is_err() {
        trailers.insert("grpc-status", HeaderValue::from_static("13"));
    }
    trailers
}

/// Counts a call as handled when it goes, with the code that it ended with.
struct Ending {
    proxy: Arc<Proxy>,
    method: Method,
    started: Started,
    deadline: Option<Deadline>,
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
        self.proxy.observer.handled(self.method, self.started, code);
        if self.proxy.logs_calls {
            // What is in a call is nobody's business: it may be a password.
            let (service, method) = (self.method.service(), self.method.name());
            tracing::info!("grpc.service" = service, "grpc.method" = method, "grpc.code" = ?code, "finished call");
        }
    }
}
