//! Archives: what a member writes, and what comes out of it.

#![allow(clippy::unwrap_used)] // helpers of tests are tests, too

mod corpus;
mod damage;
mod keeper;
mod moments;
mod store;
mod support;
