//! Endpoints that are looked up: in the DNS, and from the members themselves.

use std::time::Duration;

use hickory_resolver::proto::rr::RData;
use hickory_resolver::{ResolverBuilder, TokioResolver};

use crate::client::Client;
use crate::error::Error;

/// The services that list endpoints, with the scheme of their endpoints.
const SERVICES: [(&str, &str); 2] = [("etcd-client-ssl", "https"), ("etcd-client", "http")];

/// Returns the endpoints that a domain lists: the SRV records `_etcd-client-ssl._tcp` (reached by `https`) and
/// `_etcd-client._tcp`. A `suffix` is appended to the names of the services: `-suffix`.
///
/// ```no_run
/// # async fn example() -> Result<(), quorate_client::Error> {
/// let endpoints = quorate_client::discover("example.org", None).await?;
/// let client = quorate_client::Client::builder().endpoints(endpoints).connect().await?;
/// # let _ = client; Ok(()) }
/// ```
///
/// # Errors
/// When neither service has a record.
pub async fn discover(domain: &str, suffix: Option<&str>) -> Result<Vec<String>, Error> {
    let resolver = TokioResolver::builder_tokio().and_then(ResolverBuilder::build);
    let resolver = resolver.map_err(|error| Error::Dns(error.to_string()))?;
    endpoints(&resolver, domain, suffix).await
}

async fn endpoints(
    resolver: &TokioResolver,
    domain: &str,
    suffix: Option<&str>,
) -> Result<Vec<String>, Error> {
    let (mut endpoints, mut failures) = (Vec::new(), Vec::new());
    for (service, scheme) in SERVICES {
        let service = suffix.map_or(service.to_owned(), |suffix| format!("{service}-{suffix}"));
        let name = format!("_{service}._tcp.{}.", domain.trim_end_matches('.'));
        match resolver.srv_lookup(name.clone()).await {
            Err(error) => failures.push(format!("{name}: {error}")),
            Ok(found) => endpoints.extend(found.answers().iter().filter_map(|record| match &record.data {
                RData::SRV(srv) => {
                    let host = srv.target.to_string();
                    Some(format!("{scheme}://{}:{}", host.trim_end_matches('.'), srv.port))
                }
                _ => None,
            })),
        }
    }
    if endpoints.is_empty() { Err(Error::Dns(failures.join("; "))) } else { Ok(endpoints) }
}

impl Client {
    /// Takes the members' own client URLs for endpoints from now on, and returns them. Members without a vote and those
    /// that have not started are left out. A client that was built with
    /// [`Builder::sync_interval`](crate::Builder::sync_interval) does this by itself.
    ///
    /// # Errors
    /// As any read. The endpoints then stay as they are.
    pub async fn sync_endpoints(&self) -> Result<Vec<String>, Error> {
        let members = self.cluster().members().await?;
        let voters = members.into_iter().filter(|member| !member.is_learner);
        let urls: Vec<String> = voters.flat_map(|member| member.client_urls).collect();
        if urls.is_empty() {
            return Err(Error::Malformed("no member has a client URL"));
        }
        self.channel().inner().pool.replace(&urls)?;
        Ok(urls)
    }

    /// Keeps the endpoints those of the members, as long as there is a client.
    pub(crate) fn sync_in_background(&self, interval: Duration) {
        let weak = self.downgrade();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(interval).await;
                let Some(client) = weak.upgrade() else { return };
                if let Err(error) = client.sync_endpoints().await {
                    tracing::debug!(%error, "the endpoints stay as they are");
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
    use hickory_resolver::net::runtime::TokioRuntimeProvider;
    use testkit::dns::{NameServer, Record};

    use super::*;

    #[tokio::test]
    async fn a_domain_lists_endpoints() {
        let srv = |service: &str, host: &str, port| {
            Record::Srv(format!("_{service}._tcp.quorate.test"), host.to_owned(), port)
        };
        let records = vec![
            srv("etcd-client-ssl", "a.quorate.test", 2379),
            srv("etcd-client", "b.quorate.test", 12379),
            srv("etcd-client-blue", "c.quorate.test", 1),
        ];
        let server =
            NameServer::start("127.0.0.1:0".parse().expect("an address"), records).expect("a server");
        let mut connection = ConnectionConfig::udp();
        connection.port = server.address().port();
        let name_server = NameServerConfig::new(server.address().ip(), true, vec![connection]);
        let config = ResolverConfig::from_name_servers(vec![name_server]);
        let resolver = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .build()
            .expect("a resolver");
        let found = endpoints(&resolver, "quorate.test", None).await.expect("endpoints");
        assert_eq!(found, ["https://a.quorate.test:2379", "http://b.quorate.test:12379"]);
        let found = endpoints(&resolver, "quorate.test", Some("blue")).await.expect("endpoints");
        assert_eq!(found, ["http://c.quorate.test:1"]);
        assert!(matches!(endpoints(&resolver, "nowhere.test", None).await, Err(Error::Dns(_))));
    }
}
