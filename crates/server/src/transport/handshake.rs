//! How two members make sure that they mean each other.
//!
//! A connection begins as HTTP/1.1, on the port where the member also answers `/version` and `/members`, and becomes a
//! stream of frames by an upgrade. Both sides name their cluster and themselves, in etcd's headers, and who accepts
//! refuses with etcd's texts: an operator finds the same words in the log, whichever of the two it is.

use http::header::{CONNECTION, HOST, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use raft::NodeId;

use crate::config::Url;
use crate::grpc::body::ResponseBody;
use crate::ids::Identity;
use crate::version;

/// Where peers connect.
pub(super) const PATH: &str = "/quorate/peer";

/// The protocol behind the upgrade. A version that cannot be understood by this one takes another name.
const PROTOCOL: &str = "quorate-peer/1";

const CLUSTER: &str = "x-etcd-cluster-id";
const FROM: &str = "x-server-from";
const TO: &str = "x-raft-to";
const VERSION: &str = "x-server-version";
const URLS: &str = "x-peerurls";
const STREAM: &str = "x-quorate-stream";
const PROCESS: &str = "x-quorate-process";

/// Peer URLs taken from a stranger's header.
const URLS_MAX: usize = 16;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StreamKind {
    /// Messages and notes.
    Messages,
    /// One snapshot.
    Snapshot,
}

impl StreamKind {
    /// Its name, in headers and in logs.
    pub(super) fn name(self) -> &'static str {
        match self {
            StreamKind::Messages => "messages",
            StreamKind::Snapshot => "snapshot",
        }
    }
}

/// A member that has introduced itself properly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    /// Who it is.
    pub(super) id: NodeId,
    /// What it wants.
    pub(super) kind: StreamKind,
    /// Where it can be reached, as it says.
    pub(super) urls: Vec<String>,
    /// Which of its processes it is: a number that each one makes up.
    pub(super) process: u64,
}

/// Why a connection is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// It is no attempt of a peer, or not a proper one.
    #[error("{0}")]
    Malformed(&'static str),
    /// It speaks another version of the protocol.
    #[error("unsupported peer protocol, this member speaks {PROTOCOL}")]
    Protocol,
    /// It belongs to another cluster.
    #[error("cluster ID mismatch")]
    Cluster,
    /// It wants another member.
    #[error("to field mismatch")]
    To,
    /// It says it were this member: two processes were started with one data directory, or with one `--name`.
    #[error("the caller claims the id of this member")]
    OwnId,
    /// It was removed from the cluster.
    #[error("removed member")]
    Removed,
    /// It is not known as a member, and others that are not have come already.
    #[error("too many callers that are no members")]
    TooMany,
    /// It offers a snapshot, and so do others.
    #[error("too many snapshots are offered")]
    TooManySnapshots,
}

impl Refused {
    /// The answer's status.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Refused::Malformed(_) => StatusCode::BAD_REQUEST,
            Refused::Protocol => StatusCode::UPGRADE_REQUIRED,
            Refused::Cluster => StatusCode::PRECONDITION_FAILED,
            Refused::To => StatusCode::MISDIRECTED_REQUEST,
            Refused::OwnId => StatusCode::CONFLICT,
            Refused::Removed => StatusCode::GONE,
            Refused::TooMany | Refused::TooManySnapshots => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// The request that asks a peer for a stream.
pub(super) fn request(
    identity: Identity,
    to: NodeId,
    kind: StreamKind,
    (advertised, process): (&[String], u64),
    authority: &str,
) -> http::Result<Request<String>> {
    let mut request = Request::builder().uri(PATH).header(HOST, authority);
    request = request.header(CONNECTION, "upgrade").header(UPGRADE, PROTOCOL);
    request = request.header(TO, hex(to.0)).header(STREAM, kind.name()).header(URLS, advertised.join(","));
    request = request.header(PROCESS, hex(process));
    for (name, value) in introduction(identity) {
        request = request.header(name, value);
    }
    request.body(String::new())
}

/// How a member names itself, asking or answering.
fn introduction(identity: Identity) -> [(&'static str, HeaderValue); 3] {
    [
        (CLUSTER, hex(identity.cluster.0)),
        (FROM, hex(identity.member.0)),
        (VERSION, HeaderValue::from_static(version::ETCD)),
    ]
}

/// Who asks, if it may.
pub(super) fn check_request(
    head: &Parts,
    identity: Identity,
    is_removed: impl Fn(NodeId) -> bool,
) -> Result<Caller, Refused> {
    let headers = &head.headers;
    let mut options = token(headers, CONNECTION.as_str()).split(',');
    if !options.any(|option| option.trim().eq_ignore_ascii_case("upgrade")) {
        return Err(Refused::Malformed("peers connect by an HTTP upgrade"));
    }
    if token(headers, UPGRADE.as_str()) != PROTOCOL {
        return Err(Refused::Protocol);
    }
    if id(headers, CLUSTER) != Some(identity.cluster.0) {
        return Err(Refused::Cluster);
    }
    if id(headers, TO) != Some(identity.member.0) {
        return Err(Refused::To);
    }
    let from = NodeId(id(headers, FROM).ok_or(Refused::Malformed("invalid from"))?);
    if from.0 == identity.member.0 {
        return Err(Refused::OwnId);
    }
    if is_removed(from) {
        return Err(Refused::Removed);
    }
    let kind = [StreamKind::Messages, StreamKind::Snapshot]
        .into_iter()
        .find(|kind| kind.name() == token(headers, STREAM))
        .ok_or(Refused::Malformed("invalid stream"))?;
    let process = id(headers, PROCESS).unwrap_or(0);
    Ok(Caller { id: from, kind, urls: urls(headers), process })
}

/// "Go ahead."
pub(super) fn accepted(identity: Identity) -> Response<ResponseBody> {
    let mut response = answer(StatusCode::SWITCHING_PROTOCOLS, identity, ResponseBody::empty());
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static(PROTOCOL));
    response
}

/// "No", and why.
pub(super) fn refused(why: &Refused, identity: Identity) -> Response<ResponseBody> {
    let text = format!("{why}\n");
    let mut response = answer(why.status(), identity, ResponseBody::Full(Some(text.into())));
    if *why == Refused::Protocol {
        response.headers_mut().insert(UPGRADE, HeaderValue::from_static(PROTOCOL));
    }
    response
}

fn answer(status: StatusCode, identity: Identity, body: ResponseBody) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .extend(introduction(identity).map(|(name, value)| (http::HeaderName::from_static(name), value)));
    response
}

/// Whether the answer comes from the member that was meant. A refusal's own status says more than its headers.
pub(super) fn is_from(headers: &HeaderMap, identity: Identity, peer: NodeId) -> bool {
    id(headers, CLUSTER) == Some(identity.cluster.0) && id(headers, FROM) == Some(peer.0)
}

fn token<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().trim()
}

fn id(headers: &HeaderMap, name: &str) -> Option<u64> {
    u64::from_str_radix(token(headers, name), 16).ok()
}

fn urls(headers: &HeaderMap) -> Vec<String> {
    let listed = token(headers, URLS).split(',').take(URLS_MAX);
    listed.filter(|url| Url::parse(url).is_ok()).map(str::to_owned).collect()
}

fn hex(id: u64) -> HeaderValue {
    format!("{id:x}").parse().expect("hexadecimal digits")
}

#[cfg(test)]
mod tests {
    use crate::ids::{ClusterId, MemberId};

    use super::*;

    const ME: Identity = Identity { cluster: ClusterId(0xc1), member: MemberId(0xa) };
    const OTHER: Identity = Identity { cluster: ClusterId(0xc1), member: MemberId(0xb) };

    fn head(from: Identity, to: u64) -> Parts {
        let urls = ["http://h:1".to_owned(), "http://h:2".to_owned()];
        let request = request(from, NodeId(to), StreamKind::Snapshot, (&urls, 7), "host:1").unwrap();
        request.into_parts().0
    }

    fn check(head: &Parts) -> Result<Caller, Refused> {
        check_request(head, ME, |peer| peer == NodeId(0xdead))
    }

    #[test]
    fn a_member_introduces_itself() {
        let urls = vec!["http://h:1".to_owned(), "http://h:2".to_owned()];
        let caller = Caller { id: NodeId(0xb), kind: StreamKind::Snapshot, urls, process: 7 };
        assert_eq!(check(&head(OTHER, 0xa)), Ok(caller));
        let accepted = accepted(ME);
        assert!(is_from(accepted.headers(), OTHER, NodeId(0xa)));
        assert!(!is_from(accepted.headers(), OTHER, NodeId(0xb)));
    }

    #[test]
    fn who_does_not_belong_here_is_told_why() {
        let cases: [(&str, Parts, u16, &str); 5] = [
            (
                "another cluster",
                head(Identity { cluster: ClusterId(0xc2), ..OTHER }, 0xa),
                412,
                "cluster ID mismatch",
            ),
            ("another addressee", head(OTHER, 0xc), 421, "to field mismatch"),
            (
                "a removed member",
                head(Identity { member: MemberId(0xdead), ..OTHER }, 0xa),
                410,
                "removed member",
            ),
            ("this member", head(ME, 0xa), 409, "the caller claims the id of this member"),
            ("no peer", Request::new(()).into_parts().0, 400, "peers connect by an HTTP upgrade"),
        ];
        for (what, head, status, text) in cases {
            let why = check(&head).unwrap_err();
            assert_eq!((why.status().as_u16(), why.to_string().as_str()), (status, text), "{what}");
        }
    }

    #[test]
    fn headers_that_make_no_sense_are_refused() {
        for (name, value, status) in [
            ("upgrade", "quorate-peer/2", 426),
            ("upgrade", "websocket", 426),
            ("x-etcd-cluster-id", "xyz", 412),
            ("x-etcd-cluster-id", "1000000000000000000", 412),
            ("x-raft-to", "", 421),
            ("x-server-from", "-1", 400),
            ("x-quorate-stream", "everything", 400),
        ] {
            let mut head = head(OTHER, 0xa);
            head.headers.insert(name, HeaderValue::from_static(value));
            assert_eq!(check(&head).unwrap_err().status(), status, "{name}: {value}");
        }
    }

    #[test]
    fn a_strangers_urls_are_bounded_and_proper() {
        let mut head = head(OTHER, 0xa);
        let many = vec!["http://h:1"; 100].join(",");
        head.headers.insert(URLS, many.parse().unwrap());
        assert_eq!(check(&head).unwrap().urls.len(), URLS_MAX);
        head.headers.insert(URLS, HeaderValue::from_static("file:///etc/passwd,,http://,http://h:1"));
        assert_eq!(check(&head).unwrap().urls, ["http://h:1"]);
    }
}
