//! What a disk can do to a member, on the real binary: a start that must be refused, damaged files, no space that is left.
//!
//! The rule is the same everywhere: a clear refusal or the right answer, never a wrong one.

mod client;
mod damage;
mod full;
mod quota;
mod start;
