//! From global flags to a client, and calls under the time limit of the command line.

use std::fs::File;
use std::future::Future;
use std::io;
use std::time::Duration;

use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::lease_client::LeaseClient;
use proto::etcdserverpb::watch_client::WatchClient;
use tonic::{Response, Status};

use super::exit::Failure;
use super::global::{Credentials, Globals};
use super::print::{Answer, Printer};
use super::refusal;

/// What etcd's Go client has for `--max-request-bytes` and `--max-recv-bytes` when they are 0.
const REQUEST_BYTES_MAX: usize = 2 * 1024 * 1024;
const ANSWER_BYTES_MAX: usize = i32::MAX as usize;

use client::Tls;
pub use client::{Channel, Client};

/// What a command needs to ask a cluster and to print what it answers.
#[derive(Clone)]
pub struct Session {
    /// The client.
    pub client: Client,
    /// The global flags.
    pub globals: Globals,
    /// The printer for `--write-out`.
    pub printer: Printer,
}

impl Session {
    /// Makes the client and the printer of the global flags.
    ///
    /// # Errors
    /// When the flags make no sense, a file of TLS cannot be read, or the user is refused.
    pub async fn open(globals: Globals, printer: Printer) -> Result<Session, Failure> {
        let client = connect(&globals, globals.endpoints()).await?;
        Ok(Session { client, globals, printer })
    }

    /// Makes one call under `--command-timeout`. `call` makes a stub of the channel and its request.
    ///
    /// # Errors
    /// When the server refuses, or does not answer in time.
    pub async fn call<T, F>(&self, call: impl FnOnce(Channel) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let limit = self.globals.command_timeout();
        self.within(limit, call(self.client.channel())).await
    }

    /// Makes one call that may take as long as it takes.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn call_without_limit<T, F>(&self, call: impl FnOnce(Channel) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        call(self.client.channel())
            .await
            .map(Response::into_inner)
            .map_err(|status| refusal::of_status(&status))
    }

    /// Returns a stub for keys with the size limits of the global flags.
    pub fn kv(&self) -> KvClient<Channel> {
        let (send, receive) = size_limits(&self.globals);
        KvClient::new(self.client.channel())
            .max_encoding_message_size(send)
            .max_decoding_message_size(receive)
    }

    /// Returns a stub for watches with the size limits of the global flags.
    pub fn watch_stub(&self) -> WatchClient<Channel> {
        let (send, receive) = size_limits(&self.globals);
        WatchClient::new(self.client.channel())
            .max_encoding_message_size(send)
            .max_decoding_message_size(receive)
    }

    /// Returns a stub for leases with the size limits of the global flags.
    pub fn leases(&self) -> LeaseClient<Channel> {
        let (send, receive) = size_limits(&self.globals);
        LeaseClient::new(self.client.channel())
            .max_encoding_message_size(send)
            .max_decoding_message_size(receive)
    }

    /// Awaits an answer for at most `--command-timeout`.
    ///
    /// # Errors
    /// When the server refuses, or does not answer in time.
    pub async fn answer<T>(
        &self,
        answer: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Failure> {
        self.within(self.globals.command_timeout(), answer).await
    }

    /// Awaits an answer for at most `limit`.
    ///
    /// # Errors
    /// When the server refuses, or does not answer in time.
    pub async fn within<T>(
        &self,
        limit: Duration,
        answer: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Failure> {
        match tokio::time::timeout(limit, answer).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(refusal::of_status(&status)),
            Err(_) => Err(self.deadline_exceeded()),
        }
    }

    /// Returns the failure of an answer that did not come in time.
    pub fn deadline_exceeded(&self) -> Failure {
        let endpoints = self.client.endpoints().join(", ");
        Failure::error(format!(
            "context deadline exceeded (no answer from {endpoints} in time: see --endpoints and --command-timeout)"
        ))
    }

    /// Prints an answer.
    ///
    /// # Errors
    /// When it cannot be printed.
    pub fn print(&self, answer: &dyn Answer) -> Result<(), Failure> {
        self.printer.print(answer)
    }
}

/// Returns a client of these endpoints, with TLS, credentials and limits of the global flags.
///
/// # Errors
/// When a file of TLS cannot be read, or the user is refused.
pub async fn connect(globals: &Globals, endpoints: Vec<String>) -> Result<Client, Failure> {
    let (send, receive) = size_limits(globals);
    let builder = Client::builder()
        .endpoints(endpoints)
        // A call looks for an endpoint until its own time is up: somebody may be starting the server.
        .dial_timeout(looking_time(globals))
        .keepalive(globals.duration("keepalive-time"), globals.duration("keepalive-timeout"))
        .max_send_bytes(send)
        .max_recv_bytes(receive);
    let builder = match tls(globals)? {
        Some(tls) => builder.tls(tls),
        None => builder,
    };
    let connecting = match globals.credentials()? {
        Credentials::None => builder.connect(),
        Credentials::Token(token) => builder.token(token).connect(),
        Credentials::User { name, password } => {
            // A token is asked for while the client is made.
            let builder = builder.dial_timeout(globals.duration("dial-timeout"));
            builder.user(name, password).connect()
        }
    };
    connecting.await.map_err(|error| refusal::of_connecting(&error))
}

/// Returns how long a call looks for an endpoint: a little less than it may take, so that it can still say why there is
/// none.
fn looking_time(globals: &Globals) -> Duration {
    globals.command_timeout().mul_f64(0.95)
}

/// Returns how connections are encrypted; `None` if they are not, but for endpoints that say `https`.
///
/// # Errors
/// When the flags of the files make no sense.
pub fn tls(globals: &Globals) -> Result<Option<Tls>, Failure> {
    let [certificate, key, ca] = ["cert", "key", "cacert"].map(|name| globals.tls_file(name));
    let (certificate, key, ca) = (certificate?, key?, ca?);
    for path in [certificate, key, ca].into_iter().flatten() {
        File::open(path)
            .map_err(|error| Failure::arguments(format!("open {path}: {}", said_by_go(&error))))?;
    }
    let is_discovered = !globals.is_on("insecure-discovery") && !globals.text("discovery-srv").is_empty();
    let name = is_discovered.then(|| globals.text("discovery-srv"));
    let skips = globals.is_on("insecure-skip-tls-verify");
    let is_wanted = [certificate, key, ca, name].iter().any(Option::is_some);
    if !is_wanted && !skips && globals.is_on("insecure-transport") {
        return Ok(None);
    }
    let tls = Tls::new();
    let tls = if let Some(ca) = ca { tls.ca_file(ca) } else { tls };
    let tls = if let Some(name) = name { tls.server_name(name) } else { tls };
    let tls = if skips { tls.skip_verify() } else { tls };
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some(tls.identity_files(certificate, key))),
        (None, None) => Ok(Some(tls)),
        (certificate, key) => {
            let [certificate, key] = [certificate, key].map(Option::unwrap_or_default);
            let text = format!("KeyFile and CertFile must both be present[key: {key}, cert: {certificate}]");
            Err(Failure::arguments(text))
        }
    }
}

/// Returns what Go says of an error of the system: without capitals and numbers.
fn said_by_go(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// Returns the most bytes of a request and of an answer.
fn size_limits(globals: &Globals) -> (usize, usize) {
    let limit = |name, default| match usize::try_from(globals.number(name)) {
        Ok(0) | Err(_) => default,
        Ok(limit) => limit,
    };
    (limit("max-request-bytes", REQUEST_BYTES_MAX), limit("max-recv-bytes", ANSWER_BYTES_MAX))
}
