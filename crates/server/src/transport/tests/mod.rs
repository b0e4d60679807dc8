//! Transports that talk over loopback.

mod cost;
mod harness;
mod intruders;
mod members;
mod proxy;
mod snapshots;
