//! `apply`: makes the keys what a file says.

use std::collections::BTreeMap;

use bytes::Bytes;
use clap::Command as Grammar;
use proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{Compare, DeleteRangeRequest, PutRequest, RequestOp, TxnRequest};

use super::pages::{Content, Pages, key_at};
use super::{file, lines};
use crate::beyond::diff::Detail;
use crate::beyond::manifest::{self, Change, Present, ROOM, Wanted};
use crate::beyond::text;
use crate::ctl::commands::{Command, Group};
use crate::ctl::connect::Session;
use crate::ctl::exit::Failure;
use crate::ctl::flags::{self, Flags as _};
use crate::ctl::{Invocation, print};

/// The command.
pub const COMMAND: Command =
    Command { name: "apply", group: Group::Beyond, grammar, run: |invocation| Box::pin(run(invocation)) };

fn grammar(grammar: Grammar) -> Grammar {
    grammar
        .about("Makes keys what a file says, in one transaction where they fit into one")
        .override_usage("--file FILE")
        .arg(flags::text("file", "YAML or JSON map from keys to values; - for standard input").short('f'))
        .arg(flags::switch("dry-run", "Show what would be changed, and change nothing"))
        .arg(flags::text("prune", "Remove the keys with this prefix that the file does not name"))
        .args(flags::positionals(&[]))
        .long_about(
            "Makes keys what a file says. The file is a YAML or JSON map: text is stored as it is, a map or a list as JSON, and null \
             means that there should be no such key. Numbers and truth values stand in quotes. Keys that are as they should be are \
             not written. Up to 128 changes are one transaction, which does nothing if one of the keys was changed meanwhile; more \
             are several, and the output says so.",
        )
        .after_help("quoratectl apply -f app.yaml --dry-run\nquoratectl apply -f app.yaml --prune /app/")
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    let matches = &invocation.matches;
    let path = matches.text("file").ok_or_else(|| Failure::arguments("apply needs --file"))?;
    if let Some(surplus) = invocation.text_arguments().first() {
        return Err(Failure::arguments(format!(
            "apply takes no argument {surplus:?}: the file is given with --file"
        )));
    }
    let file = file::read_text(path)?;
    let wanted = manifest::read(&file).map_err(|why| Failure::error(format!("{path}: {why}")))?;
    let session = lines::open(&invocation).await?;
    let present = present(&session, &wanted, matches.text("prune")).await?;
    let changes = manifest::changes(&wanted, &present);
    let is_dry = matches.is_on("dry-run");
    let detail = if is_dry { Detail::Values } else { Detail::Keys };
    let unchanged = text::count(wanted.len().saturating_sub(changes.len()) as u64);
    let summary = format!("{}, {unchanged} as they should be", manifest::summary(&changes));
    if is_dry {
        show(&changes, detail)?;
        return print::write_line(format!("{summary} (nothing was written: --dry-run)"));
    }
    let transactions = manifest::transactions(&changes, ROOM);
    for (place, part) in transactions.iter().enumerate() {
        commit(&session, part).await.map_err(|failure| after(failure, place, transactions.len()))?;
        show(part, detail)?;
    }
    match transactions.len() {
        0 | 1 => print::write_line(summary),
        several => print::write_line(format!(
            "{summary} (in {several} transactions: more than {} changes)",
            ROOM.operations
        )),
    }
}

fn show(changes: &[Change], detail: Detail) -> Result<(), Failure> {
    let shown: Vec<String> = changes.iter().flat_map(|change| change.lines(detail)).collect();
    lines::write_coloured(&shown, lines::of_difference)
}

/// What was done before a transaction failed is said: it stays done.
fn after(failure: Failure, done: usize, all: usize) -> Failure {
    match done {
        0 => failure,
        _ => failure.with_hint(&format!(
            "{done} of {all} transactions are written and stay; run it again for the rest"
        )),
    }
}

/// The keys of the file that are there, and all with the prefix that is pruned.
async fn present(
    session: &Session,
    wanted: &Wanted,
    prune: Option<&str>,
) -> Result<BTreeMap<Vec<u8>, Present>, Failure> {
    let mut present = BTreeMap::new();
    let mut add = |kv: proto::mvccpb::KeyValue| {
        let found = Present { value: kv.value.to_vec(), mod_revision: kv.mod_revision };
        present.insert(kv.key.to_vec(), found);
    };
    if let Some(prefix) = prune {
        let mut pages = Pages::of(session, prefix.as_bytes(), 0, Content::Values);
        while let Some(page) = pages.next().await? {
            page.into_iter().for_each(&mut add);
        }
    }
    let is_pruned = |key: &[u8]| prune.is_some_and(|prefix| key.starts_with(prefix.as_bytes()));
    for key in wanted.keys().filter(|key| !is_pruned(key)) {
        let (found, _) = key_at(session, &Bytes::copy_from_slice(key), 0).await?;
        found.into_iter().for_each(&mut add);
    }
    Ok(present)
}

/// Makes these changes, all or none: none if one of the keys is not as it was read.
async fn commit(session: &Session, changes: &[Change]) -> Result<(), Failure> {
    let txn = TxnRequest {
        compare: changes.iter().map(as_it_was).collect(),
        success: changes.iter().map(operation).collect(),
        failure: Vec::new(),
    };
    let answer = session.answer(session.kv().txn(txn)).await?;
    match answer.succeeded {
        true => Ok(()),
        false => Err(Failure::error(
            "a key was changed by somebody else meanwhile, so that nothing was written: run it again",
        )),
    }
}

fn as_it_was(change: &Change) -> Compare {
    let mod_revision = change.before.as_ref().map_or(0, |present| present.mod_revision);
    Compare {
        result: CompareResult::Equal.into(),
        target: CompareTarget::Mod.into(),
        key: Bytes::copy_from_slice(&change.key),
        target_union: Some(TargetUnion::ModRevision(mod_revision)),
        ..Compare::default()
    }
}

fn operation(change: &Change) -> RequestOp {
    let key = Bytes::copy_from_slice(&change.key);
    let request = match &change.after {
        Some(value) => {
            let value = Bytes::copy_from_slice(value);
            // The lease stays, if there is one.
            Request::RequestPut(PutRequest {
                key,
                value,
                ignore_lease: change.before.is_some(),
                ..PutRequest::default()
            })
        }
        None => Request::RequestDeleteRange(DeleteRangeRequest { key, ..DeleteRangeRequest::default() }),
    };
    RequestOp { request: Some(request) }
}
