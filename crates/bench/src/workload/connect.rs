//! New connections: TCP, TLS where the server has it, HTTP/2, one read of a single key, close.

use crate::client::{Connection, Keep};
use crate::driver;
use crate::endpoint::Endpoint;
use crate::grpc::{Code, Failure};
use crate::harness::{Job, Share};
use crate::messages::{self, Consistency, Content, path};
use crate::stats::Load;
use crate::tickets::{Pace, Span, Tickets};
use crate::workload::KeyShape;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;
use tokio::task::JoinSet;

/// Callers that connect again and again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ConnectJob {
    pub(crate) clients: usize,
    pub(crate) pace: Pace,
}

impl Job for ConnectJob {
    /// Where each caller connects to.
    type Prepared = Vec<Endpoint>;

    async fn prepare(&self, addresses: &[Endpoint], share: Share) -> anyhow::Result<Vec<Endpoint>> {
        Ok(share
            .of(self.clients)
            .zip(addresses.iter().cycle().cloned())
            .map(|(_, address)| address)
            .collect())
    }

    async fn run(&self, endpoints: &mut Vec<Endpoint>, share: Share, span: Span) -> Load {
        let tickets = Rc::new(Tickets::new(share.of_pace(self.pace), span));
        let load = Rc::new(RefCell::new(Load::default()));
        let mut running = JoinSet::new();
        for endpoint in endpoints.iter().cloned() {
            running.spawn_local(caller(endpoint, tickets.clone(), load.clone()));
        }
        driver::finish(running, &tickets, &load).await;
        let mut load = load.take();
        load.elapsed = tickets.start().elapsed();
        load
    }
}

async fn caller(endpoint: Endpoint, tickets: Rc<Tickets>, load: Rc<RefCell<Load>>) {
    while let Some(due) = tickets.next().await {
        let sent = Instant::now();
        let outcome = connect_and_read(&endpoint).await;
        load.borrow_mut().record(&tickets, due, sent, outcome);
    }
}

/// Connects and reads one key; returns the length of the reply.
async fn connect_and_read(endpoint: &Endpoint) -> Result<usize, Failure> {
    let connection = Connection::open(endpoint).await;
    let connection = connection.map_err(|error| Failure::new(Code::Transport, format!("{error:#}")))?;
    let read = messages::range(KeyShape::START, b"", Consistency::Serializable, Content::CountOnly);
    Ok(connection.client(path::RANGE).call(read, Keep::Head).await?.length)
}
