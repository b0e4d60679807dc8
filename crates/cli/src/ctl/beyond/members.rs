//! The members of a cluster, each asked by itself.

use std::time::Duration;

use futures_util::future::join_all;
use proto::etcdserverpb::cluster_client::ClusterClient;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use proto::etcdserverpb::{
    AlarmRequest, AlarmType, Member, MemberListRequest, StatusRequest, StatusResponse,
};

use crate::ctl::connect::Session;
use crate::ctl::exit::Failure;

/// How long a member may take to say how it is.
const STATUS_LIMIT: Duration = Duration::from_secs(2);

/// Returns a session with one endpoint only.
pub fn at(session: &Session, endpoint: &str) -> Session {
    Session { client: session.client.at(endpoint), ..session.clone() }
}

/// Returns the members by the list of the cluster, and its id. Without a leader, the list may be an old one.
///
/// # Errors
/// When nobody answers.
pub async fn list(session: &Session) -> Result<(Vec<Member>, u64), Failure> {
    let ask = |linearizable| {
        session.call(move |channel| async move {
            ClusterClient::new(channel).member_list(MemberListRequest { linearizable }).await
        })
    };
    let answer = match ask(true).await {
        Ok(answer) => answer,
        Err(failure) => ask(false).await.map_err(|_| failure)?,
    };
    let cluster_id = answer.header.map(|header| header.cluster_id).unwrap_or_default();
    Ok((answer.members, cluster_id))
}

/// Returns what the member at an endpoint says of itself.
///
/// # Errors
/// When it does not answer in time.
pub async fn status(session: &Session, endpoint: &str) -> Result<StatusResponse, Failure> {
    let one = at(session, endpoint);
    let channel = one.client.channel();
    let call = async move { MaintenanceClient::new(channel).status(StatusRequest {}).await };
    one.within(STATUS_LIMIT, call).await
}

/// Returns the first of a member's client URLs that answers, and what it says.
pub async fn first_status(session: &Session, member: &Member) -> Option<(String, StatusResponse)> {
    let asked = join_all(member.client_ur_ls.iter().map(|url| status(session, url))).await;
    let answered =
        member.client_ur_ls.iter().zip(asked).filter_map(|(url, status)| Some((url.clone(), status.ok()?)));
    // A URL that leads elsewhere (`http://localhost:2379` of another host) says so by its id.
    answered
        .into_iter()
        .find(|(_, status)| status.header.as_ref().is_some_and(|header| header.member_id == member.id))
}

/// Returns the alarms that are raised: member and name.
///
/// # Errors
/// When nobody answers, or the user may not ask.
pub async fn alarms(session: &Session) -> Result<Vec<(u64, String)>, Failure> {
    let call = |channel| async move { MaintenanceClient::new(channel).alarm(AlarmRequest::default()).await };
    let answer = session.call(call).await?;
    let name = |alarm: i32| {
        AlarmType::try_from(alarm).map_or_else(|_| alarm.to_string(), |alarm| alarm.as_str_name().to_owned())
    };
    Ok(answer.alarms.into_iter().map(|alarm| (alarm.member_id, name(alarm.alarm))).collect())
}
