//! The thread that owns the raft log on disk.
//!
//! Group commit: whatever has been handed over while the last sync was under way is appended together and made
//! durable by one sync.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use raft::durable::{Log, LogError};
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
        loop {
            self.inbox.take(&mut events, None);
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
                let _ = self.consensus.send(ConsensusEvent::Persisted(persisted));
            }
            if let Some(through) = release {
                self.release(through);
            }
            if stop {
                return;
            }
            self.prepare();
        }
    }

    /// Appends, waiting for space if there is none: nothing of the batch is acknowledged meanwhile, new writes are
    /// refused, reads go on.
    fn append(&mut self, persist: &Persist) {
        let started = Instant::now();
        while let Err(error) = self.log.append(persist) {
            if !error.is_no_space() {
                stop_process("the raft log cannot be written", &error);
            }
            self.report_full(&error);
            std::thread::sleep(FULL_DISK_RETRY);
        }
        self.metrics.disk.wal_write.observe(started.elapsed());
    }

    fn sync(&mut self) {
        let started = Instant::now();
        if let Err(error) = self.log.sync() {
            stop_process("the raft log cannot be synced", &error);
        }
        self.metrics.disk.wal_fsync.observe(started.elapsed());
    }

    fn fetch(&mut self, fetch: Fetch) {
        match self.log.entries(fetch.first, fetch.last, fetch.bytes_max) {
            Ok(entries) => {
                let _ = self.consensus.send(ConsensusEvent::Fetched(fetch, entries));
            }
            Err(error) => stop_process("the raft log cannot be read", &error),
        }
    }

    /// Reserves the next segment while the current one still has room, so that a full disk shows early.
    fn prepare(&mut self) {
        match self.log.prepare_next() {
            Ok(()) => self.shared.disk_full.store(false, Ordering::Relaxed),
            Err(error) if error.is_no_space() => self.report_full(&error),
            Err(error) => stop_process("the raft log cannot be extended", &error),
        }
    }

    fn report_full(&self, error: &LogError) {
        if !self.shared.disk_full.swap(true, Ordering::Relaxed) {
            tracing::warn!(error = %error, "the disk is full: writes are refused until there is space");
        }
    }

    fn release(&mut self, through: Index) {
        if let Err(error) = self.log.release(through) {
            stop_process("the raft log cannot be released", &error);
        }
    }
}
