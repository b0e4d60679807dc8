//! Commands that ask each endpoint by itself, not the cluster through any of them.

use std::future::Future;

use clap::{Arg, ArgMatches};
use proto::etcdserverpb::MemberListRequest;
use proto::etcdserverpb::cluster_client::ClusterClient;
use tonic::{Response, Status};

use super::connect::{Channel, Session, connect};
use super::exit::Failure;
use super::flags::{self, Flags as _};

/// Returns the flag for all endpoints of the cluster.
pub fn cluster_flag() -> Arg {
    flags::switch("cluster", "use all endpoints from the cluster member list")
}

/// Returns the endpoints of the command line, or with `--cluster` those of all members.
///
/// # Errors
/// When the members cannot be listed.
pub async fn of(session: &Session, matches: &ArgMatches) -> Result<Vec<String>, Failure> {
    if !matches.is_on("cluster") {
        return Ok(session.client.endpoints());
    }
    let request = MemberListRequest { linearizable: true };
    let answer =
        session.call(|channel| async move { ClusterClient::new(channel).member_list(request).await });
    let list = answer.await.map_err(|failure| {
        let text = failure.text.unwrap_or_default();
        Failure::error(format!("failed to fetch endpoints from etcd cluster member list: {text}"))
    })?;
    Ok(list.members.into_iter().flat_map(|member| member.client_ur_ls).collect())
}

/// Makes one call to one endpoint, under `--command-timeout`.
///
/// # Errors
/// When the endpoint refuses, or does not answer in time.
pub async fn ask<T, F>(
    session: &Session,
    endpoint: &str,
    call: impl FnOnce(Channel) -> F,
) -> Result<T, Failure>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    let channel = session.client.at(endpoint).channel();
    session.within(session.globals.command_timeout(), call(channel)).await
}

/// Returns channels over connections of their own, as of so many clients.
///
/// # Errors
/// When the user is refused.
pub async fn connections(session: &Session, number: usize) -> Result<Vec<Channel>, Failure> {
    let mut channels = Vec::with_capacity(number);
    for _ in 0..number {
        channels.push(connect(&session.globals, session.client.endpoints()).await?.channel());
    }
    Ok(channels)
}
