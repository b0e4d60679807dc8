//! Spans: how long each stage of a call took, for a collector of OpenTelemetry (`--enable-distributed-tracing`).
//!
//! ```text
//!  etcdserverpb.KV/Put ├─ receive ─┼─ authorise ─┼──────── raft ────────┼─ apply ─┼─ reply ─┤
//! ```
//!
//! A call has a span of its own where its client says so (`traceparent` of the W3C), or by chance
//! (`--distributed-tracing-sampling-rate`), as in etcd. The stages of such a call are spans below it. The task that serves the
//! call carries its span ([`within`]), so that nobody passes it on; everywhere else, [`stage`] costs a look at a variable of the
//! task.

mod call;
mod export;

pub(crate) use call::{CallSpan, command_stages, is_wanted, stage, within};
pub(crate) use export::{Spans, SpansError};
