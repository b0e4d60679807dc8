//! The thread that owns the raft log on disk.
//!
//! Group commit: whatever has been handed over while the last sync was under way is appended together and made
//! durable by one sync.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use raft::durable::{Error, Log};
use raft::{Fetch, Index, Persist};

use super::consensus::ConsensusEvent;
use super::fatal::stop_process;
use super::inbox::{Inbox, Sender};
use super::shared::Shared;
use crate::metrics::Metrics;

/// What the log writer is asked to do.
pub(crate) enum LogEvent {
    /// Make this durable, and report it.
    Persist(Persist),
    /// Read entries back.
    Fetch(Fetch),
    /// Entries up to and including this one are in a checkpoint.
    Release(Index),
    /// The member stops.
    Stop,
}

/// How long nothing must happen before the end of the log is marked as synced.
const IDLE: Duration = Duration::from_secs(1);

/// How long to wait before a full disk is tried again.
const FULL_DISK_RETRY: Duration = Duration::from_millis(100);

/// Everything the thread works with.
pub(crate) struct LogWriter {
    pub(crate) log: Log,
    pub(crate) inbox: Inbox<LogEvent>,
    pub(crate) consensus: Sender<ConsensusEvent>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) metrics: Arc<Metrics>,
}

impl LogWriter {
    /// Runs until the member stops.
    pub(crate) fn run(mut self) {
        let mut events = Vec::new();
        let mut witnessed = true;
        loop {
            let is_full = self.shared.disk_full.load(Ordering::Relaxed);
            let look_again = (is_full || !witnessed).then(|| Instant::now() + IDLE);
            self.inbox.take(&mut events, look_again);
            if events.is_empty() {
                if !witnessed {
                    self.witness();
                    witnessed = true;
                }
                // While writes are refused nothing else would bring us here.
                self.prepare();
                continue;
            }
            let mut last = None;
            let mut release = None;
            let mut stop = false;
            for event in events.drain(..) {
                match event {
                    LogEvent::Persist(persist) => {
                        self.append(&persist);
                        last = Some(persist.ack);
                    }
                    LogEvent::Fetch(fetch) => self.fetch(fetch),
                    LogEvent::Release(through) => release = Some(through),
                    LogEvent::Stop => stop = true,
                }
            }
            if let Some(persisted) = last {
                self.sync();
                witnessed = false;
                let _ = self.consensus.send(ConsensusEvent::Persisted(persisted));
            }
            if let Some(through) = release {
                self.release(through);
            }
            if stop {
                return self.witness();
            }
            self.prepare();
        }
    }

    /// Appends, waiting for space if there is none: nothing of the batch is acknowledged meanwhile, new writes are
    /// refused, reads go on.
    fn append(&mut self, persist: &Persist) {
        let started = Instant::now();
        while let Err(error) = self.log.append(persist) {
            if !is_no_space(&error) {
                stop_process("the raft log cannot be written", &error);
            }
            self.report_full(&error);
            std::thread::sleep(FULL_DISK_RETRY);
        }
        self.metrics.disk.wal_write.observe(started.elapsed());
        let bytes: usize = persist.entries.iter().map(raft::Entry::weight).sum();
        self.metrics.disk.wal_write_bytes.add(bytes as i64);
    }

    fn sync(&mut self) {
        let started = Instant::now();
        if let Err(error) = self.log.sync() {
            stop_process("the raft log cannot be synced", &error);
        }
        self.metrics.disk.wal_fsync.observe(started.elapsed());
    }

    fn fetch(&mut self, fetch: Fetch) {
        // What is not here any more is not answered: the node asks for a snapshot's instead.
        let Some(job) = self.log.fetch(&fetch) else { return };
        match job.run() {
            Ok(entries) => {
                let _ = self.consensus.send(ConsensusEvent::Fetched(fetch, entries));
            }
            Err(error) => stop_process("the raft log cannot be read", &error),
        }
    }

    /// Leaves proof that everything was synced, so that damage to the last batch is known for what it is.
    fn witness(&mut self) {
        match self.log.witness() {
            Ok(()) => {}
            Err(error) if is_no_space(&error) => self.report_full(&error),
            Err(error) => stop_process("the raft log cannot be synced", &error),
        }
    }

    /// Reserves the next segment while the current one still has room, so that a full disk shows early.
    fn prepare(&mut self) {
        match self.log.prepare_next() {
            Ok(()) => {
                if self.shared.disk_full.swap(false, Ordering::Relaxed) {
                    tracing::info!("there is space on the disk again: writes are taken");
                }
            }
            Err(error) if is_no_space(&error) => self.report_full(&error),
            Err(error) => stop_process("the raft log cannot be extended", &error),
        }
    }

    fn report_full(&self, error: &Error) {
        if !self.shared.disk_full.swap(true, Ordering::Relaxed) {
            tracing::warn!(error = %error, "the disk is full: writes are refused until there is space");
        }
    }

    fn release(&mut self, through: Index) {
        match self.log.release(through) {
            Ok(()) => {}
            // The files go with the next release.
            Err(error @ Error::Wal(_)) => tracing::warn!(error = %error, "the raft log was not released"),
            Err(error) => stop_process("the raft log cannot be released", &error),
        }
    }
}

fn is_no_space(error: &Error) -> bool {
    matches!(error, Error::Wal(wal::Error::NoSpace { .. }))
}
