//! What a fuzzer does with what strangers send, and with what is in files.
//!
//! Each function takes any bytes and may not panic. `fuzz/` calls them without end; the inputs that it has found worth
//! keeping run as a test as well (`tests/corpora.rs`). For permissions see `machine::auth::fuzz`.

pub use crate::auth::tokens::fuzz::tokens;
pub use crate::tls::fuzz::{certificates, revocation_lists};
