//! Callers of a unary method, driven by tickets.
//!
//! A workload says what to send next and looks at the reply ([`Requests`]); this file does the rest, the same for all
//! of them: one task for each caller on the current thread, latencies from when a request was due, failures counted
//! by code. A caller whose connection broke stops (its next calls could only fail at once); the others go on.

use crate::client::{Client, Connection, Keep, Reply};
use crate::endpoint::Endpoint;
use crate::grpc::{Code, Failure};
use crate::stats::Load;
use crate::tickets::Tickets;
use bytes::Bytes;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How long no caller may get an answer before the run is given up: longer than any stall that a server survives.
const STALL_MAX: Duration = Duration::from_secs(60);

/// What one caller of a workload sends.
pub(crate) trait Requests {
    /// The next request, framed; `due` is when it should be sent.
    fn next(&mut self, due: Instant) -> Bytes;

    /// How much of the replies [`Requests::accept`] needs.
    fn keep(&self) -> Keep {
        Keep::Head
    }

    /// Looks at the reply to the last request.
    ///
    /// # Errors
    /// When it is not what the request must have given.
    fn accept(&mut self, _reply: &Reply) -> Result<(), Failure> {
        Ok(())
    }
}

/// Callers spread evenly over the connections of one runtime.
pub(crate) struct Callers {
    callers: Vec<Caller>,
    /// Kept open as long as the callers.
    _connections: Vec<Connection>,
}

struct Caller {
    client: Client,
    requests: Box<dyn Requests>,
}

impl Callers {
    /// Opens `connections` and puts a caller of `path` on them for each of `requests`.
    pub(crate) async fn connect(
        addresses: &[Endpoint],
        connections: usize,
        path: &str,
        requests: impl IntoIterator<Item = Box<dyn Requests>>,
    ) -> anyhow::Result<Callers> {
        let connections = open(addresses, connections).await?;
        let clients = connections.iter().cycle().map(|connection| connection.client(path));
        let callers = requests.into_iter().zip(clients);
        let callers = callers.map(|(requests, client)| Caller { client, requests }).collect();
        Ok(Callers { callers, _connections: connections })
    }

    /// Runs the callers until the tickets are used up and all answers are in. Must be called inside a
    /// [`tokio::task::LocalSet`]. Somebody else may hold the tickets too, to stop them.
    pub(crate) async fn run(&mut self, tickets: Rc<Tickets>) -> Load {
        let load = Rc::new(RefCell::new(Load::default()));
        let mut running = JoinSet::new();
        for caller in self.callers.drain(..) {
            running.spawn_local(caller.run(tickets.clone(), load.clone()));
        }
        self.callers = finish(running, &tickets, &load).await;
        let mut load = load.take();
        load.elapsed = tickets.start().elapsed();
        load
    }
}

/// Issues the tickets and waits for all callers. When none of them gets an answer for [`STALL_MAX`], the rest is given
/// up and counted.
pub(crate) async fn finish<T: 'static>(
    mut running: JoinSet<T>,
    tickets: &Tickets,
    load: &RefCell<Load>,
) -> Vec<T> {
    let issue = async {
        if let Err(error) = tickets.issue().await {
            tickets.stop();
            let failure = Failure::malformed(format!("the kernel refused a timer: {error}"));
            load.borrow_mut().failures.record(&failure);
        }
    };
    let wait = async {
        let callers = wait_for_all(&mut running, load).await;
        tickets.stop(); // nobody is left to take one
        callers
    };
    tokio::join!(issue, wait).1
}

async fn wait_for_all<T: 'static>(running: &mut JoinSet<T>, load: &RefCell<Load>) -> Vec<T> {
    let mut finished = Vec::with_capacity(running.len());
    let answers = || load.borrow().operations + load.borrow().failures.total();
    let mut answers_before = answers();
    loop {
        match tokio::time::timeout(STALL_MAX, running.join_next()).await {
            Ok(None) => return finished,
            Ok(Some(caller)) => finished.push(caller.expect("a caller does not panic")),
            Err(_) if answers() != answers_before => answers_before = answers(),
            Err(_) => {
                let failure = Failure::new(Code::Unanswered, format!("no answer for {STALL_MAX:?}"));
                load.borrow_mut().failures.record_many(&failure, running.len() as u64);
                running.shutdown().await;
                return finished;
            }
        }
    }
}

impl Caller {
    async fn run(mut self, tickets: Rc<Tickets>, load: Rc<RefCell<Load>>) -> Caller {
        while let Some(due) = tickets.next().await {
            let sent = Instant::now();
            let outcome = self.call(due).await;
            let fatal = outcome.as_ref().is_err_and(Failure::is_fatal);
            load.borrow_mut().record(&tickets, due, sent, outcome);
            if fatal {
                break;
            }
        }
        self
    }

    /// One call; the length of the reply.
    async fn call(&mut self, due: Instant) -> Result<usize, Failure> {
        let request = self.requests.next(due);
        let reply = self.client.call(request, self.requests.keep()).await?;
        self.requests.accept(&reply)?;
        Ok(reply.length)
    }
}

/// Opens `count` connections, spread over the addresses in turn.
pub(crate) async fn open(addresses: &[Endpoint], count: usize) -> anyhow::Result<Vec<Connection>> {
    let mut connections = Vec::with_capacity(count);
    for address in addresses.iter().cycle().take(count) {
        connections.push(Connection::open(address).await?);
    }
    Ok(connections)
}
