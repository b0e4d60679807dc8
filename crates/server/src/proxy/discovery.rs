//! The endpoints of a cluster as the DNS lists them (`--discovery-srv`): `_etcd-client-ssl._tcp` for those that speak TLS and
//! `_etcd-client._tcp` for the others, each record with a priority and a weight.

use std::path::PathBuf;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::RData;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::flags::Flags;

/// Where the endpoints of a cluster are looked up.
#[derive(Debug, Clone)]
pub(super) struct Discovery {
    domain: String,
    /// A suffix of the services' names; empty for none.
    service: String,
    /// Whether endpoints are taken as they are listed.
    is_insecure: bool,
    ca: Option<PathBuf>,
}

/// An endpoint that the DNS lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) scheme: &'static str,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) priority: u16,
    pub(super) weight: u16,
}

/// The services, with the scheme of their endpoints.
const SERVICES: [(&str, &str); 2] = [("etcd-client-ssl", "https"), ("etcd-client", "http")];

/// How long an endpoint that is checked may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

impl Discovery {
    /// Returns what the flags say, `ca` being the flag that names a file of CAs; `None` without a domain.
    pub(super) fn of(flags: &Flags, ca: &str) -> Option<Discovery> {
        let domain = flags.text("discovery-srv").to_owned();
        let ca = Some(flags.text(ca)).filter(|path| !path.is_empty()).map(PathBuf::from);
        (!domain.is_empty()).then(|| Discovery {
            domain,
            service: flags.text("discovery-srv-name").to_owned(),
            is_insecure: flags.bool("insecure-discovery"),
            ca,
        })
    }

    /// Returns the endpoints that the domain lists, without those that are not encrypted or do not answer, unless insecure ones
    /// are asked for.
    ///
    /// # Errors
    /// When neither service has a record.
    pub(super) async fn endpoints(&self) -> Result<Vec<Listed>, String> {
        let resolver = TokioResolver::builder_tokio().and_then(hickory_resolver::ResolverBuilder::build);
        let resolver = resolver.map_err(|error| error.to_string())?;
        let listed = look_up(&resolver, &self.domain, &self.service).await?;
        let shown = |listed: &[Listed]| listed.iter().map(Listed::url).collect::<Vec<_>>();
        let server = &self.domain;
        tracing::info!("srv-server" = server, endpoints = ?shown(&listed), "discovered cluster from SRV");
        if self.is_insecure {
            return Ok(listed);
        }
        tracing::info!("srv-server" = server, endpoints = ?shown(&listed), "validating discovered SRV endpoints");
        let mut good = Vec::new();
        for endpoint in listed {
            match self.check(&endpoint).await {
                Ok(()) => good.push(endpoint),
                Err(why) => tracing::warn!(
                    "srv-server" = server,
                    endpoint = endpoint.url(),
                    error = why,
                    "failed to validate discovered endpoints"
                ),
            }
        }
        tracing::info!("srv-server" = server, endpoints = ?shown(&good), "using validated discovered SRV endpoints");
        Ok(good)
    }

    /// Returns whether an endpoint is encrypted and answers; and with `--trusted-ca-file`, for the domain.
    async fn check(&self, endpoint: &Listed) -> Result<(), String> {
        if endpoint.scheme != "https" {
            return Err(format!("{:?} is insecure", endpoint.url()));
        }
        let place = (endpoint.host.as_str(), endpoint.port);
        let checked = tokio::time::timeout(CHECK_TIMEOUT, async {
            let socket = TcpStream::connect(place).await.map_err(|error| error.to_string())?;
            let Some(ca) = &self.ca else { return Ok(()) };
            let config = client::Tls::new().ca_file(ca).config().map_err(|error| error.to_string())?;
            let name = self.domain.clone().try_into();
            let name =
                name.map_err(|_| format!("{:?} is no host that a certificate could name", self.domain))?;
            let connected = TlsConnector::from(config).connect(name, socket).await;
            connected.map(drop).map_err(|error| error.to_string())
        });
        checked.await.unwrap_or_else(|_| Err("i/o timeout".to_owned()))
    }
}

impl Listed {
    /// Returns the endpoint as a URL.
    pub(super) fn url(&self) -> String {
        let Listed { scheme, host, port, .. } = self;
        if host.contains(':') {
            format!("{scheme}://[{host}]:{port}")
        } else {
            format!("{scheme}://{host}:{port}")
        }
    }
}

/// Returns what both services list; the failure of one does not matter if the other is there.
async fn look_up(resolver: &TokioResolver, domain: &str, suffix: &str) -> Result<Vec<Listed>, String> {
    let (mut listed, mut failures) = (Vec::new(), Vec::new());
    for (service, scheme) in SERVICES {
        let service = if suffix.is_empty() { service.to_owned() } else { format!("{service}-{suffix}") };
        let name = format!("_{service}._tcp.{}.", domain.trim_end_matches('.'));
        match resolver.srv_lookup(name.clone()).await {
            Err(error) => failures.push(format!("lookup {name}: {error}")),
            Ok(found) => listed.extend(found.answers().iter().filter_map(|record| match &record.data {
                RData::SRV(srv) => Some(Listed {
                    scheme,
                    host: srv.target.to_string().trim_end_matches('.').to_owned(),
                    port: srv.port,
                    priority: srv.priority,
                    weight: srv.weight,
                }),
                _ => None,
            })),
        }
    }
    if failures.len() == SERVICES.len() {
        return Err(format!("dns lookup errors: {}", failures.join(" and ")));
    }
    Ok(listed)
}

#[cfg(test)]
mod tests {
    use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
    use hickory_resolver::net::runtime::TokioRuntimeProvider;
    use testkit::dns::{NameServer, Record};

    use super::*;

    #[tokio::test]
    async fn records_of_both_services_become_endpoints() {
        let srv = |service: &str, host: &str, port| {
            Record::Srv(format!("_{service}._tcp.quorate.test"), host.to_owned(), port)
        };
        let records = vec![
            srv("etcd-client-ssl", "a.quorate.test", 2379),
            srv("etcd-client", "b.quorate.test", 12379),
            srv("etcd-client-blue", "c.quorate.test", 1),
        ];
        let server = NameServer::start("127.0.0.1:0".parse().unwrap(), records).unwrap();
        let mut connection = ConnectionConfig::udp();
        connection.port = server.address().port();
        let name_server = NameServerConfig::new(server.address().ip(), true, vec![connection]);
        let config = ResolverConfig::from_name_servers(vec![name_server]);
        let resolver =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).build().unwrap();
        let urls = async |suffix| {
            let listed = look_up(&resolver, "quorate.test", suffix).await.unwrap();
            listed.iter().map(Listed::url).collect::<Vec<_>>()
        };
        assert_eq!(urls("").await, ["https://a.quorate.test:2379", "http://b.quorate.test:12379"]);
        assert_eq!(urls("blue").await, ["http://c.quorate.test:1"]);
        let why = look_up(&resolver, "nowhere.test", "").await.unwrap_err();
        assert!(why.starts_with("dns lookup errors: lookup _etcd-client-ssl._tcp.nowhere.test"), "{why}");
    }

    #[tokio::test]
    async fn an_endpoint_without_tls_is_no_secure_one() {
        let discovery = Discovery {
            domain: "quorate.test".to_owned(),
            service: String::new(),
            is_insecure: false,
            ca: None,
        };
        let plain = Listed { scheme: "http", host: "127.0.0.1".to_owned(), port: 1, priority: 0, weight: 0 };
        assert_eq!(discovery.check(&plain).await.unwrap_err(), "\"http://127.0.0.1:1\" is insecure");
    }
}
