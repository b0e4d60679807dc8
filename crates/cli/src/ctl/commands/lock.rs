//! `lock`: holds a lock, for as long as a command runs or until it is interrupted.

use std::ffi::OsString;
use std::future::Future;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::pin::pin;
use std::process::Stdio;

use bytes::Bytes;
use clap::Command as Grammar;

use super::{Command, Group};
use crate::ctl::Invocation;
use crate::ctl::child;
use crate::ctl::claim::{Claim, Signals};
use crate::ctl::connect::Session;
use crate::ctl::exit::{Exit, Failure};
use crate::ctl::flags::{self, Flags as _};

/// The command.
pub const COMMAND: Command =
    Command { name: "lock", group: Group::Concurrency, grammar, run: |invocation| Box::pin(run(invocation)) };

const TTL: i64 = 10;

/// Mutex of etcd's recipes: what it says when its key is gone.
const EXPIRED: &str = "mutex: session is expired";

fn grammar(grammar: Grammar) -> Grammar {
    grammar
        .about("Acquires a named lock")
        .override_usage("<lockname> [exec-command arg1 arg2 ...]")
        .arg(flags::number("ttl", "timeout for session (default 10)"))
        .args(flags::positionals(&["lockname"]))
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    let mut words = invocation.matches.positionals().into_iter();
    let name = words.next().ok_or_else(|| {
        Failure::arguments("lock takes a lock name argument and an optional command to execute")
    })?;
    let command: Vec<OsString> = words.collect();
    let ttl = if invocation.matches.contains_id("ttl") { invocation.matches.number("ttl") } else { TTL };
    let session = invocation.open().await?;
    let mut signals = Signals::new()?;
    let claim = Claim::new(&session, name.as_bytes(), Bytes::new(), ttl).await?;
    let ended = {
        let mut lost = pin!(claim.keep_alive());
        let acquired = tokio::select! {
            () = signals.next() => Err(Failure::error("context canceled")),
            () = &mut lost => Err(Failure::error(EXPIRED)),
            acquired = acquire(&claim) => acquired,
        };
        match acquired {
            Err(failure) => Err(failure),
            Ok(_) if command.is_empty() => hold(&session, &claim, &mut signals, lost).await,
            Ok(revision) => {
                let mut running = pin!(run_command(&command, &claim, revision, &mut signals));
                tokio::select! {
                    ended = &mut running => ended,
                    // As in etcdctl, the command is not ended with the lease.
                    () = &mut lost => running.await,
                }
            }
        }
    };
    let released = claim.release().await;
    ended.and(released)
}

/// Waits for the lock and returns the revision at which it was had.
async fn acquire(claim: &Claim) -> Result<i64, Failure> {
    if !claim.wait_for_turn().await? {
        return Ok(claim.revision);
    }
    let key = claim.read(EXPIRED).await?;
    Ok(key.header.unwrap_or_default().revision)
}

/// Prints the key of the lock and holds it until a signal arrives.
async fn hold(
    session: &Session,
    claim: &Claim,
    signals: &mut Signals,
    lost: impl Future<Output = ()>,
) -> Result<(), Failure> {
    session.print(&claim.read("lock lost on init").await?)?;
    tokio::select! {
        () = signals.next() => Ok(()),
        () = lost => Err(Failure::error("session expired")),
    }
}

/// Runs a command with the key of the lock and its revision in the environment. Signals are left to it.
async fn run_command(
    words: &[OsString],
    claim: &Claim,
    revision: i64,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let [program, arguments @ ..] = words else { return Ok(()) };
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .env("ETCD_LOCK_KEY", OsString::from_vec(claim.key.to_vec()))
        .env("ETCD_LOCK_REV", revision.to_string())
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| Failure::error(child::unstartable(program, &error)))?;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            // It is in our process group, so a signal of the terminal has reached it too.
            () = signals.next() => {}
        }
    };
    if status.success() {
        return Ok(());
    }
    // The code of a process that a signal ended is 255: -1 in Go.
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX);
    Err(Failure::new(Exit::OfChild(code), child::describe(status)))
}
