//! All watches of a client on one stream.
//!
//! One task owns the stream and the watches. Callers send it commands, and each watch has a queue of its own for what is
//! reported.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use proto::etcdserverpb as pb;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::{Code, Status};

use super::entry::{Delivered, Entry, Order, Stage, WatchId};
use super::line::{Happening, Line};
use crate::channel::Channel;
use crate::error::{COMPACTED, Error};
use crate::number::Revision;
use crate::retry;

/// What a caller may want.
#[derive(Debug)]
pub(super) enum Command {
    Create(Box<Order>),
    Cancel(WatchId),
    /// The reader has caught up.
    Resume(WatchId),
    Bookmark,
}

pub(super) type Commands = mpsc::UnboundedSender<Command>;

/// The way to the task, which is started with the first watch and ends with the last.
#[derive(Debug, Default)]
pub(crate) struct Hub(OnceLock<Commands>);

impl Hub {
    /// Returns where commands are sent to.
    pub(super) fn commands(&self, channel: &Channel) -> Commands {
        let start = || {
            let (commands, received) = mpsc::unbounded_channel();
            tokio::spawn(Task::new(channel.clone()).run(received));
            commands
        };
        self.0.get_or_init(start).clone()
    }
}

impl crate::Client {
    /// Returns where commands about watches are sent to.
    pub(super) fn watches(&self) -> Commands {
        self.watch_hub().commands(&self.channel())
    }
}

struct Task {
    channel: Channel,
    line: Line,
    watches: BTreeMap<WatchId, Entry>,
    /// Watches by their ids on the stream, once the member has confirmed them.
    live: HashMap<i64, WatchId>,
    /// How many streams have broken since the last message.
    failures: u32,
    /// When the first of them did.
    failing_since: Option<Instant>,
}

impl Task {
    fn new(channel: Channel) -> Task {
        let line = Line::new(channel.clone());
        Task {
            channel,
            line,
            watches: BTreeMap::new(),
            live: HashMap::new(),
            failures: 0,
            failing_since: None,
        }
    }

    async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.obey(command),
                    None => return,
                },
                happening = self.line.next() => self.handle(happening),
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Create(order) => {
                let id = order.id;
                self.watches.insert(id, Entry::new(*order));
                if self.line.is_down() {
                    self.open();
                } else {
                    self.ask(id);
                }
            }
            Command::Cancel(id) => self.cancel(id),
            Command::Resume(id) => {
                if let Some(entry) = self.watches.get_mut(&id).filter(|entry| entry.stage == Stage::Suspended)
                {
                    entry.stage = Stage::Waiting;
                    self.ask(id);
                }
            }
            Command::Bookmark => self.line.ask_for_bookmark(),
        }
    }

    /// Opens a stream, and asks for all watches over it.
    fn open(&mut self) {
        self.live.clear();
        self.line.open();
        let ids: Vec<WatchId> = self.watches.keys().copied().collect();
        ids.into_iter().for_each(|id| self.ask(id));
    }

    fn ask(&mut self, id: WatchId) {
        if !self.line.is_up() {
            return;
        }
        let Some(entry) = self.watches.get_mut(&id).filter(|entry| entry.stage != Stage::Suspended) else {
            return;
        };
        let request = entry.ask(self.line.fresh_id());
        self.line.create(id, request);
    }

    fn cancel(&mut self, id: WatchId) {
        let Some(entry) = self.watches.remove(&id) else { return };
        self.leave(&entry);
        if self.watches.is_empty() {
            // The next watch opens another.
            self.line.close();
            self.live.clear();
        }
    }

    /// Ends a watch at the member. One that is not confirmed yet is ended when it is.
    fn leave(&mut self, entry: &Entry) {
        if let Stage::Live(stream_id) = entry.stage {
            self.live.remove(&stream_id);
            self.line.cancel(stream_id);
        }
    }

    fn handle(&mut self, happening: Happening) {
        match happening {
            Happening::Message(message) => self.receive(*message),
            Happening::Rested => self.open(),
            Happening::Refused(status) => {
                // Who waits for a watch to begin is not kept waiting for a cluster to come back.
                let is_hopeless = self
                    .failing_since
                    .is_some_and(|since| since.elapsed() > self.channel.inner().settings.dial_timeout);
                if is_hopeless || retry::is_local(&status) || is_final(&status) {
                    self.fail_if(&status, Entry::is_new);
                }
                self.recover(&status);
            }
            Happening::Broken(status) => self.recover(&status),
        }
    }

    /// Goes on after a stream has ended.
    fn recover(&mut self, status: &Status) {
        tracing::debug!(%status, watches = self.watches.len(), "the stream of watches ended");
        self.live.clear();
        for entry in self.watches.values_mut().filter(|entry| entry.stage != Stage::Suspended) {
            entry.stage = Stage::Waiting;
        }
        let credentials = &self.channel.inner().credentials;
        if retry::is_about_token(status) && credentials.can_renew() {
            credentials.forget();
        } else if is_final(status) {
            self.fail_if(status, |_| true);
        }
        if self.watches.is_empty() {
            return self.line.close();
        }
        let pause = self.failures.checked_sub(1).map_or(std::time::Duration::ZERO, retry::pause);
        self.failures += 1;
        self.failing_since.get_or_insert_with(Instant::now);
        self.line.rest(pause);
    }

    fn fail_if(&mut self, status: &Status, is_meant: impl Fn(&Entry) -> bool) {
        let meant: Vec<WatchId> =
            self.watches.iter().filter(|(_, entry)| is_meant(entry)).map(|(id, _)| *id).collect();
        for id in meant {
            if let Some(entry) = self.watches.remove(&id) {
                entry.fail(status.clone().into());
            }
        }
    }

    fn receive(&mut self, message: pb::WatchResponse) {
        (self.failures, self.failing_since) = (0, None);
        let revision = Revision(message.header.as_ref().map_or(0, |header| header.revision));
        if message.created {
            self.created(message, revision);
        } else if message.canceled {
            self.canceled(&message);
        } else if message.events.is_empty() {
            self.bookmark(message.watch_id, revision);
        } else if let Some(id) = self.live.get(&message.watch_id).copied()
            && let Some(entry) = self.watches.get_mut(&id)
        {
            let delivered = entry.take(message.events, message.fragment);
            self.suspend_if(id, delivered);
        }
    }

    fn created(&mut self, message: pb::WatchResponse, revision: Revision) {
        let Some((id, stream_id)) = self.line.asked.pop_front() else { return };
        let is_refused = message.canceled || message.watch_id != stream_id;
        match self.watches.get_mut(&id).filter(|entry| entry.stage == Stage::Asked(stream_id)) {
            // It was ended meanwhile.
            None if !is_refused => self.line.cancel(stream_id),
            None => {}
            Some(_) if is_refused => self.end(id, &message),
            Some(entry) => {
                entry.begin(stream_id, revision);
                self.live.insert(stream_id, id);
            }
        }
    }

    /// Ends a watch that the member has ended. Those that were ended by us are not known any more.
    fn canceled(&mut self, message: &pb::WatchResponse) {
        if let Some(id) = self.live.remove(&message.watch_id) {
            self.end(id, message);
        }
    }

    fn end(&mut self, id: WatchId, message: &pb::WatchResponse) {
        // The reason has gRPC's code in front.
        let reason = message.cancel_reason.rsplit("desc = ").next().unwrap_or_default();
        let status = Status::new(Code::Unauthenticated, reason);
        if retry::is_about_token(&status) && self.channel.inner().credentials.can_renew() {
            return self.recover(&status);
        }
        let Some(entry) = self.watches.remove(&id) else { return };
        entry.fail(if message.compact_revision != 0 {
            Error::Compacted { compact_revision: Some(Revision(message.compact_revision)) }
        } else if reason == COMPACTED {
            Error::Compacted { compact_revision: None }
        } else {
            Error::WatchCanceled { reason: message.cancel_reason.clone() }
        });
    }

    /// Delivers a bookmark to a watch, or to all if it is for none in particular.
    fn bookmark(&mut self, stream_id: i64, revision: Revision) {
        let ids: Vec<WatchId> = match self.live.get(&stream_id) {
            Some(id) => vec![*id],
            None if stream_id == -1 => self.live.values().copied().collect(),
            None => return,
        };
        for id in ids {
            if let Some(entry) = self.watches.get_mut(&id) {
                let delivered = entry.bookmark(revision);
                self.suspend_if(id, delivered);
            }
        }
    }

    fn suspend_if(&mut self, id: WatchId, delivered: Delivered) {
        if delivered == Delivered::Fine {
            return;
        }
        let Some(entry) = self.watches.get_mut(&id) else { return };
        let before = std::mem::replace(&mut entry.stage, Stage::Suspended);
        if let Stage::Live(stream_id) = before {
            self.live.remove(&stream_id);
            self.line.cancel(stream_id);
        }
    }
}

/// Returns whether another stream would end the same way.
fn is_final(status: &Status) -> bool {
    match status.code() {
        Code::PermissionDenied | Code::Unimplemented | Code::Unauthenticated | Code::InvalidArgument => true,
        Code::OutOfRange => true,
        _ => false,
    }
}
