//! TLS: certificates, the one builder of acceptors and the one builder of connectors.
//!
//! Every listener of a member (gRPC, HTTP, metrics, peers) gets its handshakes from an [`Acceptor`], and every outgoing
//! connection to another member from a [`Connector`]. There is no second way to either, so a check cannot be on one
//! listener and missing on another (rule S4): etcd's list of revoked certificates did not hold on its gRPC port while
//! HTTP had a port of its own (CVE-2026-59818).
//!
//! ```text
//!   files ──read, read again──► Material ──► Acceptor ──► Handshakes, a thread ──► Secured ──► a worker
//!   (Files)                             └──► Connector ──► transport, bootstrap
//! ```
//!
//! * `Files` reads certificates, keys, CAs and lists of revoked certificates. It looks at each handshake whether a file
//!   has changed. What cannot be used is refused as a whole: the old content stays, and log and metrics say so.
//! * [`Acceptor`] demands and checks the other's certificate as the flags say: chain, purpose and validity; not revoked;
//!   a name that is allowed; and of a peer, that it comes from an address that the certificate names.
//! * [`Handshakes`] is where handshakes take place: a thread of its own, so that signatures, which take as long as tens
//!   of requests, never hold up a connection that is being served. It bounds their number and their time (CVE-2026-73500).
//!   Then the connection moves to the thread that serves it, and stays there.
//! * A finished handshake is a `Secured` stream; with `--client-cert-auth` it carries the common name of the other's
//!   certificate, which is who the client is, but for gRPC on that very connection only (rule S5).
//!
//! Sessions are never resumed: a resumed one would be taken without looking at the certificate again, revoked or not.
//! etcd's clients do not resume either.
//!
//! rustls does the protocol, aws-lc-rs its cryptography. What is not known here: what is said on a connection, and
//! whether a name may do something.

mod acceptor;
mod address;
mod auto;
mod connector;
mod facts;
mod files;
pub(crate) mod fuzz;
mod handshakes;
mod load;
mod material;
mod policy;
mod reason;
mod revocation;
mod roots;
mod setup;
mod verify;
mod wire;

#[cfg(test)]
mod tests;

pub(crate) use acceptor::{Acceptor, CertificateName, Delivery, Role};
pub(crate) use auto::ensure as ensure_self_signed;
pub(crate) use connector::{ConnectError, Connector};
pub(crate) use handshakes::{Door, Handshakes, Listener, Need};
pub(crate) use load::common_name;
pub(crate) use reason::reason_behind;
pub(crate) use setup::{Setup, acceptor_of_proxy};
pub(crate) use wire::{Detached, Encrypted, OfThisMachine, Stream, Wire};

use load::LoadError;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be used.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Certificates are demanded, and nothing says which CAs may sign them.
    #[error(
        "certificates of {whom} are to be verified, but there is no CA to do it with: no {flag}, and the system has none"
    )]
    NoRoots {
        /// Clients or peers.
        whom: &'static str,
        /// The flag that names a file of CAs.
        flag: &'static str,
    },
    /// The versions and cipher suites leave nothing.
    #[error("none of the cipher suites given is served ({given}), and TLS 1.3 is excluded")]
    NoCipherSuites {
        /// The names given.
        given: String,
    },
    /// A certificate of the member's own cannot be made or kept.
    #[error("cannot make a certificate in {path}: {reason}", path = .path.display())]
    SelfSigned {
        /// The directory.
        path: std::path::PathBuf,
        /// Why.
        reason: String,
    },
    /// The library refuses what was put together.
    #[error("{0}")]
    Rustls(#[from] rustls::Error),
}
