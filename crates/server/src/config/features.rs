//! Feature gates: `--feature-gates=A=true,B=false`.
//!
//! All of etcd 3.7's gates are known by name, stage and default, because the metric `etcd_server_feature_enabled` lists them all.
//! None of them needs code here: see each row.

use super::go;

/// How settled a gate is in etcd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Off by default.
    Alpha,
    /// On by default.
    Beta,
}

impl Stage {
    /// The name as the metric's label has it.
    pub fn label(self) -> &'static str {
        match self {
            Stage::Alpha => "ALPHA",
            Stage::Beta => "BETA",
        }
    }
}

/// One gate of etcd.
#[derive(Debug)]
pub struct Gate {
    /// Its name.
    pub name: &'static str,
    /// Its stage.
    pub stage: Stage,
    /// Why setting it changes nothing here.
    pub why_no_effect: &'static str,
}

const fn gate(name: &'static str, stage: Stage, why_no_effect: &'static str) -> Gate {
    Gate { name, stage, why_no_effect }
}

const ALWAYS_COMPARED: &str = "members always compare their states, through the log";

/// All gates, in the order of their names.
pub static GATES: &[Gate] = &[
    gate("CompactHashCheck", Stage::Alpha, ALWAYS_COMPARED),
    gate("FastLeaseKeepAlive", Stage::Beta, "a renewal never waits for the applied index"),
    gate("InitialCorruptCheck", Stage::Alpha, ALWAYS_COMPARED),
    gate("LeaseCheckpoint", Stage::Alpha, "remaining lease times are always checkpointed"),
    gate("LeaseCheckpointPersist", Stage::Alpha, "remaining lease times are always checkpointed"),
    gate("PriorityRequest", Stage::Alpha, "all commands share one queue"),
    gate("SetMemberLocalAddr", Stage::Alpha, "the system chooses the address that members connect from"),
    gate("StopGRPCServiceOnDefrag", Stage::Alpha, "defragmentation never stops the service"),
    gate("TxnModeWriteWithSharedBuffer", Stage::Beta, "reads never copy a buffer"),
];

/// Which gates are on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureGates {
    enabled: Vec<bool>,
    /// `AllAlpha` and `AllBeta`, as they were given.
    groups: [bool; 2],
}

impl Default for FeatureGates {
    fn default() -> FeatureGates {
        FeatureGates {
            enabled: GATES.iter().map(|gate| gate.stage == Stage::Beta).collect(),
            groups: [false; 2],
        }
    }
}

impl FeatureGates {
    /// Reads the value of the flag. `AllAlpha` and `AllBeta` switch the gates of their stage that are not named themselves.
    pub(super) fn parse(text: &str) -> Result<FeatureGates, String> {
        let mut named = vec![None; GATES.len()];
        let mut stages = [None, None];
        for pair in text.split(',').filter(|pair| !pair.is_empty()) {
            let (name, value) = match pair.split_once('=') {
                Some((name, value)) => (name.trim(), value.trim()),
                None => return Err(format!("missing bool value for {}", pair.trim())),
            };
            let value = go::parse_bool(value).ok_or_else(|| {
                format!("invalid value of {name}={value}, err: strconv.ParseBool: parsing {value:?}: invalid syntax")
            })?;
            match (name, GATES.iter().position(|gate| gate.name == name)) {
                ("AllAlpha", _) => stages[0] = Some(value),
                ("AllBeta", _) => stages[1] = Some(value),
                (_, Some(place)) => named[place] = Some(value),
                (_, None) => return Err(format!("unrecognized feature gate: {name}")),
            }
        }
        let enabled = GATES.iter().zip(named).map(|(gate, named)| {
            let stage = match gate.stage {
                Stage::Alpha => stages[0],
                Stage::Beta => stages[1],
            };
            named.or(stage).unwrap_or(gate.stage == Stage::Beta)
        });
        Ok(FeatureGates { enabled: enabled.collect(), groups: stages.map(|stage| stage.unwrap_or(false)) })
    }

    /// All gates and whether each is on.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Gate, bool)> {
        GATES.iter().zip(self.enabled.iter().copied())
    }

    /// Name, stage and state of all gates and of the two groups, in the order of their names: the rows of the metric.
    pub fn rows(&self) -> Vec<(&'static str, &'static str, bool)> {
        let groups = [("AllAlpha", Stage::Alpha), ("AllBeta", Stage::Beta)].into_iter().zip(self.groups);
        let groups = groups.map(|((name, stage), on)| (name, stage.label(), on));
        groups.chain(self.iter().map(|(gate, on)| (gate.name, gate.stage.label(), on))).collect()
    }

    /// Whether the gate of this name is on.
    pub fn is_enabled(&self, name: &str) -> bool {
        self.iter().any(|(gate, enabled)| gate.name == name && enabled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(text: &str) -> Vec<&'static str> {
        FeatureGates::parse(text).unwrap().iter().filter(|(_, on)| *on).map(|(gate, _)| gate.name).collect()
    }

    #[test]
    fn gates_are_read_as_etcd_reads_them() {
        assert_eq!(on(""), ["FastLeaseKeepAlive", "TxnModeWriteWithSharedBuffer"]);
        assert_eq!(on("AllBeta=false,InitialCorruptCheck=true"), ["InitialCorruptCheck"]);
        assert_eq!(on("AllBeta=false, FastLeaseKeepAlive=T"), ["FastLeaseKeepAlive"]);
        assert_eq!(on("AllAlpha=true").len(), GATES.len());
        let cases = [
            ("CompactHashCheck", "missing bool value for CompactHashCheck"),
            ("NoSuch=true", "unrecognized feature gate: NoSuch"),
            (
                "AllBeta=x",
                "invalid value of AllBeta=x, err: strconv.ParseBool: parsing \"x\": invalid syntax",
            ),
        ];
        for (text, error) in cases {
            assert_eq!(FeatureGates::parse(text).unwrap_err(), error);
        }
    }

    #[test]
    fn gates_stand_in_order() {
        assert!(GATES.is_sorted_by_key(|gate| gate.name));
    }
}
