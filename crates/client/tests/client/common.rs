//! Servers and clients for tests, whatever the server is.

use quorate_client::Client;
use testkit::Server;

/// A member and a client of it; or leaves the test, and says why, if there is no such server.
macro_rules! lone {
    () => {
        match $crate::setup::start(&[]).await {
            Ok(started) => started,
            Err(why) => return testkit::skip::announce(module_path!(), &why),
        }
    };
}
pub(crate) use lone;

/// Starts a member with these flags, and a client of it.
pub(crate) async fn start(flags: &[&str]) -> Result<(Server, Client), String> {
    let server = Server::start(&super::program()?, flags);
    let client = connect([server.client_address()]).await;
    Ok((server, client))
}

/// A client of some endpoints.
pub(crate) async fn connect(endpoints: impl IntoIterator<Item = String>) -> Client {
    Client::builder().endpoints(endpoints).connect().await.expect("a client")
}
