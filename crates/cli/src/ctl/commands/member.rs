//! `member`: who belongs to the cluster.

use clap::Command as Grammar;
use proto::etcdserverpb::cluster_client::ClusterClient;
use proto::etcdserverpb::{
    MemberAddRequest, MemberListRequest, MemberPromoteRequest, MemberRemoveRequest, MemberUpdateRequest,
};

use super::get::is_serializable;
use super::{Command, Group};
use crate::ctl::Invocation;
use crate::ctl::exit::Failure;
use crate::ctl::flags::{self, Flags as _};
use crate::ctl::print::member::Change;
use crate::go::number::parse_unsigned_hexadecimal;

/// The command.
pub const COMMAND: Command = Command {
    name: "member",
    group: Group::Maintenance,
    grammar,
    run: |invocation| Box::pin(run(invocation)),
};

const LIST: &str = "\
When --write-out is set to simple, this command prints out comma-separated member lists for each endpoint.
The items in the lists are ID, Status, Name, Peer Addrs, Client Addrs, Is Learner.";

fn grammar(grammar: Grammar) -> Grammar {
    grammar
        .about("Membership related commands. Use `etcdctl member --help` to see subcommands")
        .long_about("Membership related commands")
        .subcommand(
            Grammar::new("add")
                .about("Adds a member into the cluster")
                .override_usage("<memberName> [options]")
                .arg(flags::text("peer-urls", "comma separated peer URLs for the new member."))
                .arg(flags::switch("learner", "indicates if the new member is raft learner"))
                .args(flags::positionals(&["memberName"])),
        )
        .subcommand(
            Grammar::new("remove")
                .about("Removes a member from the cluster")
                .override_usage("<memberID>")
                .args(flags::positionals(&["memberID"])),
        )
        .subcommand(
            Grammar::new("update")
                .about("Updates a member in the cluster")
                .override_usage("<memberID> [options]")
                .arg(flags::text("peer-urls", "comma separated peer URLs for the updated member."))
                .args(flags::positionals(&["memberID"])),
        )
        .subcommand(
            Grammar::new("list")
                .about("Lists all members in the cluster")
                .long_about(LIST)
                .override_usage("")
                .arg(flags::text("consistency", "Linearizable(l) or Serializable(s) (default \"l\")"))
                .args(flags::positionals(&[])),
        )
        .subcommand(
            Grammar::new("promote")
                .about("Promotes a non-voting member in the cluster")
                .long_about("Promotes a non-voting learner member to a voting one in the cluster.")
                .override_usage("<memberID>")
                .args(flags::positionals(&["memberID"])),
        )
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    match invocation.name() {
        "add" => add(invocation).await,
        "remove" => remove(invocation).await,
        "update" => update(invocation).await,
        "promote" => promote(invocation).await,
        _ => list(invocation).await,
    }
}

async fn add(invocation: Invocation) -> Result<(), Failure> {
    let name = match invocation.text_arguments().as_slice() {
        [] => return Err(Failure::arguments("member name not provided")),
        [name] => name.clone(),
        arguments => return Err(Failure::arguments(too_many(arguments))),
    };
    let urls = peer_urls(&invocation)?;
    let is_learner = invocation.matches.is_on("learner");
    let request = MemberAddRequest { peer_ur_ls: split(&urls), is_learner };
    let session = invocation.open().await?;
    let answer =
        session.call(|channel| async move { ClusterClient::new(channel).member_add(request).await }).await?;
    session.print(&Change::added(&name, &urls, answer))
}

fn too_many(arguments: &[String]) -> String {
    let urls = arguments.iter().filter(|argument| argument.to_lowercase().starts_with("http"));
    let meant: String = urls.map(|url| format!(", did you mean --peer-urls={url}")).collect();
    format!("too many arguments{meant}")
}

fn peer_urls(invocation: &Invocation) -> Result<String, Failure> {
    let urls = invocation.matches.text("peer-urls").filter(|urls| !urls.is_empty());
    urls.map(str::to_owned).ok_or_else(|| Failure::arguments("member peer urls not provided"))
}

fn split(urls: &str) -> Vec<String> {
    urls.split(',').map(str::to_owned).collect()
}

async fn remove(invocation: Invocation) -> Result<(), Failure> {
    let id = only_id(&invocation)?;
    let session = invocation.open().await?;
    let request = MemberRemoveRequest { id };
    let answer =
        session.call(|channel| async move { ClusterClient::new(channel).member_remove(request).await });
    session.print(&Change::removed(id, answer.await?))
}

async fn update(invocation: Invocation) -> Result<(), Failure> {
    let id = only_id(&invocation)?;
    let request = MemberUpdateRequest { id, peer_ur_ls: split(&peer_urls(&invocation)?) };
    let session = invocation.open().await?;
    let answer =
        session.call(|channel| async move { ClusterClient::new(channel).member_update(request).await });
    session.print(&Change::updated(id, answer.await?))
}

async fn promote(invocation: Invocation) -> Result<(), Failure> {
    let id = only_id(&invocation)?;
    let session = invocation.open().await?;
    let request = MemberPromoteRequest { id };
    let answer =
        session.call(|channel| async move { ClusterClient::new(channel).member_promote(request).await });
    session.print(&Change::promoted(id, answer.await?))
}

/// Returns the member that is the only argument.
fn only_id(invocation: &Invocation) -> Result<u64, Failure> {
    let arguments = invocation.text_arguments();
    let [id] = arguments.as_slice() else {
        return Err(Failure::arguments("member ID is not provided"));
    };
    parse_unsigned_hexadecimal(id)
        .map_err(|why| Failure::arguments(format!("bad member ID arg ({why}), expecting ID in Hex")))
}

async fn list(invocation: Invocation) -> Result<(), Failure> {
    let linearizable = !is_serializable(invocation.matches.text("consistency").unwrap_or("l"))?;
    let session = invocation.open().await?;
    let request = MemberListRequest { linearizable };
    let answer =
        session.call(|channel| async move { ClusterClient::new(channel).member_list(request).await });
    session.print(&answer.await?)
}
