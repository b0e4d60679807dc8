//! A cluster that finds its founders in the DNS: real members, a real resolver, a name server of the test's.
//!
//! Which name server a process asks is the host's affair (`/etc/resolv.conf`), and its port is 53. So the members run in a
//! mount namespace of their own, with another `resolv.conf`, and the name server has a loopback address of its own. Where
//! that is not allowed the test is skipped; `bootstrap/srv.rs` has the same without the namespace, in one process.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::dns::{NameServer, Record};
use testkit::{Program, Server, skip};

use crate::client::{eventually, get, put};
use crate::program;

const DOMAIN: &str = "quorate.test";

/// Runs its arguments, the first of which is a `resolv.conf`, with that one in place of the host's.
const NAMESPACE: &str = "mount --bind \"$1\" /etc/resolv.conf && shift && exec \"$@\"";

/// The name server's address: on loopback, and nobody else's.
fn name_server_address() -> SocketAddr {
    let id = std::process::id();
    (Ipv4Addr::new(127, 53, (id >> 8) as u8, (id as u8).clamp(1, 254)), 53).into()
}

/// The flags of `unshare` that make a namespace in which something can be mounted. `Err` says why none can be made.
fn namespace(resolv_conf: &Path) -> Result<Vec<&'static str>, String> {
    let mut why = String::new();
    // As root, or else as the root of a user namespace.
    for flags in [vec!["--mount"], vec!["--user", "--map-root-user", "--mount"]] {
        let command = ["sh", "-c", NAMESPACE, "sh"];
        let tried = Command::new("unshare").args(&flags).args(command).arg(resolv_conf).arg("true").output();
        match tried {
            Ok(output) if output.status.success() => return Ok(flags),
            Ok(output) => why = String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => why = error.to_string(),
        }
    }
    Err(format!("no mount namespace: {why}"))
}

/// A program that runs ours there.
fn namespaced(directory: &Path, resolv_conf: &Path) -> Result<Program, String> {
    let flags = namespace(resolv_conf)?.join(" ");
    let path: PathBuf = directory.join("quorate-there");
    let (ours, conf) = (program().path().display().to_string(), resolv_conf.display().to_string());
    // Members are started without an environment.
    let script = format!(
        "#!/bin/sh\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\nexec unshare {flags} sh -c '{NAMESPACE}' sh '{conf}' '{ours}' \"$@\"\n"
    );
    std::fs::write(&path, script).expect("a file in a fresh directory");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("it is ours");
    Program::at(&path)
}

/// Three members, each of which only knows the domain.
fn members(program: &Program) -> Vec<Server> {
    (0..3)
        .map(|number| {
            let mut member = Server::prepare(program, &format!("m{number}"), &[]);
            member.set_discovery(DOMAIN);
            member
        })
        .collect()
}

fn records(members: &[Server]) -> Vec<Record> {
    let mut records = Vec::new();
    for member in members {
        let host = format!("{}.{DOMAIN}", member.name());
        let port = member.peer_address().rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        records.push(Record::Srv(
            format!("_etcd-server._tcp.{DOMAIN}"),
            host.clone(),
            port.expect("an address has a port"),
        ));
        records.push(Record::A(host, Ipv4Addr::LOCALHOST));
    }
    records
}

#[tokio::test]
async fn three_members_found_each_other_through_the_dns() {
    const TEST: &str = "discovery";
    let directory = tempfile::tempdir().expect("a temporary directory");
    let resolv_conf = directory.path().join("resolv.conf");
    let address = name_server_address();
    let conf = format!("nameserver {}\noptions timeout:1 attempts:5\n", address.ip());
    std::fs::write(&resolv_conf, conf).expect("a file in a fresh directory");
    // Not even CI may be allowed to do this.
    let there = match namespaced(directory.path(), &resolv_conf) {
        Ok(there) => there,
        Err(why) => return skip::excuse(TEST, &why),
    };
    let mut members = members(&there);
    let _name_server = match NameServer::start(address, records(&members)) {
        Ok(name_server) => name_server,
        Err(error) => return skip::excuse(TEST, &format!("no name server at {address}: {error}")),
    };
    members.iter_mut().for_each(|member| member.spawn().expect("it starts"));
    members.iter_mut().for_each(|member| member.await_serving().expect("it serves"));

    put(&members[0], "key", "value").await.expect("a write");
    for member in &members {
        assert_eq!(get(member, "key").await.expect("a read").as_deref(), Some("value"));
    }
    members[0].kill();
    eventually("the other two to write", || async { put(&members[1], "key", "two").await.ok() }).await;
    // What its data says counts from now on.
    members[0].restart();
    assert_eq!(get(&members[0], "key").await.expect("a read").as_deref(), Some("two"));
}
