//! The member in trouble: its port or its directory taken, its flags wrong, its disk full, its clients out of hand, told to
//! stop. (Killed: see
//! `tests/crash.rs`.)
//!
//! All of it on the real process, with the real clients' protocol. With `QUORATE_TEST_SUBJECT` naming a real etcd, what is
//! common to both is tried on that one, which tests the tests.

mod connections;
mod start;
mod stop;

use proto::etcdserverpb as pb;
use proto::etcdserverpb::kv_client::KvClient;
use testkit::{Program, Server};
use tonic::transport::{Channel, Endpoint};

/// The binary under test.
fn subject() -> Result<Program, String> {
    Program::subject(env!("CARGO_BIN_EXE_quorate"))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A connection of its own.
async fn connect(server: &Server) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.client_address())).expect("a URL");
    endpoint.connect().await.expect("a server that serves accepts a connection")
}

async fn put(kv: &mut KvClient<Channel>, key: &str, value: &str) -> Result<i64, tonic::Status> {
    let request = pb::PutRequest {
        key: key.to_owned().into(),
        value: value.to_owned().into(),
        ..pb::PutRequest::default()
    };
    let response = kv.put(request).await?.into_inner();
    Ok(response.header.expect("a header").revision)
}

/// Every key there is: key, value, revision of the last put.
async fn everything(kv: &KvClient<Channel>) -> Vec<(String, String, i64)> {
    let request = pb::RangeRequest {
        key: b"\x00".as_slice().into(),
        range_end: b"\x00".as_slice().into(),
        ..pb::RangeRequest::default()
    };
    // A reply may be larger than what a client takes unless told to.
    let mut kv = kv.clone().max_decoding_message_size(usize::MAX);
    let response = kv.range(request).await.expect("a range of everything").into_inner();
    let text = |bytes: &bytes::Bytes| String::from_utf8(bytes.to_vec()).expect("these tests write text");
    response.kvs.iter().map(|kv| (text(&kv.key), text(&kv.value), kv.mod_revision)).collect()
}
