//! What values mean: JSON, Kubernetes' objects, text, or bytes, shown as YAML.
//!
//! A guess from the bytes alone, since etcd keeps no types. It never changes what it shows: what has no better form is
//! Base64.

mod kubernetes;
mod schema;
pub mod time;
mod wire;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::node::Node;

/// What an API server that encrypts what it stores puts in front.
const ENCRYPTED: &[u8] = b"k8s:enc:";

/// What a value was taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// An object of Kubernetes in protobuf.
    Kubernetes,
    /// The same, encrypted by the API server.
    Encrypted,
    /// A JSON object or array.
    Json,
    /// UTF-8.
    Text,
    /// Anything else.
    Bytes,
}

impl Form {
    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Form::Kubernetes => "kubernetes",
            Form::Encrypted => "encrypted",
            Form::Json => "json",
            Form::Text => "text",
            Form::Bytes => "base64",
        }
    }
}

/// A value that was looked into.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// What it was taken for.
    pub form: Form,
    /// What it holds.
    pub content: Node,
}

/// Returns what a value holds.
pub fn decode(value: &[u8]) -> Decoded {
    let as_is = |form, content| Decoded { form, content };
    if let Some(object) = kubernetes::decode(value) {
        return as_is(Form::Kubernetes, object);
    }
    if value.starts_with(ENCRYPTED) {
        return as_is(Form::Encrypted, Node::Text(encrypted(value)));
    }
    let Ok(text) = std::str::from_utf8(value) else {
        return as_is(Form::Bytes, Node::Text(STANDARD.encode(value)));
    };
    match json(text) {
        Some(node) => as_is(Form::Json, node),
        None => as_is(Form::Text, Node::text(text)),
    }
}

/// Which provider and key encrypted it: `k8s:enc:aescbc:v1:key1:...`.
fn encrypted(value: &[u8]) -> String {
    let head: Vec<_> = value.splitn(6, |byte| *byte == b':').take(5).map(String::from_utf8_lossy).collect();
    format!("{} ({} bytes)", head.join(":"), value.len())
}

/// An object or an array. A lone number stays text: as a number it might lose digits.
fn json(text: &str) -> Option<Node> {
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    serde_json::from_str(text).ok()
}

/// Returns YAML, which ends with a line feed.
///
/// # Errors
/// When the serialiser cannot write it.
pub fn yaml(node: &Node) -> Result<String, serde_saphyr::SerializeError> {
    let mut text = serde_saphyr::to_string(node)?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// Returns a value as lines for people: YAML for what has a structure, else the text itself.
pub fn readable(value: &[u8]) -> String {
    let Decoded { form, content } = decode(value);
    match (form, &content) {
        (Form::Bytes, Node::Text(text)) => format!("base64: {text}"),
        (_, Node::Text(text)) => text.clone(),
        _ => yaml(&content).unwrap_or_else(|_| String::from_utf8_lossy(value).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field that has a length: a text, bytes, or a message of these fields.
    fn field(number: u8, content: impl AsRef<[u8]>) -> Vec<u8> {
        let content = content.as_ref();
        let length = u8::try_from(content.len()).expect("a short one");
        let length = if length < 128 { vec![length] } else { vec![length | 0x80, 1] };
        [&[number << 3 | 2][..], &length, content].concat()
    }

    fn int(number: u8, value: u8) -> Vec<u8> {
        vec![number << 3, value]
    }

    fn entry(key: &str, value: impl AsRef<[u8]>) -> Vec<u8> {
        [field(1, key), field(2, value)].concat()
    }

    /// What an API server writes for an object.
    fn stored(api_version: &str, kind: &str, object: &[Vec<u8>]) -> Vec<u8> {
        let type_meta = [field(1, api_version), field(2, kind)].concat();
        let parts =
            [b"k8s\0".to_vec(), field(1, type_meta), field(2, object.concat()), field(3, ""), field(4, "")];
        parts.concat()
    }

    fn shown(value: &[u8]) -> (Form, String) {
        let decoded = decode(value);
        (decoded.form, yaml(&decoded.content).expect("YAML"))
    }

    #[test]
    fn a_deployment_of_kubernetes_is_shown_as_kubectl_shows_it() {
        let metadata = [
            field(1, "web"),
            field(2, ""),
            field(3, "default"),
            field(5, "6b3a"),
            field(8, [8, 0xff, 0xed, 0xb4, 0xd3, 0x6]),
            field(11, entry("app", "web")),
            field(11, entry("tier", "front")),
            field(13, [field(1, "ReplicaSet"), field(3, "web-1"), int(6, 1)].concat()),
        ];
        let container = [
            field(1, "nginx"),
            field(2, "nginx:1.29"),
            field(8, [field(1, entry("cpu", field(1, "100m")))].concat()),
            field(
                10,
                [field(
                    1,
                    field(2, [field(1, "/"), field(2, [int(1, 1), field(3, "http")].concat())].concat()),
                )]
                .concat(),
            ),
        ];
        let template = field(2, field(2, container.concat()));
        let spec = [int(1, 3), field(3, template), field(4, [field(1, "RollingUpdate")].concat())];
        let status = [int(1, 7), field(15, "news")];
        let object = [field(1, metadata.concat()), field(2, spec.concat()), field(3, status.concat())];
        let expected = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: default
  uid: 6b3a
  creationTimestamp: \"2026-07-31T23:59:59Z\"
  labels:
    app: web
    tier: front
  ownerReferences:
  - kind: ReplicaSet
    name: web-1
    controller: true
spec:
  replicas: 3
  template:
    spec:
      containers:
      - name: nginx
        image: nginx:1.29
        resources:
          limits:
            cpu: 100m
        livenessProbe:
          httpGet:
            path: /
            port: http
  strategy:
    type: RollingUpdate
status:
  observedGeneration: 7
  field 15: news
";
        assert_eq!(shown(&stored("apps/v1", "Deployment", &object)), (Form::Kubernetes, expected.to_owned()));
    }

    #[test]
    fn a_kind_that_is_not_known_has_metadata_and_numbers() {
        let object =
            [field(1, field(1, "w")), field(2, [int(1, 5), field(2, "on")].concat()), field(4, b"\xff")];
        let expected = "\
apiVersion: example.com/v1
kind: Widget
metadata:
  name: w
field 2:
  field 1: 5
  field 2: \"on\"
field 4: /w==
";
        assert_eq!(
            shown(&stored("example.com/v1", "Widget", &object)),
            (Form::Kubernetes, expected.to_owned())
        );
    }

    #[test]
    fn a_secret_keeps_its_base64() {
        let object = [field(1, field(1, "s")), field(2, entry("password", "hunter2")), field(3, "Opaque")];
        let expected = "\
apiVersion: v1
kind: Secret
metadata:
  name: s
data:
  password: aHVudGVyMg==
type: Opaque
";
        assert_eq!(shown(&stored("v1", "Secret", &object)), (Form::Kubernetes, expected.to_owned()));
    }

    #[test]
    fn other_values_are_json_text_or_base64() {
        for (value, form, text) in [
            (&br#"{"b":1,"a":["x",{"z":null}]}"#[..], Form::Json, "b: 1\na:\n- x\n- z: null\n"),
            (b"plain", Form::Text, "plain\n"),
            (b"two\nlines\n", Form::Text, "|\n  two\n  lines\n"),
            (b"0123", Form::Text, "\"0123\"\n"),
            (b"yes", Form::Text, "\"yes\"\n"),
            (b"[not json", Form::Text, "\"[not json\"\n"),
            (b"\xff\xfe", Form::Bytes, "//4=\n"),
            (b"k8s\0garbage", Form::Text, "k8s\0garbage"),
            (b"k8s:enc:aescbc:v1:key1:\xff\xfe", Form::Encrypted, "k8s:enc:aescbc:v1:key1 (25 bytes)\n"),
        ] {
            let decoded = decode(value);
            assert_eq!(decoded.form, form, "{text}");
            if !text.contains('\0') {
                assert_eq!(yaml(&decoded.content).expect("YAML"), text);
            }
        }
    }

    #[test]
    fn yaml_that_is_written_is_read_as_the_same() {
        let value = br##"{"a":"- x","b":"# y","c":"z: 1","d":"","e":" s","f":"a\nb","g":"a\n","h":"\t","i":"null","j":"1e3",
            "k":"0x1f","l":"~","m":[],"n":{},"o":"it's \"q\"","p":1.5,"q":-3,"r":18446744073709551615,"s":"\u0001","t":"a  \nb"}"##;
        let decoded = decode(value).content;
        let text = yaml(&decoded).expect("YAML");
        assert_eq!(serde_saphyr::from_str::<Node>(&text).expect("YAML"), decoded, "{text}");
    }
}
