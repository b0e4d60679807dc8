//! Commands about the cluster: doctor, top and replace.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use testkit::pki::{Authority, Request};
use testkit::{Cluster, Program, Server};

use super::run::{Tool, server};

fn three() -> (Cluster, Tool) {
    let cluster = Cluster::start(&Program::quorate().expect("a server"), 3, &[]);
    let endpoints: Vec<String> = cluster.members().iter().map(Server::client_address).collect();
    (cluster, Tool { endpoints: endpoints.join(","), variables: Vec::new() })
}

#[test]
fn the_doctor_looks_at_every_member() {
    let (mut cluster, tool) = three();
    tool.put("/a", "b");
    let ran = tool.run(&["doctor"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for line in [
        "ok    endpoints     3 of 3 answer",
        "ok    quorum        3 of 3 voters answer, 2 are needed: 1 more may fail",
        "ok    alarms        none",
        "ok    members       3 vote, none learns",
        "ok    clocks        within 2.0s of each other and of this machine",
        "ok    big keys      the biggest of 1 key is /a (3 B)",
    ] {
        assert!(ran.stdout.lines().any(|printed| printed == line), "{line}\n{}", ran.stdout);
    }
    let compaction = ran.stdout.lines().find(|line| line.contains("compaction")).unwrap();
    assert!(compaction.starts_with("ok    compaction    "), "{compaction}");
    cluster.member_mut(2).kill();
    // Whoever is left finds out: an endpoint that is gone must not be the one that is asked.
    let left = Tool { endpoints: cluster.member(0).client_address(), variables: Vec::new() };
    let ran = left.run(&["doctor"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.contains("FAIL  quorum        2 of 3 voters answer, 2 are needed"), "{}", ran.stdout);
}

#[test]
fn the_doctor_without_anybody_says_so() {
    let tool =
        Tool { endpoints: format!("127.0.0.1:{}", testkit::server::free_port()), variables: Vec::new() };
    let ran = tool.run(&["doctor", "--command-timeout=1s"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.starts_with("FAIL  endpoints     1 of 1 do not answer"), "{ran:?}");
}

#[test]
fn a_frame_of_top_is_printed() {
    let (cluster, mut tool) = three();
    tool.put("/a/b/c", "d");
    let frame = tool.ok(&["top", "--once", "--interval=200ms"]);
    let lines: Vec<&str> = frame.lines().collect();
    assert!(lines[0].starts_with("cluster ") && lines[0].contains("revision 2  1 key"), "{frame}");
    let roles: Vec<&str> = lines[3..6].iter().map(|line| line.split_whitespace().nth(1).unwrap()).collect();
    assert_eq!(roles.iter().filter(|role| **role == "leader").count(), 1, "{frame}");
    assert_eq!(roles.iter().filter(|role| **role == "follower").count(), 2, "{frame}");
    assert!(lines[8].starts_with("nothing changes"), "{frame}");
    tool.variables.push(("COLUMNS", "20".into()));
    assert!(
        tool.ok(&["top", "--interval=100ms", "--no-watch"]).lines().all(|line| line.chars().count() <= 20)
    );
    drop(cluster);
}

#[test]
fn the_doctor_reads_certificates() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new("CA");
    let certificate = authority.issue(&Request { days: (-1, 20), ..Request::named("server") });
    let (cert, key) = certificate.write(directory.path(), "server");
    let ca = directory.path().join("ca.crt");
    std::fs::write(&ca, authority.pem()).unwrap();
    let mut server = Server::prepare(&Program::quorate().unwrap(), "m0", &[]);
    let secure = format!("https://127.0.0.1:{}", testkit::server::free_port());
    let listening = format!("--listen-client-urls=http://{},{secure}", server.client_address());
    let advertised = format!("--advertise-client-urls={secure}");
    let files = [format!("--cert-file={}", cert.display()), format!("--key-file={}", key.display())];
    server.set_extra(&[&listening, &advertised, &files[0], &files[1]]);
    server.restart();
    let tool = Tool { endpoints: secure, variables: vec![("ETCDCTL_CACERT", ca.display().to_string())] };
    let ran = tool.run(&["doctor"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let line = ran.stdout.lines().find(|line| line.contains("certificates")).unwrap();
    assert!(line.starts_with("warn  certificates  that of https://127.0.0.1:"), "{line}");
    assert!(line.contains("expires in 20d") || line.contains("expires in 19d"), "{line}");
    assert!(ran.stdout.contains("ok    clocks"), "{ran:?}");
}

/// A run of `replace` that is under way.
struct Replacing {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Replacing {
    fn start(tool: &Tool, old: &str, new: &Server) -> Replacing {
        let urls = format!("http://{}", new.peer_address());
        let mut command = tool.command(&["replace", old, "--name", new.name(), "--peer-urls", &urls]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Replacing { child, output }
    }

    /// Reads up to a line with this text, and returns it.
    fn read_to(&mut self, text: &str) -> String {
        let mut read = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "no {text:?} in\n{read}");
            if line.contains(text) {
                return line;
            }
            read += &line;
        }
    }

    fn end(mut self) {
        assert!(self.child.wait().unwrap().success());
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A member that joins a cluster, with what `replace` says it needs.
fn joining(instruction: &str, mut new: Server) -> Server {
    let (_, entries) = instruction.trim_end().split_once("--initial-cluster=").unwrap();
    new.set_cluster(entries);
    new.set_extra(&["--initial-cluster-state=existing"]);
    new.spawn().unwrap();
    new
}

fn names(tool: &Tool) -> Vec<String> {
    let list = tool.ok(&["export", "/nothing"]);
    assert!(list.starts_with('{'));
    let doctor = tool.run(&["doctor"]).stdout;
    let line = doctor.lines().find(|line| line.contains("versions")).unwrap().to_owned();
    let (_, members) = line.trim_end_matches(')').split_once('(').unwrap();
    members.split(", ").map(str::to_owned).collect()
}

#[test]
fn the_leader_of_three_members_is_replaced() {
    let (mut cluster, tool) = three();
    tool.put("/a", "b");
    let frame = tool.ok(&["top", "--once", "--interval=100ms", "--no-watch"]);
    let leader = frame.lines().find(|line| line.contains("leader")).unwrap();
    let leader = leader.split_whitespace().next().unwrap().to_owned();
    let new = Server::prepare(&Program::quorate().unwrap(), "n9", &[]);
    // The first run ends when the learner is added: the second one goes on.
    let mut first = Replacing::start(&tool, &leader, &new);
    first.read_to("added as a learner");
    first.kill();
    let mut second = Replacing::start(&tool, &leader, &new);
    let instruction = second.read_to("--initial-cluster=");
    let new = joining(&instruction, new);
    for step in ["promoted: it votes", "leadership moved from", "removed", "is no member any more"] {
        second.read_to(step);
    }
    second.end();
    let mut expected: Vec<String> =
        ["m0", "m1", "m2"].map(str::to_owned).into_iter().filter(|name| *name != leader).collect();
    expected.push("n9".to_owned());
    let left = Tool { endpoints: new.client_address(), variables: Vec::new() };
    let mut found = names(&left);
    found.sort();
    assert_eq!(found, expected);
    assert_eq!(left.ok(&["get", "/a", "-w", "raw"]), "b");
    let index = leader[1..].parse().unwrap();
    cluster.member_mut(index).kill();
    left.put("/a", "c");
    // Run again, it is done already.
    let again = left.ok(&[
        "replace",
        &leader,
        "--name",
        "n9",
        "--peer-urls",
        &format!("http://{}", new.peer_address()),
    ]);
    assert!(again.contains("is no member any more"), "{again}");
}

#[test]
fn a_replacement_that_would_stop_the_cluster_is_refused() {
    let (server, tool) = server();
    let own = format!("http://{}", server.peer_address());
    for (member, urls, why) in [
        ("nobody", "http://127.0.0.1:1", "no member is called nobody"),
        ("default", own.as_str(), "itself has the peer URLs"),
    ] {
        let ran = tool.run(&["replace", member, "--name", "n9", "--peer-urls", urls]);
        assert!(ran.code == Some(1) && ran.stderr.contains(why), "{ran:?}");
    }
    assert_eq!(tool.run(&["replace", "default"]).code, Some(128));
}
