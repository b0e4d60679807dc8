//! Letting things come to rest: everything that is due happens, in order, and nothing goes wrong by
//! itself.

use raft::NodeId;

use crate::log_writer::Next;
use crate::network::Packet;
use crate::world::{Copies, World};

impl World {
    /// Lets everything happen that is due, in order, until nothing is.
    pub(crate) fn settle(&mut self) {
        let ids = self.ids();
        for _ in 0..20_000 {
            ids.iter().for_each(|id| self.do_all_work(*id));
            if self.network.mail.is_empty() {
                return;
            }
            self.deliver(0, Copies::None);
        }
        self.fail("the cluster never comes to rest");
    }

    /// Lets these nodes do what they have to do, and say to each other what they have to say; not
    /// for long, for a disk that is full or a process that is paused keeps something from being
    /// done.
    pub(crate) fn settle_among(&mut self, ids: &[NodeId]) {
        for _ in 0..60 {
            for id in ids {
                if self.servers[id].is_active() {
                    self.do_all_work(*id);
                }
            }
            let Some(place) = self.network.mail.iter().position(|packet| self.arrives_among(packet, ids))
            else {
                return;
            };
            self.deliver(place, Copies::None);
        }
    }

    fn arrives_among(&self, packet: &Packet, ids: &[NodeId]) -> bool {
        let message = &packet.message;
        let is_open = self.network.cut_of(message).is_none() && self.servers[&message.to].is_active();
        is_open && ids.contains(&message.from) && ids.contains(&message.to)
    }

    /// Lets a server's threads do what they have to do, unless its disk hinders them.
    pub(crate) fn do_all_work(&mut self, id: NodeId) {
        for _ in 0..50 {
            self.ready(id);
            while self.hear(id) {}
            self.ready(id);
            if self.servers[&id].process.as_ref().is_none_or(|process| !process.is_busy()) {
                return;
            }
            self.write(id, Next::Work);
            self.read_log(id);
            self.apply(id);
        }
    }

    /// Lets a log writer do all that it has to do, as far as its disk lets it.
    pub(crate) fn write_all(&mut self, id: NodeId) {
        for _ in 0..20 {
            if self.servers[&id].process.as_ref().is_none_or(|process| !process.has_log_work()) {
                return;
            }
            self.write(id, Next::Work);
        }
    }
}
