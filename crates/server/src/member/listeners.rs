//! The sockets that a member listens on, bound and with their TLS; nobody is answered yet.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use super::start_thread;
use crate::config::url::texts;
use crate::config::{Config, Url};
use crate::error::StartError;
use crate::logging::messages;
use crate::metrics::Metrics;
use crate::net::listen::{SocketOptions, listen, listen_unix};
use crate::tls::{self, Acceptor, Handshakes, Need, Role, Setup};
use crate::transport;

/// All sockets.
pub(super) struct Listeners {
    pub(super) clients: ClientListeners,
    pub(super) peer: transport::Listeners,
}

/// The sockets for clients.
pub(super) struct ClientListeners {
    pub(super) client: Vec<ClientListener>,
    pub(super) http: Vec<ClientListener>,
    pub(super) metrics: Vec<ClientListener>,
    /// Where the handshakes of those with TLS are made; `None` if there is none.
    pub(super) handshakes: Option<(Handshakes, JoinHandle<()>)>,
}

/// A socket for clients.
pub(super) struct ClientListener {
    pub(super) socket: tls::Listener,
    /// Who is let in, and whether without TLS too; `None`: everybody, without TLS.
    pub(super) security: Option<(Arc<Acceptor>, Need)>,
}

impl Listeners {
    pub(super) fn bind(config: &Config, tls: &Setup, metrics: &Arc<Metrics>) -> Result<Self, StartError> {
        tracing::info!("listen-peer-urls" = ?texts(&config.listen.peer), "{}", messages::PEER_LISTENERS);
        tracing::info!("listen-client-urls" = ?texts(&config.listen.client), "{}", messages::CLIENT_LISTENERS);
        let options = SocketOptions { reuse_port: config.listen.reuse_port };
        let bind = |urls: &[Url]| bind_clients(urls, options, tls.clients.as_ref());
        Ok(Self {
            peer: bind_peers(config, options, tls, metrics)?,
            clients: ClientListeners {
                client: bind(&config.listen.client)?,
                http: bind(&config.listen.client_http)?,
                metrics: bind(&config.listen.metrics)?,
                handshakes: match tls.clients {
                    Some(_) => Some(start_handshakes("client handshakes", Role::Clients, metrics)?),
                    None => None,
                },
            },
        })
    }
}

/// Where a URL says to listen.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Place {
    fn of(url: &Url) -> Result<Place, StartError> {
        match url.socket_path() {
            Some(path) => Ok(Place::Unix(path.into())),
            None => url.bind_address().map(Place::Tcp).ok_or_else(|| StartError::Url(url.to_string())),
        }
    }

    fn bind(&self, options: SocketOptions) -> Result<tls::Listener, StartError> {
        match self {
            Place::Tcp(address) => bind_tcp(*address, options).map(tls::Listener::Tcp),
            Place::Unix(path) => bind_unix(path).map(tls::Listener::Unix),
        }
    }
}

fn bind_tcp(address: SocketAddr, options: SocketOptions) -> Result<std::net::TcpListener, StartError> {
    listen(address, options).map_err(|source| StartError::Listen { address, source })
}

fn bind_unix(path: &Path) -> Result<std::os::unix::net::UnixListener, StartError> {
    listen_unix(path).map_err(|source| StartError::ListenUnix { path: path.to_owned(), source })
}

/// One listener for each address. One that is listed with TLS and without serves both, as in etcd.
fn bind_clients(
    urls: &[Url],
    options: SocketOptions,
    acceptor: Option<&Arc<Acceptor>>,
) -> Result<Vec<ClientListener>, StartError> {
    let mut schemes: BTreeMap<Place, [bool; 2]> = BTreeMap::new();
    for url in urls {
        schemes.entry(Place::of(url)?).or_default()[usize::from(url.is_secure())] = true;
    }
    let listener = |(place, [is_plain, is_secure]): (Place, [bool; 2])| {
        if let (true, true, Place::Unix(path)) = (is_plain, is_secure, &place) {
            return Err(StartError::Url(format!("{}: with TLS and without at once", path.display())));
        }
        let need = if is_plain { Need::Either } else { Need::Tls };
        let security = acceptor.filter(|_| is_secure).map(|acceptor| (acceptor.clone(), need));
        Ok(ClientListener { socket: place.bind(options)?, security })
    };
    schemes.into_iter().map(listener).collect()
}

fn bind_peers(
    config: &Config,
    options: SocketOptions,
    tls: &Setup,
    metrics: &Arc<Metrics>,
) -> Result<transport::Listeners, StartError> {
    let mut listeners = transport::Listeners::default();
    let mut bound = BTreeSet::new();
    let mut secure = Vec::new();
    for url in &config.listen.peer {
        let place = Place::of(url)?;
        if !bound.insert((place.clone(), url.is_secure())) {
            continue;
        }
        let socket = place.bind(options)?;
        match &tls.peers {
            Some(acceptor) if url.is_secure() => secure.push((socket, acceptor.clone())),
            _ => listeners.plain.push(socket),
        }
    }
    if !secure.is_empty() {
        let (handshakes, thread) = start_handshakes("peer handshakes", Role::Peers, metrics)?;
        listeners.secure = Some(transport::SecureListeners { sockets: secure, handshakes, thread });
    }
    Ok(listeners)
}

fn start_handshakes(
    name: &str,
    role: Role,
    metrics: &Arc<Metrics>,
) -> Result<(Handshakes, JoinHandle<()>), StartError> {
    let made = Handshakes::new(role, metrics.clone());
    let (handshakes, thread) =
        made.map_err(|source| StartError::System { what: "cannot start the thread of handshakes", source })?;
    Ok((handshakes, start_thread(name, move || thread.run())?))
}
