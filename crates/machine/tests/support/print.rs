//! Replies, events and effects as lines of text.

use std::fmt::Write as _;

use machine::{Effect, Rejection};
use mvcc::{Change, Item};
use prost::Message;
use proto::etcdserverpb::response_op::Response;
use proto::etcdserverpb::{
    DeleteRangeResponse, Member, PutResponse, RangeResponse, ResponseHeader, TxnResponse,
};
use proto::mvccpb::KeyValue;

pub(crate) fn bytes(bytes: &[u8]) -> String {
    let mut text = String::new();
    for &byte in bytes {
        if byte.is_ascii_graphic() {
            text.push(char::from(byte))
        } else {
            write!(text, "\\x{byte:02x}").unwrap()
        }
    }
    text
}

pub(crate) fn rejection(rejection: Rejection) -> String {
    format!("refused {:?}: {}\n", rejection.code(), rejection.text())
}

pub(crate) fn key_value(kv: &KeyValue) -> String {
    let mut text = format!("{}={}", bytes(&kv.key), bytes(&kv.value));
    for (name, number) in [
        ("create", kv.create_revision),
        ("mod", kv.mod_revision),
        ("version", kv.version),
        ("lease", kv.lease),
    ] {
        if number != 0 {
            write!(text, " {name}={number}").unwrap();
        }
    }
    text
}

pub(crate) fn range(response: &RangeResponse) -> String {
    let mut text = String::new();
    for kv in &response.kvs {
        writeln!(text, "{}", key_value(kv)).unwrap();
    }
    let more = if response.more { ", more" } else { "" };
    writeln!(text, "count {}{more}", response.count).unwrap();
    text
}

pub(crate) fn put(response: &PutResponse) -> String {
    response.prev_kv.as_ref().map_or(String::new(), |kv| format!("previous {}\n", key_value(kv)))
}

pub(crate) fn delete(response: &DeleteRangeResponse) -> String {
    let mut text = format!("deleted {}\n", response.deleted);
    for kv in &response.prev_kvs {
        writeln!(text, "previous {}", key_value(kv)).unwrap();
    }
    text
}

pub(crate) fn txn(response: &TxnResponse) -> String {
    let mut text = format!("{}\n", if response.succeeded { "success" } else { "failure" });
    for response in &response.responses {
        let (name, header, body) = match response.response.as_ref().expect("every operation has a response") {
            Response::ResponseRange(response) => ("get", &response.header, range(response)),
            Response::ResponsePut(response) => ("put", &response.header, put(response)),
            Response::ResponseDeleteRange(response) => ("del", &response.header, delete(response)),
            Response::ResponseTxn(response) => ("txn", &response.header, txn(response)),
        };
        writeln!(text, "{name} {}", inner_header(header.as_ref())).unwrap();
        for line in body.lines() {
            writeln!(text, "  {line}").unwrap();
        }
    }
    text
}

fn inner_header(header: Option<&ResponseHeader>) -> String {
    let header = header.expect("a header is always present");
    assert_eq!((header.cluster_id, header.member_id, header.raft_term), (0, 0, 0));
    if header.revision == 0 { "r-".to_owned() } else { format!("r{}", header.revision) }
}

pub(crate) fn event(change: &Change) -> String {
    let decoded =
        |item: &Item| key_value(&KeyValue::decode(item.encoded.clone()).expect("items are KeyValues"));
    let mut text = match &change.after {
        Some(item) => format!("event {} PUT {}", change.revision, decoded(item)),
        None => format!("event {} DELETE {}", change.revision, bytes(&change.key)),
    };
    if let Some(before) = change.read_before().expect("the store is readable") {
        write!(text, ", before {}", decoded(&before)).unwrap();
    }
    text + "\n"
}

pub(crate) fn member(member: &Member) -> String {
    let learner = if member.is_learner { " learner" } else { "" };
    format!(
        "member {} {:?} {:?} {:?}{learner}\n",
        member.id, member.name, member.peer_ur_ls, member.client_ur_ls
    )
}

pub(crate) fn effect(effect: &Effect) -> String {
    match effect {
        Effect::LeaseGranted { id, ttl_seconds, epoch } => {
            format!("lease {} granted for {ttl_seconds} s, epoch {}\n", id.0, epoch.0)
        }
        Effect::LeaseAdopted { id, ttl_seconds, remaining_seconds, epoch } => {
            format!(
                "lease {} adopted, {ttl_seconds} s, {remaining_seconds:?} left, epoch {}\n",
                id.0, epoch.0
            )
        }
        Effect::FollowChanged => "follow changed\n".to_owned(),
        Effect::FollowLoaded => "follow loaded\n".to_owned(),
        Effect::LeaseRevoked { id } => format!("lease {} revoked\n", id.0),
        Effect::LeaseCheckpointed { id, remaining_seconds, epoch } => {
            let left = remaining_seconds.map_or("all".to_owned(), |seconds| format!("{seconds} s"));
            format!("lease {} has {left} left, epoch {}\n", id.0, epoch.0)
        }
        Effect::AlarmsChanged => "alarms changed\n".to_owned(),
        Effect::MembersChanged => "members changed\n".to_owned(),
        Effect::MemberRemoved { id } => format!("member {id} removed\n"),
        Effect::ClusterVersionChanged => "cluster version changed\n".to_owned(),
        Effect::AuthChanged { revision } => format!("auth revision {revision}\n"),
        Effect::Authenticated { user, simple_token, auth_revision } => {
            let token = simple_token.as_ref().map_or("none", |token| token.reveal());
            format!("{} logged in at auth revision {auth_revision}, token {token}\n", bytes(user.as_bytes()))
        }
        Effect::UserTokensInvalid { user } => format!("tokens of {} invalid\n", bytes(user.as_bytes())),
        Effect::AllTokensInvalid => "all tokens invalid\n".to_owned(),
        Effect::Compacted { revision } => format!("compacted at r{revision}\n"),
    }
}
