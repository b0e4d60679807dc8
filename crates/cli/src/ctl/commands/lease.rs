//! `lease grant`, `revoke`, `timetolive`, `list`, `keep-alive`.

use std::time::Duration;

use clap::Command as Grammar;
use client::Renewal;
use proto::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveResponse, LeaseLeasesRequest, LeaseRevokeRequest,
    LeaseTimeToLiveRequest, ResponseHeader,
};

use super::{Command, Group};
use crate::ctl::Invocation;
use crate::ctl::connect::Session;
use crate::ctl::exit::{Exit, Failure};
use crate::ctl::flags::{self, Flags as _};
use crate::ctl::print::lease::{Revoked, TimeToLive};
use crate::ctl::print::{Format, write_line};
use crate::ctl::refusal;
use crate::go::number::{parse_decimal, parse_hexadecimal};

/// The command.
pub const COMMAND: Command = Command {
    name: "lease",
    group: Group::KeyValue,
    grammar,
    run: |invocation| {
        Box::pin(async move {
            match invocation.name() {
                "grant" => grant(invocation).await,
                "revoke" => revoke(invocation).await,
                "timetolive" => time_to_live(invocation).await,
                "list" => list(invocation).await,
                _ => keep_alive(invocation).await,
            }
        })
    },
};

fn grammar(grammar: Grammar) -> Grammar {
    let with_id = |name, about| Grammar::new(name).about(about).args(flags::positionals(&["leaseID"]));
    grammar
        .about("Lease related commands. Use `etcdctl lease --help` to see subcommands")
        .long_about("Lease related commands")
        .subcommand(
            Grammar::new("grant")
                .about("Creates leases")
                .override_usage("<ttl>")
                .args(flags::positionals(&["ttl"])),
        )
        .subcommand(with_id("revoke", "Revokes leases").override_usage("<leaseID>"))
        .subcommand(
            with_id("timetolive", "Get lease information")
                .override_usage("<leaseID> [options]")
                .arg(flags::switch("keys", "Get keys attached to this lease")),
        )
        .subcommand(Grammar::new("list").about("List all active leases").override_usage(""))
        .subcommand(
            with_id("keep-alive", "Keeps leases alive (renew)").override_usage("[options] <leaseID>").arg(
                flags::switch(
                    "once",
                    "Resets the keep-alive time to its original value and cobrautl.Exits immediately",
                ),
            ),
        )
}

async fn grant(invocation: Invocation) -> Result<(), Failure> {
    let ttl = only_argument(&invocation, "lease grant command needs TTL argument")?;
    let ttl = parse_decimal(&ttl).map_err(|why| Failure::arguments(format!("bad TTL ({why})")))?;
    let request = LeaseGrantRequest { ttl, ..LeaseGrantRequest::default() };
    let session = invocation.open().await?;
    let answer = session.answer(session.leases().lease_grant(request)).await;
    let answer = answer.map_err(|failure| failure.within("failed to grant lease"))?;
    session.print(&answer)
}

async fn revoke(invocation: Invocation) -> Result<(), Failure> {
    let id = lease_id(&only_argument(&invocation, "lease revoke command needs 1 argument")?)?;
    let session = invocation.open().await?;
    let request = LeaseRevokeRequest { id };
    let answer = session.answer(session.leases().lease_revoke(request)).await;
    let answer = answer.map_err(|failure| failure.within("failed to revoke lease"))?;
    session.print(&Revoked { id, answer })
}

async fn time_to_live(invocation: Invocation) -> Result<(), Failure> {
    let id = lease_id(&only_argument(&invocation, "lease timetolive command needs lease ID as argument")?)?;
    let with_keys = invocation.matches.is_on("keys");
    let request = LeaseTimeToLiveRequest { id, keys: with_keys };
    let session = invocation.open().await?;
    let answer = session.answer(session.leases().lease_time_to_live(request)).await;
    let answer = answer.map_err(|failure| failure.under(Exit::BadConnection))?;
    session.print(&TimeToLive { with_keys, answer })
}

async fn list(invocation: Invocation) -> Result<(), Failure> {
    let session = invocation.open().await?;
    let request = LeaseLeasesRequest {};
    let answer = session.answer(session.leases().lease_leases(request)).await;
    session.print(&answer.map_err(|failure| failure.under(Exit::BadConnection))?)
}

async fn keep_alive(invocation: Invocation) -> Result<(), Failure> {
    let id = lease_id(&only_argument(&invocation, "lease keep-alive command needs lease ID as argument")?)?;
    let session = invocation.open().await?;
    let limit = session.globals.command_timeout();
    if invocation.matches.is_on("once") {
        let renewed = within(limit, &session, session.client.keep_alive_once(id)).await?;
        return match renewed {
            Some(renewal) => session.print(&answer_of(&renewal)),
            None => Err(Failure::new(Exit::BadConnection, "etcdserver: requested lease not found")),
        };
    }
    if let Some(mut lease) = within(limit, &session, session.client.keep_alive(id)).await? {
        while let Some(renewal) = lease.renewed().await {
            session.print(&answer_of(&renewal))?;
        }
    }
    if session.printer.format == Format::Simple {
        write_line(format_args!("lease {id:016x} expired or revoked."))?;
    }
    Ok(())
}

/// Awaits a first renewal for at most `limit`. `None`: there is no such lease.
async fn within<T>(
    limit: Duration,
    session: &Session,
    renewal: impl Future<Output = Result<T, client::Error>>,
) -> Result<Option<T>, Failure> {
    let failure = match tokio::time::timeout(limit, renewal).await {
        Ok(Ok(renewed)) => return Ok(Some(renewed)),
        Ok(Err(client::Error::LeaseLost(_))) => return Ok(None),
        Ok(Err(error)) => refusal::of_error(&error),
        Err(_) => session.deadline_exceeded(),
    };
    Err(failure.under(Exit::BadConnection))
}

/// Returns a renewal as the server's answer that it came from.
fn answer_of(renewal: &Renewal) -> LeaseKeepAliveResponse {
    let client::Header { cluster, member, revision, raft_term } = renewal.header;
    let header =
        ResponseHeader { cluster_id: cluster.0, member_id: member.0, revision: revision.0, raft_term };
    let ttl = i64::try_from(renewal.ttl.as_secs()).unwrap_or(i64::MAX);
    LeaseKeepAliveResponse { header: Some(header), id: renewal.id.0, ttl }
}

fn only_argument(invocation: &Invocation, otherwise: &str) -> Result<String, Failure> {
    let arguments = invocation.text_arguments();
    let [argument] = <[String; 1]>::try_from(arguments).map_err(|_| Failure::arguments(otherwise))?;
    Ok(argument)
}

fn lease_id(text: &str) -> Result<i64, Failure> {
    let explain = |why| Failure::arguments(format!("bad lease ID arg ({why}), expecting ID in Hex"));
    parse_hexadecimal(text).map_err(explain)
}
