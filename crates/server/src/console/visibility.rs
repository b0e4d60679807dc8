//! Who gets the console.
//!
//! The pages show nothing that the gateway does not give to everybody who asks, but they make it easy to find and to use. So
//! where requests need no user, only the machine itself gets them unless the operator says otherwise.

use http::StatusCode;
use http::request::Parts;

use super::Surroundings;
use crate::config::Console;
use crate::tls::OfThisMachine;

/// Why a request does not get the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// `--console=off`: the path is as unknown as it is to etcd.
    #[error("404 page not found")]
    Off,
    /// It comes from elsewhere, and requests need no user.
    #[error(
        "The console of this member is shown to its own machine only, because requests need no user here.\n\n\
         To open it from elsewhere, turn authentication on (quoratectl auth enable) or start the member with \
         --console=on.\nOr forward a port: ssh -L 2379:localhost:2379 this-machine"
    )]
    FromElsewhere,
}

impl Refusal {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Refusal::Off => StatusCode::NOT_FOUND,
            Refusal::FromElsewhere => StatusCode::FORBIDDEN,
        }
    }
}

/// Returns whether a request gets the console.
///
/// # Errors
/// Why not.
pub(super) fn check(head: &Parts, surroundings: &Surroundings) -> Result<(), Refusal> {
    match surroundings.console {
        Console::Off => Err(Refusal::Off),
        Console::On => Ok(()),
        Console::Auto if surroundings.is_auth_enabled || is_from_here(head) => Ok(()),
        Console::Auto => Err(Refusal::FromElsewhere),
    }
}

/// What a proxy adds to a request that it hands on: such a request comes from wherever its sender is. A proxy that adds
/// nothing is not recognised: one of TCP connections (`quorate gateway start` is one) on the member's machine counts as this
/// machine.
const OF_PROXIES: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

fn is_from_here(head: &Parts) -> bool {
    head.extensions.get::<OfThisMachine>().is_some()
        && !OF_PROXIES.iter().any(|name| head.headers.contains_key(*name))
}
