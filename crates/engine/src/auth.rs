//! Users and roles for readers, kept up with what the state machine does.

use std::sync::Arc;

use machine::{Effect, Machine};

use crate::published::Published;

/// Tokens that mean the same on every member from the moment the command is applied that made them.
pub trait Tokens: Send + Sync {
    /// Adds a token of a user who has logged in.
    fn add(&self, token: &str, user: Arc<str>);

    /// Makes all tokens of a user void.
    fn forget_user(&self, user: &str);

    /// Makes all tokens void.
    fn forget_all(&self);
}

/// The published users and roles, and the tokens that change with them.
pub struct Auth {
    /// What readers ask.
    pub published: Published,
    tokens: Arc<dyn Tokens>,
}

impl Auth {
    /// Publishes the state that the member starts with.
    pub fn new(machine: &Machine, tokens: Arc<dyn Tokens>) -> Arc<Self> {
        Arc::new(Self { published: Published::new(machine.auth()), tokens })
    }

    /// Follows what a command did: before the next one is applied.
    pub fn follow(&self, effect: &Effect, machine: &Machine) {
        match effect {
            Effect::AuthChanged { .. } => self.published.publish(machine.auth()),
            Effect::Authenticated { user, simple_token: Some(token), .. } => {
                self.tokens.add(token.reveal(), user.clone());
            }
            Effect::UserTokensInvalid { user } => self.tokens.forget_user(user),
            Effect::AllTokensInvalid => self.tokens.forget_all(),
            _ => {}
        }
    }

    /// Takes over the state of another machine: a snapshot has replaced everything. Which tokens the commands in it took
    /// back is not known, so all of them are void, and before the state is published: a token must not stand for the user of
    /// the same name in a state that it was not made in.
    pub(crate) fn replace(&self, machine: &Machine) {
        self.tokens.forget_all();
        self.published.publish(machine.auth());
    }
}

/// Tokens of nobody.
#[cfg(test)]
pub(crate) struct NoTokens;

#[cfg(test)]
impl Tokens for NoTokens {
    fn add(&self, _: &str, _: Arc<str>) {}

    fn forget_user(&self, _: &str) {}

    fn forget_all(&self) {}
}
