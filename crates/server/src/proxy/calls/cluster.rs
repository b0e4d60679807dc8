//! `MemberList` of a proxy: itself, or with `--resolver-prefix` all proxies that have registered under it; clients that take the
//! members' URLs for endpoints so stay with the proxies.
//!
//! A proxy registers as a key with a lease, `<prefix>/<address>`, in the form that etcd's resolver reads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use client::{Client, EventKind, prefix};
use parking_lot::Mutex;
use proto::etcdserverpb::{Member, MemberListResponse};
use serde::{Deserialize, Serialize};

use super::super::limits::REGISTER_PAUSE;

/// Where proxies register.
#[derive(Debug, Clone)]
pub(super) struct Resolver {
    /// What their keys begin with, in the namespace, without the slash behind it.
    pub(super) prefix: Bytes,
    /// Time to live of a registration.
    pub(super) ttl: Duration,
}

/// The proxies.
#[derive(Debug)]
pub(super) struct Cluster {
    /// `--advertise-client-url`; empty: the members are asked.
    advertised: String,
    /// Those that have registered, by key.
    registered: Mutex<BTreeMap<Bytes, Member>>,
}

/// A registration.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Registration {
    /// 0: it is there.
    op: u8,
    addr: String,
    /// JSON again.
    metadata: serde_json::Value,
}

#[derive(Debug, Serialize, Deserialize)]
struct Meta {
    name: String,
}

impl Cluster {
    pub(super) fn new(advertised: String) -> Arc<Cluster> {
        Arc::new(Cluster { advertised, registered: Mutex::default() })
    }

    /// Returns the proxies; `None` if the members are to be asked.
    pub(super) fn members(&self) -> Option<MemberListResponse> {
        if self.advertised.is_empty() {
            return None;
        }
        let registered: Vec<Member> = self.registered.lock().values().cloned().collect();
        let own = || vec![member(host_name(), self.advertised.clone())];
        let members = if registered.is_empty() { own() } else { registered };
        Some(MemberListResponse { header: None, members })
    }

    /// Keeps this proxy registered, for ever.
    pub(super) async fn register(self: Arc<Self>, client: Client, resolver: Resolver) {
        loop {
            match self.register_once(&client, &resolver).await {
                Ok(lease) => {
                    let (addr, ttl) = (&self.advertised, resolver.ttl.as_secs());
                    tracing::info!(addr, "lease-ttl" = ttl, "registered session with lease");
                    lease.lost().await;
                    tracing::warn!("session expired; possible network partition or server restart");
                    tracing::warn!("creating a new session to rejoin");
                }
                Err(error) => tracing::warn!(error = %error, "failed to create a session"),
            }
            tokio::time::sleep(REGISTER_PAUSE).await;
        }
    }

    async fn register_once(
        &self,
        client: &Client,
        resolver: &Resolver,
    ) -> Result<client::Lease, client::Error> {
        let lease = client.lease(resolver.ttl).await?;
        let addr = self.advertised.clone();
        let key = [resolver.prefix.as_ref(), b"/", addr.as_bytes()].concat();
        client.put(key, registration(addr, host_name())).lease(lease.id()).await?;
        Ok(lease)
    }

    /// Keeps what is registered up to date, for ever.
    pub(super) async fn follow(self: Arc<Self>, client: Client, resolver: Resolver) {
        loop {
            if let Err(error) = self.follow_once(&client, &resolver).await {
                tracing::warn!(error = %error, "failed to establish endpoint watch");
            }
            tokio::time::sleep(REGISTER_PAUSE).await;
        }
    }

    async fn follow_once(&self, client: &Client, resolver: &Resolver) -> Result<(), client::Error> {
        let keys = [resolver.prefix.as_ref(), b"/"].concat();
        let answer = client.get(prefix(keys.clone())).await?;
        let there = answer.kvs.iter().filter_map(|kv| Some((kv.key.clone(), read(&kv.value)?)));
        *self.registered.lock() = there.collect();
        let mut watcher = client.watch(prefix(keys)).from_revision(answer.header.revision.0 + 1).await?;
        while let Some(update) = watcher.next().await {
            let mut registered = self.registered.lock();
            for event in update?.events {
                match (event.kind, read(&event.kv.value)) {
                    (EventKind::Put, Some(member)) => drop(registered.insert(event.kv.key, member)),
                    _ => drop(registered.remove(&event.kv.key)),
                }
            }
        }
        Ok(())
    }
}

/// Returns the registration of a proxy, its fields in etcd's order.
fn registration(addr: String, name: String) -> String {
    let json = |value: serde_json::Result<String>| value.expect("structs of texts and numbers are JSON");
    let metadata = json(serde_json::to_string(&Meta { name })).into();
    json(serde_json::to_string(&Registration { op: 0, addr, metadata }))
}

fn member(name: String, url: String) -> Member {
    Member { name, client_ur_ls: vec![url], ..Default::default() }
}

/// Reads what a proxy has registered.
fn read(value: &[u8]) -> Option<Member> {
    let registration: Registration = serde_json::from_slice(value).ok()?;
    let meta = registration.metadata.as_str().and_then(|text| serde_json::from_str::<Meta>(text).ok());
    Some(member(meta.map(|meta| meta.name).unwrap_or_default(), registration.addr))
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_is_written_and_read_as_etcd_does_it() {
        let value = r#"{"Op":0,"Addr":"10.0.0.1:23790","Metadata":"{\"name\":\"proxy-1\"}"}"#;
        assert_eq!(registration("10.0.0.1:23790".to_owned(), "proxy-1".to_owned()), value);
        assert_eq!(read(value.as_bytes()), Some(member("proxy-1".to_owned(), "10.0.0.1:23790".to_owned())));
        assert_eq!(read(b"something else"), None);
        let without = br#"{"Op":0,"Addr":"a:1","Metadata":null}"#;
        assert_eq!(read(without), Some(member(String::new(), "a:1".to_owned())));
    }

    #[test]
    fn a_proxy_is_its_own_cluster_unless_others_have_registered() {
        let cluster = Cluster::new("127.0.0.1:23790".to_owned());
        assert_eq!(cluster.members().unwrap().members[0].client_ur_ls, ["127.0.0.1:23790"]);
        let other = member("other".to_owned(), "10.0.0.1:1".to_owned());
        cluster.registered.lock().insert("key".into(), other.clone());
        assert_eq!(cluster.members().unwrap().members, [other]);
        assert!(Cluster::new(String::new()).members().is_none());
    }
}
