//! Following another cluster until this one takes its place: with a real etcd and with Quorate as the source.

mod cut_over;
mod faults;
mod follow;
mod liar;
mod lies;
mod refused;
mod secured;
mod support;
