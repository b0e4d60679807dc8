//! Whether writes of clients have to wait for checkpoints (rule I6).

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use machine::Rejection;
use tokio::sync::Notify;

use crate::reply::Unserved;

/// What is in memory that no checkpoint has, as far as writers must know. Written by the apply thread.
#[derive(Default)]
pub struct Unstored {
    /// There is too much of it.
    is_much: AtomicBool,
    /// The disk has no space for the next checkpoint.
    is_disk_full: AtomicBool,
    changed: Notify,
}

impl Unstored {
    /// Publishes whether there is too much. Returns whether there was not until now.
    pub fn set_much(&self, is_much: bool) -> bool {
        let was_much = self.is_much.swap(is_much, Ordering::AcqRel);
        if was_much && !is_much {
            self.changed.notify_waiters();
        }
        is_much && !was_much
    }

    /// Publishes whether the disk has no space for a checkpoint.
    pub fn set_disk_full(&self, is_disk_full: bool) {
        if self.is_disk_full.swap(is_disk_full, Ordering::AcqRel) != is_disk_full {
            self.changed.notify_waiters();
        }
    }

    /// Returns whether the disk has no space for a checkpoint.
    pub fn is_disk_full(&self) -> bool {
        self.is_disk_full.load(Ordering::Acquire)
    }

    /// Returns whether there is too much, and no checkpoint will change that before there is space.
    pub fn is_stuck(&self) -> bool {
        self.is_much.load(Ordering::Acquire) && self.is_disk_full()
    }

    /// Returns when a write may be taken.
    ///
    /// # Errors
    /// [`Rejection::NoSpace`], at once, while the disk has no space; [`Unserved::TooMany`] if there is too much for longer than
    /// `patience`.
    pub async fn room_within(&self, patience: Duration) -> Result<(), Unserved> {
        if !self.is_much.load(Ordering::Acquire) {
            return Ok(());
        }
        let room = async {
            loop {
                let changed = self.changed.notified();
                if self.is_stuck() {
                    return Err(Unserved::Rejected(Rejection::NoSpace));
                }
                if !self.is_much.load(Ordering::Acquire) {
                    return Ok(());
                }
                changed.await;
            }
        };
        tokio::time::timeout(patience, room).await.unwrap_or(Err(Unserved::TooMany))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);
    const NO_SPACE: Result<(), Unserved> = Err(Unserved::Rejected(Rejection::NoSpace));

    #[tokio::test(start_paused = true)]
    async fn a_write_waits_for_a_checkpoint_and_not_for_space() {
        let unstored = Arc::new(Unstored::default());
        assert_eq!(unstored.room_within(Duration::ZERO).await, Ok(()));
        assert!(unstored.set_much(true));
        assert!(!unstored.set_much(true), "that is no news");
        assert_eq!(unstored.room_within(Duration::from_secs(7)).await, Err(Unserved::TooMany));

        let waiting = |unstored: &Arc<Unstored>| {
            let unstored = unstored.clone();
            tokio::spawn(async move { unstored.room_within(LONG).await })
        };
        let write = waiting(&unstored);
        tokio::task::yield_now().await;
        unstored.set_much(false);
        assert_eq!(write.await.unwrap(), Ok(()));

        unstored.set_much(true);
        let write = waiting(&unstored);
        tokio::task::yield_now().await;
        unstored.set_disk_full(true);
        assert_eq!(write.await.unwrap(), NO_SPACE);
        assert_eq!(unstored.room_within(LONG).await, NO_SPACE);
        unstored.set_much(false);
        assert_eq!(unstored.room_within(LONG).await, Ok(()), "what there is has room in memory");
    }
}
