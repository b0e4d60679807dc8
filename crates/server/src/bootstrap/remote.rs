//! Asking the members of a running cluster, over HTTP or HTTPS on their peer ports.
//!
//! What comes back is another program's word: its size is bounded, the time for it too, and nothing in it can do more than
//! fail a check.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use super::BootstrapError;
use crate::config::Url;
use crate::ids::ClusterId;
use crate::limits::PEER_ANSWER_BYTES_MAX;
use crate::net::dial::dial;
use crate::tls::{ConnectError, Connector, reason_behind};

/// Says on `/members` which peer protocol is spoken there. A member that joins looks for it: one of etcd would take it into
/// its list and then wait for messages for ever.
pub(crate) const PROTOCOL_HEADER: &str = "x-quorate-peer-protocol";

/// The peer protocol of this version.
pub(crate) const PROTOCOL: &str = "1";

const CLUSTER_ID_HEADER: &str = "x-etcd-cluster-id";

/// The members of a cluster, as one of them sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Members {
    pub(super) cluster: ClusterId,
    /// By id.
    pub(super) members: Vec<RemoteMember>,
    /// Whether whoever answered speaks our peer protocol.
    pub(super) is_our_kind: bool,
}

/// A member in etcd's JSON.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct RemoteMember {
    pub(super) id: u64,
    #[serde(rename = "peerURLs", default)]
    pub(super) peer_urls: Vec<String>,
    #[serde(rename = "isLearner", default)]
    pub(super) is_learner: bool,
    #[serde(default)]
    pub(super) name: String,
    #[serde(rename = "clientURLs", default)]
    pub(super) client_urls: Vec<String>,
}

/// The versions that a member reports.
#[derive(Debug, Deserialize)]
struct Versions {
    etcdserver: String,
    etcdcluster: String,
}

/// Why an answer is of no use.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error(transparent)]
    Tls(#[from] ConnectError),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("{0}")]
    Connect(#[from] std::io::Error),
    #[error("{0}")]
    Http(String),
    #[error("the answer cannot be read: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    #[error("the answer is not what it should be: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the answer names no cluster")]
    ClusterId,
}

impl From<hyper::Error> for AskError {
    fn from(error: hyper::Error) -> Self {
        AskError::Http(reason_behind(&error))
    }
}

/// The answers of all that answer in time, in the order of `urls`.
pub(super) async fn ask_all(connector: &Arc<Connector>, urls: &[Url], timeout: Duration) -> Vec<Members> {
    let mut asked = JoinSet::new();
    for (place, url) in urls.iter().cloned().enumerate() {
        let connector = connector.clone();
        asked.spawn(async move { (place, members(&connector, &url, timeout).await) });
    }
    let mut answers: Vec<_> = asked.join_all().await;
    answers.sort_by_key(|(place, _)| *place);
    let heard = |(place, answer): (usize, Result<Members, AskError>)| match answer {
        Ok(members) => Some(members),
        Err(error) => {
            // Members that start together are not there yet; but one that cannot be verified is worth a line.
            let address = format!("{}/members", urls[place]);
            tracing::debug!(address, %error, "failed to get cluster response");
            None
        }
    };
    answers.into_iter().filter_map(heard).collect()
}

/// The answer of the first that answers.
pub(super) async fn ask_one_of(
    connector: &Arc<Connector>,
    urls: &[Url],
    timeout: Duration,
) -> Result<Members, BootstrapError> {
    for url in urls {
        match members(connector, url, timeout).await {
            Ok(cluster) if cluster.members.is_empty() => {
                let empty = "failed to get raft cluster member(s) from the given URLs";
                return Err(BootstrapError::Fetch(empty));
            }
            Ok(cluster) => return Ok(cluster),
            Err(error) => {
                let address = format!("{url}/members");
                tracing::warn!(address, %error, "failed to get cluster response");
            }
        }
    }
    Err(BootstrapError::Fetch("could not retrieve cluster information from the given URLs"))
}

/// The cluster version that a member reports; `None` if it reports none.
pub(super) async fn cluster_version(
    connector: &Arc<Connector>,
    urls: &[String],
    timeout: Duration,
) -> Option<String> {
    versions(connector, urls, timeout).await.map(|versions| versions.etcdcluster)
}

/// The version of a member itself; `None` if it reports none.
pub(crate) async fn server_version(
    connector: &Arc<Connector>,
    urls: &[String],
    timeout: Duration,
) -> Option<String> {
    versions(connector, urls, timeout).await.map(|versions| versions.etcdserver)
}

async fn versions(connector: &Arc<Connector>, urls: &[String], timeout: Duration) -> Option<Versions> {
    for url in urls.iter().filter_map(|url| Url::parse(url).ok()) {
        let answered = get(connector, &url, "/version", timeout).await;
        match answered.and_then(|(_, body)| Ok(serde_json::from_slice::<Versions>(&body)?)) {
            Ok(versions) => return Some(versions),
            Err(error) => {
                let address = format!("{url}/version");
                tracing::warn!(address, %error, "failed to reach the peer URL");
            }
        }
    }
    None
}

async fn members(connector: &Arc<Connector>, url: &Url, timeout: Duration) -> Result<Members, AskError> {
    let (headers, body) = get(connector, url, "/members", timeout).await?;
    let mut members: Vec<RemoteMember> = serde_json::from_slice(&body)?;
    members.sort();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let cluster = text(CLUSTER_ID_HEADER).and_then(|id| u64::from_str_radix(id, 16).ok());
    let cluster = cluster.map(ClusterId).ok_or(AskError::ClusterId)?;
    Ok(Members { cluster, members, is_our_kind: text(PROTOCOL_HEADER).is_some() })
}

async fn get(
    connector: &Arc<Connector>,
    url: &Url,
    path: &str,
    timeout: Duration,
) -> Result<(HeaderMap, Bytes), AskError> {
    let asked = async {
        let wire = dial(url).await?;
        if url.is_secure() {
            exchange(connector.connect(url.host(), wire).await?, url.authority(), path).await
        } else {
            exchange(wire, url.authority(), path).await
        }
    };
    tokio::time::timeout(timeout, asked).await.map_err(|_| AskError::Timeout(timeout))?
}

async fn exchange<S>(stream: S, authority: &str, path: &str) -> Result<(HeaderMap, Bytes), AskError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path)
        .header(http::header::HOST, authority)
        .body(Empty::<Bytes>::new())
        .map_err(|error| AskError::Http(error.to_string()))?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, PEER_ANSWER_BYTES_MAX).collect().await.map_err(AskError::Body)?;
        Ok((head.headers, body.to_bytes()))
    };
    // The connection moves the bytes that the answer waits for, and ends with it.
    tokio::pin!(connection, answer);
    tokio::select! {
        answered = &mut answer => answered,
        ended = &mut connection => {
            ended?;
            answer.await
        }
    }
}
