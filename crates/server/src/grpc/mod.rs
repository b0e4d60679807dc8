//! gRPC over hyper: framing, statuses and bodies.
//!
//! Messages are decoded by prost, statuses and streaming bodies are tonic's. Unary calls have a path of their own
//! ([`unary`]) for two reasons: etcd's clients match error texts to the letter, also those that grpc-go makes before
//! a handler runs (`grpc: received message larger than max …`); and a reply here is bytes that were encoded long ago
//! (see [`reply`]), which need one frame and no second pass.
//!
//! This module does not know what any message means: that is [`crate::api`].

pub(crate) mod admission;
pub(crate) mod body;
pub(crate) mod codec;
pub(crate) mod deadline;
pub(crate) mod reply;
pub(crate) mod unary;
