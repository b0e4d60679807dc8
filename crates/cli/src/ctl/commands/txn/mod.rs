//! `txn`: compares and requests from standard input, as one transaction.

use clap::Command as Grammar;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{Compare, RequestOp, TxnRequest};

use super::{Command, Group, del, get, put};
use crate::ctl::exit::{Exit, Failure};
use crate::ctl::flags::{self, Flags as _};
use crate::ctl::print::write_line;
use crate::ctl::{Invocation, input, words};

mod compare;

/// The command.
pub const COMMAND: Command =
    Command { name: "txn", group: Group::KeyValue, grammar, run: |invocation| Box::pin(run(invocation)) };

const ABOUT: &str =
    "Txn reads multiple etcd requests from standard input and applies them as a single atomic transaction.

A transaction consists of three components:
1) a list of conditions,
2) a list of requests to apply if all the conditions are true,
3) a list of requests to apply if any condition is false.

Example interactive stdin usage:

---
etcdctl txn -i
# compares:
mod(\"key1\") > \"0\"

# success requests (get, put, delete):
put key1 \"overwrote-key1\"

# failure requests (get, put, delete):
put key1 \"created-key1\"
put key2 \"some extra key\"
---

Refer to https://github.com/etcd-io/etcd/blob/main/etcdctl/README.md#txn-options.";

fn grammar(grammar: Grammar) -> Grammar {
    grammar
        .about("Txn processes all the requests in one transaction")
        .long_about(ABOUT)
        .override_usage("[options]")
        .arg(flags::switch("interactive", "Input transaction in interactive mode").short('i'))
        .args(flags::positionals(&[]))
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    if !invocation.text_arguments().is_empty() {
        return Err(Failure::arguments("txn command does not accept argument"));
    }
    let session = invocation.open().await?;
    let request = read_transaction(invocation.matches.is_on("interactive"), session.globals.hex())?;
    let answer = session.answer(session.kv().txn(request)).await?;
    session.print(&answer)
}

fn read_transaction(interactive: bool, hex: bool) -> Result<TxnRequest, Failure> {
    let prompt = |text: &str| if interactive { write_line(text) } else { Ok(()) };
    prompt("compares:")?;
    let compare = read_block(compare::parse)?;
    prompt("success requests (get, put, del):")?;
    let success = read_block(|line| parse_request(line, hex))?;
    prompt("failure requests (get, put, del):")?;
    let failure = read_block(|line| parse_request(line, hex))?;
    Ok(TxnRequest { compare, success, failure })
}

/// Reads lines up to an empty one.
fn read_block<T>(parse: impl Fn(&str) -> Result<T, Failure>) -> Result<Vec<T>, Failure> {
    let mut block = Vec::new();
    loop {
        let line = input::read_line()?;
        match line.trim() {
            "" => return Ok(block),
            line => block.push(parse(line)?),
        }
    }
}

/// Reads `put k v`, `get k` or `del k`, with the flags of these commands.
fn parse_request(line: &str, hex: bool) -> Result<RequestOp, Failure> {
    let words = words::split(line)?;
    if words.len() < 2 {
        return Err(invalid(format!("invalid txn compare request: {line}")));
    }
    let requests = Grammar::new("txn")
        .no_binary_name(true)
        .infer_subcommands(true)
        .args_override_self(true)
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .subcommand(put::grammar(Grammar::new("put")))
        .subcommand(get::grammar(Grammar::new("get")))
        .subcommand(del::grammar(Grammar::new("del")));
    let matches =
        requests.try_get_matches_from(words).map_err(|_| invalid(format!("invalid txn request: {line}")))?;
    let Some((name, matches)) = matches.subcommand() else {
        return Err(invalid(format!("invalid txn request: {line}")));
    };
    let arguments = crate::ctl::invocation::byte_arguments(matches, hex);
    let request = match name {
        "put" => Request::RequestPut(put::request(matches, arguments)?),
        "get" => Request::RequestRange(get::request(matches, arguments)?),
        _ => Request::RequestDeleteRange(del::request(matches, arguments)?),
    };
    Ok(RequestOp { request: Some(request) })
}

fn invalid(text: String) -> Failure {
    Failure::new(Exit::InvalidInput, text)
}

/// A compare as it is read.
type Compared = Result<Compare, Failure>;
