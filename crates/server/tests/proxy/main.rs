//! The proxies as processes, before members that are processes as well.

mod cache;
mod calls;
mod ends;
mod namespace;
mod renewals;
mod secured;
mod support;
mod tcp;
mod watches;
