//! The format with a line for each field: `"Name" : value`.

use std::fmt::Display;

use proto::etcdserverpb::ResponseHeader;
use proto::mvccpb::KeyValue;

use super::Page;
use crate::go::quote::quote;

impl Page {
    /// Prints a field.
    pub fn field(&mut self, name: &str, value: impl Display) {
        self.line(format_args!("\"{name}\" : {value}"));
    }

    /// Prints a field with a quoted byte string.
    pub fn quoted(&mut self, name: &str, value: &[u8]) {
        self.field(name, quote(value));
    }

    /// Prints a field with the id of a cluster or a member.
    pub fn id(&mut self, name: &str, id: u64) {
        if self.hex { self.field(name, format_args!("{id:x}")) } else { self.field(name, id) }
    }

    /// Prints a field with the id of a lease.
    pub fn lease_id(&mut self, name: &str, id: i64) {
        if self.hex { self.field(name, format_args!("{id:016x}")) } else { self.field(name, id) }
    }

    /// Prints the header of an answer. Answers that are not about keys have no revision.
    pub fn header(&mut self, header: Option<&ResponseHeader>) {
        let header = header.copied().unwrap_or_default();
        self.id("ClusterID", header.cluster_id);
        self.id("MemberID", header.member_id);
        if header.revision > 0 {
            self.field("Revision", header.revision);
        }
        self.field("RaftTerm", header.raft_term);
    }

    /// Prints the fields of a key, whose names begin with `prefix`.
    pub fn key_value_fields(&mut self, prefix: &str, pair: &KeyValue) {
        self.quoted(&format!("{prefix}Key"), &pair.key);
        self.field(&format!("{prefix}CreateRevision"), pair.create_revision);
        self.field(&format!("{prefix}ModRevision"), pair.mod_revision);
        self.field(&format!("{prefix}Version"), pair.version);
        self.quoted(&format!("{prefix}Value"), &pair.value);
        self.lease_id(&format!("{prefix}Lease"), pair.lease);
    }
}
