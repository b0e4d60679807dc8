//! Joining, against members that answer as the test says.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use super::*;
use crate::config::url;

/// A peer port that answers `/members` and `/version`, one request a connection. Returns its URL.
fn peer(
    cluster_id: &str,
    protocol: &str,
    members: impl FnOnce(&str) -> String,
    version: &'static str,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let members = members(&url);
    let headers = format!("X-Etcd-Cluster-ID: {cluster_id}\r\n{protocol}");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            let body = if request[..length].starts_with(b"GET /members ") {
                members.clone()
            } else {
                format!("{{\"etcdserver\":\"3.7.1\",\"etcdcluster\":\"{version}\"}}")
            };
            let answer = format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

const OURS: &str = "X-Quorate-Peer-Protocol: 1\r\n";

fn pair(url: &str) -> String {
    format!(
        r#"[{{"id":17,"peerURLs":["http://127.0.0.1:9"],"isLearner":true}},
            {{"id":3,"peerURLs":["{url}"],"name":"a","clientURLs":["http://c"]}}]"#
    )
}

fn config(initial: &str) -> Config {
    let mut config = Config { name: "b".into(), ..Config::default() };
    config.cluster.initial = url::parse_cluster(initial).unwrap();
    config
}

async fn joined(initial: &str) -> Result<Origin, String> {
    join(&config(initial), &Connector::for_tests()).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_member_takes_its_ids_from_the_cluster_that_knows_it() {
    let url = peer("beef", OURS, pair, "3.7.0");
    let origin = joined(&format!("a={url},b=http://127.0.0.1:9")).await.unwrap();
    assert_eq!(origin.how, How::Joined);
    assert_eq!((origin.identity.cluster.0, origin.identity.member.0), (0xbeef, 17));
    let known: Vec<_> = origin.members.iter().map(|member| (member.id.0, member.name.as_str())).collect();
    assert_eq!(known, [(3, "a"), (17, "b")]);
}

#[tokio::test]
async fn what_the_flags_say_must_be_what_the_cluster_says() {
    let url = peer("beef", OURS, pair, "3.7.0");
    let seen = format!(
        "{{ClusterID:beef Members:[&{{ID:3 RaftAttributes:{{PeerURLs:[{url}] IsLearner:false}} Attributes:{{Name:a \
         ClientURLs:[http://c]}}}} &{{ID:11 RaftAttributes:{{PeerURLs:[http://127.0.0.1:9] IsLearner:true}} \
         Attributes:{{Name: ClientURLs:[]}}}}] RemovedMemberIDs:[]}}"
    );
    let cases = [
        (
            format!("a={url}"),
            "couldn't find local name \"b\" in the initial cluster configuration".to_owned(),
        ),
        (format!("a={url},b={url}"), format!("initial cluster a={url},b={url} has duplicate url")),
        (
            format!("a={url},b=http://127.0.0.1:9,c=http://127.0.0.1:8"),
            format!("error validating peerURLs {seen}: member count is unequal"),
        ),
        (
            format!("a={url},b=http://127.0.0.1:8"),
            format!(
                "error validating peerURLs {seen}: PeerURLs: no match found for existing member (11, \
                 [http://127.0.0.1:9]), last resolver error (resolved urls: \"http://127.0.0.1:9\" != \
                 \"http://127.0.0.1:8\")"
            ),
        ),
    ];
    for (initial, text) in cases {
        assert_eq!(joined(&initial).await, Err(text));
    }
}

#[tokio::test]
async fn a_cluster_that_cannot_be_joined_is_left_alone() {
    let own = "b=http://127.0.0.1:9";
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let cases = [
        (
            format!("http://{nobody}"),
            "cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs",
        ),
        (
            peer("beef", OURS, |_| "[]".into(), "3.7.0"),
            "cannot fetch cluster info from peer urls: failed to get raft cluster member(s) from the given URLs",
        ),
        (
            peer("beef", OURS, |_| "[{".into(), "3.7.0"),
            "cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs",
        ),
        (
            peer("no id", OURS, pair, "3.7.0"),
            "cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs",
        ),
        (peer("beef", OURS, pair, "3.8.0"), "incompatible with current running cluster"),
        (peer("beef", OURS, pair, "not_decided"), "incompatible with current running cluster"),
        (
            peer("beef", "", pair, "3.7.0"),
            "cluster beef does not speak quorate's peer protocol (it may be one of etcd): a member joins only members of \
             its own kind",
        ),
    ];
    for (url, text) in cases {
        assert_eq!(joined(&format!("a={url},{own}")).await, Err(text.to_owned()));
    }
}

#[tokio::test]
async fn more_learners_than_the_flag_allows_are_refused() {
    let url = peer("beef", OURS, pair, "3.7.0");
    let mut config = config(&format!("a={url},b=http://127.0.0.1:9"));
    config.cluster.learners_max = 0;
    let error = join(&config, &Connector::for_tests()).await.unwrap_err().to_string();
    assert_eq!(error, "membership: too many learner members in cluster");
}
