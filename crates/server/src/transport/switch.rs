//! Who is a peer, and what goes to which.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine::note::PeerNote;
use engine::peers::Peer;
use engine::spawn;
use raft::NodeId;

use super::codec::Frame;
use super::context::Context;
use super::handle::Order;
use super::handshake::{Caller, Refused};
use super::limits::GUESTS_MAX;
use super::link::{Hex, Link};
use super::snapshot;
use crate::config::Url;
use crate::logging::messages;

/// Does what the engine wants, until it wants the transport to stop.
pub(super) async fn run(context: Arc<Context>) {
    let mut orders = Vec::new();
    let mut written: Vec<Arc<Link>> = Vec::new();
    while context.shared.take(&mut orders).await {
        for order in orders.drain(..) {
            match order {
                Order::Message(message) => {
                    let to = message.to;
                    put(to, Frame::Message(message), None, &mut written, &context);
                }
                Order::Note(to, note) => {
                    let if_unsent = note.if_unsent();
                    let unsent = put(to, Frame::Note(note), if_unsent, &mut written, &context);
                    context.tell_engine(to, unsent.into_iter().collect());
                }
                Order::Peers(peers) => set_peers(peers, &context),
                Order::Removed(removed) => set_removed(removed, &context),
                Order::Snapshot(job) => snapshot::send(job, &context),
            }
        }
        written.drain(..).for_each(|link| link.flush());
    }
}

/// Queues a frame, or gives `if_unsent` back. Messages come in runs, so the links of a batch are looked up once.
fn put(
    to: NodeId,
    frame: Frame,
    if_unsent: Option<PeerNote>,
    written: &mut Vec<Arc<Link>>,
    context: &Context,
) -> Option<PeerNote> {
    if let Some(link) = written.iter().find(|link| link.id == to) {
        return link.put(frame, if_unsent);
    }
    // Nobody of that id: as if it could not be reached.
    let Some(link) = context.link(to) else { return if_unsent };
    written.push(link.clone());
    link.put(frame, if_unsent)
}

fn set_peers(peers: Vec<Peer>, context: &Arc<Context>) {
    let me = context.id();
    let peers: BTreeMap<NodeId, Vec<Url>> =
        peers.into_iter().filter(|peer| peer.id != me).map(|peer| (peer.id, parse(&peer))).collect();
    let gone = {
        let mut table = context.table.lock();
        let before = std::mem::replace(&mut table.members, peers.keys().copied().collect());
        before.difference(&table.members).copied().collect::<Vec<_>>()
    };
    gone.into_iter().for_each(|peer| forget(peer, context));
    for (id, urls) in peers {
        match context.link(id) {
            Some(link) if link.urls() != urls => {
                tracing::info!("remote-peer-id" = %Hex(id), "remote-peer-urls" = ?urls, "{}", messages::PEER_UPDATED);
                link.set_urls(urls);
            }
            Some(_) => {}
            None => {
                tracing::info!("remote-peer-id" = %Hex(id), "remote-peer-urls" = ?urls, "{}", messages::PEER_ADDED);
                open(id, urls, context);
            }
        }
        context.metrics.peers.of(id.0).known.set(1);
    }
}

fn parse(peer: &Peer) -> Vec<Url> {
    let parse = |text: &String| {
        let url = Url::parse(text);
        if let Err(error) = &url {
            tracing::warn!("remote-peer-id" = %Hex(peer.id), error = %error, "a member has a peer URL that is none");
        }
        url.ok()
    };
    peer.urls.iter().filter_map(parse).collect()
}

/// Starts a link.
fn open(id: NodeId, urls: Vec<Url>, context: &Arc<Context>) {
    let link = Link::new(id, urls, context);
    context.shared.activity.write().insert(id, None);
    context.table.lock().links.insert(id, link.clone());
    spawn::task("link to a peer", link.run(context.clone()));
}

/// A member is none any more. What is queued for it is still written: it may be the news of its removal.
fn forget(id: NodeId, context: &Context) {
    context.metrics.peers.of(id.0).known.set(0);
    tracing::info!("remote-peer-id" = %Hex(id), "{}", messages::PEER_REMOVED);
    close(id, context);
}

fn close(id: NodeId, context: &Context) {
    if let Some(link) = context.table.lock().links.remove(&id) {
        link.close();
    }
    context.shared.activity.write().remove(&id);
}

/// Members of the past are not listened to any more. They call again, and are told.
fn set_removed(removed: BTreeSet<NodeId>, context: &Context) {
    let mut table = context.table.lock();
    for peer in &removed {
        if let Some(inlet) = table.inlets.remove(peer) {
            inlet.task.abort();
        }
    }
    table.removed = removed;
}

/// Whether a caller that is no member may come in. There are such: a member that was down must hear from a leader that
/// was added meanwhile.
pub(super) fn check_guest(caller: &Caller, context: &Context) -> Result<(), Refused> {
    let table = context.table.lock();
    let is_known = |peer: &NodeId| table.members.contains(peer);
    let guests = table.inlets.keys().filter(|peer| !is_known(peer) && **peer != caller.id).count();
    if is_known(&caller.id) || guests < GUESTS_MAX { Ok(()) } else { Err(Refused::TooMany) }
}

/// A peer has opened its stream: it can be called too. If it is no member, it says itself where.
pub(super) fn caller_is_there(caller: &Caller, context: &Arc<Context>) {
    match context.link(caller.id) {
        Some(link) => link.encourage(),
        None => {
            let urls = caller.urls.iter().filter_map(|url| Url::parse(url).ok()).collect();
            open(caller.id, urls, context);
        }
    }
}

/// A peer's stream has ended for good: a guest is forgotten.
pub(super) fn caller_is_gone(peer: NodeId, context: &Context) {
    if !context.table.lock().members.contains(&peer) {
        close(peer, context);
    }
}
