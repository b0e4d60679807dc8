//! `get -w yaml` and `get -w raw`: values for people and for files, which etcdctl does not have.

use proto::etcdserverpb::RangeResponse;
use proto::mvccpb::KeyValue;

use crate::beyond::node::Node;
use crate::beyond::{text, values};
use crate::ctl::exit::Failure;
use crate::ctl::print;

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A YAML document for each key, its value decoded.
    Yaml,
    /// The bytes of the values.
    Raw,
}

/// Returns the form of this name in `--write-out`.
pub fn form(name: &str) -> Option<Form> {
    match name {
        "yaml" => Some(Form::Yaml),
        "raw" => Some(Form::Raw),
        _ => None,
    }
}

/// Writes the values of an answer to standard output.
///
/// # Errors
/// When standard output takes nothing.
pub fn write(form: Form, answer: &RangeResponse) -> Result<(), Failure> {
    match form {
        Form::Raw => print::write(&raw(answer)),
        Form::Yaml => answer.kvs.iter().try_for_each(|kv| print::write(document(kv)?.as_bytes())),
    }
}

/// One value is its bytes and no more, so that a file of it can be put again; several are told apart by a line feed.
fn raw(answer: &RangeResponse) -> Vec<u8> {
    match answer.kvs.as_slice() {
        [one] => one.value.to_vec(),
        several => several.iter().flat_map(|kv| kv.value.iter().copied().chain(*b"\n")).collect(),
    }
}

fn document(kv: &KeyValue) -> Result<String, Failure> {
    let decoded = values::decode(&kv.value);
    let mut entries = vec![
        ("key", Node::text(text::key(&kv.key))),
        ("create_revision", Node::number(kv.create_revision)),
        ("mod_revision", Node::number(kv.mod_revision)),
        ("version", Node::number(kv.version)),
    ];
    if kv.lease != 0 {
        entries.push(("lease", Node::Text(format!("{:016x}", kv.lease))));
    }
    entries.push(("form", Node::text(decoded.form.name())));
    entries.push(("value", decoded.content));
    let node = Node::Map(entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
    let yaml =
        values::yaml(&node).map_err(|error| Failure::error(format!("{}: {error}", text::key(&kv.key))))?;
    Ok(format!("---\n{yaml}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kv(value: &[u8]) -> KeyValue {
        let value = value.to_vec().into();
        KeyValue { key: "/a".into(), create_revision: 2, mod_revision: 5, version: 3, value, lease: 0x1a }
    }

    #[test]
    fn a_key_is_a_document() {
        let expected = "\
---
key: /a
create_revision: 2
mod_revision: 5
version: 3
lease: 000000000000001a
form: json
value:
  b:
  - 1
";
        assert_eq!(document(&kv(br#"{"b":[1]}"#)).map_err(|failure| failure.text), Ok(expected.to_owned()));
    }

    #[test]
    fn one_raw_value_is_its_bytes() {
        let answer = |values: &[&[u8]]| RangeResponse {
            kvs: values.iter().map(|value| kv(value)).collect(),
            ..RangeResponse::default()
        };
        assert_eq!(raw(&answer(&[b"\xff\0"])), b"\xff\0");
        assert_eq!(raw(&answer(&[b"a", b"b"])), b"a\nb\n");
        assert_eq!(raw(&answer(&[])), b"");
    }
}
