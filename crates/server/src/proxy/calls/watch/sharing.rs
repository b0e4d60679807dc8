//! Which watchers share what: the core of a session, without IO.
//!
//! A [*shared watch*](Shared) is one watcher of the member. Its receivers are watchers of clients with the same [`Scope`]. The rules are
//! etcd's:
//!
//! * Who wants to see a revision that a shared watch has passed gets one of his own, from there. So does who watches from now
//!   on: only the member knows which revision that is.
//! * Whenever a shared watch has something to say, it is looked whether another one of its scope is not ahead of it. Then its
//!   receivers move there, each with the revision from which on it has not seen events, and it is canceled.
//!
//! A shared watch does not move to one that has fewer receivers: all of those would wait for the one that catches up.

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;
use proto::etcdserverpb::{
    ResponseHeader, WatchCancelRequest, WatchCreateRequest, WatchRequest, WatchResponse,
    watch_request::RequestUnion,
};

use super::reply::Content;

/// A stream of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct StreamId(pub(super) u64);

/// A watcher of a client: its stream, and its id on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct WatcherId {
    pub(super) stream: StreamId,
    pub(super) id: i64,
}

/// What watchers must have in common to share a watch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    pub(super) key: Bytes,
    pub(super) range_end: Bytes,
    pub(super) filters: Vec<i32>,
    pub(super) prev_kv: bool,
    pub(super) fragment: bool,
}

/// A watcher of a client, wherever it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Receiver {
    /// The first revision whose events it has not seen; 0: from now on.
    pub(super) next: i64,
    /// Whether it wants to hear how far the watch is when there are no events.
    pub(super) wants_progress: bool,
    /// Whether the client knows that it was created.
    pub(super) is_created: bool,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// A request goes to the member.
    Ask(WatchRequest),
    /// A watcher gets a reply.
    Reply { to: WatcherId, content: Content, kind: ReplyKind },
}

/// What a reply means to a watcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReplyKind {
    /// It was created.
    Created,
    /// It was refused: the reply names no watcher.
    Refused,
    /// Events or progress.
    Update,
    /// The member has ended it.
    Ended,
}

/// A response has come in part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AmidParts;

/// The id of a shared watch on the member's stream.
type SharedId = i64;

/// One watcher of the member.
#[derive(Debug)]
struct Shared {
    scope: Scope,
    /// The next revision of which the member may report events; 0: not known before it is created.
    next: i64,
    is_created: bool,
    /// Of a response that comes in parts, the newest revision so far.
    amid_parts: Option<i64>,
    receivers: BTreeMap<WatcherId, Receiver>,
}

/// All shared watches of a session.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    shared: HashMap<SharedId, Shared>,
    by_scope: HashMap<Scope, Vec<SharedId>>,
    places: HashMap<WatcherId, SharedId>,
    /// Those that the member has not answered, in the order in which it will.
    unanswered: VecDeque<SharedId>,
    last_id: SharedId,
    /// The newest header of the member.
    header: ResponseHeader,
}

impl Sharing {
    /// Adds a watcher.
    pub(super) fn add(&mut self, watcher: WatcherId, scope: Scope, receiver: Receiver) -> Vec<Action> {
        let ids = self.by_scope.get(&scope).map_or(&[][..], Vec::as_slice);
        let start = receiver.next;
        match ids.iter().copied().find(|id| self.shared[id].takes(start)) {
            Some(id) => self.join(id, watcher, receiver),
            None => self.open(watcher, scope, receiver),
        }
    }

    fn join(&mut self, id: SharedId, watcher: WatcherId, mut receiver: Receiver) -> Vec<Action> {
        let mut actions = Vec::new();
        let Some(shared) = self.shared.get_mut(&id) else { return actions };
        if shared.is_created && !receiver.is_created {
            receiver.is_created = true;
            let created = WatchResponse { header: Some(self.header), created: true, ..Default::default() };
            let content = Content::of(&created);
            actions.push(Action::Reply { to: watcher, content, kind: ReplyKind::Created });
        }
        shared.receivers.insert(watcher, receiver);
        self.places.insert(watcher, id);
        actions
    }

    fn open(&mut self, watcher: WatcherId, scope: Scope, receiver: Receiver) -> Vec<Action> {
        self.last_id += 1;
        let id = self.last_id;
        self.by_scope.entry(scope.clone()).or_default().push(id);
        let next = receiver.next;
        let receivers = BTreeMap::from([(watcher, receiver)]);
        let shared = Shared { scope, next, is_created: false, amid_parts: None, receivers };
        let create = shared.create(id);
        self.shared.insert(id, shared);
        self.places.insert(watcher, id);
        self.unanswered.push_back(id);
        vec![create]
    }

    /// Begins anew on another stream, where each shared watch is.
    ///
    /// # Errors
    /// When a response has come in part: what its receivers have of it cannot be taken back.
    pub(super) fn resume(&mut self) -> Result<Vec<Action>, AmidParts> {
        if self.shared.values().any(|shared| shared.amid_parts.is_some()) {
            return Err(AmidParts);
        }
        let mut ids: Vec<SharedId> = self.shared.keys().copied().collect();
        ids.sort_unstable();
        self.unanswered = ids.into();
        let shared = &mut self.shared;
        let again = self.unanswered.iter().filter_map(|id| {
            let shared = shared.get_mut(id)?;
            shared.is_created = false;
            Some(shared.create(*id))
        });
        Ok(again.collect())
    }

    /// Takes a watcher out. Returns what it shared and how far it was, if it is there.
    pub(super) fn remove(&mut self, watcher: WatcherId) -> Option<(Scope, Receiver, Vec<Action>)> {
        let id = self.places.remove(&watcher)?;
        let shared = self.shared.get_mut(&id)?;
        let receiver = shared.receivers.remove(&watcher)?;
        let scope = shared.scope.clone();
        let is_left = shared.receivers.is_empty();
        Some((scope, receiver, if is_left { vec![self.cancel(id)] } else { Vec::new() }))
    }

    /// Forgets a shared watch without receivers.
    fn forget(&mut self, id: SharedId) {
        let Some(shared) = self.shared.remove(&id) else { return };
        assert!(shared.receivers.is_empty(), "a watcher that is forgotten would never hear of it");
        if let Some(ids) = self.by_scope.get_mut(&shared.scope) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_scope.remove(&shared.scope);
            }
        }
    }

    fn cancel(&mut self, id: SharedId) -> Action {
        self.forget(id);
        let cancel = WatchCancelRequest { watch_id: id };
        Action::Ask(WatchRequest { request_union: Some(RequestUnion::CancelRequest(cancel)) })
    }

    /// Takes in a response of the member that is about one watcher.
    pub(super) fn response(&mut self, response: &WatchResponse) -> Vec<Action> {
        if let Some(header) = response.header.filter(|header| header.revision >= self.header.revision) {
            self.header = header;
        }
        if response.created {
            return self.created(response);
        }
        if response.canceled {
            return self.ended(response);
        }
        self.update(response)
    }

    fn created(&mut self, response: &WatchResponse) -> Vec<Action> {
        let Some(id) = self.unanswered.pop_front() else { return Vec::new() };
        if response.canceled {
            return self.refused(id, response);
        }
        // It may have been canceled meanwhile: then the member has yet to hear of it.
        let Some(shared) = self.shared.get_mut(&id) else { return Vec::new() };
        let now = response.header.map_or(0, |header| header.revision) + 1;
        shared.is_created = true;
        if shared.next == 0 {
            shared.next = now;
        }
        let content = Content::of(response);
        let mut actions = Vec::new();
        for (watcher, receiver) in &mut shared.receivers {
            if receiver.next == 0 {
                receiver.next = now;
            }
            if !std::mem::replace(&mut receiver.is_created, true) {
                actions.push(Action::Reply {
                    to: *watcher,
                    content: content.clone(),
                    kind: ReplyKind::Created,
                });
            }
        }
        actions.extend(self.merge(id));
        actions
    }

    /// The member does not take a watch: no receiver gets one.
    fn refused(&mut self, id: SharedId, response: &WatchResponse) -> Vec<Action> {
        let Some(shared) = self.shared.get_mut(&id) else { return Vec::new() };
        let receivers = std::mem::take(&mut shared.receivers);
        self.forget(id);
        // One that the client has seen created has ended, whatever it is that is refused to it now.
        let (refused, ended) =
            (Content::of(response), Content::of(&WatchResponse { created: false, ..response.clone() }));
        let action = |(watcher, receiver): (WatcherId, Receiver)| {
            self.places.remove(&watcher);
            let (content, kind) = match receiver.is_created {
                true => (ended.clone(), ReplyKind::Ended),
                false => (refused.clone(), ReplyKind::Refused),
            };
            Action::Reply { to: watcher, content, kind }
        };
        receivers.into_iter().map(action).collect()
    }

    fn ended(&mut self, response: &WatchResponse) -> Vec<Action> {
        let id = response.watch_id;
        // Else it was canceled here, and this is the answer.
        let Some(shared) = self.shared.get_mut(&id) else { return Vec::new() };
        let receivers = std::mem::take(&mut shared.receivers);
        let content = Content::of(response);
        let mut actions = Vec::new();
        for watcher in receivers.into_keys() {
            self.places.remove(&watcher);
            actions.push(Action::Reply { to: watcher, content: content.clone(), kind: ReplyKind::Ended });
        }
        // The id is in use until it is canceled.
        actions.push(self.cancel(id));
        actions
    }

    /// Events, or how far the watch is.
    fn update(&mut self, response: &WatchResponse) -> Vec<Action> {
        let Some(shared) = self.shared.get_mut(&response.watch_id) else { return Vec::new() };
        let mut actions = Vec::new();
        if response.events.is_empty() {
            // Everything up to here has been said, but to one that begins later.
            let next = response.header.map_or(0, |header| header.revision) + 1;
            let content = Content::of(response);
            for (watcher, receiver) in &mut shared.receivers {
                if receiver.wants_progress && receiver.next <= next {
                    actions.push(Action::Reply {
                        to: *watcher,
                        content: content.clone(),
                        kind: ReplyKind::Update,
                    });
                }
                receiver.next = receiver.next.max(next);
            }
            shared.next = shared.next.max(next);
        } else {
            shared.deliver(response, &mut actions);
        }
        if shared.amid_parts.is_none() {
            actions.extend(self.merge(response.watch_id));
        }
        actions
    }

    /// Moves the receivers of a shared watch to another one that is not ahead of it, if there is one that is better.
    fn merge(&mut self, id: SharedId) -> Option<Action> {
        let from = self.shared.get(&id)?;
        let is_better = |other: &SharedId| {
            let to = &self.shared[other];
            let rank = |id: SharedId, shared: &Shared| (shared.receivers.len(), std::cmp::Reverse(id));
            *other != id
                && to.is_created
                && to.amid_parts.is_none()
                && to.next <= from.next
                && rank(*other, to) > rank(id, from)
        };
        let target = self.by_scope.get(&from.scope)?.iter().copied().find(is_better)?;
        let next = from.next;
        let receivers = std::mem::take(&mut self.shared.get_mut(&id)?.receivers);
        for (watcher, mut receiver) in receivers {
            receiver.next = receiver.next.max(next);
            self.places.insert(watcher, target);
            self.shared.get_mut(&target)?.receivers.insert(watcher, receiver);
        }
        Some(self.cancel(id))
    }

    /// Returns the newest header of the member.
    pub(super) fn header(&self) -> ResponseHeader {
        self.header
    }

    /// Returns a watcher, if it is there.
    pub(super) fn receiver(&self, watcher: WatcherId) -> Option<&Receiver> {
        self.shared.get(self.places.get(&watcher)?)?.receivers.get(&watcher)
    }

    /// Returns whether a response to this watcher has come in part.
    pub(super) fn is_amid_parts(&self, watcher: WatcherId) -> bool {
        let shared = self.places.get(&watcher).and_then(|id| self.shared.get(id));
        shared.is_some_and(|shared| shared.amid_parts.is_some())
    }

    /// Returns how many watchers there are beyond those of the member.
    pub(super) fn coalesced(&self) -> usize {
        self.places.len().saturating_sub(self.shared.len())
    }
}

impl Shared {
    /// Returns what is asked of the member: everything from here on.
    fn create(&self, id: SharedId) -> Action {
        let create = WatchCreateRequest {
            key: self.scope.key.clone(),
            range_end: self.scope.range_end.clone(),
            start_revision: self.next,
            progress_notify: true,
            filters: self.scope.filters.clone(),
            prev_kv: self.scope.prev_kv,
            watch_id: id,
            fragment: self.scope.fragment,
        };
        Action::Ask(WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) })
    }

    /// Returns whether a watcher that begins at a revision (0: now) misses nothing here.
    fn takes(&self, start: i64) -> bool {
        match (self.is_created, start) {
            // What is new now is what the member says is new when it answers.
            (false, 0) => self.next == 0,
            (false, start) => self.next != 0 && self.next <= start,
            (true, 0) => false,
            (true, start) => self.amid_parts.is_none() && self.next <= start,
        }
    }

    /// Gives everybody the events that it has not seen.
    fn deliver(&mut self, response: &WatchResponse, actions: &mut Vec<Action>) {
        let revision = |event: &proto::mvccpb::Event| event.kv.as_ref().map_or(0, |kv| kv.mod_revision);
        let first = response.events.iter().map(revision).min().unwrap_or(0);
        let last = response.events.iter().map(revision).max().unwrap_or(0);
        let whole = Content::of(response);
        let last = last.max(self.amid_parts.unwrap_or(0));
        for (watcher, receiver) in &mut self.receivers {
            let content =
                if receiver.next <= first { Some(whole.clone()) } else { rest_of(response, receiver.next) };
            if let Some(content) = content {
                actions.push(Action::Reply { to: *watcher, content, kind: ReplyKind::Update });
            }
            // The parts of a response may all be of one revision.
            if !response.fragment {
                receiver.next = receiver.next.max(last + 1);
            }
        }
        self.amid_parts = response.fragment.then_some(last);
        if !response.fragment {
            self.next = self.next.max(last + 1);
        }
    }
}

/// Returns the events of a response from a revision on, if there are any.
fn rest_of(response: &WatchResponse, next: i64) -> Option<Content> {
    let is_new = |event: &&proto::mvccpb::Event| event.kv.as_ref().is_some_and(|kv| kv.mod_revision >= next);
    let events: Vec<_> = response.events.iter().filter(is_new).cloned().collect();
    (!events.is_empty()).then(|| Content::of(&WatchResponse { events, ..response.clone() }))
}

#[cfg(test)]
mod tests;
