//! The checks. Each looks at all facts and gives one finding, the worst that it sees.

use std::collections::BTreeMap;
use std::time::Duration;

use super::facts::{ClusterFacts, EndpointFacts, StatusFacts};
use super::{Finding, Level};
use crate::beyond::metrics::Metrics;
use crate::beyond::text;

/// A check.
type Check = fn(&ClusterFacts) -> Finding;

/// All checks, the most urgent first.
pub const CHECKS: &[Check] = &[
    endpoints,
    leader,
    quorum,
    alarms,
    learners,
    versions,
    raft_lag,
    space,
    disk,
    clocks,
    certificates,
    compaction,
    big_keys,
];

/// Returns the findings of all checks.
pub fn examine(facts: &ClusterFacts) -> Vec<Finding> {
    CHECKS.iter().map(|check| check(facts)).collect()
}

/// How long syncs of the log took.
const FSYNC: &str = "etcd_disk_wal_fsync_duration_seconds";

/// Of fewer syncs, one that was slow while the member started is the 99th percentile.
const FSYNCS_MIN: f64 = 200.0;

/// What etcd's documentation asks of a disk: 99 of 100 syncs of the log within 10 ms.
const FSYNC_GOOD: Duration = Duration::from_millis(16);

/// A disk that is so slow that leaders are lost over it: elections begin after a second by default.
const FSYNC_BAD: Duration = Duration::from_millis(256);

/// Clocks that differ by more make leases and certificates hard to reason about. The clock that is read (HTTP's Date) has
/// a resolution of a second.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(2);

/// A follower that is so many entries behind needs a snapshot soon: etcd keeps 5,000 entries for it.
const LAG_MAX: u64 = 5000;

/// Revisions that are kept are read by nobody after a day, but are searched and stored.
const UNCOMPACTED_MAX: i64 = 5_000_000;

/// A value of this size is a document, not a key: etcd refuses requests above 1.5 MiB by default.
const BIG_KEY: u64 = 1024 * 1024;

/// The share of the quota, in percent, from which on it should be looked at.
const QUOTA_PERCENT: u64 = 80;

const DAY_SECONDS: i64 = 86_400;

fn name(facts: &ClusterFacts, id: u64) -> String {
    facts
        .members
        .iter()
        .find(|member| member.id == id)
        .map_or_else(|| format!("{id:x}"), |member| member.title())
}

/// The endpoints that answered, with what they said.
fn answers(facts: &ClusterFacts) -> impl Iterator<Item = (&EndpointFacts, &StatusFacts)> {
    facts.endpoints.iter().filter_map(|endpoint| Some((endpoint, endpoint.answered()?)))
}

fn endpoints(facts: &ClusterFacts) -> Finding {
    let failures: Vec<String> = facts
        .endpoints
        .iter()
        .filter_map(|endpoint| match &endpoint.status {
            Some(Ok(_)) => None,
            Some(Err(why)) => Some(format!("{} ({why})", endpoint.address)),
            None => Some(format!("{} (not asked)", endpoint.address)),
        })
        .collect();
    let (all, failed) = (facts.endpoints.len(), failures.len());
    if all == 0 {
        return Finding::new(Level::Problem, "endpoints", "there are none", "name them with --endpoints");
    }
    if failed == 0 {
        return Finding::fine("endpoints", format!("{all} of {all} answer"));
    }
    let found = format!("{} of {all} do not answer: {}", failed, failures.join(", "));
    Finding::new(
        Level::Problem,
        "endpoints",
        found,
        "start the member, or look at firewall, TLS flags and its log",
    )
}

fn leader(facts: &ClusterFacts) -> Finding {
    let mut leaders: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    for (endpoint, status) in answers(facts) {
        leaders.entry(status.leader).or_default().push(&endpoint.address);
    }
    if leaders.is_empty() {
        return Finding::new(Level::Problem, "leader", "nobody could be asked", "see endpoints");
    }
    if let Some(without) = leaders.get(&0) {
        let found = format!("none at {}", without.join(", "));
        return Finding::new(
            Level::Problem,
            "leader",
            found,
            "see that a majority of members runs and reach each other's peer URLs",
        );
    }
    let known: Vec<String> = leaders.keys().map(|id| name(facts, *id)).collect();
    match known.as_slice() {
        [one] => Finding::fine("leader", one.clone()),
        several => {
            let found = format!("the members name several: {}", several.join(", "));
            Finding::new(
                Level::Warning,
                "leader",
                found,
                "run it again; if it stays, look at the network between members",
            )
        }
    }
}

fn quorum(facts: &ClusterFacts) -> Finding {
    let voters: Vec<u64> =
        facts.members.iter().filter(|member| !member.is_learner).map(|member| member.id).collect();
    if voters.is_empty() {
        return Finding::new(Level::Unknown, "quorum", "the members are not known", "see endpoints");
    }
    let up = voters.iter().filter(|id| answers(facts).any(|(_, status)| status.member_id == **id)).count();
    let need = voters.len() / 2 + 1;
    let found = format!("{up} of {} voters answer, {need} are needed", voters.len());
    match up.cmp(&need) {
        std::cmp::Ordering::Less => Finding::new(
            Level::Problem,
            "quorum",
            found,
            "start members until there is a majority; nothing can be written before",
        ),
        std::cmp::Ordering::Equal if voters.len() > 2 => Finding::new(
            Level::Problem,
            "quorum",
            found,
            "the next failure stops the cluster: start or replace the missing members",
        ),
        _ if voters.len() == 1 => Finding::new(
            Level::Warning,
            "quorum",
            found,
            "a single member survives no failure, three survive one",
        ),
        _ if voters.len().is_multiple_of(2) => Finding::new(
            Level::Warning,
            "quorum",
            found,
            format!("{} voters survive no more failures than {}", voters.len(), voters.len() - 1),
        ),
        _ => Finding::fine("quorum", format!("{found}: {} more may fail", up - need)),
    }
}

fn alarms(facts: &ClusterFacts) -> Finding {
    let Some(alarms) = &facts.alarms else {
        return Finding::new(Level::Unknown, "alarms", "nobody could be asked", "see endpoints");
    };
    if alarms.is_empty() {
        return Finding::fine("alarms", "none");
    }
    let raised: Vec<String> =
        alarms.iter().map(|(id, alarm)| format!("{alarm} at {}", name(facts, *id))).collect();
    let advice = match alarms.iter().any(|(_, alarm)| alarm == "CORRUPT") {
        true => "stop the member, replace it (`replace`), and report what happened",
        false => "make space (compact, defrag, or raise --quota-backend-bytes), then `alarm disarm`",
    };
    Finding::new(Level::Problem, "alarms", raised.join(", "), advice)
}

fn learners(facts: &ClusterFacts) -> Finding {
    if facts.members.is_empty() {
        return Finding::new(Level::Unknown, "members", "nobody could be asked", "see endpoints");
    }
    let learners: Vec<String> =
        facts.members.iter().filter(|member| member.is_learner).map(|member| member.title()).collect();
    let unstarted: Vec<String> =
        facts.members.iter().filter(|member| member.name.is_empty()).map(|member| member.title()).collect();
    if !unstarted.is_empty() {
        let found = format!("{} was added and has never started", unstarted.join(", "));
        return Finding::new(Level::Warning, "members", found, "start it, or remove it with `member remove`");
    }
    if learners.is_empty() {
        return Finding::fine("members", format!("{} vote, none learns", facts.members.len()));
    }
    let found = format!("{} has no vote", learners.join(", "));
    Finding::new(Level::Warning, "members", found, "when it has caught up: `member promote`")
}

fn versions(facts: &ClusterFacts) -> Finding {
    let mut versions: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (_, status) in answers(facts) {
        versions.entry(&status.version).or_default().push(name(facts, status.member_id));
    }
    let shown: Vec<String> =
        versions.iter().map(|(version, members)| format!("{version} ({})", members.join(", "))).collect();
    match versions.len() {
        0 => Finding::new(Level::Unknown, "versions", "nobody could be asked", "see endpoints"),
        1 => Finding::fine("versions", shown.join("")),
        _ => Finding::new(
            Level::Warning,
            "versions",
            shown.join(", "),
            "finish the upgrade: all members should run the newest of them",
        ),
    }
}

fn raft_lag(facts: &ClusterFacts) -> Finding {
    let newest = answers(facts).map(|(_, status)| status.raft_index).max();
    let worst = answers(facts)
        .map(|(_, status)| (newest.unwrap_or_default().saturating_sub(status.raft_applied_index), status))
        .max_by_key(|(lag, _)| *lag);
    let Some((lag, status)) = worst else {
        return Finding::new(Level::Unknown, "raft lag", "nobody could be asked", "see endpoints");
    };
    let found = format!(
        "at most {} ({})",
        text::plural(lag, "entry").replace("entrys", "entries"),
        name(facts, status.member_id)
    );
    if lag > LAG_MAX {
        return Finding::new(
            Level::Warning,
            "raft lag",
            found,
            "look at that member's disk, CPU and network",
        );
    }
    Finding::fine("raft lag", found)
}

fn space(facts: &ClusterFacts) -> Finding {
    let share = |status: &StatusFacts| match status.db_size_quota {
        0 => 0,
        quota => status.db_size.saturating_mul(100) / quota,
    };
    let Some((_, fullest)) = answers(facts).max_by_key(|(_, status)| (share(status), status.db_size)) else {
        return Finding::new(Level::Unknown, "space", "nobody could be asked", "see endpoints");
    };
    let own: Vec<String> = answers(facts).flat_map(|(_, status)| status.errors.clone()).collect();
    let member = name(facts, fullest.member_id);
    let found = match fullest.db_size_quota {
        0 => format!("{} at {member}, quota not known", text::size(fullest.db_size)),
        quota => format!(
            "{} of {} at {member}, {} %",
            text::size(fullest.db_size),
            text::size(quota),
            share(fullest)
        ),
    };
    if share(fullest) >= QUOTA_PERCENT {
        let advice = match fullest.db_size_in_use < fullest.db_size / 2 {
            true => "most of it is free inside the file: `defrag`",
            false => "compact, delete keys (`tree` shows where they are), or raise --quota-backend-bytes",
        };
        return Finding::new(Level::Problem, "space", found, advice);
    }
    if let Some(error) = own.first() {
        return Finding::new(
            Level::Warning,
            "space",
            format!("{found}; a member says {error:?}"),
            "see alarms",
        );
    }
    Finding::fine("space", found)
}

fn disk(facts: &ClusterFacts) -> Finding {
    let syncs = |metrics: &Metrics| metrics.observations(FSYNC).unwrap_or_default();
    let measured = || {
        answers(facts).filter_map(|(endpoint, status)| Some((endpoint.metrics.as_ref()?, status.member_id)))
    };
    let slowest = measured()
        .filter(|(metrics, _)| syncs(metrics) >= FSYNCS_MIN)
        .filter_map(|(metrics, member)| Some((metrics.quantile(FSYNC, 0.99)?, member)))
        .max_by_key(|(latency, _)| *latency);
    let Some((latency, member)) = slowest else {
        let (found, advice) = match measured().next() {
            Some(_) => ("the log was synced too few times yet", "run it again later"),
            None => (
                "no member serves metrics here",
                "look at etcd_disk_wal_fsync_duration_seconds where you collect them",
            ),
        };
        return Finding::new(Level::Unknown, "disk", found, advice);
    };
    let found = format!(
        "99 % of syncs within {} at {} (since it started)",
        text::duration(latency),
        name(facts, member)
    );
    match latency {
        latency if latency >= FSYNC_BAD => Finding::new(
            Level::Problem,
            "disk",
            found,
            "leaders are lost over it: give the data directory an SSD of its own",
        ),
        latency if latency > FSYNC_GOOD => Finding::new(
            Level::Warning,
            "disk",
            found,
            "10 ms is good: look for a shared, remote or throttled disk",
        ),
        _ => Finding::fine("disk", found),
    }
}

fn clocks(facts: &ClusterFacts) -> Finding {
    let known: Vec<(i64, i64, &str)> = facts
        .endpoints
        .iter()
        .filter_map(|endpoint| {
            let error = i64::try_from(endpoint.clock_error.as_millis()).ok()?;
            Some((endpoint.clock_ahead_ms?, error, endpoint.address.as_str()))
        })
        .collect();
    // Our own clock is one more to compare with.
    let ahead = known.iter().copied().chain([(0, 0, "here")]).max_by_key(|(ahead, error, _)| ahead - error);
    let behind = known.iter().copied().chain([(0, 0, "here")]).min_by_key(|(ahead, error, _)| ahead + error);
    let (Some(ahead), Some(behind), false) = (ahead, behind, known.is_empty()) else {
        return Finding::new(Level::Unknown, "clocks", "no member gives its time", "see that all run NTP");
    };
    let certain =
        Duration::from_millis(u64::try_from((ahead.0 - ahead.1) - (behind.0 + behind.1)).unwrap_or(0));
    if certain > CLOCK_SKEW_MAX {
        let found = format!("{} is at least {} ahead of {}", ahead.2, text::duration(certain), behind.2);
        return Finding::new(
            Level::Problem,
            "clocks",
            found,
            "set both by NTP: leases and certificates go by them",
        );
    }
    Finding::fine(
        "clocks",
        format!("within {} of each other and of this machine", text::duration(CLOCK_SKEW_MAX)),
    )
}

fn certificates(facts: &ClusterFacts) -> Finding {
    let first = facts
        .endpoints
        .iter()
        .filter_map(|endpoint| Some((endpoint.certificate?.expires_in_seconds, endpoint.address.as_str())))
        .min();
    let Some((seconds, address)) = first else {
        if answers(facts).next().is_none() {
            return Finding::new(Level::Unknown, "certificates", "nobody could be asked", "see endpoints");
        }
        return Finding::fine("certificates", "none in use: connections are not encrypted");
    };
    let left = text::duration(Duration::from_secs(seconds.unsigned_abs()));
    match seconds {
        ..0 => Finding::new(
            Level::Problem,
            "certificates",
            format!("that of {address} expired {left} ago"),
            "replace the files; they are read again without a restart",
        ),
        seconds if seconds < 7 * DAY_SECONDS => Finding::new(
            Level::Problem,
            "certificates",
            format!("that of {address} expires in {left}"),
            "replace the files now; they are read again without a restart",
        ),
        seconds if seconds < 30 * DAY_SECONDS => {
            let found = format!("that of {address} expires in {left}");
            Finding::new(Level::Warning, "certificates", found, "plan its renewal")
        }
        _ => Finding::fine("certificates", format!("the first to expire is that of {address}, in {left}")),
    }
}

fn compaction(facts: &ClusterFacts) -> Finding {
    let compacted = |endpoint: &EndpointFacts| {
        let revision = endpoint.metrics.as_ref()?.value("etcd_debugging_mvcc_compact_revision")?;
        Some((revision as i64).max(0))
    };
    let lag =
        answers(facts).filter_map(|(endpoint, status)| Some(status.revision - compacted(endpoint)?)).max();
    let Some(lag) = lag else {
        return Finding::new(
            Level::Unknown,
            "compaction",
            "no member serves metrics here",
            "see that --auto-compaction-retention is set",
        );
    };
    let found = format!("{} of history kept", text::plural(lag.unsigned_abs(), "revision"));
    if lag > UNCOMPACTED_MAX {
        let advice = "set --auto-compaction-retention, or compact (`compaction REVISION`)";
        return Finding::new(Level::Warning, "compaction", found, advice);
    }
    Finding::fine("compaction", found)
}

fn big_keys(facts: &ClusterFacts) -> Finding {
    let Some(keys) = &facts.big_keys else {
        return Finding::new(
            Level::Unknown,
            "big keys",
            "the keys could not be read",
            "run it as a user who may read them",
        );
    };
    let (seen, all) = facts.keys_seen;
    let seen = if seen < all {
        format!("{} of {}", text::count(seen), text::plural(all, "key"))
    } else {
        text::plural(all, "key")
    };
    let Some(biggest) = keys.first() else { return Finding::fine("big keys", format!("none among {seen}")) };
    let found = format!("the biggest of {seen} is {} ({})", biggest.key, text::size(biggest.bytes));
    if biggest.bytes >= BIG_KEY {
        return Finding::new(
            Level::Warning,
            "big keys",
            found,
            "keep documents elsewhere, and their address here",
        );
    }
    Finding::fine("big keys", found)
}

#[cfg(test)]
#[path = "checks_tests.rs"]
mod tests;
