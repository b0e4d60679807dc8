//! The web console in a real browser, on real servers.
//!
//! Where there is no Chromium the tests say `skipped:`, and in CI they fail. The pictures of the manual are made by
//!
//! ```sh
//! UPDATE_PICTURES=1 cargo test --workspace --test console pictures
//! ```

mod browser;
mod cluster;
mod frame;
mod hostile;
mod keys;
mod page;
mod pictures;
mod users;
mod visibility;
mod watch;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use testkit::http::{self, Response};
use testkit::{Program, Server};

/// The binary that Cargo built.
fn quorate() -> Program {
    Program::subject(env!("CARGO_BIN_EXE_quorate")).expect("a server")
}

/// Sends JSON to a path below `/v3`.
fn ask(server: &Server, path: &str, json: &Value) -> Response {
    http::request("POST", &server.client_address(), &format!("/v3/{path}"), &json.to_string())
        .expect("an answer")
}

/// Returns the JSON of an answer that is not an error.
fn answer(server: &Server, path: &str, json: &Value) -> Value {
    let response = ask(server, path, json);
    assert_eq!(response.status, 200, "{path} {json}: {}", response.body);
    serde_json::from_str(&response.body).expect("JSON")
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

fn put(server: &Server, key: &str, value: impl AsRef<[u8]>) {
    answer(server, "kv/put", &json!({ "key": base64(key), "value": base64(value) }));
}

/// Returns the value of a key as text.
fn get(server: &Server, key: &str) -> Option<String> {
    let found = answer(server, "kv/range", &json!({ "key": base64(key) }));
    let pair = found["kvs"].get(0)?;
    let value = STANDARD.decode(pair["value"].as_str().unwrap_or("")).expect("base64");
    Some(String::from_utf8(value).expect("text"))
}

/// Puts `count` keys in transactions of 100.
fn put_many(server: &Server, prefix: &str, count: usize) {
    let keys: Vec<String> = (0..count).map(|number| format!("{prefix}{number:05}")).collect();
    for part in keys.chunks(100) {
        let puts: Vec<Value> =
            part.iter().map(|key| json!({ "request_put": { "key": base64(key), "value": "" } })).collect();
        answer(server, "kv/txn", &json!({ "success": puts }));
    }
}
