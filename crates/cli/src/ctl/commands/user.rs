//! `user`: who may call, and in which roles.
//!
//! etcdctl waits for the answers to these without limit; here `--command-timeout` holds, as for all short commands.

use clap::Command as Grammar;
use proto::authpb::UserAddOptions;
use proto::etcdserverpb::auth_client::AuthClient;
use proto::etcdserverpb::{
    AuthRoleGetRequest, AuthUserAddRequest, AuthUserChangePasswordRequest, AuthUserDeleteRequest,
    AuthUserGetRequest, AuthUserGrantRoleRequest, AuthUserListRequest, AuthUserRevokeRoleRequest,
};

use super::{Command, Group};
use crate::ctl::connect::Session;
use crate::ctl::exit::Failure;
use crate::ctl::flags::{self, Flags as _};
use crate::ctl::print::auth::{Role, User};
use crate::ctl::print::outcome::Outcome;
use crate::ctl::print::write_line;
use crate::ctl::{Invocation, prompt};

/// The command.
pub const COMMAND: Command = Command {
    name: "user",
    group: Group::Authentication,
    grammar,
    run: |invocation| Box::pin(run(invocation)),
};

fn grammar(grammar: Grammar) -> Grammar {
    grammar
        .about("User related commands. Use `etcdctl user --help` to see subcommands")
        .long_about("User related commands")
        .subcommand(
            flags::leaf("add", "Adds a new user", "<user name or user:password> [options]", &["new user"])
                .arg(flags::switch(
                    "interactive",
                    "Read password from stdin instead of interactive terminal (default true)",
                ))
                .arg(flags::text("new-user-password", "Supply password from the command line flag"))
                .arg(flags::switch("no-password", "Create a user without password (CN based auth only)")),
        )
        .subcommand(flags::leaf("delete", "Deletes a user", "<user name>", &["user"]))
        .subcommand(
            flags::leaf("get", "Gets detailed information of a user", "<user name> [options]", &["user"])
                .arg(flags::switch("detail", "Show permissions of roles granted to the user")),
        )
        .subcommand(flags::leaf("list", "Lists all users", "", &[]))
        .subcommand(
            flags::leaf("passwd", "Changes password of user", "<user name> [options]", &["user"]).arg(
                flags::switch(
                    "interactive",
                    "If true, read password from stdin instead of interactive terminal (default true)",
                ),
            ),
        )
        .subcommand(flags::leaf(
            "grant-role",
            "Grants a role to a user",
            "<user name> <role name>",
            &["user", "role"],
        ))
        .subcommand(flags::leaf(
            "revoke-role",
            "Revokes a role from a user",
            "<user name> <role name>",
            &["user", "role"],
        ))
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    match invocation.name() {
        "add" => add(invocation).await,
        "delete" => delete(invocation).await,
        "get" => get(invocation).await,
        "passwd" => passwd(invocation).await,
        "grant-role" => grant_role(invocation).await,
        "revoke-role" => revoke_role(invocation).await,
        _ => list(invocation).await,
    }
}

/// Returns the arguments when there are `N` of them.
fn exactly<const N: usize>(invocation: &Invocation, otherwise: &str) -> Result<[String; N], Failure> {
    invocation.text_arguments().try_into().map_err(|_| Failure::arguments(otherwise))
}

async fn add(invocation: Invocation) -> Result<(), Failure> {
    let [argument] = exactly(&invocation, "user add command requires user name as its argument")?;
    let request = add_request(&invocation, argument)?;
    let name = request.name.clone();
    let session = invocation.open().await?;
    let answer =
        session.call(|channel| async move { AuthClient::new(channel).user_add(request).await }).await?;
    session.print(&Outcome::new(format!("User {name} created"), answer))
}

fn add_request(invocation: &Invocation, argument: String) -> Result<AuthUserAddRequest, Failure> {
    let no_password = invocation.matches.is_on("no-password");
    let given = invocation.matches.text("new-user-password").filter(|password| !password.is_empty());
    let (name, password) = match (given, argument.split_once(':')) {
        _ if no_password => (argument, String::new()),
        (Some(password), _) => (argument, password.to_owned()),
        (None, Some(("", _))) => return Err(Failure::arguments("empty user name is not allowed")),
        (None, Some((name, password))) => (name.to_owned(), password.to_owned()),
        (None, None) => {
            let password = ask(invocation, &argument)?;
            (argument, password)
        }
    };
    let options = Some(UserAddOptions { no_password });
    Ok(AuthUserAddRequest { name, password, options, ..AuthUserAddRequest::default() })
}

/// Returns a new password: typed twice without echo, or read from standard input with `--interactive=false`.
fn ask(invocation: &Invocation, name: &str) -> Result<String, Failure> {
    if !invocation.matches.get_one("interactive").copied().unwrap_or(true) {
        return read_word().map_err(Failure::error);
    }
    let password = prompt::password(&format!("Password of {name}: "))?;
    if password.is_empty() {
        return Err(Failure::arguments("empty password"));
    }
    if prompt::password(&format!("Type password of {name} again for confirmation: "))? != password {
        return Err(Failure::arguments("given passwords are different"));
    }
    Ok(password)
}

/// Returns the first word of the first line of standard input.
fn read_word() -> std::io::Result<String> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.split_whitespace().next().unwrap_or_default().to_owned())
}

async fn delete(invocation: Invocation) -> Result<(), Failure> {
    let [name] = exactly(&invocation, "user delete command requires user name as its argument")?;
    let session = invocation.open().await?;
    let request = AuthUserDeleteRequest { name: name.clone() };
    let answer =
        session.call(|channel| async move { AuthClient::new(channel).user_delete(request).await }).await?;
    session.print(&Outcome::new(format!("User {name} deleted"), answer))
}

async fn get(invocation: Invocation) -> Result<(), Failure> {
    let [name] = exactly(&invocation, "user get command requires user name as its argument")?;
    let session = invocation.open().await?;
    let request = AuthUserGetRequest { name: name.clone() };
    let answer =
        session.call(|channel| async move { AuthClient::new(channel).user_get(request).await }).await?;
    if invocation.matches.is_on("detail") {
        return detail(&session, &name, answer.roles).await;
    }
    session.print(&User { name, answer })
}

/// Prints the permissions of each role. The first line is the same in every format, as in etcdctl.
async fn detail(session: &Session, name: &str, roles: Vec<String>) -> Result<(), Failure> {
    write_line(format_args!("User: {name}"))?;
    for name in roles {
        write_line("")?;
        let request = AuthRoleGetRequest { role: name.clone() };
        let answer =
            session.call(|channel| async move { AuthClient::new(channel).role_get(request).await }).await?;
        session.print(&Role { name, answer })?;
    }
    Ok(())
}

async fn list(invocation: Invocation) -> Result<(), Failure> {
    let [] = exactly(&invocation, "user list command requires no arguments")?;
    let session = invocation.open().await?;
    let request = AuthUserListRequest::default();
    let answer = session.call(|channel| async move { AuthClient::new(channel).user_list(request).await });
    session.print(&answer.await?)
}

async fn passwd(invocation: Invocation) -> Result<(), Failure> {
    let [name] = exactly(&invocation, "user passwd command requires user name as its argument")?;
    let password = ask(&invocation, &name)?;
    let session = invocation.open().await?;
    let request =
        AuthUserChangePasswordRequest { name, password, ..AuthUserChangePasswordRequest::default() };
    let answer =
        session.call(|channel| async move { AuthClient::new(channel).user_change_password(request).await });
    session.print(&Outcome::new("Password updated", answer.await?))
}

async fn grant_role(invocation: Invocation) -> Result<(), Failure> {
    let [user, role] =
        exactly(&invocation, "user grant command requires user name and role name as its argument")?;
    let session = invocation.open().await?;
    let said = format!("Role {role} is granted to user {user}");
    let request = AuthUserGrantRoleRequest { user, role };
    let answer =
        session.call(|channel| async move { AuthClient::new(channel).user_grant_role(request).await });
    session.print(&Outcome::new(said, answer.await?))
}

async fn revoke_role(invocation: Invocation) -> Result<(), Failure> {
    let [name, role] =
        exactly(&invocation, "user revoke-role requires user name and role name as its argument")?;
    let session = invocation.open().await?;
    let said = format!("Role {role} is revoked from user {name}");
    let request = AuthUserRevokeRoleRequest { name, role };
    let answer =
        session.call(|channel| async move { AuthClient::new(channel).user_revoke_role(request).await });
    session.print(&Outcome::new(said, answer.await?))
}
