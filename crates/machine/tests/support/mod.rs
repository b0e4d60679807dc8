//! What the tests of this crate share: scripts, the commands in them, and how replies are printed.

#![allow(dead_code)] // each test uses a part of it

pub mod command;
pub mod generate;
pub mod model;
pub mod print;
pub mod script;
pub mod store;
pub mod world;
