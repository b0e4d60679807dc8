//! What clients may call users, roles and keys; and who manages them at the same time.

use proto::authpb::Permission;
use proto::authpb::permission::Type;
use proto::etcdserverpb as pb;
use testkit::Server;
use tonic::{Code, Status};

use crate::program;
use crate::world::{CHEAP, Client};

const INVALID: (Code, &str) = (Code::InvalidArgument, "etcdserver: invalid auth management");

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(result: Result<T, Status>, (code, text): (Code, &str)) {
    let status = result.expect_err("it is refused");
    assert_eq!((status.code(), status.message()), (code, text));
}

/// Names as nobody should choose them.
fn strange_names() -> [String; 5] {
    [
        "a\nb\r\n{\"level\":\"info\"}".to_owned(),
        "\u{1}\u{7f}\u{9f}\0".to_owned(),
        "\u{202e}toor\u{200b}".to_owned(),
        "../../etc/passwd \"'`$(x)%s%n".to_owned(),
        "x".repeat(32_768),
    ]
}

#[tokio::test]
async fn any_text_is_a_name_and_none_breaks_the_log() {
    let server = Server::start(&program(), &[CHEAP, "--log-level=debug"]);
    let nobody = Client::of(&server);
    let root = nobody.found().await;
    let mut added = Vec::new();
    for (number, name) in strange_names().into_iter().enumerate() {
        let refused = nobody.login_with(&name, "x").await;
        let text = "etcdserver: authentication failed, invalid user ID or password";
        assert_refused(refused, (Code::InvalidArgument, text));
        // A password of another length than its user's name, which may be longer than a password.
        let (password, request_name) = (format!("pw{number}"), name.clone());
        let user =
            pb::AuthUserAddRequest { name: request_name, password: password.clone(), ..Default::default() };
        let _: pb::AuthUserAddResponse = root.call("Auth/UserAdd", &user).await.expect("a user");
        let named = nobody.login_with(&name, &password).await.expect("the user logs in");
        assert_refused(named.put("k", "v").await, (Code::PermissionDenied, "etcdserver: permission denied"));
        let own: pb::AuthUserGetResponse =
            named.call("Auth/UserGet", &pb::AuthUserGetRequest { name: name.clone() }).await.expect("itself");
        assert!(own.roles.is_empty());
        added.push(name);
    }
    let list: pb::AuthUserListResponse =
        root.call("Auth/UserList", &pb::AuthUserListRequest {}).await.expect("the users");
    assert!(added.iter().all(|name| list.users.contains(name)));
    for line in server.log().lines().filter(|line| line.starts_with('{')) {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    assert!(!server.log().lines().any(|line| line.starts_with("{\"level\":\"info\"}")), "a forged line");
}

#[tokio::test]
async fn a_name_that_is_too_long_is_refused_and_nothing_has_happened() {
    let server = Server::start(&program(), &[CHEAP]);
    let nobody = Client::of(&server);
    let root = nobody.found().await;
    let long = "x".repeat(64 << 10);
    assert_refused(
        root.add_user(&long).await.map(drop),
        (Code::Unknown, "bcrypt: password length exceeds 72 bytes"),
    );
    let user = pb::AuthUserAddRequest { name: long.clone(), password: "x".to_owned(), ..Default::default() };
    assert_refused(root.call::<_, pb::AuthUserAddResponse>("Auth/UserAdd", &user).await, INVALID);
    let role = pb::AuthRoleAddRequest { name: long.clone() };
    assert_refused(root.call::<_, pb::AuthRoleAddResponse>("Auth/RoleAdd", &role).await, INVALID);
    let text = "etcdserver: authentication failed, invalid user ID or password";
    assert_refused(nobody.login_with(&long, "x").await, (Code::InvalidArgument, text));
    assert_refused(nobody.login_with("root", &long).await, (Code::InvalidArgument, text));
    assert_eq!(nobody.login("reader").await.expect("others log in").get("k").await.expect("a read").len(), 0);
}

#[tokio::test]
async fn a_permission_that_ends_before_it_begins_is_refused() {
    let server = Server::start(&program(), &[CHEAP]);
    let root = Client::of(&server).found().await;
    for (key, range_end) in [("b", "a"), ("b", "b"), ("", ""), ("", "z"), ("", "\0"), ("b", "\0\0")] {
        let perm = Permission { perm_type: Type::Read as i32, key: key.into(), range_end: range_end.into() };
        let grant = pb::AuthRoleGrantPermissionRequest { name: "reader".to_owned(), perm: Some(perm) };
        let refused: Result<pb::AuthRoleGrantPermissionResponse, _> =
            root.call("Auth/RoleGrantPermission", &grant).await;
        assert_refused(refused, INVALID);
    }
    let role: pb::AuthRoleGetResponse = root
        .call("Auth/RoleGet", &pb::AuthRoleGetRequest { role: "reader".to_owned() })
        .await
        .expect("the role");
    assert_eq!(role.perm.len(), 1, "the one that it had");
}

/// Two administrators take the role `root` from each other at the same time. Whose command comes first in the log wins; the
/// other is no administrator any more when its own takes effect.
#[tokio::test]
async fn of_two_administrators_who_depose_each_other_one_is_left() {
    let server = Server::start(&program(), &[CHEAP]);
    let nobody = Client::of(&server);
    let root = nobody.found().await;
    for name in ["one", "two"] {
        root.add_user(name).await.expect("a user");
    }
    for _ in 0..10 {
        for name in ["one", "two"] {
            root.grant_role(name, "root").await;
        }
        let one = nobody.login("one").await.expect("one logs in");
        let two = nobody.login("two").await.expect("two logs in");
        let depose = |client: Client, name: &str| {
            let request = pb::AuthUserRevokeRoleRequest { name: name.to_owned(), role: "root".to_owned() };
            async move { client.call::<_, pb::AuthUserRevokeRoleResponse>("Auth/UserRevokeRole", &request).await }
        };
        let (of_one, of_two) = tokio::join!(depose(one, "two"), depose(two, "one"));
        let (refused, remains) = match (of_one, of_two) {
            (Ok(_), Err(refused)) => (refused, "one"),
            (Err(refused), Ok(_)) => (refused, "two"),
            both => panic!("{both:?}"),
        };
        assert_eq!(
            (refused.code(), refused.message()),
            (Code::PermissionDenied, "etcdserver: permission denied")
        );
        let remaining = nobody.login(remains).await.expect("it logs in");
        let _: pb::AuthUserListResponse =
            remaining.call("Auth/UserList", &pb::AuthUserListRequest {}).await.expect("it manages");
    }
    // Whatever they do, root stays.
    let one = nobody.login("one").await.expect("one logs in");
    root.grant_role("one", "root").await;
    assert_refused(one.delete_user("root").await, INVALID);
}
