//! Shape checks: what is wrong with a request can be seen without looking at any state.
//!
//! The server runs them before it proposes, in exactly the order in which etcd runs them, as the first thing wrong is
//! what the client is told. A command in the log has passed them; [`Machine::apply`](crate::Machine::apply) does not
//! repeat them, but is total all the same: what a check would have refused has *some* defined, deterministic effect.

mod delete_range;
mod operations;
mod put;
mod range;
mod txn;

pub use delete_range::delete_range;
pub use operations::operations;
pub use put::put;
pub use range::{range, range_stream};
pub use txn::txn;
