//! A storm of logins: what puts feel while many clients authenticate without a pause.

use super::history::{compare_latencies, tickets};
use crate::driver::{Callers, Requests};
use crate::endpoint::Endpoint;
use crate::figures::{self, Figure, Sample};
use crate::harness::Site;
use crate::process;
use crate::tickets::{Pace, Span};
use crate::workload::authenticate::Authenticate;
use crate::workload::{KeyShape, Shape, Unary};
use std::time::Duration;

/// Clients that log in again as soon as they are in.
const CLIENTS: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Logins {
    pub(crate) keys: KeyShape,
    pub(crate) value_bytes: usize,
    /// Rate of the puts beside it.
    pub(crate) puts_per_second: f64,
    /// How long puts are measured before, and again during the storm.
    pub(crate) span: Duration,
}

impl Logins {
    pub(crate) fn run(&self, site: &Site) -> anyhow::Result<Sample> {
        process::block_on(self.measure(&site.addresses[0]))?
    }

    async fn measure(&self, address: &Endpoint) -> anyhow::Result<Sample> {
        let pace = Pace::Open { per_second: self.puts_per_second };
        let mut puts = super::put_callers(address, self.keys, self.value_bytes).await?;
        puts.run(tickets(pace, Span::Time(self.span / 5))).await;
        let before = puts.run(tickets(pace, Span::Time(self.span))).await;

        let mut logins = self.login_callers(address).await?;
        let storm = tickets(Pace::Closed, Span::Stopped);
        let writing = async {
            let during = puts.run(tickets(pace, Span::Time(self.span))).await;
            storm.stop();
            during
        };
        let (logins, during) = tokio::join!(logins.run(storm.clone()), writing);
        let mut sample = Sample::default();
        sample.push(Figure::rate("logins/s", logins.per_second()));
        compare_latencies(&mut sample, "logins", figures::LOGINS_P99, &before, &during);
        for load in [&before, &during, &logins] {
            sample.fail(&load.failures);
        }
        Ok(sample)
    }

    async fn login_callers(&self, address: &Endpoint) -> anyhow::Result<Callers> {
        let Logins { keys, value_bytes, .. } = *self;
        let shape = Shape { connections: 4, clients: CLIENTS, pace: Pace::Closed, keys, value_bytes };
        let requests =
            (0..CLIENTS).map(|number| -> Box<dyn Requests> { Authenticate.requests(&shape, number) });
        Callers::connect(std::slice::from_ref(address), shape.connections, Authenticate.path(), requests)
            .await
    }
}
