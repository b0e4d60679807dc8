//! The servers of one side: who runs, who leads, and what the script does to them.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use testkit::{Cluster, Program, Server, wait};

use crate::secured::{self, Certificates, NOBODY};

/// Members that join later; their addresses are known from the start.
const JOINERS: usize = 2;

/// The members, by index; those behind the founders run when they were started.
pub(crate) struct Stage<'a> {
    cluster: Cluster,
    runs: Vec<bool>,
    /// The members' addresses for clients, by index.
    addresses: Vec<String>,
    /// With TLS: how members and clients know each other.
    certificates: Option<&'a Certificates>,
    etcdctl: &'a Path,
}

/// What a member says of itself.
struct Status {
    id: u64,
    leader: u64,
    index: u64,
    applied: u64,
}

impl<'a> Stage<'a> {
    /// Founds a cluster of so many members.
    pub(crate) fn start(program: &Program, founders: usize, etcdctl: &'a Path) -> Self {
        let mut cluster = Cluster::start(program, founders, &[]);
        if founders > 1 {
            for index in founders..founders + JOINERS {
                let flags = ["--initial-cluster-state=existing"];
                cluster.push(Server::prepare(program, &format!("m{index}"), &flags));
            }
        }
        let runs = (0..cluster.members().len()).map(|index| index < founders).collect();
        let addresses = cluster.members().iter().map(Server::client_address).collect();
        Self { cluster, runs, addresses, certificates: None, etcdctl }
    }

    /// Founds a cluster of members that demand certificates of their clients and of each other.
    pub(crate) fn start_secured(
        program: &Program,
        founders: usize,
        certificates: &'a Certificates,
        etcdctl: &'a Path,
    ) -> Self {
        let prepared = secured::prepare(program, founders, certificates);
        let (servers, addresses): (Vec<_>, Vec<_>) =
            prepared.into_iter().map(|member| (member.server, member.address)).unzip();
        // What `found` says of the cluster counts for less than what the members were given.
        let cluster = Cluster::found(servers);
        Self { cluster, runs: vec![true; founders], addresses, certificates: Some(certificates), etcdctl }
    }

    /// All members, those included that do not run.
    pub(crate) fn members(&self) -> &[Server] {
        self.cluster.members()
    }

    /// The addresses for clients of all members, by index.
    pub(crate) fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// etcdctl's flags for calling members on somebody's behalf.
    pub(crate) fn connection(&self, names: &[String], who: Option<&str>) -> Vec<String> {
        let indexes: Vec<usize> = match names {
            [] => vec![0],
            [all] if all == "all" => self.running().collect(),
            names => names.iter().map(|name| self.index(name)).collect(),
        };
        self.flags(&indexes, who)
    }

    fn flags(&self, indexes: &[usize], who: Option<&str>) -> Vec<String> {
        let scheme = if self.certificates.is_some() { "https://" } else { "" };
        let endpoint = |index: &usize| format!("{scheme}{}", self.addresses[*index]);
        let endpoints = indexes.iter().map(endpoint).collect::<Vec<_>>().join(",");
        let mut flags = vec![format!("--endpoints={endpoints}")];
        if let Some(certificates) = self.certificates {
            flags.extend(certificates.credentials(who.unwrap_or(NOBODY)));
        }
        flags
    }

    /// Does what the script says.
    ///
    /// # Panics
    /// On an action that it does not know, and when what it waits for does not come.
    pub(crate) fn act(&mut self, action: &str) {
        match action.split_once(' ').unwrap_or((action, "")) {
            ("kill", name) => {
                let index = self.index(name);
                self.cluster.member_mut(index).kill();
                self.runs[index] = false;
            }
            ("restart", name) => self.restart(self.index(name)),
            ("start", name) => self.join(self.index(name)),
            ("ended", name) => {
                let index = self.index(name);
                self.cluster.member_mut(index).wait();
                self.runs[index] = false;
            }
            ("lead", name) => self.lead(self.index(name)),
            ("leaderless", name) => {
                let index = self.index(name);
                self.await_that("no leader", || self.status(index).is_some_and(|status| status.leader == 0));
            }
            ("synced", "") => self.await_synced(),
            _ => panic!("unknown action: {action}"),
        }
    }

    fn index(&self, name: &str) -> usize {
        let found = self.members().iter().position(|member| member.name() == name);
        found.unwrap_or_else(|| panic!("no member {name:?}"))
    }

    fn running(&self) -> impl Iterator<Item = usize> {
        (0..self.runs.len()).filter(|index| self.runs[*index])
    }

    /// Starts it again, without waiting for it to serve: that may need others.
    fn restart(&mut self, index: usize) {
        self.cluster.member_mut(index).spawn().expect("the program is there");
        self.runs[index] = true;
    }

    fn join(&mut self, index: usize) {
        let known = self.running().chain([index]).map(|index| self.members()[index].peer_entry());
        let entries = known.collect::<Vec<_>>().join(",");
        self.cluster.member_mut(index).set_cluster(&entries);
        self.restart(index);
    }

    /// Moves leadership there, until all who run know.
    fn lead(&self, index: usize) {
        self.await_that("the one leader that is wanted", || {
            let statuses: Option<Vec<Status>> = self.running().map(|index| self.status(index)).collect();
            let (Some(statuses), Some(wanted)) = (statuses, self.status(index)) else { return false };
            let leader = statuses[0].leader;
            if statuses.iter().any(|status| status.leader != leader) {
                return false;
            }
            if leader != wanted.id
                && let Some(place) = statuses.iter().position(|status| status.id == leader)
            {
                let at = self.running().nth(place).expect("as many as statuses");
                self.etcdctl(at, &["move-leader", &format!("{:x}", wanted.id)]);
            }
            leader == wanted.id
        });
    }

    /// Waits until all who run have applied whatever any of them has now.
    fn await_synced(&self) {
        let mut wanted = None;
        self.await_that("everybody to have everything", || {
            let statuses: Option<Vec<Status>> = self.running().map(|index| self.status(index)).collect();
            let Some(statuses) = statuses else { return false };
            let wanted = *wanted.get_or_insert(statuses.iter().map(|status| status.index).max());
            statuses.iter().all(|status| Some(status.applied) >= wanted && status.leader != 0)
        });
    }

    fn await_that(&self, what: &str, condition: impl FnMut() -> bool) {
        let mut condition = condition;
        if wait::within(2 * wait::DEADLINE, || condition().then_some(())).is_none() {
            let logs = self.running().map(|index| self.members()[index].log_tail());
            panic!("gave up waiting for {what}; logs:\n{}", logs.collect::<Vec<_>>().join("\n\n"));
        }
    }

    fn status(&self, index: usize) -> Option<Status> {
        let output = self.etcdctl(index, &["endpoint", "status", "-w", "json"])?;
        let parsed: Value = serde_json::from_slice(&output).ok()?;
        let status = parsed.get(0)?.get("Status")?;
        // What is zero is left out.
        let number = |key: &str| status.get(key).and_then(Value::as_u64).unwrap_or(0);
        Some(Status {
            id: status.get("header")?.get("member_id")?.as_u64()?,
            leader: number("leader"),
            index: number("raftIndex"),
            applied: number("raftAppliedIndex"),
        })
    }

    /// The output of a call that is none of the script's.
    fn etcdctl(&self, index: usize, arguments: &[&str]) -> Option<Vec<u8>> {
        let output = Command::new(self.etcdctl)
            .args(self.flags(&[index], Some("root")))
            .args(arguments)
            .env_clear()
            .output()
            .expect("etcdctl starts");
        output.status.success().then_some(output.stdout)
    }
}
