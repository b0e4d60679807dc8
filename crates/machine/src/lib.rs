//! machine
pub mod limits;
pub mod quota;
mod range;
mod rejection;
mod reply;
pub mod validate;

pub use rejection::{Code, Rejection};
pub use reply::{Body, Reply};
