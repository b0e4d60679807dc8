//! What gives way to what, where threads share a core.
//!
//! All of these are steps below the thread that calls, which has the niceness that the process was started with: a member
//! under `Nice=-10` has its helpers next to it, not behind everything else on the machine.

/// The nicest there is: a thread on the same core that serves requests gets 70 times as much of it.
const NICEST: i32 = 19;

/// A tenth of a core that others want all of.
const NICE: i32 = 10;

/// A quarter of a core that one other thread wants all of.
const BEHIND: i32 = 5;

/// Lets this thread stand back a little for those that answer requests, for work that must keep up with them.
pub fn stand_back() {
    step_down(BEHIND);
}

/// Lets this thread go on slowly while others want the core, for work that somebody waits for, but not before others.
pub fn yield_often() {
    step_down(NICE);
}

/// Lets this thread run when nobody else wants to, for work that nobody waits for.
pub fn give_way() {
    step_down(NICEST);
}

/// On Linux this is of one thread, and always allowed; elsewhere nothing depends on it.
fn step_down(steps: i32) {
    let own = rustix::process::getpriority_process(None).unwrap_or(0);
    let _ = rustix::process::setpriority_process(None, (own + steps).min(NICEST));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn niceness_after(change: fn()) -> i32 {
        let thread = std::thread::spawn(move || {
            change();
            rustix::process::getpriority_process(None).unwrap()
        });
        thread.join().unwrap()
    }

    #[test]
    fn a_thread_stands_back_from_where_its_process_is() {
        let own = rustix::process::getpriority_process(None).unwrap();
        assert_eq!(niceness_after(stand_back), (own + BEHIND).min(NICEST));
        let twice = || {
            stand_back();
            stand_back();
        };
        assert_eq!(niceness_after(twice), (own + 2 * BEHIND).min(NICEST));
        assert_eq!(niceness_after(give_way), NICEST.min(own + NICEST));
    }
}
