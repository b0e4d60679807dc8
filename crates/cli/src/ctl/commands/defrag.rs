//! `defrag`: gives the space that is not used back, on each endpoint.

use std::io::Write as _;
use std::time::Instant;

use clap::Command as Grammar;
use proto::etcdserverpb::DefragmentRequest;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;

use super::{Command, Group};
use crate::ctl::connect::Session;
use crate::ctl::exit::{Exit, Failure};
use crate::ctl::print::write_line;
use crate::ctl::{Invocation, endpoints, flags, progress};
use crate::go::duration::print_duration;

/// The command.
pub const COMMAND: Command = Command {
    name: "defrag",
    group: Group::Maintenance,
    grammar,
    run: |invocation| Box::pin(run(invocation)),
};

fn grammar(grammar: Grammar) -> Grammar {
    grammar
        .about("Defragments the storage of the etcd members with given endpoints")
        .override_usage("")
        .arg(endpoints::cluster_flag())
        .args(flags::positionals(&[]))
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    let session = invocation.open().await?;
    let endpoints = endpoints::of(&session, &invocation.matches).await?;
    let bar = progress::steps("Defragmenting", endpoints.len() as u64);
    let mut failed = false;
    for endpoint in &endpoints {
        let said = defragment(&session, endpoint).await;
        bar.suspend(|| match &said {
            Ok(line) => write_line(line),
            Err(line) => Ok(writeln!(std::io::stderr(), "{line}")?),
        })?;
        failed |= said.is_err();
        bar.inc(1);
    }
    bar.finish_and_clear();
    if failed { Err(Failure::silent(Exit::Error)) } else { Ok(()) }
}

/// Returns the line about an endpoint: for standard output, or for standard error when it failed.
async fn defragment(session: &Session, endpoint: &str) -> Result<String, String> {
    let start = Instant::now();
    let request = DefragmentRequest::default();
    let answer = endpoints::ask(session, endpoint, |channel| async move {
        MaintenanceClient::new(channel).defragment(request).await
    });
    let answer = answer.await;
    let took = print_duration(start.elapsed());
    match answer {
        Ok(_) => Ok(format!("Finished defragmenting etcd member[{endpoint}]. took {took}")),
        Err(failure) => {
            let text = failure.text.unwrap_or_default();
            Err(format!("Failed to defragment etcd member[{endpoint}]. took {took}. ({text})"))
        }
    }
}
