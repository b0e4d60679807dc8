//! From a path to a method.

use crate::api::method::Method;

/// The paths below `/v3/`, as in the annotations of etcd's `rpc.proto` and its services of locks and elections.
const ROUTES: &[(&str, Method)] = &[
    ("kv/range", Method::Range),
    ("kv/put", Method::Put),
    ("kv/deleterange", Method::DeleteRange),
    ("kv/txn", Method::Txn),
    ("kv/compaction", Method::Compact),
    ("watch", Method::Watch),
    ("lease/grant", Method::LeaseGrant),
    ("lease/revoke", Method::LeaseRevoke),
    ("kv/lease/revoke", Method::LeaseRevoke),
    ("lease/keepalive", Method::LeaseKeepAlive),
    ("lease/timetolive", Method::LeaseTimeToLive),
    ("kv/lease/timetolive", Method::LeaseTimeToLive),
    ("lease/leases", Method::LeaseLeases),
    ("kv/lease/leases", Method::LeaseLeases),
    ("cluster/member/add", Method::MemberAdd),
    ("cluster/member/remove", Method::MemberRemove),
    ("cluster/member/update", Method::MemberUpdate),
    ("cluster/member/list", Method::MemberList),
    ("cluster/member/promote", Method::MemberPromote),
    ("maintenance/alarm", Method::Alarm),
    ("maintenance/status", Method::Status),
    ("maintenance/defragment", Method::Defragment),
    ("maintenance/hash", Method::Hash),
    ("maintenance/hashkv", Method::HashKv),
    ("maintenance/snapshot", Method::Snapshot),
    ("maintenance/transfer-leadership", Method::MoveLeader),
    ("maintenance/downgrade", Method::Downgrade),
    ("auth/enable", Method::AuthEnable),
    ("auth/disable", Method::AuthDisable),
    ("auth/status", Method::AuthStatus),
    ("auth/authenticate", Method::Authenticate),
    ("auth/user/add", Method::UserAdd),
    ("auth/user/get", Method::UserGet),
    ("auth/user/list", Method::UserList),
    ("auth/user/delete", Method::UserDelete),
    ("auth/user/changepw", Method::UserChangePassword),
    ("auth/user/grant", Method::UserGrantRole),
    ("auth/user/revoke", Method::UserRevokeRole),
    ("auth/role/add", Method::RoleAdd),
    ("auth/role/get", Method::RoleGet),
    ("auth/role/list", Method::RoleList),
    ("auth/role/delete", Method::RoleDelete),
    ("auth/role/grant", Method::RoleGrantPermission),
    ("auth/role/revoke", Method::RoleRevokePermission),
    ("lock/lock", Method::Lock),
    ("lock/unlock", Method::Unlock),
    ("election/campaign", Method::Campaign),
    ("election/proclaim", Method::Proclaim),
    ("election/leader", Method::Leader),
    ("election/observe", Method::Observe),
    ("election/resign", Method::Resign),
];

/// Returns what follows the version in a path of the gateway's. `/v3beta/` is what it was in etcd 3.3.
pub(super) fn rest_of(path: &str) -> Option<&str> {
    path.strip_prefix("/v3/").or_else(|| path.strip_prefix("/v3beta/"))
}

/// Returns the method with this path.
pub(super) fn method_of(path: &str) -> Option<Method> {
    let rest = rest_of(path)?;
    ROUTES.iter().find(|(path, _)| *path == rest).map(|(_, method)| *method)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What etcd has no path for.
    const WITHOUT: &[&str] = &["etcdserverpb.KV/RangeStream"];

    #[test]
    fn every_method_of_etcds_api_has_a_path() {
        for method in Method::ALL {
            let name = format!("{}/{}", method.service(), method.name());
            let is_etcds =
                !method.service().starts_with("grpc.") && !method.service().starts_with("quorate.");
            let is_routed = ROUTES.iter().any(|(_, routed)| routed == method);
            assert_eq!(is_routed, is_etcds && !WITHOUT.contains(&&name[..]), "{name}");
        }
    }

    #[test]
    fn paths_name_methods() {
        assert_eq!(method_of("/v3/kv/range"), Some(Method::Range));
        assert_eq!(method_of("/v3beta/kv/range"), Some(Method::Range));
        for path in ["/v3/kv/range/", "/v3/", "/v3", "/v2/keys", "/v3alpha/kv/range", "/"] {
            assert_eq!(method_of(path), None, "{path}");
        }
    }
}
