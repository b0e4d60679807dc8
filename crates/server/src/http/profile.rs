//! `/debug/pprof/`: where the processor's time goes (`--enable-pprof`), for the program `pprof` and whatever else reads its format.
//!
//! Of Go's profiles, that of the processor can be taken of any program; those of Go's memory, goroutines and locks are about things
//! that are not here, and are unknown.
//!
//! A profile has a thread of its own from its start to its end: starting one reads the program's symbols, ending one looks them up
//! by the thousand, and the library holds locks meanwhile for which others would wait in a loop.

mod encode;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use engine::spawn;
use http::header::{CONTENT_DISPOSITION, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};
use pprof::ProfilerGuardBuilder;
use tokio::sync::oneshot;

use self::encode::Taken;
use super::{Body, query, reply};

/// Where the profiles are.
const ROOT: &str = "/debug/pprof/";

/// Samples in a second of a thread's time, as Go takes them.
const FREQUENCY: i32 = 100;

/// How long it takes if the request does not say.
const SECONDS: u64 = 30;

/// The longest: what does not fit into the library's table goes into a temporary file, and comes back into memory at the end.
const SECONDS_MAX: u64 = 300;

/// Libraries in whose middle no sample is taken: they hold locks that taking one needs. So time that goes there, in system calls
/// above all, does not show where the program is linked with them.
const UNTOUCHED: [&str; 4] = ["libc", "libgcc", "pthread", "vdso"];

const INDEX: &str = "<html><head><title>/debug/pprof/</title></head><body>\n<p>/debug/pprof/</p>\n<ul>\n\
    <li><a href=\"cmdline\">cmdline</a>: the name of the program</li>\n\
    <li><a href=\"profile?seconds=30\">profile</a>: where the processor's time goes; <code>?seconds=30</code> says for how \
    long it is looked at</li>\n</ul>\n</body></html>\n";

/// Whether a profile is being taken. The library knows as well, but only to who waits for its locks.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// The profile that is being taken, for as long as this is there.
struct Turn;

impl Turn {
    /// Returns the turn, if no other profile is being taken.
    fn take() -> Option<Self> {
        let is_free = !IS_TAKEN.swap(true, Ordering::AcqRel);
        is_free.then_some(Self)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        IS_TAKEN.store(false, Ordering::Release);
    }
}

/// Returns what is asked for below `/debug/pprof/`, if the path is there.
pub(super) fn name_of(path: &str) -> Option<&str> {
    path.strip_prefix(ROOT)
}

/// Answers a request for what is below `/debug/pprof/`.
pub(super) async fn respond(name: &str, head: &Parts) -> Response<Body> {
    match name {
        "" => reply::of_type("text/html; charset=utf-8", INDEX),
        // What follows the name may hold secrets.
        "cmdline" => {
            reply::plain(std::env::args_os().next().unwrap_or_default().to_string_lossy().into_owned())
        }
        // Functions have their names in the profile, so nobody needs to look one up.
        "symbol" => reply::plain("num_symbols: 1\n"),
        "profile" => profile(head).await,
        _ => reply::error(StatusCode::NOT_FOUND, "Unknown profile"),
    }
}

async fn profile(head: &Parts) -> Response<Body> {
    let Some(seconds) = seconds(head.uri.query()) else {
        let text = format!("seconds: a whole number from 1 to {SECONDS_MAX}");
        return reply::error(StatusCode::BAD_REQUEST, &text);
    };
    match taken(Duration::from_secs(seconds)).await {
        Ok(bytes) => {
            let mut response = reply::of_type("application/octet-stream", bytes);
            let name = HeaderValue::from_static("attachment; filename=\"profile\"");
            response.headers_mut().insert(CONTENT_DISPOSITION, name);
            response
        }
        Err(why) => {
            let text = format!("Could not enable CPU profiling: {why}");
            reply::error(StatusCode::INTERNAL_SERVER_ERROR, &text)
        }
    }
}

/// Returns how long the profile is to be, in seconds; `None` if the request asks for what it cannot be.
fn seconds(query: Option<&str>) -> Option<u64> {
    match query::values(query, "seconds").first() {
        None => Some(SECONDS),
        Some(text) => text.parse().ok().filter(|seconds| (1..=SECONDS_MAX).contains(seconds)),
    }
}

/// Returns a profile of so long in its format. It ends early when nobody waits for it any more.
async fn taken(lasting: Duration) -> Result<Vec<u8>, String> {
    let turn = Turn::take().ok_or("cpu profiling already in use")?;
    let (answer, answered) = oneshot::channel();
    // Dropped with the request.
    let (_waits, gone) = mpsc::channel::<()>();
    let take = move || {
        // A library that stumbles over the program's own symbols costs the profile, and not the member.
        let taken = catch_unwind(AssertUnwindSafe(|| take(lasting, &gone)));
        drop(turn);
        if let Ok(Some(taken)) = taken {
            // A client that has gone does not miss it.
            let _ = answer.send(taken);
        }
    };
    spawn::thread("profile", take).map_err(|error| error.to_string())?;
    answered.await.unwrap_or_else(|_| Err("the profile is lost".to_owned()))
}

/// Takes a profile of so long and returns it; `None` if the other end of `gone` is dropped before.
fn take(lasting: Duration, gone: &mpsc::Receiver<()>) -> Option<Result<Vec<u8>, String>> {
    let guard = ProfilerGuardBuilder::default().frequency(FREQUENCY).blocklist(&UNTOUCHED).build();
    let guard = match guard {
        Ok(guard) => guard,
        Err(error) => return Some(Err(error.to_string())),
    };
    if gone.recv_timeout(lasting) == Err(RecvTimeoutError::Disconnected) {
        return None;
    }
    let report = guard.report().build();
    drop(guard);
    let encoded = report.map(|report| {
        let timing = &report.timing;
        let (began, lasted, frequency) = (timing.start_time, timing.duration, timing.frequency);
        encode::profile(&report.data, &Taken { began, lasted, frequency })
    });
    Some(encoded.map_err(|error| error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_profile_is_taken_at_a_time() {
        let turn = Turn::take().unwrap();
        assert!(Turn::take().is_none());
        drop(turn);
        assert!(Turn::take().is_some());
    }
}
