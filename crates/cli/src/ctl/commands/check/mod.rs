//! `check`: whether a cluster is up to a work load.
//!
//! Both checks write keys under a prefix of their own, which must have none, and remove them again.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use clap::{ArgMatches, Command as Grammar};
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use proto::etcdserverpb::{CompactionRequest, DefragmentRequest, DeleteRangeRequest, RangeRequest};
use tonic::{Response, Status};

use self::model::Size;
use super::{Command, Group};
use crate::ctl::Invocation;
use crate::ctl::connect::{Channel, Session};
use crate::ctl::exit::{Exit, Failure};
use crate::ctl::flags::{self, Flags as _};
use crate::ctl::print::write_line;
use crate::ctl::range::prefix_end;
use crate::go::quote::quote;

mod datascale;
mod load;
mod memory;
mod model;
mod perf;
mod report;

/// The command.
pub const COMMAND: Command =
    Command { name: "check", group: Group::Utility, grammar, run: |invocation| Box::pin(run(invocation)) };

/// How long each step of cleaning up may take.
const CLEANUP_LIMIT: Duration = Duration::from_secs(30);

const DATASCALE: &str = "\
If no endpoint is provided, localhost will be used. If multiple endpoints are provided, first endpoint will be used.";

fn grammar(grammar: Grammar) -> Grammar {
    let leaf = |name, about, load, prefix, prefix_help| {
        Grammar::new(name)
            .about(about)
            .override_usage("[options]")
            .arg(flags::text("load", load))
            .arg(flags::text("prefix", prefix_help).default_value(prefix))
            .arg(flags::switch("auto-compact", "Compact storage with last revision after test is finished."))
            .arg(flags::switch("auto-defrag", "Defragment storage after test is finished."))
            .args(flags::positionals(&[]))
    };
    let perf = leaf(
        "perf",
        "Check the performance of the etcd cluster",
        "The performance check's workload model. Accepted workloads: s(small), m(medium), l(large), xl(xLarge). \
         Different workload models use different configurations in terms of number of clients and expected throughput. \
         (default \"s\")",
        "/etcdctl-check-perf/",
        "The prefix for writing the performance check's keys. (default \"/etcdctl-check-perf/\")",
    );
    let datascale = leaf(
        "datascale",
        "Check the memory usage of holding data for different workloads on a given server endpoint.",
        "The datascale check's workload model. Accepted workloads: s(small), m(medium), l(large), xl(xLarge) \
         (default \"s\")",
        "/etcdctl-check-datascale/",
        "The prefix for writing the datascale check's keys. (default \"/etcdctl-check-datascale/\")",
    );
    grammar
        .about(
            "commands for checking properties of the etcd cluster. Use `etcdctl check --help` to see subcommands",
        )
        .long_about("commands for checking properties of the etcd cluster")
        .subcommand(perf.arg(flags::duration("duration", "How long the check takes").hide(true)))
        .subcommand(datascale.long_about(DATASCALE).arg(flags::number("keys", "How many keys are written").hide(true)))
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    let load = invocation.matches.text("load").unwrap_or("s");
    let size = Size::named(load)
        .ok_or_else(|| Failure::new(Exit::BadFeature, format!("unknown load option {load}")))?;
    match invocation.name() {
        "perf" => perf::run(&invocation, size).await,
        _ => datascale::run(&invocation, size).await,
    }
}

/// The keys of a check, and what becomes of them.
struct Scratch<'a> {
    session: &'a Session,
    prefix: Bytes,
    compacts: bool,
    defragments: bool,
}

impl<'a> Scratch<'a> {
    fn new(session: &'a Session, matches: &ArgMatches) -> Scratch<'a> {
        let prefix = Bytes::copy_from_slice(matches.text("prefix").unwrap_or_default().as_bytes());
        let (compacts, defragments) = (matches.is_on("auto-compact"), matches.is_on("auto-defrag"));
        Scratch { session, prefix, compacts, defragments }
    }

    /// Refuses a prefix that has keys: they would be removed with those of the check. `with` is how they are removed.
    async fn refuse_keys(&self, quotes: &str) -> Result<(), Failure> {
        let (key, range_end) = (self.prefix.clone(), prefix_end(&self.prefix));
        let request = RangeRequest { key, range_end, limit: 1, ..RangeRequest::default() };
        let answer =
            self.session.call(|channel| async move { KvClient::new(channel).range(request).await }).await?;
        if answer.kvs.is_empty() {
            return Ok(());
        }
        let (quoted, plain) = (quote(&self.prefix), String::from_utf8_lossy(&self.prefix));
        let text = format!(
            "prefix {quoted} has keys. Delete with {quotes}etcdctl del --prefix {plain}{quotes} first"
        );
        Err(Failure::new(Exit::InvalidInput, text))
    }

    /// Removes the keys and returns the revision at which they are gone.
    async fn remove(&self) -> Result<i64, Failure> {
        let (key, range_end) = (self.prefix.clone(), prefix_end(&self.prefix));
        let request = DeleteRangeRequest { key, range_end, prev_kv: false };
        let answer =
            self.limited(|channel| async move { KvClient::new(channel).delete_range(request).await }).await?;
        Ok(answer.header.map_or(0, |header| header.revision))
    }

    /// Compacts the history up to `revision`, if asked to.
    async fn compact(&self, revision: i64) -> Result<(), Failure> {
        if !self.compacts {
            return Ok(());
        }
        write_line(format_args!("Compacting with revision {revision}"))?;
        let request = CompactionRequest { revision, physical: true };
        self.limited(|channel| async move { KvClient::new(channel).compact(request).await }).await?;
        write_line(format_args!("Compacted with revision {revision}"))
    }

    /// Defragments each endpoint, if asked to.
    async fn defragment(&self) -> Result<(), Failure> {
        let endpoints = if self.defragments { self.session.client.endpoints() } else { Vec::new() };
        for endpoint in endpoints {
            let quoted = quote(endpoint.as_bytes());
            write_line(format_args!("Defragmenting {quoted}"))?;
            let mut stub = MaintenanceClient::new(self.session.client.at(&endpoint).channel());
            self.session.within(CLEANUP_LIMIT, stub.defragment(DefragmentRequest::default())).await?;
            write_line(format_args!("Defragmented {quoted}"))?;
        }
        Ok(())
    }

    async fn limited<T, F>(&self, call: impl FnOnce(Channel) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        self.session.within(CLEANUP_LIMIT, call(self.session.client.channel())).await
    }
}

/// Prints lines.
fn say(lines: impl IntoIterator<Item = impl Display>) -> Result<(), Failure> {
    lines.into_iter().try_for_each(write_line)
}
