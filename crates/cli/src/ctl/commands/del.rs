//! `del`: removes a key or a range of keys.

use std::time::Duration;

use bytes::Bytes;
use clap::{ArgMatches, Command as Grammar};
use proto::etcdserverpb::DeleteRangeRequest;

use super::{Command, Group};
use crate::ctl::exit::Failure;
use crate::ctl::flags::{self, Flags as _};
use crate::ctl::print::note;
use crate::ctl::{Invocation, range};
use crate::go::quote::quote;

/// The command.
pub const COMMAND: Command =
    Command { name: "del", group: Group::KeyValue, grammar, run: |invocation| Box::pin(run(invocation)) };

/// The time in which somebody may think again who gave a range, and not `--range`.
const PAUSE: Duration = Duration::from_secs(2);

/// Adds what `del` takes. Also for requests in a transaction.
pub fn grammar(grammar: Grammar) -> Grammar {
    grammar
        .about("Removes the specified key or range of keys [key, range_end)")
        .override_usage("[options] <key> [range_end]")
        .arg(flags::switch("prefix", "delete keys with matching prefix"))
        .arg(flags::switch("prev-kv", "return deleted key-value pairs"))
        .arg(flags::switch(
            "from-key",
            "delete keys that are greater than or equal to the given key using byte compare",
        ))
        .arg(flags::switch("range", "delete range of keys"))
        .args(flags::positionals(&["key", "range_end"]))
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    let request = request(&invocation.matches, invocation.byte_arguments()?)?;
    let session = invocation.open().await?;
    let answer = session.answer(session.kv().delete_range(request)).await?;
    session.print(&answer)
}

/// Returns the request of a line. Pauses, with a warning, when a range is given and `--range` is not.
///
/// # Errors
/// When the arguments make no sense.
pub fn request(matches: &ArgMatches, arguments: Vec<Bytes>) -> Result<DeleteRangeRequest, Failure> {
    if arguments.is_empty() || arguments.len() > 2 {
        return Err(Failure::arguments(
            "del command needs one argument as key and an optional argument as range_end",
        ));
    }
    range::refuse_both(matches)?;
    range::refuse_range_end(matches, &arguments)?;
    if let [key, end] = arguments.as_slice()
        && !matches.is_on("range")
    {
        pause(key, end);
    }
    let (key, range_end) = range::of(matches, arguments);
    Ok(DeleteRangeRequest { key, range_end, prev_kv: matches.is_on("prev-kv") })
}

fn pause(key: &[u8], end: &[u8]) {
    note(format_args!(
        "Warning: Keys between {} and {} will be deleted. Please interrupt the command within next 2 seconds to \
         cancel. You can provide `--range` flag to avoid the delay.",
        quote(key),
        quote(end)
    ));
    std::thread::sleep(PAUSE);
}
