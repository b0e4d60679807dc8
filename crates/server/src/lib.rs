//! server

pub mod config;
pub mod ids;
pub mod metrics;
pub mod version;
