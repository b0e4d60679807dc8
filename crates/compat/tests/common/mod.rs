//! A member of ours and a client of somebody else's.

use std::path::{Path, PathBuf};

use etcd_client::Client;
use testkit::{Program, Server};

/// Where the binary is: `QUORATE_BIN`, or what the workspace has built.
fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("QUORATE_BIN") {
        return path.into();
    }
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let built = ["debug", "release"].map(|profile| target.join(profile).join("quorate"));
    built.into_iter().find(|path| path.exists()).expect("`cargo build -p quorate` first, or set QUORATE_BIN")
}

/// Starts a member with an empty data directory and connects to it.
pub async fn member() -> (Server, Client) {
    let program = Program::at(&binary()).expect("the binary says its version");
    let server = Server::start(&program, &[]);
    let client = Client::connect([server.client_address()], None).await.expect("a connection");
    (server, client)
}
