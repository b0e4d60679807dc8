//! Transports that talk over loopback.

mod harness;
mod intruders;
mod members;
mod proxy;
mod snapshots;
