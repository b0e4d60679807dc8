//! Messages that operators and test harnesses search the log for. Those of etcd are its to the letter.

/// A command took longer to apply than `--warning-apply-duration`.
pub(crate) const SLOW_APPLY: &str = "apply request took too long";

/// Another state than the leader's: nobody is served until it is known who is wrong.
pub(crate) const STATE_DIFFERS: &str = "found data inconsistency with peers";

/// A leader's log has something else where this member has a committed entry: nobody is served until it is known who is wrong.
pub(crate) const LOG_CONTRADICTED: &str = "a leader's log contradicts what is committed here; this member serves nobody until it is known who is wrong";

/// A majority's log has something else.
pub(crate) const LOG_WRONG: &str =
    "this member's log is wrong; it is thrown away with the state and fetched from the others";

/// The others' state is right.
pub(crate) const STATE_WRONG: &str =
    "this member's state is wrong; it is thrown away and fetched from the others";
