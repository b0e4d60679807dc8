//! The command-line tools: `quoratectl`, which talks to a cluster, and `quorateutl`, which reads the files of a member
//! that does not run. A binary is a call of the function of its name.

pub mod ctl;
pub mod util;
