//! `gateway start`: a proxy of TCP connections.
//!
//! Each connection goes to one endpoint, and what either side sends goes to the other as it is: TLS is the client's and the
//! member's business. An endpoint that cannot be connected is set aside and tried again every `--retry-delay`
//! ([`remotes`]).

mod remotes;
mod serve;
mod settings;

use std::sync::Arc;

use engine::spawn;
use parking_lot::Mutex;

use super::flags::{Command, Flag, Flags, Kind};
use super::{Running, StartError};
use crate::net::accept::Incoming;
use crate::net::descriptors::Places;
use crate::net::listen::{SocketOptions, listen};
use crate::tls::Listener;

use remotes::Remotes;
use settings::Settings;

/// The sub-command.
pub(super) const COMMAND: Command =
    Command { group: "gateway", about: "start the gateway", flags: FLAGS, start };

#[rustfmt::skip] // one row, one flag
static FLAGS: &[Flag] = &[
    Flag { name: "discovery-srv", kind: Kind::Text, default: "", help: "DNS domain used to bootstrap initial cluster" },
    Flag { name: "discovery-srv-name", kind: Kind::Text, default: "", help: "service name to query when using DNS discovery" },
    Flag { name: "endpoints", kind: Kind::List, default: "127.0.0.1:2379", help: "comma separated etcd cluster endpoints" },
    Flag { name: "insecure-discovery", kind: Kind::Bool, default: "false", help: "accept insecure SRV records" },
    Flag { name: "listen-addr", kind: Kind::Text, default: "127.0.0.1:23790", help: "listen address" },
    Flag { name: "retry-delay", kind: Kind::Duration, default: "1m0s", help: "duration of delay before retrying failed endpoints" },
    Flag { name: "trusted-ca-file", kind: Kind::Text, default: "", help: "path to the client server TLS CA file for verifying the discovered endpoints when discovery-srv is provided." },
];

/// Starts the gateway on a thread of its own.
fn start(flags: &Flags, arguments: &[String]) -> Result<Running, StartError> {
    tracing::info!(args = ?arguments, "Running: ");
    let system = |error: std::io::Error| StartError::Failed(error.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(system)?;
    let settings = runtime.block_on(Settings::of(flags))?;
    let bound = listen(settings.listen, SocketOptions::default());
    let bound =
        bound.map_err(|error| StartError::Failed(format!("listen tcp {}: {error}", settings.listen)))?;
    let listener = {
        let _runtime = runtime.enter();
        Incoming::of(Listener::Tcp(bound)).map_err(system)?
    };
    let endpoints: Vec<String> = settings.remotes.iter().map(remotes::Remote::address).collect();
    tracing::info!(?endpoints, "ready to proxy client requests");
    let remotes = Arc::new(Mutex::new(Remotes::new(settings.remotes)));
    let places = Places::of_process(false);
    let run = move || {
        runtime.block_on(async {
            spawn::task("retries", serve::retry(remotes.clone(), settings.retry_delay));
            serve::accept(listener, remotes, settings.retry_delay, places).await;
        });
    };
    spawn::thread("gateway", run).map_err(system)?;
    // Connections end with the process, as they do in etcd: there is nothing to finish that the gateway knows of.
    Ok(Box::new(|_| {}))
}
