//! Rows of the side tables as text and JSON.

use machine::auth::User;
use machine::inspect::Row;
use proto::authpb::Permission;
use proto::authpb::permission::Type;
use proto::etcdserverpb::AlarmType;
use proto::membershippb::Member;
use serde_json::{Value, json};

use super::command::HIDDEN;
use super::lines::{Lines, base64, quoted};

pub(super) fn show(row: &Row, secrets: bool, lines: &mut Lines<'_>) {
    lines.line(|| text(row, secrets), || as_json(row, secrets));
}

fn text(row: &Row, secrets: bool) -> String {
    match row {
        Row::Lease(id, lease) => {
            let remaining = lease.remaining_seconds.map(|seconds| format!(" remaining {seconds}s"));
            let remaining = remaining.unwrap_or_default();
            format!("lease {:x} ttl {}s{remaining} epoch {}", id.0, lease.ttl_seconds, lease.epoch.0)
        }
        Row::Alarm(kind, member) => format!("alarm {} member {member:x}", alarm_name(*kind)),
        Row::Member(member) => member_text(member),
        Row::ClusterId(id) => format!("cluster id {id:x}"),
        Row::ClusterVersion(version) => format!("cluster version {version}"),
        Row::DowngradeTarget(version) => format!("cluster downgrade {version}"),
        Row::RemovedMember(id) => format!("removed {id:x}"),
        Row::User(name, user) => {
            let password = password(user, secrets).map(|hash| format!(" password {hash}"));
            format!("user {name:?} roles [{}]{}", user.roles.join(" "), password.unwrap_or_default())
        }
        Row::Role(name, permissions) => {
            let permissions: Vec<String> = permissions.iter().map(permission_text).collect();
            format!("role {name:?} [{}]", permissions.join(", "))
        }
        Row::AuthEnabled => "auth enabled".to_owned(),
        Row::AuthRevision(revision) => format!("auth revision {revision}"),
        Row::Follow(follow) => format!(
            "follow {:x} load {} base {} shown {} {:?}",
            follow.source, follow.load, follow.base, follow.shown, follow.phase
        ),
    }
}

fn as_json(row: &Row, secrets: bool) -> Value {
    match row {
        Row::Lease(id, lease) => json!({
            "table": "leases", "id": id.0, "ttl": lease.ttl_seconds, "remaining": lease.remaining_seconds,
            "epoch": lease.epoch.0,
        }),
        Row::Alarm(kind, member) => {
            json!({ "table": "alarms", "type": alarm_name(*kind), "member": format!("{member:x}") })
        }
        Row::Member(member) => member_json(member),
        Row::ClusterId(id) => json!({ "table": "cluster", "id": format!("{id:x}") }),
        Row::ClusterVersion(version) => json!({ "table": "cluster", "version": version }),
        Row::DowngradeTarget(version) => json!({ "table": "cluster", "downgrade": version }),
        Row::RemovedMember(id) => json!({ "table": "removed", "id": format!("{id:x}") }),
        Row::User(name, user) => json!({
            "table": "users", "name": name, "roles": user.roles, "password": password(user, secrets),
            "noPassword": user.no_password,
        }),
        Row::Role(name, permissions) => {
            let permissions: Vec<Value> = permissions.iter().map(permission_json).collect();
            json!({ "table": "roles", "name": name, "permissions": permissions })
        }
        Row::AuthEnabled => json!({ "table": "auth", "enabled": true }),
        Row::AuthRevision(revision) => json!({ "table": "auth", "revision": revision }),
        Row::Follow(follow) => json!({
            "table": "follow", "source": format!("{:x}", follow.source), "load": follow.load, "base": follow.base,
            "shown": follow.shown, "phase": format!("{:?}", follow.phase),
        }),
    }
}

/// The hash of a user's password, or what is shown in its place; `None` if the user has no password.
fn password(user: &User, secrets: bool) -> Option<String> {
    let hash = String::from_utf8_lossy(&user.password_hash).into_owned();
    (!hash.is_empty()).then(|| if secrets { hash } else { HIDDEN.to_owned() })
}

fn alarm_name(kind: i32) -> String {
    AlarmType::try_from(kind).map_or_else(|_| kind.to_string(), |kind| kind.as_str_name().to_owned())
}

/// A member's name, peer URLs, client URLs, and whether it is a learner.
fn facts(member: &Member) -> (&str, &[String], &[String], bool) {
    let own = member.member_attributes.as_ref();
    let raft = member.raft_attributes.as_ref();
    (
        own.map_or("", |own| &own.name),
        raft.map_or(&[], |raft| &raft.peer_urls),
        own.map_or(&[], |own| &own.client_urls),
        raft.is_some_and(|raft| raft.is_learner),
    )
}

fn member_text(member: &Member) -> String {
    let (name, peers, clients, is_learner) = facts(member);
    let learner = if is_learner { " learner" } else { "" };
    format!(
        "member {:x} {name:?} peer [{}] client [{}]{learner}",
        member.id,
        peers.join(" "),
        clients.join(" ")
    )
}

fn member_json(member: &Member) -> Value {
    let (name, peers, clients, is_learner) = facts(member);
    json!({
        "table": "members", "id": format!("{:x}", member.id), "name": name, "peerURLs": peers, "clientURLs": clients,
        "isLearner": is_learner,
    })
}

fn permission_text(permission: &Permission) -> String {
    let end = match &permission.range_end[..] {
        b"" => String::new(),
        end => format!(" to {}", quoted(end)),
    };
    format!("{} {}{end}", type_name(permission), quoted(&permission.key))
}

fn permission_json(permission: &Permission) -> Value {
    json!({
        "type": type_name(permission), "key": base64(&permission.key), "rangeEnd": base64(&permission.range_end),
    })
}

fn type_name(permission: &Permission) -> &'static str {
    Type::try_from(permission.perm_type).map_or("UNKNOWN", |kind| kind.as_str_name())
}
