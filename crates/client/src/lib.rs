//! An async client for Quorate and etcd.

mod address;
mod builder;
pub mod cache;
mod call;
mod channel;
mod client;
mod error;
mod kv;
mod lease;
mod namespace;
mod number;
mod observe;
mod random;
pub mod recipes;
mod retry;
mod settings;
mod tls;
mod token;
mod txn;
mod verify;
mod watch;

pub use builder::Builder;
pub use call::{Attached, Detached};
pub use channel::{Answer, Channel};
pub use client::Client;
pub use error::{Error, Outcome};
pub use kv::{
    Compact, CompactAnswer, Delete, DeleteAnswer, Get, GetAnswer, Header, IntoBytes, KeyRange, KeyValue,
    Order, Pages, Put, PutAnswer, Rows, SortBy, all, delete, from_key, get, prefix, put, range,
};
pub use lease::{
    Grant, Granted, KeepAlive, Lease, Leases, LeasesAnswer, Revoke, RevokeAnswer, TimeToLive,
    TimeToLiveAnswer,
};
pub use namespace::{Namespace, NamespacePages, NamespaceRows, NamespaceWatch, NamespaceWatcher, Within};
pub use number::{ClusterId, LeaseId, MemberId, Revision};
pub use observe::{Attempt, Observer};
pub use tls::Tls;
pub use tonic::Code;
pub use txn::{
    Compare, Op, OpAnswer, Operand, Subject, Txn, TxnAnswer, create_revision, exists, lease, missing,
    mod_revision, txn, value, version,
};
pub use watch::{Event, EventKind, Update, Watch, Watcher};
