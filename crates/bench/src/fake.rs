//! A server for tests that speaks just enough of Watch, Lease and Put to see a workload through, and that can be told to
//! lose events.
//!
//! Watchers get one message for each write, with all its events, on the stream that they were created on.

use crate::grpc::Deframer;
use crate::messages::path;
use crate::wire::{Encoder, Fields, Value};
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Request, Response};
use std::cell::{Cell, RefCell};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use tokio::net::{TcpListener, TcpStream};

/// What the fake does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Of every so many events one does not reach a watcher.
    LoseOneIn(u64),
    /// Keepalives are answered with a time to live of 0: the lease is gone.
    LeasesExpire,
}

pub(crate) struct Fake {
    fault: Fault,
    /// The streams of watchers, once for each watcher.
    watchers: RefCell<Vec<Rc<RefCell<SendStream<Bytes>>>>>,
    revision: Cell<i64>,
    sent: Cell<u64>,
}

impl Fake {
    /// Starts it on the current `LocalSet`.
    pub(crate) async fn start(fault: Fault) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let fake =
            Rc::new(Fake { fault, watchers: RefCell::default(), revision: Cell::new(1), sent: Cell::new(0) });
        tokio::task::spawn_local(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::task::spawn_local(fake.clone().connection(socket));
            }
        });
        address
    }

    async fn connection(self: Rc<Self>, socket: TcpStream) {
        let mut connection = h2::server::handshake(socket).await.unwrap();
        while let Some(Ok((request, respond))) = connection.accept().await {
            let fake = self.clone();
            tokio::task::spawn_local(async move {
                match request.uri().path().to_owned().as_str() {
                    path::WATCH => fake.watch(request, respond).await,
                    path::LEASE_KEEP_ALIVE => fake.keep_alive(request, respond).await,
                    path => fake.unary(path, request, respond).await,
                }
            });
        }
    }

    async fn unary(&self, path: &str, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        let message = Messages::of(request).next().await.unwrap();
        self.revision.set(self.revision.get() + 1);
        let header = Encoder::with_capacity(8).integer(3, self.revision.get());
        let reply = Encoder::with_capacity(16).message(1, header);
        let reply = match path {
            path::LEASE_GRANT => reply.integer(2, self.revision.get()).integer(3, 60),
            _ => reply,
        };
        let mut body = respond.send_response(Response::new(()), false).unwrap();
        body.send_data(reply.frame(), false).unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        body.send_trailers(trailers).unwrap();
        if path == path::PUT || path == path::TXN {
            self.publish(&puts(path, &message));
        }
    }

    /// Sends the put requests as events to every watcher.
    fn publish(&self, puts: &[Vec<u8>]) {
        for watcher in self.watchers.borrow().iter() {
            let mut response = Encoder::with_capacity(64).integer(2, 1);
            for put in puts {
                self.sent.set(self.sent.get() + 1);
                let lost =
                    matches!(self.fault, Fault::LoseOneIn(many) if self.sent.get().is_multiple_of(many));
                if !lost {
                    let value = Fields::of(put).find_bytes(2).unwrap().unwrap_or_default();
                    let kv = Encoder::with_capacity(64).integer(3, self.revision.get()).bytes(5, value);
                    response = response.message(11, Encoder::with_capacity(64).message(2, kv));
                }
            }
            watcher.borrow_mut().send_data(response.frame(), false).unwrap();
        }
    }

    async fn watch(&self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        let sender = respond.send_response(Response::new(()), false).unwrap();
        let sender = Rc::new(RefCell::new(sender));
        let mut creates = Messages::of(request);
        while creates.next().await.is_some() {
            let created = Encoder::with_capacity(8).integer(2, 1).integer(3, 1).frame();
            sender.borrow_mut().send_data(created, false).unwrap();
            self.watchers.borrow_mut().push(sender.clone());
        }
    }

    async fn keep_alive(&self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        let mut sender = respond.send_response(Response::new(()), false).unwrap();
        let mut requests = Messages::of(request);
        let mut answers = 0;
        while let Some(message) = requests.next().await {
            answers += 1;
            let lease = Fields::of(&message).find_integer(1).unwrap();
            // The first answer is part of opening the stream.
            let ttl = if self.fault == Fault::LeasesExpire && answers > 1 { 0 } else { 60 };
            let answer = Encoder::with_capacity(16).integer(2, lease).integer(3, ttl).frame();
            sender.send_data(answer, false).unwrap();
        }
    }
}

/// The put requests in a `PutRequest` or a `TxnRequest`.
fn puts(path: &str, message: &Bytes) -> Vec<Vec<u8>> {
    if path == path::PUT {
        return vec![message.to_vec()];
    }
    let mut puts = Vec::new();
    let mut fields = Fields::of(message);
    while let Some((field, value)) = fields.next().unwrap() {
        if let (2, Value::Bytes(operation)) = (field, value) {
            puts.push(Fields::of(operation).find_bytes(2).unwrap().unwrap().to_vec());
        }
    }
    puts
}

/// The messages that a client sends on a stream.
struct Messages {
    body: RecvStream,
    deframer: Deframer,
}

impl Messages {
    fn of(request: Request<RecvStream>) -> Messages {
        Messages { body: request.into_body(), deframer: Deframer::default() }
    }

    /// The next message; `None` when the client is through or gone.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(message) = self.deframer.next().unwrap() {
                return Some(message);
            }
            let chunk = self.body.data().await?.ok()?;
            self.body.flow_control().release_capacity(chunk.len()).unwrap();
            self.deframer.push(chunk);
        }
    }
}

mod tests {
    use super::*;
    use crate::harness::{Job, Share};
    use crate::stats::Load;
    use crate::tickets::{Pace, Span};
    use crate::workload::lease::LeaseJob;
    use crate::workload::watch::{STALL_MAX, WatchJob};
    use crate::workload::{KeyShape, Shape};
    use std::time::Duration;

    const SHAPE: Shape = Shape {
        connections: 3,
        clients: 4,
        pace: Pace::Closed,
        keys: KeyShape { bytes: 16, space: 10 },
        value_bytes: 64,
    };

    const WATCH: WatchJob =
        WatchJob { shape: SHAPE, watchers: 4, streams: 2, events_per_write: 1, stall_max: STALL_MAX };

    /// Runs a job twice, as the harness does, against the fake.
    fn run<J: Job>(fault: Fault, job: &J) -> [Load; 2] {
        crate::process::block_on(async {
            let address = Fake::start(fault).await;
            let mut prepared = job.prepare(&[address.into()], Share::WHOLE).await.unwrap();
            let first = job.run(&mut prepared, Share::WHOLE, Span::Operations(50)).await;
            let second = job.run(&mut prepared, Share::WHOLE, Span::Operations(50)).await;
            [first, second]
        })
        .unwrap()
    }

    #[test]
    fn every_watcher_sees_every_event_and_messages_are_counted_apart_from_events() {
        for (events_per_write, streams) in [(1, 1), (1, 5), (10, 5)] {
            let watch = WatchJob { watchers: 7, streams, events_per_write, ..WATCH };
            for load in run(Fault::None, &watch) {
                let writes_seen = 50 * 7;
                assert_eq!(load.operations, writes_seen * events_per_write as u64, "{watch:?}");
                assert_eq!(load.event_messages, writes_seen);
                assert_eq!(load.latencies.count(), load.operations);
                assert_eq!(load.failures.lines(), Vec::<String>::new());
            }
        }
    }

    #[test]
    fn events_that_never_come_are_failures() {
        let watch = WatchJob { stall_max: Duration::from_secs(1), ..WATCH };
        let [load, _] = run(Fault::LoseOneIn(10), &watch);
        assert_eq!(load.operations, 50 * 4 * 9 / 10);
        assert_eq!(load.failures.total(), 50 * 4 / 10);
    }

    #[test]
    fn keepalives_are_counted_and_a_lost_lease_is_a_failure() {
        let lease = LeaseJob { shape: SHAPE };
        for load in run(Fault::None, &lease) {
            assert_eq!((load.operations, load.failures.total()), (50, 0));
        }
        let [load, _] = run(Fault::LeasesExpire, &lease);
        assert_eq!((load.operations, load.failures.total()), (0, SHAPE.clients as u64));
    }
}
