//! Clusters of real nodes on a network and disks that the tests control.

mod explore;
mod network;
mod scripts;
