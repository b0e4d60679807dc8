//! `/health`, `/livez` and `/readyz`.
//!
//! `/health` is the older one: alarms, then the leader, then a read; the first that fails is the reason. `/livez` (restart me) and
//! `/readyz` (send me nothing) each run a list of named checks, all of them, and can be asked for one check alone
//! (`/readyz/linearizable_read`).

use std::time::Duration;

use http::request::Parts;
use http::{Method, Response, StatusCode};

use super::probe::{Alarm, Consistency, HealthProbe};
use super::{Body, Http, query, reply};
use crate::logging::{messages, shown};
use crate::metrics::Success;

/// A named check of `/livez` and `/readyz`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    DataCorruption,
    SerializableRead,
    LinearizableRead,
    NonLearner,
}

impl Check {
    fn name(self) -> &'static str {
        match self {
            Check::DataCorruption => "data_corruption",
            Check::SerializableRead => "serializable_read",
            Check::LinearizableRead => "linearizable_read",
            Check::NonLearner => "non_learner",
        }
    }
}

/// What a path asks to check.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checks {
    /// `livez` or `readyz`.
    kind: &'static str,
    checks: &'static [Check],
    /// Whether `?exclude=` counts: only when all checks are asked for.
    all: bool,
}

const LIVEZ: &[Check] = &[Check::SerializableRead];
const READYZ: &[Check] =
    &[Check::DataCorruption, Check::SerializableRead, Check::LinearizableRead, Check::NonLearner];

/// The checks that a path stands for; `None` when it stands for none.
pub(super) fn checks_of(path: &str) -> Option<Checks> {
    let (kind, checks, rest) = match (path.strip_prefix("/livez"), path.strip_prefix("/readyz")) {
        (Some(rest), _) => ("livez", LIVEZ, rest),
        (_, Some(rest)) => ("readyz", READYZ, rest),
        _ => return None,
    };
    if rest.is_empty() {
        return Some(Checks { kind, checks, all: true });
    }
    let name = rest.strip_prefix('/')?;
    let place = checks.iter().position(|check| check.name() == name)?;
    Some(Checks { kind, checks: &checks[place..=place], all: false })
}

/// Why a member is not healthy.
enum Unhealthy {
    Alarm(Alarm),
    NoLeader,
    Read(String),
}

impl Unhealthy {
    fn reason(&self) -> String {
        match self {
            Unhealthy::Alarm(alarm) => format!("ALARM {}", alarm.name()),
            Unhealthy::NoLeader => "RAFT NO LEADER".to_owned(),
            Unhealthy::Read(error) => format!("RANGE ERROR:{error}"),
        }
    }
}

impl<P: HealthProbe> Http<P> {
    /// `/health`: one verdict and the reason for it.
    pub(super) async fn health(&self, head: &Parts) -> Response<Body> {
        if head.method != Method::GET {
            tracing::warn!("status-code" = 405, "{}", messages::HEALTH_ERROR);
            return reply::method_not_allowed();
        }
        match self.verdict(head.uri.query()).await {
            Ok(()) => {
                self.metrics.server.health_success.inc();
                // Go's writer finds the type by looking at the body and so does not forbid others to.
                reply::of_type("text/plain; charset=utf-8", verdict_json("true", ""))
            }
            Err(unhealthy) => {
                self.metrics.server.health_failures.inc();
                let output = verdict_json("false", &unhealthy.reason());
                tracing::warn!(output, "status-code" = 503, "{}", messages::HEALTH_ERROR);
                reply::error(StatusCode::SERVICE_UNAVAILABLE, &output)
            }
        }
    }

    async fn verdict(&self, query: Option<&str>) -> Result<(), Unhealthy> {
        let excluded = query::values(query, "exclude");
        let serializable = query::values(query, "serializable").first().is_some_and(|value| value == "true");
        let alarms = self.probe.alarms();
        if let Some(alarm) =
            alarms.into_iter().find(|alarm| !excluded.iter().any(|name| name == alarm.name()))
        {
            return Err(Unhealthy::Alarm(alarm));
        }
        if !serializable && !self.probe.has_leader() {
            return Err(Unhealthy::NoLeader);
        }
        let consistency = if serializable { Consistency::Serializable } else { Consistency::Linearizable };
        self.probe.read(consistency).await.map_err(|failure| Unhealthy::Read(failure.to_string()))
    }

    /// `/livez`, `/readyz` and their single checks.
    pub(super) async fn checks(&self, head: &Parts, asked: Checks) -> Response<Body> {
        let path = head.uri.path();
        if head.method != Method::GET {
            tracing::warn!(path, "status-code" = 405, "{}", messages::HEALTH_REQUEST_ERROR);
            return reply::method_not_allowed();
        }
        let excluded = if asked.all { query::values(head.uri.query(), "exclude") } else { Vec::new() };
        report_unknown(&excluded, asked.checks);
        let (mut lines, mut healthy) = (String::new(), true);
        for check in asked.checks.iter().filter(|check| !excluded.iter().any(|name| name == check.name())) {
            let result = self.run(*check).await;
            self.metrics.server.healthchecks.record(check.name(), asked.kind, Success::of(&result));
            match result {
                Ok(()) => lines.push_str(&format!("[+]{} ok\n", check.name())),
                Err(error) => {
                    healthy = false;
                    lines.push_str(&format!("[-]{} failed: {error}\n", check.name()));
                }
            }
        }
        if !healthy {
            tracing::error!(path, reason = lines, "status-code" = 503, "{}", messages::HEALTH_CHECK_ERROR);
            return reply::error(StatusCode::SERVICE_UNAVAILABLE, &lines);
        }
        let verbose = !query::values(head.uri.query(), "verbose").is_empty();
        reply::plain(if verbose { format!("{lines}ok\n") } else { "ok\n".to_owned() })
    }

    async fn run(&self, check: Check) -> Result<(), String> {
        match check {
            Check::DataCorruption if self.probe.alarms().contains(&Alarm::Corrupt) => {
                Err("alarm activated: CORRUPT".to_owned())
            }
            Check::NonLearner if self.probe.is_learner() => Err("not supported for learner".to_owned()),
            Check::DataCorruption | Check::NonLearner => Ok(()),
            Check::SerializableRead => self.read_check(Consistency::Serializable).await,
            Check::LinearizableRead => self.read_check(Consistency::Linearizable).await,
        }
    }

    async fn read_check(&self, consistency: Consistency) -> Result<(), String> {
        let started = std::time::Instant::now();
        let result = self.probe.read(consistency).await.map_err(|failure| failure.to_string());
        let took = started.elapsed();
        if took > SLOW_CHECK {
            tracing::warn!(?consistency, took = ?took, "a health check's read took long");
        }
        result
    }
}

/// From when on a check's read is worth a line: probes time out after a second by default.
const SLOW_CHECK: Duration = Duration::from_secs(1);

fn verdict_json(health: &str, reason: &str) -> String {
    serde_json::json!({ "health": health, "reason": reason }).to_string()
}

/// Names that are no checks do not fail a request: the same manifest may be used with another version.
fn report_unknown(excluded: &[String], checks: &[Check]) {
    let unknown: Vec<_> = excluded
        .iter()
        .filter(|name| !name.is_empty() && !checks.iter().any(|check| check.name() == **name))
        .map(|name| format!("{name:?}"))
        .collect();
    if !unknown.is_empty() {
        let unknown = unknown.join(",");
        tracing::warn!("missing-health-checks" = shown(&unknown), "{}", messages::CHECKS_NOT_EXCLUDED);
    }
}
