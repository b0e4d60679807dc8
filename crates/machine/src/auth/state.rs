//! Users, roles, and whether anybody looks at them: the state, and what is derived from it.

use std::fmt;
use std::sync::OnceLock;

use bytes::Bytes;
use proto::authpb::Permission;
use proto::authpb::permission::Type;

use super::ROOT;
use super::directory::Directory;
use super::intervals::Intervals;
use super::span::Span;

/// The auth revision of a cluster in which no user was ever added.
pub(crate) const FRESH_REVISION: u64 = 1;

/// Users, roles and settings as they are after some command. Immutable where it is shared: readers
/// hold an `Arc<AuthState>` ([`Machine::auth`](crate::Machine::auth)), and the next command makes
/// another one that shares most of it.
///
/// Invariant: the permissions that an entry remembers are those that follow from the roles in the
/// same state.
#[derive(Debug, Clone)]
pub struct AuthState {
    enabled: bool,
    revision: u64,
    users: Directory<UserEntry>,
    roles: Directory<RoleEntry>,
}

/// A user.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// bcrypt's text for the password; empty if nobody can log in with one.
    pub password_hash: Bytes,
    /// Added without a password: identified by certificate only.
    pub no_password: bool,
    /// Names of the roles, sorted.
    pub roles: Vec<String>,
}

impl fmt::Debug for User {
    /// Without the hash (rule S6).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { password_hash: _, no_password, roles } = self;
        f.debug_struct("User").field("no_password", no_password).field("roles", roles).finish_non_exhaustive()
    }
}

impl User {
    /// Returns whether the user holds the role.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.binary_search_by(|held| held[..].cmp(role)).is_ok()
    }

    /// Returns whether nothing is forbidden to the user.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.has_role(ROOT)
    }
}

/// A user, and what the user's roles permit together, once somebody has asked.
#[derive(Debug, Clone)]
struct UserEntry {
    user: User,
    permitted: OnceLock<Permitted>,
}

impl UserEntry {
    fn new(user: User) -> Self {
        Self { user, permitted: OnceLock::new() }
    }
}

#[derive(Debug)]
struct RoleEntry {
    permissions: Vec<Permission>,
}

/// What a user may read and write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Permitted {
    pub(crate) read: Intervals,
    pub(crate) write: Intervals,
}

/// What a user may do with keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rights<'a> {
    /// The user holds the role `root`.
    Everything,
    /// What the user's roles permit together.
    Ranges(&'a Permitted),
}

impl Permitted {
    /// Unites permissions. A type that this version does not know permits nothing.
    fn by<'a>(permissions: impl Iterator<Item = &'a Permission> + Clone) -> Self {
        let of_type = |wanted: Type| {
            let is_wanted = move |permission: &&Permission| {
                permission.perm_type == Type::Readwrite as i32 || permission.perm_type == wanted as i32
            };
            let span = |permission: &'a Permission| Span::of(&permission.key, &permission.range_end);
            permissions.clone().filter(is_wanted).map(span).collect()
        };
        Self { read: of_type(Type::Read), write: of_type(Type::Write) }
    }
}

/// What anybody may ask of it.
impl AuthState {
    /// Whether permissions are checked at all.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Which change of users, roles and permissions this is. Enabling is not one.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// A user.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.get(name).map(|entry| &entry.user)
    }

    /// All users by name.
    pub fn users(&self) -> impl Iterator<Item = (&str, &User)> {
        self.users.iter().map(|(name, entry)| (name, &entry.user))
    }

    /// The permissions of a role, by key.
    #[must_use]
    pub fn role(&self, name: &str) -> Option<&[Permission]> {
        self.roles.get(name).map(|entry| &entry.permissions[..])
    }

    /// All roles by name, and their permissions.
    pub fn roles(&self) -> impl Iterator<Item = (&str, &[Permission])> {
        self.roles.iter().map(|(name, entry)| (name, &entry.permissions[..]))
    }

    /// What a user may do with keys; `None` if there is no such user. A role that does not exist
    /// permits nothing.
    pub(crate) fn rights(&self, name: &str) -> Option<Rights<'_>> {
        let entry = self.users.get(name)?;
        if entry.user.is_root() {
            return Some(Rights::Everything);
        }
        Some(Rights::Ranges(entry.permitted.get_or_init(|| self.unite(&entry.user))))
    }

    fn unite(&self, user: &User) -> Permitted {
        let roles = user.roles.iter().filter_map(|role| self.roles.get(role));
        Permitted::by(roles.flat_map(|entry| &entry.permissions))
    }

    /// Checks that what is remembered is what follows from the rest.
    ///
    /// # Panics
    /// If it is not: a bug.
    pub fn check_invariants(&self) {
        for (name, entry) in self.users.iter() {
            assert!(entry.user.roles.is_sorted(), "roles of user {name:?} are not sorted");
            if let Some(remembered) = entry.permitted.get() {
                assert_eq!(remembered, &self.unite(&entry.user), "permissions of user {name:?} are stale");
            }
        }
        for (name, entry) in self.roles.iter() {
            assert!(entry.permissions.is_sorted_by_key(|permission| &permission.key), "role {name:?}");
        }
    }
}

/// How commands change it. Each of these keeps the invariant; none of them writes to the store.
impl AuthState {
    pub(crate) fn new(
        enabled: bool,
        revision: u64,
        users: impl IntoIterator<Item = (String, User)>,
        roles: impl IntoIterator<Item = (String, Vec<Permission>)>,
    ) -> Self {
        let mut state = Self { enabled, revision, users: Directory::default(), roles: Directory::default() };
        for (name, permissions) in roles {
            state.roles.insert(&name, RoleEntry { permissions });
        }
        for (name, user) in users {
            state.put_user(&name, user);
        }
        state
    }

    pub(crate) fn set_enabled(&mut self) {
        self.enabled = true;
    }

    pub(crate) fn set_disabled(&mut self) {
        self.enabled = false;
    }

    /// Counts a change. Returns the new revision.
    pub(crate) fn bump(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }

    pub(crate) fn put_user(&mut self, name: &str, user: User) {
        self.users.insert(name, UserEntry::new(user));
    }

    pub(crate) fn remove_user(&mut self, name: &str) {
        self.users.remove(name);
    }

    /// Adds a role or replaces its permissions. What its holders may do is united again when
    /// somebody asks.
    pub(crate) fn put_role(&mut self, name: &str, permissions: Vec<Permission>) {
        self.roles.insert(name, RoleEntry { permissions });
        self.users
            .replace_where(|entry| entry.user.has_role(name).then(|| UserEntry::new(entry.user.clone())));
    }

    /// Removes a role, also from those who hold it. Returns those.
    pub(crate) fn remove_role(&mut self, name: &str) -> Vec<String> {
        self.roles.remove(name);
        let holders = self.users.iter().filter(|(_, entry)| entry.user.has_role(name));
        let holders: Vec<String> = holders.map(|(holder, _)| holder.to_owned()).collect();
        self.users.replace_where(|entry| {
            entry.user.has_role(name).then(|| {
                let mut user = entry.user.clone();
                user.roles.retain(|held| held != name);
                UserEntry::new(user)
            })
        });
        holders
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permission(kind: Type, key: &'static str, range_end: &'static str) -> Permission {
        Permission { perm_type: kind as i32, key: key.into(), range_end: range_end.into() }
    }

    fn user(roles: &[&str]) -> User {
        User {
            password_hash: Bytes::from_static(b"$2a$secret"),
            no_password: false,
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        }
    }

    fn state() -> AuthState {
        let roles = [
            ("read".to_owned(), vec![permission(Type::Read, "a", "c")]),
            ("write".to_owned(), vec![permission(Type::Write, "b", "d")]),
        ];
        let users = [("both".to_owned(), user(&["gone", "read", "write"])), ("none".to_owned(), user(&[]))];
        AuthState::new(true, 7, users, roles)
    }

    fn may_write(state: &AuthState, name: &str, key: &str) -> bool {
        match state.rights(name).unwrap() {
            Rights::Everything => true,
            Rights::Ranges(permitted) => permitted.write.contain(Span::single(key.as_bytes())),
        }
    }

    #[test]
    fn what_is_remembered_follows_every_change_and_older_copies_do_not() {
        let mut state = state();
        assert!(
            may_write(&state, "both", "c")
                && !may_write(&state, "both", "a")
                && !may_write(&state, "none", "c")
        );
        let before = state.clone();
        state.put_role("read", vec![permission(Type::Readwrite, "a", "c"), permission(Type::Write, "z", "")]);
        state.check_invariants();
        assert!(may_write(&state, "both", "a") && may_write(&state, "both", "z"));
        assert!(!may_write(&before, "both", "a"));
        assert_eq!(state.remove_role("write"), ["both"]);
        state.check_invariants();
        assert!(!may_write(&state, "both", "c") && may_write(&state, "both", "b"));
        assert_eq!(state.user("both").unwrap().roles, ["gone", "read"]);
        state.put_user("both", user(&[]));
        assert!(!may_write(&state, "both", "b"));
        state.remove_user("both");
        assert_eq!(state.rights("both"), None);
        state.put_user("both", user(&["root"]));
        assert_eq!(state.rights("both"), Some(Rights::Everything));
        before.check_invariants();
    }

    #[test]
    #[should_panic(expected = "stale")]
    fn a_stale_permission_is_found() {
        let mut state = state();
        state.rights("both");
        state.roles.insert("read", RoleEntry { permissions: Vec::new() });
        state.check_invariants();
    }

    #[test]
    fn a_type_of_another_version_permits_nothing() {
        let strange = Permission { perm_type: 3, ..permission(Type::Read, "a", "z") };
        assert_eq!(Permitted::by([&strange].into_iter()), Permitted::default());
    }

    #[test]
    fn the_hash_of_a_password_is_not_printed() {
        let text = format!("{:?}", state());
        assert!(text.contains("both") && !text.contains("secret"), "{text}");
    }
}
