//! Giving others their turn.
//!
//! A task that wakes itself comes back behind the tasks that are ready already, and not behind those whose sockets are:
//! the runtime looks at sockets after each 61 tasks only, as long as there is one that is ready. With steps of a millisecond
//! that would be a wait of 61 milliseconds for everybody else on the thread (rule I1).

use std::pin::pin;
use std::task::Context;

use tokio::sync::Semaphore;

/// Has the task polled again, after whatever else is ready and whatever has come for others meanwhile.
pub(crate) fn others_first(cx: &mut Context<'_>) {
    // Its first poll hands the waker to the runtime, which wakes it when it has looked at the sockets.
    let _ = pin!(tokio::task::yield_now()).poll(cx);
}

/// Work of a kind that is done for one caller at a time, with a turn for others in between: it takes no longer than others may
/// wait, but callers may come by the thousand.
pub(crate) struct Turns(Semaphore);

impl Turns {
    pub(crate) const fn new() -> Self {
        Self(Semaphore::const_new(1))
    }

    /// Does the work when it is the caller's turn.
    pub(crate) async fn take<T>(&self, work: impl Future<Output = T>) -> T {
        // It is never closed.
        let _turn = self.0.acquire().await;
        tokio::task::yield_now().await;
        work.await
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Poll;

    use tokio::io::AsyncReadExt;
    use tokio::net::UnixStream;

    use super::*;

    #[tokio::test]
    async fn what_has_come_for_others_is_served_before_the_next_turn() {
        let (mut client, socket) = std::os::unix::net::UnixStream::pair().unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut socket = UnixStream::from_std(socket).unwrap();
        let is_served = Arc::new(AtomicBool::new(false));
        let served = is_served.clone();
        let other = tokio::spawn(async move {
            socket.read_u8().await.unwrap();
            served.store(true, Ordering::Relaxed);
        });
        // It waits for its socket from now on.
        tokio::task::yield_now().await;
        client.write_all(b"x").unwrap();
        let mut turns = 0;
        let busy = tokio::spawn(std::future::poll_fn(move |cx| {
            if is_served.load(Ordering::Relaxed) {
                return Poll::Ready(turns);
            }
            turns += 1;
            others_first(cx);
            Poll::Pending
        }));
        let turns = busy.await.unwrap();
        other.await.unwrap();
        assert!(turns < 10, "{turns}");
    }

    #[tokio::test]
    async fn of_many_who_come_at_once_others_wait_for_one() {
        let turns = Arc::new(Turns::new());
        let (done, mut order) = tokio::sync::mpsc::unbounded_channel();
        for _ in 0..100 {
            let (turns, done) = (turns.clone(), done.clone());
            tokio::spawn(async move { turns.take(async { done.send("one of many") }).await });
        }
        tokio::spawn(async move { done.send("another") });
        let mut all = Vec::new();
        while let Some(next) = order.recv().await {
            all.push(next);
        }
        assert_eq!(all.len(), 101);
        assert!(all[..2].contains(&"another"), "{:?}", &all[..5]);
    }
}
