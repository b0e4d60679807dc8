//! One endpoint, and the connection to it while there is one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::dial::{DialError, Driver, Sender, dial};
use super::pulse::Pulse;
use super::watchdog;
use crate::address::Address;
use crate::settings::Settings;

/// The pause after a first failed attempt to connect, and the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long an endpoint that could not serve (it knew no leader, say) is asked last.
const AILING_FOR: Duration = Duration::from_secs(3);

/// An endpoint.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) address: Address,
    pub(crate) settings: Arc<Settings>,
    state: Mutex<State>,
    ailing_until: Mutex<Option<Instant>>,
    is_ailing: AtomicBool,
    changed: watch::Sender<()>,
}

#[derive(Debug)]
enum State {
    Idle,
    Dialing,
    Ready(Connection),
    Failed { failures: u32, until: Instant, why: Arc<DialError> },
}

/// A connection that stands.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) sender: Sender,
    pub(crate) pulse: Arc<Pulse>,
}

/// How an endpoint is doing, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Health {
    Good,
    /// It is connected, but silent, or it could not serve a moment ago.
    Doubtful,
}

impl Link {
    pub(crate) fn new(address: Address, settings: Arc<Settings>) -> Arc<Link> {
        Arc::new(Link {
            address,
            settings,
            state: Mutex::new(State::Idle),
            ailing_until: Mutex::new(None),
            is_ailing: AtomicBool::new(false),
            changed: watch::Sender::new(()),
        })
    }

    /// Returns the connection, if there is one, and how it is doing.
    pub(crate) fn connection(&self) -> Option<(Connection, Health)> {
        let connection = match &*self.state.lock() {
            State::Ready(connection) if !connection.sender.is_closed() => connection.clone(),
            _ => return None,
        };
        let is_silent = connection.pulse.waits() > self.settings.probe_interval;
        let health = if is_silent || self.is_ailing() { Health::Doubtful } else { Health::Good };
        Some((connection, health))
    }

    /// Notes that the endpoint answers, but could not serve.
    pub(crate) fn note_ailing(&self) {
        *self.ailing_until.lock() = Some(Instant::now() + AILING_FOR);
        self.is_ailing.store(true, Ordering::Relaxed);
    }

    fn is_ailing(&self) -> bool {
        if !self.is_ailing.load(Ordering::Relaxed) {
            return false;
        }
        let is_over = self.ailing_until.lock().is_none_or(|until| until <= Instant::now());
        if is_over {
            self.is_ailing.store(false, Ordering::Relaxed);
        }
        !is_over
    }

    /// Returns what changes whenever the connection comes or an attempt fails.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Returns why the last attempt to connect failed, if it did.
    pub(crate) fn failure(&self) -> Option<Arc<DialError>> {
        match &*self.state.lock() {
            State::Failed { why, .. } => Some(why.clone()),
            _ => None,
        }
    }

    /// Begins to connect, unless it is connected, being connected, or has failed just now. Returns at once.
    pub(crate) fn begin_to_dial(self: &Arc<Self>) {
        let mut state = self.state.lock();
        let failures = match &*state {
            State::Idle => 0,
            State::Ready(connection) if connection.sender.is_closed() => 0,
            State::Failed { failures, until, .. } if *until <= Instant::now() => *failures,
            _ => return,
        };
        *state = State::Dialing;
        tokio::spawn(self.clone().connect(failures));
    }

    async fn connect(self: Arc<Self>, failures: u32) {
        let (pulse, limit) = (Pulse::new(), self.settings.dial_timeout);
        let dialed = dial(&self.address, &self.settings.tls, pulse.clone());
        let dialed = tokio::time::timeout(limit, dialed).await.unwrap_or(Err(DialError::TooSlow(limit)));
        match dialed {
            Ok((sender, driver)) => {
                tracing::debug!(endpoint = self.address.text, "connected");
                *self.state.lock() = State::Ready(Connection { sender, pulse: pulse.clone() });
                self.changed.send_replace(());
                // The connection does not keep what keeps the connection: it ends with the last user of the endpoint.
                let link = Arc::downgrade(&self);
                drop(self);
                drive(link, pulse, driver).await;
                return;
            }
            Err(why) => {
                tracing::debug!(endpoint = self.address.text, %why, "cannot connect");
                let until = Instant::now() + pause(failures);
                *self.state.lock() = State::Failed { failures: failures + 1, until, why: Arc::new(why) };
            }
        }
        self.changed.send_replace(());
    }

    /// Notes that a connection has ended, unless there is another one already.
    fn forget(&self, ended: &Arc<Pulse>) {
        let mut state = self.state.lock();
        if matches!(&*state, State::Ready(connection) if Arc::ptr_eq(&connection.pulse, ended)) {
            *state = State::Idle;
        }
    }
}

/// Carries a connection until it ends.
async fn drive(link: Weak<Link>, pulse: Arc<Pulse>, driver: Driver) {
    let dog = tokio::spawn(watchdog::watch(link.clone(), pulse.clone()));
    let ended = driver.await;
    dog.abort();
    let Some(link) = link.upgrade() else { return };
    if let Err(error) = ended {
        tracing::debug!(endpoint = link.address.text, %error, "the connection ended");
    }
    link.forget(&pulse);
    link.changed.send_replace(());
}

fn pause(failures: u32) -> Duration {
    PAUSE_FIRST.saturating_mul(1 << failures.min(8)).min(PAUSE_MAX)
}
