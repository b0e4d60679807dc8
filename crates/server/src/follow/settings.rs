//! What the flags say of the source.

use std::path::PathBuf;

/// How to reach the cluster that is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowSettings {
    /// `--follow-endpoints`.
    pub endpoints: Vec<String>,
    /// `--follow-cacert`.
    pub ca: Option<PathBuf>,
    /// `--follow-cert` and `--follow-key`.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// `--follow-user` and `--follow-password-file`, which is read for each connection.
    pub user: Option<(String, PathBuf)>,
}
