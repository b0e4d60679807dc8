//! From global flags to a client, and calls under the time limit of the command line.

use std::future::Future;
use std::time::Duration;

use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::lease_client::LeaseClient;
use proto::etcdserverpb::watch_client::WatchClient;
use tonic::{Response, Status};

use super::exit::{Exit, Failure};
use super::global::Globals;
use super::print::{Answer, Printer};
use super::refusal;
use super::standin::Client;

/// What etcd's Go client has for `--max-request-bytes` and `--max-recv-bytes` when they are 0.
const REQUEST_BYTES_MAX: usize = 2 * 1024 * 1024;
const ANSWER_BYTES_MAX: usize = i32::MAX as usize;

/// What generated stubs are made on.
pub type Channel = tonic::transport::Channel;

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
        let (send, receive) = self.size_limits();
        KvClient::new(self.client.channel())
            .max_encoding_message_size(send)
            .max_decoding_message_size(receive)
    }

    /// Returns a stub for watches with the size limits of the global flags.
    pub fn watch_stub(&self) -> WatchClient<Channel> {
        let (send, receive) = self.size_limits();
        WatchClient::new(self.client.channel())
            .max_encoding_message_size(send)
            .max_decoding_message_size(receive)
    }

    /// Returns a stub for leases with the size limits of the global flags.
    pub fn leases(&self) -> LeaseClient<Channel> {
        let (send, receive) = self.size_limits();
        LeaseClient::new(self.client.channel())
            .max_encoding_message_size(send)
            .max_decoding_message_size(receive)
    }

    /// The most bytes of a request and of an answer.
    fn size_limits(&self) -> (usize, usize) {
        let limit = |name, default| match usize::try_from(self.globals.number(name)) {
            Ok(0) | Err(_) => default,
            Ok(limit) => limit,
        };
        (limit("max-request-bytes", REQUEST_BYTES_MAX), limit("max-recv-bytes", ANSWER_BYTES_MAX))
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
    for name in ["cert", "key", "cacert"] {
        globals.tls_file(name)?;
    }
    globals.credentials()?;
    let builder = Client::builder().endpoints(endpoints).dial_timeout(globals.duration("dial-timeout"));
    builder.connect().await.map_err(|error| Failure::new(Exit::BadConnection, error))
}
