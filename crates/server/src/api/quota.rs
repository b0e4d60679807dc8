//! Space for the store (contract: semantics 9): what would exceed the quota is refused and raises the NOSPACE alarm, as does a disk
//! without space for checkpoints once memory is full of what they lack. The member that raised the alarm takes it back when there
//! is space again.

use std::sync::atomic::Ordering;

use engine::command::Field;
use proto::etcdserverpb::{AlarmMember, AlarmRequest, AlarmType, alarm_request::AlarmAction};
use tonic::Status;

use super::Api;
use super::status::rejected;

/// The part of the quota that is free before an alarm is taken back: with less, the next write would raise it again.
const FREE_FRACTION: u64 = 10;

impl Api {
    /// Refuses what would take more space than the quota or the disk leaves, and raises the alarm.
    pub(crate) async fn check_quota(&self, cost: impl FnOnce() -> u64) -> Result<(), Status> {
        let Some(quota) = self.settings.quota_bytes else { return Ok(()) };
        let disk_full = self.shared.disk_full.load(Ordering::Relaxed);
        let (cost, is_stuck) = (cost(), self.shared.unstored.is_stuck());
        if cost == 0 || (!disk_full && !is_stuck && self.status.db_size() + cost < quota) {
            return Ok(());
        }
        if !disk_full && !self.has_no_space_alarm() {
            self.shared.raised_no_space.store(true, Ordering::Relaxed);
            self.set_no_space_alarm(AlarmAction::Activate).await?;
        }
        Err(rejected(machine::Rejection::NoSpace))
    }

    /// Returns whether this member's NOSPACE alarm is on.
    pub(crate) fn has_no_space_alarm(&self) -> bool {
        let is_own = |alarm: &AlarmMember| {
            alarm.member_id == self.member_id && alarm.alarm == AlarmType::Nospace as i32
        };
        self.status.alarms().iter().any(is_own)
    }

    /// Takes this member's alarm back if it is one that the member has raised and the reason is gone. One that somebody else
    /// has raised, by a request, is theirs.
    pub(crate) async fn disarm_if_freed(&self) {
        let Some(quota) = self.settings.quota_bytes else { return };
        let is_own = self.shared.raised_no_space.load(Ordering::Relaxed);
        let is_freed = !self.shared.unstored.is_disk_full() && is_freed(self.status.db_size(), quota);
        if !is_own || !self.has_no_space_alarm() || !is_freed {
            return;
        }
        match self.set_no_space_alarm(AlarmAction::Deactivate).await {
            Ok(()) => {
                self.shared.raised_no_space.store(false, Ordering::Relaxed);
                tracing::info!(
                    "db-size-bytes" = self.status.db_size(),
                    "quota-bytes" = quota,
                    "there is space again: the NOSPACE alarm is disarmed"
                );
            }
            Err(status) => tracing::debug!(%status, "the NOSPACE alarm was not disarmed"),
        }
    }

    async fn set_no_space_alarm(&self, action: AlarmAction) -> Result<(), Status> {
        let (member_id, alarm) = (self.member_id, AlarmType::Nospace as i32);
        let request = AlarmRequest { action: action as i32, member_id, alarm };
        self.propose_as_member(Field::Alarm, &request).await.map(drop)
    }
}

/// Whether a store of this size leaves enough of its quota.
fn is_freed(db_bytes: u64, quota_bytes: u64) -> bool {
    db_bytes < quota_bytes - quota_bytes / FREE_FRACTION
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_the_quota_is_free_before_the_alarm_goes() {
        for (db_bytes, expected) in [(0, true), (899, true), (900, false), (1000, false), (2000, false)] {
            assert_eq!(is_freed(db_bytes, 1000), expected, "{db_bytes}");
        }
        assert!(!is_freed(u64::MAX, u64::MAX), "no overflow");
    }
}
