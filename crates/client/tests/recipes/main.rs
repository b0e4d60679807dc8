//! Recipes, namespaces and the cache, against real servers; and the examples.

mod barrier;
mod cache;
mod election;
mod examples;
mod mutex;
mod namespace;
mod peer;
mod queue;
mod setup;
mod stm;
