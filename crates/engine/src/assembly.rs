//! A member's state, put together: the values that own it, and what the services of its clients work with.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use machine::{ChangeRules, Machine};
use raft::Node;
use raft::durable::Log;
use tokio::sync::mpsc;

use crate::apply::ApplyThread;
use crate::auth::{Auth, Tokens};
use crate::catch_up::{CatchUpThread, catch_up};
use crate::consensus::clock::Pace;
use crate::consensus::queue::Changes;
use crate::consensus::thread::ConsensusThread;
use crate::handles::{Handles, Inboxes};
use crate::log_preparer::LogPreparer;
use crate::log_reader::LogReader;
use crate::log_writer::LogWriter;
use crate::questions::{Asked, Questions};
use crate::snapshots::place::StorePlace;
use crate::spawn;
use crate::views::Views;
use crate::watch::bounds::Bounds;
use crate::watch::hub::Hub;
use crate::wire::Header;
use crate::worker::Worker;

/// How a member's threads work.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Id of its cluster.
    pub cluster_id: u64,
    /// The pace of consensus.
    pub pace: Pace,
    /// `--max-learners` and `--strict-reconfig-check`.
    pub change_rules: ChangeRules,
    /// `--auto-promote-learners`.
    pub promotes_learners: bool,
    /// `--warning-apply-duration`.
    pub slow_apply: Duration,
    /// Length from which on responses to watches are split for those that permit it, in bytes.
    pub fragment_bytes: usize,
    /// Where questions to other members begin to be numbered, which must differ from life to life.
    pub first_question: u64,
}

/// What a member has on its disk, opened.
pub struct Opened {
    /// The raft log.
    pub log: Log,
    /// The node that was restored from it.
    pub node: Node,
    /// The state machine.
    pub machine: Machine,
    /// Where its store is.
    pub place: StorePlace,
}

/// The values that own a member's state. Each is driven by a thread of its own, or by a test, event by event.
pub struct Owners {
    /// Owns the raft node.
    pub consensus: ConsensusThread,
    /// Owns the state machine.
    pub apply: ApplyThread,
    /// Owns the raft log.
    pub log_writer: LogWriter,
    /// Reads the raft log.
    pub log_reader: LogReader,
    /// Makes the files of the raft log.
    pub log_preparer: LogPreparer,
    /// Reads history for watchers.
    pub catch_up: CatchUpThread,
}

/// What the services work with.
pub struct Services {
    /// The view of the store in use.
    pub views: Arc<Views>,
    /// The published users and roles.
    pub auth: Arc<Auth>,
    /// The network workers, in the order of the mailboxes.
    pub workers: Vec<Arc<Worker>>,
    /// What this member asks others.
    pub questions: Arc<Questions>,
    /// What others ask of it.
    pub asked: mpsc::Receiver<Asked>,
}

/// Puts a member together.
pub fn assemble(
    settings: &Settings,
    opened: Opened,
    tokens: Arc<dyn Tokens>,
    handles: &Handles,
    inboxes: Inboxes,
) -> (Owners, Services) {
    let Opened { log, node, machine, place } = opened;
    let views = Arc::new(Views::new(machine.view()));
    let auth = Auth::new(&machine, tokens);
    let revision = shown_revision(&machine);
    let (catch_up, catch_up_thread) =
        catch_up(views.clone(), handles.mailboxes.clone(), handles.watch_queues.clone());
    let changes = Changes::new(settings.change_rules, settings.promotes_learners);
    let consensus = ConsensusThread::new(node, inboxes.consensus, handles.clone(), settings.pace, changes);
    let shown = (views.clone(), auth.clone());
    let apply =
        ApplyThread::new((machine, place), inboxes.apply, handles.clone(), shown, settings.slow_apply);
    let (log_writer, log_reader, log_preparer) = LogWriter::new(log, inboxes.log, handles.clone());
    let (questions, asked) = Questions::new(handles.peers.clone(), settings.first_question);
    let header =
        Header { cluster_id: settings.cluster_id, member_id: handles.status.own_id(), ..Header::default() };
    let worker = |index| {
        let hub =
            Hub::new(header, revision, Bounds::new(settings.fragment_bytes), handles.watch_queues.clone());
        Worker::new(index, handles, hub, catch_up.clone(), auth.clone())
    };
    let workers = (0..handles.mailboxes.len()).map(worker).collect();
    let owners = Owners { consensus, apply, log_writer, log_reader, log_preparer, catch_up: catch_up_thread };
    (owners, Services { views, auth, workers, questions: Arc::new(questions), asked })
}

/// Returns the revision that clients are shown. Half of another cluster's keys is no state that anybody is shown.
fn shown_revision(machine: &Machine) -> i64 {
    match machine.follow() {
        Some(follow) if !follow.is_readable() => follow.shown,
        _ => machine.store().revision(),
    }
}

impl Owners {
    /// Starts a thread for each. Returns those that end when consensus is stopped.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn start(self) -> io::Result<Vec<JoinHandle<()>>> {
        let Self { consensus, apply, log_writer, log_reader, log_preparer, catch_up } = self;
        let threads = vec![
            spawn::thread("consensus", move || consensus.run())?,
            spawn::thread("apply", move || apply.run())?,
            spawn::thread("log writer", move || log_writer.run())?,
            spawn::thread("log reader", move || log_reader.run())?,
            spawn::thread("log preparer", move || log_preparer.run())?,
        ];
        // Ends when the last worker is gone.
        spawn::thread("watch catch-up", move || catch_up.run())?;
        Ok(threads)
    }
}
