//! The methods that this version serves, by their paths.

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

macro_rules! methods {
    ($($name:ident = $service:literal / $method:literal, $kind:ident;)+) => {
        /// A method that is served.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(usize)]
        #[allow(clippy::enum_variant_names)]
        pub(crate) enum Method {
            $($name,)+
        }

        impl Method {
            /// All of them.
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)+];

            /// The method with this path.
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

            /// Whether a member without a vote answers it, if only some requests of it.
            pub(crate) fn is_for_learners(self) -> bool {
                matches!(self, Self::Status | Self::Range)
            }

            /// Whether it tells of the member itself, so that it is answered even by one that cannot trust its data.
            pub(crate) fn is_about_the_member(self) -> bool {
                matches!(self, Self::Status | Self::HealthCheck | Self::HealthWatch | Self::HealthList)
            }

            /// How many messages go each way.
            pub(crate) fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind,)+ }
            }
        }
    };
}

methods! {
    Range = "etcdserverpb.KV" / "Range", Unary;
    Put = "etcdserverpb.KV" / "Put", Unary;
    Txn = "etcdserverpb.KV" / "Txn", Unary;
    DeleteRange = "etcdserverpb.KV" / "DeleteRange", Unary;
    RangeStream = "etcdserverpb.KV" / "RangeStream", ServerStream;
    Compact = "etcdserverpb.KV" / "Compact", Unary;
    Watch = "etcdserverpb.Watch" / "Watch", BidiStream;
    LeaseGrant = "etcdserverpb.Lease" / "LeaseGrant", Unary;
    LeaseRevoke = "etcdserverpb.Lease" / "LeaseRevoke", Unary;
    LeaseKeepAlive = "etcdserverpb.Lease" / "LeaseKeepAlive", BidiStream;
    LeaseTimeToLive = "etcdserverpb.Lease" / "LeaseTimeToLive", Unary;
    LeaseLeases = "etcdserverpb.Lease" / "LeaseLeases", Unary;
    MemberAdd = "etcdserverpb.Cluster" / "MemberAdd", Unary;
    MemberRemove = "etcdserverpb.Cluster" / "MemberRemove", Unary;
    MemberUpdate = "etcdserverpb.Cluster" / "MemberUpdate", Unary;
    MemberList = "etcdserverpb.Cluster" / "MemberList", Unary;
    MemberPromote = "etcdserverpb.Cluster" / "MemberPromote", Unary;
    Alarm = "etcdserverpb.Maintenance" / "Alarm", Unary;
    Status = "etcdserverpb.Maintenance" / "Status", Unary;
    Defragment = "etcdserverpb.Maintenance" / "Defragment", Unary;
    Hash = "etcdserverpb.Maintenance" / "Hash", Unary;
    HashKv = "etcdserverpb.Maintenance" / "HashKV", Unary;
    MoveLeader = "etcdserverpb.Maintenance" / "MoveLeader", Unary;
    Authenticate = "etcdserverpb.Auth" / "Authenticate", Unary;
    AuthStatus = "etcdserverpb.Auth" / "AuthStatus", Unary;
    AuthEnable = "etcdserverpb.Auth" / "AuthEnable", Unary;
    AuthDisable = "etcdserverpb.Auth" / "AuthDisable", Unary;
    UserGet = "etcdserverpb.Auth" / "UserGet", Unary;
    UserList = "etcdserverpb.Auth" / "UserList", Unary;
    RoleGet = "etcdserverpb.Auth" / "RoleGet", Unary;
    RoleList = "etcdserverpb.Auth" / "RoleList", Unary;
    HealthCheck = "grpc.health.v1.Health" / "Check", Unary;
    HealthWatch = "grpc.health.v1.Health" / "Watch", ServerStream;
    HealthList = "grpc.health.v1.Health" / "List", Unary;
}

/// The status of a path that is not served: grpc-go's texts, and a word about what is not served *yet*.
pub(crate) fn unknown(path: &str) -> tonic::Status {
    let Some((service, method)) = path.strip_prefix('/').and_then(|path| path.rsplit_once('/')) else {
        return tonic::Status::unimplemented(format!("malformed method name: {path:?}"));
    };
    if crate::api::method::Method::ALL.iter().any(|known| known.service() == service) {
        tonic::Status::unimplemented(format!("unknown method {method} for service {service}"))
    } else {
        tonic::Status::unimplemented(format!("unknown service {service}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_methods() {
        assert_eq!(Method::of("/etcdserverpb.KV/Range"), Some(Method::Range));
        assert_eq!(Method::of("/etcdserverpb.KV/Rang"), None);
        for method in Method::ALL {
            assert_eq!(Method::of(&format!("/{}/{}", method.service(), method.name())), Some(*method));
        }
    }

    #[test]
    fn what_is_not_served_is_unimplemented_in_the_words_of_grpc_go() {
        assert_eq!(unknown("/etcdserverpb.KV/X").message(), "unknown method X for service etcdserverpb.KV");
        assert_eq!(unknown("/v3lockpb.Lock/X").message(), "unknown service v3lockpb.Lock");
        assert_eq!(unknown("/x").message(), "malformed method name: \"/x\"");
    }
}
