//! `etcdserverpb.Lease`: renewals of a lease by many clients are one renewal.
//!
//! A renewal that is asked for while the same lease is being renewed gets the same answer. One that is asked for soon after is
//! answered from what is remembered, with the time that was left by then. So for two seconds at most a lease may seem to live that was
//! revoked by another way than through this proxy.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::spawn;
use futures_util::{Stream, StreamExt};
use parking_lot::Mutex;
use proto::etcdserverpb::lease_client::LeaseClient;
use proto::etcdserverpb::{
    LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseRevokeRequest, LeaseTimeToLiveResponse,
};
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use super::super::limits::{
    COMMANDS_MAX, REMEMBERED_RENEWALS_MAX, RENEWAL_SESSION_IDLE, RENEWAL_SESSIONS_MAX, RENEWALS_MAX,
    SHARED_FOR_MAX, SHARED_PART, SHARED_TTL_MIN,
};
use super::caller::Caller;
use super::kv::decode;
use super::line::Line;
use super::namespace;
use super::raw::Raw;
use super::upstream::{Call, Upstream};
use crate::api::method::Method;
use crate::grpc::messages::Messages;
use crate::grpc::reply::Plain;

/// The responses of a keepalive stream.
type Renewals = Pin<Box<dyn Stream<Item = Result<Plain<LeaseKeepAliveResponse>, Status>> + Send>>;

/// The leases.
pub(super) struct Leases {
    upstream: Arc<Upstream>,
    namespace: Bytes,
    sessions: Mutex<HashMap<Caller, mpsc::Sender<Renew>>>,
    remembered: Mutex<Remembered>,
}

/// What is remembered of renewals.
#[derive(Debug, Default)]
struct Remembered {
    renewals: HashMap<i64, Renewal>,
    /// When a lease was last revoked, or was about to be: what was sent before may say that it lives.
    last_revocation: Option<Instant>,
}

/// A revocation that is under way.
struct Revocation<'a> {
    leases: &'a Leases,
    id: i64,
}

/// A renewal that somebody wants.
struct Renew {
    id: i64,
    answer: oneshot::Sender<Result<LeaseKeepAliveResponse, Status>>,
}

/// A renewal that a member has confirmed.
#[derive(Debug, Clone)]
struct Renewal {
    caller: Caller,
    /// When it was sent: the lease lives its time from then on, or longer.
    sent: Instant,
    response: LeaseKeepAliveResponse,
}

impl Leases {
    pub(super) fn new(upstream: Arc<Upstream>, namespace: Bytes) -> Arc<Leases> {
        Arc::new(Leases { upstream, namespace, sessions: Mutex::default(), remembered: Mutex::default() })
    }

    /// Makes a call of this service.
    ///
    /// # Errors
    /// As a member answers.
    pub(super) async fn call(&self, method: Method, call: Call<'_>, message: Raw) -> Result<Raw, Status> {
        match method {
            Method::LeaseRevoke => {
                let request: LeaseRevokeRequest = decode(&message)?;
                // When it begins, and when it has ended, or its client has given it up.
                let revocation = Revocation { leases: self, id: request.id };
                revocation.note();
                self.upstream.unary(method, call, message).await
            }
            Method::LeaseTimeToLive if !self.namespace.is_empty() => {
                let answer = self.upstream.unary(method, call, message).await?;
                let mut response: LeaseTimeToLiveResponse = decode(&answer)?;
                response.keys.retain(|key| key.starts_with(&self.namespace));
                response.keys.iter_mut().for_each(|key| namespace::strip(&self.namespace, key));
                Ok(Raw::of(&response))
            }
            _ => self.upstream.unary(method, call, message).await,
        }
    }

    /// Renews leases, one response for each request, in order.
    pub(super) fn keep_alive(
        self: &Arc<Self>,
        caller: Caller,
        requests: Messages<LeaseKeepAliveRequest>,
    ) -> Renewals {
        let leases = self.clone();
        let renewals = requests.map(move |request| {
            let (leases, caller) = (leases.clone(), caller.clone());
            async move { leases.renew(&caller, request?.id).await.map(Plain) }
        });
        Box::pin(renewals.buffered(RENEWALS_MAX))
    }

    async fn renew(self: &Arc<Self>, caller: &Caller, id: i64) -> Result<LeaseKeepAliveResponse, Status> {
        let known = self.remembered.lock().for_another(id, caller, Instant::now());
        if let Some(response) = known {
            return Ok(response);
        }
        loop {
            let (answer, answered) = oneshot::channel();
            // The session may have ended just now.
            if self.session(caller)?.send(Renew { id, answer }).await.is_ok() {
                let ended = || Err(Status::unavailable("the session of renewals has ended"));
                return answered.await.unwrap_or_else(|_| ended());
            }
        }
    }

    fn session(self: &Arc<Self>, caller: &Caller) -> Result<mpsc::Sender<Renew>, Status> {
        let mut sessions = self.sessions.lock();
        if let Some(session) = sessions.get(caller).filter(|session| !session.is_closed()) {
            return Ok(session.clone());
        }
        if sessions.len() >= RENEWAL_SESSIONS_MAX {
            return Err(Status::resource_exhausted("too many clients renew leases through the proxy"));
        }
        let (commands, receive) = mpsc::channel(COMMANDS_MAX);
        let (pending, line) = (HashMap::new(), None);
        let session =
            Session { leases: self.clone(), caller: caller.clone(), commands: receive, pending, line };
        spawn::task("renewals", session.run());
        sessions.insert(caller.clone(), commands.clone());
        Ok(commands)
    }
}

impl Revocation<'_> {
    fn note(&self) {
        self.leases.remembered.lock().revoked(self.id, Instant::now());
    }
}

impl Drop for Revocation<'_> {
    fn drop(&mut self) {
        self.note();
    }
}

impl Remembered {
    fn for_another(&self, id: i64, caller: &Caller, now: Instant) -> Option<LeaseKeepAliveResponse> {
        self.renewals.get(&id)?.for_another(caller, now)
    }

    fn revoked(&mut self, id: i64, now: Instant) {
        self.renewals.remove(&id);
        self.last_revocation = Some(now);
    }

    /// Takes in a renewal, if it may serve others.
    fn add(&mut self, renewal: Renewal) {
        let renewals = &mut self.renewals;
        if !renewal.is_for_others() {
            renewals.remove(&renewal.response.id);
            return;
        }
        if self.last_revocation.is_some_and(|revocation| renewal.sent <= revocation) {
            return;
        }
        if renewals.len() >= REMEMBERED_RENEWALS_MAX {
            let now = Instant::now();
            renewals.retain(|_, renewal| renewal.is_fresh(now));
        }
        if renewals.len() < REMEMBERED_RENEWALS_MAX {
            renewals.insert(renewal.response.id, renewal);
        }
    }
}

impl Renewal {
    fn is_for_others(&self) -> bool {
        self.response.ttl >= SHARED_TTL_MIN
    }

    fn is_fresh(&self, now: Instant) -> bool {
        let ttl = Duration::from_secs(self.response.ttl.unsigned_abs());
        now.saturating_duration_since(self.sent) < (ttl / SHARED_PART).min(SHARED_FOR_MAX)
    }

    /// Returns the answer that another client of the same caller gets a while later, if it still gets it.
    fn for_another(&self, caller: &Caller, now: Instant) -> Option<LeaseKeepAliveResponse> {
        if self.caller != *caller || !self.is_for_others() || !self.is_fresh(now) {
            return None;
        }
        let passed = now.saturating_duration_since(self.sent);
        let seconds = i64::try_from(passed.as_secs()).ok()? + i64::from(passed.subsec_nanos() > 0);
        Some(LeaseKeepAliveResponse { ttl: self.response.ttl - seconds, ..self.response })
    }
}

/// A renewal that a member was asked for.
struct Pending {
    sent: Instant,
    waiting: Vec<oneshot::Sender<Result<LeaseKeepAliveResponse, Status>>>,
}

/// The task that owns a stream of renewals to a member, for callers that the member takes for the same.
struct Session {
    leases: Arc<Leases>,
    caller: Caller,
    commands: mpsc::Receiver<Renew>,
    pending: HashMap<i64, Pending>,
    line: Option<Line<LeaseKeepAliveRequest, LeaseKeepAliveResponse>>,
}

impl Session {
    async fn run(mut self) {
        loop {
            let takes_commands = self.line.as_ref().is_none_or(|line| !line.is_full());
            let is_idle = self.pending.is_empty();
            let line = &mut self.line;
            let response = async {
                match line {
                    Some(line) => line.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                response = response => self.response(response),
                Some(renew) = self.commands.recv(), if takes_commands => self.renew(renew),
                () = tokio::time::sleep(RENEWAL_SESSION_IDLE), if is_idle => {
                    if self.close() {
                        break;
                    }
                }
            }
            // The member has ended the stream, and nobody waits for anything: it may have refused the caller.
            if self.line.is_none() && self.pending.is_empty() && self.close() {
                break;
            }
        }
        // What got through when it was about to end.
        while let Some(renew) = self.commands.recv().await {
            let _ = renew.answer.send(Err(Status::unavailable("the session of renewals has ended")));
        }
    }

    fn close(&mut self) -> bool {
        let mut sessions = self.leases.sessions.lock();
        if !self.commands.is_empty() {
            return false;
        }
        self.commands.close();
        sessions.remove(&self.caller);
        true
    }

    fn renew(&mut self, Renew { id, answer }: Renew) {
        if let Some(pending) = self.pending.get_mut(&id) {
            return pending.waiting.push(answer);
        }
        self.pending.insert(id, Pending { sent: Instant::now(), waiting: vec![answer] });
        let (upstream, caller) = (&self.leases.upstream, &self.caller);
        let line = self.line.get_or_insert_with(|| {
            let mut stub = LeaseClient::new(upstream.channel());
            let caller = caller.clone();
            Line::open(|requests| async move { stub.lease_keep_alive(caller.request(requests)).await })
        });
        line.send(LeaseKeepAliveRequest { id });
    }

    fn response(&mut self, response: Result<LeaseKeepAliveResponse, Status>) {
        match response {
            Ok(response) => {
                let Some(Pending { sent, waiting }) = self.pending.remove(&response.id) else { return };
                let renewal = Renewal { caller: self.caller.clone(), sent, response };
                self.leases.remembered.lock().add(renewal);
                for answer in waiting {
                    let _ = answer.send(Ok(response));
                }
            }
            Err(status) => {
                self.line = None;
                for pending in std::mem::take(&mut self.pending).into_values() {
                    for answer in pending.waiting {
                        let _ = answer.send(Err(status.clone()));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewal_serves_others_for_a_while_with_the_time_that_is_left() {
        let sent = Instant::now();
        let renewal = |ttl| Renewal {
            caller: Caller::default(),
            sent,
            response: LeaseKeepAliveResponse { ttl, id: 7, ..Default::default() },
        };
        let after = |ttl, millis| {
            let later = sent + Duration::from_millis(millis);
            renewal(ttl).for_another(&Caller::default(), later).map(|response| response.ttl)
        };
        assert_eq!([after(60, 0), after(60, 1), after(60, 1_999)], [Some(60), Some(59), Some(58)]);
        assert_eq!([after(10, 1_666), after(10, 1_667)], [Some(8), None]);
        assert_eq!([after(60, 2_000), after(9, 0), after(0, 0), after(-1, 0)], [None; 4]);
    }

    #[test]
    fn what_was_sent_before_a_revocation_serves_nobody() {
        let sent = Instant::now();
        let response = LeaseKeepAliveResponse { ttl: 60, id: 7, ..Default::default() };
        let renewal = |sent| Renewal { caller: Caller::default(), sent, response };
        let mut remembered = Remembered::default();
        let known = |remembered: &Remembered| remembered.for_another(7, &Caller::default(), sent).is_some();
        remembered.add(renewal(sent));
        assert!(known(&remembered));
        remembered.revoked(7, sent);
        remembered.add(renewal(sent));
        assert!(!known(&remembered));
        remembered.add(renewal(sent + Duration::from_millis(1)));
        assert!(known(&remembered));
    }
}
