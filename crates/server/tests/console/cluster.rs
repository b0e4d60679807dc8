//! The cluster: what is said when all is well, and when it is not.

use serde_json::json;
use testkit::{Cluster, require};

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
