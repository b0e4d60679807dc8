//! HTTP: `/health` and `/metrics` are about the members, `/proxy/health` and `/proxy/metrics` about the proxy.

use std::sync::Arc;

use ::http::request::Parts;
use ::http::{Method, Request, Response, StatusCode, header};
use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use proto::etcdserverpb::RangeRequest;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{WatchCreateRequest, WatchRequest};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::super::limits::{DIAL_TIMEOUT, HEALTH_TIMEOUT, HEALTH_WATCH_TIMEOUT, METRICS_BYTES_MAX};
use super::caller::Caller;
use super::port::Proxy;
use super::raw::Raw;
use super::upstream::Call;
use crate::api::method;
use crate::grpc::encoding::Encoding;
use crate::grpc::messages::Messages;
use crate::grpc::request_body::{RequestBody, frame_of};
use crate::http::{Body, reply};
use crate::logging::messages;
use crate::tls::Encrypted;

/// Answers a request.
pub(super) async fn respond(proxy: &Arc<Proxy>, head: &Parts) -> Response<Body> {
    match head.uri.path() {
        "/metrics" => member_metrics(proxy, head).await,
        "/proxy/metrics" => reply::of_type(metrics::text::CONTENT_TYPE, proxy.metrics.exposition_of_proxy()),
        "/health" => health(head, member_health(proxy)).await,
        "/proxy/health" => health(head, proxy_health(proxy)).await,
        _ => reply::not_found(),
    }
}

/// Answers whether something is well; if not, `check` says why.
async fn health(head: &Parts, check: impl Future<Output = Result<(), String>>) -> Response<Body> {
    if head.method != Method::GET {
        return reply::method_not_allowed();
    }
    let json =
        |health: &str, reason: &str| serde_json::json!({ "health": health, "reason": reason }).to_string();
    match check.await {
        Ok(()) => reply::of_type("text/plain; charset=utf-8", json("true", "")),
        Err(reason) => {
            let output = json("false", &reason);
            tracing::warn!(output, "status-code" = 503, "{}", messages::HEALTH_ERROR);
            reply::error(StatusCode::SERVICE_UNAVAILABLE, &output)
        }
    }
}

/// Reads a key from the members.
async fn member_health(proxy: &Arc<Proxy>) -> Result<(), String> {
    let caller = Caller::default();
    let call = Call { caller: &caller, timeout: None };
    let message = Raw::of(&RangeRequest { key: "a".into(), ..Default::default() });
    let read = proxy.unary(method::Method::Range, call, message);
    let answer = tokio::time::timeout(HEALTH_TIMEOUT, read).await;
    match answer {
        Err(_) => Err("GET ERROR:context deadline exceeded".to_owned()),
        Ok(Err(status)) if status.message() != "etcdserver: permission denied" => {
            Err(format!("GET ERROR:{}", status.message()))
        }
        Ok(_) => Ok(()),
    }
}

/// Reads a key as a client of the proxy, and watches it.
async fn proxy_health(proxy: &Arc<Proxy>) -> Result<(), String> {
    if !proxy.is_advertised {
        return Err("no connection to proxy".to_owned());
    }
    member_health(proxy).await?;
    let create = WatchCreateRequest { key: "a".into(), ..Default::default() };
    let create = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
    let requests = futures_util::stream::iter([frame_of(&create)]);
    let body = RequestBody::of_frames(requests);
    let requests = Messages::new(body, Encoding::Identity, proxy.request_bytes_max, &proxy.unfinished);
    let mut replies = proxy.watches.watch(Caller::default(), requests);
    let first = tokio::time::timeout(HEALTH_WATCH_TIMEOUT, replies.next()).await;
    first.map(drop).map_err(|_| "WATCH TIMEOUT".to_owned())
}

/// Answers with the metrics of a member.
async fn member_metrics(proxy: &Arc<Proxy>, head: &Parts) -> Response<Body> {
    let is_encrypted = head.extensions.get::<Encrypted>().is_some();
    let fetched = tokio::time::timeout(DIAL_TIMEOUT, fetch(proxy, is_encrypted)).await;
    match fetched.unwrap_or_else(|_| Err("i/o timeout".to_owned())) {
        Ok(text) => reply::of_type("text/plain; version=0.0.4", text),
        Err(why) => {
            tracing::debug!(error = why, "the metrics of a member cannot be had");
            reply::error(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error")
        }
    }
}

/// Fetches the metrics of the first member.
async fn fetch(proxy: &Proxy, is_encrypted: bool) -> Result<Bytes, String> {
    let endpoints = proxy.upstream.client().endpoints();
    let endpoint = endpoints.first().ok_or("no endpoints")?;
    let (is_secure, place) = match endpoint.split_once("://") {
        Some((scheme, rest)) => (scheme.ends_with('s'), rest.split('/').next().unwrap_or(rest)),
        None => (is_encrypted, endpoint.as_str()),
    };
    let socket = TcpStream::connect(place).await.map_err(|error| error.to_string())?;
    if !is_secure {
        return get(place, socket).await;
    }
    let tls = proxy.upstream.tls().clone();
    let config =
        tokio::task::spawn_blocking(move || tls.config()).await.map_err(|error| error.to_string())?;
    let mut config = rustls::ClientConfig::clone(&*config.map_err(|error| error.to_string())?);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let host = place.rsplit_once(':').map_or(place, |(host, _)| host).trim_matches(['[', ']']);
    let name = host
        .to_owned()
        .try_into()
        .map_err(|_| format!("{host:?} is no host that a certificate could name"))?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await;
    get(place, stream.map_err(|error| error.to_string())?).await
}

async fn get<S>(place: &str, stream: S) -> Result<Bytes, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let driver = tokio::spawn(connection);
    let request = Request::get("/metrics").header(header::HOST, place).body(Empty::<Bytes>::new());
    let request = request.map_err(|error| error.to_string())?;
    let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let body = Limited::new(answer.into_body(), METRICS_BYTES_MAX).collect().await;
    driver.abort();
    body.map(http_body_util::Collected::to_bytes).map_err(|error| error.to_string())
}
