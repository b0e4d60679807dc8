//! server

pub mod config;
pub mod ids;
pub mod version;
