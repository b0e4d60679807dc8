//! Frames on a connection: a length, a checksum, and what is said.
