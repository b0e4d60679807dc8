//! Objects as a Kubernetes API server stores them: four bytes that say so, then a `runtime.Unknown` with the kind and
//! the object in protobuf.
//!
//! ```text
//! "k8s\0"  Unknown { 1: TypeMeta { 1: apiVersion, 2: kind }, 2: raw, 3: contentEncoding, 4: contentType }
//! ```
//!
//! What is shown is the JSON form that `kubectl get -o yaml` prints. A field that no table names ([`super::schema`]) is
//! called `field N`. A kind that is not in the table has metadata in its first field, as all kinds have by convention.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost::Message;

use super::schema::{self, Field, INLINE, Kind, Shape};
use super::time;
use super::wire::{self, Value};
use crate::beyond::node::Node;

/// What a stored object begins with.
const MAGIC: &[u8] = b"k8s\0";

/// The message of the metadata of every kind.
const METADATA: &str = "meta.v1.ObjectMeta";

/// How many messages within messages are looked into; the deepest of Kubernetes (schemas apart) has about ten.
const DEPTH_MAX: usize = 64;

/// `runtime.Unknown`.
#[derive(Clone, PartialEq, Message)]
struct Unknown {
    #[prost(message, optional, tag = "1")]
    type_meta: Option<TypeMeta>,
    #[prost(bytes = "vec", tag = "2")]
    raw: Vec<u8>,
    #[prost(string, tag = "3")]
    content_encoding: String,
    #[prost(string, tag = "4")]
    content_type: String,
}

/// `runtime.TypeMeta`.
#[derive(Clone, PartialEq, Message)]
struct TypeMeta {
    #[prost(string, tag = "1")]
    api_version: String,
    #[prost(string, tag = "2")]
    kind: String,
}

/// Returns the object, or `None` when the bytes are not one in this form.
pub(super) fn decode(value: &[u8]) -> Option<Node> {
    let unknown = Unknown::decode(value.strip_prefix(MAGIC)?).ok()?;
    let TypeMeta { api_version, kind } = unknown.type_meta.unwrap_or_default();
    let mut entries =
        vec![("apiVersion".to_owned(), Node::text(&api_version)), ("kind".to_owned(), Node::text(&kind))];
    if !unknown.content_encoding.is_empty() {
        entries.push(("contentEncoding".to_owned(), Node::Text(unknown.content_encoding)));
        entries.push(("raw".to_owned(), Node::Text(STANDARD.encode(&unknown.raw))));
        return Some(Node::Map(entries));
    }
    match schema::message_of(&api_version, &kind) {
        Some(message) => entries.extend(members(message, &unknown.raw, DEPTH_MAX)?),
        None => entries.extend(unknown_kind(&unknown.raw)?),
    }
    Some(Node::Map(entries))
}

/// Metadata by name, the rest by number.
fn unknown_kind(raw: &[u8]) -> Option<Vec<(String, Node)>> {
    let named = |(number, value)| match (number, value) {
        (1, Value::Bytes(bytes)) => match members(METADATA, bytes, DEPTH_MAX) {
            Some(metadata) => ("metadata".to_owned(), Node::Map(metadata)),
            None => (wire::unnamed(number), wire::guess(value)),
        },
        _ => (wire::unnamed(number), wire::guess(value)),
    };
    Some(wire::fields(raw)?.into_iter().map(named).collect())
}

/// The fields of a message of this name, those that are not set (or empty) left out as in the JSON form.
fn members(message: &str, bytes: &[u8], depth: usize) -> Option<Vec<(String, Node)>> {
    let depth = depth.checked_sub(1)?;
    let mut members = Vec::new();
    for (number, value) in wire::fields(bytes)? {
        match schema::field(message, number) {
            Some(field) => add(&mut members, field, value, depth),
            None => members.push((wire::unnamed(number), wire::guess(value))),
        }
    }
    members.retain(|(_, value)| !is_empty(value));
    Some(members)
}

/// An absent field and one with its zero value are written the same way: the API server writes many zero values.
fn is_empty(value: &Node) -> bool {
    match value {
        Node::Null => true,
        Node::Text(text) => text.is_empty(),
        _ => false,
    }
}

fn add(members: &mut Vec<(String, Node)>, field: Field, value: Value<'_>, depth: usize) {
    match field.shape {
        Shape::One if field.name == INLINE => match convert(field.kind, value, depth) {
            Node::Map(inner) => members.extend(inner),
            other => members.push((field.name.to_owned(), other)),
        },
        Shape::One => members.push((field.name.to_owned(), convert(field.kind, value, depth))),
        Shape::List => {
            let item = convert(field.kind, value, depth);
            match collection(members, field.name, Node::List(Vec::new())) {
                Some(Node::List(items)) => items.push(item),
                _ => members.push((field.name.to_owned(), item)),
            }
        }
        Shape::Map => {
            let (key, item) = entry(field.kind, value, depth);
            match collection(members, field.name, Node::Map(Vec::new())) {
                Some(Node::Map(entries)) => entries.push((key, item)),
                _ => members.push((field.name.to_owned(), item)),
            }
        }
    }
}

/// The list or map of this name, which begins as `empty`.
fn collection<'a>(members: &'a mut Vec<(String, Node)>, name: &str, empty: Node) -> Option<&'a mut Node> {
    if !members.iter().any(|(known, _)| known == name) {
        members.push((name.to_owned(), empty));
    }
    members.iter_mut().find(|(known, _)| known == name).map(|(_, value)| value)
}

/// An entry of a map: a message with the key in its first field and the value in its second.
fn entry(kind: Kind, value: Value<'_>, depth: usize) -> (String, Node) {
    let Value::Bytes(bytes) = value else { return (String::new(), wire::guess(value)) };
    let (mut key, mut item) = (String::new(), Node::text(""));
    for (number, value) in wire::fields(bytes).unwrap_or_default() {
        match (number, value) {
            (1, Value::Bytes(bytes)) => key = String::from_utf8_lossy(bytes).into_owned(),
            _ => item = convert(kind, value, depth),
        }
    }
    (key, item)
}

/// A value as the table says, or a guess where the bytes do not fit the table.
fn convert(kind: Kind, value: Value<'_>, depth: usize) -> Node {
    match (kind, value) {
        (Kind::Text, Value::Bytes(bytes)) => Node::Text(String::from_utf8_lossy(bytes).into_owned()),
        (Kind::Bytes, Value::Bytes(bytes)) => Node::Text(STANDARD.encode(bytes)),
        (Kind::Bool, Value::Varint(number)) => Node::Bool(number != 0),
        (Kind::Int, Value::Varint(number)) => Node::number(number.cast_signed()),
        (Kind::Double, Value::Fixed64(bits)) => {
            serde_json::Number::from_f64(f64::from_bits(bits)).map_or(Node::Null, Node::Number)
        }
        (Kind::Message(message), Value::Bytes(bytes)) => {
            message_node(message, bytes, depth).unwrap_or_else(|| wire::guess(value))
        }
        _ => wire::guess(value),
    }
}

/// A message; those few that have a JSON form of their own get it.
fn message_node(message: &str, bytes: &[u8], depth: usize) -> Option<Node> {
    let numbers = || -> Option<Vec<(u32, Value<'_>)>> { wire::fields(bytes) };
    let number = |wanted: u32| match numbers()?.into_iter().find(|(number, _)| *number == wanted)?.1 {
        Value::Varint(number) => Some(number.cast_signed()),
        _ => None,
    };
    let content = |wanted: u32| match numbers()?.into_iter().find(|(number, _)| *number == wanted)?.1 {
        Value::Bytes(bytes) => Some(bytes),
        _ => None,
    };
    let text = |wanted| content(wanted).map(|bytes| Node::Text(String::from_utf8_lossy(bytes).into_owned()));
    match message {
        "meta.v1.Time" => {
            Some(number(1).map_or(Node::Null, |seconds| Node::Text(time::rfc3339(seconds, None))))
        }
        "meta.v1.MicroTime" => {
            let micros = number(2).and_then(|nanos| u32::try_from(nanos / 1000).ok()).unwrap_or(0);
            Some(number(1).map_or(Node::Null, |seconds| Node::Text(time::rfc3339(seconds, Some(micros)))))
        }
        "resource.Quantity" => Some(text(1).unwrap_or_else(|| Node::text("0"))),
        "intstr.IntOrString" if number(1) == Some(1) => text(3),
        "intstr.IntOrString" => Some(Node::number(number(2).unwrap_or(0))),
        "meta.v1.FieldsV1" | "runtime.RawExtension" => {
            Some(serde_json::from_slice(content(1)?).unwrap_or_else(|_| wire::guess(Value::Bytes(bytes))))
        }
        _ => members(message, bytes, depth).map(Node::Map),
    }
}
