//! The etcd v3 API in Rust: every message of every service, generated from the `.proto` files beside this crate by
//! `cargo xtask codegen` and committed, so that building needs neither `protoc` nor a build script.
//!
//! * One module for each protobuf package, under the package's name: [`etcdserverpb`] has what clients call.
//! * Fields of protobuf type `bytes` are [`bytes::Bytes`]: decoding from a `Bytes` makes slices of it, not copies.
//! * Enum fields are `i32`, as numbers from a newer client must survive; `field()` gives the enum, with the default
//!   for a number unknown. Where an unknown number must be refused, convert with `try_from`.
//! * The feature `client` adds tonic clients (`etcdserverpb::kv_client::KvClient` and so on). There are no server
//!   stubs: Quorate's server routes calls itself, to splice values that are encoded already.
//! * [`DESCRIPTORS`] describes all of it at run time, for JSON and for tests.
//!
//! What this crate does not know: everything else. It has no logic, and it depends on nothing of Quorate.

/// The services of the v3 API and their messages, and what the raft log carries.
pub mod etcdserverpb {
    #![allow(missing_docs, clippy::all)]
    include!("gen/etcdserverpb.rs");
}

/// Keys and their changes.
pub mod mvccpb {
    #![allow(missing_docs, clippy::all)]
    include!("gen/mvccpb.rs");
}

/// Users and roles, as stored and as sent.
pub mod authpb {
    #![allow(missing_docs, clippy::all)]
    include!("gen/authpb.rs");
}

/// Members of the cluster, as stored and as replicated.
pub mod membershippb {
    #![allow(missing_docs, clippy::all)]
    include!("gen/membershippb.rs");
}

/// Leases, as stored and as asked of the leader.
pub mod leasepb {
    #![allow(missing_docs, clippy::all)]
    include!("gen/leasepb.rs");
}

/// Locks as a service.
pub mod v3lockpb {
    #![allow(missing_docs, clippy::all)]
    include!("gen/v3lockpb.rs");
}

/// Elections as a service.
pub mod v3electionpb {
    #![allow(missing_docs, clippy::all)]
    include!("gen/v3electionpb.rs");
}

/// The health protocol of gRPC (package `grpc.health.v1`).
pub mod health {
    #![allow(missing_docs, clippy::all)]
    include!("gen/grpc.health.v1.rs");
}

/// Commands that only Quorate proposes.
pub mod quoratepb {
    #![allow(missing_docs, clippy::all)]
    include!("gen/quoratepb.rs");
}

/// What Quorate serves beside the v3 API (package `quorate.v1`).
pub mod quorate_v1 {
    #![allow(missing_docs, clippy::all)]
    include!("gen/quorate.v1.rs");
}

/// etcd's raft library on the wire and on disk. For reading etcd's data directories only.
pub mod raftpb {
    #![allow(missing_docs, clippy::all)]
    include!("gen/raftpb.rs");
}

/// Records of etcd's write-ahead log. For reading etcd's data directories only.
pub mod walpb {
    #![allow(missing_docs, clippy::all)]
    include!("gen/walpb.rs");
}

/// etcd's snapshot files. For reading etcd's data directories only.
pub mod snappb {
    #![allow(missing_docs, clippy::all)]
    include!("gen/snappb.rs");
}

/// The encoded `google.protobuf.FileDescriptorSet` of everything above, without comments.
pub const DESCRIPTORS: &[u8] = include_bytes!("gen/descriptors.bin");
