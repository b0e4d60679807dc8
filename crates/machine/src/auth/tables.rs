//! The side tables of users, roles and settings: `docs/format/side-tables.md`.
//!
//! ```text
//!  table       key          value
//!  6 users     name, UTF-8  authpb.User
//!  7 roles     name, UTF-8  authpb.Role
//!  8 settings  "enabled"    01; absent: authentication is off
//!              "revision"   auth revision (u64 BE); absent: 1, nothing was ever changed
//! ```

use bytes::Bytes;
use mvcc::{Store, TableId};
use prost::Message;
use proto::authpb;

use super::state::{AuthState, FRESH_REVISION, User};
use crate::Malformed;
use crate::tables::{FORMAT, decode_i64, malformed};

/// Users by name.
pub(crate) const USERS: TableId = TableId(6);
/// Roles by name.
pub(crate) const ROLES: TableId = TableId(7);
/// Settings by name.
pub(crate) const SETTINGS: TableId = TableId(8);

pub(crate) const ENABLED: &[u8] = b"enabled";
pub(crate) const REVISION: &[u8] = b"revision";

/// Reads everything that the store has about users and roles.
pub(crate) fn read(store: &Store) -> Result<AuthState, Malformed> {
    let enabled = match store.side_get(SETTINGS, ENABLED) {
        None => false,
        Some(value) if value[..] == [FORMAT] => true,
        Some(_) => return Err(malformed(SETTINGS, ENABLED, "format unknown")),
    };
    let revision = match store.side_get(SETTINGS, REVISION) {
        None => FRESH_REVISION,
        Some(value) => decode_i64(SETTINGS, REVISION, value)?.cast_unsigned(),
    };
    let users: Result<Vec<_>, _> = store.side_scan(USERS).map(decode_user).collect();
    let roles: Result<Vec<_>, _> = store.side_scan(ROLES).map(decode_role).collect();
    Ok(AuthState::new(enabled, revision, users?, roles?))
}

pub(crate) fn put_enabled(store: &mut Store) {
    store.side_put(SETTINGS, ENABLED, vec![FORMAT]);
}

pub(crate) fn delete_enabled(store: &mut Store) {
    store.side_delete(SETTINGS, ENABLED);
}

pub(crate) fn put_revision(store: &mut Store, revision: u64) {
    store.side_put(SETTINGS, REVISION, revision.to_be_bytes().to_vec());
}

pub(crate) fn put_user(store: &mut Store, name: &str, user: &User) {
    store.side_put(USERS, name.as_bytes(), encode_user(name, user));
}

pub(crate) fn delete_user(store: &mut Store, name: &str) {
    store.side_delete(USERS, name.as_bytes());
}

pub(crate) fn put_role(store: &mut Store, name: &str, permissions: &[authpb::Permission]) {
    store.side_put(ROLES, name.as_bytes(), encode_role(name, permissions));
}

pub(crate) fn delete_role(store: &mut Store, name: &str) {
    store.side_delete(ROLES, name.as_bytes());
}

pub(crate) fn encode_user(name: &str, user: &User) -> Vec<u8> {
    let record = authpb::User {
        name: Bytes::copy_from_slice(name.as_bytes()),
        password: user.password_hash.clone(),
        roles: user.roles.clone(),
        options: Some(authpb::UserAddOptions { no_password: user.no_password }),
    };
    record.encode_to_vec()
}

pub(crate) fn decode_user((key, value): (&[u8], &Bytes)) -> Result<(String, User), Malformed> {
    // A copy: a slice of the row would keep all of it in memory.
    let record = authpb::User::decode(&value[..]).map_err(|_| malformed(USERS, key, "not a User"))?;
    let name = decode_name(USERS, key, &record.name)?;
    if !record.roles.is_sorted() {
        return Err(malformed(USERS, key, "roles are not sorted"));
    }
    let no_password = record.options.is_some_and(|options| options.no_password);
    Ok((name, User { password_hash: record.password, no_password, roles: record.roles }))
}

fn encode_role(name: &str, permissions: &[authpb::Permission]) -> Vec<u8> {
    let name = Bytes::copy_from_slice(name.as_bytes());
    authpb::Role { name, key_permission: permissions.to_vec() }.encode_to_vec()
}

pub(crate) fn decode_role(
    (key, value): (&[u8], &Bytes),
) -> Result<(String, Vec<authpb::Permission>), Malformed> {
    let record = authpb::Role::decode(&value[..]).map_err(|_| malformed(ROLES, key, "not a Role"))?;
    let name = decode_name(ROLES, key, &record.name)?;
    if !record.key_permission.is_sorted_by_key(|permission| permission.key.clone()) {
        return Err(malformed(ROLES, key, "permissions are not sorted"));
    }
    Ok((name, record.key_permission))
}

fn decode_name(table: TableId, key: &[u8], name: &[u8]) -> Result<String, Malformed> {
    if name != key {
        return Err(malformed(table, key, "is another name's record"));
    }
    String::from_utf8(name.to_vec()).map_err(|_| malformed(table, key, "not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_user_are_as_documented() {
        let user =
            User { password_hash: "$2a".into(), no_password: false, roles: vec!["r".into(), "s".into()] };
        let record = b"\x0a\x02bo\x12\x03$2a\x1a\x01r\x1a\x01s\x22\x00";
        assert_eq!(encode_user("bo", &user), record);
        assert_eq!(decode_user((b"bo", &Bytes::from_static(record))), Ok(("bo".to_owned(), user)));
        let user = User { password_hash: Bytes::new(), no_password: true, roles: Vec::new() };
        assert_eq!(encode_user("b", &user), b"\x0a\x01b\x22\x02\x08\x01");
    }

    #[test]
    fn the_bytes_of_a_role_are_as_documented() {
        let permissions = [
            authpb::Permission { perm_type: 0, key: "k".into(), range_end: "".into() },
            authpb::Permission { perm_type: 2, key: "k".into(), range_end: "\0".into() },
        ];
        let record = b"\x0a\x01r\x12\x03\x12\x01k\x12\x08\x08\x02\x12\x01k\x1a\x01\x00";
        assert_eq!(encode_role("r", &permissions), record);
        assert_eq!(
            decode_role((b"r", &Bytes::from_static(record))),
            Ok(("r".to_owned(), permissions.to_vec()))
        );
    }
}
