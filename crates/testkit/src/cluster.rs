//! A cluster of server processes on loopback.

use crate::{Program, Server};

/// Members that were founded together, by index. Dropping it kills them all.
#[derive(Debug)]
pub struct Cluster {
    members: Vec<Server>,
}

impl Cluster {
    /// Founds a cluster of `size` members named `m0`, `m1`…, each with etcd's flags for a static founding plus `extra`,
    /// and waits until all serve.
    ///
    /// # Panics
    /// When one does not come up; the message ends with the tail of its log.
    pub fn start(program: &Program, size: usize, extra: &[&str]) -> Cluster {
        let prepare = |index| Server::prepare(program, &format!("m{index}"), extra);
        Cluster::found((0..size).map(prepare).collect())
    }

    /// Founds a cluster of members that were prepared, and waits until all serve.
    ///
    /// # Panics
    /// As [`Cluster::start`].
    pub fn found(mut members: Vec<Server>) -> Cluster {
        let entries: Vec<String> = members.iter().map(Server::peer_entry).collect();
        for member in &mut members {
            member.set_cluster(&entries.join(","));
            member.spawn().unwrap_or_else(|why| panic!("{why}"));
        }
        for member in &mut members {
            member.await_serving().unwrap_or_else(|why| panic!("{why}"));
        }
        Cluster { members }
    }

    /// A cluster of members that were founded by the caller.
    pub fn of(members: Vec<Server>) -> Cluster {
        Cluster { members }
    }

    /// One member.
    pub fn member(&self, index: usize) -> &Server {
        &self.members[index]
    }

    /// One member, to stop or start it.
    pub fn member_mut(&mut self, index: usize) -> &mut Server {
        &mut self.members[index]
    }

    /// All members.
    pub fn members(&self) -> &[Server] {
        &self.members
    }

    /// Adds a member that was prepared elsewhere, and returns its index.
    pub fn push(&mut self, member: Server) -> usize {
        self.members.push(member);
        self.members.len() - 1
    }
}
