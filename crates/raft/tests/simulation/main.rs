//! Whole clusters in one process: the nodes and the durable logs of production, on a network and on
//! disks that do what a seed says.
//!
//! The other tests of this crate look at one part each: `cluster` at the core, on an ideal disk,
//! `durable` at the log, without a cluster. Some mistakes are in neither, but where the two meet:
//! what a piece of work says while the disk is in the middle of it, what a crash makes of that, and
//! what the others do meanwhile. Here nothing is replaced by a model but the world around: the
//! network, the disk ([`wal::SimDisk`]) and the state machine, which is a digest of what it
//! applied.
//!
//! # How it runs
//!
//! A member has the threads of a server: node, log writer, log reader, apply (`process`,
//! `log_writer`, `apply`). Between them are queues. No real thread runs: in each step the history
//! draws an event, which lets one message arrive, one thread do one piece of work, a tick pass, a
//! client ask, or something break (`history`). A node's effects are *not* taken after each input.
//! How soon they are is each server's `pace`; what came before then shares one `Ready`, as in a
//! process that was stopped for a moment and finds a full socket.
//!
//! After each event the checkers look at what changed (`checkers`). At the end everything is
//! repaired, and the cluster must work (`healing`): safety alone would be kept by a cluster that
//! does nothing.
//!
//! How much goes wrong is drawn for each history anew (`weather`), so that calm and rough ones are
//! tried, and a fault that hides another is absent from some of them. Sequences that chance finds
//! too seldom are events of their own (`faults`: a leader that misses several elections and then
//! hears of all; a disk that comes back as an older copy) or are written down (`scenarios`).
//!
//! One seed gives one history, to the last byte sent: nothing depends on time, addresses or
//! threads.
//!
//! # What is not here
//!
//! The server's real threads and queues, the transport, the store (tests of `server`); messages
//! that no correct node sends (`cluster/hostile`); damaged files (`durable`, and the tests of
//! `wal`). A member that is removed and added again keeps its disk: one that comes back without it
//! has forgotten its votes, and no protocol can make that safe (crate root, "Caveats"). Two members
//! never lose entries at the same time, and members do not change while one has not got them back:
//! with two, entries may be gone for good.

mod apply;
mod checkers;
mod faults;
mod figures;
mod healing;
mod histories;
mod history;
mod log_writer;
mod losses;
mod network;
mod process;
mod random;
mod scenarios;
mod server;
mod settling;
#[path = "../cluster/network/show.rs"]
mod show;
mod state;
mod trace;
mod weather;
mod world;
