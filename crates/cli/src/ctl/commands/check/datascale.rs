//! `check datascale`: how much memory a server needs for a number of keys.

use bytes::Bytes;

use super::load::{Load, Supply};
use super::memory::resident_bytes;
use super::model::Size;
use super::{Scratch, say};
use crate::ctl::connect::Session;
use crate::ctl::exit::{Exit, Failure};
use crate::ctl::flags::Flags as _;
use crate::ctl::print::write_line;
use crate::ctl::{Invocation, endpoints, progress};

const KEY_BYTES: usize = 512;
const VALUE_BYTES: usize = 512;

/// What etcdctl means by MB.
const MEGABYTE: f64 = 1024.0 * 1024.0;

/// Runs the check for a size of cluster.
pub(super) async fn run(invocation: &Invocation, size: Size) -> Result<(), Failure> {
    let mut amount = size.amount();
    match u64::try_from(invocation.matches.number("keys")) {
        Ok(keys) if keys > 0 => amount.keys = keys,
        _ => {}
    }
    let session = invocation.open().await?;
    let scratch = Scratch::new(&session, &invocation.matches);
    scratch.refuse_keys("").await?;
    let connections = endpoints::connections(&session, amount.clients).await?;
    let before = memory(&session, "before").await?;
    write_line(format_args!(
        "Start data scale check for work load [{} key-value pairs, {} bytes per key-value, {} concurrent clients].",
        amount.keys,
        KEY_BYTES + VALUE_BYTES,
        amount.clients
    ))?;
    let load = Load {
        prefix: scratch.prefix.clone(),
        key_bytes: KEY_BYTES,
        value: Bytes::from(vec![0; VALUE_BYTES]),
        supply: Supply::number(amount.keys),
    };
    let bar = progress::steps("Writing", amount.keys);
    let (report, _) = load.run(connections, &bar).await;
    bar.finish_and_clear();
    let after = memory(&session, "after").await?;
    scratch.compact(scratch.remove().await?).await?;
    scratch.defragment().await?;
    let errors = report.error_lines();
    if !errors.is_empty() {
        say(errors)?;
        return Err(Failure::silent(Exit::Error));
    }
    write_line(passed(before, after))
}

fn passed(before: f64, after: f64) -> String {
    format!("PASS: Approximate system memory used : {:.2} MB.", (after - before) / MEGABYTE)
}

/// Returns the memory of the first endpoint's server.
async fn memory(session: &Session, when: &str) -> Result<f64, Failure> {
    let endpoint = session.client.endpoints().first().cloned().unwrap_or_default();
    match resident_bytes(session, &endpoint).await {
        Ok(bytes) => Ok(bytes),
        Err(why) => {
            write_line(why)?;
            write_line(format_args!(
                "FAIL: Could not read process_resident_memory_bytes {when} the put operations."
            ))?;
            Err(Failure::silent(Exit::Error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::passed;

    #[test]
    fn memory_is_printed_in_binary_megabytes() {
        assert_eq!(
            passed(1_048_576.0, 1_048_576.0 * 65.3),
            "PASS: Approximate system memory used : 64.30 MB."
        );
        assert_eq!(passed(2_097_152.0, 1_048_576.0), "PASS: Approximate system memory used : -1.00 MB.");
    }
}
