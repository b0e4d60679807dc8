//! From the path of a request to the method that serves it, and what all methods have in common: metrics, the
//! client's API version, and the leader that a client may insist on.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response};
use hyper::body::Incoming;
use prost::Message;
use tokio_stream::Stream;
use tonic::codec::{Codec, CompressionEncoding, EncodeBody, SingleMessageCompressionOverride};
use tonic::{Code, Status, Streaming};

use super::Api;
use super::method::{Kind, Method, unknown};
use super::status::no_leader;
use crate::grpc::body::ResponseBody;
use crate::grpc::codec::WireCodec;
use crate::grpc::reply::WireReply;
use crate::grpc::unary::{Encoding, failure, read_message, respond};

/// Serves one gRPC request.
pub(crate) async fn serve(api: Arc<Api>, request: Request<Incoming>) -> Response<ResponseBody> {
    let Some(method) = Method::of(request.uri().path()) else {
        return failure(&unknown(request.uri().path()));
    };
    api.metrics.started(method);
    let encoding = match admit(&api, method, request.headers()) {
        Ok(encoding) => encoding,
        Err(status) => return finished(&api, method, status.code(), failure(&status)),
    };
    let call = Call { api, method, encoding, body: request.into_body() };
    match method {
        Method::Range => call.unary(|api, q| async move { api.range(q).await }).await,
        Method::Put => call.unary(|api, q| async move { api.put(q).await }).await,
        Method::Txn => call.unary(|api, q| async move { api.txn(q).await }).await,
        Method::DeleteRange => call.unary(|api, q| async move { api.delete_range(q).await }).await,
        Method::RangeStream => {
            call.server_stream(|api, q| async move { api.range_stream(q).await }).await
        }
        Method::Compact => call.unary(|api, q| async move { api.compact(q).await }).await,
        Method::Watch => call.bidi_stream(|api, requests| api.watch(requests)),
        Method::LeaseGrant => call.unary(|api, q| async move { api.lease_grant(q).await }).await,
        Method::LeaseRevoke => call.unary(|api, q| async move { api.lease_revoke(q).await }).await,
        Method::LeaseKeepAlive => call.bidi_stream(|api, requests| api.lease_keep_alive(requests)),
        Method::LeaseTimeToLive => call.unary(|api, q| async move { api.lease_time_to_live(q).await }).await,
        Method::LeaseLeases => call.unary(|api, q| async move { api.lease_leases(q).await }).await,
        Method::MemberList => call.unary(|api, q| async move { api.member_list(q).await }).await,
        Method::Alarm => call.unary(|api, q| async move { api.alarm(q).await }).await,
        Method::Status => call.unary(|api, q| async move { api.status(q).await }).await,
        Method::Defragment => call.unary(|api, q| async move { api.defragment(q).await }).await,
        Method::Hash => call.unary(|api, q| async move { api.hash(q).await }).await,
        Method::HashKv => call.unary(|api, q| async move { api.hash_kv(q).await }).await,
        Method::HealthCheck => call.unary(|api, q| async move { api.health_check(q).await }).await,
        Method::HealthWatch => {
            call.server_stream(|api, q| async move { Ok(api.health_watch(q)) }).await
        }
        Method::HealthList => call.unary(|api, q| async move { api.health_list(q).await }).await,
    }
}

/// The checks that come before any method's own (contract: semantics, section 1).
fn admit(api: &Api, method: Method, headers: &HeaderMap) -> Result<Encoding, Status> {
    let version = match headers.get("client-api-version") {
        None => "unknown",
        Some(value) => std::str::from_utf8(value.as_bytes())
            .map_err(|_| Status::invalid_argument("etcdserver: invalid client api version"))?,
    };
    api.metrics.client_request(method.kind() == Kind::Unary, version);
    let wants_leader = headers.get("hasleader").is_some_and(|value| value == "true");
    if wants_leader && api.shared.leader.load(Ordering::Relaxed) == 0 {
        return Err(no_leader());
    }
    if api.shared.stopping.load(Ordering::Relaxed) {
        return Err(Status::unavailable("etcdserver: server stopped"));
    }
    Encoding::of(headers)
}

fn finished(
    api: &Api,
    method: Method,
    code: Code,
    response: Response<ResponseBody>,
) -> Response<ResponseBody> {
    api.metrics.handled(method, code);
    response
}

/// A request on its way to a method.
struct Call {
    api: Arc<Api>,
    method: Method,
    encoding: Encoding,
    body: Incoming,
}

impl Call {
    async fn unary<Q, R, F, Fut>(self, serve: F) -> Response<ResponseBody>
    where
        Q: Message + Default,
        R: WireReply,
        F: FnOnce(Arc<Api>, Q) -> Fut,
        Fut: Future<Output = Result<R, Status>>,
    {
        let Self { api, method, encoding, body } = self;
        let reply = match read_message(body, encoding, api.settings.receive_bytes_max).await {
            Ok(request) => serve(api.clone(), request).await,
            Err(status) => Err(status),
        };
        let (code, response) = respond(reply, encoding);
        finished(&api, method, code, response)
    }

    async fn server_stream<Q, R, S, F, Fut>(self, serve: F) -> Response<ResponseBody>
    where
        Q: Message + Default + Send + 'static,
        R: WireReply,
        S: Stream<Item = Result<R, Status>> + Send + 'static,
        F: FnOnce(Arc<Api>, Q) -> Fut,
        Fut: Future<Output = Result<S, Status>>,
    {
        let Self { api, method, encoding, body } = self;
        let stream = match read_message(body, encoding, api.settings.receive_bytes_max).await {
            Ok(request) => serve(api.clone(), request).await,
            Err(status) => Err(status),
        };
        match stream {
            Ok(stream) => stream_response::<Q, R, S>(api, method, encoding, stream),
            Err(status) => finished(&api, method, status.code(), failure(&status)),
        }
    }

    fn bidi_stream<Q, R, S, F>(self, serve: F) -> Response<ResponseBody>
    where
        Q: Message + Default + Send + 'static,
        R: WireReply,
        S: Stream<Item = Result<R, Status>> + Send + 'static,
        F: FnOnce(&Arc<Api>, Streaming<Q>) -> S,
    {
        let Self { api, method, encoding, body } = self;
        let decoder = WireCodec::<Q, R>::default().decoder();
        let limit = Some(api.settings.receive_bytes_max);
        let requests = Streaming::new_request(decoder, body, compression(encoding), limit);
        let stream = serve(&api, requests);
        stream_response::<Q, R, S>(api, method, encoding, stream)
    }
}

fn compression(encoding: Encoding) -> Option<CompressionEncoding> {
    match encoding {
        Encoding::Identity => None,
        Encoding::Gzip => Some(CompressionEncoding::Gzip),
    }
}

fn stream_response<Q, R, S>(
    api: Arc<Api>,
    method: Method,
    encoding: Encoding,
    stream: S,
) -> Response<ResponseBody>
where
    Q: Message + Default + Send + 'static,
    R: WireReply,
    S: Stream<Item = Result<R, Status>> + Send + 'static,
{
    let encoder = WireCodec::<Q, R>::default().encoder();
    let counted = Counted { stream: Box::pin(stream), api, method, code: Code::Canceled };
    let body = EncodeBody::new_server(
        encoder,
        counted,
        compression(encoding),
        SingleMessageCompressionOverride::default(),
        Some(usize::MAX),
    );
    let mut response = Response::new(ResponseBody::Stream(tonic::body::Body::new(body)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    if encoding == Encoding::Gzip {
        response.headers_mut().insert("grpc-encoding", HeaderValue::from_static("gzip"));
    }
    response
}

/// Counts a stream as handled when it ends, with the code that it ends with.
struct Counted<S> {
    stream: std::pin::Pin<Box<S>>,
    api: Arc<Api>,
    method: Method,
    /// `Canceled`, when the client goes away first.
    code: Code,
}

impl<S, R> Stream for Counted<S>
where
    S: Stream<Item = Result<R, Status>>,
{
    type Item = Result<R, Status>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        let item = std::task::ready!(self.stream.as_mut().poll_next(cx));
        match &item {
            Some(Ok(_)) => self.api.metrics.message_sent(self.method),
            Some(Err(status)) => self.code = status.code(),
            None => self.code = Code::Ok,
        }
        std::task::Poll::Ready(item)
    }
}

impl<S> Drop for Counted<S> {
    fn drop(&mut self) {
        self.api.metrics.handled(self.method, self.code);
    }
}
