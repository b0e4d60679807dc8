//! The answers of `auth`, `user` and `role` that have something to list.

use proto::authpb::{Permission, permission};
use proto::etcdserverpb::{
    AuthRoleGetResponse, AuthRoleListResponse, AuthStatusResponse, AuthUserGetResponse, AuthUserListResponse,
};

use super::json::{Members, Object};
use super::{Answer, Page, Unsupported};
use crate::ctl::range::prefix_end;
use crate::go::quote::quote;

/// The end of a range that has none.
const OPEN_END: &[u8] = b"\0";

/// The role that may do everything, whatever permissions it has.
const ROOT: &str = "root";

/// The permissions of a role.
#[derive(Clone, Debug)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// What the server says of it.
    pub answer: AuthRoleGetResponse,
}

/// The roles of a user.
#[derive(Clone, Debug)]
pub struct User {
    /// Its name.
    pub name: String,
    /// What the server says of it.
    pub answer: AuthUserGetResponse,
}

/// One of the two lists of what a role may do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Read,
    Write,
}

impl Direction {
    fn covers(self, permission: &Permission) -> bool {
        match permission.perm_type() {
            permission::Type::Read => self == Direction::Read,
            permission::Type::Write => self == Direction::Write,
            permission::Type::Readwrite => true,
        }
    }
}

impl Answer for Role {
    fn simple(&self, page: &mut Page) {
        page.line(format_args!("Role {}", self.name));
        for (title, direction) in [("KV Read:", Direction::Read), ("KV Write:", Direction::Write)] {
            page.line(title);
            if self.name == ROOT && self.answer.perm.is_empty() {
                page.line("\t[, <open ended>");
            }
            for permission in self.answer.perm.iter().filter(|permission| direction.covers(permission)) {
                range(page, permission);
            }
        }
    }

    fn fields(&self, page: &mut Page) -> Result<(), Unsupported> {
        page.header(self.answer.header.as_ref());
        for permission in &self.answer.perm {
            // Two spaces: scripts know it so.
            page.field("PermType", format_args!(" {}", type_name(permission)));
            page.quoted("Key", &permission.key);
            page.quoted("RangeEnd", &permission.range_end);
        }
        Ok(())
    }

    as_message!(self.answer);
}

/// Prints the keys of a permission: one, or a range, with the prefix that the range is when it is one.
fn range(page: &mut Page, permission: &Permission) {
    let Permission { key, range_end, .. } = permission;
    page.bytes.push(b'\t');
    if range_end.is_empty() {
        page.plain(key);
    } else {
        page.bytes.push(b'[');
        page.plain(key);
        page.bytes.extend_from_slice(b", ");
        if range_end == OPEN_END {
            page.bytes.extend_from_slice(b"<open ended>");
        } else {
            page.plain(range_end);
            page.bytes.push(b')');
        }
        if !key.is_empty() && prefix_end(key) == *range_end {
            page.bytes.extend_from_slice(b" (prefix ");
            page.plain(key);
            page.bytes.push(b')');
        }
    }
    page.bytes.push(b'\n');
}

/// Returns the name of a kind of permission, or the number of one that is newer than this program.
fn type_name(permission: &Permission) -> String {
    let kind = permission.perm_type;
    permission::Type::try_from(kind).map_or_else(|_| kind.to_string(), |kind| kind.as_str_name().to_owned())
}

impl Members for Permission {
    fn members(&self, object: &mut Object<'_>) {
        object.field("permType", &self.perm_type);
        object.field("key", &self.key);
        object.field("range_end", &self.range_end);
    }
}

impl Members for AuthRoleGetResponse {
    fn members(&self, object: &mut Object<'_>) {
        object.field("header", &self.header);
        object.field("perm", &self.perm);
    }
}

impl Answer for AuthRoleListResponse {
    fn simple(&self, page: &mut Page) {
        self.roles.iter().for_each(|role| page.line(role));
    }

    fn fields(&self, page: &mut Page) -> Result<(), Unsupported> {
        page.header(self.header.as_ref());
        let roles: String = self.roles.iter().map(|role| format!(" {}", quote(role.as_bytes()))).collect();
        page.line(format_args!("\"Roles\" :{roles}"));
        Ok(())
    }

    as_message!(self);
}

impl Members for AuthRoleListResponse {
    fn members(&self, object: &mut Object<'_>) {
        object.field("header", &self.header);
        object.field("roles", &self.roles);
    }
}

impl Answer for User {
    fn simple(&self, page: &mut Page) {
        page.line(format_args!("User: {}", self.name));
        let roles: String = self.answer.roles.iter().map(|role| format!(" {role}")).collect();
        page.line(format_args!("Roles:{roles}"));
    }

    as_message!(self.answer);
}

impl Members for AuthUserGetResponse {
    fn members(&self, object: &mut Object<'_>) {
        object.field("header", &self.header);
        object.field("roles", &self.roles);
    }
}

impl Answer for AuthUserListResponse {
    fn simple(&self, page: &mut Page) {
        self.users.iter().for_each(|user| page.line(user));
    }

    as_message!(self);
}

impl Members for AuthUserListResponse {
    fn members(&self, object: &mut Object<'_>) {
        object.field("header", &self.header);
        object.field("users", &self.users);
    }
}

impl Answer for AuthStatusResponse {
    fn simple(&self, page: &mut Page) {
        page.line(format_args!("Authentication Status: {}", self.enabled));
        page.line(format_args!("AuthRevision: {}", self.auth_revision));
    }

    as_message!(self);
}

impl Members for AuthStatusResponse {
    fn members(&self, object: &mut Object<'_>) {
        object.field("header", &self.header);
        object.field("enabled", &self.enabled);
        object.field("authRevision", &self.auth_revision);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::testing::{header, printed, refused};
    use super::*;

    fn permission(kind: permission::Type, key: &'static [u8], range_end: &'static [u8]) -> Permission {
        let [key, range_end] = [key, range_end].map(Bytes::from_static);
        Permission { perm_type: kind.into(), key, range_end }
    }

    fn role(name: &str, perm: Vec<Permission>) -> Role {
        Role { name: name.to_owned(), answer: AuthRoleGetResponse { header: header(0), perm } }
    }

    #[test]
    fn permissions_are_keys_ranges_and_prefixes() {
        use permission::Type::{Read, Readwrite, Write};
        let role = role(
            "r",
            vec![
                permission(Read, b"k", b""),
                permission(Write, b"a", b"c"),
                permission(Readwrite, b"p/", b"p0"),
                permission(Readwrite, b"m", b"\0"),
                permission(Read, b"\xff", b"\0"),
                permission(Read, b"", b"\0"),
            ],
        );
        let simple = super::super::Printer::new("simple", false).unwrap().render(&role).unwrap();
        assert_eq!(
            simple
                .utf8_chunks()
                .map(|chunk| format!("{}{:?}", chunk.valid(), chunk.invalid()))
                .collect::<String>(),
            "Role r\nKV Read:\n\tk\n\t[p/, p0) (prefix p/)\n\t[m, <open ended>\n\t[[255], <open ended> (prefix [255])\n\
             \t[, <open ended>\nKV Write:\n\t[a, c)\n\t[p/, p0) (prefix p/)\n\t[m, <open ended>\n[]"
        );
        assert_eq!(
            printed("fields", &self::role("r", vec![permission(Readwrite, b"p/", b"p0")])),
            "\"ClusterID\" : 1\n\"MemberID\" : 2\n\"RaftTerm\" : 3\n\
             \"PermType\" :  READWRITE\n\"Key\" : \"p/\"\n\"RangeEnd\" : \"p0\"\n"
        );
        assert_eq!(
            printed("json", &self::role("r", vec![permission(Read, b"k", b"")])),
            "{\"header\":{\"cluster_id\":1,\"member_id\":2,\"raft_term\":3},\"perm\":[{\"key\":\"aw==\"}]}\n"
        );
    }

    #[test]
    fn the_root_role_needs_no_permissions() {
        assert_eq!(
            printed("simple", &role("root", Vec::new())),
            "Role root\nKV Read:\n\t[, <open ended>\nKV Write:\n\t[, <open ended>\n"
        );
        assert_eq!(printed("simple", &role("r", Vec::new())), "Role r\nKV Read:\nKV Write:\n");
    }

    #[test]
    fn names_are_listed() {
        let names = || vec!["a".to_owned(), "b".to_owned()];
        let roles = AuthRoleListResponse { header: header(0), roles: names() };
        assert_eq!(printed("simple", &roles), "a\nb\n");
        assert!(printed("fields", &roles).ends_with("\"Roles\" : \"a\" \"b\"\n"));
        let users = AuthUserListResponse { header: header(0), users: names() };
        assert_eq!(printed("simple", &users), "a\nb\n");
        assert_eq!(refused("fields", &users), "fields not supported as output format");
        let user =
            User { name: "u".to_owned(), answer: AuthUserGetResponse { header: header(0), roles: names() } };
        assert_eq!(printed("simple", &user), "User: u\nRoles: a b\n");
        assert_eq!(refused("fields", &user), "fields not supported as output format");
        let status = AuthStatusResponse { header: header(0), enabled: true, auth_revision: 5 };
        assert_eq!(printed("simple", &status), "Authentication Status: true\nAuthRevision: 5\n");
        assert_eq!(refused("fields", &status), "fields not supported as output format");
    }
}
