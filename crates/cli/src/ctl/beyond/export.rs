//! `export`: keys as lines of JSON, all at one revision.

use std::collections::HashMap;

use clap::Command as Grammar;
use proto::etcdserverpb::LeaseTimeToLiveRequest;
use proto::etcdserverpb::lease_client::LeaseClient;

use super::lines;
use super::pages::{Content, Pages};
use crate::beyond::records::{self, Head, Record};
use crate::ctl::commands::{Command, Group};
use crate::ctl::connect::Session;
use crate::ctl::exit::Failure;
use crate::ctl::flags::{self, Flags as _};
use crate::ctl::{Invocation, print};

/// The command.
pub const COMMAND: Command =
    Command { name: "export", group: Group::Beyond, grammar, run: |invocation| Box::pin(run(invocation)) };

fn grammar(grammar: Grammar) -> Grammar {
    grammar
        .about("Writes keys and values as lines of JSON, all at one revision")
        .override_usage("[prefix]")
        .arg(flags::number("rev", "Revision to read at; 0 is the newest"))
        .arg(flags::switch("leases", "Write the lease of each key and the seconds it was granted for"))
        .args(flags::positionals(&["prefix"]))
        .long_about(
            "Writes keys and values as lines of JSON, all at one revision. Bytes that are not UTF-8 are in Base64. The last line says \
             that the file is whole.",
        )
        .after_help("quoratectl export /app/ > app.ndjson\nquoratectl export | gzip > all.ndjson.gz")
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    let prefix = lines::at_most_one(&invocation)?.unwrap_or_default();
    let matches = &invocation.matches;
    let session = lines::open(&invocation).await?;
    let mut leases = matches.is_on("leases").then(|| Leases { session: &session, granted: HashMap::new() });
    let mut pages = Pages::of(&session, &prefix, matches.number("rev").max(0), Content::Values);
    let (mut keys, mut is_first) = (0, true);
    while let Some(page) = pages.next().await? {
        let mut text = String::new();
        if std::mem::take(&mut is_first) {
            text += &records::head_line(&Head { revision: pages.revision(), prefix: prefix.to_vec() });
        }
        for kv in page {
            let lease = match &mut leases {
                Some(leases) => leases.of(kv.lease).await?,
                None => None,
            };
            text += &records::record_line(&Record { key: kv.key.to_vec(), value: kv.value.to_vec(), lease });
            keys += 1;
        }
        print::write(text.as_bytes())?;
    }
    print::write(records::end_line(keys).as_bytes())
}

/// What leases were granted for, asked once each.
struct Leases<'a> {
    session: &'a Session,
    granted: HashMap<i64, i64>,
}

impl Leases<'_> {
    /// A lease and its seconds; `None` for no lease, and for one that ended since.
    async fn of(&mut self, id: i64) -> Result<Option<(i64, i64)>, Failure> {
        if id == 0 {
            return Ok(None);
        }
        let granted = match self.granted.get(&id) {
            Some(granted) => *granted,
            None => {
                let request = LeaseTimeToLiveRequest { id, keys: false };
                let call =
                    |channel| async move { LeaseClient::new(channel).lease_time_to_live(request).await };
                let granted = self.session.call(call).await?.granted_ttl;
                self.granted.insert(id, granted);
                granted
            }
        };
        Ok((granted > 0).then_some((id, granted)))
    }
}
