//! `endpoint`: how each endpoint is.

use std::io::Write as _;
use std::time::Instant;

use bytes::Bytes;
use clap::Command as Grammar;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use proto::etcdserverpb::{
    AlarmRequest, AlarmResponse, AlarmType, HashKvRequest, RangeRequest, StatusRequest,
};

use super::{Command, Group};
use crate::ctl::connect::Session;
use crate::ctl::exit::{Exit, Failure};
use crate::ctl::flags::{self, Flags as _};
use crate::ctl::print::Format;
use crate::ctl::print::endpoint::{Endpoints, Hash, Health, Status};
use crate::ctl::{Invocation, endpoints};
use crate::go::duration::print_duration;

/// The command.
pub const COMMAND: Command = Command {
    name: "endpoint",
    group: Group::Maintenance,
    grammar,
    run: |invocation| Box::pin(run(invocation)),
};

const STATUS: &str = "\
When --write-out is set to simple, this command prints out comma-separated status lists for each endpoint.
The items in the lists are endpoint, ID, version, db size, is leader, is learner, raft term, raft index, raft applied index, errors.";

/// The key that is read to see whether an endpoint commits. Whether it exists does not matter.
const HEALTH_KEY: Bytes = Bytes::from_static(b"health");

/// The server has decided: it is up.
const PERMISSION_DENIED: &str = "etcdserver: permission denied";

fn grammar(grammar: Grammar) -> Grammar {
    let leaf = |name, about| flags::leaf(name, about, "", &[]);
    grammar
        .about("Endpoint related commands. Use `etcdctl endpoint --help` to see subcommands")
        .long_about("Endpoint related commands")
        .arg(endpoints::cluster_flag().global(true))
        .subcommand(leaf("health", "Checks the healthiness of endpoints specified in `--endpoints` flag"))
        .subcommand(
            leaf("status", "Prints out the status of endpoints specified in `--endpoints` flag")
                .long_about(STATUS),
        )
        .subcommand(
            leaf("hashkv", "Prints the KV history hash for each endpoint in --endpoints")
                .arg(flags::number("rev", "maximum revision to hash (default: latest revision)")),
        )
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    let session = invocation.open().await?;
    let endpoints = endpoints::of(&session, &invocation.matches).await?;
    match invocation.name() {
        "health" => health(&session, &endpoints).await,
        "hashkv" => hash(&session, &endpoints, invocation.matches.number("rev")).await,
        _ => status(&session, &endpoints).await,
    }
}

/// Asks all at once, and prints them as they answered.
async fn health(session: &Session, endpoints: &[String]) -> Result<(), Failure> {
    let asked: FuturesUnordered<_> = endpoints.iter().map(|endpoint| health_of(session, endpoint)).collect();
    let answered = Endpoints(asked.collect::<Vec<_>>().await);
    let unhealthy: Vec<&Health> = answered.0.iter().filter(|health| !health.error.is_empty()).collect();
    session.print(&answered)?;
    if unhealthy.is_empty() {
        return Ok(());
    }
    if session.printer.format == Format::Simple {
        unhealthy.into_iter().for_each(|health| say(&health.line()));
    }
    Err(Failure::error("unhealthy cluster"))
}

async fn health_of(session: &Session, endpoint: &str) -> Health {
    let start = Instant::now();
    let request = RangeRequest { key: HEALTH_KEY, ..RangeRequest::default() };
    let read =
        endpoints::ask(
            session,
            endpoint,
            |channel| async move { KvClient::new(channel).range(request).await },
        );
    let error = error_of(read.await.err());
    let took = print_duration(start.elapsed());
    let error = if error.is_empty() { alarms_of(session, endpoint).await } else { error };
    Health { endpoint: endpoint.to_owned(), healthy: error.is_empty(), took, error }
}

/// Returns what is wrong with an endpoint that failed to commit.
fn error_of(failure: Option<Failure>) -> String {
    let text = failure.map(|failure| failure.text.unwrap_or_default()).unwrap_or_default();
    if text.starts_with(PERMISSION_DENIED) { String::new() } else { text }
}

/// Returns what alarms there are, as the text of an error.
async fn alarms_of(session: &Session, endpoint: &str) -> String {
    let request = AlarmRequest::default();
    let answer = endpoints::ask(session, endpoint, |channel| async move {
        MaintenanceClient::new(channel).alarm(request).await
    });
    answer.await.map_or_else(|_| "Unable to fetch the alarm list".to_owned(), |answer| alarm_text(&answer))
}

fn alarm_text(answer: &AlarmResponse) -> String {
    let name = |kind| match AlarmType::try_from(kind) {
        Ok(AlarmType::Nospace) => "NOSPACE ",
        Ok(AlarmType::Corrupt) => "CORRUPT ",
        _ => "UNKNOWN ",
    };
    let names: String = answer.alarms.iter().map(|alarm| name(alarm.alarm)).collect();
    if names.is_empty() { names } else { format!("Active Alarm(s): {names}") }
}

async fn status(session: &Session, endpoints: &[String]) -> Result<(), Failure> {
    let mut answered = Vec::new();
    for endpoint in endpoints {
        let request = StatusRequest::default();
        let answer = endpoints::ask(session, endpoint, |channel| async move {
            MaintenanceClient::new(channel).status(request).await
        });
        match answer.await {
            Ok(answer) => answered.push(Status { endpoint: endpoint.clone(), answer }),
            Err(failure) => say_failed("status", endpoint, &failure),
        }
    }
    let failed = answered.len() < endpoints.len();
    session.print(&Endpoints(answered))?;
    if failed { Err(Failure::silent(Exit::Error)) } else { Ok(()) }
}

async fn hash(session: &Session, endpoints: &[String], revision: i64) -> Result<(), Failure> {
    let (mut answered, mut failed) = (Vec::new(), None);
    for endpoint in endpoints {
        let request = HashKvRequest { revision };
        let answer = endpoints::ask(session, endpoint, |channel| async move {
            MaintenanceClient::new(channel).hash_kv(request).await
        });
        match answer.await {
            Ok(answer) => answered.push(Hash { endpoint: endpoint.clone(), answer }),
            Err(failure) => {
                say_failed("hash", endpoint, &failure);
                failed = Some(failure);
            }
        }
    }
    session.print(&Endpoints(answered))?;
    failed.map_or(Ok(()), |failure| Err(failure.under(Exit::Error)))
}

fn say_failed(what: &str, endpoint: &str, failure: &Failure) {
    let text = failure.text.as_deref().unwrap_or_default();
    say(&format!("Failed to get the {what} of endpoint {endpoint} ({text})"));
}

fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use proto::etcdserverpb::AlarmMember;

    use super::*;

    #[test]
    fn an_endpoint_that_refuses_to_show_a_key_is_up() {
        assert_eq!(error_of(None), "");
        assert_eq!(error_of(Some(Failure::error("etcdserver: permission denied (ask for a role)"))), "");
        assert_eq!(error_of(Some(Failure::error("context deadline exceeded"))), "context deadline exceeded");
    }

    #[test]
    fn alarms_are_named() {
        let alarms = [1, 2, 7].map(|alarm| AlarmMember { member_id: 1, alarm }).to_vec();
        assert_eq!(alarm_text(&AlarmResponse::default()), "");
        assert_eq!(
            alarm_text(&AlarmResponse { header: None, alarms }),
            "Active Alarm(s): NOSPACE CORRUPT UNKNOWN "
        );
    }
}
