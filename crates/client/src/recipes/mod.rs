//! What clusters are mostly used for besides storing: locks, elections, transactions of any shape, queues, barriers.
//!
//! They are built of the calls of this crate alone, and use the keys that etcd's own Go client uses: a lock of `etcdctl
//! lock`, of Go's `concurrency.Mutex` and of [`Mutex`] exclude each other, and so do elections.
//!
//! What takes part in a lock, an election or a double barrier does so with a [`Session`], a lease that is renewed in the
//! background. When a process dies, its lease ends, and its keys with it. That is also the limit of these recipes: **the
//! lease can end while its owner still runs**. The process may be paused, or cut off, and find out late. What a lock is
//! supposed to protect must therefore be protected against a former holder:
//!
//! * What is stored in the cluster is written in a transaction with [`MutexGuard::condition`] (or
//!   [`Leadership::condition`]) among its conditions: if the lock is lost, nothing is written.
//! * Elsewhere, the store must take the fencing token ([`MutexGuard::token`]) with each write, and refuse one that is
//!   lower than the highest it has seen. Tokens only grow from one holder to the next.
//! * Where neither is possible, a lock only makes it rare that two work at a time. That is good enough to save work, and
//!   not good enough to save data.
//!
//! ```no_run
//! # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
//! use std::time::Duration;
//! use quorate_client::put;
//!
//! let session = client.session(Duration::from_secs(10)).await?;
//! let held = session.mutex("locks/ledger").lock().await?;
//! client.txn().when([held.condition()]).then([put("ledger", "balanced")]).await?;
//! held.unlock().await?;
//! # Ok(()) }
//! ```

mod barrier;
mod claim;
mod election;
mod mutex;
mod queue;
mod session;
mod stm;

pub use self::barrier::{Barrier, DoubleBarrier, Inside};
pub use self::election::{Election, Leaders, Leadership};
pub use self::mutex::{Mutex, MutexGuard};
pub use self::queue::{Item, PriorityQueue, Queue};
pub use self::session::Session;
pub use self::stm::{Isolation, Stm, Transaction};

use tonic::Code;

use crate::client::Client;
use crate::error::Error;
use crate::number::Revision;
use crate::retry;

/// Returns whether a call may succeed later although it has failed now.
fn is_passing(error: &Error) -> bool {
    matches!(error.code(), Code::Unavailable | Code::DeadlineExceeded)
}

/// Joins a name and what follows it with a slash, as the recipes of etcd do.
fn under(name: &[u8], rest: impl AsRef<[u8]>) -> Vec<u8> {
    [name, b"/", rest.as_ref()].concat()
}

/// Waits until a key is deleted after a revision. It also returns when the watch cannot tell: the caller reads again.
///
/// # Errors
/// When the watch is refused for good.
async fn deletion(client: &Client, key: &[u8], after: Revision) -> Result<(), Error> {
    let watch = client.watch(key).from_revision(after.next()).no_put().await;
    let ended = match watch {
        Err(error) => Some(error),
        Ok(mut watch) => loop {
            match watch.next().await {
                Some(Ok(update)) if update.is_bookmark() => {}
                Some(Ok(_)) => break None,
                Some(Err(error)) => break Some(error),
                None => break None,
            }
        },
    };
    match ended {
        Some(error) if is_passing(&error) => {
            tokio::time::sleep(retry::pause(2)).await;
            Ok(())
        }
        Some(error) if !error.is_compacted() => Err(error),
        _ => Ok(()),
    }
}
