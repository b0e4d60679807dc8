//! Leases: time that keys live for, and the guard that keeps one alive.

mod calls;
mod guard;
mod hub;
mod line;

pub use self::calls::{
    Grant, Granted, Leases, LeasesAnswer, Revoke, RevokeAnswer, TimeToLive, TimeToLiveAnswer,
};
pub use self::guard::{KeepAlive, Lease, Renewal};
pub(crate) use self::hub::Hub;
