//! Members: who the cluster consists of, and what each says of itself.
//!
//! The members that a cluster starts with are its first command, so they have a place in the log like everything
//! else; from then on a member publishes its name and client URLs, and the leader raises the cluster version. How
//! members come and go is [`member_change`](crate::member_change)'s.

use std::collections::{BTreeMap, BTreeSet};

use proto::membershippb::{
    ClusterMemberAttrSetRequest, ClusterVersionSetRequest, DowngradeInfoSetRequest, Member,
};
use proto::quoratepb::ClusterBootstrap;

use crate::source::Failure;
use crate::tables::{self, CLUSTER, CLUSTER_ID, CLUSTER_VERSION, DOWNGRADE};
use crate::{Body, Effect, Machine, Outcome, Rejection, Reply};

/// The cluster as its members agree on it.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Cluster {
    /// `None` until the cluster is bootstrapped.
    pub(crate) id: Option<u64>,
    pub(crate) members: BTreeMap<u64, Member>,
    /// Ids of members that were removed.
    pub(crate) removed: BTreeSet<u64>,
    /// As `X.Y.Z`; `None` until the leader has set it.
    pub(crate) version: Option<String>,
    /// Target version of the downgrade that is under way.
    pub(crate) downgrade: Option<String>,
}

impl Machine {
    /// Sets cluster id and first members.
    pub(crate) fn bootstrap(&mut self, request: &ClusterBootstrap) -> Result<Outcome, Failure> {
        if self.cluster.id.is_some() {
            return Err(Rejection::AlreadyBootstrapped.into());
        }
        self.cluster.id = Some(request.cluster_id);
        self.store.side_put(CLUSTER, CLUSTER_ID, request.cluster_id.to_be_bytes().to_vec());
        for member in &request.members {
            tables::put_member(&mut self.store, member);
            self.cluster.members.insert(member.id, member.clone());
        }
        Ok(self.cluster_changed(Effect::MembersChanged))
    }

    /// A member publishes its name and client URLs.
    pub(crate) fn set_member_attributes(
        &mut self,
        request: &ClusterMemberAttrSetRequest,
    ) -> Result<Outcome, Failure> {
        let member = self.cluster.members.get_mut(&request.member_id).ok_or(Rejection::MemberNotFound)?;
        member.member_attributes.clone_from(&request.member_attributes);
        tables::put_member(&mut self.store, member);
        Ok(self.cluster_changed(Effect::MembersChanged))
    }

    /// The leader sets the cluster version. Lower than before is allowed: that is what a downgrade is.
    pub(crate) fn set_cluster_version(
        &mut self,
        request: &ClusterVersionSetRequest,
    ) -> Result<Outcome, Failure> {
        if !is_version(&request.ver) {
            return Err(Rejection::InvalidClusterVersion.into());
        }
        self.store.side_put(CLUSTER, CLUSTER_VERSION, request.ver.clone());
        self.cluster.version = Some(request.ver.clone());
        Ok(self.cluster_changed(Effect::ClusterVersionChanged))
    }

    /// A downgrade begins or ends.
    pub(crate) fn set_downgrade(&mut self, request: &DowngradeInfoSetRequest) -> Result<Outcome, Failure> {
        if request.enabled {
            self.store.side_put(CLUSTER, DOWNGRADE, request.ver.clone());
        } else {
            self.store.side_delete(CLUSTER, DOWNGRADE);
        }
        self.cluster.downgrade = request.enabled.then(|| request.ver.clone());
        Ok(self.cluster_changed(Effect::ClusterVersionChanged))
    }

    fn cluster_changed(&self, effect: Effect) -> Outcome {
        Outcome::replied(Reply { revision: self.store.revision(), body: Body::empty() }).with_effect(effect)
    }
}

/// Whether the text is `X.Y.Z`, decimal.
fn is_version(text: &str) -> bool {
    let is_number =
        |part: &str| (1..=9).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split('.').count() == 3 && text.split('.').all(is_number)
}

#[cfg(test)]
mod tests {
    use super::is_version;

    #[test]
    fn a_version_is_three_decimal_numbers() {
        assert!(["3.7.0", "0.0.0", "10.20.30"].into_iter().all(is_version));
        assert!(
            !["", "3.7", "3.7.0.0", "3.7.x", "3..0", "v3.7.0", "3.7.0-rc", "3.7.9999999999"]
                .into_iter()
                .any(is_version)
        );
    }
}
