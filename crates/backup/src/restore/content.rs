//! What a backup file says, for somebody who does not make a member of it: its versions in the order of their revisions,
//! leases, users and roles. Read with the same eyes as for a restore.

use std::fs::File;

use bytes::Bytes;
use dbfile::Db;
use dbfile::etcd::{AuthSettings, bucket};
use mvcc::{Extent, Item, Revision};
use proto::leasepb;

use super::keys::{self, check_order, for_each_version};
use super::small::{Small, for_each_row};
use super::{RestoreError, check_digest};

/// A backup file that has passed its digest.
pub struct Content {
    db: Db<File>,
    small: Small,
    extent: Extent,
}

/// A version of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The change that made it.
    pub revision: Revision,
    /// The key.
    pub key: Bytes,
    /// What it is since; `None`: it was deleted.
    pub item: Option<Item>,
}

/// Users and roles.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Users {
    /// Whether requests need a login.
    pub is_enabled: bool,
    /// The auth revision; 0: nobody was ever added.
    pub revision: u64,
    /// Users, each an encoded `authpb.User`.
    pub users: Vec<Bytes>,
    /// Roles, each an encoded `authpb.Role`.
    pub roles: Vec<Bytes>,
}

impl Content {
    /// Takes a file. Reads all of it once.
    ///
    /// # Errors
    /// See [`RestoreError`].
    pub fn open(file: File) -> Result<Self, RestoreError> {
        check_digest(&file)?;
        let db = Db::open(file)?;
        let small = Small::read(&db)?;
        let extent = keys::extent(&db, &small.meta, 0)?;
        Ok(Self { db, small, extent })
    }

    /// Its newest revision, and up to where it is compacted.
    #[must_use]
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// Its leases, by id. A remaining time of 0 is all of it.
    #[must_use]
    pub fn leases(&self) -> &[leasepb::Lease] {
        &self.small.leases
    }

    /// Its users and roles.
    ///
    /// # Errors
    /// See [`RestoreError`].
    pub fn users(&self) -> Result<Users, RestoreError> {
        let AuthSettings { enabled, revision } = AuthSettings::read(&self.db)?;
        let mut users = Users {
            is_enabled: enabled.unwrap_or(false),
            revision: revision.unwrap_or(u64::from(enabled.is_some())),
            ..Users::default()
        };
        for (name, rows) in [(bucket::AUTH_USERS, &mut users.users), (bucket::AUTH_ROLES, &mut users.roles)] {
            for_each_row(&self.db, name, |row| {
                rows.push(Bytes::copy_from_slice(row.value));
                Ok(())
            })?;
        }
        Ok(users)
    }

    /// Goes through all versions, in the order of their revisions. Those before the compaction may be ones that no key has any
    /// more. What was restored with a raised revision has none of it.
    ///
    /// # Errors
    /// Those of `take`, and see [`RestoreError`].
    pub fn for_each_version<E: From<RestoreError>>(
        &self,
        mut take: impl FnMut(Version) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut last = Revision::default();
        let mut ended = None;
        let through = for_each_version(&self.db, 0, |version| {
            check_order(last, version, self.extent.compact_revision)?;
            last = version.revision;
            if version.is_raise() {
                return Ok(());
            }
            let (key, item) = version.change()?;
            ended = take(Version { revision: version.revision, key, item }).err();
            match ended {
                None => Ok(()),
                // Whatever ends it: what is returned is the error of `take`.
                Some(_) => Err(version.refused("nobody takes it")),
            }
        });
        match ended {
            Some(error) => Err(error),
            None => Ok(through?),
        }
    }
}
