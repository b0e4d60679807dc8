//! What only the leader knows: the time that is left of leases.
//!
//! Every member takes such a question. The leader answers it, and before the answer leaves it makes sure that it led when it
//! looked at its clock (rule L2); another member asks the leader, and asks again for as long as a request may take, for all of
//! these questions can be asked twice.
//!
//! The order matters. A leader that renewed a lease after it was confirmed, and was paused in between, could promise time that
//! its successor, elected in the pause, has never given: the successor counts from its own election on. Confirmed after the
//! renewal, it led when it renewed, so every successor was elected later and counts from later on.

use std::time::Duration;

use engine::command::Field;
use engine::note::{Answer, LeaseTimes, Question, Refusal};
use engine::reply::Unserved;
use machine::Rejection;
use machine::lease_clock::RenewError;
use mvcc::LeaseId;
use proto::etcdserverpb::{LeaseCheckpoint, LeaseCheckpointRequest};
use raft::NodeId;
use tokio::time::Instant;
use tonic::Status;

use super::Api;
use super::status::{no_leader, of};

/// Pause before the next attempt, as in etcd.
const RETRY: Duration = Duration::from_millis(50);

/// How a question that was put to the leader here ended.
enum Attempt {
    Answered(Answer),
    /// To be asked again.
    Nobody(Unserved),
}

impl Api {
    /// Asks the leader, be it this member or another.
    ///
    /// # Errors
    /// When there is no answer within the time of a request.
    pub(super) async fn ask_leader(&self, question: Question) -> Result<Answer, Status> {
        let deadline = Instant::now() + self.shared.request_timeout;
        loop {
            match self.attempt(&question).await? {
                Attempt::Answered(answer) => return Ok(answer),
                Attempt::Nobody(why) if Instant::now() + RETRY >= deadline => return Err(unanswered(&why)),
                Attempt::Nobody(_) => tokio::time::sleep(RETRY).await,
            }
        }
    }

    /// Why a question for the leader was not even asked.
    pub(super) fn no_leader_or(&self, status: Status) -> Status {
        if self.shared.leader().is_none() { no_leader() } else { status }
    }

    async fn attempt(&self, question: &Question) -> Result<Attempt, Status> {
        let Some(leader) = self.shared.leader() else { return Ok(Attempt::Nobody(Unserved::NoLeader)) };
        let answer = if leader.0 == self.member_id {
            Some(self.answer_as_leader(question.clone()).await.map_err(|_| not_primary())?)
        } else {
            self.questions.ask(leader, question.clone(), self.settings.election_timeout).await
        };
        Ok(match answer {
            Some(Answer::Refused(Refusal::Rejected(rejection))) => {
                Attempt::Answered(Answer::Refused(Refusal::Rejected(rejection)))
            }
            // It does not lead any more, or the question or the answer was lost.
            Some(Answer::Refused(_)) | None => Attempt::Nobody(Unserved::TimedOut),
            Some(answer) => Attempt::Answered(answer),
        })
    }

    /// Answers another member; what only the leader knows, if this one leads.
    pub(crate) async fn answer(&self, question: Question) -> Answer {
        if question == Question::Leader {
            return Answer::Leader(self.shared.leader());
        }
        if !self.leads() {
            return Answer::Refused(Refusal::NotLeader);
        }
        self.answer_as_leader(question).await.unwrap_or(Answer::Refused(Refusal::NotLeader))
    }

    /// Answers from the lease clock, and confirms that this member led when it looked at it.
    ///
    /// # Errors
    /// When that could not be confirmed.
    async fn answer_as_leader(&self, question: Question) -> Result<Answer, Unserved> {
        let answer = match question {
            Question::LeaseRenew { id } => self.renew_lease(LeaseId(id)).await?,
            Question::LeaseTimeToLive { id } => {
                // What was acknowledged before must be applied here, a grant on another connection for example.
                self.worker.read_barrier().await?;
                self.lease_times(LeaseId(id))
            }
            Question::Leader => Answer::Leader(Some(NodeId(self.member_id))),
        };
        if !matches!(answer, Answer::Refused(_)) {
            self.worker.confirm_leadership().await?;
        }
        Ok(answer)
    }

    /// Renews a lease on this member's clock. A clock that knows the lease does not wait until commands are applied: a
    /// command that takes long must not cost the client of another lease its lock.
    async fn renew_lease(&self, id: LeaseId) -> Result<Answer, Unserved> {
        let mut renewed = self.lessor.renew(id).await;
        if renewed == Err(RenewError::NotFound) {
            // Its grant may be committed and not applied.
            self.worker.read_barrier().await?;
            renewed = self.lessor.renew(id).await;
        }
        Ok(match renewed {
            Ok(renewed) => {
                if let Some(reset) = renewed.reset {
                    if self.reset_checkpoint(id.0).await.is_err() {
                        return Ok(Answer::Refused(Refusal::NotLeader));
                    }
                    self.lessor.reset_applied(reset);
                }
                Answer::LeaseRenewed { ttl: renewed.ttl_seconds }
            }
            Err(RenewError::NotFound | RenewError::Expiring) => no_lease(),
            Err(RenewError::NotPrimary) => Answer::Refused(Refusal::NotLeader),
        })
    }

    /// Makes every member forget what was left of a lease before it was renewed (L3).
    async fn reset_checkpoint(&self, id: i64) -> Result<(), Status> {
        let checkpoints = vec![LeaseCheckpoint { id, remaining_ttl: 0 }];
        self.propose_as_member(Field::LeaseCheckpoint, &LeaseCheckpointRequest { checkpoints })
            .await
            .map(drop)
    }

    fn lease_times(&self, id: LeaseId) -> Answer {
        let Some(left) = self.lessor.time_to_live(id) else { return no_lease() };
        let Some(ttl) = left.remaining_seconds else { return Answer::Refused(Refusal::NotLeader) };
        Answer::LeaseTimes(LeaseTimes { granted_ttl: left.granted_seconds, ttl })
    }
}

fn no_lease() -> Answer {
    Answer::Refused(Refusal::Rejected(Rejection::LeaseNotFound))
}

fn not_primary() -> Status {
    Status::unknown("not a primary lessor")
}

fn unanswered(why: &Unserved) -> Status {
    match why {
        Unserved::NoLeader => no_leader(),
        why => of(why),
    }
}
