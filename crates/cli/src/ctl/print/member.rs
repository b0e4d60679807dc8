//! The answers of `member`.

use prost::Message;
use proto::etcdserverpb::{
    Member, MemberAddResponse, MemberListResponse, MemberPromoteResponse, MemberRemoveResponse,
    MemberUpdateResponse, ResponseHeader,
};

use super::json::{List, Members, Object, With, object};
use super::{Answer, Page, Table, Unsupported, encoded};
use crate::go::quote::quote;

impl Members for Member {
    fn members(&self, object: &mut Object<'_>) {
        object.field("ID", &self.id);
        object.field("name", &self.name);
        object.field("peerURLs", &self.peer_ur_ls);
        object.field("clientURLs", &self.client_ur_ls);
        object.field("isLearner", &self.is_learner);
    }
}

/// A header with its ids in hexadecimal. They are there even when they are zero.
struct HexHeader<'a>(&'a ResponseHeader);

impl Members for HexHeader<'_> {
    fn members(&self, object: &mut Object<'_>) {
        object.always("cluster_id", &format!("{:x}", self.0.cluster_id));
        object.always("member_id", &format!("{:x}", self.0.member_id));
        object.field("revision", &self.0.revision);
        object.field("raft_term", &self.0.raft_term);
    }
}

/// A member with its id in hexadecimal.
struct HexMember<'a>(&'a Member);

impl Members for HexMember<'_> {
    fn members(&self, object: &mut Object<'_>) {
        object.always("ID", &format!("{:x}", self.0.id));
        object.field("name", &self.0.name);
        object.field("peerURLs", &self.0.peer_ur_ls);
        object.field("clientURLs", &self.0.client_ur_ls);
        object.field("isLearner", &self.0.is_learner);
    }
}

/// An answer about members: a header, the members, and for `member add` the new one.
trait Roster: Message {
    fn header(&self) -> Option<&ResponseHeader>;
    fn members(&self) -> &[Member];
    fn added(&self) -> Option<Option<&Member>> {
        None
    }
}

macro_rules! rosters {
    ($($message:ty { $($added:tt)* })*) => {$(
        impl Roster for $message {
            fn header(&self) -> Option<&ResponseHeader> {
                self.header.as_ref()
            }

            fn members(&self) -> &[Member] {
                &self.members
            }

            $($added)*
        }
    )*};
}

rosters! {
    MemberAddResponse {
        fn added(&self) -> Option<Option<&Member>> {
            Some(self.member.as_ref())
        }
    }
    MemberRemoveResponse {}
    MemberUpdateResponse {}
    MemberPromoteResponse {}
    MemberListResponse {}
}

/// Writes a roster. In hexadecimal, what is missing is there as `null` or `[]`: etcdctl has another struct for it.
fn write_json(out: &mut Vec<u8>, roster: &impl Roster, hex: bool) {
    let decimal = With(|object: &mut Object<'_>| {
        object.field("header", &roster.header().copied());
        object.field("member", &roster.added().flatten().cloned());
        object.field("members", &List(roster.members()));
    });
    let hexadecimal = With(|object: &mut Object<'_>| {
        object.always("header", &roster.header().map(HexHeader));
        if let Some(added) = roster.added() {
            object.always("member", &added.map(HexMember));
        }
        let members: Vec<HexMember<'_>> = roster.members().iter().map(HexMember).collect();
        object.always("members", &List(&members));
    });
    if hex { object(out, &hexadecimal) } else { object(out, &decimal) }
}

/// A change of members, with what is said of it to people.
#[derive(Clone, Debug)]
pub struct Change<M> {
    said: String,
    answer: M,
}

impl Change<MemberAddResponse> {
    /// Returns the answer of `member add`, with the variables that the new member is to be started with.
    pub fn added(name: &str, peer_urls: &str, answer: MemberAddResponse) -> Self {
        let added = answer.member.clone().unwrap_or_default();
        let learner = if added.is_learner { " as learner" } else { "" };
        let cluster = cluster_of(answer.header.as_ref());
        let name_of =
            |member: &Member| if member.id == added.id { name.to_owned() } else { member.name.clone() };
        let peers = |member: &Member| {
            let name = name_of(member);
            member.peer_ur_ls.iter().map(move |url| format!("{name}={url}")).collect::<Vec<_>>()
        };
        let peers: Vec<String> = answer.members.iter().flat_map(peers).collect();
        let said = [
            format!("Member {:16x} added{learner} to cluster {cluster:16x}", added.id),
            String::new(),
            format!("ETCD_NAME={}", quote(name.as_bytes())),
            format!("ETCD_INITIAL_CLUSTER={}", quote(peers.join(",").as_bytes())),
            format!("ETCD_INITIAL_ADVERTISE_PEER_URLS={}", quote(peer_urls.as_bytes())),
            "ETCD_INITIAL_CLUSTER_STATE=\"existing\"".to_owned(),
        ];
        Change { said: said.join("\n"), answer }
    }
}

impl Change<MemberRemoveResponse> {
    /// Returns the answer of `member remove`.
    pub fn removed(id: u64, answer: MemberRemoveResponse) -> Self {
        let cluster = cluster_of(answer.header.as_ref());
        Change { said: format!("Member {id:16x} removed from cluster {cluster:16x}"), answer }
    }
}

impl Change<MemberUpdateResponse> {
    /// Returns the answer of `member update`.
    pub fn updated(id: u64, answer: MemberUpdateResponse) -> Self {
        let cluster = cluster_of(answer.header.as_ref());
        Change { said: format!("Member {id:16x} updated in cluster {cluster:16x}"), answer }
    }
}

impl Change<MemberPromoteResponse> {
    /// Returns the answer of `member promote`.
    pub fn promoted(id: u64, answer: MemberPromoteResponse) -> Self {
        let cluster = cluster_of(answer.header.as_ref());
        Change { said: format!("Member {id:16x} promoted in cluster {cluster:16x}"), answer }
    }
}

fn cluster_of(header: Option<&ResponseHeader>) -> u64 {
    header.map_or(0, |header| header.cluster_id)
}

impl<M: Roster> Answer for Change<M> {
    fn simple(&self, page: &mut Page) {
        page.line(&self.said);
    }

    fn json(&self, out: &mut Vec<u8>, hex: bool) -> Result<(), Unsupported> {
        write_json(out, &self.answer, hex);
        Ok(())
    }

    fn protobuf(&self) -> Result<Vec<u8>, Unsupported> {
        encoded(&self.answer)
    }
}

impl Answer for MemberListResponse {
    fn simple(&self, page: &mut Page) {
        for row in self.members.iter().map(row) {
            page.line(row.join(", "));
        }
    }

    fn fields(&self, page: &mut Page) -> Result<(), Unsupported> {
        page.header(self.header.as_ref());
        for member in &self.members {
            page.id("ID", member.id);
            page.quoted("Name", member.name.as_bytes());
            member.peer_ur_ls.iter().for_each(|url| page.quoted("PeerURL", url.as_bytes()));
            member.client_ur_ls.iter().for_each(|url| page.quoted("ClientURL", url.as_bytes()));
            page.field("IsLearner", member.is_learner);
            page.line("");
        }
        Ok(())
    }

    fn json(&self, out: &mut Vec<u8>, hex: bool) -> Result<(), Unsupported> {
        write_json(out, self, hex);
        Ok(())
    }

    fn protobuf(&self) -> Result<Vec<u8>, Unsupported> {
        encoded(self)
    }

    fn table(&self) -> Result<Table, Unsupported> {
        let titles = ["ID", "Status", "Name", "Peer Addrs", "Client Addrs", "Is Learner"];
        Ok(Table::new(&titles, self.members.iter().map(row).collect()))
    }
}

/// A member has its name from its own process: without one, it never ran.
fn row(member: &Member) -> Vec<String> {
    let status = if member.name.is_empty() { "unstarted" } else { "started" };
    vec![
        format!("{:x}", member.id),
        status.to_owned(),
        member.name.clone(),
        member.peer_ur_ls.join(","),
        member.client_ur_ls.join(","),
        member.is_learner.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::testing::{header, printed, printed_hex, refused};
    use super::*;

    fn members() -> Vec<Member> {
        let started = Member {
            id: 0x8e9e_05c5_2164_694d,
            name: "n1".to_owned(),
            peer_ur_ls: vec!["http://a:1".to_owned(), "http://b:1".to_owned()],
            client_ur_ls: vec!["http://a:2".to_owned()],
            is_learner: false,
        };
        let new = Member {
            id: 0xab,
            peer_ur_ls: vec!["http://c:1".to_owned()],
            is_learner: true,
            ..Member::default()
        };
        vec![started, new]
    }

    #[test]
    fn members_are_listed_in_every_format() {
        let list = MemberListResponse { header: header(0), members: members() };
        assert_eq!(
            printed("simple", &list),
            "8e9e05c52164694d, started, n1, http://a:1,http://b:1, http://a:2, false\n\
             ab, unstarted, , http://c:1, , true\n"
        );
        assert_eq!(
            printed_hex("fields", &list),
            "\"ClusterID\" : 1\n\"MemberID\" : 2\n\"RaftTerm\" : 3\n\
             \"ID\" : 8e9e05c52164694d\n\"Name\" : \"n1\"\n\"PeerURL\" : \"http://a:1\"\n\
             \"PeerURL\" : \"http://b:1\"\n\"ClientURL\" : \"http://a:2\"\n\"IsLearner\" : false\n\n\
             \"ID\" : ab\n\"Name\" : \"\"\n\"PeerURL\" : \"http://c:1\"\n\"IsLearner\" : true\n\n"
        );
        assert_eq!(
            printed("json", &list),
            "{\"header\":{\"cluster_id\":1,\"member_id\":2,\"raft_term\":3},\"members\":[\
             {\"ID\":10276657743932975437,\"name\":\"n1\",\"peerURLs\":[\"http://a:1\",\"http://b:1\"],\
             \"clientURLs\":[\"http://a:2\"]},{\"ID\":171,\"peerURLs\":[\"http://c:1\"],\"isLearner\":true}]}\n"
        );
        assert!(printed("table", &list).starts_with("┌──────────────────┬"));
        assert_eq!(encoded(&list), list.protobuf());
    }

    #[test]
    fn an_added_member_comes_with_what_it_is_started_with() {
        let members = members();
        let answer = MemberAddResponse { header: header(0), member: Some(members[1].clone()), members };
        let added = Change::added("n2", "http://c:1", answer);
        assert_eq!(
            printed("simple", &added),
            "Member               ab added as learner to cluster                1\n\
             \n\
             ETCD_NAME=\"n2\"\n\
             ETCD_INITIAL_CLUSTER=\"n1=http://a:1,n1=http://b:1,n2=http://c:1\"\n\
             ETCD_INITIAL_ADVERTISE_PEER_URLS=\"http://c:1\"\n\
             ETCD_INITIAL_CLUSTER_STATE=\"existing\"\n"
        );
        assert_eq!(refused("fields", &added), "fields not supported as output format");
        assert_eq!(refused("table", &added), "table not supported as output format");
    }

    #[test]
    fn hexadecimal_json_has_what_is_missing() {
        let removed = Change::removed(7, MemberRemoveResponse { header: header(0), members: Vec::new() });
        assert_eq!(
            printed("simple", &removed),
            "Member                7 removed from cluster                1\n"
        );
        assert_eq!(
            printed_hex("json", &removed),
            "{\"header\":{\"cluster_id\":\"1\",\"member_id\":\"2\",\"raft_term\":3},\"members\":[]}\n"
        );
        assert_eq!(
            printed("json", &removed),
            "{\"header\":{\"cluster_id\":1,\"member_id\":2,\"raft_term\":3}}\n"
        );
        let added = Change::added("n", "", MemberAddResponse::default());
        assert_eq!(printed_hex("json", &added), "{\"header\":null,\"member\":null,\"members\":[]}\n");
    }
}
