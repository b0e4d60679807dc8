//! `/debug/pprof/`: where the processor's time goes (`--enable-pprof`), for the program `pprof` and whatever else reads its format.
//!
//! Of Go's profiles, that of the processor can be taken of any program; those of Go's memory, goroutines and locks are about things
//! that are not here, and are unknown.

mod encode;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use engine::spawn;
use http::header::{CONTENT_DISPOSITION, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};
use pprof::{ProfilerGuard, ProfilerGuardBuilder, Report};
use tokio::sync::oneshot;

use self::encode::Taken;
use super::{Body, query, reply};

/// Where the profiles are.
const ROOT: &str = "/debug/pprof/";

/// Samples in a second of a thread's time, as Go takes them.
const FREQUENCY: i32 = 100;

/// How long it takes if the request does not say.
const SECONDS: u64 = 30;

/// The longest: a connection that is held for longer was forgotten.
const SECONDS_MAX: u64 = 3600;

/// Libraries in whose middle no sample is taken: they hold locks that taking one needs.
const UNTOUCHED: [&str; 4] = ["libc", "libgcc", "pthread", "vdso"];

const INDEX: &str = "<html><head><title>/debug/pprof/</title></head><body>\n<p>/debug/pprof/</p>\n<ul>\n\
    <li><a href=\"cmdline\">cmdline</a>: the name of the program</li>\n\
    <li><a href=\"profile?seconds=30\">profile</a>: where the processor's time goes; <code>?seconds=30</code> says for how \
    long it is looked at</li>\n</ul>\n</body></html>\n";

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
    let Ok(seconds) = seconds(head.uri.query()) else {
        return reply::error(StatusCode::BAD_REQUEST, "seconds: a whole number from 1 to 3600");
    };
    let guard = match start() {
        Ok(guard) => guard,
        Err(error) => {
            let text = format!("Could not enable CPU profiling: {error}");
            return reply::error(StatusCode::INTERNAL_SERVER_ERROR, &text);
        }
    };
    // A client that goes takes the guard with it.
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    match encoded(guard).await {
        Ok(bytes) => {
            let mut response = reply::of_type("application/octet-stream", bytes);
            let name = HeaderValue::from_static("attachment; filename=\"profile\"");
            response.headers_mut().insert(CONTENT_DISPOSITION, name);
            response
        }
        Err(why) => reply::error(StatusCode::INTERNAL_SERVER_ERROR, &why),
    }
}

/// Returns how long the profile is to be, in seconds.
fn seconds(query: Option<&str>) -> Result<u64, ()> {
    match query::values(query, "seconds").first() {
        None => Ok(SECONDS),
        Some(text) => text.parse().ok().filter(|seconds| (1..=SECONDS_MAX).contains(seconds)).ok_or(()),
    }
}

fn start() -> Result<ProfilerGuard<'static>, pprof::Error> {
    ProfilerGuardBuilder::default().frequency(FREQUENCY).blocklist(&UNTOUCHED).build()
}

/// Returns the profile in its format. Functions are looked up by a thread of their own: it takes a second or more.
async fn encoded(guard: ProfilerGuard<'static>) -> Result<Vec<u8>, String> {
    let (answer, answered) = oneshot::channel();
    let look_up = move || {
        // A library that stumbles over the program's own symbols costs the profile, and not the member.
        let report = catch_unwind(AssertUnwindSafe(|| guard.report().build()));
        drop(guard);
        let Ok(report) = report else { return };
        // A client that has gone does not miss it.
        let _ = answer.send(report.map(|report| encoded_report(&report)).map_err(|error| error.to_string()));
    };
    spawn::thread("profile", look_up).map_err(|error| error.to_string())?;
    answered.await.map_err(|_| "the profile is lost".to_owned())?
}

fn encoded_report(report: &Report) -> Vec<u8> {
    let timing = &report.timing;
    let (began, lasted, frequency) = (timing.start_time, timing.duration, timing.frequency);
    encode::profile(&report.data, &Taken { began, lasted, frequency })
}
