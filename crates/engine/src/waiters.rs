//! Who waits for which command.
//!
//! A command carries a request id; the member that proposed it finds the waiting caller by that id when the command
//! has been applied. Ids begin as etcd's (`idutil`) with two bytes of the member; the others count on from a random number,
//! where etcd has the time of the start: an id of an earlier life of this member, replayed from its log, must meet nobody,
//! and clocks are set back. That two lives share an id has a chance of one in 10^8 if each takes a million of them.
//! Consecutive ids fall into consecutive slots of a fixed table, so looking one up is an
//! index and a comparison.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::limits::IN_FLIGHT_MAX;
use crate::reply::CommandReply;
use crate::request::RequestId;
use crate::timing::Timing;

const SLOTS: usize = (IN_FLIGHT_MAX * 2).next_power_of_two();
/// What the member does not take of an id.
const NUMBER: u64 = (1 << 48) - 1;

/// One caller.
#[derive(Debug)]
pub struct Waiter {
    /// Network worker that the caller lives on.
    pub worker: usize,
    /// Where its answer goes.
    pub reply: oneshot::Sender<CommandReply>,
    /// When it began to wait, in milliseconds since the start of the process.
    pub started_millis: u64,
    /// Second (of the process) in which it gives up.
    pub deadline_second: u32,
    /// Where to note when its command was applied, if it wants to know.
    pub timing: Option<Arc<Timing>>,
}

struct Slot {
    id: RequestId,
    waiter: Waiter,
    /// Length of the command.
    bytes: usize,
}

struct Table {
    slots: Vec<Option<Slot>>,
    waiting: usize,
    /// Bytes of the commands that are waited for.
    bytes: usize,
    next: u64,
}

/// The table of waiting callers, shared by all network workers and the apply thread.
pub struct Waiters {
    member_prefix: u64,
    /// Bytes of commands that may be in flight.
    bytes_max: usize,
    table: Mutex<Table>,
}

/// There are [`IN_FLIGHT_MAX`] commands in flight already, or as many bytes of them as there may be.
#[derive(Debug, PartialEq, Eq)]
pub struct TooMany;

impl Waiters {
    /// Returns a table for `member_id`, whose ids count on from `first`, which must differ from life to life. Commands in
    /// flight have at most `bytes_max` bytes.
    pub fn new(member_id: u64, first: u64, bytes_max: usize) -> Self {
        let table = Table {
            slots: std::iter::repeat_with(|| None).take(SLOTS).collect(),
            waiting: 0,
            bytes: 0,
            next: first & NUMBER,
        };
        Self { member_prefix: member_id << 48, bytes_max, table: Mutex::new(table) }
    }

    /// An id for a command that nobody waits for.
    pub fn anonymous_id(&self) -> RequestId {
        let mut table = self.table.lock();
        self.advance(&mut table)
    }

    /// Registers a caller and gives its command an id.
    ///
    /// # Errors
    /// [`TooMany`] when the bound on commands in flight is reached.
    pub fn register(&self, waiter: Waiter) -> Result<RequestId, TooMany> {
        let mut table = self.table.lock();
        if table.waiting >= IN_FLIGHT_MAX {
            return Err(TooMany);
        }
        // At most half the slots are taken, so this ends; a slot is in the way only when its caller has waited for
        // as many ids as there are slots.
        loop {
            let id = self.advance(&mut table);
            let slot = slot_of(id);
            if table.slots[slot].is_none() {
                table.slots[slot] = Some(Slot { id, waiter, bytes: 0 });
                table.waiting += 1;
                return Ok(id);
            }
        }
    }

    /// Notes how long a registered caller's command is. It counts until the caller is taken out, answered or late, and not
    /// until the caller hangs up: what was let in is in some queue until then.
    ///
    /// # Errors
    /// [`TooMany`] when the bound on bytes in flight is reached; the caller is taken out then.
    pub fn weigh(&self, id: RequestId, bytes: usize) -> Result<(), TooMany> {
        let mut table = self.table.lock();
        if table.bytes + bytes > self.bytes_max {
            table.take(id);
            return Err(TooMany);
        }
        let Some(slot) = table.slots[slot_of(id)].as_mut().filter(|slot| slot.id == id) else {
            return Ok(());
        };
        slot.bytes = bytes;
        table.bytes += bytes;
        Ok(())
    }

    fn advance(&self, table: &mut Table) -> RequestId {
        table.next = (table.next + 1) & NUMBER;
        RequestId(self.member_prefix | table.next)
    }

    /// Takes out the callers of `ids`, in their order, `None` where nobody waits; one lock for a whole batch.
    pub fn take_all(&self, ids: impl Iterator<Item = RequestId>, into: &mut Vec<Option<Waiter>>) {
        let mut table = self.table.lock();
        into.extend(ids.map(|id| table.take(id)));
    }

    /// Takes out one caller.
    pub fn take(&self, id: RequestId) -> Option<Waiter> {
        self.table.lock().take(id)
    }

    /// Whether somebody waits for this id.
    pub fn is_waiting(&self, id: RequestId) -> bool {
        self.table.lock().slots[slot_of(id)].as_ref().is_some_and(|slot| slot.id == id)
    }

    /// Whether the caller of this id is still there: one that hangs up stays in the table until its deadline.
    pub fn has_caller(&self, id: RequestId) -> bool {
        let table = self.table.lock();
        let slot = table.slots[slot_of(id)].as_ref().filter(|slot| slot.id == id);
        slot.is_some_and(|slot| !slot.waiter.reply.is_closed())
    }

    /// Takes out all callers whose deadline is before `second`.
    pub fn expire(&self, second: u32) -> Vec<(RequestId, Waiter)> {
        let mut table = self.table.lock();
        if table.waiting == 0 {
            return Vec::new();
        }
        let late: Vec<RequestId> = table
            .slots
            .iter()
            .flatten()
            .filter(|slot| slot.waiter.deadline_second < second)
            .map(|slot| slot.id)
            .collect();
        late.into_iter().filter_map(|id| table.take(id).map(|waiter| (id, waiter))).collect()
    }

    /// How many callers wait.
    pub fn waiting(&self) -> usize {
        self.table.lock().waiting
    }
}

impl Table {
    fn take(&mut self, id: RequestId) -> Option<Waiter> {
        let slot = &mut self.slots[slot_of(id)];
        if slot.as_ref()?.id != id {
            return None;
        }
        let slot = slot.take()?;
        self.waiting -= 1;
        self.bytes -= slot.bytes;
        Some(slot.waiter)
    }
}

fn slot_of(id: RequestId) -> usize {
    (id.0 as usize) & (SLOTS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES_MAX: usize = 1 << 20;

    fn waiter(deadline_second: u32) -> (Waiter, oneshot::Receiver<CommandReply>) {
        let (reply, receiver) = oneshot::channel();
        (Waiter { worker: 0, reply, started_millis: 0, deadline_second, timing: None }, receiver)
    }

    #[test]
    fn each_caller_is_found_once_by_its_id() {
        let waiters = Waiters::new(7, 1000, BYTES_MAX);
        let first = waiters.register(waiter(1).0).unwrap();
        let second = waiters.register(waiter(1).0).unwrap();
        assert_ne!(first, second);
        assert_eq!(first.0 >> 48, 7);
        assert!(waiters.take(first).is_some());
        assert!(waiters.take(first).is_none());
        assert!(waiters.take(second).is_some());
        assert_eq!(waiters.waiting(), 0);
    }

    #[test]
    fn an_id_of_an_earlier_life_meets_nobody() {
        let before = Waiters::new(7, 1000, BYTES_MAX);
        let old = before.register(waiter(1).0).unwrap();
        let now = Waiters::new(7, 1 << 30, BYTES_MAX);
        for _ in 0..SLOTS {
            now.anonymous_id();
        }
        now.register(waiter(1).0).unwrap();
        assert!(now.take(old).is_none());
    }

    #[test]
    fn a_slow_caller_keeps_its_slot_while_ids_go_round() {
        let waiters = Waiters::new(1, 0, BYTES_MAX);
        let slow = waiters.register(waiter(1).0).unwrap();
        for _ in 0..2 * SLOTS {
            let id = waiters.register(waiter(1).0).unwrap();
            assert!(waiters.take(id).is_some());
        }
        assert!(waiters.take(slow).is_some());
    }

    #[test]
    fn the_bound_is_kept() {
        let waiters = Waiters::new(1, 0, BYTES_MAX);
        let ids: Vec<_> = (0..IN_FLIGHT_MAX).map(|_| waiters.register(waiter(1).0).unwrap()).collect();
        assert_eq!(waiters.register(waiter(1).0).unwrap_err(), TooMany);
        waiters.take(ids[0]).unwrap();
        waiters.register(waiter(1).0).unwrap();
    }

    #[test]
    fn bytes_count_until_the_caller_is_answered_or_late_and_not_until_it_hangs_up() {
        let waiters = Waiters::new(1, 0, BYTES_MAX);
        let (first, caller) = waiter(5);
        let first = waiters.register(first).unwrap();
        waiters.weigh(first, BYTES_MAX - 10).unwrap();
        drop(caller);
        let second = waiters.register(waiter(9).0).unwrap();
        assert_eq!(waiters.weigh(second, 11), Err(TooMany));
        assert!(!waiters.is_waiting(second), "who is refused does not wait");
        waiters.expire(6);
        let third = waiters.register(waiter(9).0).unwrap();
        waiters.weigh(third, BYTES_MAX).unwrap();
        waiters.take(third).unwrap();
        let fourth = waiters.register(waiter(9).0).unwrap();
        waiters.weigh(fourth, BYTES_MAX).unwrap();
    }

    #[test]
    fn late_callers_are_taken_out() {
        let waiters = Waiters::new(1, 0, BYTES_MAX);
        waiters.register(waiter(5).0).unwrap();
        let patient = waiters.register(waiter(9).0).unwrap();
        assert_eq!(waiters.expire(6).len(), 1);
        assert!(waiters.take(patient).is_some());
    }
}
