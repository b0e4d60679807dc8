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
//! * [`published`]: the users and roles as the last command left them;
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

pub(crate) mod author;
pub(crate) mod passwords;
pub(crate) mod published;
mod recent;
pub(crate) mod tokens;

use std::sync::Arc;

use machine::{Effect, Machine};

pub(crate) use author::{Author, Caller};
use published::Published;
use tokens::Tokens;

/// Users and roles for readers, and the tokens that users have.
pub(crate) struct Auth {
    pub(crate) published: Published,
    pub(crate) tokens: Tokens,
}

impl Auth {
    /// Publishes the state that the member starts with.
    pub(crate) fn new(machine: &Machine, tokens: Tokens) -> Arc<Self> {
        Arc::new(Self { published: Published::new(machine.auth()), tokens })
    }

    /// Follows what a command did: before the next one is applied.
    pub(crate) fn follow(&self, effect: &Effect, machine: &Machine) {
        match effect {
            Effect::AuthChanged { .. } => self.published.publish(machine.auth()),
            Effect::Authenticated { user, simple_token: Some(token), .. } => {
                self.tokens.add(token.reveal(), user.clone());
            }
            Effect::UserTokensInvalid { user } => self.tokens.forget_user(user),
            Effect::AllTokensInvalid => drop(self.tokens.forget_all()),
            _ => {}
        }
    }

    /// Takes over the state of another machine: a snapshot has replaced everything. Which tokens
    /// the commands in it took back is not known, so all of them are void.
    pub(crate) fn replace(&self, machine: &Machine) {
        self.published.replace(machine.auth(), self.tokens.forget_all());
    }
}
