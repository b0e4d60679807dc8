//! The network: messages on their way, and links that are cut.

use std::collections::BTreeMap;

use raft::{Message, NodeId, SnapshotWanted};

use crate::random::Random;
use crate::state::State;

/// So many messages are on their way at most; of more, old ones are lost.
const MAIL_MAX: usize = 150;

/// A message overtakes so many others at most.
const REORDERED_MAX: usize = 16;

#[derive(Clone)]
pub(crate) struct Packet {
    pub(crate) message: Message,
    /// With a snapshot's message.
    pub(crate) snapshot: Option<Transfer>,
}

/// A snapshot on its way.
#[derive(Clone)]
pub(crate) struct Transfer {
    pub(crate) content: State,
    /// What the sender is told the outcome of.
    pub(crate) wanted: SnapshotWanted,
    /// Which start of the sender it was: a later process knows nothing of it.
    pub(crate) start: u64,
}

/// What becomes of messages on a link that is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    Lost,
    /// They wait in the buffers of a connection, and arrive together when the link works again.
    Held,
}

#[derive(Default)]
pub(crate) struct Network {
    pub(crate) mail: Vec<Packet>,
    /// Directed links, from the first to the second.
    cuts: BTreeMap<(NodeId, NodeId), Cut>,
}

impl Network {
    /// Puts a message on its way; returns those that are lost for it.
    pub(crate) fn send(&mut self, packet: Packet, random: &mut Random) -> Option<Packet> {
        self.mail.push(packet);
        let is_full = self.mail.len() > MAIL_MAX;
        is_full.then(|| self.mail.remove(random.below(MAIL_MAX / 3)))
    }

    /// Returns the place of one of the older messages; `None` if there is no message.
    pub(crate) fn pick(&self, random: &mut Random) -> Option<usize> {
        let choices = self.mail.len().min(REORDERED_MAX);
        (choices > 0).then(|| random.below(choices))
    }

    pub(crate) fn cut_of(&self, message: &Message) -> Option<Cut> {
        self.cuts.get(&(message.from, message.to)).copied()
    }

    pub(crate) fn cut(&mut self, from: NodeId, to: NodeId, cut: Cut) {
        if from != to {
            self.cuts.insert((from, to), cut);
        }
    }

    pub(crate) fn has_cuts(&self) -> bool {
        !self.cuts.is_empty()
    }

    pub(crate) fn mend_all(&mut self) {
        self.cuts.clear();
    }

    /// Takes everything that can reach a node now, in the order in which it was sent.
    pub(crate) fn take_all_for(&mut self, id: NodeId) -> Vec<Packet> {
        let cuts = &self.cuts;
        let arrives = |packet: &mut Packet| {
            let message = &packet.message;
            message.to == id && !cuts.contains_key(&(message.from, message.to))
        };
        self.mail.extract_if(.., arrives).collect()
    }
}
