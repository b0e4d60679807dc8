//! The proxies as processes, before members that are processes as well.

mod support;
mod tcp;
