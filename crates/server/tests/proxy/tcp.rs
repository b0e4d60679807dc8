//! `gateway start`.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;

use testkit::server::free_port;
use testkit::{http, wait};

use crate::support::{Proxy, etcdctl, member, run};

/// Answers every connection with a name, once the client has said all that it has to say.
fn echo(name: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound socket").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut said = String::new();
            if stream.read_to_string(&mut said).is_ok() {
                let _ = stream.write_all(format!("{name}:{said}").as_bytes());
            }
        }
    });
    address
}

/// Says something, closes its half, and returns the answer.
fn ask(address: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the gateway listens");
    stream.write_all(b"words").expect("a connection");
    stream.shutdown(Shutdown::Write).expect("a connection");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[test]
fn connections_take_turns_and_half_a_connection_may_be_closed() {
    let endpoints = format!("{},http://{}", echo("a"), echo("b"));
    let gateway = Proxy::start("gateway", &["--endpoints", &endpoints]);
    let mut answers: Vec<String> = (0..4).map(|_| ask(&gateway.address())).collect();
    answers.sort();
    assert_eq!(answers, ["a:words", "a:words", "b:words", "b:words"]);
}

#[test]
fn an_endpoint_that_is_not_there_is_set_aside_and_taken_back() {
    let late = format!("127.0.0.1:{}", free_port());
    let endpoints = format!("{late},{}", echo("here"));
    let gateway = Proxy::start("gateway", &["--endpoints", &endpoints, "--retry-delay=100ms"]);
    for _ in 0..4 {
        assert_eq!(ask(&gateway.address()), "here:words");
    }
    assert_eq!(gateway.log().matches("deactivated endpoint").count(), 1, "{}", gateway.log());
    let listener = TcpListener::bind(&late).expect("a port that was free");
    wait::until("the endpoint is taken back", || gateway.log().contains("\"activated\"").then_some(()));
    drop(listener);
}

#[test]
fn etcdctl_and_http_work_through_the_gateway() {
    let test = "etcdctl_and_http_work_through_the_gateway";
    let member = member();
    let mut gateway = Proxy::start("gateway", &["--endpoints", &member.client_address()]);
    assert_eq!(http::get(&gateway.address(), "/health").status, 200);
    if let Some(said) = etcdctl(test, &gateway.address(), &["put", "k", "v"]) {
        assert_eq!(said, "OK\n");
        assert_eq!(etcdctl(test, &gateway.address(), &["get", "k"]).expect("it was there"), "k\nv\n");
    }
    assert_eq!(gateway.terminate().signal(), Some(15), "it dies of the signal, as etcd does");
}

#[test]
fn what_cannot_be_is_refused() {
    for (words, text) in [
        (["gateway", "start", "--nosuch"].as_slice(), "Error: unknown flag: --nosuch"),
        (&["gateway", "start", "--endpoints=x"], "error parsing endpoint \"x\""),
        (
            &["gateway", "start", "--listen-addr=127.0.0.1:1", "--endpoints=127.0.0.1:1"],
            "should not resolve to the gateway listen addr",
        ),
    ] {
        let output = run(words);
        let said = [output.stdout, output.stderr].concat();
        assert!(
            String::from_utf8_lossy(&said).contains(text),
            "{words:?}: {}",
            String::from_utf8_lossy(&said)
        );
        assert_eq!(output.status.code(), Some(1), "{words:?}");
    }
    let help = run(&["gateway", "start", "--help"]);
    assert!(
        help.status.success() && String::from_utf8_lossy(&help.stdout).contains("--retry-delay duration")
    );
}
