//! One channel over several endpoints.
//!
//! A request goes to an endpoint that is connected and answers ([`pool`]). If that fails and the request may be sent again
//! (`retry.rs`), it goes to another. Requests carry the token of the user (`token.rs`).
//!
//! It is hyper's HTTP/2 connection for each endpoint, without tonic's own channel in between: that would hide whether a
//! request was sent before a connection ended, which decides whether a write may be repeated.

mod answer;
mod dial;
mod link;
pub(crate) mod method;
mod outgoing;
mod pool;
mod pulse;
pub(crate) mod request;
mod watchdog;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};

pub use self::answer::Answer;
use self::answer::describe;
use self::link::{Connection, Link};
use self::method::Kind;
use self::outgoing::Outgoing;
use self::pool::Picked;
pub(crate) use self::pool::Pool;
use self::request::Template;
use crate::observe::Attempt;
use crate::retry::{self, Effect, Local, Verdict, local};
use crate::settings::Settings;
use crate::token::Credentials;

type Response = http::Response<Answer>;

/// A request that only reads although its method may write.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OnlyReads;

/// A channel over the endpoints of a client, for the stubs that tonic generates. It is cheap to clone.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use proto::etcdserverpb::{RangeRequest, kv_client::KvClient};
/// let client = quorate_client::Client::builder().endpoints(["127.0.0.1:2379"]).connect().await?;
/// let mut stub = KvClient::new(client.channel());
/// let answer = stub.range(RangeRequest { key: "k".into(), ..Default::default() }).await?;
/// # let _ = answer; Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Channel {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) pool: Pool,
    pub(crate) settings: Arc<Settings>,
    pub(crate) credentials: Arc<Credentials>,
}

impl Channel {
    pub(crate) fn new(pool: Pool, settings: Arc<Settings>, credentials: Arc<Credentials>) -> Channel {
        Channel { inner: Arc::new(Inner { pool, settings, credentials }) }
    }

    /// Returns a channel to one endpoint.
    pub(crate) fn at(&self, endpoint: &str) -> Channel {
        let Inner { pool, settings, credentials } = &*self.inner;
        Channel::new(pool.at(endpoint), settings.clone(), credentials.clone())
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }
}

impl tower_service::Service<http::Request<Body>> for Channel {
    type Response = Response;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.clone().send(request))
    }
}

impl Channel {
    async fn send(self, mut request: http::Request<Body>) -> Result<Response, Status> {
        let settings = &self.inner.settings;
        request::add_common(request.headers_mut(), settings);
        let own = settings.request_timeout.filter(|_| method::is_bounded(request.uri().path()));
        let deadline = request::deadline(request.headers()).or(own.map(|timeout| Instant::now() + timeout));
        let call = Call { channel: &self, deadline, is_in_air: AtomicBool::new(false) };
        let is_in_air = &call.is_in_air;
        match deadline {
            None => call.run(request).await,
            Some(at) => {
                let done = tokio::time::timeout_at(at, call.run(request)).await;
                done.unwrap_or_else(|_| Err(too_late(is_in_air.load(Ordering::Relaxed))))
            }
        }
    }
}

fn too_late(was_in_air: bool) -> Status {
    let sent = if was_in_air { Local::NoAnswer } else { Local::NotSent };
    local(Code::DeadlineExceeded, "context deadline exceeded", sent)
}

/// One call, with all its attempts.
struct Call<'a> {
    channel: &'a Channel,
    deadline: Option<Instant>,
    /// Whether an attempt was sent and not answered.
    is_in_air: AtomicBool,
}

impl Call<'_> {
    async fn run(&self, request: http::Request<Body>) -> Result<Response, Status> {
        match method::kind(request.uri().path()) {
            Kind::Stream => self.stream(request).await,
            Kind::Single(effect) => {
                let only_reads = request.extensions().get::<OnlyReads>().is_some();
                let effect = if only_reads { Effect::Reads } else { effect };
                self.repeat(&Template::of(request).await?, effect).await
            }
        }
    }

    /// Sends a stream of messages. It cannot be sent twice: only the way to an endpoint is tried until there is one.
    async fn stream(&self, mut request: http::Request<Body>) -> Result<Response, Status> {
        let inner = &self.channel.inner;
        if let Some(token) = inner.credentials.token(self.channel).await? {
            request.headers_mut().insert(request::TOKEN, token);
        }
        let picked = inner.pool.pick(&[], self.give_up_at()).await?;
        *request.uri_mut() = picked.link.origin.uri(request.uri());
        self.attempt(&picked.link, picked.connection, request.map(Outgoing::Stream), 0).await
    }

    /// Sends a message until it is answered for good.
    async fn repeat(&self, template: &Template, effect: Effect) -> Result<Response, Status> {
        let inner = &self.channel.inner;
        let give_up_at = self.give_up_at();
        let (mut failed, mut repetition, mut round) = (Vec::<Arc<Link>>::new(), 0, 0);
        let mut renewals = 0;
        loop {
            let token = match template.path() {
                method::AUTHENTICATE => None,
                _ => inner.credentials.token(self.channel).await?,
            };
            let Picked { link, connection } = inner.pool.pick(&failed, give_up_at).await?;
            let mut request = template.to(&link.origin);
            if let Some(token) = &token {
                request.headers_mut().insert(request::TOKEN, token.clone());
            }
            if let Some(deadline) = self.deadline {
                request.headers_mut().insert(request::TIMEOUT, request::time_left(deadline));
            }
            let answer = self.attempt(&link, connection, request, repetition).await;
            let Some(status) = failure(&answer) else { return answer };
            repetition += 1;
            match retry::verdict(&status, effect) {
                Verdict::WithNewToken if renewals == 0 && inner.credentials.can_renew() => {
                    renewals += 1;
                    Box::pin(inner.credentials.renew(self.channel, token.as_ref())).await?;
                    continue;
                }
                Verdict::WithCurrentUser
                    if !inner.credentials.is_given()
                        && !template.has_token()
                        && Instant::now() < give_up_at =>
                {
                    if inner.credentials.can_renew() {
                        Box::pin(inner.credentials.renew(self.channel, token.as_ref())).await?;
                    }
                    // At once, for users do not change all the time; and not in a circle, if they do.
                    if repetition > 1 {
                        tokio::time::sleep(retry::pause(round)).await;
                        round += 1;
                    }
                    continue;
                }
                Verdict::Again if Instant::now() < give_up_at => {}
                Verdict::Elsewhere if failed.len() + 1 < inner.pool.links().len() => {}
                _ => return answer,
            }
            link.note_ailing();
            failed.push(link);
            // Others are tried at once; who failed only after a pause.
            if failed.len() >= inner.pool.links().len() {
                failed.clear();
                tokio::time::sleep(retry::pause(round)).await;
                round += 1;
            }
        }
    }

    /// Sends a request to an endpoint.
    async fn attempt(
        &self,
        link: &Link,
        mut connection: Connection,
        request: http::Request<Outgoing>,
        repetition: u32,
    ) -> Result<Response, Status> {
        // Nothing is kept of calls that nobody observes.
        let observed = self.is_observed().then(|| (Instant::now(), request.uri().clone()));
        let flight = connection.pulse.enter();
        self.is_in_air.store(true, Ordering::Relaxed);
        let sent = connection.sender.send_request(request).await;
        let answer = match sent {
            Ok(response) => Ok(response.map(|body| Answer::new(body, flight))),
            Err(error) => Err(unanswered(link, &error)),
        };
        self.is_in_air.store(false, Ordering::Relaxed);
        if let Some((began, method)) = observed {
            self.note(&answer, link, method.path(), began, repetition);
        }
        answer
    }

    fn is_observed(&self) -> bool {
        !self.channel.inner.settings.observers.is_empty() || tracing::enabled!(tracing::Level::TRACE)
    }

    /// Reports an attempt to those who observe.
    fn note(
        &self,
        answer: &Result<Response, Status>,
        link: &Link,
        method: &str,
        began: Instant,
        repetition: u32,
    ) {
        let code = failure(answer).map_or(Code::Ok, |status| status.code());
        let (elapsed, endpoint) = (began.elapsed(), link.address.text.as_str());
        tracing::trace!(method, endpoint, ?code, ?elapsed, repetition, "attempt");
        let attempt = Attempt { method, endpoint, code, elapsed, repetition };
        self.channel.inner.settings.observers.attempt(&attempt);
    }

    /// Returns when a call that cannot be sent has failed.
    fn give_up_at(&self) -> Instant {
        let latest = Instant::now() + self.channel.inner.settings.dial_timeout;
        self.deadline.map_or(latest, |deadline| deadline.min(latest))
    }
}

/// Returns the status with which a call failed, as far as the head of its answer tells.
fn failure(answer: &Result<Response, Status>) -> Option<Status> {
    match answer {
        Err(status) => Some(status.clone()),
        Ok(response) => {
            Status::from_header_map(response.headers()).filter(|status| status.code() != Code::Ok)
        }
    }
}

/// Makes the status of a request without an answer.
fn unanswered(link: &Link, error: &hyper::Error) -> Status {
    // hyper says so of requests that it has not begun to send, and members of streams that they have not begun to serve.
    let is_unsent = error.is_canceled() || is_refused(error);
    let sent = if is_unsent { Local::NotSent } else { Local::NoAnswer };
    let text = format!("{}: {}: {sent}", link.address.text, describe(error));
    local(Code::Unavailable, text, sent)
}

/// Returns whether the member has not looked at the stream (RFC 9113, section 8.7).
fn is_refused(error: &hyper::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<h2::Error>() {
            return error.reason() == Some(h2::Reason::REFUSED_STREAM) && error.is_remote();
        }
        source = cause.source();
    }
    false
}
