//! `quorateutl` on the directories of real members: whole ones, and damaged in every way that comes to mind.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod archive;
mod arguments;
mod backup;
mod damage;
mod defrag;
mod dump;
mod restore;
mod subject;
mod tool;
mod verify;
