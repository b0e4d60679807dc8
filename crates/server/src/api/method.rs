//! One row for every method of the API: what it is, who may call it, and what serves it.
//!
//! Router, metrics and permissions come from here. A test compares the rows with the `.proto`
//! files, so that no method is without one (rule S1), and one that has no row is not served.
//! CONTRIBUTING.md says how to add one.

use http::Response;
use machine::auth::Policy;

use super::router::Call;
use crate::grpc::body::ResponseBody;

/// How many messages go each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One each way.
    Unary,
    /// One in, many out.
    ServerStream,
    /// Many each way.
    BidiStream,
}

/// What is special about a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trait {
    /// A member without a vote answers it, if only some requests of it.
    Learners,
    /// It says something about the member itself, so that it is answered even by one that cannot
    /// trust its data.
    AboutTheMember,
    /// Its metrics are not there from the start, as in etcd.
    WithoutMetrics,
}

macro_rules! methods {
    ($($name:ident = $service:literal / $method:literal, $kind:ident, $policy:ident, $handler:ident
       $(, $trait:ident)*;)+) => {
        /// A method of the API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(usize)]
        #[allow(clippy::enum_variant_names)]
        pub(crate) enum Method {
            $($name,)+
        }

        impl Method {
            /// All of them.
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)+];

            /// Returns the method with this path.
            pub(crate) fn of(path: &str) -> Option<Self> {
                match path {
                    $(concat!("/", $service, "/", $method) => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// Package and service.
            pub(crate) fn service(self) -> &'static str {
                match self { $(Self::$name => $service,)+ }
            }

            /// The method's own name.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$name => $method,)+ }
            }

            /// How many messages go each way.
            pub(crate) fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind,)+ }
            }

            /// Who may call it.
            pub(crate) fn policy(self) -> Policy {
                match self { $(Self::$name => Policy::$policy,)+ }
            }

            fn traits(self) -> &'static [Trait] {
                match self { $(Self::$name => &[$(Trait::$trait,)*],)+ }
            }
        }

        /// Calls the method's handler.
        pub(super) async fn dispatch(call: Call) -> Response<ResponseBody> {
            match call.method() {
                $(Method::$name => handle!(call, $kind, $handler),)+
            }
        }
    };
}

// Each method's future is in a box of its own: `dispatch` would be as large as the largest of them
// otherwise, and it is moved several times before it runs first.
macro_rules! handle {
    ($call:ident, Unary, $handler:ident) => {
        Box::pin($call.unary(|api, caller, request| async move { api.$handler(&caller, request).await }))
            .await
    };
    ($call:ident, ServerStream, $handler:ident) => {
        Box::pin(
            $call.server_stream(|api, caller, request| async move { api.$handler(&caller, request).await }),
        )
        .await
    };
    ($call:ident, BidiStream, $handler:ident) => {
        $call.bidi_stream(|api, caller, requests| api.$handler(caller, requests))
    };
}

// Path, kind, who may call it, the handler (a function of `Api`), and what is special about it.
methods! {
    Range = "etcdserverpb.KV" / "Range", Unary, ByRange, range, Learners;
    RangeStream = "etcdserverpb.KV" / "RangeStream", ServerStream, ByRange, range_stream;
    Put = "etcdserverpb.KV" / "Put", Unary, ByRange, put;
    DeleteRange = "etcdserverpb.KV" / "DeleteRange", Unary, ByRange, delete_range;
    Txn = "etcdserverpb.KV" / "Txn", Unary, ByRange, txn;
    Compact = "etcdserverpb.KV" / "Compact", Unary, Admin, compact;
    Watch = "etcdserverpb.Watch" / "Watch", BidiStream, ByRange, watch;
    LeaseGrant = "etcdserverpb.Lease" / "LeaseGrant", Unary, AnyUser, lease_grant;
    LeaseRevoke = "etcdserverpb.Lease" / "LeaseRevoke", Unary, ByRange, lease_revoke;
    LeaseKeepAlive = "etcdserverpb.Lease" / "LeaseKeepAlive", BidiStream, ByRange, lease_keep_alive;
    LeaseTimeToLive = "etcdserverpb.Lease" / "LeaseTimeToLive", Unary, ByRange, lease_time_to_live;
    LeaseLeases = "etcdserverpb.Lease" / "LeaseLeases", Unary, ByRange, lease_leases;
    MemberAdd = "etcdserverpb.Cluster" / "MemberAdd", Unary, Admin, member_add;
    MemberRemove = "etcdserverpb.Cluster" / "MemberRemove", Unary, Admin, member_remove;
    MemberUpdate = "etcdserverpb.Cluster" / "MemberUpdate", Unary, Admin, member_update;
    MemberList = "etcdserverpb.Cluster" / "MemberList", Unary, AnyUser, member_list;
    MemberPromote = "etcdserverpb.Cluster" / "MemberPromote", Unary, Admin, member_promote;
    Alarm = "etcdserverpb.Maintenance" / "Alarm", Unary, AnyUser, alarm;
    Status = "etcdserverpb.Maintenance" / "Status", Unary, AnyUser, status, Learners, AboutTheMember;
    Defragment = "etcdserverpb.Maintenance" / "Defragment", Unary, Admin, defragment;
    Hash = "etcdserverpb.Maintenance" / "Hash", Unary, Admin, hash;
    HashKv = "etcdserverpb.Maintenance" / "HashKV", Unary, Admin, hash_kv;
    Snapshot = "etcdserverpb.Maintenance" / "Snapshot", ServerStream, Admin, snapshot, Learners;
    MoveLeader = "etcdserverpb.Maintenance" / "MoveLeader", Unary, Admin, move_leader;
    Downgrade = "etcdserverpb.Maintenance" / "Downgrade", Unary, Admin, downgrade;
    AuthEnable = "etcdserverpb.Auth" / "AuthEnable", Unary, Admin, auth_enable;
    AuthDisable = "etcdserverpb.Auth" / "AuthDisable", Unary, Admin, auth_disable;
    AuthStatus = "etcdserverpb.Auth" / "AuthStatus", Unary, Open, auth_status;
    Authenticate = "etcdserverpb.Auth" / "Authenticate", Unary, Open, authenticate;
    UserAdd = "etcdserverpb.Auth" / "UserAdd", Unary, Admin, user_add;
    UserGet = "etcdserverpb.Auth" / "UserGet", Unary, SelfOrRoot, user_get;
    UserList = "etcdserverpb.Auth" / "UserList", Unary, Admin, user_list;
    UserDelete = "etcdserverpb.Auth" / "UserDelete", Unary, Admin, user_delete;
    UserChangePassword = "etcdserverpb.Auth" / "UserChangePassword", Unary, Admin, user_change_password;
    UserGrantRole = "etcdserverpb.Auth" / "UserGrantRole", Unary, Admin, user_grant_role;
    UserRevokeRole = "etcdserverpb.Auth" / "UserRevokeRole", Unary, Admin, user_revoke_role;
    RoleAdd = "etcdserverpb.Auth" / "RoleAdd", Unary, Admin, role_add;
    RoleGet = "etcdserverpb.Auth" / "RoleGet", Unary, SelfOrRoot, role_get;
    RoleList = "etcdserverpb.Auth" / "RoleList", Unary, Admin, role_list;
    RoleDelete = "etcdserverpb.Auth" / "RoleDelete", Unary, Admin, role_delete;
    RoleGrantPermission = "etcdserverpb.Auth" / "RoleGrantPermission", Unary, Admin, role_grant_permission;
    RoleRevokePermission = "etcdserverpb.Auth" / "RoleRevokePermission", Unary, Admin, role_revoke_permission;
    Lock = "v3lockpb.Lock" / "Lock", Unary, ByRange, lock, WithoutMetrics;
    Unlock = "v3lockpb.Lock" / "Unlock", Unary, ByRange, unlock, WithoutMetrics;
    Campaign = "v3electionpb.Election" / "Campaign", Unary, ByRange, campaign, WithoutMetrics;
    Proclaim = "v3electionpb.Election" / "Proclaim", Unary, ByRange, proclaim, WithoutMetrics;
    Leader = "v3electionpb.Election" / "Leader", Unary, ByRange, election_leader, WithoutMetrics;
    Observe = "v3electionpb.Election" / "Observe", ServerStream, ByRange, observe_election, WithoutMetrics;
    Resign = "v3electionpb.Election" / "Resign", Unary, ByRange, resign, WithoutMetrics;
    FollowStatus = "quorate.v1.Follow" / "Status", Unary, Admin, follow_status, WithoutMetrics;
    FollowCutover = "quorate.v1.Follow" / "Cutover", Unary, Admin, follow_cutover, WithoutMetrics;
    FollowCancel = "quorate.v1.Follow" / "Cancel", Unary, Admin, follow_cancel, WithoutMetrics;
    HealthCheck = "grpc.health.v1.Health" / "Check", Unary, Open, health_check, AboutTheMember;
    HealthWatch = "grpc.health.v1.Health" / "Watch", ServerStream, Open, health_watch, AboutTheMember;
    HealthList = "grpc.health.v1.Health" / "List", Unary, Open, health_list, AboutTheMember;
}

impl Method {
    /// Returns whether a member without a vote answers it.
    pub(crate) fn is_for_learners(self) -> bool {
        self.traits().contains(&Trait::Learners)
    }

    /// Returns whether it is answered even by a member that cannot trust its data.
    pub(crate) fn is_about_the_member(self) -> bool {
        self.traits().contains(&Trait::AboutTheMember)
    }

    /// Returns whether its metrics are there from the start.
    pub(crate) fn has_metrics(self) -> bool {
        !self.traits().contains(&Trait::WithoutMetrics)
    }
}

/// Returns the status of a path that is not served, in grpc-go's words.
pub(crate) fn unknown(path: &str) -> tonic::Status {
    let Some((service, method)) = path.strip_prefix('/').and_then(|path| path.rsplit_once('/')) else {
        return tonic::Status::unimplemented(format!("malformed method name: {path:?}"));
    };
    if Method::ALL.iter().any(|known| known.service() == service) {
        tonic::Status::unimplemented(format!("unknown method {method} for service {service}"))
    } else {
        tonic::Status::unimplemented(format!("unknown service {service}"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn paths_name_methods() {
        assert_eq!(Method::of("/etcdserverpb.KV/Range"), Some(Method::Range));
        assert_eq!(Method::of("/etcdserverpb.KV/Rang"), None);
        for method in Method::ALL {
            assert_eq!(Method::of(&format!("/{}/{}", method.service(), method.name())), Some(*method));
        }
    }

    /// Rule S1, CVE-2026-33413: five methods of etcd had no check, because nobody had written one.
    #[test]
    fn every_method_of_the_descriptors_has_a_row() {
        let contract = include_str!("../../../../proto/contract.tsv");
        let described: BTreeSet<(&str, &str)> = contract
            .lines()
            .filter_map(|line| {
                let mut words = line.split('\t');
                (words.next() == Some("rpc")).then(|| (words.next().unwrap(), words.next().unwrap()))
            })
            .collect();
        assert!(described.len() >= 49, "{} methods in the contract", described.len());
        let rows: BTreeSet<_> = Method::ALL.iter().map(|method| (method.service(), method.name())).collect();
        assert_eq!(rows.len(), Method::ALL.len(), "a method has two rows");
        let health: BTreeSet<_> =
            rows.iter().filter(|row| row.0 == "grpc.health.v1.Health").copied().collect();
        assert_eq!(&rows - &health, &described - &health, "rows and methods of the API differ");
        assert_eq!(health.len(), 3);
    }

    #[test]
    fn what_everybody_may_call_is_known_by_name() {
        let open = Method::ALL.iter().filter(|method| method.policy() == Policy::Open);
        let open: Vec<_> = open.map(|method| method.name()).collect();
        assert_eq!(open, ["AuthStatus", "Authenticate", "Check", "Watch", "List"]);
        assert!(
            Method::ALL.iter().all(|method| method.policy() != Policy::PeerOnly),
            "clients are not members"
        );
    }

    #[test]
    fn what_is_not_served_is_unimplemented_in_the_words_of_grpc_go() {
        assert_eq!(unknown("/etcdserverpb.KV/X").message(), "unknown method X for service etcdserverpb.KV");
        assert_eq!(unknown("/v3lockpb.Look/X").message(), "unknown service v3lockpb.Look");
        assert_eq!(unknown("/x").message(), "malformed method name: \"/x\"");
    }

    /// The page says what is served: every service and call of the API, and every path of HTTP.
    #[test]
    fn the_page_on_compatibility_names_all_that_is_served() {
        let page = include_str!("../../../../docs/compatibility.md");
        let served = page.split_once("## Served today").expect("the section").1;
        let served = served.split_once("\n## ").expect("a section behind it").0;
        let row_of = |service: &str| served.lines().find(|line| line.contains(&format!("`{service}`")));
        for method in Method::ALL {
            if method.service().starts_with("quorate.") {
                continue;
            }
            let row =
                row_of(method.service()).unwrap_or_else(|| panic!("{} is not on the page", method.service()));
            let names_it = row.contains("all 17 calls")
                || row
                    .split(|letter: char| !letter.is_ascii_alphanumeric())
                    .any(|word| word == method.name());
            assert!(names_it, "{}.{} is not on the page", method.service(), method.name());
        }
        let paths =
            ["/version", "/health", "/livez", "/readyz", "/metrics", "/debug/vars", "/v3/", "/members"];
        let checks = ["data_corruption", "serializable_read", "linearizable_read", "non_learner"];
        for word in paths.into_iter().chain(checks) {
            assert!(served.contains(&format!("`{word}`")), "{word} is not on the page");
        }
    }
}
