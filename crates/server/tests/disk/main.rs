//! What a disk can do to a member, on the real binary: damaged files, no space that is left. (Starts that are refused: see
//! `tests/faults`.)
//!
//! The rule is the same everywhere: a clear refusal or the right answer, never a wrong one.

mod client;
mod damage;
mod defragment;
mod descriptors;
mod full;
mod large;
mod quota;
