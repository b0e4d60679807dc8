//! The recipes against Debian's etcd: they are built of calls that every server of the API has.

#[path = "../recipes/barrier.rs"]
mod barrier;
#[path = "../recipes/election.rs"]
mod election;
#[path = "../recipes/mutex.rs"]
mod mutex;
#[path = "../recipes/queue.rs"]
mod queue;
mod setup;
#[path = "../recipes/stm.rs"]
mod stm;
