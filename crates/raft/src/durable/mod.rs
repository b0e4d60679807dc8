//! The log, the term and the vote, on a disk.
//!
//! ```text
//!   dir/hard-state-a   term, vote, incarnation, boot, commit, base, configuration there  (two copies,
//!   dir/hard-state-b   the same                                                           rule W3)
//!   dir/entries/       a wal: one record for each entry
//! ```
//!
//! [`Log`] belongs to the log writer's thread. It takes [`Persist`](crate::Persist)s in order and gives back,
//! when opened, all that [`Node::new`](crate::Node::new) needs. Formats are laid down in `docs/format/raft-log.md`.
//!
//! What it promises, to the node that depends on it:
//!
//! - Term and vote are durable before the entries that came with them (a node must not hold entries of a term that it
//!   would forget).
//! - What was cut off does not come back (rule W7), whatever crashes.
//! - A damaged copy of term and vote is repaired from the other; with both damaged the log refuses to open, because
//!   the node might vote twice in one term: its identity is retired (rule W3).
//! - What it notes as committed is named by index and term, looked up in the log before each write, and held against the
//!   log when it is opened: it is never about another entry (rule X1). Assertions stand before the write (rule X2).
//! - It knows where the log begins. A missing entry is an error with a place, never an empty log.

mod checks;
mod codec;
mod error;
mod hard_state;
mod inspect;
mod log;
mod places;
mod recover;
mod replace;

pub use error::Error;
pub use hard_state::Facts;
pub use inspect::{Inspected, Seen, inspect};
pub use log::{FetchJob, Log};
pub use recover::{Opened, Options};
