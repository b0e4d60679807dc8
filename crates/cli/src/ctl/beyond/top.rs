//! `top`: members, rates and hot prefixes, live.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use clap::Command as Grammar;
use futures_util::future::join_all;
use proto::etcdserverpb::{Member, StatusResponse, WatchCreateRequest};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use tokio::sync::mpsc;

use super::event_stream::EventStream;
use super::{http, lines, members};
use crate::beyond::metrics::Metrics;
use crate::beyond::top::{Counters, Hot, MemberRow, Role, View, draw, plain};
use crate::ctl::Invocation;
use crate::ctl::commands::{Command, Group};
use crate::ctl::connect::Session;
use crate::ctl::exit::Failure;
use crate::ctl::flags::{self, Flags as _};
use crate::ctl::range::{ZERO, prefix_end};

/// The command.
pub const COMMAND: Command =
    Command { name: "top", group: Group::Beyond, grammar, run: |invocation| Box::pin(run(invocation)) };

const INTERVAL: Duration = Duration::from_secs(1);
const INTERVAL_MIN: Duration = Duration::from_millis(100);
const DEPTH: usize = 2;

/// How wide a frame is where nobody says: all columns.
const COLUMNS: u16 = 132;

/// How many prefixes are shown at most.
const HOT_MAX: usize = 20;

const METRICS_LIMIT: Duration = Duration::from_secs(1);

fn grammar(grammar: Grammar) -> Grammar {
    grammar
        .about("Shows members, request rates and hot prefixes, live")
        .override_usage("")
        .arg(flags::switch("once", "Print one frame and end, as happens when the output is no terminal"))
        .arg(flags::duration("interval", "Time between two frames, and that rates are taken over (default 1s)"))
        .arg(flags::text("prefix", "Watch only keys with this prefix for hot prefixes"))
        .arg(flags::number("depth", "Segments of a hot prefix (default 2)"))
        .arg(flags::switch("no-watch", "Do not look for hot prefixes: every change is sent to whoever does"))
        .args(flags::positionals(&[]))
        .long_about(
            "Shows members, request rates and hot prefixes, live. `q` ends it. Rates are what each member answered, by its metrics; hot \
             prefixes are counted from a watch, to which the server sends every change.",
        )
        .after_help("quoratectl top\nquoratectl top --once --interval 10s | mail -s etcd ops@example.com")
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    let matches = &invocation.matches;
    let interval = matches.duration("interval").unwrap_or(INTERVAL).max(INTERVAL_MIN);
    let depth = usize::try_from(matches.number("depth")).ok().filter(|depth| *depth > 0).unwrap_or(DEPTH);
    let session = lines::open(&invocation).await?;
    let mut top = Top {
        hot: Hot::new(depth),
        session,
        watching: None,
        hot_note: None,
        known: (Vec::new(), 0),
        earlier: HashMap::new(),
    };
    match matches.is_on("no-watch") {
        true => top.hot_note = Some("hot prefixes: --no-watch".to_owned()),
        false => top.watch(matches.text("prefix").unwrap_or_default()).await,
    }
    if matches.is_on("once") || !std::io::stdout().is_terminal() {
        return once(top, interval).await;
    }
    let terminal = ratatui::try_init()?;
    let ended = live(top, interval, terminal).await;
    ratatui::restore();
    ended
}

/// Prints one frame.
async fn once(mut top: Top, interval: Duration) -> Result<(), Failure> {
    top.sample().await?;
    let end = Instant::now() + interval;
    top.count_until(end).await;
    let view = top.sample().await?;
    lines::write(&plain(&view, columns()))
}

/// The columns of the terminal, or of the variable that a shell and a test can set.
fn columns() -> u16 {
    let variable = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let terminal = || ratatui::crossterm::terminal::size().ok().filter(|_| std::io::stdout().is_terminal());
    variable.or_else(|| Some(terminal()?.0)).unwrap_or(COLUMNS)
}

/// Draws frames until a key ends it.
async fn live(mut top: Top, interval: Duration, mut terminal: DefaultTerminal) -> Result<(), Failure> {
    let mut keys = keys();
    loop {
        // Members that do not answer take their time: the keyboard does not wait for them.
        let view = tokio::select! {
            () = quit(&mut keys) => return Ok(()),
            sampled = top.sample() => sampled?,
        };
        let next = Instant::now() + interval;
        loop {
            terminal.draw(|frame| draw(&view, frame))?;
            tokio::select! {
                key = keys.recv() => match key {
                    Some(Key::Redraw) => {}
                    Some(Key::Quit) | None => return Ok(()),
                },
                () = top.count_until(next) => break,
            }
        }
    }
}

/// Waits for the key that ends it.
async fn quit(keys: &mut mpsc::UnboundedReceiver<Key>) {
    while let Some(Key::Redraw) = keys.recv().await {}
}

/// What was typed.
enum Key {
    Quit,
    Redraw,
}

/// Reads the keyboard on a thread of its own: its reads cannot be given up.
fn keys() -> mpsc::UnboundedReceiver<Key> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            let key = match event {
                Event::Key(key) if key.code == KeyCode::Char('q') || key.code == KeyCode::Esc => Key::Quit,
                Event::Key(key)
                    if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) =>
                {
                    Key::Quit
                }
                Event::Resize(..) => Key::Redraw,
                _ => continue,
            };
            if sender.send(key).is_err() {
                return;
            }
        }
    });
    receiver
}

/// What is known from one frame to the next.
struct Top {
    session: Session,
    watching: Option<EventStream>,
    hot: Hot,
    hot_note: Option<String>,
    /// The members of the last list, and the cluster's id: they are shown when no list is to be had any more.
    known: (Vec<Member>, u64),
    /// The counters of each endpoint, and when they were read.
    earlier: HashMap<String, (Instant, Counters)>,
}

impl Top {
    async fn watch(&mut self, prefix: &str) {
        let key = if prefix.is_empty() { ZERO } else { prefix.as_bytes().to_vec().into() };
        let create = WatchCreateRequest {
            key,
            range_end: prefix_end(prefix.as_bytes()),
            ..WatchCreateRequest::default()
        };
        match EventStream::open(&self.session, create).await {
            Ok(watching) => self.watching = Some(watching),
            Err(failure) => self.give_up(failure),
        }
    }

    fn give_up(&mut self, failure: Failure) {
        self.watching = None;
        self.hot_note = Some(format!("hot prefixes: {}", failure.text.unwrap_or_default()));
    }

    /// Counts events until a time. May be given up at any moment without losing one.
    async fn count_until(&mut self, end: Instant) {
        let end = tokio::time::Instant::from_std(end);
        while let Some(watching) = &mut self.watching {
            let response = tokio::select! {
                response = watching.next() => response,
                () = tokio::time::sleep_until(end) => return,
            };
            match response {
                Ok(response) => response.events.iter().filter_map(|event| event.kv.as_ref()).for_each(|kv| {
                    self.hot.count(&kv.key, (kv.key.len() + kv.value.len()) as u64);
                }),
                Err(failure) => self.give_up(failure),
            }
        }
        tokio::time::sleep_until(end).await;
    }

    /// Asks all members.
    async fn sample(&mut self) -> Result<View, Failure> {
        match members::list(&self.session).await {
            Ok(listed) => self.known = listed,
            Err(failure) if self.known.0.is_empty() => return Err(failure),
            Err(_) => {}
        }
        let (members, cluster_id) = self.known.clone();
        let asked = join_all(members.iter().map(|member| ask(&self.session, member))).await;
        let committed =
            asked.iter().flatten().map(|answer| answer.status.raft_index).max().unwrap_or_default();
        let mut view = View { cluster_id, hot_note: self.hot_note.clone(), ..View::default() };
        let mut elapsed = None;
        for (member, answer) in members.iter().zip(&asked) {
            let (row, since) = self.row(member, answer.as_ref(), committed);
            elapsed = elapsed.or(since);
            view.members.push(row);
            let Some(answer) = answer else { continue };
            view.raft_term = view.raft_term.max(answer.status.raft_term);
            view.revision = view
                .revision
                .max(answer.status.header.as_ref().map(|header| header.revision).unwrap_or_default());
            let keys =
                answer.metrics.as_ref().and_then(|metrics| metrics.value("etcd_debugging_mvcc_keys_total"));
            view.keys = view.keys.or(keys.map(|keys| keys as u64));
        }
        if let Some(elapsed) = elapsed {
            self.hot.roll(elapsed);
        }
        view.hot = self.hot.hottest(HOT_MAX);
        view.alarms = members::alarms(&self.session)
            .await
            .unwrap_or_default()
            .into_iter()
            .map(|(_, alarm)| alarm)
            .collect();
        Ok(view)
    }

    /// A member's line, and how long ago it was asked before.
    fn row(
        &mut self,
        member: &Member,
        answer: Option<&Answer>,
        committed: u64,
    ) -> (MemberRow, Option<Duration>) {
        let name = if member.name.is_empty() { format!("{:x}", member.id) } else { member.name.clone() };
        let Some(Answer { endpoint, status, metrics, at }) = answer else {
            return (MemberRow { name, ..MemberRow::default() }, None);
        };
        let role = match (status.is_learner, status.leader == member.id) {
            (true, _) => Role::Learner,
            (false, true) => Role::Leader,
            (false, false) => Role::Follower,
        };
        let counters = metrics.as_ref().map(Counters::of);
        let earlier = counters.and_then(|counters| self.earlier.insert(endpoint.clone(), (*at, counters)));
        let since = earlier.map(|(then, _)| at.duration_since(then));
        let rates =
            earlier.zip(counters).map(|((then, earlier), now)| now.since(&earlier, at.duration_since(then)));
        let row = MemberRow {
            name,
            role,
            version: status.version.clone(),
            lag: Some(committed.saturating_sub(status.raft_applied_index)),
            db_size: Some(status.db_size.unsigned_abs()),
            db_quota: Some(status.db_size_quota.unsigned_abs()),
            rates,
        };
        (row, since)
    }
}

/// What a member said.
struct Answer {
    endpoint: String,
    status: StatusResponse,
    metrics: Option<Metrics>,
    at: Instant,
}

async fn ask(session: &Session, member: &Member) -> Option<Answer> {
    let (endpoint, status) = members::first_status(session, member).await?;
    let at = Instant::now();
    let answer = http::get(&session.globals, &endpoint, "/metrics", METRICS_LIMIT).await.ok();
    let metrics = answer.filter(|answer| answer.status == 200).map(|answer| Metrics::parse(&answer.body));
    Some(Answer { endpoint, status, metrics, at })
}
