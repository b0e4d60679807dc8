//! `make-mirror` between two servers.

use std::process::Child;

use testkit::pki::{self, Authority, Request};
use testkit::server::free_port;
use testkit::{Program, Server, require, wait};

use super::{ctl, errors, printed};

/// A mirror that runs until this is dropped.
struct Mirror(Child);

impl Mirror {
    fn start(source: &Server, destination: &Server, flags: &[&str]) -> Mirror {
        Mirror::start_to(source, &destination.client_address(), flags)
    }

    fn start_to(source: &Server, destination: &str, flags: &[&str]) -> Mirror {
        let mut command = ctl();
        command.args(["--endpoints", &source.client_address(), "make-mirror"]);
        Mirror(command.args(flags).arg(destination).spawn().unwrap())
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until these are all keys and values of a server.
fn await_pairs(server: &Server, expected: &[(&str, &str)]) {
    await_pairs_as(server, &[], expected);
}

/// Waits until these are all keys and values of a server for a user.
fn await_pairs_as(server: &Server, user: &[&str], expected: &[(&str, &str)]) {
    let expected: String = expected.iter().map(|(key, value)| format!("{key}\n{value}\n")).collect();
    let mut found = String::new();
    let same = wait::within(wait::DEADLINE, || {
        found = printed(server, &[user, &["get", "", "--prefix"]].concat());
        (found == expected).then_some(())
    });
    assert!(same.is_some(), "expected {expected:?}, found {found:?}");
}

fn two_servers(quorate: &Program) -> (Server, Server) {
    (Server::start(quorate, &[]), Server::start(quorate, &[]))
}

#[test]
fn all_keys_are_copied_and_every_change_follows() {
    let quorate = require!("make-mirror", Program::quorate());
    let (source, mut destination) = two_servers(&quorate);
    printed(&source, &["put", "a", "1"]);
    printed(&source, &["put", "b", "2"]);
    let mirror = Mirror::start(&source, &destination, &[]);
    await_pairs(&destination, &[("a", "1"), ("b", "2")]);
    printed(&source, &["put", "c", "3"]);
    printed(&source, &["put", "a", "4"]);
    printed(&source, &["del", "b"]);
    await_pairs(&destination, &[("a", "4"), ("c", "3")]);
    // A destination that is gone ends it: what was not written there is not forgotten in silence.
    destination.kill();
    printed(&source, &["put", "d", "5"]);
    let mut mirror = mirror;
    let status = wait::until("the end of the mirror", || mirror.0.try_wait().unwrap());
    assert_eq!(status.code(), Some(1));
}

#[test]
fn a_prefix_is_kept_exchanged_or_left_out() {
    let quorate = require!("make-mirror of a prefix", Program::quorate());
    let (source, destination) = two_servers(&quorate);
    printed(&source, &["put", "a/1", "x"]);
    printed(&source, &["put", "other", "y"]);
    {
        let _kept = Mirror::start(&source, &destination, &["--prefix", "a/"]);
        await_pairs(&destination, &[("a/1", "x")]);
    }
    {
        let _exchanged = Mirror::start(&source, &destination, &["--prefix", "a/", "--dest-prefix", "b/"]);
        await_pairs(&destination, &[("a/1", "x"), ("b/1", "x")]);
    }
    let _left_out = Mirror::start(&source, &destination, &["--prefix", "a/", "--no-dest-prefix"]);
    await_pairs(&destination, &[("1", "x"), ("a/1", "x"), ("b/1", "x")]);
}

#[test]
fn a_mirror_that_goes_on_begins_at_its_revision() {
    let quorate = require!("make-mirror --rev", Program::quorate());
    let (source, destination) = two_servers(&quorate);
    for (key, value) in [("p/before", "1"), ("p/from", "2"), ("p/after", "3")] {
        printed(&source, &["put", key, value]);
    }
    let _mirror = Mirror::start(&source, &destination, &["--prefix", "p/", "--rev", "3"]);
    await_pairs(&destination, &[("p/after", "3"), ("p/from", "2")]);
}

#[test]
fn a_revision_that_is_compacted_is_an_error() {
    let quorate = require!("make-mirror from a compacted revision", Program::quorate());
    let (source, destination) = two_servers(&quorate);
    for value in ["1", "2", "3"] {
        printed(&source, &["put", "k", value]);
    }
    printed(&source, &["compaction", "4"]);
    let mut command = ctl();
    command.args(["--endpoints", &source.client_address(), "make-mirror", "--rev", "2"]);
    let output = command.arg(destination.client_address()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(errors(&output), "Error: etcdserver: mvcc: required revision has been compacted\n");
}

/// A server with users that has a listener for TLS beside the plain one, at which clients must show a certificate. Returns
/// its endpoint too.
fn secured(quorate: &Program, directory: &std::path::Path) -> (Server, String) {
    let ca = Authority::new("ca");
    pki::replace(directory, "ca.pem", ca.pem().as_bytes());
    ca.issue(&Request::named("server")).write(directory, "server");
    ca.issue(&Request::named("")).write(directory, "mirror");
    let mut server = Server::prepare(quorate, "default", &[]);
    let secure = format!("127.0.0.1:{}", free_port());
    let listening = format!("--listen-client-urls=http://{},https://{secure}", server.client_address());
    let file = |flag: &str, name: &str| format!("--{flag}={}", directory.join(name).display());
    let files = [
        file("cert-file", "server.crt"),
        file("key-file", "server.key"),
        file("trusted-ca-file", "ca.pem"),
        "--client-cert-auth".to_owned(),
    ];
    let flags: Vec<&str> = [&listening].into_iter().chain(&files).map(String::as_str).collect();
    server.set_extra(&flags);
    server.spawn().unwrap();
    server.await_serving().unwrap();
    for line in [
        "user add root:secret",
        "user grant-role root root",
        "role add copies",
        "role grant-permission copies --prefix=true readwrite p/",
        "user add mirror:copied",
        "user grant-role mirror copies",
        "auth enable",
    ] {
        printed(&server, &line.split(' ').collect::<Vec<_>>());
    }
    (server, secure)
}

#[test]
fn the_destination_has_certificates_and_users_of_its_own() {
    let quorate = require!("make-mirror --dest-*", Program::quorate());
    let directory = tempfile::tempdir().unwrap();
    let file = |flag: &str, name: &str| format!("--dest-{flag}={}", directory.path().join(name).display());
    let (destination, endpoint) = secured(&quorate, directory.path());
    let source = Server::start(&quorate, &[]);
    printed(&source, &["put", "p/a", "1"]);
    let [ca, cert, key] = [file("cacert", "ca.pem"), file("cert", "mirror.crt"), file("key", "mirror.key")];
    let whole = [&ca, &cert, &key, "--dest-user=mirror", "--dest-password=copied"].map(|flag: &str| flag);
    let _mirror = Mirror::start_to(&source, &endpoint, &[&["--prefix=p/"][..], &whole].concat());
    await_pairs_as(&destination, &["--user=root:secret"], &[("p/a", "1")]);
    // Each of the flags is needed.
    let failing: [(&[&str], &str); 5] = [
        (&[&cert, &key, "--dest-user=mirror:copied"], "UnknownIssuer"),
        (&["--dest-insecure-transport=false", "--dest-user=mirror:copied"], "UnknownIssuer"),
        (&[&ca, "--dest-user=mirror:copied"], "CertificateRequired"),
        (
            &[&ca, &cert, &key, "--dest-user=mirror:wrong"],
            "authentication failed, invalid user ID or password",
        ),
        (&[&ca, &cert, &key], "permission denied"),
    ];
    for (flags, why) in failing {
        let mut command = ctl();
        command.args(["--endpoints", &source.client_address(), "make-mirror", "--prefix=p/"]);
        let output = command.args(flags).arg(&endpoint).output().unwrap();
        let said = errors(&output);
        // A token is asked for when the client is made: etcdctl has a code of its own for that.
        let code = if flags.iter().any(|flag| flag.starts_with("--dest-user")) { 2 } else { 1 };
        assert!(output.status.code() == Some(code) && said.contains(why), "{flags:?}: {output:?}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    // What the user may not write is not left out in silence.
    printed(&source, &["put", "q/a", "1"]);
    let mut command = ctl();
    command.args(["--endpoints", &source.client_address(), "make-mirror", "--prefix=q/"]).args(whole);
    let output = command.arg(&endpoint).output().unwrap();
    assert!(errors(&output).starts_with("Error: etcdserver: permission denied"), "{}", errors(&output));
}
