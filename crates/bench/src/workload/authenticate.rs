//! Logins: `Authenticate` with the right password, which costs the server a hash each.

use super::{Shape, Unary};
use crate::driver::Requests;
use crate::messages::{self, path};
use crate::secure::{PASSWORD, USER};
use bytes::Bytes;
use std::time::Instant;

/// Logins of one user. The server must check users.
pub(crate) struct Authenticate;

impl Unary for Authenticate {
    fn path(&self) -> &'static str {
        path::AUTHENTICATE
    }

    fn requests(&self, _shape: &Shape, _number: usize) -> Box<dyn Requests> {
        Box::new(Logins(messages::name_and_password(USER, PASSWORD)))
    }
}

struct Logins(Bytes);

impl Requests for Logins {
    fn next(&mut self, _due: Instant) -> Bytes {
        self.0.clone()
    }
}
