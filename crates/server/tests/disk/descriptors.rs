//! A process that has few descriptors, and clients that take all of them.

use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use testkit::{Program, Server, wait};

use crate::client::{connect, program, put, range};

/// Soft and hard limit of the process: some more than it needs when nobody is connected.
const DESCRIPTORS: &str = "ulimit -n 64; exec \"$0\" \"$@\"";

/// The binary that Cargo built, under that limit.
fn limited() -> Program {
    let binary = program().path().to_str().expect("a path that is text").to_owned();
    Program::within(Path::new("/bin/sh"), &["-c", DESCRIPTORS, &binary]).expect("a shell starts it")
}

#[tokio::test]
async fn idle_connections_that_take_every_descriptor_end_nothing() {
    let mut server = Server::start(&limited(), &[]);
    let channel = connect(&server).await;
    let mut acknowledged = Vec::new();
    put(&channel, "before", "v").await.expect("puts are served");
    acknowledged.push("before".to_owned());
    let idle: Vec<_> = (0..100).filter_map(|_| TcpStream::connect(server.client_address()).ok()).collect();
    assert!(idle.len() > 64, "the system accepts for the process");

    // More than the files of both logs that are open take, and more than one checkpoint.
    let value = "v".repeat(1 << 20);
    for number in 0..200 {
        let key = format!("key{number:03}");
        // Refused at once, or not answered, while there is no file to write to.
        let answer = tokio::time::timeout(Duration::from_secs(3), put(&channel, &key, &value)).await;
        if let Ok(Ok(_)) = answer {
            acknowledged.push(key);
        }
        assert!(!server.has_ended(), "the process stopped: {}", server.log_tail());
    }
    drop(idle);
    let is_served = async {
        while put(&channel, "after", "v").await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(2 * wait::DEADLINE, is_served).await.expect("puts are served again");
    acknowledged.push("after".to_owned());
    assert!(!server.has_ended());

    for is_killed in [false, true] {
        if is_killed {
            server.kill();
        } else {
            server.terminate();
        }
        server.restart();
        let found = range(&connect(&server).await, 0).await.expect("a range is served");
        let found: Vec<_> = found.iter().map(|pair| String::from_utf8_lossy(&pair.key)).collect();
        for key in &acknowledged {
            assert!(found.iter().any(|found| found == key), "{key} is lost");
        }
    }
}
