//! The cluster that a mirror is made at: `--dest-*`.

use clap::{Arg, ArgMatches};
use proto::etcdserverpb::kv_client::KvClient;

use crate::ctl::connect::Channel;
use crate::ctl::exit::{Exit, Failure};
use crate::ctl::flags;
use crate::ctl::global::Globals;
use crate::ctl::standin::Client;

/// Returns the flags of the destination.
pub(super) fn flags() -> [Arg; 6] {
    [
        flags::text(
            "dest-cert",
            "Identify secure client using this TLS certificate file for the destination cluster",
        ),
        flags::text("dest-key", "Identify secure client using this TLS key file"),
        flags::text("dest-cacert", "Verify certificates of TLS enabled secure servers using this CA bundle"),
        flags::switch(
            "dest-insecure-transport",
            "Disable transport security for client connections (default true)",
        ),
        flags::text(
            "dest-user",
            "Destination username[:password] for authentication (prompt if password is not supplied)",
        ),
        flags::text(
            "dest-password",
            "Destination password for authentication (if this option is used, --user option shouldn't include password)",
        ),
    ]
}

/// Returns a stub for the destination.
pub(super) async fn connect(
    globals: &Globals,
    _matches: &ArgMatches,
    endpoint: &str,
) -> Result<KvClient<Channel>, Failure> {
    let builder = Client::builder().endpoints(vec![endpoint.to_owned()]).dial_timeout(globals.duration("dial-timeout"));
    let client = builder.connect().await.map_err(|error| Failure::new(Exit::BadConnection, error))?;
    Ok(KvClient::new(client.channel()))
}
