//! Members on one machine that reach each other by Unix sockets, with TLS and without.

use std::path::Path;

use testkit::{Cluster, Server};

use crate::client::{eventually, get, leader, put};
use crate::program;

/// Founds a cluster whose peer URLs are sockets in a directory.
fn found(scheme: &str, extra: &[&str], directory: &Path) -> Cluster {
    let url = |index: usize| format!("{scheme}://{}/{index}.sock", directory.display());
    let entries: Vec<String> = (0..3).map(|index| format!("m{index}={}", url(index))).collect();
    let prepare = |index: usize| {
        let peer = [
            format!("--listen-peer-urls={}", url(index)),
            format!("--initial-advertise-peer-urls={}", url(index)),
        ];
        let flags: Vec<&str> = peer.iter().map(String::as_str).chain(extra.iter().copied()).collect();
        let mut member = Server::prepare(&program(), &format!("m{index}"), &flags);
        member.set_cluster(&entries.join(","));
        member
    };
    let mut members: Vec<Server> = (0..3).map(prepare).collect();
    for member in &mut members {
        member.spawn().unwrap_or_else(|why| panic!("{why}"));
    }
    for member in &mut members {
        member.await_serving().unwrap_or_else(|why| panic!("{why}"));
    }
    Cluster::of(members)
}

#[tokio::test]
async fn members_may_be_on_unix_sockets() {
    for (scheme, extra) in [("unix", &[][..]), ("unixs", &["--peer-auto-tls"])] {
        let directory = tempfile::tempdir().unwrap();
        let mut cluster = found(scheme, extra, directory.path());
        for (index, member) in cluster.members().iter().enumerate() {
            put(member, &format!("from {index}"), "here").await.expect("every member takes writes");
        }
        // A socket that a killed member has left is no reason not to start.
        let first = leader(&cluster, &[0, 1, 2]).await;
        cluster.member_mut(first).kill();
        cluster.member_mut(first).restart();
        for member in cluster.members() {
            let found = eventually("all to read again", || async { get(member, "from 2").await.ok() }).await;
            assert_eq!(found.as_deref(), Some("here"), "{scheme}");
        }
    }
}
