//! The answers of the commands about leases.
//!
//! etcd's Go client gives them types of its own, into which the header is embedded: its fields are among theirs in JSON,
//! and protobuf is the header and nothing else.

use proto::etcdserverpb::{
    LeaseGrantResponse, LeaseKeepAliveResponse, LeaseLeasesResponse, LeaseRevokeResponse, LeaseStatus,
    LeaseTimeToLiveResponse, ResponseHeader,
};

use super::json::{List, Members, Object, object};
use super::{Answer, Page, Unsupported, encoded};

/// The fields of a header among those of the answer.
fn header_members(header: Option<&ResponseHeader>, object: &mut Object<'_>) {
    header.copied().unwrap_or_default().members(object);
}

fn encoded_header(header: Option<&ResponseHeader>) -> Result<Vec<u8>, Unsupported> {
    encoded(&header.copied().unwrap_or_default())
}

impl Answer for LeaseGrantResponse {
    fn simple(&self, page: &mut Page) {
        page.line(format_args!("lease {:016x} granted with TTL({}s)", self.id, self.ttl));
    }

    fn fields(&self, page: &mut Page) -> Result<(), Unsupported> {
        page.header(self.header.as_ref());
        page.lease_id("ID", self.id);
        page.field("TTL", self.ttl);
        Ok(())
    }

    fn json(&self, out: &mut Vec<u8>, _hex: bool) -> Result<(), Unsupported> {
        object(out, self);
        Ok(())
    }

    fn protobuf(&self) -> Result<Vec<u8>, Unsupported> {
        encoded_header(self.header.as_ref())
    }
}

impl Members for LeaseGrantResponse {
    fn members(&self, object: &mut Object<'_>) {
        header_members(self.header.as_ref(), object);
        object.always("ID", &self.id);
        object.always("TTL", &self.ttl);
        object.always("Error", &self.error);
    }
}

impl Answer for LeaseKeepAliveResponse {
    fn simple(&self, page: &mut Page) {
        page.line(format_args!("lease {:016x} keepalived with TTL({})", self.id, self.ttl));
    }

    fn fields(&self, page: &mut Page) -> Result<(), Unsupported> {
        page.header(self.header.as_ref());
        page.lease_id("ID", self.id);
        page.field("TTL", self.ttl);
        Ok(())
    }

    fn json(&self, out: &mut Vec<u8>, _hex: bool) -> Result<(), Unsupported> {
        object(out, self);
        Ok(())
    }

    fn protobuf(&self) -> Result<Vec<u8>, Unsupported> {
        encoded_header(self.header.as_ref())
    }
}

impl Members for LeaseKeepAliveResponse {
    fn members(&self, object: &mut Object<'_>) {
        header_members(self.header.as_ref(), object);
        object.always("ID", &self.id);
        object.always("TTL", &self.ttl);
    }
}

/// A lease that was revoked.
pub struct Revoked {
    /// The lease.
    pub id: i64,
    /// The answer.
    pub answer: LeaseRevokeResponse,
}

impl Answer for Revoked {
    fn simple(&self, page: &mut Page) {
        page.line(format_args!("lease {:016x} revoked", self.id));
    }

    fn fields(&self, page: &mut Page) -> Result<(), Unsupported> {
        page.header(self.answer.header.as_ref());
        Ok(())
    }

    fn json(&self, out: &mut Vec<u8>, _hex: bool) -> Result<(), Unsupported> {
        object(out, self);
        Ok(())
    }

    fn protobuf(&self) -> Result<Vec<u8>, Unsupported> {
        Err(Unsupported::NoMessage("LeaseRevokeResponse"))
    }
}

impl Members for Revoked {
    fn members(&self, object: &mut Object<'_>) {
        object.field("header", &self.answer.header);
    }
}

/// The time that a lease has left.
pub struct TimeToLive {
    /// Whether its keys were asked for.
    pub with_keys: bool,
    /// The answer.
    pub answer: LeaseTimeToLiveResponse,
}

impl Answer for TimeToLive {
    fn simple(&self, page: &mut Page) {
        let lease = &self.answer;
        if lease.granted_ttl == 0 && lease.ttl == -1 {
            return page.line(format_args!("lease {:016x} already expired", lease.id));
        }
        let times = format!(
            "lease {:016x} granted with TTL({}s), remaining({}s)",
            lease.id, lease.granted_ttl, lease.ttl
        );
        page.bytes.extend_from_slice(times.as_bytes());
        if self.with_keys {
            page.bytes.extend_from_slice(b", attached keys([");
            page.bytes.extend_from_slice(&lease.keys.join(&b' '));
            page.bytes.extend_from_slice(b"])");
        }
        page.bytes.push(b'\n');
    }

    fn fields(&self, page: &mut Page) -> Result<(), Unsupported> {
        page.header(self.answer.header.as_ref());
        page.lease_id("ID", self.answer.id);
        page.field("TTL", self.answer.ttl);
        page.field("GrantedTTL", self.answer.granted_ttl);
        self.answer.keys.iter().for_each(|key| page.quoted("Key", key));
        Ok(())
    }

    fn json(&self, out: &mut Vec<u8>, _hex: bool) -> Result<(), Unsupported> {
        object(out, self);
        Ok(())
    }

    fn protobuf(&self) -> Result<Vec<u8>, Unsupported> {
        encoded_header(self.answer.header.as_ref())
    }
}

impl Members for TimeToLive {
    fn members(&self, object: &mut Object<'_>) {
        header_members(self.answer.header.as_ref(), object);
        object.always("id", &self.answer.id);
        object.always("ttl", &self.answer.ttl);
        object.always("granted-ttl", &self.answer.granted_ttl);
        object.always("keys", &self.answer.keys);
    }
}

impl Answer for LeaseLeasesResponse {
    fn simple(&self, page: &mut Page) {
        page.line(format_args!("found {} leases", self.leases.len()));
        for lease in &self.leases {
            page.line(format_args!("{:016x}", lease.id));
        }
    }

    fn fields(&self, page: &mut Page) -> Result<(), Unsupported> {
        page.header(self.header.as_ref());
        self.leases.iter().for_each(|lease| page.lease_id("ID", lease.id));
        Ok(())
    }

    fn json(&self, out: &mut Vec<u8>, _hex: bool) -> Result<(), Unsupported> {
        object(out, self);
        Ok(())
    }

    fn protobuf(&self) -> Result<Vec<u8>, Unsupported> {
        encoded_header(self.header.as_ref())
    }
}

impl Members for LeaseLeasesResponse {
    fn members(&self, object: &mut Object<'_>) {
        header_members(self.header.as_ref(), object);
        object.always("leases", &List(&self.leases));
    }
}

impl Members for LeaseStatus {
    fn members(&self, object: &mut Object<'_>) {
        object.always("id", &self.id);
    }
}
