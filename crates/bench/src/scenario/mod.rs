//! What a single workload does not show: a big store, a restart, a compaction, a watcher far behind, a dead
//! leader, a new member, a storm of logins, a client that asks for everything, many watchers behind,
//! what each thing takes of the memory.
//!
//! Each scenario takes a server that was just started, does its own loading at the server's full speed, and gives named
//! figures of its own.

pub(crate) mod behind;
pub(crate) mod bulk;
pub(crate) mod failover;
pub(crate) mod footprint;
pub(crate) mod history;
pub(crate) mod join;
pub(crate) mod logins;
pub(crate) mod neighbours;

use crate::driver::{Callers, Requests};
use crate::endpoint::Endpoint;
use crate::figures::Spent;
use crate::harness::{self, Plan, Site};
use crate::stats::Load;
use crate::tickets::{Pace, Span};
use crate::workload::put::{Order, Put};
use crate::workload::{KeyShape, Shape, Unary, UnaryJob};
use std::time::Duration;

/// Callers while loading: enough for any server's group commit.
const LOAD_CLIENTS: usize = 256;

/// Puts `puts` values, going through the key space in order. The load must be complete.
pub(crate) fn load(
    site: &Site,
    puts: u64,
    keys: KeyShape,
    value_bytes: usize,
) -> anyhow::Result<(Load, Spent)> {
    let shape = Shape { connections: 8, clients: LOAD_CLIENTS, pace: Pace::Closed, keys, value_bytes };
    let plan = Plan { warm_up: Duration::ZERO, span: Span::Operations(puts), threads: 1 };
    let job = UnaryJob { shape, workload: &Put { order: Order::sequential() } };
    let (load, spent) = harness::run(site, &plan, &job)?;
    anyhow::ensure!(load.failures.total() == 0, "loading failed: {}", load.failures.lines().join("; "));
    Ok((load, spent))
}

/// The callers whose puts a scenario disturbs: 64 of them on 8 connections to one member. Their pace is that of the tickets.
async fn put_callers(address: &Endpoint, keys: KeyShape, value_bytes: usize) -> anyhow::Result<Callers> {
    let shape = Shape { connections: 8, clients: 64, pace: Pace::Closed, keys, value_bytes };
    let put = Put { order: Order::Random };
    let requests = (0..shape.clients).map(|number| -> Box<dyn Requests> { put.requests(&shape, number) });
    Callers::connect(std::slice::from_ref(address), shape.connections, put.path(), requests).await
}
