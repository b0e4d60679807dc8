//! Questions to the leader that are no part of raft: what is left of a lease, and to renew it.
//!
//! Question and answer may both be lost, so who asks sets itself a time, and asks again or gives up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use raft::NodeId;
use tokio::sync::{mpsc, oneshot};

use crate::limits::QUESTIONS_MAX;
use crate::note::{Answer, PeerNote, Question};
use crate::peers::Peers;

/// What this member asks others, and what others ask of it.
pub struct Questions {
    peers: Arc<dyn Peers>,
    next: AtomicU64,
    waiting: Mutex<BTreeMap<u64, oneshot::Sender<Answer>>>,
    asked: mpsc::Sender<Asked>,
}

/// A question of another member.
pub struct Asked {
    /// Who wants to know.
    pub from: NodeId,
    /// Names the question.
    pub nonce: u64,
    /// What it is.
    pub question: Question,
}

impl Questions {
    /// No questions yet; they are numbered from `first` on, which must differ from life to life: an answer to a question of
    /// an earlier one may be on its way. Those of others come out of the receiver.
    pub fn new(peers: Arc<dyn Peers>, first: u64) -> (Self, mpsc::Receiver<Asked>) {
        let (asked, questions) = mpsc::channel(QUESTIONS_MAX);
        let next = AtomicU64::new(first);
        (Self { peers, next, waiting: Mutex::default(), asked }, questions)
    }

    /// Asks a member. `None` if there is no answer in time.
    pub async fn ask(&self, member: NodeId, question: Question, patience: Duration) -> Option<Answer> {
        let nonce = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.waiting.lock().insert(nonce, answer);
        // However this ends, also when the caller goes away.
        let _open = Open { questions: self, nonce };
        self.peers.tell(member, PeerNote::Ask { nonce, question });
        tokio::time::timeout(patience, answered).await.ok()?.ok()
    }

    /// Another member answers.
    pub fn answered(&self, nonce: u64, answer: Answer) {
        if let Some(waiting) = self.waiting.lock().remove(&nonce) {
            let _ = waiting.send(answer);
        }
    }

    /// Another member asks. With too many questions open it is not heard, and will ask again.
    pub fn asked(&self, from: NodeId, nonce: u64, question: Question) {
        let _ = self.asked.try_send(Asked { from, nonce, question });
    }

    /// Answers another member's question.
    pub fn answer(&self, member: NodeId, nonce: u64, answer: Answer) {
        self.peers.tell(member, PeerNote::Answer { nonce, answer });
    }
}

/// A question that was asked; forgotten when dropped.
struct Open<'a> {
    questions: &'a Questions,
    nonce: u64,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.questions.waiting.lock().remove(&self.nonce);
    }
}
