//! What the channel must know of a method: whether its request may be sent again, and whether it is a single message.

use crate::retry::Effect;

/// How requests of a method are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One message goes out and is kept, so that it can be sent again.
    Single(Effect),
    /// A stream of messages goes out: it is sent once, and its user begins a new one.
    Stream,
}

/// Methods that only read, besides those of the key space. A renewal of a token is as good as a read.
const READS: [&str; 18] = [
    "/etcdserverpb.KV/Range",
    "/etcdserverpb.KV/RangeStream",
    "/etcdserverpb.Lease/LeaseTimeToLive",
    "/etcdserverpb.Lease/LeaseLeases",
    "/etcdserverpb.Cluster/MemberList",
    "/etcdserverpb.Maintenance/Status",
    "/etcdserverpb.Maintenance/Hash",
    "/etcdserverpb.Maintenance/HashKV",
    "/etcdserverpb.Maintenance/Snapshot",
    "/etcdserverpb.Auth/AuthStatus",
    "/etcdserverpb.Auth/Authenticate",
    "/etcdserverpb.Auth/UserGet",
    "/etcdserverpb.Auth/UserList",
    "/etcdserverpb.Auth/RoleGet",
    "/etcdserverpb.Auth/RoleList",
    "/v3electionpb.Election/Leader",
    "/grpc.health.v1.Health/Check",
    "/quorate.v1.Follow/Status",
];

/// Methods with a stream of requests.
const STREAMS: [&str; 2] = ["/etcdserverpb.Watch/Watch", "/etcdserverpb.Lease/LeaseKeepAlive"];

/// Methods that take as long as they take: no deadline is set for them.
const UNBOUNDED: [&str; 10] = [
    "/etcdserverpb.Watch/Watch",
    "/etcdserverpb.Lease/LeaseKeepAlive",
    "/etcdserverpb.KV/RangeStream",
    "/etcdserverpb.Maintenance/Snapshot",
    "/etcdserverpb.Maintenance/Defragment",
    "/v3lockpb.Lock/Lock",
    "/v3electionpb.Election/Campaign",
    "/v3electionpb.Election/Observe",
    "/grpc.health.v1.Health/Watch",
    "/quorate.v1.Follow/Cutover",
];

/// The method that gets a token, and is called without one.
pub(crate) const AUTHENTICATE: &str = "/etcdserverpb.Auth/Authenticate";

/// Returns how requests to this path are treated.
pub(crate) fn kind(path: &str) -> Kind {
    if STREAMS.contains(&path) {
        Kind::Stream
    } else if READS.contains(&path) {
        Kind::Single(Effect::Reads)
    } else {
        Kind::Single(Effect::Writes)
    }
}

/// Returns whether the request timeout applies to this path.
pub(crate) fn is_bounded(path: &str) -> bool {
    !UNBOUNDED.contains(&path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_that_is_listed_exists() {
        let known = |path: &&str| {
            let (service, method) = path.trim_start_matches('/').split_once('/').expect("service and method");
            // Names are plain text in encoded descriptors.
            let service = service.rsplit('.').next().expect("a name");
            [service, method]
                .iter()
                .all(|name| proto::DESCRIPTORS.windows(name.len()).any(|window| window == name.as_bytes()))
        };
        for path in READS.iter().chain(&STREAMS).chain(&UNBOUNDED).chain([&AUTHENTICATE]) {
            assert!(known(path), "{path}");
        }
        assert_eq!(kind("/etcdserverpb.KV/Put"), Kind::Single(Effect::Writes));
        assert_eq!(kind("/something.New/Method"), Kind::Single(Effect::Writes));
    }
}
