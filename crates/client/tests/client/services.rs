//! Users, members, maintenance, and the server's own locks and elections.

use std::time::Duration;

use quorate_client::{Access, Alarm, AlarmKind, Client, Code, Permission, prefix};

use crate::setup::lone;

#[tokio::test]
async fn users_have_roles_and_roles_have_permissions() {
    let (_server, client) = lone!();
    let auth = client.auth();
    auth.role_add("reader").await.expect("a role");
    auth.role_grant("reader", Access::Read, prefix("a/")).await.expect("a permission");
    auth.user_add("u", "secret").await.expect("a user");
    auth.user_grant_role("u", "reader").await.expect("a grant");
    assert_eq!(auth.users().await.expect("users"), ["u"]);
    assert_eq!(auth.user_get("u").await.expect("a user"), ["reader"]);
    let permission = Permission { access: Access::Read, keys: prefix("a/") };
    assert_eq!(auth.role_get("reader").await.expect("a role"), [permission]);
    auth.role_revoke("reader", prefix("a/")).await.expect("no permission");
    auth.user_revoke_role("u", "reader").await.expect("no grant");
    auth.user_change_password("u", "other").await.expect("a password");
    auth.role_delete("reader").await.expect("no role");
    auth.user_delete("u").await.expect("no user");
    assert!(auth.roles().await.expect("roles").is_empty());
}

/// Adds the user `root` with the password `secret`, and turns authentication on.
async fn enable_users(client: &Client) {
    let auth = client.auth();
    auth.user_add("root", "secret").await.expect("a user");
    auth.role_add("root").await.expect("a role");
    auth.user_grant_role("root", "root").await.expect("a grant");
    auth.enable().await.expect("it is enabled");
}

#[tokio::test]
async fn a_users_token_is_renewed() {
    let (server, client) = lone!();
    enable_users(&client).await;
    let refused = client.get("k").await.expect_err("a user is needed");
    assert!(refused.is("etcdserver: user name is empty"), "{refused}");

    let endpoint = server.client_address();
    let build = |password| Client::builder().endpoints([endpoint.clone()]).user("root", password);
    let wrong = build("wrong").connect().await.expect_err("a wrong password");
    assert_eq!(wrong.code(), Code::InvalidArgument);
    let [first, second] = [0, 1].map(|_| build("secret").connect());
    let (first, second) = (first.await.expect("a client"), second.await.expect("a client"));
    second.put("k", "1").await.expect("a put");
    let mut watch = second.watch("k").await.expect("a watch");
    // Switching off drops all tokens.
    first.auth().disable().await.expect("it is disabled");
    first.auth().enable().await.expect("it is enabled");
    let written = second.put("k", "2").await.expect("a put with a new token").header.revision;
    assert_eq!(watch.next().await.expect("an item").expect("an update").revision, written);
    assert_eq!(first.auth().users().await.expect("a read with a new token"), ["root"]);
    let lease = second.lease(Duration::from_secs(5)).await.expect("a lease");
    assert!(second.keep_alive_once(lease.id()).await.is_ok());
    assert!(second.at(&endpoint).get("k").await.is_ok());
}

/// A command that is applied after users or permissions have changed is refused, and the client sends it again.
#[tokio::test]
async fn writes_go_on_while_permissions_change() {
    let (server, client) = lone!();
    enable_users(&client).await;
    let build = || Client::builder().endpoints([server.client_address()]).user("root", "secret").connect();
    let (admin, writer) = (build().await.expect("a client"), build().await.expect("a client"));
    let writing = tokio::spawn(async move {
        let puts = (0..500).map(|number| {
            let writer = writer.clone();
            tokio::spawn(async move { writer.put(format!("k{number}"), "v").await })
        });
        for put in puts.collect::<Vec<_>>() {
            put.await.expect("no panic").expect("a put");
        }
    });
    // Not without end: who is overtaken by a change each time gives up.
    for _ in 0..10 {
        admin.auth().role_add("some").await.expect("a role");
        admin.auth().role_delete("some").await.expect("no role");
    }
    writing.await.expect("all puts");
}

#[tokio::test]
async fn members_say_how_they_are() {
    let (_server, client) = lone!();
    let members = client.cluster().members().await.expect("members");
    assert_eq!(members.len(), 1);
    assert_eq!(members, client.cluster().members_serializable().await.expect("members"));
    let status = client.maintenance().status().await.expect("a status");
    assert_eq!(status.leader, Some(members[0].id));
    assert!(status.db_size > 0 && status.version.starts_with("3."));
    let none = client.cluster().remove(1).await.expect_err("no such member");
    assert_eq!(none.code(), Code::NotFound);
    client.maintenance().defragment().await.expect("less");
    let revision = client.put("k", "v").await.expect("a put").header.revision;
    let hash = client.maintenance().hash_kv(Some(revision)).await.expect("a hash");
    assert_eq!((hash.revision, hash.compact_revision), (revision, None));
    client.maintenance().move_leader(members[0].id).await.expect("it leads already");
    let endpoints = client.sync_endpoints().await.expect("endpoints");
    assert_eq!((&endpoints, endpoints.len()), (&client.endpoints(), 1));
    client.get("k").await.expect("a read from what was found");
}

#[tokio::test]
async fn an_alarm_is_raised_and_disarmed() {
    let (_server, client) = lone!();
    let member = client.cluster().members().await.expect("members")[0].id;
    let alarm = Alarm { member, kind: AlarmKind::NoSpace };
    let maintenance = client.maintenance();
    assert_eq!(maintenance.raise(alarm).await.expect("an alarm"), [alarm]);
    assert_eq!(maintenance.alarms().await.expect("alarms"), [alarm]);
    let full = client.put("k", "v").await.expect_err("there is no space");
    assert_eq!(full.code(), Code::ResourceExhausted);
    assert_eq!(maintenance.disarm(alarm).await.expect("no alarm"), [alarm]);
    client.put("k", "v").await.expect("there is space");
}

#[tokio::test]
async fn a_snapshot_is_a_stream_of_bytes() {
    let (_server, client) = lone!();
    let mut snapshot = client.maintenance().snapshot().await.expect("a stream");
    let mut size = 0;
    while let Some(bytes) = snapshot.next().await {
        size += bytes.expect("a piece").len();
    }
    assert_eq!((size % 512, snapshot.remaining()), (32, Some(0)), "a database and a hash");
}

#[tokio::test]
async fn the_servers_lock_is_held_by_one() {
    let (_server, client) = lone!();
    let leases = [0, 1].map(|_| client.lease(Duration::from_secs(60)).into_future());
    let [first, second] = leases.map(async |lease| lease.await.expect("a lease"));
    let (first, second) = (first.await, second.await);
    let locks = client.lock_service();
    let key = locks.lock("l", first.id()).await.expect("the lock");
    let waiting = tokio::spawn({
        let (locks, lease) = (locks.clone(), second.id());
        async move { locks.lock("l", lease).await }
    });
    locks.unlock(key.clone()).await.expect("it is given back");
    let other = waiting.await.expect("a task").expect("a lock");
    assert_ne!(key, other);
    let lost = locks.lock("l", 12345).await.expect_err("no such lease");
    assert_eq!(lost.code(), Code::NotFound, "{lost}");
}

#[tokio::test]
async fn the_servers_election_has_one_leader() {
    let (_server, client) = lone!();
    let lease = client.lease(Duration::from_secs(60)).await.expect("a lease");
    let elections = client.election_service();
    let leader = elections.campaign("e", lease.id(), "one").await.expect("the lead");
    let mut leaders = elections.observe("e").await.expect("a stream");
    assert_eq!(leaders.next().await.expect("a leader").expect("a leader").value, "one");
    elections.proclaim(&leader, "two").await.expect("a new value");
    assert_eq!(leaders.next().await.expect("a leader").expect("a leader").value, "two");
    assert_eq!(elections.leader("e").await.expect("a leader").key, leader.key);
    elections.resign(leader).await.expect("the end");
    let none = elections.leader("e").await.expect_err("nobody leads");
    assert!(none.is("election: no leader"), "{none}");
}
