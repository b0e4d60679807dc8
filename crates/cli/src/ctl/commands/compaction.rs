//! `compaction`: drops the history before a revision.

use clap::Command as Grammar;
use proto::etcdserverpb::CompactionRequest;

use super::{Command, Group};
use crate::ctl::Invocation;
use crate::ctl::exit::Failure;
use crate::ctl::flags::{self, Flags as _};
use crate::ctl::print::write_line;
use crate::go::number::parse_decimal;

/// The command.
pub const COMMAND: Command = Command {
    name: "compaction",
    group: Group::KeyValue,
    grammar,
    run: |invocation| Box::pin(run(invocation)),
};

fn grammar(grammar: Grammar) -> Grammar {
    grammar
        .about("Compacts the event history in etcd")
        .override_usage("[options] <revision>")
        .arg(flags::switch(
            "physical",
            "'true' to wait for compaction to physically remove all old revisions",
        ))
        .args(flags::positionals(&["revision"]))
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    let [revision] = invocation
        .text_arguments()
        .try_into()
        .map_err(|_: Vec<String>| Failure::arguments("compaction command needs 1 argument"))?;
    let revision = parse_decimal(&revision).map_err(Failure::error)?;
    let request = CompactionRequest { revision, physical: invocation.matches.is_on("physical") };
    let session = invocation.open().await?;
    session.answer(session.kv().compact(request)).await?;
    write_line(format_args!("compacted revision {revision}"))
}
