//! Keeping the process in memory (`--memory-mlock`).
//!
//! etcd locks the pages of its database file, which it maps into memory. Here nothing is mapped, and what is to be at hand is in
//! the memory of the process: so all of that is locked, what is allocated later included. A page is locked when it is first used,
//! because the allocator reserves far more addresses than it uses.
//!
//! The limit on locked memory (`RLIMIT_MEMLOCK`) counts addresses, too, and an allocation beyond it fails, which ends the
//! process. So a process that is under a limit, or one that it cannot raise to infinity, is not started at all.

use std::io;

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities};

use crate::error::StartError;

/// Locks the memory that the process has and will have.
///
/// # Errors
/// When the process is under a limit, or the kernel refuses.
pub fn lock_memory() -> Result<(), StartError> {
    let limit = raise_limit();
    if let (Some(bytes), false) = (limit, is_privileged()) {
        return Err(StartError::MemoryLockLimit(bytes));
    }
    mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)
        .map_err(|error| StartError::MemoryLock(io::Error::from(error)))?;
    tracing::info!("memory is locked");
    Ok(())
}

/// Raises the soft limit on locked memory to the hard one, and returns what it then is; `None`: there is none.
fn raise_limit() -> Option<u64> {
    let before = getrlimit(Resource::Memlock);
    // If this fails the old limit stands, and is what is reported.
    let _ = setrlimit(Resource::Memlock, Rlimit { current: before.maximum, ..before });
    getrlimit(Resource::Memlock).current
}

/// Returns whether the limit does not count for this process.
fn is_privileged() -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK))
}
