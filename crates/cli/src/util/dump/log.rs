//! The raft log: an entry a line.

use raft::durable::{Seen, inspect};
use raft::{Entry, Membership, NodeId, Payload};
use serde_json::{Value, json};
use wal::Position;

use super::Numbers;
use super::command::Command;
use super::lines::{Lines, base64, quoted};
use crate::util::disk::ReadOnlyDisk;
use crate::util::failure::Failure;
use crate::util::held::Held;

pub(super) fn dump(
    held: &Held,
    wanted: Numbers,
    secrets: bool,
    lines: &mut Lines<'_>,
) -> Result<(), Failure> {
    let done = inspect(&ReadOnlyDisk::default(), &held.wal, None, &wal::InTurn, &mut |seen| match seen {
        Seen::Entry(position, entry) if wanted.contain(entry.index.0) => {
            show(position, entry, secrets, lines)
        }
        Seen::Finding(finding) => lines.finding(&finding),
        _ => {}
    });
    done.map(drop).map_err(|error| Failure::error(error.to_string()))
}

fn show(position: Position, entry: &Entry, secrets: bool, lines: &mut Lines<'_>) {
    let content = Content::of(&entry.payload, secrets);
    let text = || format!("{} {}", entry.id(), content.text());
    let json = || {
        let mut line = json!({
            "index": entry.index.0, "term": entry.term.0, "segment": position.segment, "offset": position.offset,
        });
        if let (Some(line), Value::Object(content)) = (line.as_object_mut(), content.json()) {
            line.extend(content);
        }
        line
    };
    lines.line(text, json);
}

/// What an entry says.
enum Content<'a> {
    Empty,
    Command(Command),
    Members(&'a Membership, Option<Command>),
    /// Bytes that are no command known here.
    Unknown(&'a [u8]),
}

impl<'a> Content<'a> {
    fn of(payload: &'a Payload, secrets: bool) -> Self {
        match payload {
            Payload::Empty => Self::Empty,
            Payload::Command(bytes) => {
                Command::decode(bytes.clone(), secrets).map_or(Self::Unknown(bytes), Self::Command)
            }
            Payload::Membership(change) => {
                let command = Command::decode(change.context.clone(), secrets);
                Self::Members(&change.membership, command.filter(|_| !change.context.is_empty()))
            }
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Empty => "empty".to_owned(),
            Self::Command(command) => command.text(),
            Self::Members(membership, command) => {
                let mut text = "members".to_owned();
                for (name, nodes) in lists(membership).into_iter().filter(|(_, nodes)| !nodes.is_empty()) {
                    text = format!("{text} {name}[{}]", ids(nodes).join(" "));
                }
                command.iter().fold(text, |text, command| format!("{text} {}", command.text()))
            }
            Self::Unknown(bytes) => format!("unknown {}", quoted(bytes)),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Empty => json!({ "kind": "empty" }),
            Self::Command(command) => json!({ "kind": "command", "command": command.json() }),
            Self::Members(membership, command) => {
                let lists = lists(membership).map(|(name, nodes)| (name.to_owned(), json!(ids(nodes))));
                let members: serde_json::Map<String, Value> = lists.into_iter().collect();
                let command = command.as_ref().map(Command::json);
                json!({ "kind": "members", "members": members, "command": command })
            }
            Self::Unknown(bytes) => json!({ "kind": "unknown", "bytes": base64(bytes) }),
        }
    }
}

fn lists(membership: &Membership) -> [(&'static str, &[NodeId]); 4] {
    [
        ("voters", membership.voters()),
        ("outgoing", membership.outgoing()),
        ("learners", membership.learners()),
        ("learnersNext", membership.learners_next()),
    ]
}

fn ids(nodes: &[NodeId]) -> Vec<String> {
    nodes.iter().map(|node| format!("{:x}", node.0)).collect()
}
