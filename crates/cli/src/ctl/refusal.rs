//! What is said of a call that failed: the words of etcd's Go client first, for scripts that look for them, then what
//! to do next.

use tonic::{Code, Status};

use super::exit::{Exit, Failure};

/// Errors of etcd that do not begin with `etcdserver: ` are said with their code, as etcdctl does.
const ETCD: &str = "etcdserver: ";

/// What the client says when no endpoint answers, followed by the reason for each.
const NO_ENDPOINT: &str = "no endpoint can be reached";

/// What can be done about an error of the server.
const HINTS: [(&str, &str); 9] = [
    ("mvcc: required revision has been compacted", "read at a newer revision"),
    ("mvcc: database space exceeded", "compact, then `alarm disarm`"),
    ("permission denied", "ask for a role that grants this, or use another --user"),
    ("user name is empty", "authentication is on: give --user"),
    ("invalid auth token", "give --user, or a token that is still valid"),
    ("no leader", "see `endpoint status --cluster`; a majority of members must be up"),
    ("request is too large", "see --max-request-bytes of the server"),
    ("too many operations in txn request", "see --max-txn-ops of the server"),
    ("corrupt cluster", "see `alarm list`"),
];

/// Returns the failure of a call that was answered with `status`.
pub fn of_status(status: &Status) -> Failure {
    if status.message().starts_with(NO_ENDPOINT) {
        return unreachable(status.message());
    }
    if let Some(why) = too_large(status) {
        return Failure::error(why);
    }
    let text = text_of(status);
    let said = text.strip_prefix(ETCD);
    let hint = HINTS.iter().find(|(what, _)| said == Some(*what));
    match hint {
        Some((_, hint)) => Failure::error(format!("{text} ({hint})")),
        None => Failure::error(text),
    }
}

/// Returns what is said of a message that this side refuses to send or to take, in the words of Go's gRPC with the flag that
/// sets the limit.
fn too_large(status: &Status) -> Option<String> {
    let text = status.message();
    let (what, flag, numbers) = match text.strip_prefix("Error, encoded message length too large: found ") {
        Some(numbers) => ("trying to send message larger than max", "--max-request-bytes", numbers),
        None => {
            let numbers = text.strip_prefix("Error, decoded message length too large: found ")?;
            ("received message larger than max", "--max-recv-bytes", numbers)
        }
    };
    let (found, limit) = numbers.strip_suffix(" bytes")?.split_once(" bytes, the limit is: ")?;
    Some(format!("rpc error: code = ResourceExhausted desc = {what} ({found} vs. {limit}; see {flag})"))
}

/// etcdctl waits until its time is up, and says so.
fn unreachable(text: &str) -> Failure {
    Failure::error(format!("context deadline exceeded ({text}; see --endpoints and the flags about TLS)"))
}

/// Returns the failure of a client that could not be made.
pub fn of_connecting(error: &client::Error) -> Failure {
    match error {
        client::Error::Call { text, .. } if text.starts_with(NO_ENDPOINT) => {
            unreachable(text).under(Exit::BadConnection)
        }
        // The user was refused.
        client::Error::Call { .. } => Failure::new(Exit::BadConnection, error),
        _ => Failure::arguments(error),
    }
}

/// Returns the failure of a call of the client's own.
pub fn of_error(error: &client::Error) -> Failure {
    match error {
        client::Error::Call { code, text, .. } => of_status(&Status::new(*code, text.clone())),
        _ => Failure::error(error),
    }
}

/// Returns what etcd's Go client says of a status.
pub fn text_of(status: &Status) -> String {
    let message = status.message();
    match status.code() {
        _ if message.starts_with(ETCD) => message.to_owned(),
        Code::DeadlineExceeded => "context deadline exceeded".to_owned(),
        Code::Cancelled => "context canceled".to_owned(),
        code => format!("rpc error: code = {} desc = {message}", name_of(code)),
    }
}

/// Returns the name of a code in Go's gRPC.
fn name_of(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_is_too_large_is_said_with_the_flag_that_sets_the_limit() {
        for (text, expected) in [
            (
                "Error, encoded message length too large: found 30 bytes, the limit is: 20 bytes",
                Some(
                    "rpc error: code = ResourceExhausted desc = trying to send message larger than max \
                     (30 vs. 20; see --max-request-bytes)",
                ),
            ),
            (
                "Error, decoded message length too large: found 30 bytes, the limit is: 20 bytes",
                Some(
                    "rpc error: code = ResourceExhausted desc = received message larger than max \
                     (30 vs. 20; see --max-recv-bytes)",
                ),
            ),
            ("Error, encoded message length too large", None),
            ("etcdserver: request is too large", None),
        ] {
            assert_eq!(too_large(&Status::new(Code::OutOfRange, text)).as_deref(), expected, "{text}");
        }
    }
}
