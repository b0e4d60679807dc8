//! Lease keepalives: each caller has a lease and a stream of its own and renews as fast as the answers come.

use super::Shape;
use crate::client::{Connection, Keep, Stream};
use crate::driver;
use crate::endpoint::Endpoint;
use crate::grpc::Failure;
use crate::harness::{Job, Share};
use crate::messages::{self, path};
use crate::stats::Load;
use crate::tickets::{Span, Tickets};
use bytes::Bytes;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Time to live of the leases: longer than any run.
const TTL: Duration = Duration::from_secs(3600);

pub(crate) struct LeaseJob {
    pub(crate) shape: Shape,
}

/// One lease and the stream that renews it.
struct Renewer {
    stream: Stream,
    lease: i64,
    request: Bytes,
}

/// The renewers and the connections that they are on.
pub(crate) struct Renewers {
    renewers: Vec<Renewer>,
    _connections: Vec<Connection>,
}

impl Job for LeaseJob {
    type Prepared = Renewers;

    async fn prepare(&self, addresses: &[Endpoint], share: Share) -> anyhow::Result<Renewers> {
        let connections = driver::open(addresses, share.of(self.shape.connections).len().max(1)).await?;
        let mut renewers = Vec::new();
        for (_, connection) in share.of(self.shape.clients).zip(connections.iter().cycle()) {
            renewers.push(Renewer::open(connection).await?);
        }
        Ok(Renewers { renewers, _connections: connections })
    }

    async fn run(&self, prepared: &mut Renewers, share: Share, span: Span) -> Load {
        let tickets = Rc::new(Tickets::new(share.of_pace(self.shape.pace), span));
        let load = Rc::new(RefCell::new(Load::default()));
        let mut running = JoinSet::new();
        for renewer in prepared.renewers.drain(..) {
            running.spawn_local(renewer.run(tickets.clone(), load.clone()));
        }
        prepared.renewers = driver::finish(running, &tickets, &load).await;
        let mut load = load.take();
        load.elapsed = tickets.start().elapsed();
        load
    }
}

impl Renewer {
    /// Takes a lease, opens a stream and renews once, so that the stream is known to work.
    async fn open(connection: &Connection) -> Result<Renewer, Failure> {
        let grant = messages::lease_grant(TTL.as_secs() as i64);
        let reply = connection.client(path::LEASE_GRANT).call(grant, Keep::Whole).await?;
        let (lease, _) = messages::lease(&reply.message)?;
        let request = messages::lease_keep_alive(lease);
        let stream = connection.client(path::LEASE_KEEP_ALIVE).stream(request.clone()).await?;
        let mut renewer = Renewer { stream, lease, request };
        renewer.answer().await?;
        Ok(renewer)
    }

    async fn run(mut self, tickets: Rc<Tickets>, load: Rc<RefCell<Load>>) -> Renewer {
        while let Some(due) = tickets.next().await {
            let sent = Instant::now();
            let outcome = self.renew().await;
            let broken = outcome.is_err();
            load.borrow_mut().record(&tickets, due, sent, outcome);
            if broken {
                break; // a stream does not go on after an error
            }
        }
        self
    }

    /// One renewal; the length of the answer.
    async fn renew(&mut self) -> Result<usize, Failure> {
        self.stream.send(self.request.clone())?;
        self.answer().await
    }

    async fn answer(&mut self) -> Result<usize, Failure> {
        let message = self.stream.next().await?;
        let (lease, ttl_seconds) = messages::lease(&message)?;
        if lease != self.lease || ttl_seconds <= 0 {
            return Err(Failure::malformed(format!("lease {lease} renewed for {ttl_seconds} s")));
        }
        Ok(message.len())
    }
}
