//! `doctor`: looks at a cluster as an expert would.

use std::time::Duration;

use clap::Command as Grammar;
use futures_util::future::join_all;
use proto::etcdserverpb::StatusResponse;

use super::lines::Colour;
use super::pages::{Content, Pages};
use super::{http, lines, members};
use crate::beyond::doctor::{
    BigKey, Certificate, ClusterFacts, EndpointFacts, Finding, Level, MemberFacts, StatusFacts, examine,
    summary,
};
use crate::beyond::metrics::Metrics;
use crate::beyond::text;
use crate::ctl::Invocation;
use crate::ctl::commands::{Command, Group};
use crate::ctl::connect::Session;
use crate::ctl::exit::{Exit, Failure};
use crate::ctl::flags::{self, Flags as _};

/// The command.
pub const COMMAND: Command =
    Command { name: "doctor", group: Group::Beyond, grammar, run: |invocation| Box::pin(run(invocation)) };

/// How many keys are read in search of big ones, unless `--keys` says otherwise.
const KEYS: u64 = 10_000;

/// How many bytes are read for it.
const KEY_BYTES_MAX: u64 = 256 * 1024 * 1024;

const METRICS_LIMIT: Duration = Duration::from_secs(2);

fn grammar(grammar: Grammar) -> Grammar {
    grammar
        .about("Looks at the cluster as an expert would, and says what to do: one line for each check")
        .override_usage("")
        .arg(flags::number("keys", "Keys that are read in search of big ones; 0 for none (default 10000)"))
        .args(flags::positionals(&[]))
        .long_about(
            "Looks at the cluster as an expert would, and says what to do: one line for each check. `ok` needs nothing, `?` could not be \
             looked at, `warn` may become a problem, `FAIL` is one. Ends with 1 if there is a FAIL, else with 0. Every member of the \
             cluster is asked, whatever --endpoints says.",
        )
        .after_help("quoratectl doctor\nquoratectl doctor || page-somebody")
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    if let Some(surplus) = invocation.text_arguments().first() {
        return Err(Failure::arguments(format!("doctor takes no argument {surplus:?}")));
    }
    let keys = match invocation.matches.contains_id("keys") {
        true => u64::try_from(invocation.matches.number("keys")).unwrap_or_default(),
        false => KEYS,
    };
    let session = lines::open(&invocation).await?;
    let findings = examine(&collect(&session, keys).await);
    let shown: Vec<String> = findings.iter().map(Finding::line).chain([summary(&findings)]).collect();
    lines::write_coloured(&shown, |line| of_finding(&findings, line))?;
    match findings.iter().any(|finding| finding.level == Level::Problem) {
        true => Err(Failure::silent(Exit::Error)),
        false => Ok(()),
    }
}

fn of_finding(findings: &[Finding], line: &str) -> Option<Colour> {
    let finding = findings.iter().find(|finding| finding.line() == line)?;
    match finding.level {
        Level::Fine => Some(Colour::Green),
        Level::Unknown => Some(Colour::Dim),
        Level::Warning => Some(Colour::Yellow),
        Level::Problem => Some(Colour::Red),
    }
}

async fn collect(session: &Session, keys: u64) -> ClusterFacts {
    let members = members::list(session).await.map(|(members, _)| members).unwrap_or_default();
    let listed: Vec<String> = members.iter().flat_map(|member| member.client_ur_ls.clone()).collect();
    let addresses = if listed.is_empty() { session.globals.endpoints() } else { listed };
    let endpoints = join_all(addresses.iter().map(|address| endpoint(session, address))).await;
    let is_anyone_there = endpoints.iter().any(|endpoint| endpoint.answered().is_some());
    let mut facts = ClusterFacts {
        members: members
            .into_iter()
            .map(|member| MemberFacts { id: member.id, name: member.name, is_learner: member.is_learner })
            .collect(),
        endpoints,
        ..ClusterFacts::default()
    };
    if is_anyone_there {
        facts.alarms = members::alarms(session).await.ok();
        if let (1.., Ok((big_keys, seen))) = (keys, big_keys(session, keys).await) {
            (facts.big_keys, facts.keys_seen) = (Some(big_keys), seen);
        }
    }
    facts
}

async fn endpoint(session: &Session, address: &str) -> EndpointFacts {
    let status = members::status(session, address);
    let answer = http::get(&session.globals, address, "/metrics", METRICS_LIMIT);
    let (status, answer) = tokio::join!(status, answer);
    let answer = answer.ok();
    let metrics =
        answer.as_ref().filter(|answer| answer.status == 200).map(|answer| Metrics::parse(&answer.body));
    let status = match status {
        Ok(status) => Ok(said(status, metrics.as_ref())),
        Err(failure) => Err(failure.text.unwrap_or_else(|| "no answer".to_owned())),
    };
    let expires_in_seconds = answer.as_ref().and_then(|answer| answer.expires_in_seconds);
    EndpointFacts {
        address: address.to_owned(),
        status: Some(status),
        clock_ahead_ms: answer.as_ref().and_then(|answer| answer.clock_ahead_ms),
        clock_error: answer.as_ref().map(|answer| answer.clock_error).unwrap_or_default(),
        metrics,
        certificate: expires_in_seconds.map(|expires_in_seconds| Certificate { expires_in_seconds }),
    }
}

fn said(status: StatusResponse, metrics: Option<&Metrics>) -> StatusFacts {
    let header = status.header.unwrap_or_default();
    // Before 3.6, only metrics say it.
    let quota = metrics.and_then(|metrics| metrics.value("etcd_server_quota_backend_bytes"));
    let db_size_quota = match status.db_size_quota.unsigned_abs() {
        0 => quota.unwrap_or_default() as u64,
        quota => quota,
    };
    StatusFacts {
        member_id: header.member_id,
        revision: header.revision,
        version: status.version,
        leader: status.leader,
        is_learner: status.is_learner,
        raft_term: status.raft_term,
        raft_index: status.raft_index,
        raft_applied_index: status.raft_applied_index,
        db_size: status.db_size.unsigned_abs(),
        db_size_in_use: status.db_size_in_use.unsigned_abs(),
        db_size_quota,
        errors: status.errors,
    }
}

/// The biggest key among the first so many, how many were looked at, and how many there are.
async fn big_keys(session: &Session, most: u64) -> Result<(Vec<BigKey>, (u64, u64)), Failure> {
    let mut pages = Pages::of(session, b"", 0, Content::Values);
    let (mut biggest, mut seen, mut bytes) = (None::<BigKey>, 0, 0);
    while seen < most && bytes < KEY_BYTES_MAX {
        let Some(page) = pages.next().await? else { break };
        for kv in page {
            let size = (kv.key.len() + kv.value.len()) as u64;
            seen += 1;
            bytes += size;
            if biggest.as_ref().is_none_or(|big| big.bytes < size) {
                biggest = Some(BigKey { key: text::key(&kv.key).into_owned(), bytes: size });
            }
        }
    }
    Ok((biggest.into_iter().collect(), (seen, pages.count().unsigned_abs())))
}
