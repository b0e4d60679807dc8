//! proto3's JSON mapping, as etcd's gateway has it: fields by their names in the `.proto` files, those that have their
//! default left out; 64-bit integers as strings, bytes in base64, enums by name. What comes in may be in any form that the
//! mapping allows, and a field that is not known is passed over.

use std::sync::LazyLock;

use bytes::Bytes;
use prost::Message;
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor, SerializeOptions,
};
use tokio::sync::Semaphore;
use tonic::Status;

use crate::api::method::Method;
use crate::limits::{CONVERTED_HERE_BYTES_MAX, CONVERTING_MAX};

/// The descriptors of all messages, read when the first request comes: most members never get one.
static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(proto::DESCRIPTORS).expect("the descriptors were generated with the messages")
});

const READING: DeserializeOptions = DeserializeOptions::new().deny_unknown_fields(false);

const WRITING: SerializeOptions = SerializeOptions::new()
    .stringify_64_bit_integers(true)
    .use_proto_field_name(true)
    .skip_default_fields(true);

/// Whose turn it is to convert something long.
static CONVERTING: Semaphore = Semaphore::const_new(CONVERTING_MAX);

/// The messages of a method.
#[derive(Debug, Clone)]
pub(super) struct Shapes {
    request: MessageDescriptor,
    reply: MessageDescriptor,
}

impl Shapes {
    /// Returns the messages of a method that is in the descriptors, as all are that have a path.
    pub(super) fn of(method: Method) -> Self {
        let service = POOL.get_service_by_name(method.service()).expect("each service is described");
        let described = service.methods().find(|described| described.name() == method.name());
        let described = described.expect("each method is described");
        Self { request: described.input(), reply: described.output() }
    }

    /// Returns the encoded message for a request's JSON. Nothing at all is a message without fields, as in etcd.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub(super) async fn decode(&self, json: Bytes) -> Result<Vec<u8>, Status> {
        let shape = self.request.clone();
        convert(json.len(), move || decode(shape, &json)).await
    }

    /// Returns a reply as JSON.
    ///
    /// # Errors
    /// `Internal`, if it is not the message that the method answers with.
    pub(super) async fn encode(&self, message: Bytes) -> Result<Vec<u8>, Status> {
        self.encode_all(message.len(), move || Ok(message)).await
    }

    /// Returns a reply of about so many bytes as JSON. Where it is long, it is put together when it has its turn, and not before.
    ///
    /// # Errors
    /// `Internal`, and those of putting it together.
    pub(super) async fn encode_all(
        &self,
        bytes: usize,
        message: impl FnOnce() -> Result<Bytes, Status> + Send + 'static,
    ) -> Result<Vec<u8>, Status> {
        let shape = self.reply.clone();
        convert(bytes, move || encode(shape, message()?)).await
    }
}

/// Does the work here, or, as nobody may have to wait for a long conversion (rule I1), on a thread that serves nobody.
async fn convert<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> Result<T, Status> + Send + 'static,
) -> Result<T, Status> {
    if bytes <= CONVERTED_HERE_BYTES_MAX {
        return work();
    }
    // The work goes on when its caller has gone, and so does its turn.
    let turn = CONVERTING.acquire().await;
    let in_turn = move || {
        let _turn = turn;
        work()
    };
    let done = tokio::task::spawn_blocking(in_turn).await;
    done.unwrap_or_else(|_| Err(Status::internal("the conversion to or from JSON has failed")))
}

fn decode(shape: MessageDescriptor, json: &[u8]) -> Result<Vec<u8>, Status> {
    if json.iter().all(u8::is_ascii_whitespace) {
        return Ok(Vec::new());
    }
    let mut reader = serde_json::Deserializer::from_slice(json);
    let message = DynamicMessage::deserialize_with_options(shape, &mut reader, &READING);
    let message = message.and_then(|message| reader.end().map(|()| message));
    let message = message.map_err(|error| Status::invalid_argument(error.to_string()))?;
    Ok(message.encode_to_vec())
}

fn encode(shape: MessageDescriptor, message: Bytes) -> Result<Vec<u8>, Status> {
    let internal = |error: &dyn std::fmt::Display| Status::internal(error.to_string());
    let mut json = Vec::with_capacity(message.len() * 2);
    let message = DynamicMessage::decode(shape, message).map_err(|error| internal(&error))?;
    message
        .serialize_with_options(&mut serde_json::Serializer::new(&mut json), &WRITING)
        .map_err(|error| internal(&error))?;
    Ok(json)
}

#[cfg(test)]
mod tests {
    use proto::etcdserverpb::{CompactionRequest, RangeRequest, RangeResponse, ResponseHeader, TxnRequest};
    use proto::mvccpb::KeyValue;

    use super::*;

    fn request<M: Message + Default>(method: Method, json: &str) -> Result<M, Status> {
        let bytes = decode(Shapes::of(method).request, json.as_bytes())?;
        Ok(M::decode(&bytes[..]).unwrap())
    }

    #[test]
    fn every_form_of_a_field_is_taken() {
        let expected = RangeRequest {
            key: "a?b".into(),
            range_end: "a\u{ff}".into(),
            limit: 5,
            sort_order: 2,
            serializable: true,
            ..Default::default()
        };
        for json in [
            r#"{"key":"YT9i","range_end":"YcO/","limit":5,"sort_order":"DESCEND","serializable":true}"#,
            r#"{"key":"YT9i","rangeEnd":"YcO_","limit":"5","sortOrder":2,"serializable":true}"#,
            r#"{"key":"YT9i","range_end":"YcO/","limit":5.0,"sort_order":2,"serializable":true,"nosuch":[{}]}"#,
            r#" {"key":"YT9i","range_end":"YcO/","limit":5e0,"sort_target":null,"sort_order":2,"serializable":true} "#,
        ] {
            assert_eq!(request::<RangeRequest>(Method::Range, json).unwrap(), expected, "{json}");
        }
        let without_padding = request::<RangeRequest>(Method::Range, r#"{"key":"YQ"}"#).unwrap();
        assert_eq!(without_padding.key, "a");
        for nothing in ["", " \n", "{}", r#"{"key":null}"#] {
            assert_eq!(request::<RangeRequest>(Method::Range, nothing).unwrap(), RangeRequest::default());
        }
        let compaction: CompactionRequest =
            request(Method::Compact, r#"{"revision":"9223372036854775807"}"#).unwrap();
        assert_eq!(compaction.revision, i64::MAX);
    }

    #[test]
    fn a_transaction_has_its_unions() {
        let json = r#"{"compare":[{"target":"VALUE","key":"YQ==","value":"Yg==","result":"EQUAL"}],
            "success":[{"request_put":{"key":"YQ==","value":"Yw=="}}],"failure":[{"requestRange":{"key":"YQ=="}}]}"#;
        let txn: TxnRequest = request(Method::Txn, json).unwrap();
        assert!(txn.compare[0].target_union.is_some() && txn.success[0].request.is_some());
        assert!(txn.failure[0].request.is_some());
    }

    #[test]
    fn what_is_no_message_is_refused_with_its_place() {
        for json in [
            "{",
            "[]",
            "7",
            "\"a\"",
            "{}{}",
            "{} x",
            r#"{"key":7}"#,
            r#"{"key":"%%"}"#,
            r#"{"key":["YQ=="]}"#,
            r#"{"limit":"x"}"#,
            r#"{"limit":1.5}"#,
            r#"{"limit":9223372036854775808}"#,
            r#"{"limit":1e300}"#,
            r#"{"serializable":"yes"}"#,
            "{\"key\":\"\u{0}\"}",
        ] {
            let refused = request::<RangeRequest>(Method::Range, json).unwrap_err();
            assert_eq!(refused.code(), tonic::Code::InvalidArgument, "{json}");
            assert!(!refused.message().is_empty(), "{json}");
        }
        let deep = r#"{"success":[{"request_txn":"#.repeat(5000);
        assert!(request::<TxnRequest>(Method::Txn, &deep).is_err());
    }

    #[test]
    fn a_reply_is_as_etcds() {
        let reply = RangeResponse {
            header: Some(ResponseHeader { cluster_id: u64::MAX, member_id: 1, revision: 2, raft_term: 3 }),
            kvs: vec![KeyValue {
                key: "a?b".into(),
                value: "\u{ff}".into(),
                version: 1,
                ..Default::default()
            }],
            count: 1,
            more: false,
        };
        let json = encode(Shapes::of(Method::Range).reply, reply.encode_to_vec().into()).unwrap();
        let expected = r#"{"header":{"cluster_id":"18446744073709551615","member_id":"1","revision":"2","raft_term":"3"},"kvs":[{"key":"YT9i","version":"1","value":"w78="}],"count":"1"}"#;
        assert_eq!(String::from_utf8(json).unwrap(), expected);
    }

    #[tokio::test]
    async fn what_is_long_is_converted_elsewhere_and_the_same() {
        let reply = RangeResponse {
            kvs: vec![KeyValue { key: "a".into(), value: vec![7; 4096].into(), ..Default::default() }; 100],
            ..Default::default()
        };
        let (shapes, message) = (Shapes::of(Method::Range), Bytes::from(reply.encode_to_vec()));
        assert!(message.len() > CONVERTED_HERE_BYTES_MAX);
        let json = shapes.encode(message.clone()).await.unwrap();
        assert_eq!(json, encode(shapes.reply.clone(), message).unwrap());
    }
}
