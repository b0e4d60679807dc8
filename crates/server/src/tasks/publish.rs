//! A member's first commands: what the cluster starts as, and who this member is.

use std::time::Duration;

use engine::command::Field;
use prost::Message;
use proto::membershippb::{Attributes, ClusterMemberAttrSetRequest};
use proto::quoratepb::ClusterBootstrap;
use tonic::Code;

use crate::api::Api;

/// Pause before a command that got no answer is proposed again.
const RETRY: Duration = Duration::from_millis(100);

/// What the member says of itself and of the cluster it founds.
#[derive(Debug, Clone)]
pub(crate) struct Introduction {
    /// The founding members; `None` when the log says who they are.
    pub(crate) bootstrap: Option<ClusterBootstrap>,
    /// `--name`.
    pub(crate) name: String,
    /// `--advertise-client-urls`.
    pub(crate) client_urls: Vec<String>,
}

/// Proposes until accepted. Returns when the cluster knows this member.
pub(crate) async fn run(api: &Api, introduction: Introduction) {
    if let Some(bootstrap) = &introduction.bootstrap {
        until_accepted(api, Field::ClusterBootstrap, bootstrap).await;
    }
    let attributes =
        Attributes { name: introduction.name.clone(), client_urls: introduction.client_urls.clone() };
    let request =
        ClusterMemberAttrSetRequest { member_id: api.member_id, member_attributes: Some(attributes) };
    until_accepted(api, Field::ClusterMemberAttrSet, &request).await;
    tracing::info!(
        "local-member-id" = format!("{:x}", api.member_id),
        "cluster-id" = format!("{:x}", api.cluster_id),
        "published local member to cluster through raft"
    );
    // Nobody is served before it is known what the cluster can do.
    while api.status.cluster_version().is_none() {
        super::cluster_version::decide(api).await;
        tokio::time::sleep(RETRY).await;
    }
}

/// Whether the cluster may not have heard of the command.
fn is_no_answer(code: Code) -> bool {
    // Too much is under way: after a start there may be much to be applied again.
    let is_busy = code == Code::ResourceExhausted;
    is_busy || matches!(code, Code::Unavailable | Code::Unknown | Code::DeadlineExceeded)
}

/// Repeats what was not answered; a refusal is an answer: another start of this member did the same before.
async fn until_accepted<M: Message>(api: &Api, field: Field, request: &M) {
    loop {
        match api.propose_as_member(field, request).await {
            Ok(_) => return,
            Err(status) if is_no_answer(status.code()) => {
                tracing::warn!(status = %status, "failed to publish local member; trying again");
                tokio::time::sleep(RETRY).await;
            }
            Err(status) => return tracing::debug!(status = %status, "not published again"),
        }
    }
}
