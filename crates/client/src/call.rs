//! What makes a builder awaitable.
//!
//! Builders exist in two states. `put("k", "v")` is an operation, to be part of a transaction. `client.put("k", "v")` is a
//! call: awaiting it sends it. Both have the same options.

use std::time::Duration;

use crate::client::Client;

/// The state of a builder that is an operation of a transaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Detached;

/// The state of a builder that is a call of a client.
#[derive(Debug, Clone)]
pub struct Attached {
    pub(crate) client: Client,
    pub(crate) timeout: Option<Duration>,
}

impl Attached {
    pub(crate) fn new(client: &Client) -> Attached {
        Attached { client: client.clone(), timeout: None }
    }

    /// Returns a request with the deadline of the call.
    pub(crate) fn request<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        if let Some(timeout) = self.timeout {
            request.set_timeout(timeout);
        }
        request
    }
}

/// Leaves a request as it is.
pub(crate) fn leave<T>(_: &mut tonic::Request<T>) {}

/// Makes a builder a call: gives it `timeout`, and makes it awaitable.
macro_rules! awaited {
    ($builder:ident => $answer:ty, $stub:ident.$method:ident, $mark:path) => {
        impl $builder<$crate::call::Attached> {
            /// Sets how long the call may take, its repetitions included.
            pub fn timeout(mut self, timeout: std::time::Duration) -> Self {
                self.state.timeout = Some(timeout);
                self
            }
        }

        impl std::future::IntoFuture for $builder<$crate::call::Attached> {
            type Output = Result<$answer, $crate::error::Error>;
            type IntoFuture = futures_util::future::BoxFuture<'static, Self::Output>;

            fn into_future(self) -> Self::IntoFuture {
                use tracing::Instrument as _;
                let call = async move {
                    let state = self.state;
                    let mut request = state.request(self.message);
                    $mark(&mut request);
                    let answer = state.client.$stub().$method(request).await?;
                    Ok(<$answer>::from(answer.into_inner()))
                };
                Box::pin(call.instrument(tracing::debug_span!("etcd", call = stringify!($method))))
            }
        }
    };
    ($builder:ident => $answer:ty, $stub:ident.$method:ident) => {
        awaited!($builder => $answer, $stub.$method, $crate::call::leave);
    };
}
pub(crate) use awaited;
