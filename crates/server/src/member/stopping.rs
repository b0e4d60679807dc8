//! The end of a member: in an order in which no request fails.
//!
//! ```text
//!  doors closed, GOAWAY, streams ended ──► requests in flight answered ──► leadership handed over
//!       ──► the others know the next leader ──► threads end, last checkpoint
//! ```
//!
//! Clients come first: while they can still be answered here, this member must be able to commit. Leadership goes when nobody here
//! needs it any more. Then the member lingers, as a command that another member has sent here as to its leader is refused by
//! this one and proposed by the next, while one that reaches nobody has an outcome that nobody knows (rule K1).

use std::time::{Duration, Instant};

use datadir::DataDir;
use engine::ending::Ending;
use engine::event::ConsensusEvent;
use engine::note::{Answer, Question};
use engine::peers::Peers;
use proto::membershippb::Member;
use raft::NodeId;

use super::Running;

/// How long a stopping leader waits until the others know its successor.
const HAND_OVER_TIME: Duration = Duration::from_secs(1);

/// How long it waits for an answer of one of them before it asks again: the question or the answer may be lost.
const FAREWELL_ATTEMPT: Duration = Duration::from_millis(200);

/// How long a member that was removed waits for requests in flight.
const REMOVED_GRACE: Duration = Duration::from_secs(1);

/// How long a stopping member waits for requests in flight.
pub(super) const STOP_GRACE: Duration = Duration::from_secs(5);

impl Running {
    /// A leader that stops hands over first, as in etcd, so that the others need not notice its silence.
    fn hand_over(&self) {
        let leads = || self.handles.shared.is_led_by(self.identity.member.0);
        let is_alone = |members: &[Member]| {
            members.iter().all(|member| self.transport.active_since(NodeId(member.id)).is_none())
        };
        if !leads() || is_alone(&self.handles.status.members()) {
            return;
        }
        let _ = self.handles.consensus.send(ConsensusEvent::Retire);
        let deadline = Instant::now() + HAND_OVER_TIME;
        while leads() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        if !leads() {
            self.await_farewells(deadline);
        }
    }

    /// Waits until each member that is connected knows another leader: then it sends no more commands here. Those that it has
    /// sent have arrived before its answer, and this member refuses them as long as it runs; of a command that is lost on the
    /// way nobody could say what came of it (rule K1).
    fn await_farewells(&self, deadline: Instant) {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else { return };
        let own = self.identity.member.0;
        let members = self.handles.status.members();
        let is_there = |id: NodeId| id.0 != own && self.transport.active_since(id).is_some();
        let others = members.iter().map(|member| NodeId(member.id)).filter(|id| is_there(*id));
        let farewells = async {
            for other in others {
                while is_there(other) && !self.has_other_leader(other).await {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        };
        let _ = runtime.block_on(async { tokio::time::timeout_at(deadline.into(), farewells).await });
    }

    async fn has_other_leader(&self, member: NodeId) -> bool {
        let own = NodeId(self.identity.member.0);
        let answer = self.questions.ask(member, Question::Leader, FAREWELL_ATTEMPT).await;
        matches!(answer, Some(Answer::Leader(Some(leader))) if leader != own)
    }

    /// How long requests in flight may take when the member stops.
    fn grace(&self, ending: Option<Ending>) -> Duration {
        match ending {
            // Before it is ready, it has no clients.
            _ if !self.is_ready() => Duration::ZERO,
            // A member that cannot trust its state answers nobody.
            Some(Ending::StartsOver) => Duration::ZERO,
            // What it hands on is not taken any more: only reads can still be answered.
            Some(Ending::Removed) => REMOVED_GRACE,
            Some(Ending::Stopped) | None => STOP_GRACE,
        }
    }

    /// Stops, and keeps the data directory from others.
    pub(super) fn stop_and_keep(self) -> DataDir {
        let ending = self.ending();
        self.handles.shared.ending.stopped();
        self.workers.leave(Instant::now() + self.grace(ending));
        self.hand_over();
        self.handles.shared.stop();
        self.workers.end();
        let _ = self.handles.consensus.send(ConsensusEvent::Stop);
        for owner in self.owners {
            let _ = owner.join();
        }
        self.transport.stop();
        let _ = self.transport_thread.join();
        self.data_dir
    }
}
