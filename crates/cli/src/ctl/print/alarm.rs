//! The answers of `alarm`.

use proto::etcdserverpb::{AlarmMember, AlarmResponse, AlarmType};

use super::json::{Members, Object};
use super::{Answer, Page, Unsupported};

impl Members for AlarmMember {
    fn members(&self, object: &mut Object<'_>) {
        object.field("memberID", &self.member_id);
        object.field("alarm", &self.alarm);
    }
}

impl Members for AlarmResponse {
    fn members(&self, object: &mut Object<'_>) {
        object.field("header", &self.header);
        object.field("alarms", &self.alarms);
    }
}

impl Answer for AlarmResponse {
    fn simple(&self, page: &mut Page) {
        self.alarms.iter().for_each(|alarm| page.line(text(alarm)));
    }

    fn fields(&self, page: &mut Page) -> Result<(), Unsupported> {
        page.header(self.header.as_ref());
        for alarm in &self.alarms {
            page.id("MemberID", alarm.member_id);
            page.field("AlarmType", name(alarm.alarm));
            page.line("");
        }
        Ok(())
    }

    as_message!(self);
}

/// Returns an alarm in protobuf's text form, which etcdctl prints: fields that are zero are left out. Go puts one space
/// between fields or two, so that nobody depends on it; here it is one.
fn text(alarm: &AlarmMember) -> String {
    let member = (alarm.member_id != 0).then(|| format!("memberID:{}", alarm.member_id));
    let kind = (alarm.alarm != 0).then(|| format!("alarm:{}", name(alarm.alarm)));
    member.into_iter().chain(kind).collect::<Vec<_>>().join(" ")
}

/// Returns the name of a kind of alarm, or the number of one that is newer than this program.
fn name(kind: i32) -> String {
    AlarmType::try_from(kind).map_or_else(|_| kind.to_string(), |kind| kind.as_str_name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{header, printed, printed_hex};
    use super::*;

    #[test]
    fn alarms_are_printed_in_every_format_but_one() {
        let alarms = vec![
            AlarmMember { member_id: 255, alarm: AlarmType::Nospace.into() },
            AlarmMember { member_id: 1, alarm: 9 },
        ];
        let answer = AlarmResponse { header: header(0), alarms };
        assert_eq!(printed("simple", &answer), "memberID:255 alarm:NOSPACE\nmemberID:1 alarm:9\n");
        assert_eq!(
            printed_hex("fields", &answer),
            "\"ClusterID\" : 1\n\"MemberID\" : 2\n\"RaftTerm\" : 3\n\
             \"MemberID\" : ff\n\"AlarmType\" : NOSPACE\n\n\"MemberID\" : 1\n\"AlarmType\" : 9\n\n"
        );
        assert_eq!(
            printed("json", &answer),
            "{\"header\":{\"cluster_id\":1,\"member_id\":2,\"raft_term\":3},\
             \"alarms\":[{\"memberID\":255,\"alarm\":1},{\"memberID\":1,\"alarm\":9}]}\n"
        );
        assert_eq!(printed("simple", &AlarmResponse::default()), "");
    }
}
