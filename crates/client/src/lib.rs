//! An async client for Quorate and etcd.

mod address;
mod builder;
mod channel;
mod client;
mod error;
mod number;
mod observe;
mod random;
mod retry;
mod settings;
mod tls;
mod token;
mod verify;

pub use builder::Builder;
pub use channel::{Answer, Channel};
pub use client::Client;
pub use error::{Error, Outcome};
pub use number::{ClusterId, LeaseId, MemberId, Revision};
pub use observe::{Attempt, Observer};
pub use tls::Tls;
pub use tonic::Code;
