//! What a key, a revision, a lease, a connection and a watcher take of a server's memory.
//!
//! One kind after the other is added to the same server, and the growth of what is resident is divided by their number. Before
//! each reading the server is left alone, as runtimes give memory back late.

use crate::client::{Connection, Keep, Stream};
use crate::endpoint::Endpoint;
use crate::figures::{Figure, Sample};
use crate::harness::Site;
use crate::messages::{self, path};
use crate::process::{self, Server};
use crate::workload::KeyShape;
use std::time::Duration;
use tokio::task::JoinSet;

/// How long a server is left alone before its memory is read. Checkpoints of an idle member come every ten seconds.
const IDLE: Duration = Duration::from_secs(15);

/// Time to live of the leases, in seconds: longer than any run.
const TTL: i64 = 36_000;

/// Connections that leases and watchers share.
const CONNECTIONS: u64 = 10;

/// Leases that are granted at a time.
const CALLERS: u64 = 64;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Footprint {
    pub(crate) keys: KeyShape,
    pub(crate) value_bytes: usize,
    pub(crate) leases: u64,
    pub(crate) connections: u64,
    pub(crate) watchers: u64,
}

impl Footprint {
    pub(crate) fn run(&self, server: &Server, site: &Site) -> anyhow::Result<Sample> {
        let mut readings = Readings { server, last: 0, sample: Sample::default() };
        readings.begin()?;
        readings.sample.push(Figure::bytes("memory of an empty server", readings.last));
        let address = &site.addresses[0];
        process::block_on(async {
            let _connections = open(address, self.connections).await?;
            readings.per("idle connection", self.connections)
        })??;
        readings.begin()?;
        let keys = self.keys.space;
        super::load(site, keys, self.keys, self.value_bytes)?;
        readings.per(&format!("key of {} B with {} B", self.keys.bytes, self.value_bytes), keys)?;
        super::load(site, keys, self.keys, self.value_bytes)?;
        readings.per("further revision of them", keys)?;
        process::block_on(grant(address, self.leases))??;
        readings.per("lease", self.leases)?;
        process::block_on(async {
            let _watchers = self.watch(address).await?;
            readings.per("watcher of one key on a stream of its own", self.watchers)
        })??;
        Ok(readings.sample)
    }

    /// Opens the watchers, of one key each.
    async fn watch(&self, address: &Endpoint) -> anyhow::Result<(Vec<Connection>, Vec<Stream>)> {
        let connections = open(address, CONNECTIONS).await?;
        let mut streams = Vec::new();
        for (number, connection) in (0..self.watchers).zip(connections.iter().cycle()) {
            let create = messages::watch_create(&self.keys.key(number % self.keys.space), b"", 0);
            let mut stream = connection.client(path::WATCH).stream(create).await?;
            stream.next().await?;
            streams.push(stream);
        }
        Ok((connections, streams))
    }
}

async fn open(address: &Endpoint, number: u64) -> anyhow::Result<Vec<Connection>> {
    let mut connections = Vec::new();
    for _ in 0..number {
        connections.push(Connection::open(address).await?);
    }
    Ok(connections)
}

async fn grant(address: &Endpoint, number: u64) -> anyhow::Result<()> {
    let connection = Connection::open(address).await?;
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let mut client = connection.client(path::LEASE_GRANT);
        callers.spawn_local(async move {
            for _ in (caller..number).step_by(CALLERS as usize) {
                client.call(messages::lease_grant(TTL), Keep::Head).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = callers.join_next().await {
        done??;
    }
    Ok(())
}

/// Readings of one server.
struct Readings<'s> {
    server: &'s Server,
    last: u64,
    sample: Sample,
}

impl Readings<'_> {
    /// Begins anew, without what is gone.
    fn begin(&mut self) -> anyhow::Result<()> {
        std::thread::sleep(IDLE);
        self.last = self.server.usage()?.resident_bytes;
        Ok(())
    }

    /// Divides what has come since the last reading among so many.
    fn per(&mut self, what: &str, many: u64) -> anyhow::Result<()> {
        let before = self.last;
        self.begin()?;
        let each = self.last.saturating_sub(before) / many;
        self.sample.push(Figure::bytes(format!("memory for each {what}"), each));
        Ok(())
    }
}
