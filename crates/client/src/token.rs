//! Who the calls are made as.
//!
//! A user's token is asked for once, before the first call, and again when a member does not accept it: tokens expire, and
//! a member that was restarted knows none. Any number of calls that need a new token wait for one and the same.

use http::HeaderValue;
use parking_lot::Mutex;
use proto::etcdserverpb as pb;
use proto::etcdserverpb::auth_client::AuthClient;
use tonic::{Code, Status};

use crate::channel::Channel;

/// Whose calls they are.
#[derive(Default)]
pub(crate) struct Credentials {
    source: Source,
    known: Mutex<Known>,
    /// Held while a token is asked for.
    renewal: tokio::sync::Mutex<()>,
}

/// Where a token comes from.
#[derive(Default)]
pub(crate) enum Source {
    /// There is none.
    #[default]
    Nobody,
    /// It was given.
    Token(HeaderValue),
    /// A member gives it for a password.
    Password { name: String, password: String },
}

#[derive(Default)]
enum Known {
    #[default]
    Nothing,
    Token(HeaderValue),
    /// Authentication is not enabled.
    NotNeeded,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither passwords nor tokens are shown (S6).
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

impl Credentials {
    pub(crate) fn new(source: Source) -> Credentials {
        Credentials { source, ..Credentials::default() }
    }

    /// Returns whether another token can be had.
    pub(crate) fn can_renew(&self) -> bool {
        matches!(self.source, Source::Password { .. })
    }

    /// Returns whether the token is one that the application has chosen: no other takes its place.
    pub(crate) fn is_given(&self) -> bool {
        matches!(self.source, Source::Token(_))
    }

    /// Returns the token of the next call, if it needs one.
    ///
    /// # Errors
    /// When a member refuses to give one, or none answers.
    pub(crate) async fn token(&self, channel: &Channel) -> Result<Option<HeaderValue>, Status> {
        match &self.source {
            Source::Nobody => Ok(None),
            Source::Token(token) => Ok(Some(token.clone())),
            Source::Password { .. } => match self.known() {
                Some(known) => Ok(known),
                // In a box: it is seldom needed, and large, and every call has room for all that it awaits.
                None => Box::pin(self.renew(channel, None)).await,
            },
        }
    }

    fn known(&self) -> Option<Option<HeaderValue>> {
        match &*self.known.lock() {
            Known::Nothing => None,
            Known::Token(token) => Some(Some(token.clone())),
            Known::NotNeeded => Some(None),
        }
    }

    /// Has the next call ask for a new token.
    pub(crate) fn forget(&self) {
        *self.known.lock() = Known::Nothing;
    }

    /// Returns another token than the one that was not accepted.
    ///
    /// # Errors
    /// When a member refuses to give one, or none answers.
    pub(crate) async fn renew(
        &self,
        channel: &Channel,
        refused: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, Status> {
        let Source::Password { name, password } = &self.source else { return Ok(None) };
        let _renewal = self.renewal.lock().await;
        // Another call may have been first.
        match self.known() {
            Some(Some(token)) if refused != Some(&token) => return Ok(Some(token)),
            _ => {}
        }
        let request = pb::AuthenticateRequest { name: name.clone(), password: password.clone() };
        let known = match AuthClient::new(channel.clone()).authenticate(request).await {
            Ok(answer) => Known::Token(header(&answer.into_inner().token)?),
            Err(status) if status.message() == "etcdserver: authentication is not enabled" => {
                Known::NotNeeded
            }
            Err(status) => return Err(status),
        };
        *self.known.lock() = known;
        Ok(self.known().flatten())
    }
}

/// Returns a token as a header.
pub(crate) fn header(token: &str) -> Result<HeaderValue, Status> {
    let mut value = HeaderValue::try_from(token)
        .map_err(|_| Status::new(Code::InvalidArgument, "the token is no text that a header can hold"))?;
    value.set_sensitive(true);
    Ok(value)
}
