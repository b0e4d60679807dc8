//! `lock`: holds a lock, for as long as a command runs or until it is interrupted.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::process::Stdio;

use clap::Command as Grammar;
use client::recipes::MutexGuard;

use super::{Command, Group};
use crate::ctl::Invocation;
use crate::ctl::child;
use crate::ctl::claim::{Signals, Standing, refused};
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
    let standing = Standing::new(&session, ttl).await?;
    let mutex = standing.recipes.mutex(name.as_bytes());
    let acquired = tokio::select! {
        () = signals.next() => Err(Failure::error("context canceled")),
        acquired = mutex.lock() => acquired.map_err(|error| refused(&error, EXPIRED)),
    };
    let ended = match acquired {
        Err(failure) => Err(failure),
        Ok(held) if command.is_empty() => hold(&session, &standing, &held, &mut signals).await,
        // As in etcdctl, the command is not ended with the lease.
        Ok(held) => run_command(&command, &held, &mut signals).await,
    };
    let released = standing.end().await;
    ended.and(released)
}

/// Prints the key of the lock and holds it until a signal arrives.
async fn hold(
    session: &Session,
    standing: &Standing,
    held: &MutexGuard,
    signals: &mut Signals,
) -> Result<(), Failure> {
    session.print(&standing.read(held.key(), "lock lost on init").await?)?;
    tokio::select! {
        () = signals.next() => Ok(()),
        why = held.lost() => Err(refused(&why, "session expired")),
    }
}

/// Runs a command with the key of the lock and its revision in the environment. Signals are left to it.
async fn run_command(words: &[OsString], held: &MutexGuard, signals: &mut Signals) -> Result<(), Failure> {
    let [program, arguments @ ..] = words else { return Ok(()) };
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .env("ETCD_LOCK_KEY", OsString::from_vec(held.key().to_vec()))
        .env("ETCD_LOCK_REV", held.revision().to_string())
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
