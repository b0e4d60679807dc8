//! The members of a new cluster, as a discovery service lists them (`--discovery-endpoints`).
//!
//! A member registers itself, waits until as many have as the cluster is to have, and takes the list for `--initial-cluster`.
//! A member that was killed meanwhile finds itself registered. While the service is not there it is asked again and again,
//! without an end, as in etcd; what it says that makes no sense ends the start.

use std::time::Duration;

use client::{Client, GetAnswer, Order, Revision, SortBy, Tls, Watcher, prefix};
use datadir::founding::check_duplicates;

use super::BootstrapError;
use super::registry::{self, Entries, Keys, RegistryError};
use crate::config::{Cluster, DiscoveryService, DiscoveryTls, Url};
use crate::ids::member_id;
use crate::limits::{REGISTRY_ANSWER_BYTES_MAX, REGISTRY_ENTRIES_MAX};

/// The pause doubles until it is 256 s, as in etcd.
const DOUBLINGS_MAX: u32 = 8;

/// Puts what the discovery service says in the place of the settings of the cluster.
///
/// # Errors
/// When the registry is full or makes no sense, or the service refuses the user.
pub(super) async fn discover(
    name: &str,
    service: &DiscoveryService,
    cluster: &mut Cluster,
) -> Result<(), BootstrapError> {
    tracing::info!("Bootstrapping cluster using v3 discovery.");
    let visit = Visit::new(name, service, &cluster.advertise_peer);
    let found = visit.join().await;
    if let Err(error) = &found {
        tracing::error!(
            "discovery-token" = service.token,
            "discovery-endpoints" = service.endpoints.join(","),
            error = error as &dyn std::error::Error,
            "discovery failed to join cluster"
        );
    }
    let (entries, size) = found.map_err(BootstrapError::Registry)?;
    let text = entries.text(size);
    tracing::info!(
        "discovery-token" = service.token,
        cluster = text,
        "discovery joined cluster successfully"
    );
    let own_key = visit.own_key();
    cluster.initial = entries.founders(size, &own_key, &visit.own_entry).map_err(BootstrapError::Registry)?;
    cluster.token.clone_from(&service.token);
    check_duplicates(&cluster.initial).map_err(|_| BootstrapError::DuplicateInRegistry(text))
}

/// One member's visit to the service.
struct Visit<'a> {
    service: &'a DiscoveryService,
    keys: Keys,
    id: crate::ids::MemberId,
    own_entry: String,
}

/// The service could not be asked. It is asked again.
struct Unanswered;

/// What the registry says at a revision.
struct Listed {
    entries: Entries,
    size: usize,
    revision: Revision,
}

impl<'a> Visit<'a> {
    fn new(name: &str, service: &'a DiscoveryService, advertised: &[Url]) -> Visit<'a> {
        Visit {
            service,
            keys: Keys::of(&service.token),
            id: member_id(advertised, &service.token),
            own_entry: registry::entry(name, advertised),
        }
    }

    fn own_key(&self) -> String {
        self.keys.member(self.id)
    }

    /// Registers the member, and returns all that have registered when they are enough.
    async fn join(&self) -> Result<(Entries, usize), RegistryError> {
        let client = self.connect().await?;
        self.look(&client).await?;
        self.register(&client).await;
        let mut pauses = Pauses::default();
        loop {
            let listed = self.look(&client).await?;
            match self.await_others(&client, listed).await {
                Ok(found) => return Ok(found),
                Err(Unanswered) => pauses.pause("waiting for peers").await,
            }
        }
    }

    /// Connects. A user is known by a token that the service gives, so that this takes until it is there.
    async fn connect(&self) -> Result<Client, RegistryError> {
        let service = self.service;
        let tls = service.tls.as_ref().map(tls).transpose()?;
        let mut pauses = Pauses::default();
        loop {
            let mut builder = Client::builder()
                .endpoints(service.endpoints.iter().cloned())
                .dial_timeout(service.dial_timeout)
                .request_timeout(Some(service.request_timeout))
                .keepalive(service.keepalive_time, service.keepalive_timeout)
                .max_recv_bytes(REGISTRY_ANSWER_BYTES_MAX);
            if let Some(tls) = &tls {
                builder = builder.tls(tls.clone());
            }
            if let Some(user) = &service.user {
                builder = builder.user(&user.name, &user.password);
            }
            match builder.connect().await {
                Err(error) if is_absent(&error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "failed to connect to discovery service"
                    );
                    pauses.pause("authentication").await;
                }
                connected => return Ok(connected?),
            }
        }
    }

    /// Returns what is registered, once the service answers.
    ///
    /// # Errors
    /// When there is no place for this member, or no registry.
    async fn look(&self, client: &Client) -> Result<Listed, RegistryError> {
        let mut pauses = Pauses::default();
        loop {
            if let Ok(size) = self.ask_size(client).await {
                let size = size?;
                if let Ok((entries, revision)) = self.ask_members(client).await {
                    entries.check_place(&self.own_key(), size)?;
                    return Ok(Listed { entries, size, revision });
                }
            }
            pauses.pause("cluster status check").await;
        }
    }

    async fn ask_size(&self, client: &Client) -> Result<Result<usize, RegistryError>, Unanswered> {
        let key = self.keys.size();
        let answer = client.get(key.as_str()).await.map_err(|error| {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(clusterSizeKey = key, error, "failed to get cluster size from discovery service");
            Unanswered
        })?;
        let value = answer.value().ok_or(RegistryError::SizeNotFound);
        Ok(value.and_then(|value| registry::parse_size(value)))
    }

    async fn ask_members(&self, client: &Client) -> Result<(Entries, Revision), Unanswered> {
        let key = self.keys.members();
        let asked = client.get(prefix(key.as_str())).sort(SortBy::CreateRevision, Order::Ascending);
        let answer: GetAnswer = asked.limit(REGISTRY_ENTRIES_MAX).await.map_err(|error| {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                membersKeyPrefix = key,
                error,
                "failed to get cluster members from discovery service"
            );
            Unanswered
        })?;
        let mut entries = Entries::default();
        for kv in &answer.kvs {
            note(&mut entries, kv);
        }
        Ok((entries, answer.header.revision))
    }

    /// Registers the member. One that is registered already keeps its place: the revision that created the key counts.
    async fn register(&self, client: &Client) {
        let (key, mut pauses) = (self.own_key(), Pauses::default());
        while let Err(error) = client.put(key.as_str(), self.own_entry.as_str()).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                memberKey = key,
                error,
                "failed to register members itself to the discovery service"
            );
            pauses.pause("register member itself").await;
        }
        tracing::info!(memberKey = key, memberInfo = self.own_entry, "register member itself successfully");
    }

    /// Waits until as many have registered as the cluster is to have.
    async fn await_others(&self, client: &Client, listed: Listed) -> Result<(Entries, usize), Unanswered> {
        let Listed { mut entries, size, revision } = listed;
        if entries.count() >= size {
            return Ok((entries, size));
        }
        let keys = self.keys.members();
        let watched = client.watch(prefix(keys.as_str())).no_delete().from_revision(revision.next()).await;
        let mut watcher = watched.map_err(|error| lost(&error))?;
        tracing::info!(
            clusterSize = size,
            "found-peers" = entries.count(),
            "waiting for peers from discovery service"
        );
        while entries.count() < size {
            take_changes(&mut watcher, &mut entries).await?;
        }
        tracing::info!(
            clusterSize = size,
            "found-peers" = entries.count(),
            "found all needed peers from discovery service"
        );
        Ok((entries, size))
    }
}

async fn take_changes(watcher: &mut Watcher, entries: &mut Entries) -> Result<(), Unanswered> {
    let update = match watcher.next().await {
        Some(Ok(update)) => update,
        Some(Err(error)) => return Err(lost(&error)),
        None => return Err(Unanswered),
    };
    update.events.iter().for_each(|event| note(entries, &event.kv));
    Ok(())
}

fn lost(error: &client::Error) -> Unanswered {
    tracing::warn!(error = error as &dyn std::error::Error, "failed to watch the discovery service");
    Unanswered
}

/// Adds a key of the registry to the list, if it is an entry.
fn note(entries: &mut Entries, kv: &client::KeyValue) {
    let (key, value) = (kv.key_str(), kv.value_str());
    let (member_key, info) = (crate::logging::shown(key.trim()), crate::logging::shown(value.trim()));
    match entries.add(&key, &value, kv.create_revision.0) {
        Ok(()) => {
            tracing::info!(memberKey = member_key, memberInfo = info, "found peer from discovery service")
        }
        Err(why) => tracing::warn!(memberKey = member_key, memberInfo = info, "{why}"),
    }
}

/// Returns whether the service is not there, which may change.
fn is_absent(error: &client::Error) -> bool {
    matches!(error.code(), client::Code::Unavailable | client::Code::DeadlineExceeded)
}

/// Returns the client's settings, after a look at the files: those that cannot be read now end the start.
fn tls(settings: &DiscoveryTls) -> Result<Tls, RegistryError> {
    let mut tls = Tls::new();
    if let Some(ca) = &settings.ca {
        tls = tls.ca_file(ca);
    }
    if let Some((cert, key)) = &settings.identity {
        tls = tls.identity_files(cert, key);
    }
    if settings.skips_verification {
        tls = tls.skip_verify();
    }
    tls.config()?;
    Ok(tls)
}

/// The pauses between attempts: each twice as long as the one before.
#[derive(Default)]
struct Pauses {
    failures: u32,
}

impl Pauses {
    fn next(&mut self) -> Duration {
        self.failures = (self.failures + 1).min(DOUBLINGS_MAX);
        Duration::from_secs(1 << self.failures)
    }

    async fn pause(&mut self, step: &str) {
        let backoff = self.next();
        tracing::warn!(reason = step, ?backoff, "retry connecting to discovery service");
        tokio::time::sleep(backoff).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit() {
        let mut pauses = Pauses::default();
        let taken: Vec<u64> = (0..10).map(|_| pauses.next().as_secs()).collect();
        assert_eq!(taken, [2, 4, 8, 16, 32, 64, 128, 256, 256, 256]);
    }
}
