//! Requests one after the other, and the same answers from etcd.

use serde_json::Value;
use testkit::{Program, Server, skip};

use crate::{answer, quorate};

/// Path and JSON. Keys and values are base64: `YQ==` is a, `Yg==` b, `Yw==` c.
const SCRIPT: &[(&str, &str)] = &[
    ("kv/put", r#"{"key":"YQ==","value":"MQ=="}"#),
    ("kv/put", r#"{"key":"YQ==","value":"Mg==","prev_kv":true}"#),
    ("kv/put", r#"{"key":"Yg==","value":"/+8="}"#),
    ("kv/put", r#"{"key":"Yw==","value":"/+8="}"#),
    ("kv/put", r#"{"key":"ZA=="}"#),
    ("kv/range", r#"{"key":"YQ=="}"#),
    ("kv/range", r#"{"key":"YQ==","revision":"2"}"#),
    ("kv/range", r#"{"key":"YQ==","revision":2}"#),
    (
        "kv/range",
        r#"{"key":"YQ==","range_end":"eg==","limit":"2","sort_order":"DESCEND","sort_target":"KEY"}"#,
    ),
    ("kv/range", r#"{"key":"YQ==","rangeEnd":"eg==","keys_only":true}"#),
    ("kv/range", r#"{"key":"YQ==","range_end":"eg==","count_only":true}"#),
    ("kv/range", r#"{"key":"bm9uZQ=="}"#),
    (
        "kv/txn",
        r#"{"compare":[{"target":"VALUE","key":"YQ==","value":"Mg=="}],
            "success":[{"request_put":{"key":"YQ==","value":"Mw=="}},{"request_range":{"key":"YQ=="}}],
            "failure":[{"request_delete_range":{"key":"YQ=="}}]}"#,
    ),
    (
        "kv/txn",
        r#"{"compare":[{"target":"VERSION","result":"GREATER","key":"YQ==","version":"7"}],
            "failure":[{"request_delete_range":{"key":"Yg==","prev_kv":true}},
                       {"request_txn":{"success":[{"request_range":{"key":"Yw=="}}]}}]}"#,
    ),
    ("kv/deleterange", r#"{"key":"Yw==","range_end":"eg==","prev_kv":true}"#),
    ("kv/compaction", r#"{"revision":"4"}"#),
    ("lease/grant", r#"{"ID":"7","TTL":"600"}"#),
    ("kv/put", r#"{"key":"bA==","value":"MQ==","lease":"7"}"#),
    ("lease/leases", "{}"),
    ("kv/lease/leases", "{}"),
    ("lease/revoke", r#"{"ID":"7"}"#),
    ("kv/range", r#"{"key":"bA=="}"#),
    ("lease/grant", r#"{"ID":8,"TTL":600}"#),
    ("lock/lock", r#"{"name":"bG9jaw==","lease":"8"}"#),
    ("lock/unlock", r#"{"key":"bG9jay84"}"#),
    ("election/campaign", r#"{"name":"ZQ==","lease":"8","value":"b25l"}"#),
    ("election/leader", r#"{"name":"ZQ=="}"#),
    ("auth/user/add", r#"{"name":"u","password":"p"}"#),
    ("auth/role/add", r#"{"name":"r"}"#),
    ("auth/role/grant", r#"{"name":"r","perm":{"permType":"READWRITE","key":"YQ==","range_end":"eg=="}}"#),
    ("auth/role/get", r#"{"role":"r"}"#),
    ("auth/user/grant", r#"{"user":"u","role":"r"}"#),
    ("auth/user/get", r#"{"name":"u"}"#),
    ("auth/user/list", "{}"),
    ("auth/role/list", ""),
    ("maintenance/defragment", "{}"),
];

/// What is another server's own: its ids and term.
fn normalised(mut answer: Value) -> Value {
    if let Some(header) = answer.get_mut("header").and_then(Value::as_object_mut) {
        for own in ["cluster_id", "member_id", "raft_term"] {
            header.remove(own);
        }
    }
    answer
}

fn answers(server: &Server) -> Vec<Value> {
    SCRIPT.iter().map(|(path, json)| normalised(answer(server, path, json))).collect()
}

#[test]
fn the_script_has_etcds_answers() {
    let ours = answers(&Server::start(&quorate(), &[]));
    let get = &ours[5];
    assert_eq!(get["kvs"][0]["value"], "Mg==", "{get}");
    assert_eq!((get["header"]["revision"].as_str(), get["count"].as_str()), (Some("6"), Some("1")));
    let etcd = match Program::etcd() {
        Ok(etcd) => etcd,
        Err(why) => return skip::excuse("gateway::the_script_has_etcds_answers", &why),
    };
    let etcds = answers(&Server::start(&etcd, &[]));
    for (number, (ours, etcds)) in ours.iter().zip(&etcds).enumerate() {
        assert_eq!(ours, etcds, "{:?}", SCRIPT[number]);
    }
}

#[test]
fn what_is_about_the_member_is_shown() {
    let server = Server::start(&quorate(), &[]);
    let status = answer(&server, "maintenance/status", "");
    assert_eq!(status["version"], "3.7.1");
    let members = answer(&server, "cluster/member/list", "{}");
    let ids = (&members["members"][0]["ID"], &status["header"]["member_id"]);
    assert_eq!(ids.0, ids.1, "an id is a string: {members}");
    assert!(ids.0.is_string());
    let kept = answer(&server, "maintenance/hashkv", "{}");
    assert!(kept["hash"].is_number() && kept["compact_revision"] == "-1", "{kept}");
}
