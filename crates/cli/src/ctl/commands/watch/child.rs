//! The command that `watch` runs for each event.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::process::{ExitStatus, Stdio};

use proto::etcdserverpb::WatchResponse;
use proto::mvccpb::Event;

use crate::ctl::child::{describe, unstartable};
use crate::ctl::exit::{Exit, Failure};
use crate::ctl::print::watch::type_of;
use crate::go::quote::quote;

/// Runs a command for each event of a response, one after the other; runs none where `words` is empty.
///
/// # Errors
/// When a run fails.
pub(super) async fn run_for_each(words: &[OsString], response: &WatchResponse) -> Result<(), Failure> {
    let [program, arguments @ ..] = words else { return Ok(()) };
    let revision = response.header.unwrap_or_default().revision;
    for event in &response.events {
        let why = match run(program, arguments, revision, event).await {
            Ok(status) if status.success() => continue,
            Ok(status) => describe(status),
            Err(error) => unstartable(program, &error),
        };
        let words: Vec<String> = words.iter().map(|word| quote(word.as_bytes())).collect();
        eprintln!("command [{}] error ({why})", words.join(" "));
        return Err(Failure::silent(Exit::Error));
    }
    Ok(())
}

async fn run(
    program: &OsStr,
    arguments: &[OsString],
    revision: i64,
    event: &Event,
) -> io::Result<ExitStatus> {
    let pair = event.kv.clone().unwrap_or_default();
    tokio::process::Command::new(program)
        .args(arguments)
        .env("ETCD_WATCH_REVISION", revision.to_string())
        .env("ETCD_WATCH_EVENT_TYPE", quote(type_of(event).as_bytes()))
        .env("ETCD_WATCH_KEY", OsString::from_vec(quote(&pair.key).into_bytes()))
        .env("ETCD_WATCH_VALUE", OsString::from_vec(quote(&pair.value).into_bytes()))
        .stdin(Stdio::null())
        .status()
        .await
}
