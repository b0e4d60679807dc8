//! The members of a new cluster, as the DNS lists them (`--discovery-srv`).
//!
//! Two services of the domain name them, `_etcd-server-ssl._tcp` for those that speak TLS and `_etcd-server._tcp` for the
//! others. An SRV record has a host and a port and no name: a member recognises itself by its address, and calls the others
//! 0, 1, and so on. Names are not part of the ids, so members need not agree about them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::RData;

use super::BootstrapError;
use crate::config::url::{self, Scheme};
use crate::config::{SrvDiscovery, Url};

/// A record: a host, with the dot at its end, and a port.
#[derive(Clone, Debug)]
struct Record {
    target: String,
    port: u16,
}

/// The members that the domain lists, by name.
pub(super) async fn discover(
    own_name: &str,
    discovery: &SrvDiscovery,
    advertised: &[Url],
) -> Result<BTreeMap<String, Vec<Url>>, BootstrapError> {
    let resolver = TokioResolver::builder_tokio().and_then(hickory_resolver::ResolverBuilder::build);
    let resolver = resolver.map_err(|error| BootstrapError::Discovery(error.to_string()))?;
    let lookup =
        async |service: &str| records(&resolver, &format!("_{service}._tcp.{}", discovery.domain)).await;
    combine(own_name, &discovery.service_suffix, advertised, lookup).await.map_err(BootstrapError::Discovery)
}

async fn records(resolver: &TokioResolver, name: &str) -> Result<Vec<Record>, String> {
    // Fully qualified: the search list of the host has no say.
    let found = resolver.srv_lookup(format!("{}.", name.trim_end_matches('.'))).await;
    let found = found.map_err(|error| format!("lookup {name}: {error}"))?;
    let record = |data: &RData| match data {
        RData::SRV(srv) => Some(Record { target: srv.target.to_string(), port: srv.port }),
        _ => None,
    };
    Ok(found.answers().iter().filter_map(|answer| record(&answer.data)).collect())
}

/// Both services' members; the failure of one does not matter if the other lists some.
async fn combine(
    own_name: &str,
    suffix: &str,
    advertised: &[Url],
    lookup: impl AsyncFn(&str) -> Result<Vec<Record>, String>,
) -> Result<BTreeMap<String, Vec<Url>>, String> {
    let own = own_addresses(advertised).await?;
    let (mut members, mut failures) = (Vec::new(), Vec::new());
    for (scheme, service) in [(Scheme::Https, "etcd-server-ssl"), (Scheme::Http, "etcd-server")] {
        let service = if suffix.is_empty() { service.to_owned() } else { format!("{service}-{suffix}") };
        let listed = match lookup(&service).await {
            Ok(records) => named(own_name, scheme, &service, &own, records).await,
            Err(why) => Err(why),
        };
        match listed {
            Ok(listed) => members.extend(listed),
            Err(why) => failures.push(format!("error querying DNS SRV records for _{service} {why}")),
        }
    }
    if members.is_empty() {
        return Err(failures.join("\n"));
    }
    for member in &members {
        tracing::info!(node = member, "got bootstrap from DNS for etcd-server");
    }
    let members = url::parse_cluster(&members.join(",")).map_err(|error| error.to_string())?;
    if !members.contains_key(own_name) {
        return Err(format!("cannot find local etcd member {own_name:?} in SRV records"));
    }
    Ok(members)
}

/// The member's own URLs by their addresses.
async fn own_addresses(advertised: &[Url]) -> Result<Vec<(SocketAddr, &Url)>, String> {
    let mut own = Vec::new();
    for url in advertised {
        let Some((host, port)) = url.host_port() else { continue };
        own.push((address(host, port).await?, url));
    }
    Ok(own)
}

async fn address(host: &str, port: u16) -> Result<SocketAddr, String> {
    let found = tokio::net::lookup_host((host, port)).await;
    let mut found = found.map_err(|error| format!("lookup {host}: {error}"))?;
    found.next().ok_or_else(|| format!("lookup {host}: no address"))
}

/// The service's members as `name=url`. A record that does not resolve, or that contradicts the member's own URL, is left
/// out; if nothing is left, the last such is why.
async fn named(
    own_name: &str,
    scheme: Scheme,
    service: &str,
    own: &[(SocketAddr, &Url)],
    records: Vec<Record>,
) -> Result<Vec<String>, String> {
    let (mut members, mut unnamed, mut problem) = (Vec::new(), 0, None);
    for Record { target, port } in records {
        let address = match address(&target, port).await {
            Ok(address) => address,
            Err(why) => {
                problem = Some(why);
                continue;
            }
        };
        let own = own.iter().find(|(own, _)| *own == address).map(|(_, url)| url);
        let host = target.trim_end_matches('.');
        let place = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let found = format!("{}://{place}", scheme.name());
        match own {
            Some(url) if url.scheme() != scheme => {
                problem = Some(format!(
                    "bootstrap at {found} from DNS for {service} has scheme mismatch with expected peer {url}"
                ));
            }
            Some(_) => members.push(format!("{own_name}={found}")),
            None => {
                members.push(format!("{unnamed}={found}"));
                unnamed += 1;
            }
        }
    }
    match problem {
        Some(why) if members.is_empty() => Err(why),
        _ => Ok(members),
    }
}

#[cfg(test)]
mod tests {
    use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
    use hickory_resolver::net::runtime::TokioRuntimeProvider;
    use testkit::dns::{self, NameServer};

    use super::*;

    /// The whole way, from the flag to a cluster that serves, is in `tests/cluster/discovery.rs`, where it is allowed.
    #[tokio::test]
    async fn what_a_name_server_says_becomes_records() {
        let service = "_etcd-server._tcp.quorate.test";
        let srv = |host: &str, port| dns::Record::Srv(service.to_owned(), host.to_owned(), port);
        let listed = vec![srv("a.quorate.test", 2380), srv("b.quorate.test", 12380)];
        let server = NameServer::start("127.0.0.1:0".parse().unwrap(), listed).unwrap();
        let mut connection = ConnectionConfig::udp();
        connection.port = server.address().port();
        let name_server = NameServerConfig::new(server.address().ip(), true, vec![connection]);
        let config = ResolverConfig::from_name_servers(vec![name_server]);
        let resolver = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let resolver = resolver.build().unwrap();
        let found = records(&resolver, service).await.unwrap();
        let mut found = Vec::from_iter(found.iter().map(|record| (record.target.as_str(), record.port)));
        found.sort_unstable();
        assert_eq!(found, [("a.quorate.test.", 2380), ("b.quorate.test.", 12380)]);
        let error = records(&resolver, "_etcd-server-ssl._tcp.quorate.test").await.unwrap_err();
        assert!(error.starts_with("lookup _etcd-server-ssl._tcp.quorate.test: "), "{error}");
    }

    /// What the two services list: `host:port` pairs, or an error.
    async fn listed(own: &str, suffix: &str, ssl: &str, plain: &str) -> Result<String, String> {
        let lookup = async |service: &str| {
            let list = if service.starts_with("etcd-server-ssl") { ssl } else { plain };
            assert_eq!(service.ends_with("-blue"), suffix == "blue");
            let record = |pair: &str| {
                let (target, port) = pair.rsplit_once(':').expect("a host and a port");
                Record { target: target.to_owned(), port: port.parse().expect("a port") }
            };
            match list {
                "" => Err("no such host".to_owned()),
                list => Ok(list.split(' ').map(record).collect()),
            }
        };
        let advertised = url::parse_list(own).unwrap();
        let members = combine("me", suffix, &advertised, lookup).await?;
        let text = members.iter().map(|(name, urls)| format!("{name}={}", url::join(urls)));
        Ok(text.collect::<Vec<_>>().join(" "))
    }

    #[tokio::test]
    async fn a_member_finds_itself_by_its_address_and_numbers_the_others() {
        let three = "127.0.0.1:1 127.0.0.2:1 127.0.0.3:1";
        let own = "http://127.0.0.2:1";
        let expected = "0=http://127.0.0.1:1 1=http://127.0.0.3:1 me=http://127.0.0.2:1";
        assert_eq!(listed(own, "", "", three).await.as_deref(), Ok(expected));
        assert_eq!(listed(own, "blue", "", three).await.as_deref(), Ok(expected));
    }

    #[tokio::test]
    async fn what_the_records_lack_has_etcds_words() {
        let own = "http://127.0.0.2:1";
        let cases = [
            (
                "",
                "",
                "error querying DNS SRV records for _etcd-server-ssl no such host\nerror querying DNS SRV records for \
                 _etcd-server no such host",
            ),
            ("", "127.0.0.1:1 127.0.0.3:1", "cannot find local etcd member \"me\" in SRV records"),
            (
                "127.0.0.2:1",
                "",
                "error querying DNS SRV records for _etcd-server-ssl bootstrap at https://127.0.0.2:1 from DNS for \
                 etcd-server-ssl has scheme mismatch with expected peer http://127.0.0.2:1\nerror querying DNS SRV \
                 records for _etcd-server no such host",
            ),
        ];
        for (ssl, plain, text) in cases {
            assert_eq!(listed(own, "", ssl, plain).await, Err(text.to_owned()));
        }
    }
}
