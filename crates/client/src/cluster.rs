//! The members of the cluster.

use proto::etcdserverpb as pb;

use crate::client::Client;
use crate::error::Error;
use crate::number::MemberId;

/// Calls about the members. [`Client::cluster`] begins them.
///
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// for member in client.cluster().members().await? {
///     println!("{} {} {:?}", member.id, member.name, member.client_urls);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Cluster {
    client: Client,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Member {
    /// Its id.
    pub id: MemberId,
    /// Its name; empty until it has started.
    pub name: String,
    /// Where other members reach it.
    pub peer_urls: Vec<String>,
    /// Where clients reach it; empty until it has started.
    pub client_urls: Vec<String>,
    /// Whether it has no vote.
    pub is_learner: bool,
}

impl From<pb::Member> for Member {
    fn from(member: pb::Member) -> Member {
        Member {
            id: MemberId(member.id),
            name: member.name,
            peer_urls: member.peer_ur_ls,
            client_urls: member.client_ur_ls,
            is_learner: member.is_learner,
        }
    }
}

fn members(members: Vec<pb::Member>) -> Vec<Member> {
    members.into_iter().map(Member::from).collect()
}

/// A member that was added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// It.
    pub member: Member,
    /// All members, with it.
    pub members: Vec<Member>,
}

impl Client {
    /// Returns the calls about the members. See [`Cluster`].
    pub fn cluster(&self) -> Cluster {
        Cluster { client: self.clone() }
    }
}

/// Errors are those of any call; what is refused has etcd's text.
#[allow(clippy::missing_errors_doc, reason = "said once for all of them")]
impl Cluster {
    /// Returns the members, as a majority knows them.
    pub async fn members(&self) -> Result<Vec<Member>, Error> {
        self.list(pb::MemberListRequest { linearizable: true }).await
    }

    /// Returns the members, as the one that answers knows them. It needs no majority.
    pub async fn members_serializable(&self) -> Result<Vec<Member>, Error> {
        self.list(pb::MemberListRequest { linearizable: false }).await
    }

    async fn list(&self, request: pb::MemberListRequest) -> Result<Vec<Member>, Error> {
        Ok(members(self.client.cluster_stub().member_list(request).await?.into_inner().members))
    }

    /// Adds a member with a vote.
    pub async fn add(&self, peer_urls: impl IntoIterator<Item = impl Into<String>>) -> Result<Added, Error> {
        let peer_ur_ls = peer_urls.into_iter().map(Into::into).collect();
        self.added(pb::MemberAddRequest { peer_ur_ls, is_learner: false }).await
    }

    /// Adds a member without a vote.
    pub async fn add_learner(
        &self,
        peer_urls: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Added, Error> {
        let peer_ur_ls = peer_urls.into_iter().map(Into::into).collect();
        self.added(pb::MemberAddRequest { peer_ur_ls, is_learner: true }).await
    }

    async fn added(&self, request: pb::MemberAddRequest) -> Result<Added, Error> {
        let answer = self.client.cluster_stub().member_add(request).await?.into_inner();
        let member = answer.member.ok_or(Error::Malformed("no member was added"))?;
        Ok(Added { member: member.into(), members: members(answer.members) })
    }

    /// Removes a member. Returns those that are left.
    pub async fn remove(&self, id: impl Into<MemberId>) -> Result<Vec<Member>, Error> {
        let request = pb::MemberRemoveRequest { id: id.into().0 };
        Ok(members(self.client.cluster_stub().member_remove(request).await?.into_inner().members))
    }

    /// Changes where other members reach a member.
    pub async fn update(
        &self,
        id: impl Into<MemberId>,
        peer_urls: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Vec<Member>, Error> {
        let peer_ur_ls = peer_urls.into_iter().map(Into::into).collect();
        let request = pb::MemberUpdateRequest { id: id.into().0, peer_ur_ls };
        Ok(members(self.client.cluster_stub().member_update(request).await?.into_inner().members))
    }

    /// Gives a vote to a member without one.
    pub async fn promote(&self, id: impl Into<MemberId>) -> Result<Vec<Member>, Error> {
        let request = pb::MemberPromoteRequest { id: id.into().0 };
        Ok(members(self.client.cluster_stub().member_promote(request).await?.into_inner().members))
    }
}
