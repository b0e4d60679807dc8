//! Keeping a lease alive: a renewal each third of its time to live, over a stream that is opened again when it breaks.

use std::time::Duration;

use proto::etcdserverpb::{LeaseKeepAliveRequest, LeaseKeepAliveResponse};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::connect::Session;
use super::exit::Failure;
use super::refusal;

/// How long a broken stream is left alone before the next attempt.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// A lease that is kept alive.
pub struct Renewal {
    session: Session,
    id: i64,
    stream: Option<Open>,
    /// When to renew next, and when the lease has expired unless that succeeded. `None` before the first renewal.
    times: Option<Times>,
}

struct Open {
    requests: mpsc::Sender<LeaseKeepAliveRequest>,
    answers: Streaming<LeaseKeepAliveResponse>,
}

#[derive(Clone, Copy)]
struct Times {
    next: Instant,
    expires: Instant,
}

impl Renewal {
    /// Returns a lease that is to be kept alive; nothing is sent yet.
    pub fn new(session: Session, id: i64) -> Renewal {
        Renewal { session, id, stream: None, times: None }
    }

    /// Renews the lease and returns the answer; `None` when the lease is gone. After a first success it is tried again and
    /// again until the lease must have expired.
    ///
    /// # Errors
    /// When the first renewal fails, or the server refuses.
    pub async fn renew(&mut self) -> Result<Option<LeaseKeepAliveResponse>, Failure> {
        let limit = self.session.globals.command_timeout();
        loop {
            let deadline = self.times.map_or_else(|| Instant::now() + limit, |times| times.expires);
            let status = match tokio::time::timeout_at(deadline, self.renew_once()).await {
                Ok(Ok(answer)) => return Ok(self.renewed(answer)),
                Ok(Err(status)) => status,
                Err(_) if self.times.is_some() => return Ok(None),
                Err(_) => return Err(self.session.deadline_exceeded()),
            };
            self.stream = None;
            if self.times.is_none() || !is_passing(&status) {
                return Err(refusal::of_status(&status));
            }
            tokio::time::sleep_until(deadline.min(Instant::now() + RETRY_PAUSE)).await;
        }
    }

    fn renewed(&mut self, answer: LeaseKeepAliveResponse) -> Option<LeaseKeepAliveResponse> {
        let ttl = Duration::from_secs(u64::try_from(answer.ttl).ok().filter(|ttl| *ttl > 0)?);
        let now = Instant::now();
        self.times = Some(Times { next: now + ttl / 3, expires: now + ttl });
        Some(answer)
    }

    /// Waits until it is time for the next renewal.
    pub async fn pause(&self) {
        if let Some(times) = self.times {
            tokio::time::sleep_until(times.next).await;
        }
    }

    async fn renew_once(&mut self) -> Result<LeaseKeepAliveResponse, Status> {
        let request = LeaseKeepAliveRequest { id: self.id };
        let stream = match self.stream.take() {
            Some(stream) => {
                let _ = stream.requests.send(request).await;
                self.stream.insert(stream)
            }
            None => {
                // The first request goes before the answer's headers, which some servers send only with an answer.
                let (requests, receiver) = mpsc::channel(1);
                let _ = requests.send(request).await;
                let mut leases = self.session.leases();
                let answers = leases.lease_keep_alive(ReceiverStream::new(receiver)).await?.into_inner();
                self.stream.insert(Open { requests, answers })
            }
        };
        stream.answers.message().await?.ok_or_else(|| Status::unavailable("the stream has ended"))
    }
}

/// Returns whether it is worth trying again.
fn is_passing(status: &Status) -> bool {
    matches!(status.code(), tonic::Code::Unavailable | tonic::Code::Internal | tonic::Code::Unknown)
}
