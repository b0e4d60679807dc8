//! `elect`: stands for election, or prints who is elected.

use std::os::unix::ffi::OsStrExt as _;

use bytes::Bytes;
use clap::Command as Grammar;
use client::recipes::Leadership;
use proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use proto::etcdserverpb::{RangeRequest, RangeResponse, ResponseHeader, WatchCreateRequest};
use proto::mvccpb::KeyValue;
use proto::mvccpb::event::EventType;

use super::{Command, Group};
use crate::ctl::Invocation;
use crate::ctl::claim::{Signals, Standing, refused};
use crate::ctl::connect::Session;
use crate::ctl::exit::Failure;
use crate::ctl::flags::{self, Flags as _};
use crate::ctl::range::prefix_end;
use crate::ctl::watching::{Notice, Watching};

/// The command.
pub const COMMAND: Command = Command {
    name: "elect",
    group: Group::Concurrency,
    grammar,
    run: |invocation| Box::pin(run(invocation)),
};

/// Seconds after which a candidate that is gone is out.
const TTL: i64 = 60;

const EXPIRED: &str = "elect: session expired";

fn grammar(grammar: Grammar) -> Grammar {
    grammar
        .about("Observes and participates in leader election")
        .override_usage("<election-name> [proposal]")
        .arg(flags::switch("listen", "observation mode").short('l'))
        .args(flags::positionals(&["election-name", "proposal"]))
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    let arguments = invocation.matches.positionals();
    let listens = invocation.matches.is_on("listen");
    let (name, proposal) = match arguments.as_slice() {
        [_] if !listens => return Err(Failure::arguments("no proposal argument but -l not set")),
        [_, _] if listens => return Err(Failure::arguments("proposal given but -l is set")),
        [name] => (name, None),
        [name, proposal] => (name, Some(proposal)),
        _ => {
            return Err(Failure::arguments(
                "elect takes one election name argument and an optional proposal argument",
            ));
        }
    };
    let session = invocation.open().await?;
    let mut signals = Signals::new()?;
    match proposal {
        Some(proposal) => {
            let proposal = Bytes::copy_from_slice(proposal.as_bytes());
            campaign(&session, name.as_bytes(), proposal, &mut signals).await
        }
        None => tokio::select! {
            () = signals.next() => Ok(()),
            observed = observe(&session, name.as_bytes()) => observed,
        },
    }
}

async fn campaign(
    session: &Session,
    name: &[u8],
    proposal: Bytes,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let standing = Standing::new(session, TTL).await?;
    let election = session.client.election(name);
    let elected = tokio::select! {
        () = signals.next() => Err(Failure::error("context canceled")),
        elected = election.campaign(&standing.recipes, proposal) => elected.map_err(|error| refused(&error, EXPIRED)),
    };
    let ended = match elected {
        Ok(leadership) => lead(session, &standing, &leadership, signals).await,
        Err(failure) => Err(failure),
    };
    let resigned = standing.end().await;
    ended.and(resigned)
}

/// Prints the key of the leader and stays it until a signal arrives.
async fn lead(
    session: &Session,
    standing: &Standing,
    leadership: &Leadership,
    signals: &mut Signals,
) -> Result<(), Failure> {
    session.print(&standing.read(leadership.key(), EXPIRED).await?)?;
    tokio::select! {
        () = signals.next() => Ok(()),
        why = leadership.lost() => Err(refused(&why, EXPIRED)),
    }
}

/// Prints the key of the leader whenever there is another one, or it proclaims something else.
async fn observe(session: &Session, name: &[u8]) -> Result<(), Failure> {
    let prefix = Bytes::from([name, b"/"].concat());
    loop {
        let leader = leader(session, &prefix).await?;
        let revision = leader.header.unwrap_or_default().revision;
        session.print(&leader)?;
        let Some(pair) = leader.kvs.into_iter().next() else { continue };
        follow(session, pair.key, revision + 1).await?;
    }
}

/// Waits until there is a leader, which is the oldest key.
async fn leader(session: &Session, prefix: &Bytes) -> Result<RangeResponse, Failure> {
    let oldest = RangeRequest {
        key: prefix.clone(),
        range_end: prefix_end(prefix),
        sort_order: SortOrder::Ascend.into(),
        sort_target: SortTarget::Create.into(),
        limit: 1,
        ..RangeRequest::default()
    };
    let answer = session.answer(session.kv().range(oldest)).await?;
    let revision = answer.header.unwrap_or_default().revision;
    if let Some(pair) = answer.kvs.into_iter().next() {
        return Ok(announced(answer.header, pair));
    }
    let mut watching = Watching::new(session.clone());
    watching.add(WatchCreateRequest {
        key: prefix.clone(),
        range_end: prefix_end(prefix),
        start_revision: revision,
        ..WatchCreateRequest::default()
    });
    loop {
        let (header, events) = next(&mut watching).await?;
        let first = events.into_iter().find(|(event, _)| *event == EventType::Put);
        if let Some((_, pair)) = first {
            return Ok(announced(at(header, &pair), pair));
        }
    }
}

/// Prints what a leader proclaims until it is gone.
async fn follow(session: &Session, key: Bytes, since: i64) -> Result<(), Failure> {
    let mut watching = Watching::new(session.clone());
    watching.add(WatchCreateRequest { key, start_revision: since, ..WatchCreateRequest::default() });
    loop {
        let (header, events) = next(&mut watching).await?;
        for (event, pair) in events {
            if event == EventType::Delete {
                return Ok(());
            }
            session.print(&announced(at(header, &pair), pair))?;
        }
    }
}

type Changes = (Option<ResponseHeader>, Vec<(EventType, KeyValue)>);

async fn next(watching: &mut Watching) -> Result<Changes, Failure> {
    match watching.next().await {
        Notice::Response(_, response) => {
            let events = response.events.into_iter();
            let events = events.map(|event| (event.r#type(), event.kv.unwrap_or_default()));
            Ok((response.header, events.collect()))
        }
        Notice::Refused(..) | Notice::Ended(_) => Err(Failure::error("elect: observer lost")),
    }
}

/// Returns a header at the revision of a change.
fn at(header: Option<ResponseHeader>, pair: &KeyValue) -> Option<ResponseHeader> {
    header.map(|header| ResponseHeader { revision: pair.mod_revision, ..header })
}

fn announced(header: Option<ResponseHeader>, pair: KeyValue) -> RangeResponse {
    RangeResponse { header, kvs: vec![pair], ..RangeResponse::default() }
}
