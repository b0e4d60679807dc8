//! gRPC over hyper: framing, statuses and bodies.
//!
//! Messages are decoded by prost, and statuses are tonic's. The rest is our own for three reasons: etcd's clients match
//! error texts to the letter, also those that grpc-go makes before a handler runs (`grpc: received message larger than
//! max …`); a reply here is bytes that were encoded long ago (see [`reply`]), which need one frame and no second pass;
//! and no client may keep others waiting, whatever it sends or asks for (see [`messages`] and [`crate::gzip`]).
//!
//! This module does not know what any message means: that is [`crate::api`].

pub(crate) mod admission;
pub(crate) mod body;
pub(crate) mod deadline;
pub(crate) mod encoding;
pub(crate) mod messages;
pub(crate) mod metadata;
pub(crate) mod replies;
pub(crate) mod reply;
pub(crate) mod request_body;
pub(crate) mod unary;
pub(crate) mod unfinished;
