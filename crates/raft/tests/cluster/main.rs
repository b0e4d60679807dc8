//! Clusters of real nodes on a network and disks that the tests control.
//!
//! `scripts` plays the files of `tests/scripts`, which show one mechanism each. `explore` makes random histories. Both
//! check all invariants after every event. `hostile` sends what no correct node sends.
//! `contradictions` is about a leader whose log contradicts what is committed, `reports` about what comes back late.
//! `paper` holds one node against the sentences of the Raft paper; `calls` says what single calls promise. Which behaviours and
//! which bugs of other implementations are covered, and by what: `tests/README.md`.

mod calls;
mod contradictions;
mod explore;
mod hostile;
mod network;
mod paper;
mod reports;
mod scripts;
mod search;
