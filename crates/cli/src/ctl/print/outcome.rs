//! Answers that say little but "done": a sentence for people, and the header for programs.

use prost::Message;
use proto::etcdserverpb::{
    AuthRoleAddResponse, AuthRoleDeleteResponse, AuthRoleGrantPermissionResponse,
    AuthRoleRevokePermissionResponse, AuthUserAddResponse, AuthUserChangePasswordResponse,
    AuthUserDeleteResponse, AuthUserGrantRoleResponse, AuthUserRevokeRoleResponse, DowngradeResponse,
    MoveLeaderResponse, ResponseHeader,
};

use super::json::{Members, Object};
use super::{Answer, Page, Unsupported};

/// An answer with what is said of it to people.
#[derive(Clone, Debug)]
pub struct Outcome<M> {
    /// The sentence. Keys in it may be any bytes.
    pub said: Vec<u8>,
    /// The answer.
    pub answer: M,
}

/// A message of which the format with fields has the header, or nothing.
pub trait Fields {
    /// Returns the header, `None` when the answer is not printed as fields.
    fn printed_header(&self) -> Option<Option<&ResponseHeader>>;
}

impl<M> Outcome<M> {
    /// Returns the answer with this sentence.
    pub fn new(said: impl Into<Vec<u8>>, answer: M) -> Outcome<M> {
        Outcome { said: said.into(), answer }
    }
}

impl<M: Message + Members + Fields> Answer for Outcome<M> {
    fn simple(&self, page: &mut Page) {
        page.raw_line(&self.said);
    }

    fn fields(&self, page: &mut Page) -> Result<(), Unsupported> {
        page.header(self.answer.printed_header().ok_or(Unsupported::Format)?);
        Ok(())
    }

    as_message!(self.answer);
}

macro_rules! headers {
    ($($message:ty),* $(,)?) => {$(
        impl Fields for $message {
            fn printed_header(&self) -> Option<Option<&ResponseHeader>> {
                Some(self.header.as_ref())
            }
        }

        impl Members for $message {
            fn members(&self, object: &mut Object<'_>) {
                object.field("header", &self.header);
            }
        }
    )*};
}

headers!(
    AuthRoleAddResponse,
    AuthRoleDeleteResponse,
    AuthRoleGrantPermissionResponse,
    AuthRoleRevokePermissionResponse,
    AuthUserAddResponse,
    AuthUserChangePasswordResponse,
    AuthUserDeleteResponse,
    AuthUserGrantRoleResponse,
    AuthUserRevokeRoleResponse,
);

impl Fields for MoveLeaderResponse {
    fn printed_header(&self) -> Option<Option<&ResponseHeader>> {
        None
    }
}

impl Members for MoveLeaderResponse {
    fn members(&self, object: &mut Object<'_>) {
        object.field("header", &self.header);
    }
}

impl Fields for DowngradeResponse {
    fn printed_header(&self) -> Option<Option<&ResponseHeader>> {
        None
    }
}

impl Members for DowngradeResponse {
    fn members(&self, object: &mut Object<'_>) {
        object.field("header", &self.header);
        object.field("version", &self.version);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{header, printed, refused};
    use super::*;

    #[test]
    fn an_outcome_is_a_sentence_or_a_header() {
        let added = Outcome::new("Role r created", AuthRoleAddResponse { header: header(5) });
        assert_eq!(printed("simple", &added), "Role r created\n");
        assert_eq!(
            printed("fields", &added),
            "\"ClusterID\" : 1\n\"MemberID\" : 2\n\"Revision\" : 5\n\"RaftTerm\" : 3\n"
        );
        assert_eq!(
            printed("json", &added),
            "{\"header\":{\"cluster_id\":1,\"member_id\":2,\"revision\":5,\"raft_term\":3}}\n"
        );
        assert_eq!(printed("protobuf", &added), "\n\u{8}\u{8}\u{1}\u{10}\u{2}\u{18}\u{5} \u{3}");
        assert_eq!(refused("table", &added), "table not supported as output format");
    }

    #[test]
    fn some_outcomes_have_no_fields() {
        let answer = DowngradeResponse { header: header(5), version: "3.6.0".to_owned() };
        let downgrade = Outcome::new("Downgrade enable success, cluster version 3.6.0", answer);
        assert_eq!(refused("fields", &downgrade), "fields not supported as output format");
        let json = "{\"header\":{\"cluster_id\":1,\"member_id\":2,\"revision\":5,\"raft_term\":3},\"version\":\"3.6.0\"}\n";
        assert_eq!(printed("json", &downgrade), json);
        let moved = Outcome::new("", MoveLeaderResponse { header: header(0) });
        assert_eq!(refused("fields", &moved), "fields not supported as output format");
    }
}
