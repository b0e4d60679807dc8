//! An async client for Quorate and etcd.
//!
//! ```no_run
//! use quorate_client::{Client, get, prefix, put, value};
//! # async fn example() -> Result<(), quorate_client::Error> {
//! let client = Client::builder().endpoints(["10.0.0.1:2379", "10.0.0.2:2379"]).connect().await?;
//! client.put("k", "v").await?;
//! let ten = client.get(prefix("/a")).limit(10).await?;
//! client.txn().when([value("a").eq("1")]).then([put("b", "2")]).or_else([get("a")]).await?;
//! # let _ = ten; Ok(()) }
//! ```
//!
//! # The whole of it
//!
//! Everything begins with a [`Client`], from [`Client::builder`]. What it returns is awaited directly; options come
//! before the `.await`.
//!
//! | for | call | options |
//! |---|---|---|
//! | connecting | [`Builder`]: `endpoints`, `connect` | `tls` ([`Tls`]), `user`, `token`, `dial_timeout`, `keepalive`, `request_timeout`, `require_leader`, `sync_interval`, `max_send_bytes`, `max_recv_bytes`, `observer` |
//! | reading | [`get`](Client::get)`(keys)` | `limit`, `revision`, `serializable`, `keys_only`, `count_only`, `sort`, `min_`/`max_mod_revision`, `min_`/`max_create_revision`; `page(n)`, `stream()` for large ranges |
//! | writing | [`put`](Client::put)`(key, value)` | `lease`, `prev_kv`, `ignore_value`, `ignore_lease` |
//! | | [`delete`](Client::delete)`(keys)` | `prev_kv` |
//! | both at once | [`txn`](Client::txn)`()` | `when` ([`value`], [`version`], [`create_revision`], [`mod_revision`], [`lease()`], [`exists`], [`missing`]), `then`, `or_else` ([`get()`], [`put()`], [`delete()`], [`txn()`]) |
//! | forgetting history | [`compact`](Client::compact)`(revision)` | `physical` |
//! | watching | [`watch`](Client::watch)`(keys)`, a [`Watcher`] | `from_revision`, `prev_kv`, `bookmarks`, `no_put`, `no_delete` |
//! | living with a lease | [`lease`](Client::lease)`(ttl)`, [`keep_alive`](Client::keep_alive)`(id)`: a [`Lease`] | `id` |
//! | | `lease_grant`, `lease_revoke`, `lease_time_to_live`, `leases`, `keep_alive_once` | |
//! | acting alone, together, or in turn | [`session`](Client::session)`(ttl)`: [`mutex`](recipes::Session::mutex), [`double_barrier`](recipes::Session::double_barrier); [`election`](Client::election), [`stm`](Client::stm), [`queue`](Client::queue), [`priority_queue`](Client::priority_queue), [`barrier`](Client::barrier) | see [`recipes`], and what a lock protects |
//! | keys in memory | [`cache`](Client::cache)`(keys)` | `page`; see [`cache`](mod@cache) |
//! | a part of the keys | [`namespace`](Client::namespace)`(prefix)` | as the client |
//! | the rest | [`auth`](Client::auth), [`cluster`](Client::cluster), [`maintenance`](Client::maintenance), [`lock_service`](Client::lock_service), [`election_service`](Client::election_service) | |
//! | endpoints | [`endpoints`](Client::endpoints), [`at`](Client::at)`(one)`, [`sync_endpoints`](Client::sync_endpoints), [`discover`] | |
//! | everything else | [`channel`](Client::channel), for the stubs that tonic generates | |
//!
//! *Keys* are a key (text or bytes), or [`prefix`], [`range`], [`from_key`], [`all`]. Each call has `timeout`.
//!
//! # What is promised
//!
//! * **A write is done at most once** (K2). It is sent again only if it was surely not done: it never left this process, or
//!   a member refused it before proposing it. In all other cases it fails with [`Outcome::Unknown`], and the caller
//!   decides. Reads are repeated, at another endpoint if there is one, until they are answered or their time is up.
//! * **A watch reports each change once, in order**, across any number of lost connections, or ends with an error. The
//!   changes of one revision are not torn apart.
//! * **A lease counts as lost** when it may be: its time is counted from when a renewal was sent.
//! * **A dead connection is found out** even if nothing says so: while something waits on a silent connection, the member
//!   is asked for a sign of life, and 1.25 s later (as [`Builder::keepalive`] says) calls go elsewhere.
//!
//! # How it is built
//!
//! [`Channel`] is one channel over all endpoints: it chooses one, adds the token, and repeats what may be repeated. The typed
//! calls are thin over it and over the stubs of `quorate-proto`. One task owns all watches of a client, on one stream; one
//! owns all leases. They start with the first watch or lease, and end with the client. Nothing else runs in the
//! background but the connections.
//!
//! What the client does not know: recipes do not reach below the typed calls, and the typed calls do not know endpoints.
//!
//! # What it costs
//!
//! A call is one future and three small allocations over the raw stub, and none of them takes a lock that another holds
//! over an `.await`. It needs tokio, with time and IO enabled.

mod address;
mod auth;
mod builder;
pub mod cache;
mod call;
mod channel;
mod client;
mod cluster;
mod discovery;
mod error;
mod kv;
mod lease;
mod maintenance;
mod namespace;
mod number;
mod observe;
mod random;
pub mod recipes;
mod retry;
mod services;
mod settings;
mod tls;
mod token;
mod txn;
mod verify;
mod watch;

pub use auth::{Access, Auth, AuthStatus, Permission};
pub use builder::Builder;
pub use call::{Attached, Detached};
pub use channel::{Answer, Channel};
pub use client::Client;
pub use cluster::{Added, Cluster, Member};
pub use discovery::discover;
pub use error::{Error, Outcome};
pub use kv::{
    Compact, CompactAnswer, Delete, DeleteAnswer, Get, GetAnswer, Header, IntoBytes, KeyRange, KeyValue,
    Order, Pages, Put, PutAnswer, Rows, SortBy, all, delete, from_key, get, prefix, put, range,
};
pub use lease::{
    Grant, Granted, KeepAlive, Lease, Leases, LeasesAnswer, Renewal, Revoke, RevokeAnswer, TimeToLive,
    TimeToLiveAnswer,
};
pub use maintenance::{Alarm, AlarmKind, Downgrade, KvHash, Maintenance, MemberStatus, Snapshot};
pub use namespace::{Namespace, NamespacePages, NamespaceRows, NamespaceWatch, NamespaceWatcher, Within};
pub use number::{ClusterId, LeaseId, MemberId, Revision};
pub use observe::{Attempt, Observer};
pub use services::{ElectionService, LeaderKey, LeaderStream, LockService};
pub use tls::Tls;
pub use tonic::Code;
pub use txn::{
    Compare, Op, OpAnswer, Operand, Subject, Txn, TxnAnswer, create_revision, exists, lease, missing,
    mod_revision, txn, value, version,
};
pub use watch::{Event, EventKind, Update, Watch, Watcher};
