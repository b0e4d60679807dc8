//! The JSON gateway on real servers, asked as `curl` would ask it. What is asked in [`script`] is asked of etcd, too, where
//! there is one.

mod bad;
mod script;
mod secured;
mod streams;

use serde_json::Value;
use testkit::http::{self, Response};
use testkit::{Program, Server};

/// The binary that Cargo built.
fn quorate() -> Program {
    Program::subject(env!("CARGO_BIN_EXE_quorate")).expect("a server")
}

/// Sends JSON to a path below `/v3`.
fn ask(server: &Server, path: &str, json: &str) -> Response {
    http::request("POST", &server.client_address(), &format!("/v3/{path}"), json).expect("an answer")
}

/// Returns the JSON of an answer that is not an error.
fn answer(server: &Server, path: &str, json: &str) -> Value {
    let response = ask(server, path, json);
    assert_eq!(response.status, 200, "{path} {json}: {}", response.body);
    serde_json::from_str(&response.body).expect("JSON")
}
