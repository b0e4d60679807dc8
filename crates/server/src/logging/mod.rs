//! Logging.

pub mod messages;
