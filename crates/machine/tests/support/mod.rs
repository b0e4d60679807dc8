//! What the tests of this crate share: scripts, the commands in them, and how replies are printed.

#![allow(dead_code)] // each test uses a part of it

pub(crate) mod command;
pub(crate) mod generate;
pub(crate) mod model;
pub(crate) mod print;
pub(crate) mod script;
pub(crate) mod store;
pub(crate) mod world;
