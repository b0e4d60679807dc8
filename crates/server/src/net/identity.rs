//! What a connection says about who is at its other end.

use std::sync::Arc;

/// The common name of the client's certificate, as an extension of each request of its connection.
/// `None` if there is no certificate, or it has no name. A connection without TLS sets none (rule
/// S5).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PeerName(pub(crate) Option<Arc<str>>);
