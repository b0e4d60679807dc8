//! What an expert would look at in a cluster, judged from facts that were collected before.
//!
//! One line for each check: how it is, what it is about, and what to do when it is not well. What could not be looked at
//! is said as such and is never taken for well.

mod checks;
mod facts;

pub use checks::{CHECKS, examine};
pub use facts::{BigKey, Certificate, ClusterFacts, EndpointFacts, MemberFacts, StatusFacts};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing to do.
    Fine,
    /// It could not be looked at.
    Unknown,
    /// Works, but not well, or not for long.
    Warning,
    /// Does not work, or the next failure is one too many.
    Problem,
}

impl Level {
    /// Returns its word, in four columns.
    pub fn word(self) -> &'static str {
        match self {
            Level::Fine => "ok  ",
            Level::Unknown => "?   ",
            Level::Warning => "warn",
            Level::Problem => "FAIL",
        }
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How it ended.
    pub level: Level,
    /// The check.
    pub check: &'static str,
    /// What was found.
    pub found: String,
    /// What to do; empty when there is nothing to do.
    pub advice: String,
}

impl Finding {
    /// Makes a finding with nothing to do.
    pub fn fine(check: &'static str, found: impl Into<String>) -> Finding {
        Finding { level: Level::Fine, check, found: found.into(), advice: String::new() }
    }

    /// Makes a finding with something to do.
    pub fn new(
        level: Level,
        check: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Finding {
        Finding { level, check, found: found.into(), advice: advice.into() }
    }

    /// Returns its line.
    pub fn line(&self) -> String {
        let advice = if self.advice.is_empty() { String::new() } else { format!(": {}", self.advice) };
        format!("{}  {:<12}  {}{advice}", self.level.word(), self.check, self.found)
    }
}

/// Returns the last line: how many findings of each level.
pub fn summary(findings: &[Finding]) -> String {
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let (problems, warnings, unknown) = (count(Level::Problem), count(Level::Warning), count(Level::Unknown));
    match problems + warnings + unknown {
        0 => "all is well".to_owned(),
        _ => format!("{problems} to repair, {warnings} to look at, {unknown} not known"),
    }
}
