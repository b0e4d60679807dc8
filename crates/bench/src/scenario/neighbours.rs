//! A client that asks for everything: what the others feel of it.
//!
//! Gets and puts at fixed rates run before and during each disturbance, on the same connections without a pause. The heavy
//! client has a thread of its own, so that what it receives holds up none of the answers that are measured.

use super::history::tickets;
use crate::client::{Connection, Keep};
use crate::driver::{Callers, Requests};
use crate::endpoint::Endpoint;
use crate::figures::{self, Better, Figure, Sample, Unit};
use crate::harness::Site;
use crate::messages::{self, Consistency, path};
use crate::process;
use crate::stats::Load;
use crate::tickets::{Pace, Span};
use crate::workload::get::Get;
use crate::workload::{KeyShape, Shape, Unary};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Ranges in the heavy transaction: as many as it may have by default.
const RANGES: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Neighbours {
    pub(crate) keys: KeyShape,
    pub(crate) value_bytes: usize,
    /// Rates of the small requests.
    pub(crate) gets_per_second: f64,
    pub(crate) puts_per_second: f64,
    /// How long they are measured before, and again beside each heavy request.
    pub(crate) span: Duration,
}

/// What the heavy client asks for, over and over.
struct Heavy {
    name: &'static str,
    path: &'static str,
    request: Bytes,
    get_growth: &'static str,
    put_growth: &'static str,
}

impl Neighbours {
    pub(crate) fn run(&self, site: &Site) -> anyhow::Result<Sample> {
        // Twice, so that there is a past.
        for _ in 0..2 {
            super::load(site, self.keys.space, self.keys, self.value_bytes)?;
        }
        process::block_on(self.measure(&site.addresses[0]))?
    }

    async fn measure(&self, address: &Endpoint) -> anyhow::Result<Sample> {
        let mut sample = Sample::default();
        let mut gets = self.get_callers(address).await?;
        let mut puts = super::put_callers(address, self.keys, self.value_bytes).await?;
        self.both(&mut gets, &mut puts, self.span / 5).await;
        let before = self.both(&mut gets, &mut puts, self.span).await;
        for heavy in self.heavy() {
            let (answer, during) = self.beside(&heavy, address, &mut gets, &mut puts).await?;
            sample.push(Figure::seconds(format!("{}: time to its answer", heavy.name), answer));
            let growths = [heavy.get_growth, heavy.put_growth];
            for ((kind, growth), (before, during)) in
                ["get", "put"].into_iter().zip(growths).zip([(&before.0, &during.0), (&before.1, &during.1)])
            {
                compare(&mut sample, heavy.name, kind, growth, before, during);
            }
        }
        [&before.0, &before.1].into_iter().for_each(|load| sample.fail(&load.failures));
        Ok(sample)
    }

    fn heavy(&self) -> [Heavy; 3] {
        let list = |revision| messages::list(KeyShape::START, KeyShape::END, revision);
        [
            Heavy {
                name: "list of everything",
                path: path::RANGE,
                request: list(0),
                get_growth: figures::LIST_GET_P99,
                put_growth: figures::LIST_PUT_P99,
            },
            Heavy {
                name: "list of the past",
                path: path::RANGE,
                request: list(self.keys.space as i64 + 1),
                get_growth: figures::PAST_GET_P99,
                put_growth: figures::PAST_PUT_P99,
            },
            Heavy {
                name: "transaction of lists",
                path: path::TXN,
                request: messages::list_keys_in_one(KeyShape::START, KeyShape::END, RANGES),
                get_growth: figures::TXN_LISTS_GET_P99,
                put_growth: figures::TXN_LISTS_PUT_P99,
            },
        ]
    }

    /// The small requests while a heavy one is under way all the time. Returns also how long that took on average.
    async fn beside(
        &self,
        heavy: &Heavy,
        address: &Endpoint,
        gets: &mut Callers,
        puts: &mut Callers,
    ) -> anyhow::Result<(Duration, (Load, Load))> {
        let is_over = Arc::new(AtomicBool::new(false));
        let (over, address) = (is_over.clone(), address.clone());
        let (path, request) = (heavy.path, heavy.request.clone());
        let thread = std::thread::spawn(move || process::block_on(ask(&address, path, request, &over)));
        let during = self.both(gets, puts, self.span).await;
        is_over.store(true, Ordering::Relaxed);
        let answer = thread.join().map_err(|_| anyhow::anyhow!("the heavy client has panicked"))???;
        Ok((answer, during))
    }

    async fn both(&self, gets: &mut Callers, puts: &mut Callers, span: Duration) -> (Load, Load) {
        let tickets = |per_second| tickets(Pace::Open { per_second }, Span::Time(span));
        tokio::join!(gets.run(tickets(self.gets_per_second)), puts.run(tickets(self.puts_per_second)))
    }

    async fn get_callers(&self, address: &Endpoint) -> anyhow::Result<Callers> {
        let Neighbours { keys, value_bytes, .. } = *self;
        let shape = Shape { connections: 8, clients: 64, pace: Pace::Closed, keys, value_bytes };
        let get = Get { consistency: Consistency::Linearizable };
        let requests = (0..shape.clients).map(|number| -> Box<dyn Requests> { get.requests(&shape, number) });
        Callers::connect(std::slice::from_ref(address), shape.connections, get.path(), requests).await
    }
}

/// Asks for the same again and again until it is over. Returns how long an answer took, on average.
async fn ask(
    address: &Endpoint,
    path: &str,
    request: Bytes,
    is_over: &AtomicBool,
) -> anyhow::Result<Duration> {
    let connection = Connection::open(address).await?;
    let mut client = connection.client(path);
    let start = Instant::now();
    let mut answers = 0;
    while answers == 0 || !is_over.load(Ordering::Relaxed) {
        client.call(request.clone(), Keep::Head).await?;
        answers += 1;
    }
    Ok(start.elapsed() / answers)
}

/// p50, p99 and maximum before and during, and by how much p99 grew.
fn compare(sample: &mut Sample, of: &str, kind: &str, growth: &'static str, before: &Load, during: &Load) {
    for (when, load) in [("before", before), ("during", during)] {
        for (name, percent) in [("p50", 50.0), ("p99", 99.0), ("max", 100.0)] {
            let latency = load.latencies.percentile(percent);
            let figure = |latency| Figure::seconds(format!("{of}: {kind} {name} {when}"), latency);
            sample.figures.extend(latency.map(figure));
        }
    }
    if let (Some(before), Some(during)) =
        (before.latencies.percentile(99.0), during.latencies.percentile(99.0))
    {
        let factor = during.as_secs_f64() / before.as_secs_f64();
        sample.push(Figure::new(growth, factor, Unit::Factor, Better::Lower));
    }
    sample.fail(&during.failures);
}
