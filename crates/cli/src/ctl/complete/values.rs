//! What the cluster has, asked for while a line is typed: under the flags of that line, for a moment, and without a word
//! when it fails.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use clap_complete::engine::CompletionCandidate;
use proto::etcdserverpb::auth_client::AuthClient;
use proto::etcdserverpb::cluster_client::ClusterClient;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::{AuthRoleListRequest, AuthUserListRequest, MemberListRequest, RangeRequest};

use super::keys;
use crate::ctl::connect::{Channel, Session};
use crate::ctl::global::Globals;
use crate::ctl::line;
use crate::ctl::print::Printer;

/// How long somebody waits at the cursor.
const LIMIT: Duration = Duration::from_secs(1);

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A key.
    Key,
    /// The id of a member.
    Member,
    /// A user.
    User,
    /// A role.
    Role,
}

impl Kind {
    /// Returns what the argument of this name is, if the cluster has such things.
    pub(super) fn of_argument(name: &str) -> Option<Kind> {
        match name {
            "<key>" | "<range_end>" => Some(Kind::Key),
            "<memberID>" => Some(Kind::Member),
            "<user>" => Some(Kind::User),
            "<role>" => Some(Kind::Role),
            _ => None,
        }
    }
}

/// Returns the values that begin with `typed`.
pub(super) fn of(kind: Kind, typed: &OsStr, line: &[OsString]) -> Vec<CompletionCandidate> {
    let Some(typed) = typed.to_str() else { return Vec::new() };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Vec::new();
    };
    let asked = async { tokio::time::timeout(LIMIT, ask(kind, typed, line)).await.ok().flatten() };
    runtime.block_on(asked).unwrap_or_default()
}

async fn ask(kind: Kind, typed: &str, line: &[OsString]) -> Option<Vec<CompletionCandidate>> {
    let session = session(line).await?;
    let channel = session.client.channel();
    match kind {
        Kind::Key => Some(keys(channel, typed).await),
        Kind::Member => members(channel, typed).await,
        Kind::User => {
            let answer = AuthClient::new(channel).user_list(AuthUserListRequest::default()).await.ok()?;
            Some(names(answer.into_inner().users, typed))
        }
        Kind::Role => {
            let answer = AuthClient::new(channel).role_list(AuthRoleListRequest::default()).await.ok()?;
            Some(names(answer.into_inner().roles, typed))
        }
    }
}

/// Returns a session under the global flags of the line. A line whose password would have to be asked for has none.
async fn session(typed: &[OsString]) -> Option<Session> {
    let globals = globals(typed)?;
    let printer = Printer::new("simple", false).ok()?;
    Session::open(globals, printer).await.ok()
}

fn globals(typed: &[OsString]) -> Option<Globals> {
    let program = line::program_of(typed);
    let matches = line::grammar(&program).ignore_errors(true).try_get_matches_from(typed).ok()?;
    let mut innermost = &matches;
    while let Some((_, matches)) = innermost.subcommand() {
        innermost = matches;
    }
    let globals = Globals::resolve(innermost).ok()?;
    let (user, password) = (globals.text("user"), globals.text("password"));
    let asks = !user.is_empty() && !user.contains(':') && password.is_empty();
    (!asks || !globals.text("auth-jwt-token").is_empty()).then_some(globals)
}

fn names(names: Vec<String>, typed: &str) -> Vec<CompletionCandidate> {
    names.into_iter().filter(|name| name.starts_with(typed)).map(CompletionCandidate::new).collect()
}

async fn members(channel: Channel, typed: &str) -> Option<Vec<CompletionCandidate>> {
    let answer =
        ClusterClient::new(channel).member_list(MemberListRequest { linearizable: false }).await.ok()?;
    let members =
        answer.into_inner().members.into_iter().map(|member| (format!("{:x}", member.id), member.name));
    let matching = members.filter(|(id, _)| id.starts_with(typed));
    Some(matching.map(|(id, name)| CompletionCandidate::new(id).help(Some(name.into()))).collect())
}

async fn keys(channel: Channel, typed: &str) -> Vec<CompletionCandidate> {
    let read = |from: Vec<u8>, end: Vec<u8>| {
        let mut stub = KvClient::new(channel.clone());
        let request = RangeRequest {
            key: from.into(),
            range_end: end.into(),
            limit: keys::PAGE as i64,
            keys_only: true,
            serializable: true,
            ..RangeRequest::default()
        };
        async move {
            let answer = stub.range(request).await.ok()?.into_inner();
            Some(answer.kvs.into_iter().map(|pair| pair.key.to_vec()).collect())
        }
    };
    keys::segments(typed, read).await.into_iter().map(CompletionCandidate::new).collect()
}
