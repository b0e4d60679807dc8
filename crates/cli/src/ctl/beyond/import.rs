//! `import`: puts the keys of a file of `export`.

use std::collections::HashMap;

use clap::Command as Grammar;
use proto::etcdserverpb::lease_client::LeaseClient;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{LeaseGrantRequest, PutRequest, RequestOp, TxnRequest};

use super::{file, lines};
use crate::beyond::manifest::ROOM;
use crate::beyond::records::{self, Record};
use crate::beyond::text;
use crate::ctl::commands::{Command, Group};
use crate::ctl::connect::Session;
use crate::ctl::exit::Failure;
use crate::ctl::flags::{self, Flags as _};
use crate::ctl::{Invocation, print};

/// The command.
pub const COMMAND: Command =
    Command { name: "import", group: Group::Beyond, grammar, run: |invocation| Box::pin(run(invocation)) };

fn grammar(grammar: Grammar) -> Grammar {
    grammar
        .about("Puts the keys of a file that export wrote")
        .override_usage("<file>")
        .arg(flags::switch("leases", "Grant the leases of the file anew, for as long as they were granted"))
        .arg(flags::switch("dry-run", "Check the file, and write nothing"))
        .args(flags::positionals(&["file"]))
        .long_about(
            "Puts the keys of a file that export wrote (- for standard input). The whole file is checked first. Keys that are there \
             already are overwritten, others stay. Keys are put in transactions of up to 128: if one fails, those before stay, and the \
             same import can be run again.",
        )
        .after_help("quoratectl import app.ndjson\nquoratectl --endpoints old export /app/ | quoratectl import -")
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    lines::exactly_one(&invocation, "a file")?;
    let path = invocation.text_arguments().remove(0);
    let (head, records) =
        records::read(&file::read_text(&path)?).map_err(|why| Failure::error(format!("{path}: {why}")))?;
    let keys = text::plural(records.len() as u64, "key");
    if invocation.matches.is_on("dry-run") {
        return print::write_line(format!(
            "{keys} of revision {} (nothing was written: --dry-run)",
            head.revision
        ));
    }
    let session = lines::open(&invocation).await?;
    let leases = match invocation.matches.is_on("leases") {
        true => grant(&session, &records).await?,
        false => HashMap::new(),
    };
    let mut done = 0;
    for part in parts(&records) {
        put(&session, part, &leases).await.map_err(|failure| match done {
            0 => failure,
            _ => failure
                .with_hint(&format!("{done} of {} keys are written and stay; run it again", records.len())),
        })?;
        done += part.len();
    }
    print::write_line(format!("{keys} written"))
}

/// Grants each lease of the file anew. The server chooses the ids: those of the file may be in use.
async fn grant(session: &Session, records: &[Record]) -> Result<HashMap<i64, i64>, Failure> {
    let mut leases = HashMap::new();
    for (id, ttl) in records.iter().filter_map(|record| record.lease) {
        if leases.contains_key(&id) {
            continue;
        }
        let request = LeaseGrantRequest { ttl, id: 0 };
        let answer = session
            .call(|channel| async move { LeaseClient::new(channel).lease_grant(request).await })
            .await?;
        leases.insert(id, answer.id);
    }
    Ok(leases)
}

/// The records cut into transactions.
fn parts(records: &[Record]) -> impl Iterator<Item = &[Record]> {
    let bytes = |record: &Record| record.key.len() + record.value.len() + 32;
    let mut rest = records;
    std::iter::from_fn(move || {
        let (mut count, mut sum) = (0, 0);
        while let Some(record) = rest.get(count) {
            sum += bytes(record);
            if count == ROOM.operations || (sum > ROOM.bytes && count > 0) {
                break;
            }
            count += 1;
        }
        let (part, others) = rest.split_at(count);
        rest = others;
        (count > 0).then_some(part)
    })
}

async fn put(session: &Session, records: &[Record], leases: &HashMap<i64, i64>) -> Result<(), Failure> {
    let operation = |record: &Record| {
        let lease = record.lease.and_then(|(id, _)| leases.get(&id).copied()).unwrap_or_default();
        let (key, value) = (record.key.clone().into(), record.value.clone().into());
        RequestOp {
            request: Some(Request::RequestPut(PutRequest { key, value, lease, ..PutRequest::default() })),
        }
    };
    let txn = TxnRequest { success: records.iter().map(operation).collect(), ..TxnRequest::default() };
    session.answer(session.kv().txn(txn)).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_cut_by_number_and_bytes() {
        let record = |bytes| Record { key: b"k".to_vec(), value: vec![0; bytes], lease: None };
        let lengths = |records: &[Record]| parts(records).map(<[Record]>::len).collect::<Vec<_>>();
        assert_eq!(lengths(&[]), [0; 0]);
        assert_eq!(lengths(&vec![record(1); 129]), [128, 1]);
        assert_eq!(
            lengths(&[record(ROOM.bytes), record(1), record(ROOM.bytes / 2), record(ROOM.bytes / 2)]),
            [1, 2, 1]
        );
    }
}
