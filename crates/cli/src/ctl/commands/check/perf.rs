//! `check perf`: whether a cluster takes writes at a steady rate.

use bytes::Bytes;

use super::load::{Load, Supply};
use super::model::Size;
use super::{Scratch, say};
use crate::ctl::exit::{Exit, Failure};
use crate::ctl::flags::Flags as _;
use crate::ctl::print::write_line;
use crate::ctl::{Invocation, endpoints, progress};

const KEY_BYTES: usize = 256;
const VALUE_BYTES: usize = 1024;

/// Runs the check for a size of cluster.
pub(super) async fn run(invocation: &Invocation, size: Size) -> Result<(), Failure> {
    let mut rate = size.rate();
    if let Some(duration) = invocation.matches.duration("duration") {
        rate.duration = duration;
    }
    let session = invocation.open().await?;
    let scratch = Scratch::new(&session, &invocation.matches);
    scratch.refuse_keys("'").await?;
    let connections = endpoints::connections(&session, rate.clients).await?;
    let load = Load {
        prefix: scratch.prefix.clone(),
        key_bytes: KEY_BYTES,
        value: Bytes::from(vec![0; VALUE_BYTES]),
        supply: Supply::rate(rate.writes_per_second, rate.duration),
    };
    let writes = u64::from(rate.writes_per_second) * rate.duration.as_secs();
    let bar = progress::steps("Writing", writes);
    let (report, total) = load.run(connections, &bar).await;
    bar.finish_and_clear();
    clean(&scratch).await?;
    scratch.defragment().await?;
    let verdict = report.verdict(rate.writes_per_second, total);
    say(&verdict.lines)?;
    if verdict.passed { Ok(()) } else { Err(Failure::silent(Exit::Error)) }
}

/// Removes the keys. That they stay is said, and does not change the verdict.
async fn clean(scratch: &Scratch<'_>) -> Result<(), Failure> {
    match scratch.remove().await {
        Ok(revision) => scratch.compact(revision).await,
        Err(failure) => {
            let text = failure.text.unwrap_or_default();
            write_line(format_args!("FAIL: Cleanup failed during key deletion: ERROR({text})"))
        }
    }
}
