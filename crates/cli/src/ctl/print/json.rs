//! JSON as Go's `encoding/json` writes structs: fields in the order of their declaration, byte strings in base64, `<`,
//! `>` and `&` escaped, fields with `omitempty` left out when they are zero.
//!
//! A message says its fields in [`Members::members`]; [`object`] writes it.
//!
//! ```
//! use quorate_cli::ctl::print::json::{Members, Object, object};
//! struct Lease { id: i64, name: String }
//! impl Members for Lease {
//!     fn members(&self, object: &mut Object<'_>) {
//!         object.always("ID", &self.id); // `json:"ID"`
//!         object.field("name", &self.name); // `json:"name,omitempty"`
//!     }
//! }
//! let mut out = Vec::new();
//! object(&mut out, &Lease { id: 7, name: String::new() });
//! assert_eq!(out, br#"{"ID":7}"#);
//! ```

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use proto::etcdserverpb::ResponseHeader;
use proto::mvccpb::KeyValue;

/// A value that JSON can be made of.
pub trait ToJson {
    /// Writes it.
    fn write(&self, out: &mut Vec<u8>);

    /// Returns whether `omitempty` leaves it out.
    fn is_empty(&self) -> bool {
        false
    }
}

/// A struct: its fields in order.
pub trait Members {
    /// Writes its fields.
    fn members(&self, object: &mut Object<'_>);
}

/// An object that is being written.
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    any: bool,
}

impl Object<'_> {
    /// Writes a field unless it is zero (`omitempty`).
    pub fn field(&mut self, name: &str, value: &(impl ToJson + ?Sized)) {
        if !value.is_empty() {
            self.always(name, value);
        }
    }

    /// Writes a field, zero or not.
    pub fn always(&mut self, name: &str, value: &(impl ToJson + ?Sized)) {
        if self.any {
            self.out.push(b',');
        }
        self.any = true;
        name.write(self.out);
        self.out.push(b':');
        value.write(self.out);
    }
}

/// Writes a struct.
pub fn object(out: &mut Vec<u8>, members: &(impl Members + ?Sized)) {
    out.push(b'{');
    let mut object = Object { out, any: false };
    members.members(&mut object);
    out.push(b'}');
}

impl<T: Members> ToJson for T {
    fn write(&self, out: &mut Vec<u8>) {
        object(out, self);
    }
}

/// Fields written by a function, for an object that is no type of its own.
pub struct With<F>(pub F);

impl<F: Fn(&mut Object<'_>)> Members for With<F> {
    fn members(&self, object: &mut Object<'_>) {
        (self.0)(object);
    }
}

impl ToJson for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }

    fn is_empty(&self) -> bool {
        !self
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl ToJson for $number {
            fn write(&self, out: &mut Vec<u8>) {
                let _ = write!(out, "{self}");
            }

            fn is_empty(&self) -> bool {
                *self == 0
            }
        }
    )*};
}

numbers!(i32, i64, u32, u64, usize);

impl ToJson for str {
    fn write(&self, out: &mut Vec<u8>) {
        write_string(out, self);
    }

    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

impl ToJson for String {
    fn write(&self, out: &mut Vec<u8>) {
        write_string(out, self);
    }

    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

impl ToJson for Bytes {
    fn write(&self, out: &mut Vec<u8>) {
        write_string(out, &STANDARD.encode(self));
    }

    fn is_empty(&self) -> bool {
        self.as_ref().is_empty()
    }
}

impl<T: ToJson> ToJson for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.write(out),
            None => out.extend_from_slice(b"null"),
        }
    }

    fn is_empty(&self) -> bool {
        self.is_none()
    }
}

/// A list of a message. Without elements it is `null`, as a slice in Go that nothing was put into.
impl<T: ToJson> ToJson for Vec<T> {
    fn write(&self, out: &mut Vec<u8>) {
        if Vec::is_empty(self) { out.extend_from_slice(b"null") } else { List(self).write(out) }
    }

    fn is_empty(&self) -> bool {
        Vec::is_empty(self)
    }
}

/// A list that is `[]` without elements, as a slice that Go's `make` made.
pub struct List<'a, T>(pub &'a [T]);

impl<T: ToJson> ToJson for List<'_, T> {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        for (at, element) in self.0.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            element.write(out);
        }
        out.push(b']');
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for character in text.chars() {
        let escaped = match character {
            '"' | '\\' => character,
            '\n' => 'n',
            '\r' => 'r',
            '\t' => 't',
            '\x08' => 'b',
            '\x0c' => 'f',
            '\0'..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(character));
                continue;
            }
            _ => {
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
        };
        let _ = write!(out, "\\{escaped}");
    }
    out.push(b'"');
}

impl Members for ResponseHeader {
    fn members(&self, object: &mut Object<'_>) {
        object.field("cluster_id", &self.cluster_id);
        object.field("member_id", &self.member_id);
        object.field("revision", &self.revision);
        object.field("raft_term", &self.raft_term);
    }
}

impl Members for KeyValue {
    fn members(&self, object: &mut Object<'_>) {
        object.field("key", &self.key);
        object.field("create_revision", &self.create_revision);
        object.field("mod_revision", &self.mod_revision);
        object.field("version", &self.version);
        object.field("value", &self.value);
        object.field("lease", &self.lease);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &(impl ToJson + ?Sized)) -> String {
        let mut out = Vec::new();
        value.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// Printed by Go 1.26: `json.Marshal`.
    #[test]
    fn strings_are_escaped_as_go_does() {
        let cases = [
            ("a\"b\\c/d", r#""a\"b\\c/d""#),
            ("<a>&'", r#""\u003ca\u003e\u0026'""#),
            ("\n\r\t\u{8}\u{c}\u{1}\u{7f}", "\"\\n\\r\\t\\b\\f\\u0001\u{7f}\""),
            ("é\u{2028}\u{2029}", r#""é\u2028\u2029""#),
        ];
        for (text, expected) in cases {
            assert_eq!(written(text), expected);
        }
    }

    #[test]
    fn zero_is_left_out_and_nothing_is_null() {
        let header = ResponseHeader { member_id: u64::MAX, ..ResponseHeader::default() };
        assert_eq!(written(&header), r#"{"member_id":18446744073709551615}"#);
        let object = With(|object: &mut Object<'_>| {
            object.field("kvs", &Vec::<KeyValue>::new());
            object.always("events", &Vec::<KeyValue>::new());
            object.always("leases", &List::<i64>(&[]));
            object.always("key", &Bytes::from_static(b"\xff\x00"));
            object.always("prev", &None::<KeyValue>);
            object.always("ids", &vec![1, 2]);
        });
        assert_eq!(written(&object), r#"{"events":null,"leases":[],"key":"/wA=","prev":null,"ids":[1,2]}"#);
    }
}
