//! Members that join, vote and lead.

use testkit::{Cluster, Program, Server, require, wait};

use super::{ctl, errors, printed};

/// The ids of the members, in hexadecimal, by name.
fn ids(server: &Server) -> Vec<(String, String)> {
    let listed = printed(server, &["member", "list"]);
    let columns = |line: &str| line.split(", ").map(str::to_owned).collect::<Vec<_>>();
    let lines = listed.lines().map(columns);
    lines.map(|columns| (columns[2].clone(), columns[0].clone())).collect()
}

fn id_of(server: &Server, name: &str) -> String {
    let ids = ids(server);
    let found = ids.iter().find(|(known, _)| known == name);
    found.unwrap_or_else(|| panic!("no {name} in {ids:?}")).1.clone()
}

/// Returns the name of the member that leads.
fn leader(cluster: &Cluster) -> String {
    wait::until("a leader", || {
        let leads = |member: &&Server| {
            let status = printed(member, &["endpoint", "status", "-w", "fields"]);
            let field = |name: &str| {
                let line = status.lines().find(|line| line.starts_with(&format!("\"{name}\"")))?;
                line.split(" : ").nth(1).map(str::to_owned)
            };
            field("Leader").is_some() && field("Leader") == field("MemberID")
        };
        cluster.members().iter().find(leads).map(|member| member.name().to_owned())
    })
}

#[test]
fn a_learner_joins_and_is_promoted() {
    let quorate = require!("member promote", Program::quorate());
    let first = Cluster::start(&quorate, 1, &[]);
    let first = first.member(0);
    let mut second = Server::prepare(&quorate, "m1", &[]);
    let urls = format!("--peer-urls=http://{}", second.peer_address());
    let added = printed(first, &["member", "add", "m1", &urls, "--learner"]);
    let entries = added.lines().find_map(|line| line.strip_prefix("ETCD_INITIAL_CLUSTER=")).expect(&added);
    // It has no name before it has started.
    let id = id_of(first, "");
    let promote = || {
        let mut command = ctl();
        command.args(["--endpoints", &first.client_address(), "member", "promote", &id]).output().unwrap()
    };
    let early = promote();
    assert_eq!(early.status.code(), Some(1));
    assert_eq!(
        errors(&early),
        "Error: etcdserver: can only promote a learner member which is in sync with leader\n"
    );
    second.set_cluster(entries.trim_matches('"'));
    second.set_extra(&["--initial-cluster-state=existing"]);
    second.spawn().unwrap();
    let promoted =
        wait::until("the learner to be promoted", || Some(promote()).filter(|ran| ran.status.success()));
    let said = String::from_utf8(promoted.stdout).unwrap();
    assert!(said.starts_with(&format!("Member {id:>16} promoted in cluster ")), "{said}");
    let again = promote();
    assert_eq!(errors(&again), "Error: etcdserver: can only promote a learner member\n");
    let listed = printed(first, &["member", "list"]);
    assert!(listed.lines().all(|line| line.ends_with(", false")), "{listed}");
}

#[test]
fn the_lead_moves_to_the_member_that_is_named() {
    let quorate = require!("move-leader", Program::quorate());
    let cluster = Cluster::start(&quorate, 3, &[]);
    let endpoints: Vec<String> = cluster.members().iter().map(Server::client_address).collect();
    let from = leader(&cluster);
    let to = cluster.members().iter().find(|member| member.name() != from).unwrap();
    let [from_id, to_id] = [&*from, to.name()].map(|name| id_of(to, name));
    // Whoever is asked, the leader is the one that must do it.
    let mut command = ctl();
    let output = command.args(["--endpoints", &endpoints.join(","), "move-leader", &to_id]).output().unwrap();
    assert_eq!(errors(&output), "");
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said, format!("Leadership transferred from {from_id} to {to_id}\n"));
    assert_eq!(leader(&cluster), to.name());
    // Without the leader among the endpoints nobody can be asked.
    let others = cluster.members().iter().filter(|member| member.name() != to.name());
    let others: Vec<String> = others.map(Server::client_address).collect();
    let mut command = ctl();
    let output = command.args(["--endpoints", &others.join(","), "move-leader", &from_id]).output().unwrap();
    assert_eq!(output.status.code(), Some(128));
    assert!(errors(&output).starts_with("Error: no leader endpoint given at ["), "{}", errors(&output));
}
