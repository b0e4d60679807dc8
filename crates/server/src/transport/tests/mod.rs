//! Transports that talk over loopback.

mod cost;
mod dials;
mod harness;
mod intruders;
mod members;
mod mutes;
mod proxy;
mod snapshots;
