//! Clusters of real nodes on a network and disks that the tests control.
//!
//! `scripts` plays the files of `tests/scripts`, which show one mechanism each. `explore` makes random histories. Both
//! check all invariants after every event. `hostile` sends what no correct node sends.
//!
//! Where the bugs of other implementations are shown not to be here:
//!
//! | what went wrong elsewhere | here |
//! |---|---|
//! | entries of old terms committed by counting (logcabin#44; Raft paper, figure 8) | script 05 |
//! | membership change before an entry of the own term is committed (raft-dev 2015) | script 16 |
//! | read before the leader committed in its term (etcd#7331) | script 07, `explore` |
//! | read confirmed by answers to an older question (raft#392, etcd#20418) | script 06 |
//! | read answered for a leader that is none any more (etcd#21375) | scripts 07, 17 |
//! | lease reads and transfers (raft#99, openraft#1748, …) | there are no lease reads |
//! | joint configuration never left (etcd#12359 and others) | script 18, `explore` |
//! | removal of a majority at once (raft#372) | script 08 |
//! | appends after truncation or compaction panic (raft#31, willemt/raft#118) | script 20, `hostile` |
//! | snapshot at the leader's last index leaves the follower in probe (etcd#10308) | script 19 |
//! | snapshot refused by a node outside of its own configuration (raft#110) | script 19 |
//! | commit index lost (raft#138); a full window of lost appends (etcd#14633) | scripts 20, 14 |
//! | storage acknowledges an entry that was replaced (append aba race) | `durability`'s tests, `explore` |
//! | late answers of a node that was removed and added again (raft-rejoin-bug) | script 12 |
//! | commit beyond the last index panics for ever (etcd#10166, #16220, #21178) | script 11, `hostile` |
//! | unbounded scan of entries at an election (raft#32) | configurations are kept along the log: no scan |
//! | stale snapshot (raft#157) | script 19 |

mod calls;
mod explore;
mod hostile;
mod network;
mod scripts;
