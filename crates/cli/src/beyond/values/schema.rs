//! What the messages of Kubernetes' protobuf form are made of: a table of names by field number.
//!
//! An API server writes its own kinds as protobuf, without a word about their fields, so that whoever reads them needs
//! the table. It is text that is read when the first such value is shown; `quoratectl` without one pays nothing.

use std::collections::HashMap;
use std::sync::OnceLock;

/// The table: see its first lines.
const TABLE: &str = include_str!("kubernetes.fields");

/// The name of a field whose own fields are those of the message around it.
pub(super) const INLINE: &str = "-";

/// A field that the table names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    /// Its name in the JSON form.
    pub(super) name: &'static str,
    /// What it holds.
    pub(super) kind: Kind,
    /// How often it may be there.
    pub(super) shape: Shape,
}

/// How often a field may be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// At most once.
    One,
    /// Any number of times.
    List,
    /// Any number of times, each an entry with a key that is text.
    Map,
}

/// What a field, an item of a list or the value of an entry holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// UTF-8.
    Text,
    /// Bytes, in Base64 in the JSON form.
    Bytes,
    /// A boolean.
    Bool,
    /// An integer of 32 or 64 bits.
    Int,
    /// A floating-point number of 64 bits.
    Double,
    /// A message of this name.
    Message(&'static str),
}

/// Returns the field of this number in a message of this name.
pub(super) fn field(message: &str, number: u32) -> Option<Field> {
    table().get(message)?.iter().find(|(known, _)| *known == number).map(|(_, field)| *field)
}

/// Returns the name of the message that holds objects of this kind (`apps/v1`, `Deployment`).
pub(super) fn message_of(api_version: &str, kind: &str) -> Option<&'static str> {
    let (group, version) = api_version.split_once('/').unwrap_or(("core", api_version));
    let group = group.split('.').next().unwrap_or(group);
    table().get_key_value(format!("{group}.{version}.{kind}").as_str()).map(|(name, _)| *name)
}

type Table = HashMap<&'static str, Vec<(u32, Field)>>;

fn table() -> &'static Table {
    static PARSED: OnceLock<Table> = OnceLock::new();
    PARSED.get_or_init(|| parse(TABLE))
}

/// Reads the table. A line that is not one of a field begins the next message.
fn parse(text: &'static str) -> Table {
    let mut table = Table::new();
    let mut message = "";
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        match parse_field(line) {
            Some(field) => table.entry(message).or_default().push(field),
            None => message = line,
        }
    }
    table
}

fn parse_field(line: &'static str) -> Option<(u32, Field)> {
    let mut words = line.strip_prefix(' ')?.split(' ');
    let (number, name, kind) = (words.next()?.parse().ok()?, words.next()?, words.next()?);
    let (shape, kind) = match kind.split_once(':') {
        Some(("list", kind)) => (Shape::List, kind),
        Some((_, kind)) => (Shape::Map, kind),
        None => (Shape::One, kind),
    };
    Some((number, Field { name, kind: parse_kind(kind), shape }))
}

fn parse_kind(word: &'static str) -> Kind {
    match word {
        "string" => Kind::Text,
        "bytes" => Kind::Bytes,
        "bool" => Kind::Bool,
        "int" => Kind::Int,
        "double" => Kind::Double,
        message => Kind::Message(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_found_by_group_and_version() {
        for (api_version, kind, message) in [
            ("v1", "Pod", Some("core.v1.Pod")),
            ("apps/v1", "Deployment", Some("apps.v1.Deployment")),
            ("rbac.authorization.k8s.io/v1", "ClusterRole", Some("rbac.v1.ClusterRole")),
            ("example.com/v1", "Pod", None),
        ] {
            assert_eq!(message_of(api_version, kind), message);
        }
    }

    #[test]
    fn every_line_is_a_message_or_a_field() {
        assert_eq!(
            field("core.v1.PodSpec", 2),
            Some(Field { name: "containers", kind: Kind::Message("core.v1.Container"), shape: Shape::List })
        );
        let fields: usize = table().values().map(Vec::len).sum();
        let messages = TABLE.lines().filter(|line| !line.starts_with(['#', ' '])).count();
        let comments = TABLE.lines().filter(|line| line.starts_with('#')).count();
        assert_eq!(fields + messages + comments, TABLE.lines().count());
    }
}
