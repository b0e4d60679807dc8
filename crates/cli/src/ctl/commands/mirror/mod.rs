//! `make-mirror`: copies keys to another cluster and keeps the copy up to date, until it is stopped.
//!
//! First all keys at one revision, then every change after it. Leases are not copied: they are of the source.

use std::cell::Cell;
use std::time::Duration;

use bytes::Bytes;
use clap::{ArgMatches, Command as Grammar};
use futures_util::{TryStreamExt as _, stream};
use indicatif::ProgressBar;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use proto::etcdserverpb::{RangeRequest, RequestOp, TxnRequest, WatchCreateRequest};
use proto::mvccpb::KeyValue;
use tokio::time::{Instant, interval_at};

use self::batch::{Renaming, put, transactions};
use super::{Command, Group};
use crate::ctl::connect::{Channel, Session};
use crate::ctl::exit::Failure;
use crate::ctl::flags::{self, Flags as _};
use crate::ctl::print::write_line;
use crate::ctl::range::{ZERO, prefix_end};
use crate::ctl::watching::{Notice, Watching};
use crate::ctl::{Invocation, progress, refusal};

mod batch;
mod destination;

/// The command.
pub const COMMAND: Command = Command {
    name: "make-mirror",
    group: Group::Utility,
    grammar,
    run: |invocation| Box::pin(run(invocation)),
};

/// The keys that are read at once.
const PAGE: i64 = 1000;

/// The writes that are under way at once while all keys are copied.
const WRITES: usize = 64;

/// How often the number of changes is printed.
const REPORT_INTERVAL: Duration = Duration::from_secs(30);

const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";

fn grammar(grammar: Grammar) -> Grammar {
    grammar
        .about("Makes a mirror at the destination etcd cluster")
        .override_usage("[options] <destination>")
        .arg(flags::text("prefix", "Key-value prefix to mirror"))
        .arg(flags::number("rev", "Specify the kv revision to start to mirror"))
        .arg(
            flags::number(
                "max-txn-ops",
                "Maximum number of operations permitted in a transaction during syncing updates. (default 128)",
            )
            .value_name("uint")
            .default_value("128"),
        )
        .arg(flags::text(
            "dest-prefix",
            "destination prefix to mirror a prefix to a different prefix in the destination cluster",
        ))
        .arg(flags::switch("no-dest-prefix", "mirror key-values to the root of the destination cluster"))
        .args(destination::flags())
        .args(flags::positionals(&["destination"]))
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    let arguments = invocation.text_arguments();
    let [endpoint] = arguments.as_slice() else {
        return Err(Failure::arguments("make-mirror takes one destination argument"));
    };
    let matches = &invocation.matches;
    let destination = destination::connect(&invocation.globals()?, matches, endpoint).await?;
    let source = invocation.open().await?;
    let prefix = bytes_of(matches, "prefix");
    let (bar, made) = (progress::endless("changes mirrored"), Cell::new(0));
    let mirror = Mirror {
        renaming: Renaming { to: destination_prefix(matches, &prefix)?, from: prefix },
        ops_max: usize::try_from(matches.number("max-txn-ops")).unwrap_or(1),
        source,
        destination,
        made: &made,
        bar: &bar,
    };
    let first_revision = matches.number("rev").max(1);
    tokio::select! {
        ended = mirror.run(first_revision) => ended,
        ended = report(&made, &bar) => ended,
    }
}

fn bytes_of(matches: &ArgMatches, flag: &str) -> Bytes {
    Bytes::copy_from_slice(matches.text(flag).unwrap_or_default().as_bytes())
}

/// Returns what keys of the copy begin with. etcdctl forgets the prefix of the source when it is given `--rev`; here it
/// is kept unless `--no-dest-prefix` says otherwise, so that a mirror that goes on writes where it wrote before.
fn destination_prefix(matches: &ArgMatches, prefix: &Bytes) -> Result<Bytes, Failure> {
    let given = bytes_of(matches, "dest-prefix");
    match (matches.is_on("no-dest-prefix"), given.is_empty()) {
        (true, false) => Err(Failure::arguments(
            "`--dest-prefix` and `--no-dest-prefix` cannot be set at the same time, choose one",
        )),
        (true, true) => Ok(Bytes::new()),
        (false, true) => Ok(prefix.clone()),
        (false, false) => Ok(given),
    }
}

/// Prints the number of changes again and again.
async fn report(made: &Cell<u64>, bar: &ProgressBar) -> Result<(), Failure> {
    let mut interval = interval_at(Instant::now() + REPORT_INTERVAL, REPORT_INTERVAL);
    loop {
        interval.tick().await;
        bar.suspend(|| write_line(made.get()))?;
    }
}

struct Mirror<'a> {
    source: Session,
    destination: KvClient<Channel>,
    renaming: Renaming,
    ops_max: usize,
    /// The changes made at the destination.
    made: &'a Cell<u64>,
    bar: &'a ProgressBar,
}

impl Mirror<'_> {
    /// Mirrors all keys and all changes after them, or with a first revision above 1 only the changes from there on.
    async fn run(&self, first_revision: i64) -> Result<(), Failure> {
        let watched_from = if first_revision > 1 { first_revision } else { self.copy().await? + 1 };
        self.follow(watched_from).await
    }

    fn count(&self, changes: u64) {
        self.made.set(self.made.get() + changes);
        self.bar.inc(changes);
    }

    /// Returns the first key and the range end of what is mirrored.
    fn range(&self) -> (Bytes, Bytes) {
        let prefix = &self.renaming.from;
        if prefix.is_empty() { (ZERO, ZERO) } else { (prefix.clone(), prefix_end(prefix)) }
    }

    async fn read(&self, request: RangeRequest) -> Result<(i64, Vec<KeyValue>, bool), Failure> {
        let mut stub = self.source.kv();
        let answer = stub.range(request).await.map_err(|status| refusal::of_status(&status))?.into_inner();
        Ok((answer.header.unwrap_or_default().revision, answer.kvs, answer.more))
    }

    /// Copies all keys and returns the revision at which they were read.
    async fn copy(&self) -> Result<i64, Failure> {
        let (mut key, range_end) = self.range();
        let (revision, ..) = self.read(RangeRequest { key: key.clone(), ..RangeRequest::default() }).await?;
        loop {
            let request = RangeRequest {
                key,
                range_end: range_end.clone(),
                limit: PAGE,
                revision,
                sort_order: SortOrder::Ascend.into(),
                sort_target: SortTarget::Key.into(),
                ..RangeRequest::default()
            };
            let (_, pairs, more) = self.read(request).await?;
            let last = pairs.last().map(|pair| pair.key.clone());
            stream::iter(pairs.into_iter().map(Ok))
                .try_for_each_concurrent(WRITES, |pair| self.write(pair))
                .await?;
            match last {
                Some(last) if more => key = [&last[..], b"\0"].concat().into(),
                _ => return Ok(revision),
            }
        }
    }

    async fn write(&self, pair: KeyValue) -> Result<(), Failure> {
        let request = put(self.renaming.apply(&pair.key), pair.value);
        self.destination.clone().put(request).await.map_err(|status| refusal::of_status(&status))?;
        self.count(1);
        Ok(())
    }

    /// Makes every change from `start_revision` on.
    async fn follow(&self, start_revision: i64) -> Result<(), Failure> {
        let (key, range_end) = self.range();
        let mut watching = Watching::new(self.source.clone());
        watching.add(WatchCreateRequest { key, range_end, start_revision, ..WatchCreateRequest::default() });
        loop {
            match watching.next().await {
                Notice::Response(_, response) if response.compact_revision != 0 => {
                    return Err(Failure::error(COMPACTED));
                }
                Notice::Response(_, response) => {
                    for ops in transactions(response.events, &self.renaming, self.ops_max) {
                        self.commit(ops).await?;
                    }
                }
                Notice::Refused(_, why) => return Err(Failure::error(why)),
                Notice::Ended(_) => return Err(Failure::error("watch is canceled by the server")),
            }
        }
    }

    async fn commit(&self, success: Vec<RequestOp>) -> Result<(), Failure> {
        let changes = success.len() as u64;
        let request = TxnRequest { success, ..TxnRequest::default() };
        self.destination.clone().txn(request).await.map_err(|status| refusal::of_status(&status))?;
        self.count(changes);
        Ok(())
    }
}
