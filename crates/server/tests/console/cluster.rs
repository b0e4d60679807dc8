//! The cluster: what is said when all is well, and when it is not.

use serde_json::json;
use testkit::{Cluster, Server, require};

use crate::page::Page;
use crate::{answer, browser, quorate};

#[test]
fn what_is_wrong_with_the_cluster_is_said_at_the_top() {
    let program = require!("the state of the cluster", browser::program());
    let mut cluster = Cluster::start(&quorate(), 3, &[]);
    let mut page = Page::open(program, cluster.member(0));
    // The others are asked at their own addresses, which are other origins.
    page.sees("All 3 members are well.");
    page.sees("It goes on when 1 member fails.");

    let members = answer(cluster.member(0), "cluster/member/list", &json!({}))["members"].take();
    let id = &members[1]["ID"];
    let name = members[1]["name"].as_str().expect("a name");
    let alarm = json!({ "action": "ACTIVATE", "alarm": "NOSPACE", "memberID": id });
    answer(cluster.member(0), "maintenance/alarm", &alarm);
    page.sees("Something needs attention.");
    page.sees(&format!("NOSPACE, raised by {name}"));
    page.sees("The store has reached its quota. Writes are refused.");
    let alarm = json!({ "action": "DEACTIVATE", "alarm": "NOSPACE", "memberID": id });
    answer(cluster.member(0), "maintenance/alarm", &alarm);
    page.sees("All 3 members are well.");

    cluster.member_mut(1).kill();
    page.sees("m1 does not answer this browser.");
    page.sees("There is a leader, and writes are taken.");
    cluster.member_mut(2).kill();
    page.sees("The cluster has no leader.");
    cluster.member_mut(1).restart();
    page.sees("m2 does not answer this browser.");

    // A page whose member is gone shows the way to the others.
    cluster.member_mut(0).kill();
    page.sees("The cluster cannot be seen from here");
    let link = format!("http://{}/console/", cluster.member(1).client_address());
    assert_eq!(page.browser.value("t.find('m1', 'a').href"), link);
    page.assert_no_complaints();
}

/// A page may ask the addresses that there were when it was loaded.
#[test]
fn a_member_that_is_added_is_asked_once_the_page_is_loaded_anew() {
    let program = require!("a member that is added", browser::program());
    let mut cluster = Cluster::start(&quorate(), 1, &[]);
    let mut page = Page::open(program, cluster.member(0));
    page.sees("All is well.");
    let mut joiner = Server::prepare(&quorate(), "joiner", &["--initial-cluster-state=existing"]);
    let peer = format!("http://{}", joiner.peer_address());
    answer(cluster.member(0), "cluster/member/add", &json!({ "peerURLs": [peer] }));
    joiner.set_cluster(&format!("{},{}", cluster.member(0).peer_entry(), joiner.peer_entry()));
    joiner.restart();
    cluster.push(joiner);
    page.sees("Not asked: reload the page to ask it.");
    page.reopen("cluster");
    // The browser has complained that it was to ask somebody whom the policy did not name.
    page.browser.complaints();
    page.sees("All 2 members are well.");
    page.assert_no_complaints();
}
