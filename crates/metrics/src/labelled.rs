//! Metrics with labels. Where the values of a label are known, each combination has its place in an array and a handle is a
//! plain index; only what clients name themselves (their version) needs a map, and that one is bounded.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::text::{Metric, Samples};
use super::value::{Counter, Histogram, Unit};

/// A value fixed in labels, exposed as 1: `etcd_server_version{server_version="3.7.1"} 1`.
#[derive(Debug)]
pub struct Info {
    label: &'static str,
    value: Mutex<Option<String>>,
}

impl Info {
    pub(super) fn new(label: &'static str) -> Info {
        Info { label, value: Mutex::new(None) }
    }

    /// Sets the label's value; before that the metric is not exposed.
    pub fn set(&self, value: impl Into<String>) {
        *self.value.lock().unwrap_or_else(PoisonError::into_inner) = Some(value.into());
    }

    /// The label's value.
    pub(super) fn get(&self) -> Option<String> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Metric for Info {
    const TYPE: &'static str = "gauge";

    fn samples(&self, out: &mut Samples<'_>) {
        if let Some(value) = self.value.lock().unwrap_or_else(PoisonError::into_inner).as_deref() {
            out.sample(&[(self.label, value)], 1.0);
        }
    }
}

/// What a request asks the state machine for; the label `op` or `type` of two histograms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the labels
pub enum Operation {
    Unknown,
    ClusterVersionSet,
    ClusterMemberAttrSet,
    DowngradeInfoSet,
    Range,
    ReadonlyTxn,
    Put,
    DeleteRange,
    Txn,
    Compaction,
    LeaseGrant,
    LeaseRevoke,
    LeaseCheckpoint,
    Alarm,
    Authenticate,
    AuthEnable,
    AuthDisable,
    AuthStatus,
    AuthUserAdd,
    AuthUserDelete,
    AuthUserChangePassword,
    AuthUserGrantRole,
    AuthUserGet,
    AuthUserRevokeRole,
    AuthUserList,
    AuthRoleAdd,
    AuthRoleGrantPermission,
    AuthRoleGet,
    AuthRoleRevokePermission,
    AuthRoleDelete,
    AuthRoleList,
}

impl Operation {
    const ALL: &'static [(Operation, &'static str)] = &[
        (Operation::Unknown, "unknown"),
        (Operation::ClusterVersionSet, "ClusterVersionSet"),
        (Operation::ClusterMemberAttrSet, "ClusterMemberAttrSet"),
        (Operation::DowngradeInfoSet, "DowngradeInfoSet"),
        (Operation::Range, "Range"),
        (Operation::ReadonlyTxn, "ReadonlyTxn"),
        (Operation::Put, "Put"),
        (Operation::DeleteRange, "DeleteRange"),
        (Operation::Txn, "Txn"),
        (Operation::Compaction, "Compaction"),
        (Operation::LeaseGrant, "LeaseGrant"),
        (Operation::LeaseRevoke, "LeaseRevoke"),
        (Operation::LeaseCheckpoint, "LeaseCheckpoint"),
        (Operation::Alarm, "Alarm"),
        (Operation::Authenticate, "Authenticate"),
        (Operation::AuthEnable, "AuthEnable"),
        (Operation::AuthDisable, "AuthDisable"),
        (Operation::AuthStatus, "AuthStatus"),
        (Operation::AuthUserAdd, "AuthUserAdd"),
        (Operation::AuthUserDelete, "AuthUserDelete"),
        (Operation::AuthUserChangePassword, "AuthUserChangePassword"),
        (Operation::AuthUserGrantRole, "AuthUserGrantRole"),
        (Operation::AuthUserGet, "AuthUserGet"),
        (Operation::AuthUserRevokeRole, "AuthUserRevokeRole"),
        (Operation::AuthUserList, "AuthUserList"),
        (Operation::AuthRoleAdd, "AuthRoleAdd"),
        (Operation::AuthRoleGrantPermission, "AuthRoleGrantPermission"),
        (Operation::AuthRoleGet, "AuthRoleGet"),
        (Operation::AuthRoleRevokePermission, "AuthRoleRevokePermission"),
        (Operation::AuthRoleDelete, "AuthRoleDelete"),
        (Operation::AuthRoleList, "AuthRoleList"),
    ];
}

/// Whether something went well; the label `success`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names say it
pub enum Success {
    No,
    Yes,
}

impl Success {
    /// Of a result.
    pub fn of<T, E>(result: &Result<T, E>) -> Success {
        if result.is_ok() { Success::Yes } else { Success::No }
    }

    fn label(self) -> &'static str {
        match self {
            Success::No => "false",
            Success::Yes => "true",
        }
    }
}

/// Two histograms, by success.
#[derive(Debug)]
pub struct BySuccess([Histogram; 2]);

impl BySuccess {
    pub(super) fn new(start: f64, count: usize) -> BySuccess {
        BySuccess([(); 2].map(|()| Histogram::doubling(Unit::Seconds, start, count)))
    }

    /// The histogram of this outcome.
    pub fn of(&self, success: Success) -> &Histogram {
        &self.0[success as usize]
    }

    fn used(&self) -> impl Iterator<Item = (Success, &Histogram)> {
        let all = [Success::No, Success::Yes].map(|success| (success, self.of(success)));
        all.into_iter().filter(|(_, histogram)| histogram.count() > 0)
    }
}

impl Metric for BySuccess {
    const TYPE: &'static str = "histogram";

    fn samples(&self, out: &mut Samples<'_>) {
        for (success, histogram) in self.used() {
            histogram.labelled_samples(&[("success", success.label())], out);
        }
    }
}

/// Durations by operation and success. The labels' names are those of one of etcd's two metrics of this kind.
#[derive(Debug)]
pub struct ByOperation {
    layout: OperationLabels,
    histograms: Vec<BySuccess>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum OperationLabels {
    /// `op`, `success`, `version="v3"`.
    Apply,
    /// `success`, `type`.
    Request,
}

impl ByOperation {
    pub(super) fn new(layout: OperationLabels, start: f64, count: usize) -> ByOperation {
        ByOperation {
            layout,
            histograms: Operation::ALL.iter().map(|_| BySuccess::new(start, count)).collect(),
        }
    }

    /// The histogram of this operation and outcome.
    pub fn of(&self, operation: Operation, success: Success) -> &Histogram {
        self.histograms[operation as usize].of(success)
    }
}

impl Metric for ByOperation {
    const TYPE: &'static str = "histogram";

    fn samples(&self, out: &mut Samples<'_>) {
        let mut named: Vec<_> = Operation::ALL.iter().map(|(operation, name)| (*name, *operation)).collect();
        named.sort_by_key(|(name, _)| *name);
        match self.layout {
            OperationLabels::Apply => {
                for (name, operation) in named {
                    for (success, histogram) in self.histograms[operation as usize].used() {
                        let labels = [("op", name), ("success", success.label()), ("version", "v3")];
                        histogram.labelled_samples(&labels, out);
                    }
                }
            }
            OperationLabels::Request => {
                for success in [Success::No, Success::Yes] {
                    for (name, operation) in &named {
                        let histogram = self.of(*operation, success);
                        if histogram.count() > 0 {
                            histogram.labelled_samples(&[("success", success.label()), ("type", name)], out);
                        }
                    }
                }
            }
        }
    }
}

/// Whether a call is one request and one reply, or a stream; the label `type` of the client requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // the names are the labels
pub enum CallType {
    Stream,
    Unary,
}

/// Requests by the client's own version. The version is whatever a client writes into its metadata, so it is checked and bounded: what
/// is too long, not printable or one too many counts as `unknown`, the label of clients that say nothing.
#[derive(Debug, Default)]
pub struct ClientRequests {
    counters: RwLock<BTreeMap<(String, CallType), Arc<Counter>>>,
}

/// Label values kept at most: a client may not fill the memory with versions of its invention.
const CLIENT_VERSIONS_MAX: usize = 128;

/// Longest version taken as a label.
const CLIENT_VERSION_BYTES_MAX: usize = 32;

impl ClientRequests {
    /// Returns the label of a client version: a short one, however long the version is that the client sent.
    pub fn label(version: Option<&[u8]>) -> &str {
        version.and_then(label_of).unwrap_or("unknown")
    }

    /// The counter of this kind of call and client version (metadata `client-api-version`). Look it up once for a connection
    /// or keep the last one: this takes a lock.
    pub fn handle(&self, call: CallType, version: Option<&[u8]>) -> Arc<Counter> {
        let version = Self::label(version);
        let key = (version.to_owned(), call);
        if let Some(counter) = self.counters.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Arc::clone(counter);
        }
        let mut counters = self.counters.write().unwrap_or_else(PoisonError::into_inner);
        let key = if counters.len() < CLIENT_VERSIONS_MAX { key } else { ("unknown".to_owned(), call) };
        Arc::clone(counters.entry(key).or_default())
    }
}

fn label_of(version: &[u8]) -> Option<&str> {
    let fits =
        (1..=CLIENT_VERSION_BYTES_MAX).contains(&version.len()) && version.iter().all(u8::is_ascii_graphic);
    std::str::from_utf8(version).ok().filter(|_| fits)
}

impl Metric for ClientRequests {
    const TYPE: &'static str = "counter";

    fn samples(&self, out: &mut Samples<'_>) {
        for ((version, call), counter) in self.counters.read().unwrap_or_else(PoisonError::into_inner).iter()
        {
            let call = match call {
                CallType::Stream => "stream",
                CallType::Unary => "unary",
            };
            out.sample(&[("client_api_version", version), ("type", call)], counter.get() as f64);
        }
    }
}

/// Streams that broke, by API and direction.
#[derive(Debug, Default)]
pub struct StreamFailures([[Counter; 2]; 2]);

/// The streams counted in [`StreamFailures`]; the label `API`.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // the names are the labels
pub enum StreamApi {
    LeaseKeepAlive,
    Watch,
}

/// The direction in which a stream broke; the label `Type`.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // the names are the labels
pub enum Direction {
    Receive,
    Send,
}

impl StreamFailures {
    /// The counter of this API and direction.
    pub fn of(&self, api: StreamApi, direction: Direction) -> &Counter {
        &self.0[api as usize][direction as usize]
    }
}

impl Metric for StreamFailures {
    const TYPE: &'static str = "counter";

    fn samples(&self, out: &mut Samples<'_>) {
        for (api, directions) in ["lease-keepalive", "watch"].iter().zip(&self.0) {
            for (direction, counter) in ["receive", "send"].iter().zip(directions) {
                if counter.get() > 0 {
                    out.sample(&[("API", api), ("Type", direction)], counter.get() as f64);
                }
            }
        }
    }
}

/// Alarms by member and type, 1 while raised.
#[derive(Debug, Default)]
pub struct Alarms(Mutex<BTreeMap<(String, String), bool>>);

impl Alarms {
    /// Records that an alarm was raised or disarmed. Alarms are rare: this takes a lock.
    pub fn set(&self, alarm_type: &str, member: impl std::fmt::Display, raised: bool) {
        let key = (alarm_type.to_owned(), member.to_string());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, raised);
    }

    /// Records that these alarms are raised, each a name and a member, and no others.
    pub fn set_raised(&self, raised: impl IntoIterator<Item = (String, String)>) {
        let mut alarms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        alarms.values_mut().for_each(|raised| *raised = false);
        alarms.extend(raised.into_iter().map(|alarm| (alarm, true)));
    }
}

impl Metric for Alarms {
    const TYPE: &'static str = "gauge";

    fn samples(&self, out: &mut Samples<'_>) {
        for ((alarm, member), raised) in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            out.sample(&[("alarm_type", alarm), ("server_id", member)], f64::from(u8::from(*raised)));
        }
    }
}

/// Feature gates, 1 when on.
#[derive(Debug, Default)]
pub struct Features(Mutex<Vec<(&'static str, &'static str, bool)>>);

impl Features {
    /// Sets all gates: name, stage, state; in the order of their names.
    pub fn set(&self, gates: Vec<(&'static str, &'static str, bool)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = gates;
    }
}

impl Metric for Features {
    const TYPE: &'static str = "gauge";

    fn samples(&self, out: &mut Samples<'_>) {
        for (name, stage, on) in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            out.sample(&[("name", name), ("stage", stage)], f64::from(u8::from(*on)));
        }
    }
}

/// The health checks of `/livez` and `/readyz`, in the order of the metrics' labels (name, then type).
pub const HEALTH_CHECKS: [(&str, &str); 5] = [
    ("data_corruption", "readyz"),
    ("linearizable_read", "readyz"),
    ("non_learner", "readyz"),
    ("serializable_read", "livez"),
    ("serializable_read", "readyz"),
];

/// Results of health checks: how often each went which way, and the last result.
#[derive(Debug, Default)]
pub struct HealthChecks([CheckResults; HEALTH_CHECKS.len()]);

#[derive(Debug, Default)]
struct CheckResults {
    successes: Counter,
    errors: Counter,
    /// 0: never run, 1: failed, 2: succeeded.
    last: AtomicU64,
}

impl HealthChecks {
    /// Counts one result of a check. `kind` is `livez` or `readyz`.
    pub fn record(&self, name: &str, kind: &str, success: Success) {
        let place = HEALTH_CHECKS.iter().position(|check| *check == (name, kind));
        let results = &self.0[place.expect("the check is in the table")];
        match success {
            Success::Yes => results.successes.inc(),
            Success::No => results.errors.inc(),
        }
        results.last.store(1 + success as u64, Relaxed);
    }
}

impl Metric for HealthChecks {
    const TYPE: &'static str = "counter";

    fn samples(&self, out: &mut Samples<'_>) {
        for ((name, kind), results) in HEALTH_CHECKS.iter().zip(&self.0) {
            for (status, counter) in [("error", &results.errors), ("success", &results.successes)] {
                if counter.get() > 0 {
                    out.sample(&[("name", name), ("status", status), ("type", kind)], counter.get() as f64);
                }
            }
        }
    }
}

/// The last results of the same checks, as a metric of its own.
#[derive(Debug)]
pub(super) struct LastHealth<'a>(pub(super) &'a HealthChecks);

impl Metric for LastHealth<'_> {
    const TYPE: &'static str = "gauge";

    fn samples(&self, out: &mut Samples<'_>) {
        for ((name, kind), results) in HEALTH_CHECKS.iter().zip(&self.0.0) {
            let last = results.last.load(Relaxed);
            if last > 0 {
                out.sample(&[("name", name), ("type", kind)], (last - 1) as f64);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_stand_at_their_own_places() {
        for (place, (operation, name)) in Operation::ALL.iter().enumerate() {
            assert_eq!(*operation as usize, place);
            let debug = format!("{operation:?}");
            assert!(debug == *name || debug == "Unknown");
        }
    }

    #[test]
    fn clients_cannot_invent_labels_without_bound() {
        let requests = ClientRequests::default();
        for number in 0..10 * CLIENT_VERSIONS_MAX {
            requests.handle(CallType::Unary, Some(format!("v{number}").as_bytes())).inc();
        }
        let bad: [&[u8]; 4] = [b"", b"\xff\xfe", b"a b", &[b'x'; CLIENT_VERSION_BYTES_MAX + 1]];
        for version in bad {
            requests.handle(CallType::Unary, Some(version)).inc();
        }
        let counters = requests.counters.read().unwrap();
        assert!(counters.len() <= CLIENT_VERSIONS_MAX + 2, "{}", counters.len());
        let unknown = counters[&("unknown".to_owned(), CallType::Unary)].get();
        assert_eq!(unknown, (10 * CLIENT_VERSIONS_MAX - CLIENT_VERSIONS_MAX + bad.len()) as u64);
    }
}
