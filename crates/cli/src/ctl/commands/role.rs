//! `role`: what may be done to which keys.
//!
//! etcdctl waits for the answers to these without limit; here `--command-timeout` holds, as for all short commands.

use bytes::Bytes;
use clap::{ArgMatches, Command as Grammar};
use proto::authpb::{Permission, permission};
use proto::etcdserverpb::auth_client::AuthClient;
use proto::etcdserverpb::{
    AuthRoleAddRequest, AuthRoleDeleteRequest, AuthRoleGetRequest, AuthRoleGrantPermissionRequest,
    AuthRoleListRequest, AuthRoleRevokePermissionRequest,
};

use super::{Command, Group};
use crate::ctl::Invocation;
use crate::ctl::exit::Failure;
use crate::ctl::flags::{self, Flags as _};
use crate::ctl::print::auth::Role;
use crate::ctl::print::outcome::Outcome;
use crate::ctl::range::{ZERO, prefix_end};

/// The command.
pub const COMMAND: Command = Command {
    name: "role",
    group: Group::Authentication,
    grammar,
    run: |invocation| Box::pin(run(invocation)),
};

fn grammar(grammar: Grammar) -> Grammar {
    grammar
        .about("Role related commands. Use `etcdctl role --help` to see subcommands")
        .long_about("Role related commands")
        .subcommand(flags::leaf("add", "Adds a new role", "<role name>", &["new role"]))
        .subcommand(flags::leaf("delete", "Deletes a role", "<role name>", &["role"]))
        .subcommand(flags::leaf("get", "Gets detailed information of a role", "<role name>", &["role"]))
        .subcommand(flags::leaf("list", "Lists all roles", "", &[]))
        .subcommand(
            flags::leaf(
                "grant-permission",
                "Grants a key to a role",
                "[options] <role name> <permission type> <key> [endkey]",
                &["role", "permission", "key", "range_end"],
            )
            .arg(flags::switch("prefix", "grant a prefix permission"))
            .arg(flags::switch(
                "from-key",
                "grant a permission of keys that are greater than or equal to the given key using byte compare",
            )),
        )
        .subcommand(
            flags::leaf("revoke-permission", "Revokes a key from a role", "<role name> <key> [endkey]", &[
                "role", "key", "range_end",
            ])
            .arg(flags::switch("prefix", "revoke a prefix permission"))
            .arg(flags::switch(
                "from-key",
                "revoke a permission of keys that are greater than or equal to the given key using byte compare",
            )),
        )
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    match invocation.name() {
        "add" => add(invocation).await,
        "delete" => delete(invocation).await,
        "get" => get(invocation).await,
        "grant-permission" => grant(invocation).await,
        "revoke-permission" => revoke(invocation).await,
        _ => list(invocation).await,
    }
}

fn only_name(invocation: &Invocation) -> Result<String, Failure> {
    let [name] = invocation.text_arguments().try_into().map_err(|_| {
        let text = format!("role {} command requires role name as its argument", invocation.name());
        Failure::arguments(text)
    })?;
    Ok(name)
}

async fn add(invocation: Invocation) -> Result<(), Failure> {
    let name = only_name(&invocation)?;
    let session = invocation.open().await?;
    let request = AuthRoleAddRequest { name: name.clone() };
    let answer =
        session.call(|channel| async move { AuthClient::new(channel).role_add(request).await }).await?;
    session.print(&Outcome::new(format!("Role {name} created"), answer))
}

async fn delete(invocation: Invocation) -> Result<(), Failure> {
    let name = only_name(&invocation)?;
    let session = invocation.open().await?;
    let request = AuthRoleDeleteRequest { role: name.clone() };
    let answer =
        session.call(|channel| async move { AuthClient::new(channel).role_delete(request).await }).await?;
    session.print(&Outcome::new(format!("Role {name} deleted"), answer))
}

async fn get(invocation: Invocation) -> Result<(), Failure> {
    let name = only_name(&invocation)?;
    let session = invocation.open().await?;
    let request = AuthRoleGetRequest { role: name.clone() };
    let answer =
        session.call(|channel| async move { AuthClient::new(channel).role_get(request).await }).await?;
    session.print(&Role { name, answer })
}

async fn list(invocation: Invocation) -> Result<(), Failure> {
    if !invocation.text_arguments().is_empty() {
        return Err(Failure::arguments("role list command requires no arguments"));
    }
    let session = invocation.open().await?;
    let request = AuthRoleListRequest::default();
    let answer = session.call(|channel| async move { AuthClient::new(channel).role_list(request).await });
    session.print(&answer.await?)
}

async fn grant(invocation: Invocation) -> Result<(), Failure> {
    let (texts, bytes) = (invocation.text_arguments(), invocation.byte_arguments()?);
    let ([name, kind, ..], [_, _, keys @ ..]) = (texts.as_slice(), bytes.as_slice()) else {
        return Err(Failure::arguments(too_few_to_grant()));
    };
    if keys.is_empty() {
        return Err(Failure::arguments(too_few_to_grant()));
    }
    let perm_type = permission_type(kind)?.into();
    let (key, range_end) = range(&invocation.matches, keys)?;
    let perm = Some(Permission { perm_type, key, range_end });
    let session = invocation.open().await?;
    let request = AuthRoleGrantPermissionRequest { name: name.clone(), perm };
    let answer =
        session.call(|channel| async move { AuthClient::new(channel).role_grant_permission(request).await });
    session.print(&Outcome::new(format!("Role {name} updated"), answer.await?))
}

fn too_few_to_grant() -> &'static str {
    "role grant command requires role name, permission type, and key [endkey] as its argument"
}

fn permission_type(name: &str) -> Result<permission::Type, Failure> {
    let known = permission::Type::from_str_name(&name.to_uppercase());
    known.ok_or_else(|| Failure::arguments(format!("invalid permission type: {name}")))
}

async fn revoke(invocation: Invocation) -> Result<(), Failure> {
    let (texts, bytes) = (invocation.text_arguments(), invocation.byte_arguments()?);
    let ([name, ..], [_, keys @ ..]) = (texts.as_slice(), bytes.as_slice()) else {
        return Err(Failure::arguments(too_few_to_revoke()));
    };
    let [given, ..] = keys else {
        return Err(Failure::arguments(too_few_to_revoke()));
    };
    let (key, range_end) = range(&invocation.matches, keys)?;
    let said = revoked(name, given, &range_end);
    let session = invocation.open().await?;
    let request = AuthRoleRevokePermissionRequest { role: name.clone(), key, range_end };
    let answer =
        session.call(|channel| async move { AuthClient::new(channel).role_revoke_permission(request).await });
    session.print(&Outcome::new(said, answer.await?))
}

fn too_few_to_revoke() -> &'static str {
    "role revoke-permission command requires role name and key [endkey] as its argument"
}

/// Returns what is said of a permission that a role has no more.
fn revoked(role: &str, key: &[u8], range_end: &[u8]) -> Vec<u8> {
    let role = role.as_bytes();
    match range_end {
        b"" => [b"Permission of key ", key, b" is revoked from role ", role].concat(),
        b"\0" => [b"Permission of range [", key, b", <open ended> is revoked from role ", role].concat(),
        end => [b"Permission of range [", key, b", ", end, b") is revoked from role ", role].concat(),
    }
}

/// Returns key and range end of a permission. Unlike in a request for keys, the key of no bytes stands for the smallest
/// one, also alone.
fn range(matches: &ArgMatches, keys: &[Bytes]) -> Result<(Bytes, Bytes), Failure> {
    let (prefix, from_key) = (matches.is_on("prefix"), matches.is_on("from-key"));
    let key = keys.first().cloned().unwrap_or_default();
    match (keys.get(1), prefix, from_key) {
        _ if prefix && from_key && (key.is_empty() || keys.len() == 1) => {
            Err(Failure::arguments("--from-key and --prefix flags are mutually exclusive"))
        }
        _ if key.is_empty() => Ok((ZERO, if prefix || from_key { ZERO } else { Bytes::new() })),
        (Some(_), true, _) => Err(Failure::arguments("unexpected endkey argument with --prefix flag")),
        (Some(_), false, true) => Err(Failure::arguments("unexpected endkey argument with --from-key flag")),
        (Some(end), false, false) => Ok((key, end.clone())),
        (None, true, _) => {
            let end = prefix_end(&key);
            Ok((key, end))
        }
        (None, false, true) => Ok((key, ZERO)),
        (None, false, false) => Ok((key, Bytes::new())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range_of(line: &str) -> Result<(String, String), String> {
        let arguments = flags::positionals(&["role", "key", "range_end"]);
        let command = Grammar::new("test")
            .args(arguments)
            .args([flags::switch("prefix", ""), flags::switch("from-key", "")]);
        let words = line.split(' ').map(|word| word.trim_matches('"'));
        let matches = command.get_matches_from(["test", "r"].into_iter().chain(words));
        let keys: Vec<Bytes> =
            matches.positionals()[1..].iter().map(|key| key.to_str().unwrap().to_owned().into()).collect();
        let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        let range = range(&matches, &keys).map(|(key, end)| (text(key), text(end)));
        range.map_err(|failure| failure.text.unwrap())
    }

    #[test]
    fn keys_and_flags_make_a_range() {
        let cases = [
            ("k", ("k", "")),
            ("a c", ("a", "c")),
            ("p/ --prefix", ("p/", "p0")),
            ("m --from-key", ("m", "\0")),
            ("\"\"", ("\0", "")),
            ("\"\" --prefix", ("\0", "\0")),
            ("\"\" --from-key", ("\0", "\0")),
            ("\"\" c", ("\0", "")),
        ];
        for (line, (key, end)) in cases {
            assert_eq!(range_of(line), Ok((key.to_owned(), end.to_owned())), "{line}");
        }
    }

    #[test]
    fn flags_that_exclude_each_other_are_refused() {
        let cases = [
            ("k --prefix --from-key", "--from-key and --prefix flags are mutually exclusive"),
            ("\"\" --prefix --from-key", "--from-key and --prefix flags are mutually exclusive"),
            ("a c --prefix", "unexpected endkey argument with --prefix flag"),
            ("a c --from-key", "unexpected endkey argument with --from-key flag"),
            ("a c --from-key --prefix", "unexpected endkey argument with --prefix flag"),
        ];
        for (line, said) in cases {
            assert_eq!(range_of(line), Err(said.to_owned()), "{line}");
        }
    }

    #[test]
    fn a_revoked_permission_is_named() {
        assert_eq!(revoked("r", b"k", b""), b"Permission of key k is revoked from role r");
        assert_eq!(revoked("r", b"a", b"c"), b"Permission of range [a, c) is revoked from role r");
        assert_eq!(revoked("r", b"a", b"\0"), b"Permission of range [a, <open ended> is revoked from role r");
    }
}
