//! What the tests start from.

use quorate_client::Client;
use testkit::{Program, Server};

/// Quorate.
pub(crate) fn quorate() -> Program {
    Program::quorate().expect("Quorate is built")
}

/// One member, and a client of it.
pub(crate) async fn lone() -> (Server, Client) {
    let server = Server::start(&quorate(), &[]);
    let client = connect(&[&server]).await;
    (server, client)
}

/// A client of some servers.
pub(crate) async fn connect(servers: &[&Server]) -> Client {
    let endpoints = servers.iter().map(|server| server.client_address());
    Client::builder().endpoints(endpoints).connect().await.expect("a client")
}
