//! `put`: writes a key.

use std::io::Read as _;

use bytes::Bytes;
use clap::{ArgMatches, Command as Grammar};
use proto::etcdserverpb::PutRequest;

use super::{Command, Group};
use crate::ctl::Invocation;
use crate::ctl::exit::Failure;
use crate::ctl::flags::{self, Flags as _};
use crate::go::number::parse_hexadecimal;

/// The command.
pub const COMMAND: Command =
    Command { name: "put", group: Group::KeyValue, grammar, run: |invocation| Box::pin(run(invocation)) };

const ABOUT: &str = "
Puts the given key into the store.

When <value> begins with '-', <value> is interpreted as a flag.
Insert '--' for workaround:

$ put <key> -- <value>
$ put -- <key> <value>

If <value> isn't given as a command line argument and '--ignore-value' is not specified,
this command tries to read the value from standard input.

If <lease> isn't given as a command line argument and '--ignore-lease' is not specified,
this command tries to read the value from standard input.

For example,
$ cat file | put <key>
will store the content of the file to <key>.";

/// Too few arguments: in etcdctl's words.
const USAGE: &str = "put command needs 1 argument and input from stdin or 2 arguments";

/// Adds what `put` takes. Also for requests in a transaction.
pub fn grammar(grammar: Grammar) -> Grammar {
    grammar
        .about("Puts the given key into the store")
        .long_about(ABOUT)
        .override_usage("[options] <key> <value> (<value> can also be given from stdin)")
        .arg(flags::text("lease", "lease ID (in hexadecimal) to attach to the key (default \"0\")"))
        .arg(flags::switch("prev-kv", "return the previous key-value pair before modification"))
        .arg(flags::switch("ignore-value", "updates the key using its current value"))
        .arg(flags::switch("ignore-lease", "updates the key using its current lease"))
        .args(flags::positionals(&["key", "value"]))
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    let request = request(&invocation.matches, invocation.byte_arguments()?)?;
    let session = invocation.open().await?;
    let answer = session.answer(session.kv().put(request)).await?;
    session.print(&answer)
}

/// Returns the request of a line. A value that is not on the line is read from standard input.
///
/// # Errors
/// When the arguments make no sense.
pub fn request(matches: &ArgMatches, arguments: Vec<Bytes>) -> Result<PutRequest, Failure> {
    let mut arguments = arguments.into_iter();
    let ignore_value = matches.is_on("ignore-value");
    let (key, value) = (arguments.next().ok_or_else(|| Failure::arguments(USAGE))?, arguments.next());
    if ignore_value && value.is_some() {
        let text = "put command needs only 1 argument when 'ignore-value' is set";
        return Err(Failure::arguments(text));
    }
    let value = match value {
        _ if ignore_value => Bytes::new(),
        Some(value) => value,
        None => value_from_standard_input()?,
    };
    let lease = parse_hexadecimal(matches.text("lease").unwrap_or("0"))
        .map_err(|why| Failure::arguments(format!("bad lease ID ({why}), expecting ID in Hex")))?;
    Ok(PutRequest {
        key,
        value,
        lease,
        prev_kv: matches.is_on("prev-kv"),
        ignore_value,
        ignore_lease: matches.is_on("ignore-lease"),
    })
}

fn value_from_standard_input() -> Result<Bytes, Failure> {
    let mut value = Vec::new();
    match std::io::stdin().lock().read_to_end(&mut value) {
        Ok(_) if !value.is_empty() => Ok(value.into()),
        _ => Err(Failure::arguments(USAGE)),
    }
}
