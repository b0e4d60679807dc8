//! Tokens: what a client shows instead of a password.
//!
//! A **simple** token is drawn at random by the member that was asked, is in the command, and means
//! the same on every member from the moment the command is applied. It is forgotten some time after
//! its last use on a member. A **JSON web token** is signed by the member that was asked, and any
//! member that has the key believes it until it expires; no member remembers it.

pub(crate) mod fuzz;
mod jwt;
mod key;
pub(crate) mod options;
mod simple;

use std::sync::Arc;
use std::time::Duration;

use jwt::WebTokens;
use options::{Kind, OptionsError};
use simple::SimpleTokens;

/// The tokens of this member.
pub(crate) enum Tokens {
    /// `--auth-token=simple`.
    Simple(SimpleTokens),
    /// `--auth-token=jwt,...`.
    Web(Box<WebTokens>),
    /// `--auth-token=`: nobody gets one, and none is valid.
    None,
}

/// Why no token is given out. The texts are etcd's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// This member has the public key only.
    #[error("auth: token signing attempted with verify-only key")]
    VerifyOnly,
    /// The key does not sign, or there is no randomness.
    #[error("auth: token cannot be signed")]
    Unsigned,
    /// Tokens are switched off by `--auth-token=`.
    #[error("etcdserver: invalid auth token")]
    Off,
}

impl Tokens {
    /// Reads the value of `--auth-token`, and the keys that it names.
    ///
    /// # Errors
    /// See [`OptionsError`].
    pub(crate) fn open(flag: &str, ttl: Duration) -> Result<Self, OptionsError> {
        Ok(match options::parse(flag)? {
            Kind::Simple => Self::Simple(SimpleTokens::new(ttl)),
            Kind::Web(options) => Self::Web(Box::new(WebTokens::open(&options)?)),
            Kind::None => Self::None,
        })
    }

    /// Returns what the member that was asked puts into the command: random letters, or nothing if
    /// the token is signed afterwards.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub(crate) fn prefix(&self) -> Result<String, TokenError> {
        match self {
            Self::Simple(_) => simple::prefix().map_err(|_| TokenError::Unsigned),
            Self::Web(_) | Self::None => Ok(String::new()),
        }
    }

    /// Returns a signed token for a user who has logged in; `None` if the command made the token.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub(crate) fn sign(&self, user: &str, auth_revision: u64) -> Result<Option<String>, TokenError> {
        match self {
            Self::Simple(_) => Ok(None),
            Self::Web(tokens) => tokens.sign(user, auth_revision).map(Some),
            Self::None => Err(TokenError::Off),
        }
    }

    /// Returns the index of the command that made a token: until it is applied here, this member
    /// cannot know it. `None` if the token names none.
    pub(crate) fn index_of(&self, token: &str) -> Option<u64> {
        match self {
            Self::Simple(_) => simple::index_of(token),
            Self::Web(_) | Self::None => None,
        }
    }

    /// Returns the user that a token stands for, and the auth revision in it, if it has one.
    pub(crate) fn user_of(&self, token: &str) -> Option<(Arc<str>, Option<u64>)> {
        match self {
            Self::Simple(tokens) => tokens.user_of(token).map(|user| (user, None)),
            Self::Web(tokens) => tokens.verify(token).map(|(user, revision)| (user, Some(revision))),
            Self::None => None,
        }
    }
}

/// What commands do to simple tokens; signed ones are valid until they expire.
impl engine::auth::Tokens for Tokens {
    fn add(&self, token: &str, user: Arc<str>) {
        if let Self::Simple(tokens) = self {
            tokens.add(token, user);
        }
    }

    fn forget_user(&self, user: &str) {
        if let Self::Simple(tokens) = self {
            tokens.forget_user(user);
        }
    }

    fn forget_all(&self) {
        if let Self::Simple(tokens) = self {
            tokens.forget_all();
        }
    }
}
