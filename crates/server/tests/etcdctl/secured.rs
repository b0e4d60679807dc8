//! Certificates of the members, and of those who call them, for the script that runs with TLS and users.
//!
//! Both sides of the comparison have the same ones. The common name of a client's certificate is its user.

use std::path::PathBuf;

use tempfile::TempDir;
use testkit::pki::{Authority, Request, replace};
use testkit::ports::free_port;
use testkit::{Program, Server};

/// Whose certificate a call shows that names nobody: one without a common name.
pub(crate) const NOBODY: &str = "nobody";

/// Those whom `as` may name. `stranger` is no user in the script.
const NAMED: [&str; 6] = ["root", "alice", "bob", "carol", "dave", "stranger"];

/// Files, which live as long as this.
pub(crate) struct Certificates {
    directory: TempDir,
}

impl Certificates {
    /// Makes those of everybody.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (clients, peers) = (Authority::new("clients"), Authority::new("peers"));
        replace(directory.path(), "clients.crt", clients.pem().as_bytes());
        replace(directory.path(), "peers.crt", peers.pem().as_bytes());
        clients.issue(&Request::named("server")).write(directory.path(), "server");
        peers.issue(&Request::named("peer")).write(directory.path(), "peer");
        clients.issue(&Request::named("")).write(directory.path(), NOBODY);
        for name in NAMED {
            clients.issue(&Request::named(name)).write(directory.path(), name);
        }
        Self { directory }
    }

    fn file(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// The flags with which etcdctl shows somebody's certificate.
    pub(crate) fn credentials(&self, name: &str) -> [String; 3] {
        [
            format!("--cacert={}", self.file("clients.crt")),
            format!("--cert={}", self.file(&format!("{name}.crt"))),
            format!("--key={}", self.file(&format!("{name}.key"))),
        ]
    }

    /// The flags of a member that demands certificates of clients and peers. Passwords are hashed at the lowest cost, so
    /// that a login takes no longer on a busy machine than any other call.
    fn member_flags(&self) -> Vec<String> {
        let named = [
            ("cert-file", "server.crt"),
            ("key-file", "server.key"),
            ("trusted-ca-file", "clients.crt"),
            ("peer-cert-file", "peer.crt"),
            ("peer-key-file", "peer.key"),
            ("peer-trusted-ca-file", "peers.crt"),
        ];
        let files = named.map(|(flag, file)| format!("--{flag}={}", self.file(file)));
        let others = ["--client-cert-auth", "--peer-client-cert-auth", "--bcrypt-cost=4"].map(str::to_owned);
        files.into_iter().chain(others).collect()
    }
}

/// A member, not started, and the address that it serves clients at with TLS. It has its other one for the question
/// whether it serves.
pub(crate) struct SecuredMember {
    pub(crate) server: Server,
    pub(crate) address: String,
}

/// Prepares the founders of a cluster.
pub(crate) fn prepare(program: &Program, count: usize, certificates: &Certificates) -> Vec<SecuredMember> {
    let member = |index| {
        let server = Server::prepare(program, &format!("m{index}"), &[]);
        SecuredMember { server, address: format!("127.0.0.1:{}", free_port()) }
    };
    let mut members: Vec<SecuredMember> = (0..count).map(member).collect();
    let entries = members.iter().map(|member| member.server.peer_entry().replace("http:", "https:"));
    let entries = entries.collect::<Vec<_>>().join(",");
    for member in &mut members {
        let (plain, secure) = (member.server.client_address(), &member.address);
        let peer = member.server.peer_address();
        let mut flags = certificates.member_flags();
        flags.extend([
            format!("--listen-client-urls=http://{plain},https://{secure}"),
            format!("--advertise-client-urls=https://{secure}"),
            format!("--listen-peer-urls=https://{peer}"),
            format!("--initial-advertise-peer-urls=https://{peer}"),
            format!("--initial-cluster={entries}"),
        ]);
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        member.server.set_extra(&flags);
    }
    members
}

/// Where the certificates are, for messages.
impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Certificates").field(&PathBuf::from(self.directory.path())).finish()
    }
}
