//! Threads and tasks that take the process with them when they panic.
//!
//! A member is its threads and tasks together. Without the one that delivers events, or the one that expires leases, it
//! would look alive and neither serve nor fail, and tokio keeps a task's panic to itself (rule I7). So all of them start
//! here. Excepted are the tasks that serve one connection each, of a client or of a peer (rule S9): what panics there may
//! be a library that the other side has hit, and it ends with the connection. What such a task shares with others is
//! guarded where it is changed.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

use crate::fatal::stop_process;

/// Starts a thread that must not panic.
///
/// # Errors
/// Those of the operating system.
pub fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    let owned = name.to_owned();
    std::thread::Builder::new().name(name.to_owned()).spawn(move || guard(&owned, run))
}

/// Starts a task that must not panic on this thread's runtime.
pub fn task<F>(name: &'static str, future: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let mut future = Box::pin(future);
    tokio::spawn(poll_fn(move |context| guard(name, || future.as_mut().poll(context))))
}

/// Does something that must not panic: what it changes is shared, and would be left half changed.
pub fn guard<T>(name: &str, work: impl FnOnce() -> T) -> T {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done,
        Err(panic) => stop_process(&format!("{name} panicked"), &message_of(&*panic)),
    }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Runs one of the ignored tests below in a process of its own. Returns its exit code and what it said.
    fn in_a_child(test: &str) -> (Option<i32>, String) {
        let this = std::env::current_exe().unwrap();
        let test = format!("spawn::tests::{test}");
        let output =
            Command::new(this).args(["--exact", &test, "--ignored", "--nocapture"]).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn run(future: impl Future) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future);
    }

    #[test]
    fn a_panic_in_a_task_or_a_thread_ends_the_process_with_a_line_that_says_so() {
        for (test, line) in [
            ("a_task_panics", "quorate: the pump panicked: on purpose in round 2\n"),
            ("a_thread_panics", "quorate: a checkpoint panicked: on purpose\n"),
            ("a_guarded_piece_of_work_panics", "quorate: the hub panicked: on purpose\n"),
        ] {
            let (code, said) = in_a_child(test);
            assert_eq!(code, Some(1), "{test}: {said}");
            assert_eq!(said.matches(line).count(), 1, "{test}: {said}");
        }
    }

    #[test]
    fn a_task_that_ends_or_is_aborted_is_like_any_other() {
        run(async {
            assert_eq!(task("adder", async { 1 + 1 }).await.unwrap(), 2);
            let endless = task("endless", std::future::pending::<()>());
            endless.abort();
            assert!(endless.await.unwrap_err().is_cancelled());
        });
        thread("adder", || ()).unwrap().join().unwrap();
    }

    #[test]
    #[ignore = "ends its process: run by another test"]
    fn a_task_panics() {
        run(async {
            let pump = async {
                for round in 0.. {
                    assert!(round < 2, "on purpose in round {round}");
                    tokio::task::yield_now().await;
                }
            };
            let _ = task("the pump", pump).await;
        });
    }

    #[test]
    #[ignore = "ends its process: run by another test"]
    fn a_thread_panics() {
        let _ = thread("a checkpoint", || panic!("on purpose")).unwrap().join();
    }

    #[test]
    #[ignore = "ends its process: run by another test"]
    fn a_guarded_piece_of_work_panics() {
        let _ = catch_unwind(|| guard("the hub", || panic!("on purpose")));
    }
}
