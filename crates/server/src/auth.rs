//! Who a caller is: tokens, passwords, and the published state of users and roles.
//!
//! What users may do is decided by `machine::auth`, in apply for every command and on a view for
//! every read. This chapter finds out on whose behalf a request is made, and gives readers the
//! state to ask.
//!
//! ```text
//!  request ── metadata `token`, or the certificate's name ──► Caller
//!                                                               │ identified in a state
//!                                                             Author ──► header of a command
//!                                                               └──────► AuthState::authorise, for a read
//! ```
//!
//! * [`engine::published`]: the users and roles as the last command left them;
//! * [`tokens`]: what a client shows instead of a password, simple or signed;
//! * [`passwords`]: hashing, on threads of its own, and [`recent`]: what need not be compared again.
//!
//! # Invariants
//!
//! * A password is hashed, or compared with a hash, before the log (rule S6): no command and no log
//!   line holds one. Requests with a password are overwritten in memory when they are answered.
//! * A token is looked up in the state that the request is checked against. One that was taken back
//!   by a command is unknown as soon as that command is applied.
//! * Without TLS there is no certificate, and no name from one (rule S5).

pub(crate) mod caller;
pub(crate) mod passwords;
mod recent;
pub(crate) mod tokens;

pub(crate) use caller::Caller;
