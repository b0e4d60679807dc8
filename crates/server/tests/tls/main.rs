//! Real processes with TLS: one member and its clients, who these are by their certificates, three members with each other, and certificates that change
//! while both go on.

mod client;
mod cluster;
mod identity;
mod listeners;
mod member;
mod rotation;

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use testkit::pki::{Authority, Certificate, Request, replace};
use testkit::{Program, Server};

/// The binary that Cargo built.
fn program() -> Program {
    Program::subject(env!("CARGO_BIN_EXE_quorate")).expect("the binary that Cargo built")
}

/// A directory of certificates: a CA for clients and their members, and one for peers.
struct Kit {
    directory: TempDir,
    ca: Authority,
    peer_ca: Authority,
}

impl Kit {
    fn new() -> Kit {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let kit = Kit { directory, ca: Authority::new("test CA"), peer_ca: Authority::new("test peer CA") };
        kit.write("ca.crt", kit.ca.pem());
        kit.write("peer-ca.crt", kit.peer_ca.pem());
        kit.ca.issue(&Request::named("server")).write(kit.path(), "server");
        kit.peer_ca.issue(&Request::named("peer")).write(kit.path(), "peer");
        kit
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn file(&self, name: &str) -> String {
        self.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        replace(self.path(), name, bytes.as_ref())
    }

    /// A client's certificate.
    fn client(&self, name: &str) -> Certificate {
        self.ca.issue(&Request::named(name))
    }

    /// The flags of a member that demands certificates of its clients.
    fn client_flags(&self) -> Vec<String> {
        let file = |flag: &str, name: &str| format!("--{flag}={}", self.file(name));
        vec![
            file("cert-file", "server.crt"),
            file("key-file", "server.key"),
            file("trusted-ca-file", "ca.crt"),
            "--client-cert-auth".to_owned(),
        ]
    }

    /// The flags of a member that demands certificates of its peers.
    fn peer_flags(&self) -> Vec<String> {
        let file = |flag: &str, name: &str| format!("--{flag}={}", self.file(name));
        vec![
            file("peer-cert-file", "peer.crt"),
            file("peer-key-file", "peer.key"),
            file("peer-trusted-ca-file", "peer-ca.crt"),
            "--peer-client-cert-auth".to_owned(),
        ]
    }
}

/// A member with these flags, and an address for clients with TLS beside the one without, by which the test sees that it
/// serves.
fn secured(name: &str, flags: &[String]) -> (Server, String) {
    let secure = format!("127.0.0.1:{}", testkit::ports::free_port());
    let mut server = Server::prepare(&program(), name, &[]);
    let plain = server.client_address();
    let mut extra = vec![
        format!("--listen-client-urls=http://{plain},https://{secure}"),
        format!("--advertise-client-urls=https://{secure}"),
    ];
    extra.extend_from_slice(flags);
    set_extra(&mut server, &extra);
    (server, secure)
}

/// The same, started alone.
fn start_secured(flags: &[String]) -> (Server, String) {
    let (mut server, secure) = secured("default", flags);
    server.restart();
    (server, secure)
}

fn set_extra(server: &mut Server, extra: &[String]) {
    let extra: Vec<&str> = extra.iter().map(String::as_str).collect();
    server.set_extra(&extra);
}
