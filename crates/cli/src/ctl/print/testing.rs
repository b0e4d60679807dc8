//! What tests of answers share.

use proto::etcdserverpb::ResponseHeader;

use super::{Answer, Printer};

/// Returns a header with this revision.
pub(super) fn header(revision: i64) -> Option<ResponseHeader> {
    Some(ResponseHeader { cluster_id: 1, member_id: 2, revision, raft_term: 3 })
}

/// Returns what is printed in this format.
pub(super) fn printed(format: &str, answer: &dyn Answer) -> String {
    String::from_utf8(Printer::new(format, false).unwrap().render(answer).unwrap()).unwrap()
}

/// Returns what is printed in this format with `--hex`.
pub(super) fn printed_hex(format: &str, answer: &dyn Answer) -> String {
    String::from_utf8(Printer::new(format, true).unwrap().render(answer).unwrap()).unwrap()
}

/// Returns what is said of this format, which the answer is not printed in.
pub(super) fn refused(format: &str, answer: &dyn Answer) -> String {
    Printer::new(format, false).unwrap().render(answer).unwrap_err().text.unwrap()
}
