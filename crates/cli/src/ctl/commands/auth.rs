//! `auth`: whether the cluster asks who calls.

use clap::Command as Grammar;
use proto::etcdserverpb::auth_client::AuthClient;
use proto::etcdserverpb::{
    AuthDisableRequest, AuthEnableRequest, AuthRoleAddRequest, AuthStatusRequest, AuthUserGrantRoleRequest,
};

use super::{Command, Group};
use crate::ctl::Invocation;
use crate::ctl::connect::Session;
use crate::ctl::exit::Failure;
use crate::ctl::flags;
use crate::ctl::print::write_line;

/// The command.
pub const COMMAND: Command = Command {
    name: "auth",
    group: Group::Authentication,
    grammar,
    run: |invocation| Box::pin(run(invocation)),
};

/// The user and the role that may do everything. Authentication is enabled when the one has the other.
const ROOT: &str = "root";

/// What the server says when it has not.
const NO_ROOT_ROLE: &str = "etcdserver: root user does not have root role";

fn grammar(grammar: Grammar) -> Grammar {
    let leaf = |name, about| flags::leaf(name, about, "", &[]);
    grammar
        .about("Enable or disable authentication. Use `etcdctl auth --help` to see subcommands")
        .long_about("Enable or disable authentication")
        .subcommand(leaf("enable", "Enables authentication"))
        .subcommand(leaf("disable", "Disables authentication"))
        .subcommand(leaf("status", "Returns authentication status"))
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    let name = invocation.name().to_owned();
    if !invocation.text_arguments().is_empty() {
        return Err(Failure::arguments(format!("auth {name} command does not accept any arguments")));
    }
    let session = invocation.open().await?;
    match name.as_str() {
        "enable" => enable(&session).await,
        "disable" => disable(&session).await,
        _ => status(&session).await,
    }
}

async fn enable(session: &Session) -> Result<(), Failure> {
    match try_enable(session).await {
        Err(failure) if failure.text.as_deref().is_some_and(|text| text.starts_with(NO_ROOT_ROLE)) => {
            make_root(session).await?;
            try_enable(session).await?;
        }
        ended => ended?,
    }
    write_line("Authentication Enabled")
}

async fn try_enable(session: &Session) -> Result<(), Failure> {
    let request = AuthEnableRequest::default();
    session.call(|channel| async move { AuthClient::new(channel).auth_enable(request).await }).await?;
    Ok(())
}

async fn make_root(session: &Session) -> Result<(), Failure> {
    let role = AuthRoleAddRequest { name: ROOT.to_owned() };
    session.call(|channel| async move { AuthClient::new(channel).role_add(role).await }).await?;
    let grant = AuthUserGrantRoleRequest { user: ROOT.to_owned(), role: ROOT.to_owned() };
    session.call(|channel| async move { AuthClient::new(channel).user_grant_role(grant).await }).await?;
    Ok(())
}

async fn disable(session: &Session) -> Result<(), Failure> {
    let request = AuthDisableRequest::default();
    session.call(|channel| async move { AuthClient::new(channel).auth_disable(request).await }).await?;
    write_line("Authentication Disabled")
}

async fn status(session: &Session) -> Result<(), Failure> {
    let request = AuthStatusRequest::default();
    let answer = session.call(|channel| async move { AuthClient::new(channel).auth_status(request).await });
    session.print(&answer.await?)
}
