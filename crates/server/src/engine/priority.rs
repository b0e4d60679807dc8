//! What gives way to what, where threads share a core.

/// The nicest there is: a thread on the same core that serves requests gets 70 times as much of it.
const NICEST: i32 = 19;

/// A tenth of a core that others want all of.
const NICE: i32 = 10;

/// A quarter of a core that one other thread wants all of.
const BEHIND: i32 = 5;

/// Lets this thread stand back a little for those that answer requests, for work that must keep up with them.
pub(crate) fn stand_back() {
    // As below.
    let _ = rustix::process::setpriority_process(None, BEHIND);
}

/// Lets this thread go on slowly while others want the core, for work that somebody waits for, but not before others.
pub(crate) fn yield_often() {
    // As below.
    let _ = rustix::process::setpriority_process(None, NICE);
}

/// Lets this thread run when nobody else wants to, for work that nobody waits for.
pub(crate) fn give_way() {
    // On Linux this is of one thread, and always allowed; elsewhere nothing depends on it.
    let _ = rustix::process::setpriority_process(None, NICEST);
}
