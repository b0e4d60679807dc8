//! Three members with TLS among each other.

use proto::etcdserverpb as pb;
use proto::etcdserverpb::cluster_client::ClusterClient;
use testkit::pki::{Authority, Request};
use testkit::{Server, http, wait};

use crate::client::{channel, config, get, put, read, trusting};
use crate::{Kit, secured, set_extra};

/// A member, its address for clients with TLS, and its flags beyond those that say where it listens.
pub(crate) struct Secured {
    pub(crate) server: Server,
    pub(crate) address: String,
    flags: Vec<String>,
}

/// Members that were prepared and told of each other.
pub(crate) fn prepare(flags: &[Vec<String>]) -> Vec<Secured> {
    let member = |(number, flags): (usize, &Vec<String>)| {
        let (server, address) = secured(&format!("m{number}"), &[]);
        Secured { server, address, flags: flags.clone() }
    };
    let mut members: Vec<Secured> = flags.iter().enumerate().map(member).collect();
    let entries: Vec<String> = members.iter().map(entry).collect();
    for member in &mut members {
        let mut flags = member.flags.clone();
        flags.extend(peer_urls(member));
        flags.push(format!("--initial-cluster={}", entries.join(",")));
        let (plain, secure) = (member.server.client_address(), &member.address);
        let scheme = if flags.iter().any(|flag| flag.starts_with("--cert-file")) { "https" } else { "http" };
        flags.push(format!("--listen-client-urls=http://{plain},{scheme}://{secure}"));
        set_extra(&mut member.server, &flags);
    }
    members
}

fn entry(member: &Secured) -> String {
    member.server.peer_entry().replace("http://", "https://")
}

fn peer_urls(member: &Secured) -> [String; 2] {
    let url = format!("https://{}", member.server.peer_address());
    [format!("--listen-peer-urls={url}"), format!("--initial-advertise-peer-urls={url}")]
}

/// Starts members, and waits until all serve.
pub(crate) fn start(members: &mut [Secured]) {
    for member in members.iter_mut() {
        member.server.spawn().expect("the program is there");
    }
    for member in members.iter_mut() {
        member.server.await_serving().unwrap_or_else(|why| panic!("{why}"));
    }
}

fn flags(kit: &Kit) -> Vec<String> {
    [kit.client_flags(), kit.peer_flags()].concat()
}

#[tokio::test]
async fn members_that_verify_each_other_are_a_cluster() {
    let kit = Kit::new();
    let mut members = prepare(&[flags(&kit), flags(&kit), flags(&kit)]);
    start(&mut members);
    let alice = config(&kit.ca.pem(), Some(&kit.client("alice")));
    for (number, member) in members.iter().enumerate() {
        put(&member.address, &alice, &format!("k{number}")).await.expect("a put through any member");
    }
    // One is lost and comes back; meanwhile the others go on.
    members[0].server.kill();
    wait::until("the other two to have a leader", || {
        let answer = http::try_get(&members[1].server.client_address(), "/health").ok()?;
        (answer.status == 200).then_some(())
    });
    put(&members[1].address, &alice, "meanwhile").await.expect("a put while one member is away");
    members[0].server.restart();
    assert_eq!(read(&members[0].address, &alice, "meanwhile").await.expect("a read").as_deref(), Some("v"));
    // The peer port is for those whose certificate the peers' CA has signed.
    let peer_port = members[0].server.peer_address();
    let peer = kit.peer_ca.issue(&Request::named("tool"));
    let answer = get(&peer_port, "/members", &config(&kit.peer_ca.pem(), Some(&peer))).expect("an answer");
    assert!(answer.contains("https://"), "{answer}");
    get(&peer_port, "/members", &trusting(None)).expect_err("without a certificate");
    get(&peer_port, "/members", &trusting(Some(&kit.client("alice")))).expect_err("of the clients' CA");
    wait::until("a line about it", || {
        members[0].server.log().contains("rejected connection on peer endpoint").then_some(())
    });
}

#[tokio::test]
async fn a_member_joins_a_running_cluster_over_tls() {
    let kit = Kit::new();
    let mut members = prepare(&[flags(&kit)]);
    start(&mut members);
    let alice = config(&kit.ca.pem(), Some(&kit.client("alice")));
    put(&members[0].address, &alice, "before").await.expect("a put");
    let mut joined = prepare(&[flags(&kit)]);
    let mut joiner = joined.pop().expect("one member");
    let url = format!("https://{}", joiner.server.peer_address());
    let request = pb::MemberAddRequest { peer_ur_ls: vec![url], is_learner: true };
    ClusterClient::new(channel(&members[0].address, &alice)).member_add(request).await.expect("it is added");
    let joiner_entry = entry(&joiner).replace("m0=", "joiner=");
    let mut flags = joiner.flags.clone();
    flags.extend(peer_urls(&joiner));
    flags.extend([
        "--name=joiner".to_owned(),
        format!("--initial-cluster={},{joiner_entry}", entry(&members[0])),
        "--initial-cluster-state=existing".to_owned(),
    ]);
    set_extra(&mut joiner.server, &flags);
    joiner.server.spawn().expect("the program is there");
    wait::until("the joiner to have what was written before it", || {
        // A learner does not serve reads that see everything; the metric of what it has applied does.
        let metrics = http::try_get(&joiner.server.client_address(), "/metrics").ok()?.body;
        let keys = metrics.lines().find(|line| line.starts_with("etcd_debugging_mvcc_keys_total "))?;
        keys.ends_with(" 1").then_some(())
    });
}

#[test]
fn a_member_with_another_cas_certificate_stays_outside() {
    let kit = Kit::new();
    let outside = Authority::new("another").issue(&Request::named("peer"));
    outside.write(kit.path(), "outside");
    let mut stranger = flags(&kit);
    stranger.extend([
        format!("--peer-cert-file={}", kit.file("outside.crt")),
        format!("--peer-key-file={}", kit.file("outside.key")),
    ]);
    let mut members = prepare(&[flags(&kit), flags(&kit), stranger]);
    for member in &mut members {
        member.server.spawn().expect("the program is there");
    }
    for member in &mut members[..2] {
        member.server.await_serving().unwrap_or_else(|why| panic!("{why}"));
    }
    for (member, words) in [
        (0, "x509: certificate signed by unknown authority"),
        // What etcd's own suite looks for on the side of the one that is not wanted.
        (2, "remote error: tls: "),
    ] {
        wait::until(words, || members[member].server.log().contains(words).then_some(()));
    }
    assert!(http::try_get(&members[2].server.client_address(), "/health").is_err(), "it does not serve");
}

#[test]
fn members_with_certificates_of_their_own_making_are_a_cluster() {
    let auto = vec!["--peer-auto-tls".to_owned()];
    let mut members = prepare(&[auto.clone(), auto.clone(), auto]);
    start(&mut members);
    for member in &members {
        assert!(member.server.data_dir().join("fixtures/peer/key.pem").is_file());
        assert!(http::try_get(&member.server.peer_address(), "/version").is_err(), "no TLS, no answer");
    }
}
