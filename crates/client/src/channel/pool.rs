//! The endpoints of a client, and which of them the next request goes to.
//!
//! Requests take turns over the endpoints that are connected and answer. While a first connection is made, one endpoint
//! is dialed; the next one too if that takes long or fails. The others are connected when the first request has found its
//! way, so that a failure finds them ready.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::select_all;
use parking_lot::RwLock;
use tokio::time::Instant;
use tonic::{Code, Status};

use super::link::{Connection, Health, Link};
use crate::address::{Address, Security};
use crate::error::Error;
use crate::retry::{Local, local};
use crate::settings::Settings;

/// How long one endpoint may take to be connected before the next one is dialed too.
const HEAD_START: Duration = Duration::from_millis(150);

/// The endpoints of a client.
#[derive(Debug)]
pub(crate) struct Pool {
    settings: Arc<Settings>,
    /// How an endpoint without a scheme is reached.
    default_security: Security,
    links: RwLock<Arc<[Arc<Link>]>>,
    turn: AtomicUsize,
}

/// An endpoint that was chosen, with its connection.
pub(crate) struct Picked {
    pub(crate) link: Arc<Link>,
    pub(crate) connection: Connection,
}

impl Pool {
    /// The endpoints of a new client.
    ///
    /// # Errors
    /// When there are none, or one of them is none.
    pub(crate) fn new(
        endpoints: &[String],
        default_security: Security,
        settings: Arc<Settings>,
    ) -> Result<Pool, Error> {
        let turn = AtomicUsize::new(crate::random::number() as usize % endpoints.len().max(1));
        let pool = Pool { settings, default_security, links: RwLock::new(Arc::new([])), turn };
        pool.replace(endpoints)?;
        Ok(pool)
    }

    /// Replaces the endpoints. Those that stay keep their connections; calls in flight to others end as they would have.
    ///
    /// # Errors
    /// When there are none, or one of them is none.
    pub(crate) fn replace(&self, endpoints: &[String]) -> Result<(), Error> {
        if endpoints.is_empty() {
            return Err(Error::endpoint("", "no endpoints are given".to_owned()));
        }
        let parse = |text: &String| Address::parse(text.trim(), self.default_security);
        let addresses = endpoints.iter().map(parse).collect::<Result<Vec<Address>, Error>>()?;
        let links: Vec<Arc<Link>> = addresses.into_iter().map(|address| self.link(address)).collect();
        self.settings.endpoints.store(links.len(), Ordering::Relaxed);
        *self.links.write() = links.into();
        Ok(())
    }

    /// Returns the endpoint of this address: the one that is known, or a new one.
    fn link(&self, address: Address) -> Arc<Link> {
        let known = self.links().iter().find(|link| link.address == address).cloned();
        known.unwrap_or_else(|| Link::new(address, self.settings.clone()))
    }

    /// Returns a pool of one endpoint, with the connection that is there.
    pub(crate) fn at(&self, endpoint: &str) -> Pool {
        let address = Address::parse_or_nowhere(endpoint.trim(), self.default_security);
        Pool {
            settings: self.settings.clone(),
            default_security: self.default_security,
            links: RwLock::new(Arc::new([self.link(address)])),
            turn: AtomicUsize::new(0),
        }
    }

    /// Returns the endpoints.
    pub(crate) fn links(&self) -> Arc<[Arc<Link>]> {
        self.links.read().clone()
    }

    /// Returns a connected endpoint, one that is not in `avoid` if there is any.
    ///
    /// # Errors
    /// When none can be connected in time.
    pub(crate) async fn pick(&self, avoid: &[Arc<Link>], give_up_at: Instant) -> Result<Picked, Status> {
        let links = self.links();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        if let Some(picked) = best(&links, turn, avoid) {
            return Ok(picked);
        }
        // In a box: it is seldom needed, and large, and every call has room for all that it awaits.
        let connected = Box::pin(connect(&links, turn, avoid));
        match tokio::time::timeout_at(give_up_at, connected).await {
            Ok(Some(picked)) => Ok(picked),
            _ => Err(local(Code::Unavailable, unreachable_text(&links), Local::NotSent)),
        }
    }
}

/// Dials one endpoint after the other until one is connected. Returns `None` if trying again is of no use.
async fn connect(links: &[Arc<Link>], turn: usize, avoid: &[Arc<Link>]) -> Option<Picked> {
    let mut changes: Vec<_> = links.iter().map(|link| link.changes()).collect();
    let mut dialed = 0;
    loop {
        dialed = (dialed + 1).min(links.len());
        for place in 0..dialed {
            links[turn.wrapping_add(place) % links.len()].begin_to_dial();
        }
        let change = select_all(changes.iter_mut().map(|change| Box::pin(change.changed())));
        // A change, or the next endpoint's turn: both lead to another look.
        let _ = tokio::time::timeout(HEAD_START, change).await;
        if let Some(picked) = best(links, turn, avoid).or_else(|| best(links, turn, &[])) {
            return Some(picked);
        }
        if links.iter().all(|link| link.failure().is_some_and(|why| why.is_lasting())) {
            return None;
        }
    }
}

/// Returns the best of the connected endpoints, those at their turn first. Those that are not connected are dialed, once
/// there is one that is.
fn best(links: &[Arc<Link>], turn: usize, avoid: &[Arc<Link>]) -> Option<Picked> {
    let mut best: Option<(Picked, Health)> = None;
    let mut unconnected = Vec::new();
    for place in 0..links.len() {
        let link = &links[(turn.wrapping_add(place)) % links.len()];
        let Some((connection, health)) = link.connection() else {
            unconnected.push(link);
            continue;
        };
        if avoid.iter().any(|avoided| Arc::ptr_eq(avoided, link)) {
            continue;
        }
        if best.as_ref().is_none_or(|(_, known)| health < *known) {
            best = Some((Picked { link: link.clone(), connection }, health));
        }
        if health == Health::Good {
            break;
        }
    }
    if best.is_some() {
        unconnected.into_iter().for_each(|link| link.begin_to_dial());
    }
    best.map(|(picked, _)| picked)
}

fn unreachable_text(links: &[Arc<Link>]) -> String {
    let reasons = links.iter().map(|link| match link.failure() {
        Some(why) => format!("{}: {why}", link.address.text),
        None => format!("{}: no answer", link.address.text),
    });
    format!("no endpoint can be reached: {}", reasons.collect::<Vec<_>>().join("; "))
}
