//! `history`: every version of a key that is still kept.
//!
//! A watch from the oldest revision has them all, deletions included, which reads at older revisions would not find. A
//! progress notification says that all was sent.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use clap::Command as Grammar;
use proto::etcdserverpb::WatchCreateRequest;
use proto::mvccpb::Event;
use proto::mvccpb::event::EventType;

use super::event_stream::{self, EventStream};
use super::lines;
use super::pages::key_at;
use crate::beyond::history::{State, TITLE, Version};
use crate::ctl::Invocation;
use crate::ctl::commands::{Command, Group};
use crate::ctl::connect::Session;
use crate::ctl::exit::Failure;
use crate::ctl::flags::{self, Flags as _};

/// The command.
pub const COMMAND: Command =
    Command { name: "history", group: Group::Beyond, grammar, run: |invocation| Box::pin(run(invocation)) };

/// How often a progress notification is asked for: a server that has not sent everything yet does not answer.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(50);

/// How many notifications are waited for where there is nothing else to tell by that everything was sent.
const NOTIFICATIONS_MIN: u32 = 5;

fn grammar(grammar: Grammar) -> Grammar {
    grammar
        .about("Shows every version of a key that is still kept, the oldest first")
        .override_usage("<key>")
        .arg(flags::number("last", "Only so many, the newest; 0 for all"))
        .args(flags::positionals(&["key"]))
        .long_about(
            "Shows every version of a key that is still kept, the oldest first. What was compacted is gone. Revisions have no times: \
             the column TIME has what an object of Kubernetes says about itself, and nothing otherwise.",
        )
        .after_help("quoratectl history /app/config\nquoratectl get /app/config --rev 42")
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    let key = lines::exactly_one(&invocation, "a key")?;
    let last = usize::try_from(invocation.matches.number("last").max(0)).unwrap_or(usize::MAX);
    let session = lines::open(&invocation).await?;
    let (now, newest) = key_at(&session, &key, 0).await?;
    let search = Search { session: &session, key, newest, last: now.map(|kv| kv.mod_revision) };
    let (versions, compacted) = match search.from(1).await? {
        Found::Versions(versions) => (versions, 0),
        Found::Compacted(revision) => match search.after(revision).await? {
            Found::Versions(versions) => (versions, revision),
            Found::Compacted(_) => {
                return Err(Failure::error("history is compacted faster than it is read: run it again"));
            }
        },
    };
    let skipped = if last == 0 { 0 } else { versions.len().saturating_sub(last) };
    let mut all = vec![TITLE.to_owned()];
    if compacted > 0 {
        all.push(format!("{compacted:>8}  what was before this revision is compacted"));
    }
    all.extend(versions.iter().skip(skipped).map(Version::line));
    lines::write(&all)
}

/// What a watch from a revision found.
enum Found {
    Versions(VecDeque<Version>),
    /// The oldest revision that can be read.
    Compacted(i64),
}

/// A search for all versions up to the revision that was the newest when it began.
struct Search<'a> {
    session: &'a Session,
    key: Bytes,
    newest: i64,
    /// The revision of the key's last change, if it is there.
    last: Option<i64>,
}

impl Search<'_> {
    /// The versions since a compaction, the one that it kept first: that was written before, so that no event has it.
    async fn after(&self, compacted: i64) -> Result<Found, Failure> {
        let (kept, _) = key_at(self.session, &self.key, compacted).await?;
        let found = self.from(compacted).await?;
        let Found::Versions(mut versions) = found else { return Ok(found) };
        let Some(kept) = kept else { return Ok(Found::Versions(versions)) };
        if versions.front().is_none_or(|first| first.revision != kept.mod_revision) {
            versions.push_front(Version {
                revision: kept.mod_revision,
                state: State::Written {
                    version: kept.version,
                    value: kept.value.to_vec(),
                    lease: kept.lease,
                },
            });
        }
        Ok(Found::Versions(versions))
    }

    /// The versions that events since a revision tell.
    async fn from(&self, revision: i64) -> Result<Found, Failure> {
        let create = WatchCreateRequest {
            key: self.key.clone(),
            start_revision: revision,
            ..WatchCreateRequest::default()
        };
        let mut watching = EventStream::open(self.session, create).await?;
        let (mut versions, mut notifications) = (VecDeque::new(), 0);
        let mut ask = tokio::time::interval(PROGRESS_INTERVAL);
        loop {
            let response = tokio::select! {
                response = watching.next() => response?,
                _ = ask.tick() => {
                    watching.ask_for_progress();
                    continue;
                }
            };
            if response.compact_revision > 0 {
                return Ok(Found::Compacted(response.compact_revision));
            }
            versions.extend(response.events.iter().filter_map(version));
            let up_to = response.header.as_ref().map(|header| header.revision).unwrap_or_default();
            if event_stream::is_progress(&response) && up_to >= self.newest {
                notifications += 1;
                if self.is_whole(&versions, revision, notifications) {
                    return Ok(Found::Versions(versions));
                }
            }
        }
    }

    /// Whether what was sent ends as the key is now. Before 3.5.8, etcd notifies of progress before it has sent everything.
    fn is_whole(&self, versions: &VecDeque<Version>, from: i64, notifications: u32) -> bool {
        match (versions.back(), self.last) {
            (Some(sent), Some(last)) => sent.revision >= last,
            (None, Some(last)) => last < from,
            (Some(sent), None) => sent.state == State::Deleted || sent.revision > self.newest,
            (None, None) => notifications >= NOTIFICATIONS_MIN,
        }
    }
}

fn version(event: &Event) -> Option<Version> {
    let kv = event.kv.as_ref()?;
    let state = match event.r#type() {
        EventType::Put => State::Written { version: kv.version, value: kv.value.to_vec(), lease: kv.lease },
        EventType::Delete => State::Deleted,
    };
    Some(Version { revision: kv.mod_revision, state })
}
