//! `get`: reads a key or a range of keys.

use bytes::Bytes;
use clap::{ArgMatches, Command as Grammar};
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use proto::etcdserverpb::{RangeRequest, RangeResponse};
use tonic::{Response, Status};

use super::{Command, Group};
use crate::ctl::beyond::decoded;
use crate::ctl::connect::Channel;
use crate::ctl::exit::{Exit, Failure};
use crate::ctl::flags::{self, Flags as _};
use crate::ctl::print::Format;
use crate::ctl::{Invocation, range};

/// The command.
pub const COMMAND: Command =
    Command { name: "get", group: Group::KeyValue, grammar, run: |invocation| Box::pin(run(invocation)) };

/// Adds what `get` takes. Also for requests in a transaction.
pub fn grammar(grammar: Grammar) -> Grammar {
    grammar
        .about("Gets the key or a range of keys")
        .override_usage("[options] <key> [range_end]")
        .arg(flags::text("consistency", "Linearizable(l) or Serializable(s) (default \"l\")"))
        .arg(flags::text("order", "Order of results; ASCEND or DESCEND (ASCEND by default)"))
        .arg(flags::text("sort-by", "Sort target; CREATE, KEY, MODIFY, VALUE, or VERSION"))
        .arg(flags::number("limit", "Maximum number of results"))
        .arg(flags::switch("prefix", "Get keys with matching prefix"))
        .arg(flags::switch(
            "from-key",
            "Get keys that are greater than or equal to the given key using byte compare",
        ))
        .arg(flags::number("rev", "Specify the kv revision"))
        .arg(flags::switch("keys-only", "Get only the keys"))
        .arg(flags::switch("count-only", "Get only the count"))
        .arg(flags::switch("print-value-only", "Only write values when using the \"simple\" output format"))
        .arg(flags::number("min-create-rev", "Minimum create revision"))
        .arg(flags::number("max-create-rev", "Maximum create revision"))
        .arg(flags::number("min-mod-rev", "Minimum modification revision"))
        .arg(flags::number("max-mod-rev", "Maximum modification revision"))
        .arg(flags::switch("stream", "Use the RangeStream RPC"))
        .args(flags::positionals(&["key", "range_end"]))
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    let matches = &invocation.matches;
    let request = request(matches, invocation.byte_arguments()?)?;
    let decoded = decoded::form(invocation.globals()?.text("write-out")).filter(|_| !invocation.is_etcdctl());
    let mut session = match decoded {
        Some(_) => invocation.open_for_lines().await?,
        None => invocation.open().await?,
    };
    let answer = match matches.is_on("stream") {
        true => session.answer(streamed(session.kv(), request)).await?,
        false => session.answer(session.kv().range(request)).await?,
    };
    if let Some(form) = decoded {
        return decoded::write(form, &answer);
    }
    // As etcdctl, which finds fault with these when it has the answer.
    if matches.is_on("count-only") && session.printer.format != Format::Fields {
        return Err(Failure::arguments("--count-only is only for `--write-out=fields`"));
    }
    if matches.is_on("print-value-only") {
        if session.printer.format != Format::Simple {
            return Err(Failure::arguments("print-value-only is only for `--write-out=simple`"));
        }
        session.printer.value_only = true;
    }
    session.print(&answer)
}

/// Reads a range as a stream and puts its parts together: header, `more` and `count` are in one of them.
async fn streamed(
    mut kv: KvClient<Channel>,
    request: RangeRequest,
) -> Result<Response<RangeResponse>, Status> {
    let mut parts = kv.range_stream(request).await?.into_inner();
    let mut whole = RangeResponse::default();
    while let Some(part) = parts.message().await? {
        let Some(part) = part.range_response else { continue };
        whole.header = part.header.or(whole.header);
        whole.kvs.extend(part.kvs);
        whole.more |= part.more;
        whole.count += part.count;
    }
    Ok(Response::new(whole))
}

/// Returns the request of a line.
///
/// # Errors
/// When the arguments make no sense.
pub fn request(matches: &ArgMatches, arguments: Vec<Bytes>) -> Result<RangeRequest, Failure> {
    if arguments.is_empty() {
        return Err(Failure::arguments(
            "get command needs one argument as key and an optional argument as range_end",
        ));
    }
    range::refuse_both(matches)?;
    if matches.is_on("keys-only") && matches.is_on("count-only") {
        let text = "`--keys-only` and `--count-only` cannot be set at the same time, choose one";
        return Err(Failure::arguments(text));
    }
    let serializable = is_serializable(matches.text("consistency").unwrap_or("l"))?;
    range::refuse_range_end(matches, &arguments)?;
    let (sort_order, sort_target) = (sort_order(matches)?, sort_target(matches)?);
    let at_least_0 = |name| matches.number(name).max(0);
    let request = RangeRequest {
        limit: matches.number("limit"),
        revision: at_least_0("rev"),
        sort_order: sort_order.into(),
        sort_target: sort_target.into(),
        serializable,
        keys_only: matches.is_on("keys-only"),
        count_only: matches.is_on("count-only"),
        min_mod_revision: at_least_0("min-mod-rev"),
        max_mod_revision: at_least_0("max-mod-rev"),
        min_create_revision: at_least_0("min-create-rev"),
        max_create_revision: at_least_0("max-create-rev"),
        ..RangeRequest::default()
    };
    refuse_crossed("CreateRev", request.min_create_revision, request.max_create_revision)?;
    refuse_crossed("ModRev", request.min_mod_revision, request.max_mod_revision)?;
    let (key, range_end) = range::of(matches, arguments);
    Ok(RangeRequest { key, range_end, ..request })
}

/// Returns whether `--consistency` asks for a read that may be stale.
///
/// # Errors
/// When it is neither `l` nor `s`.
pub fn is_serializable(consistency: &str) -> Result<bool, Failure> {
    match consistency {
        "s" => Ok(true),
        "l" => Ok(false),
        other => Err(Failure::new(Exit::BadFeature, format!("unknown consistency flag {other:?}"))),
    }
}

fn sort_order(matches: &ArgMatches) -> Result<SortOrder, Failure> {
    let given = matches.text("order").unwrap_or_default();
    match given.to_uppercase().as_str() {
        "" => Ok(SortOrder::None),
        "ASCEND" => Ok(SortOrder::Ascend),
        "DESCEND" => Ok(SortOrder::Descend),
        _ => Err(Failure::new(Exit::BadFeature, format!("bad sort order {given}"))),
    }
}

fn sort_target(matches: &ArgMatches) -> Result<SortTarget, Failure> {
    let given = matches.text("sort-by").unwrap_or_default();
    match given.to_uppercase().as_str() {
        "" | "KEY" => Ok(SortTarget::Key),
        "CREATE" => Ok(SortTarget::Create),
        "MODIFY" => Ok(SortTarget::Mod),
        "VALUE" => Ok(SortTarget::Value),
        "VERSION" => Ok(SortTarget::Version),
        _ => Err(Failure::new(Exit::BadFeature, format!("bad sort target {given}"))),
    }
}

fn refuse_crossed(of: &str, min: i64, max: i64) -> Result<(), Failure> {
    if max > 0 && min > max {
        let text = format!("getMin{of}(={min}) > getMax{of}(={max})");
        return Err(Failure::new(Exit::BadFeature, text));
    }
    Ok(())
}
