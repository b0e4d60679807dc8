//! How a client is made.

use std::sync::Arc;
use std::time::Duration;

use crate::address::Security;
use crate::channel::{Channel, Pool};
use crate::client::Client;
use crate::error::Error;
use crate::observe::Observer;
use crate::settings::Settings;
use crate::tls::Tls;
use crate::token::{self, Credentials, Source};

/// What a client is to be like. [`Client::builder`] begins one.
///
/// ```no_run
/// # async fn example() -> Result<(), quorate_client::Error> {
/// use std::time::Duration;
/// let client = quorate_client::Client::builder()
///     .endpoints(["10.0.0.1:2379", "10.0.0.2:2379", "10.0.0.3:2379"])
///     .user("app", "secret")
///     .request_timeout(Some(Duration::from_secs(3)))
///     .connect()
///     .await?;
/// # let _ = client; Ok(()) }
/// ```
#[derive(Debug)]
#[must_use]
pub struct Builder {
    endpoints: Vec<String>,
    has_tls: bool,
    source: Option<Who>,
    sync_interval: Option<Duration>,
    settings: Settings,
}

enum Who {
    User(String, String),
    Token(String),
}

impl std::fmt::Debug for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Who")
    }
}

impl Builder {
    pub(crate) fn new() -> Builder {
        Builder {
            endpoints: Vec::new(),
            has_tls: false,
            source: None,
            sync_interval: None,
            settings: Settings::default(),
        }
    }

    /// Adds endpoints: `host:port`, or URLs of the schemes `http`, `https`, `unix` and `unixs`. Those without a scheme
    /// are encrypted if [`Builder::tls`] is given. Without any, `127.0.0.1:2379` is dialed.
    pub fn endpoints(mut self, endpoints: impl IntoIterator<Item = impl Into<String>>) -> Builder {
        self.endpoints.extend(endpoints.into_iter().map(Into::into));
        self
    }

    /// Sets whose certificates are accepted, and which one is shown. Without it, `https` trusts the system's CAs.
    pub fn tls(mut self, tls: Tls) -> Builder {
        self.has_tls = true;
        self.settings.tls = tls;
        self
    }

    /// Makes the calls as a user. A token is asked for when the client connects, and again whenever it has expired.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Builder {
        self.source = Some(Who::User(name.into(), password.into()));
        self
    }

    /// Makes the calls with this token, a JSON web token as a rule.
    pub fn token(mut self, token: impl Into<String>) -> Builder {
        self.source = Some(Who::Token(token.into()));
        self
    }

    /// Sets how long an endpoint may take to accept a connection, and how long a call looks for an endpoint before it
    /// fails. 5 s by default.
    pub fn dial_timeout(mut self, timeout: Duration) -> Builder {
        self.settings.dial_timeout = timeout;
        self
    }

    /// Sets after how long without a sign of life a member is asked for one, and how long it may take to answer. 0.5 s
    /// and 0.75 s by default: a call then fails over within 1.5 election timeouts. A connection without calls or streams
    /// is not asked. Where thousands of clients do nothing but watch, a longer interval spares the members questions.
    pub fn keepalive(mut self, interval: Duration, timeout: Duration) -> Builder {
        self.settings.probe_interval = interval;
        self.settings.probe_timeout = timeout;
        self
    }

    /// Sets how long a call may take, its repetitions included. Streams, locks and snapshots take as long as they take.
    /// No limit by default.
    pub fn request_timeout(mut self, timeout: Option<Duration>) -> Builder {
        self.settings.request_timeout = timeout;
        self
    }

    /// Has members refuse calls and end watches while they know no leader; calls then go to other endpoints.
    pub fn require_leader(mut self) -> Builder {
        self.settings.requires_leader = true;
        self
    }

    /// Takes the members' own client URLs for endpoints, again and again. Without it, the endpoints stay as given.
    pub fn sync_interval(mut self, interval: Duration) -> Builder {
        self.sync_interval = Some(interval);
        self
    }

    /// Sets how many bytes a request of the typed calls may have. 2 MiB by default, as etcd's server.
    pub fn max_send_bytes(mut self, limit: usize) -> Builder {
        self.settings.send_bytes_max = limit;
        self
    }

    /// Sets how many bytes an answer to the typed calls may have. 2 GiB by default.
    pub fn max_recv_bytes(mut self, limit: usize) -> Builder {
        self.settings.recv_bytes_max = limit;
        self
    }

    /// Adds an observer of all calls.
    pub fn observer(mut self, observer: impl Observer) -> Builder {
        self.settings.observers.push(observer);
        self
    }

    /// Makes the client. Connections are made when they are needed; with a user, the first one is made here, for its
    /// token.
    ///
    /// # Errors
    /// When an endpoint is none, and when the user is refused.
    pub async fn connect(mut self) -> Result<Client, Error> {
        if self.endpoints.is_empty() {
            self.endpoints.push("127.0.0.1:2379".to_owned());
        }
        let source = match self.source {
            None => Source::Nobody,
            Some(Who::User(name, password)) => Source::Password { name, password },
            Some(Who::Token(token)) => Source::Token(token::header(&token)?),
        };
        let security = if self.has_tls { Security::Tls } else { Security::Plain };
        let settings = Arc::new(self.settings);
        let pool = Pool::new(&self.endpoints, security, settings.clone())?;
        let credentials = Arc::new(Credentials::new(source));
        let channel = Channel::new(pool, settings, credentials.clone());
        credentials.token(&channel).await?;
        let client = Client::new(channel);
        if let Some(interval) = self.sync_interval {
            client.sync_in_background(interval);
        }
        Ok(client)
    }
}
