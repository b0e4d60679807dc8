//! server

pub mod config;
pub mod http;
pub mod ids;
pub mod logging;
pub mod metrics;
pub mod notify;
pub mod signals;
pub mod version;
