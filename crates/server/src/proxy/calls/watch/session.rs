//! A session: the task that owns the stream to a member and what is shared on it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use proto::etcdserverpb::watch_client::WatchClient;
use proto::etcdserverpb::{WatchProgressRequest, WatchRequest, WatchResponse, watch_request::RequestUnion};
use tokio::sync::{mpsc, oneshot};
use tonic::{Code, Status};

use super::super::super::limits::{RESUME_PAUSE, RESUME_WITHIN};
use super::super::caller::Caller;
use super::super::line::Line;
use super::super::namespace;
use super::hub::Hub;
use super::queue::Queue;
use super::reply::Content;
use super::sharing::{Action, Receiver, ReplyKind, Scope, Sharing, StreamId, WatcherId};

/// What a client's stream asks for.
pub(super) enum Command {
    /// There is a stream.
    Open { stream: StreamId, queue: Arc<Queue> },
    /// It wants a watcher. It hears when the client has been answered, and whether there is one.
    Create { watcher: WatcherId, scope: Scope, receiver: Receiver, answered: oneshot::Sender<IsCreated> },
    /// It does not want one any more.
    Cancel(WatcherId),
    /// It wants to know how far all of its watchers are.
    Progress(StreamId),
}

/// What a member says that knows no leader, to who insists on one.
const NO_LEADER: &str = "etcdserver: no leader";

/// Whether a watcher was created.
pub(super) type IsCreated = bool;

/// What a client's stream says by itself.
pub(super) enum Signal {
    /// Nobody reads it any more.
    Closed(StreamId),
    /// It has room for more replies.
    HasRoom(StreamId),
}

/// A stream of a client.
struct ClientStream {
    queue: Arc<Queue>,
    watchers: HashSet<i64>,
    /// Watchers for which there was no room, with what they watch.
    held_back: HashMap<i64, (Scope, Receiver)>,
}

/// A session.
pub(super) struct Session {
    hub: Arc<Hub>,
    caller: Caller,
    commands: mpsc::Receiver<Command>,
    signals: mpsc::UnboundedReceiver<Signal>,
    streams: HashMap<StreamId, ClientStream>,
    sharing: Sharing,
    answered: HashMap<WatcherId, oneshot::Sender<IsCreated>>,
    /// Streams that wait to hear how far their watchers are.
    asking: HashSet<StreamId>,
    line: Option<Line<WatchRequest, WatchResponse>>,
    /// What the metrics show of this session.
    coalesced: usize,
    /// Since when no member has said anything, after one was gone.
    lost_since: Option<Instant>,
}

/// What happens next in a session.
enum Event {
    Command(Option<Command>),
    Signal(Option<Signal>),
    Response(Result<WatchResponse, Status>),
}

/// Serves the streams of a session until there is none.
pub(super) async fn run(mut session: Session) {
    loop {
        let event = session.next().await;
        session.take(event);
        session.show();
        if session.streams.is_empty() && session.hub.close(&session.caller, &mut session.commands) {
            return session.turn_away().await;
        }
    }
}

impl Session {
    pub(super) fn new(
        hub: Arc<Hub>,
        caller: Caller,
        commands: mpsc::Receiver<Command>,
        signals: mpsc::UnboundedReceiver<Signal>,
    ) -> Session {
        Session {
            hub,
            caller,
            commands,
            signals,
            streams: HashMap::new(),
            sharing: Sharing::default(),
            answered: HashMap::new(),
            asking: HashSet::new(),
            line: None,
            coalesced: 0,
            lost_since: None,
        }
    }

    /// Ends the streams that came when the session was about to end.
    async fn turn_away(mut self) {
        while let Some(command) = self.commands.recv().await {
            if let Command::Open { queue, .. } = command {
                queue.end(Status::unavailable("the watch session has ended"));
            }
        }
    }

    async fn next(&mut self) -> Event {
        let takes_commands = self.line.as_ref().is_none_or(|line| !line.is_full());
        let line = &mut self.line;
        let response = async {
            match line {
                Some(line) => line.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            response = response => Event::Response(response),
            signal = self.signals.recv() => Event::Signal(signal),
            command = self.commands.recv(), if takes_commands => Event::Command(command),
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Command(Some(command)) => self.command(command),
            Event::Signal(Some(Signal::Closed(stream))) => self.close(stream),
            Event::Signal(Some(Signal::HasRoom(stream))) => self.bring_back(stream),
            // The hub has a sender of both as long as there is a session.
            Event::Command(None) | Event::Signal(None) => {}
            Event::Response(Ok(response)) => self.response(response),
            Event::Response(Err(status)) => self.lose_line(&status),
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Open { stream, queue } => {
                if !queue.is_closed() {
                    let (watchers, held_back) = (HashSet::new(), HashMap::new());
                    self.streams.insert(stream, ClientStream { queue, watchers, held_back });
                }
            }
            Command::Create { watcher, scope, receiver, answered } => {
                let Some(stream) = self.streams.get_mut(&watcher.stream) else { return };
                stream.watchers.insert(watcher.id);
                self.answered.insert(watcher, answered);
                let actions = self.sharing.add(watcher, scope, receiver);
                self.act(actions);
            }
            Command::Cancel(watcher) => self.cancel(watcher),
            Command::Progress(stream) => self.ask_for_progress(stream),
        }
    }

    fn cancel(&mut self, watcher: WatcherId) {
        let Some(stream) = self.streams.get_mut(&watcher.stream) else { return };
        if !stream.watchers.remove(&watcher.id) {
            return;
        }
        stream.held_back.remove(&watcher.id);
        let canceled =
            WatchResponse { header: Some(self.sharing.header()), canceled: true, ..Default::default() };
        let actions = self.sharing.remove(watcher).map(|(_, _, actions)| actions).unwrap_or_default();
        stream.queue.push(Content::of(&canceled).to(watcher.id));
        self.act(actions);
    }

    fn ask_for_progress(&mut self, stream: StreamId) {
        if self.streams.get(&stream).is_some_and(|stream| !stream.watchers.is_empty()) {
            self.asking.insert(stream);
            let progress = RequestUnion::ProgressRequest(WatchProgressRequest {});
            self.ask(WatchRequest { request_union: Some(progress) });
        }
    }

    fn close(&mut self, stream: StreamId) {
        let Some(closed) = self.streams.remove(&stream) else { return };
        self.asking.remove(&stream);
        for id in closed.watchers {
            let watcher = WatcherId { stream, id };
            self.answered.remove(&watcher);
            if let Some((_, _, actions)) = self.sharing.remove(watcher) {
                self.act(actions);
            }
        }
    }

    fn response(&mut self, mut response: WatchResponse) {
        self.lost_since = None;
        namespace::strip_events(&self.hub.namespace, &mut response.events);
        if response.watch_id == -1 && !response.created {
            return self.progress(&response);
        }
        let actions = self.sharing.response(&response);
        let replies = actions.iter().filter(|action| matches!(action, Action::Reply { .. })).count();
        self.hub.metrics.proxy.events_coalescing.add(replies.saturating_sub(1) as u64);
        self.act(actions);
    }

    /// Answers the streams that have asked how far all of their watchers are, if that is known of all of them.
    fn progress(&mut self, response: &WatchResponse) {
        let revision = response.header.map_or(0, |header| header.revision);
        let content = Content::of(response);
        for id in std::mem::take(&mut self.asking) {
            let Some(stream) = self.streams.get(&id) else { continue };
            let is_there = |watcher: &i64| {
                let receiver = self.sharing.receiver(WatcherId { stream: id, id: *watcher });
                receiver.is_some_and(|receiver| receiver.is_created && receiver.next <= revision + 1)
            };
            if stream.watchers.iter().all(is_there) {
                stream.queue.push(content.to(-1));
            }
        }
    }

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Ask(request) => self.ask(request),
                Action::Reply { to, content, kind } => self.reply(to, &content, kind),
            }
        }
    }

    fn reply(&mut self, watcher: WatcherId, content: &Content, kind: ReplyKind) {
        let Some(stream) = self.streams.get_mut(&watcher.stream) else { return };
        let id = if kind == ReplyKind::Refused { -1 } else { watcher.id };
        let has_room = stream.queue.push(content.to(id));
        match kind {
            ReplyKind::Created | ReplyKind::Refused => {
                if let Some(answered) = self.answered.remove(&watcher) {
                    let _ = answered.send(kind == ReplyKind::Created);
                }
            }
            ReplyKind::Update | ReplyKind::Ended => {}
        }
        match kind {
            ReplyKind::Refused | ReplyKind::Ended => drop(stream.watchers.remove(&watcher.id)),
            ReplyKind::Update if !has_room => self.hold_back(watcher),
            ReplyKind::Update | ReplyKind::Created => {}
        }
    }

    /// Takes a watcher off what it shares, as its client does not read. The parts of a response are not torn apart.
    fn hold_back(&mut self, watcher: WatcherId) {
        let Some(stream) = self.streams.get_mut(&watcher.stream) else { return };
        if self.sharing.is_amid_parts(watcher) || stream.queue.has_room_or_tells() {
            return;
        }
        if let Some((scope, receiver, actions)) = self.sharing.remove(watcher) {
            stream.held_back.insert(watcher.id, (scope, receiver));
            self.act(actions);
        }
    }

    /// Lets the watchers of a stream that has been read go on where they were.
    fn bring_back(&mut self, stream: StreamId) {
        let Some(client) = self.streams.get_mut(&stream) else { return };
        for (id, (scope, receiver)) in std::mem::take(&mut client.held_back) {
            let actions = self.sharing.add(WatcherId { stream, id }, scope, receiver);
            self.act(actions);
        }
    }

    /// Sends a request to the member; the first one opens the stream.
    fn ask(&mut self, request: WatchRequest) {
        let (upstream, caller) = (&self.hub.upstream, &self.caller);
        let line = self.line.get_or_insert_with(|| {
            let limit = upstream.receive_bytes_max();
            let mut stub = WatchClient::new(upstream.channel()).max_decoding_message_size(limit);
            let caller = caller.clone();
            // The connection to the member that is gone may not know it yet.
            let pause = self.lost_since.map(|_| RESUME_PAUSE);
            Line::open(|requests| async move {
                if let Some(pause) = pause {
                    tokio::time::sleep(pause).await;
                }
                stub.watch(caller.request(requests)).await
            })
        });
        line.send(request);
    }

    /// Goes on with another member if this one is gone. If none answers, or it is another matter, the clients begin anew.
    fn lose_line(&mut self, status: &Status) {
        tracing::debug!(error = %status, "a watch stream to a member has ended");
        self.line = None;
        let is_gone = status.code() == Code::Unavailable && status.message() != NO_LEADER;
        let lost_since = *self.lost_since.get_or_insert_with(Instant::now);
        if is_gone
            && lost_since.elapsed() < RESUME_WITHIN
            && let Ok(actions) = self.sharing.resume()
        {
            self.asking.clear();
            if actions.is_empty() {
                // Nobody waits for a member to answer.
                self.lost_since = None;
            }
            return self.act(actions);
        }
        self.lost_since = None;
        self.end_streams(status);
    }

    fn end_streams(&mut self, status: &Status) {
        self.asking.clear();
        self.answered.clear();
        self.sharing = Sharing::default();
        for (_, stream) in self.streams.drain() {
            stream.queue.end(status.clone());
        }
    }

    fn show(&mut self) {
        let now = self.sharing.coalesced();
        if now != self.coalesced {
            self.hub.metrics.proxy.watchers_coalescing.add(now as i64 - self.coalesced as i64);
            self.coalesced = now;
        }
    }
}
