//! All leases of a client on one stream.
//!
//! One task owns the stream and the leases. A lease is renewed when a third of its time has passed. What counts is when the
//! renewal was *sent*: the member may have served it at any time after that, so the lease lives at least that long plus
//! its time. A lease that was not renewed by then is lost as far as this process can know.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use proto::etcdserverpb as pb;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tonic::Status;

use super::guard::{Renewal, State};
use super::line::{Happening, Line};
use crate::channel::Channel;
use crate::number::LeaseId;
use crate::retry;

/// What a caller may want.
#[derive(Debug)]
pub(super) enum Command {
    Add(Order),
    Remove(LeaseId),
}

/// A lease that is to be kept alive.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) id: LeaseId,
    pub(super) ttl: Duration,
    pub(super) reported: watch::Sender<State>,
}

pub(super) type Commands = mpsc::UnboundedSender<Command>;

/// The way to the task, which is started with the first lease and ends with the last user.
#[derive(Debug, Default)]
pub(crate) struct Hub(OnceLock<Commands>);

impl Hub {
    /// Returns where commands are sent to.
    pub(super) fn commands(&self, channel: &Channel) -> Commands {
        let start = || {
            let (commands, received) = mpsc::unbounded_channel();
            let task =
                Task { channel: channel.clone(), line: Line::Down, leases: BTreeMap::new(), failures: 0 };
            tokio::spawn(task.run(received));
            commands
        };
        self.0.get_or_init(start).clone()
    }
}

/// A lease.
#[derive(Debug)]
struct Entry {
    ttl: Duration,
    /// When it is lost unless it is renewed.
    lives_until: Instant,
    /// When it is to be renewed.
    due: Instant,
    /// When the oldest renewal without an answer was sent.
    sent: Option<Instant>,
    reported: watch::Sender<State>,
}

impl Entry {
    fn new(order: Order, now: Instant) -> Entry {
        let Order { ttl, reported, .. } = order;
        Entry { ttl, lives_until: now + ttl, due: now + ttl / 3, sent: None, reported }
    }

    /// Returns when something is to be done about it.
    fn next(&self) -> Instant {
        if self.sent.is_some() { self.lives_until } else { self.due.min(self.lives_until) }
    }

    fn confirm(&mut self, renewal: Renewal) {
        let sent = self.sent.take().unwrap_or_else(Instant::now);
        let ttl = renewal.ttl;
        self.ttl = ttl;
        self.reported.send_replace(State::Alive(Some(renewal)));
        self.lives_until = sent + ttl;
        self.due = sent + ttl / 3;
    }
}

struct Task {
    channel: Channel,
    line: Line,
    leases: BTreeMap<LeaseId, Entry>,
    /// How many streams have broken since the last answer.
    failures: u32,
}

impl Task {
    async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        loop {
            let next = self.leases.values().map(Entry::next).min();
            let due = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Add(order)) => {
                        let _ = self.leases.insert(order.id, Entry::new(order, Instant::now()));
                    }
                    Some(Command::Remove(id)) => {
                        self.leases.remove(&id);
                    }
                    None => return,
                },
                happening = self.line.next() => self.handle(happening),
                () = due => self.renew(Instant::now()),
            }
            if self.leases.is_empty() {
                self.line = Line::Down;
            }
        }
    }

    /// Gives up the leases that are lost, and renews those that are due.
    fn renew(&mut self, now: Instant) {
        let lost: Vec<LeaseId> =
            self.leases.iter().filter(|(_, entry)| entry.lives_until <= now).map(|(id, _)| *id).collect();
        lost.into_iter().for_each(|id| self.lose(id));
        let is_due = self.leases.values().any(|entry| entry.sent.is_none() && entry.due <= now);
        if is_due && matches!(self.line, Line::Down) {
            self.line = Line::open(&self.channel);
        }
        for (id, entry) in &mut self.leases {
            if entry.sent.is_none() && entry.due <= now {
                match self.line.renew(id.0) {
                    true => entry.sent = Some(now),
                    // The stream rests. It says so when it does not any more.
                    false => entry.due = entry.lives_until,
                }
            }
        }
    }

    fn handle(&mut self, happening: Happening) {
        match happening {
            Happening::Answer(answer) => self.confirm(&answer),
            Happening::Broken(status) => self.recover(&status),
            Happening::Rested => {
                self.line = Line::open(&self.channel);
                let now = Instant::now();
                for entry in self.leases.values_mut() {
                    (entry.sent, entry.due) = (None, now);
                }
                self.renew(now);
            }
        }
    }

    fn confirm(&mut self, answer: &pb::LeaseKeepAliveResponse) {
        self.failures = 0;
        let id = LeaseId(answer.id);
        match Renewal::of(answer) {
            Some(renewal) => {
                if let Some(entry) = self.leases.get_mut(&id) {
                    entry.confirm(renewal);
                }
            }
            None => self.lose(id),
        }
    }

    fn recover(&mut self, status: &Status) {
        tracing::debug!(%status, leases = self.leases.len(), "the stream of renewals ended");
        let credentials = &self.channel.inner().credentials;
        if retry::is_about_token(status) && credentials.can_renew() {
            credentials.forget();
        }
        let pause = self.failures.checked_sub(1).map_or(Duration::ZERO, retry::pause);
        self.failures += 1;
        self.line = Line::rest(pause);
    }

    fn lose(&mut self, id: LeaseId) {
        if let Some(entry) = self.leases.remove(&id) {
            tracing::debug!(lease = %id, "lost");
            entry.reported.send_replace(State::Lost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::Header;

    #[test]
    fn a_lease_lives_from_when_its_renewal_was_sent() {
        let now = Instant::now();
        let ttl = Duration::from_secs(9);
        let order = Order { id: LeaseId(1), ttl, reported: watch::Sender::new(State::Alive(None)) };
        let mut entry = Entry::new(order, now);
        assert_eq!(entry.next(), now + ttl / 3);
        let sent = now + ttl / 3;
        entry.sent = Some(sent);
        assert_eq!(entry.next(), now + ttl, "no answer: it is lost then");
        entry.confirm(Renewal { header: Header::default(), id: LeaseId(1), ttl });
        assert_eq!((entry.lives_until, entry.due), (sent + ttl, sent + ttl / 3));
    }
}
