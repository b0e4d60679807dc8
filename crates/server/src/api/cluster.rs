//! `etcdserverpb.Cluster`.
//!
//! What this member can see is checked here, with its own flags and connections, as etcd does: the URLs, and with
//! `--strict-reconfig-check` whether the change would cost the cluster its quorum ([`quorum`]). What only the leader knows is
//! checked there (see [`engine::change`]).

mod quorum;

use std::time::{SystemTime, UNIX_EPOCH};

use engine::command::Field;
use machine::member_change::shown;
use proto::etcdserverpb::{
    MemberAddRequest, MemberListRequest, MemberListResponse, MemberPromoteRequest, MemberRemoveRequest,
    MemberUpdateRequest,
};
use proto::membershippb::{Member, RaftAttributes};
use proto::quoratepb::{MemberAdd, MemberPromote, MemberRemove, MemberUpdate};
use tonic::Status;

use self::quorum::{Endangered, Neighbours};
use super::Api;
use crate::auth::Caller;
use crate::config::Url;
use crate::grpc::reply::{Plain, Spliced};
use crate::ids::added_member_id;

impl Api {
    /// Members, by id.
    pub(crate) async fn member_list(
        &self,
        _caller: &Caller,
        request: MemberListRequest,
    ) -> Result<Plain<MemberListResponse>, Status> {
        if request.linearizable {
            self.read_barrier().await?;
        }
        let members = self.status.members().iter().map(shown).collect();
        // No revision in the headers of this service (contract: api, section 4).
        Ok(Plain(MemberListResponse { header: Some(self.header(0).to_message()), members }))
    }

    /// A member joins, as a voter or a learner; it starts later.
    pub(crate) async fn member_add(
        &self,
        caller: &Caller,
        request: MemberAddRequest,
    ) -> Result<Spliced, Status> {
        let urls = peer_urls(&request.peer_ur_ls)?;
        let id = added_member_id(&urls, unix_seconds());
        if self.settings.change_rules.strict {
            let checked = self.with_neighbours(|neighbours| neighbours.may_add(request.is_learner));
            checked.map_err(|endangered| refused("member add", id.0, endangered))?;
        }
        let raft_attributes = RaftAttributes {
            peer_urls: urls.iter().map(Url::to_string).collect(),
            is_learner: request.is_learner,
        };
        let member = Member { id: id.0, raft_attributes: Some(raft_attributes), member_attributes: None };
        let reply =
            self.propose_change(caller, Field::MemberAdd, &MemberAdd { member: Some(member) }).await?;
        Ok(self.spliced(reply))
    }

    /// A member leaves, and stops.
    pub(crate) async fn member_remove(
        &self,
        caller: &Caller,
        request: MemberRemoveRequest,
    ) -> Result<Spliced, Status> {
        if self.settings.change_rules.strict {
            let checked = self.with_neighbours(|neighbours| neighbours.may_remove(request.id));
            checked.map_err(|endangered| refused("member remove", request.id, endangered))?;
        }
        let reply =
            self.propose_change(caller, Field::MemberRemove, &MemberRemove { id: request.id }).await?;
        Ok(self.spliced(reply))
    }

    /// A member is reached elsewhere. As in etcd, whatever is said to be its URLs is taken.
    pub(crate) async fn member_update(
        &self,
        caller: &Caller,
        request: MemberUpdateRequest,
    ) -> Result<Spliced, Status> {
        let update = MemberUpdate { id: request.id, peer_urls: request.peer_ur_ls };
        let reply = self.propose_change(caller, Field::MemberUpdate, &update).await?;
        Ok(self.spliced(reply))
    }

    /// A learner gets a vote. Whether it is ready for that is known to the leader alone.
    pub(crate) async fn member_promote(
        &self,
        caller: &Caller,
        request: MemberPromoteRequest,
    ) -> Result<Spliced, Status> {
        let promote = MemberPromote { id: request.id };
        let reply = self.propose_change(caller, Field::MemberPromote, &promote).await?;
        self.metrics.server.learner_promote_successes.inc();
        Ok(self.spliced(reply))
    }

    /// Asks something about this member and those it is connected with.
    fn with_neighbours<T>(&self, question: impl FnOnce(&Neighbours<'_>) -> T) -> T {
        let members = self.status.members();
        let active_since = |id| self.active_since(id);
        question(&Neighbours { own_id: self.member_id, members: &members, active_since: &active_since })
    }
}

/// The URLs of a member to be, as etcd takes them: at least one, addresses only, in order.
fn peer_urls(texts: &[String]) -> Result<Vec<Url>, Status> {
    let bad = || Status::invalid_argument("etcdserver: given member URLs are invalid");
    let mut urls =
        texts.iter().map(|text| Url::parse(text)).collect::<Result<Vec<_>, _>>().map_err(|_| bad())?;
    if urls.is_empty() {
        return Err(bad());
    }
    urls.sort();
    Ok(urls)
}

/// The change would put the quorum at risk: said to the caller, and to the operator who wonders why.
fn refused(request: &str, id: u64, endangered: Endangered) -> Status {
    let member = format!("{id:x}");
    tracing::warn!("requested-member-id" = member, error = %endangered, "rejecting {request} request");
    match endangered {
        Endangered::NotEnoughStarted => super::status::rejected(machine::Rejection::NotEnoughStarted),
        Endangered::Unhealthy => Status::unavailable(Endangered::Unhealthy.to_string()),
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_a_new_member_are_addresses() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let urls = peer_urls(&texts(&["http://b:1", " https://a:1"])).unwrap();
        assert_eq!(urls.iter().map(Url::as_str).collect::<Vec<_>>(), ["http://b:1", "https://a:1"]);
        for bad in [&[][..], &["http://a"], &["http://a:1/x"], &["a:1"], &["http://a:1", ""]] {
            let status = peer_urls(&texts(bad)).unwrap_err();
            assert_eq!(status.message(), "etcdserver: given member URLs are invalid", "{bad:?}");
        }
    }
}
