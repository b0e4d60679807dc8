//! Alarms: a member out of space, or with corrupt data. They are replicated, so all members act on them alike.

use std::collections::BTreeSet;

use proto::etcdserverpb::alarm_request::AlarmAction;
use proto::etcdserverpb::{AlarmMember, AlarmRequest, AlarmType};

use crate::source::Failure;
use crate::{Body, Effect, Machine, Outcome, Rejection, Reply, tables};

/// The active alarms: (type, member), in this order. The type is kept as a number, as etcd stores those it does not
/// know.
#[derive(Debug, Default)]
pub(crate) struct Alarms {
    active: BTreeSet<(i32, u64)>,
}

impl Alarms {
    pub(crate) fn new(active: impl IntoIterator<Item = (i32, u64)>) -> Self {
        Self { active: active.into_iter().collect() }
    }

    /// Active alarms of one type, or all of them.
    pub(crate) fn of_type(&self, kind: i32) -> impl Iterator<Item = AlarmMember> {
        let every = kind == AlarmType::None as i32;
        let found = self.active.iter().filter(move |(active, _)| every || *active == kind);
        found.map(|&(alarm, member_id)| AlarmMember { member_id, alarm })
    }

    fn is_active(&self, kind: AlarmType) -> bool {
        let kind = kind as i32;
        self.active.range((kind, 0)..=(kind, u64::MAX)).next().is_some()
    }

    /// Which alarm stops a command, if any. Corruption is looked at first, as in etcd.
    pub(crate) fn stops(
        &self,
        needs_sound_data: bool,
        needs_space: impl FnOnce() -> bool,
    ) -> Option<Rejection> {
        if self.active.is_empty() {
            None
        } else if needs_sound_data && self.is_active(AlarmType::Corrupt) {
            Some(Rejection::Corrupt)
        } else if self.is_active(AlarmType::Nospace) && needs_space() {
            Some(Rejection::NoSpace)
        } else {
            None
        }
    }
}

impl Machine {
    /// Lists, raises or disarms alarms. Raising twice is once; disarming what is not active answers an empty list; an
    /// action that this version does not know does nothing.
    pub(crate) fn alarm(&mut self, request: &AlarmRequest) -> Result<Outcome, Failure> {
        let alarm = AlarmMember { member_id: request.member_id, alarm: request.alarm };
        let key = (request.alarm, request.member_id);
        let (answered, changed) = match AlarmAction::try_from(request.action) {
            Ok(AlarmAction::Get) => (self.alarms.of_type(request.alarm).collect(), false),
            Ok(AlarmAction::Activate) if request.alarm == AlarmType::None as i32 => (Vec::new(), false),
            Ok(AlarmAction::Activate) => {
                let is_new = self.alarms.active.insert(key);
                tables::put_alarm(&mut self.store, key.0, key.1);
                (vec![alarm], is_new)
            }
            Ok(AlarmAction::Deactivate) if self.alarms.active.remove(&key) => {
                tables::delete_alarm(&mut self.store, key.0, key.1);
                (vec![alarm], true)
            }
            Ok(AlarmAction::Deactivate) | Err(_) => (Vec::new(), false),
        };
        let reply = Reply { revision: self.store.revision(), body: response(&answered) };
        let outcome = Outcome::replied(reply);
        Ok(if changed { outcome.with_effect(Effect::AlarmsChanged) } else { outcome })
    }
}

fn response(alarms: &[AlarmMember]) -> Body {
    let mut body = Body::empty();
    for alarm in alarms {
        let open = body.open(2);
        body.varint(1, alarm.member_id);
        // Enums are int32 on the wire: a negative number is sign-extended.
        body.int64(2, i64::from(alarm.alarm));
        body.close(open);
    }
    body
}
