//! The task that fills a cache.

use std::sync::Arc;

use tokio::sync::watch;

use super::Requests;
use super::tree::{Span, Tree, after};
use super::view::View;
use crate::client::Client;
use crate::error::Error;
use crate::kv::{KeyRange, KeyValue};
use crate::retry;
use crate::watch::{Event, EventKind, Update, Watcher};

/// What those who read see.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) view: View,
    pub(super) trouble: Option<Error>,
}

/// What a task fills a cache with.
#[derive(Debug)]
pub(super) struct Filling {
    client: Client,
    keys: KeyRange,
    page: usize,
    requests: Arc<Requests>,
    state: watch::Sender<State>,
}

impl Filling {
    pub(super) fn new(
        client: Client,
        keys: KeyRange,
        page: usize,
        requests: Arc<Requests>,
    ) -> (Filling, watch::Receiver<State>) {
        let (state, readers) = watch::channel(State::default());
        (Filling { client, keys, page, requests, state }, readers)
    }

    /// Reads everything, and begins to watch. What was cached before and is the same is kept as it is.
    pub(super) async fn load(&self) -> Result<Watcher, Error> {
        let mut tree = self.state.borrow().view.tree.clone();
        let past_start = after(self.keys.start());
        let whole = Span::of(&self.keys, &past_start);
        let mut from = self.keys.start().to_vec();
        let mut pages = self.client.get(self.keys.clone()).page(self.page);
        while let Some(page) = pages.next().await? {
            let Some(last) = page.last() else { break };
            let until = after(&last.key);
            edit(&mut tree, Span { from: &from, until: Some(&until) }, &page);
            from = until;
        }
        if whole.until.is_none_or(|until| &from[..] < until) {
            edit(&mut tree, Span { from: &from, until: whole.until }, &[]);
        }
        let revision = pages.revision().ok_or(Error::Malformed("an answer without a revision"))?;
        let watcher = self.client.watch(self.keys.clone()).from_revision(revision.next()).await?;
        self.state.send_replace(State { view: View { revision, tree }, trouble: None });
        Ok(watcher)
    }

    /// Follows the watch, and reads again whenever it ends.
    pub(super) async fn run(self, mut watcher: Watcher) {
        loop {
            let why = self.follow(&mut watcher).await;
            tracing::debug!(%why, "the cache is read again");
            let mut round = 0;
            watcher = loop {
                match self.load().await {
                    Ok(watcher) => break watcher,
                    Err(error) => self.state.send_modify(|state| state.trouble = Some(error)),
                }
                tokio::time::sleep(retry::pause(round)).await;
                round += 1;
            };
        }
    }

    /// Takes over what the watch reports. Returns why it has ended.
    async fn follow(&self, watcher: &mut Watcher) -> Error {
        loop {
            tokio::select! {
                update = watcher.next() => match update {
                    Some(Ok(update)) => self.take(update),
                    Some(Err(error)) => return error,
                    None => return Error::Closed,
                },
                () = self.requests.bookmark.notified() => watcher.request_bookmark(),
                () = self.requests.reload.notified() => return Error::Compacted { compact_revision: None },
            }
        }
    }

    fn take(&self, update: Update) {
        self.state.send_modify(|state| {
            let View { revision, tree } = &mut state.view;
            for Event { kind, kv, .. } in &update.events {
                let rows = if *kind == EventKind::Put { std::slice::from_ref(kv) } else { &[] };
                edit(tree, Span { from: &kv.key, until: Some(&after(&kv.key)) }, rows);
            }
            *revision = update.revision.max(*revision);
        });
    }
}

fn edit(tree: &mut Arc<Tree>, span: Span<'_>, rows: &[KeyValue]) {
    Arc::make_mut(tree).replace(span, rows);
}
