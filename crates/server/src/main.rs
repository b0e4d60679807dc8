//! The member.
fn main() {}
