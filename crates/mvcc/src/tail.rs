//! The tail of the history, indexed in memory: which changes each key had lately, and where their records are.
//!
//! Each change is a *link*, numbered in order. The index entry of a key names the newest link of the key; each link
//! names the one before it of the same key, and a *jump* further back, chosen so that any link of a chain is found in a
//! logarithmic number of steps (Myers' skew-binary jump pointers: a key that is written 100,000 times while the tail
//! lasts must not make readers walk through all of it).
//!
//! The newest links have no place yet: their records wait in memory for the next flush ([`Tail::pending`]). When a
//! history segment is sealed and has an index of its own, its links are dropped from the front.

use std::collections::VecDeque;
use std::sync::Arc;

use wal::Position;

use crate::{Change, Revision};

/// Number of a link, modulo 2^32. The tail is shorter than that by far, so numbers within it are unambiguous.
pub(crate) type LinkId = u32;

#[derive(Debug, Clone, Copy)]
struct Link {
    revision: Revision,
    /// Meaningless while pending.
    position: Position,
    /// The change of the same key before this one; the link itself if that is not in the tail.
    back: LinkId,
    /// Some change of the same key further back.
    jump: LinkId,
    /// Changes of the key before this one, as far as they were linked.
    depth: u32,
    /// Create revision of the key before the transaction; 0: it was not alive.
    created: i64,
}

/// Where the record of a change is.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// In the history; and whether the key was alive before it.
    Flushed(Position, bool),
    /// In memory: the changes of its transaction and its number among them.
    Pending(Arc<[Change]>, usize),
}

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    links: VecDeque<Link>,
    /// Number of the first link.
    first: LinkId,
    /// Transactions whose records are not in the history yet; their changes are the last links.
    pending: VecDeque<Arc<[Change]>>,
    pending_links: usize,
    /// The last change that is not in the tail any more.
    floor: Revision,
}

impl Tail {
    /// An empty tail that goes on after `floor`.
    pub(crate) fn after(floor: Revision) -> Self {
        Self { floor, ..Self::default() }
    }

    /// The last change before the tail. Everything later is in it.
    pub(crate) fn floor(&self) -> Revision {
        self.floor
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.links.len()
    }

    pub(crate) fn pending(&self) -> &VecDeque<Arc<[Change]>> {
        &self.pending
    }

    fn offset(&self, id: LinkId) -> Option<usize> {
        let offset = id.wrapping_sub(self.first) as usize;
        (offset < self.links.len()).then_some(offset)
    }

    fn link(&self, id: LinkId) -> Option<&Link> {
        self.offset(id).map(|offset| &self.links[offset])
    }

    /// Links a change whose key was last changed by `previous` (a revision and its link, which counts only if the
    /// revision is in the tail).
    fn push(&mut self, change: &Change, position: Position, previous: Option<(Revision, LinkId)>) -> LinkId {
        let id = self.first.wrapping_add(self.links.len() as u32);
        let parent = previous.filter(|(revision, _)| *revision > self.floor).map(|(_, link)| link);
        let (back, jump, depth) = match parent.and_then(|parent| Some((parent, *self.link(parent)?))) {
            None => (id, id, 0),
            Some((parent_id, parent)) => (parent_id, self.jump_from(parent_id, &parent), parent.depth + 1),
        };
        let created = change.before.meta().map_or(0, |meta| meta.create_revision);
        self.links.push_back(Link { revision: change.revision, position, back, jump, depth, created });
        id
    }

    /// Where the successor of `parent` jumps to: over two equal jumps at once, else to the parent.
    fn jump_from(&self, parent_id: LinkId, parent: &Link) -> LinkId {
        let Some(first) = self.link(parent.jump) else { return parent_id };
        let Some(second) = self.link(first.jump) else { return parent_id };
        if parent.depth - first.depth == first.depth - second.depth { first.jump } else { parent_id }
    }

    /// Links a change whose record is in the history already.
    pub(crate) fn push_flushed(
        &mut self,
        change: &Change,
        position: Position,
        previous: Option<(Revision, LinkId)>,
    ) -> LinkId {
        debug_assert!(self.pending.is_empty(), "changes come in order");
        self.push(change, position, previous)
    }

    /// Links a change of the transaction that [`Tail::add_pending`] will bring.
    pub(crate) fn push_pending(&mut self, change: &Change, previous: Option<(Revision, LinkId)>) -> LinkId {
        self.pending_links += 1;
        self.push(change, Position { segment: 0, offset: 0 }, previous)
    }

    pub(crate) fn add_pending(&mut self, changes: Arc<[Change]>) {
        self.pending.push_back(changes);
    }

    /// The first pending changes are in the history now, at these places. Notes whole transactions until at least `max`
    /// changes are noted; returns how many were.
    pub(crate) fn flushed(&mut self, positions: &[Position], max: usize) -> usize {
        let mut noted = 0;
        while noted < max.min(positions.len()) {
            let changes = self.pending.pop_front().expect("there are as many pending changes as positions");
            let start = self.links.len() - self.pending_links;
            let places = &positions[noted..noted + changes.len()];
            self.links.range_mut(start..).zip(places).for_each(|(link, &place)| link.position = place);
            self.pending_links -= changes.len();
            noted += changes.len();
        }
        noted
    }

    /// Where the first change after main revision `at` is of the key with this newest link. The newest is after `at`.
    pub(crate) fn first_after(&self, newest: LinkId, at: i64) -> Option<Place> {
        self.first_link_after(newest, at).map(|(id, link)| self.place(id, link))
    }

    /// Whether that key was alive before that change.
    pub(crate) fn was_alive_before(&self, newest: LinkId, at: i64) -> bool {
        self.first_link_after(newest, at).is_some_and(|(_, link)| link.created != 0)
    }

    /// Whether the key with this newest link, which is after `at`, was before its first change after `at` that is here in
    /// the life that it was in at `at`: the revision of that change if so.
    pub(crate) fn life_until(&self, newest: LinkId, at: i64) -> Option<Revision> {
        let (_, link) = self.first_link_after(newest, at)?;
        (1..=at).contains(&link.created).then_some(link.revision)
    }

    fn first_link_after(&self, newest: LinkId, at: i64) -> Option<(LinkId, &Link)> {
        let after = |id: LinkId| self.link(id).filter(|link| link.revision.main > at);
        let mut id = newest;
        let mut link = self.link(id)?;
        while link.back != id {
            (id, link) = match (after(link.jump), after(link.back)) {
                (Some(further), _) => (link.jump, further),
                (None, Some(before)) => (link.back, before),
                (None, None) => break,
            };
        }
        Some((id, link))
    }

    fn place(&self, id: LinkId, link: &Link) -> Place {
        let offset = self.offset(id).expect("the link is in the tail");
        if offset < self.links.len() - self.pending_links {
            return Place::Flushed(link.position, link.created != 0);
        }
        let (changes, sub) = self.pending_at(link.revision).expect("a change without a place is pending");
        Place::Pending(changes.clone(), sub)
    }

    fn pending_at(&self, revision: Revision) -> Option<(&Arc<[Change]>, usize)> {
        let number = self.pending.partition_point(|changes| changes[0].revision.main < revision.main);
        self.pending.get(number).map(|changes| (changes, revision.sub as usize))
    }

    /// Where the first flushed change is with a main revision of at least `main`.
    pub(crate) fn position_of(&self, main: i64) -> Option<Position> {
        let flushed = self.links.len() - self.pending_links;
        let offset = self.links.partition_point(|link| link.revision.main < main);
        (offset < flushed).then(|| self.links[offset].position)
    }

    /// How many changes there are here after main revision `at`.
    pub(crate) fn changes_after(&self, at: i64) -> u64 {
        (self.links.len() - self.links.partition_point(|link| link.revision.main <= at)) as u64
    }

    /// Forgets the changes up to `last`, which have an index on the disk now.
    pub(crate) fn drop_through(&mut self, last: Revision) {
        let gone = self.links.partition_point(|link| link.revision <= last);
        assert!(gone <= self.links.len() - self.pending_links, "only what is in the history can be sealed");
        self.links.drain(..gone);
        self.first = self.first.wrapping_add(gone as u32);
        self.floor = last;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(main: i64) -> Revision {
        Revision { main, sub: 0 }
    }

    fn change(main: i64) -> Change {
        Change::new(at(main), bytes::Bytes::new(), None, None.into())
    }

    fn position(main: i64) -> Position {
        Position { segment: 1, offset: main as u64 }
    }

    /// A tail with changes at these revisions of one key; the newest link.
    fn chain(tail: &mut Tail, mains: impl Iterator<Item = i64>) -> LinkId {
        let mut newest = None;
        for main in mains {
            let link = tail.push_flushed(&change(main), position(main), newest);
            newest = Some((at(main), link));
        }
        newest.unwrap().1
    }

    fn found(tail: &Tail, newest: LinkId, main: i64) -> u64 {
        match tail.first_after(newest, main).unwrap() {
            Place::Flushed(position, _) => position.offset,
            Place::Pending(..) => panic!("all are flushed"),
        }
    }

    #[test]
    fn the_first_change_after_a_revision_is_found_in_a_chain_of_any_length() {
        for len in [1, 2, 3, 10, 1000] {
            let mut tail = Tail::default();
            let newest = chain(&mut tail, (1..=len).map(|number| number * 10));
            for main in 0..len * 10 {
                assert_eq!(found(&tail, newest, main), (main / 10 + 1) as u64 * 10);
            }
        }
    }

    #[test]
    fn chains_shrink_from_the_front() {
        let mut tail = Tail::default();
        let newest = chain(&mut tail, 1..=1000);
        tail.drop_through(at(600));
        assert_eq!(tail.len(), 400);
        (600..1000).for_each(|main| assert_eq!(found(&tail, newest, main), main as u64 + 1));
        let newer = tail.push_flushed(&change(1001), position(1001), Some((at(1000), newest)));
        (600..1001).for_each(|main| assert_eq!(found(&tail, newer, main), main as u64 + 1));
        // A key that was last changed before the tail has nothing behind it, whatever its old link was.
        let other = tail.push_flushed(&change(1002), position(1002), Some((at(600), newest)));
        assert_eq!(found(&tail, other, 700), 1002);
    }

    #[test]
    fn positions_are_found_by_revision() {
        let mut tail = Tail::after(at(4));
        chain(&mut tail, (5..=50).step_by(5));
        assert_eq!(tail.position_of(10), Some(position(10)));
        assert_eq!(tail.position_of(11), Some(position(15)));
        assert_eq!(tail.position_of(51), None);
    }
}
