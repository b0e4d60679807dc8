//! `etcdserverpb.Cluster`.

use proto::etcdserverpb::{Member, MemberListRequest, MemberListResponse};
use tonic::Status;

use super::Api;
use crate::grpc::reply::Plain;

impl Api {
    /// Members, by id.
    pub(crate) async fn member_list(
        &self,
        request: MemberListRequest,
    ) -> Result<Plain<MemberListResponse>, Status> {
        if request.linearizable {
            self.read_barrier().await?;
        }
        let members = self.status.members().iter().map(member).collect();
        // No revision in the headers of this service (contract: api, section 4).
        Ok(Plain(MemberListResponse { header: Some(self.header(0).to_message()), members }))
    }
}

/// A member as clients see it.
fn member(stored: &proto::membershippb::Member) -> Member {
    let raft = stored.raft_attributes.clone().unwrap_or_default();
    let attributes = stored.member_attributes.clone().unwrap_or_default();
    Member {
        id: stored.id,
        name: attributes.name,
        peer_ur_ls: raft.peer_urls,
        client_ur_ls: attributes.client_urls,
        is_learner: raft.is_learner,
    }
}
