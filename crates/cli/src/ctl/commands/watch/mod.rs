//! `watch`: prints the changes of keys as they happen, and runs a command for each.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use bytes::Bytes;
use clap::{Arg, ArgAction, ArgMatches, Command as Grammar, builder::OsStringValueParser};
use proto::etcdserverpb::{ResponseHeader, WatchCreateRequest, WatchResponse};

use super::{Command, Group};
use crate::ctl::exit::{Exit, Failure};
use crate::ctl::flags::{self, Flags as _};
use crate::ctl::print::write_line;
use crate::ctl::watching::{Notice, WatchIndex, Watching};
use crate::ctl::{Invocation, connect::Session, invocation, range};

mod child;
mod interactive;

/// The command.
pub const COMMAND: Command =
    Command { name: "watch", group: Group::KeyValue, grammar, run: |invocation| Box::pin(run(invocation)) };

const BAD_NUMBER: &str = "bad number of arguments";

/// What follows `--`.
const CHILD: &str = "exec-command";

fn grammar(grammar: Grammar) -> Grammar {
    let child = Arg::new(CHILD).last(true).num_args(0..).action(ArgAction::Append);
    grammar
        .about("Watches events stream on keys or prefixes")
        .override_usage("[options] [key or prefix] [range_end] [--] [exec-command arg1 arg2 ...]")
        .arg(flags::switch("interactive", "Interactive mode").short('i'))
        .arg(flags::switch("prefix", "Watch on a prefix if prefix is set"))
        .arg(flags::number("rev", "Revision to start watching"))
        .arg(flags::switch("prev-kv", "get the previous key-value pair before the event happens"))
        .arg(flags::switch("progress-notify", "get periodic watch progress notification from server"))
        .args(flags::positionals(&["key", "range_end"]))
        .arg(child.value_parser(OsStringValueParser::new()))
}

/// The key and range end of the environment, which stand for arguments.
#[derive(Clone, Debug, Default)]
struct Variables {
    key: Bytes,
    range_end: Bytes,
}

impl Variables {
    fn read() -> Result<Variables, Failure> {
        let read = |name| Bytes::from(std::env::var_os(name).unwrap_or_default().into_vec());
        let variables =
            Variables { key: read("ETCDCTL_WATCH_KEY"), range_end: read("ETCDCTL_WATCH_RANGE_END") };
        if variables.key.is_empty() && !variables.range_end.is_empty() {
            let end = crate::go::quote::quote(&variables.range_end);
            let text = format!("ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END={end}");
            return Err(Failure::arguments(text));
        }
        Ok(variables)
    }
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    let variables = Variables::read()?;
    if invocation.matches.is_on("interactive") {
        return interactive::run(&invocation, variables).await;
    }
    let child = child_of(&invocation.matches);
    if child.is_empty() && invocation.words.last().is_some_and(|word| word == "--") {
        return Err(Failure::arguments("bad number of arguments (found separator --, but no commands)"));
    }
    let arguments = arguments(invocation.byte_arguments()?, &variables)?;
    let request = request(&invocation.matches, arguments).map_err(Failure::arguments)?;
    let session = invocation.open().await?;
    let mut watching = Watching::new(session.clone());
    watching.add(request);
    while let Some((_, response)) = next(&session, &mut watching).await? {
        child::run_for_each(&child, &response).await?;
    }
    Err(Failure::new(Exit::Interrupted, "watch is canceled by the server"))
}

fn child_of(matches: &ArgMatches) -> Vec<OsString> {
    matches.get_many(CHILD).into_iter().flatten().cloned().collect()
}

/// Returns key and range end, which are on the line or in the environment.
fn arguments(given: Vec<Bytes>, variables: &Variables) -> Result<Vec<Bytes>, Failure> {
    if variables.key.is_empty() {
        return Ok(given);
    }
    if !given.is_empty() {
        return Err(Failure::arguments("bad number of arguments (found conflicting environment key)"));
    }
    let both = [variables.key.clone(), variables.range_end.clone()];
    Ok(both.into_iter().filter(|argument| !argument.is_empty()).collect())
}

fn request(matches: &ArgMatches, arguments: Vec<Bytes>) -> Result<WatchCreateRequest, &'static str> {
    if arguments.is_empty() || arguments.len() > 2 {
        return Err(BAD_NUMBER);
    }
    let is_prefix = matches.is_on("prefix");
    if is_prefix && arguments.len() == 2 {
        return Err("`range_end` and `--prefix` are mutually exclusive");
    }
    let mut arguments = arguments.into_iter();
    let (key, range_end) = (arguments.next().unwrap_or_default(), arguments.next().unwrap_or_default());
    let (key, range_end) = match is_prefix {
        true if key.is_empty() => (range::ZERO, range::ZERO),
        true => (key.clone(), range::prefix_end(&key)),
        false => (key, range_end),
    };
    Ok(WatchCreateRequest {
        key,
        range_end,
        start_revision: matches.number("rev"),
        prev_kv: matches.is_on("prev-kv"),
        progress_notify: matches.is_on("progress-notify"),
        ..WatchCreateRequest::default()
    })
}

/// Waits for the next response to a watch, and prints it. Returns `None` when a watch has ended.
async fn next(
    session: &Session,
    watching: &mut Watching,
) -> Result<Option<(WatchIndex, WatchResponse)>, Failure> {
    match watching.next().await {
        Notice::Response(watch, response) => {
            show(session, &response)?;
            Ok(Some((watch, response)))
        }
        Notice::Refused(_, why) => {
            refused(session, &why)?;
            Ok(None)
        }
        Notice::Ended(_) => Ok(None),
    }
}

fn refused(session: &Session, why: &str) -> Result<(), Failure> {
    eprintln!("watch was canceled ({why})");
    let header = Some(ResponseHeader::default());
    session.print(&WatchResponse { header, canceled: true, ..WatchResponse::default() })
}

fn show(session: &Session, response: &WatchResponse) -> Result<(), Failure> {
    if response.canceled {
        eprintln!("watch was canceled (etcdserver: mvcc: required revision has been compacted)");
    }
    if response.events.is_empty() && !response.canceled {
        let revision = response.header.unwrap_or_default().revision;
        write_line(format_args!("progress notify: {revision}"))?;
    }
    session.print(response)
}
