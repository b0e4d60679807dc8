//! The commands of scripts that are about members.

use std::fmt::Write as _;

use machine::auth::Identity;
use machine::{ChangeRules, MemberChange, Rejection, member_change};
use prost::Message;
use proto::etcdserverpb::{InternalRaftRequest, MemberAddResponse, MemberUpdateResponse};
use proto::membershippb::{
    Attributes, ClusterMemberAttrSetRequest, ClusterVersionSetRequest, Member, RaftAttributes,
};
use proto::quoratepb::{
    ClusterBootstrap, MemberAdd, MemberPromote, MemberRemove, MemberUpdate, MembersReset,
};

use super::super::print;
use super::super::script::Command;
use super::{World, empty, number};

/// The flags of the member that the scripts' commands go to. etcd's default for learners; members of most scripts never
/// start.
const RULES: ChangeRules = ChangeRules { learners_max: 1, strict: false };

impl World {
    pub(super) fn member(&mut self, command: &Command) -> String {
        match command.text(1) {
            "list" => self.members(),
            "bootstrap" => self.propose(bootstrap(command), empty),
            "publish" => self.propose(publish(command), empty),
            "version" => {
                let version = ClusterVersionSetRequest { ver: command.text(2).into() };
                let entry =
                    InternalRaftRequest { cluster_version_set: Some(version.into()), ..Default::default() };
                self.propose(entry, empty)
            }
            "reset" => {
                let reset = MembersReset { keep_id: number(command, 2) as u64 };
                let entry = InternalRaftRequest { members_reset: Some(reset.into()), ..Default::default() };
                self.propose(entry, empty)
            }
            _ => self.change_members(&change(command)),
        }
    }

    /// A change is checked before it is proposed. What the check refuses is applied all the same: except for the number of
    /// learners and for who may do it, applying refuses it with the same words.
    fn change_members(&mut self, entry: &InternalRaftRequest) -> String {
        let entry = &self.with_header(entry.clone());
        let change = MemberChange::of(entry).expect("a change");
        let machine = self.machine();
        let checked = machine.check_change(Identity::of(entry), change, RULES);
        if let Err(rejection @ (Rejection::UserEmpty | Rejection::PermissionDenied)) = checked {
            return print::rejection(rejection);
        }
        if checked == Err(Rejection::TooManyLearners) {
            assert_eq!(
                machine.check_change(Identity::of(entry), change, ChangeRules { learners_max: 2, ..RULES }),
                Ok(())
            );
            return print::rejection(Rejection::TooManyLearners);
        }
        let text = self.propose(entry.clone(), |body| match change {
            MemberChange::Add(_) => {
                let response = MemberAddResponse::decode(body).unwrap();
                let added = print::member(&response.member.expect("the member added"));
                let all: String = response.members.iter().map(print::member).collect();
                format!("added {added}{all}")
            }
            _ => MemberUpdateResponse::decode(body).unwrap().members.iter().map(print::member).collect(),
        });
        if let Err(rejection) = checked {
            assert_eq!(text, print::rejection(rejection));
        }
        text
    }

    fn members(&mut self) -> String {
        let machine = self.machine();
        let id = machine.cluster_id().unwrap_or_default();
        let mut text = format!("cluster {id} version {:?}\n", machine.cluster_version().unwrap_or_default());
        for member in machine.members() {
            text.push_str(&print::member(&member_change::shown(member)));
        }
        for removed in machine.removed_members() {
            writeln!(text, "removed {removed}").unwrap();
        }
        text
    }
}

/// `member bootstrap CLUSTER MEMBER...`
fn bootstrap(command: &Command) -> InternalRaftRequest {
    let members = (3..command.words.len()).map(|place| {
        let id = number(command, place) as u64;
        let port = if id == 1 { 2380 } else { 2380 + 10 * (id - 1) };
        member(id, vec![format!("http://localhost:{port}")], false)
    });
    let bootstrap = ClusterBootstrap { cluster_id: number(command, 2) as u64, members: members.collect() };
    InternalRaftRequest { cluster_bootstrap: Some(bootstrap.into()), ..Default::default() }
}

/// `member publish MEMBER NAME URL`
fn publish(command: &Command) -> InternalRaftRequest {
    let attributes = Attributes { name: command.text(3).into(), client_urls: vec![command.text(4).into()] };
    let publish = ClusterMemberAttrSetRequest {
        member_id: number(command, 2) as u64,
        member_attributes: Some(attributes),
    };
    InternalRaftRequest { cluster_member_attr_set: Some(publish.into()), ..Default::default() }
}

fn member(id: u64, peer_urls: Vec<String>, is_learner: bool) -> Member {
    let raft_attributes = Some(RaftAttributes { peer_urls, is_learner });
    Member { id, raft_attributes, member_attributes: None }
}

/// `member add|learner MEMBER URL...`, `member remove|promote MEMBER`, `member update MEMBER URL...`
fn change(command: &Command) -> InternalRaftRequest {
    let id = number(command, 2) as u64;
    let urls: Vec<String> = (3..command.words.len()).map(|place| command.text(place).to_owned()).collect();
    let entry = InternalRaftRequest::default();
    match command.text(1) {
        kind @ ("add" | "learner") => {
            let add = MemberAdd { member: Some(member(id, urls, kind == "learner")) };
            InternalRaftRequest { member_add: Some(add.into()), ..entry }
        }
        "remove" => InternalRaftRequest { member_remove: Some(MemberRemove { id }.into()), ..entry },
        "promote" => InternalRaftRequest { member_promote: Some(MemberPromote { id }.into()), ..entry },
        "update" => {
            let update = MemberUpdate { id, peer_urls: urls };
            InternalRaftRequest { member_update: Some(update.into()), ..entry }
        }
        other => panic!("unknown member command {other}"),
    }
}
