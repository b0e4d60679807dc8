//! Clusters of real nodes on a network and disks that the tests control.

mod explore;
mod hostile;
mod network;
mod scripts;
