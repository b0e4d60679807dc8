//! What a member does by itself, beside serving requests. The tasks run on the first network worker and do what they
//! do by proposing commands, like any client; backups have a thread of their own, for they wait for disks and stores.

pub(crate) mod answers;
pub(crate) mod auto_compaction;
pub(crate) mod backups;
pub(crate) mod cluster_version;
pub(crate) mod expiry;
pub(crate) mod publish;
pub(crate) mod quota;
