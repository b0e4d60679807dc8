//! What etcd 3.4 to 3.7 keep in a database: names of buckets, keys and values of their rows, and numbers about all of it.
//!
//! Integers in keys and fixed values are big-endian. Values that are protobuf messages are bytes here but for
//! [`KeyValue`], of which this crate must know the key. The buckets, by name:
//!
//! | bucket | key | value |
//! |---|---|---|
//! | `alarm` | [`AlarmKey`] | nothing |
//! | `auth` | `authEnabled`, `authRevision` | [`AuthSettings`] |
//! | `authRoles`, `authUsers` | name | protobuf `authpb.Role`, `authpb.User` |
//! | `cluster` | `clusterVersion`, `downgrade` | [`ClusterSettings`] |
//! | `key` | [`RevisionKey`] | [`KeyValue`] |
//! | `lease` | [`lease_key`] | protobuf `leasepb.Lease` |
//! | `members` | [`member_key`] | [`Member`] |
//! | `members_removed` | [`member_key`] | the text `removed` |
//! | `meta` | see [`MetaRows`] | |
//!
//! Which rows a server needs, and which it ignores, differs between versions: 3.6 and later read members and cluster
//! version from here, older ones have them in their raft snapshots. A file that all of 3.4 to 3.7 take has `key`, `meta`
//! (which may be empty), `lease`, and the buckets of users if there are any.

pub mod bucket;
mod error;
mod fixed;
mod hash_kv;
mod key_value;
mod live_keys;
mod member;
mod protobuf;
mod revision;
mod settings;
mod status;
mod version;
mod versions;

pub use error::{EtcdError, RowFault};
pub use fixed::{AlarmKey, lease_key, parse_lease_key};
pub use hash_kv::{HashKv, hash_kv};
pub use key_value::KeyValue;
pub use member::{ConfState, Member, REMOVED, member_key, parse_member_key};
pub use revision::{RevisionKey, RevisionKeyBytes};
pub use settings::{AuthSettings, ClusterSettings, Downgrade, MetaRows};
pub use status::{Status, status};
pub use version::Version;
