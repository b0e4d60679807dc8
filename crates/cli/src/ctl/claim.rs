//! What `lock` and `elect` have in common: a session of the client's recipes ([`client::recipes`]), under which one has a lock or
//! leads, and signals that end it in order. The keys are those of etcd's own recipes, so that programs which use these and the
//! commands exclude each other.

use std::time::Duration;

use bytes::Bytes;
use client::recipes;
use proto::etcdserverpb::{RangeRequest, RangeResponse};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::connect::Session;
use super::exit::Failure;
use super::refusal;

/// What etcd's Go client takes for no time to live at all.
const TTL_DEFAULT: u64 = 60;

/// A session of the recipes, and how a command makes calls besides.
pub struct Standing {
    session: Session,
    /// The session, whose lease is renewed while it exists.
    pub recipes: recipes::Session,
}

impl Standing {
    /// Grants a lease of so many seconds.
    ///
    /// # Errors
    /// When the server refuses, or does not answer in time.
    pub async fn new(session: &Session, ttl: i64) -> Result<Standing, Failure> {
        let ttl = u64::try_from(ttl).ok().filter(|ttl| *ttl > 0).unwrap_or(TTL_DEFAULT);
        let granting = session.client.session(Duration::from_secs(ttl));
        match tokio::time::timeout(session.globals.command_timeout(), granting).await {
            Ok(Ok(recipes)) => Ok(Standing { session: session.clone(), recipes }),
            Ok(Err(error)) => Err(refusal::of_error(&error)),
            Err(_) => Err(session.deadline_exceeded()),
        }
    }

    /// Reads the key of a lock or a lead.
    ///
    /// # Errors
    /// When the server refuses, or the key is gone: with `otherwise`.
    pub async fn read(&self, key: &Bytes, otherwise: &str) -> Result<RangeResponse, Failure> {
        let request = RangeRequest { key: key.clone(), ..RangeRequest::default() };
        let answer = self.session.answer(self.session.kv().range(request)).await?;
        if answer.kvs.is_empty() { Err(Failure::error(otherwise)) } else { Ok(answer) }
    }

    /// Revokes the lease, and with it the key.
    ///
    /// # Errors
    /// When the server refuses, or does not answer in time.
    pub async fn end(self) -> Result<(), Failure> {
        match tokio::time::timeout(self.session.globals.command_timeout(), self.recipes.close()).await {
            Ok(ended) => ended.map_err(|error| refusal::of_error(&error)),
            Err(_) => Err(self.session.deadline_exceeded()),
        }
    }
}

/// Returns what is said when a lock or a lead cannot be had: `expired` when it is lost.
pub fn refused(error: &client::Error, expired: &str) -> Failure {
    match error {
        client::Error::LeaseLost(_) => Failure::error(expired),
        _ => refusal::of_error(error),
    }
}

/// SIGINT and SIGTERM, which do not end the process while this exists.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Begins to take signals.
    ///
    /// # Errors
    /// When the system lets nobody wait for them.
    pub fn new() -> Result<Signals, Failure> {
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Signals { interrupt, terminate })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
