//! Commands of the raft log as text and JSON, with their secrets hidden.
//!
//! A command is decoded by the descriptors of the messages, so a new kind of command is shown without a line of code here.

use std::sync::LazyLock;

use bytes::Bytes;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions, Value};

/// Names of fields that are not shown.
const SECRETS: [&str; 4] = ["password", "hashedPassword", "simple_token", "token"];
/// What is shown in their place.
pub(super) const HIDDEN: &str = "(hidden)";

static COMMAND: LazyLock<Option<MessageDescriptor>> = LazyLock::new(|| {
    let pool = DescriptorPool::decode(proto::DESCRIPTORS).ok()?;
    pool.get_message_by_name("etcdserverpb.InternalRaftRequest")
});

/// A command, decoded.
pub(super) struct Command(DynamicMessage);

impl Command {
    /// Decodes a command; `None` if it is none.
    pub(super) fn decode(bytes: Bytes, secrets: bool) -> Option<Self> {
        let mut message = DynamicMessage::decode(COMMAND.clone()?, bytes).ok()?;
        if !secrets {
            hide(&mut message);
        }
        Some(Self(message))
    }

    pub(super) fn text(&self) -> String {
        self.0.to_text_format()
    }

    pub(super) fn json(&self) -> serde_json::Value {
        let options = SerializeOptions::new().use_proto_field_name(true).stringify_64_bit_integers(false);
        let json = self.0.serialize_with_options(serde_json::value::Serializer, &options);
        json.unwrap_or(serde_json::Value::Null)
    }
}

fn hide(message: &mut DynamicMessage) {
    for (field, value) in message.fields_mut() {
        let is_secret = SECRETS.contains(&field.name());
        hide_value(value, is_secret);
    }
}

fn hide_value(value: &mut Value, is_secret: bool) {
    match value {
        Value::Message(message) => hide(message),
        Value::List(values) => values.iter_mut().for_each(|value| hide_value(value, is_secret)),
        Value::String(text) if is_secret => HIDDEN.clone_into(text),
        Value::Bytes(bytes) if is_secret => *bytes = Bytes::from_static(HIDDEN.as_bytes()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use proto::etcdserverpb::{AuthUserAddRequest, InternalRaftRequest, PutRequest};

    use super::*;

    fn decode(request: &InternalRaftRequest, secrets: bool) -> Command {
        Command::decode(request.encode_to_vec().into(), secrets).unwrap()
    }

    #[test]
    fn a_command_is_shown_by_its_fields() {
        let put = PutRequest { key: "k\u{1}".into(), value: "v".into(), lease: 7, ..Default::default() };
        let request = InternalRaftRequest { put: Some(put), ..Default::default() };
        let command = decode(&request, false);
        assert_eq!(command.text(), r#"put{key:"k\001",value:"v",lease:7}"#);
        assert_eq!(command.json().to_string(), r#"{"put":{"key":"awE=","lease":7,"value":"dg=="}}"#);
        assert!(Command::decode(Bytes::from_static(b"\xff"), false).is_none());
    }

    #[test]
    fn secrets_are_shown_to_who_asks_only() {
        let add = AuthUserAddRequest {
            name: "u".into(),
            password: "secret".into(),
            hashed_password: "c2VjcmV0".into(),
            ..Default::default()
        };
        let request = InternalRaftRequest { auth_user_add: Some(add.into()), ..Default::default() };
        let hidden = decode(&request, false);
        for shown in [hidden.text(), hidden.json().to_string()] {
            assert!(!shown.contains("ecret") && !shown.contains("c2VjcmV0"), "{shown}");
            assert!(shown.contains("(hidden)"), "{shown}");
        }
        assert!(decode(&request, true).text().contains("c2VjcmV0"));
    }
}
