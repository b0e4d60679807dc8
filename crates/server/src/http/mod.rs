//! Plain HTTP: versions, health, metrics.
//!
//! [`Http::handle`] is a function from a request's head to a response and knows no sockets: the accept loop mounts it beside gRPC on the
//! client port (whatever is not `application/grpc` comes here), alone on the HTTP and metrics ports, and a test calls it
//! directly. No request's body is ever read: everything here is asked for by path and query alone.
//!
//! What it asks of the member goes through [`HealthProbe`].

pub(crate) mod encoding;
mod health;
pub mod probe;
mod profile;
mod query;
pub(crate) mod reply;

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, Version, header};
use http_body_util::Full;

pub use probe::{Alarm, Consistency, HealthProbe, RaftStatus, ReadFailure, Versions};

use crate::config::{Allowed, HttpAccess};
use crate::logging::{messages, shown};
use crate::metrics::{self, Metrics};
use crate::tls::Encrypted;
use crate::version;

/// Which listener a request came in on: they serve different paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    /// `--listen-client-urls` or `--listen-client-http-urls`: everything, behind the access rules.
    Client,
    /// `--listen-metrics-urls`: metrics and health, for everybody.
    Metrics,
    /// `--listen-peer-urls`: the version.
    Peer,
}

/// A body that is all there.
pub type Body = Full<Bytes>;

/// The HTTP side of a member. Cheap to clone.
#[derive(Debug)]
pub struct Http<P> {
    probe: Arc<P>,
    metrics: Arc<Metrics>,
    access: Arc<HttpAccess>,
}

impl<P> Clone for Http<P> {
    fn clone(&self) -> Http<P> {
        Http {
            probe: Arc::clone(&self.probe),
            metrics: Arc::clone(&self.metrics),
            access: Arc::clone(&self.access),
        }
    }
}

impl<P: HealthProbe> Http<P> {
    /// HTTP on top of a member.
    pub fn new(probe: Arc<P>, metrics: Arc<Metrics>, access: HttpAccess) -> Http<P> {
        Http { probe, metrics, access: Arc::new(access) }
    }

    /// Answers one request. `head` is its head: `request.into_parts().0`.
    pub async fn handle(&self, surface: Surface, head: &Parts) -> Response<Body> {
        if let Some(reason) = unclear_host(head) {
            return reply::bad_request(reason);
        }
        match surface {
            Surface::Client => self.handle_client(head).await,
            Surface::Metrics | Surface::Peer => self.route(surface, head).await,
        }
    }

    /// The access rules of the client port, then the path. With TLS any host will do, as in etcd: a browser that was led
    /// here by a name of somebody else's does not accept the certificate.
    async fn handle_client(&self, head: &Parts) -> Response<Body> {
        if let Some(refusal) = self.refusal_of_host(head) {
            return refusal;
        }
        let mut response = match head.method {
            // A preflight request: the headers are the answer.
            Method::OPTIONS => reply::empty(StatusCode::OK),
            _ => self.route(Surface::Client, head).await,
        };
        self.allow_origin(head, &mut response);
        response
    }

    /// Returns the answer to a request on the client port that is not to be served here, but has been answered already:
    /// because of its host, or because it only asks what is allowed.
    pub fn answered_before_all(&self, head: &Parts) -> Option<Response<Body>> {
        if let Some(reason) = unclear_host(head) {
            return Some(reply::bad_request(reason));
        }
        let refusal = self.refusal_of_host(head);
        refusal.or_else(|| {
            (head.method == Method::OPTIONS).then(|| {
                let mut response = reply::empty(StatusCode::OK);
                self.allow_origin(head, &mut response);
                response
            })
        })
    }

    fn refusal_of_host(&self, head: &Parts) -> Option<Response<Body>> {
        let host = host_of(head);
        let is_encrypted = head.extensions.get::<Encrypted>().is_some();
        if is_encrypted || self.access.hosts.allows(host) {
            return None;
        }
        let host = shown(host);
        tracing::warn!(host, "{}", messages::REJECTING_HOST);
        Some(reply::error(StatusCode::MISDIRECTED_REQUEST, &misdirected(host)))
    }

    /// Says in a response that a page of the request's origin may read it, if it may.
    pub fn allow_origin<B>(&self, head: &Parts, response: &mut Response<B>) {
        if let Some(origin) = self.allowed_origin(head) {
            reply::allow_origin(response, origin);
        }
    }

    fn allowed_origin(&self, head: &Parts) -> Option<HeaderValue> {
        match &self.access.cors {
            Allowed::All => Some(HeaderValue::from_static("*")),
            only => {
                let origin = head.headers.get(header::ORIGIN)?;
                origin.to_str().is_ok_and(|origin| only.allows(origin)).then(|| origin.clone())
            }
        }
    }

    async fn route(&self, surface: Surface, head: &Parts) -> Response<Body> {
        let path = head.uri.path();
        if let Some(name) = self.profile_of(surface, path) {
            return profile::respond(name, head).await;
        }
        match (surface, path) {
            (Surface::Client | Surface::Peer, "/version") => reply::only_get(head, || self.version()),
            (Surface::Client, "/debug/vars") => reply::only_get(head, || self.debug_vars()),
            (Surface::Peer, _) => reply::not_found(),
            (_, "/metrics") => self.exposition(head).await,
            (_, "/health") => self.health(head).await,
            (_, path) => match health::checks_of(path) {
                Some(checks) => self.checks(head, checks).await,
                None => reply::not_found(),
            },
        }
    }

    /// Returns which profile a path asks for, if profiles are served.
    fn profile_of<'a>(&self, surface: Surface, path: &'a str) -> Option<&'a str> {
        let is_served = self.access.profiles && surface == Surface::Client;
        is_served.then(|| profile::name_of(path)).flatten()
    }

    fn version(&self) -> Response<Body> {
        let Versions { cluster, storage } = self.probe.versions();
        let body = format!(
            "{{\"etcdserver\":\"{}\",\"etcdcluster\":\"{}\",\"storage\":\"{}\"}}",
            version::ETCD,
            cluster.as_deref().unwrap_or(version::NOT_DECIDED),
            storage.as_deref().unwrap_or("unknown"),
        );
        reply::of_type("application/json", body)
    }

    /// Any method will do, as in etcd.
    async fn exposition(&self, head: &Parts) -> Response<Body> {
        let scrape = self.metrics.scrapes.begin();
        let text = self.metrics.exposition();
        drop(scrape);
        if encoding::takes_gzip(&head.headers) {
            return encoding::gzip(metrics::text::CONTENT_TYPE, text).await;
        }
        reply::of_type(metrics::text::CONTENT_TYPE, text)
    }

    /// The two variables that tools read. The command line, which etcd shows here as well, may hold secrets and is left out.
    fn debug_vars(&self) -> Response<Body> {
        let limit = metrics::open_files_limit().unwrap_or(0.0);
        let status = self.probe.raft_status().to_json();
        let body = format!("{{\n\"file_descriptor_limit\": {limit},\n\"raft.status\": {status}\n}}\n");
        reply::of_type("application/json; charset=utf-8", body)
    }
}

/// Returns why a request does not say which host it is for: in HTTP/1.1 it must name exactly one (RFC 9112, section 3.2), and
/// of two, the rule about hosts could look at one and a proxy in front at the other.
fn unclear_host(head: &Parts) -> Option<&'static str> {
    match head.headers.get_all(header::HOST).iter().count() {
        0 if head.version == Version::HTTP_11 && head.method != Method::CONNECT => {
            Some(": missing required Host header")
        }
        0 | 1 => None,
        _ => Some(""),
    }
}

/// The host that a request is for, without its port: the `Host` header, or HTTP/2's `:authority`.
fn host_of(head: &Parts) -> &str {
    let named = head.uri.authority().map(|authority| authority.as_str());
    let host = named.or_else(|| head.headers.get(header::HOST)?.to_str().ok()).unwrap_or("");
    match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or(v6),
        None => host.split(':').next().unwrap_or(host),
    }
}

fn misdirected(host: &str) -> String {
    format!(
        "\nThis member does not answer requests for the host {host:?}.\n\nA web page can make a browser send requests to a \
         server that only listens on localhost, by pointing\na name of its own at it (\"DNS rebinding\", CVE-2018-5702). \
         To allow this host, name it:\n  --host-whitelist {host:?}\n"
    )
}

#[cfg(test)]
mod tests;
