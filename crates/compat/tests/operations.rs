//! Members, status, alarms, hashes.

mod common;

use etcd_client::{AlarmAction, AlarmType};

#[tokio::test]
async fn a_member_describes_itself() {
    let (_member, mut client) = common::member().await;
    let members = client.member_list().await.unwrap();
    assert_eq!(members.members().len(), 1);
    let member = &members.members()[0];
    assert!(!member.name().is_empty() && !member.client_urls().is_empty());
    let status = client.status().await.unwrap();
    assert_eq!(status.leader(), member.id());
    assert!(status.version().starts_with("3.") && status.db_size() > 0 && status.errors().is_empty());
    assert!(status.raft_applied_index() <= status.raft_index());
    client.defragment().await.unwrap();
    let alarms = client.alarm(AlarmAction::Get, AlarmType::None, None).await.unwrap();
    assert!(alarms.alarms().is_empty());
}

#[tokio::test]
async fn hashes_follow_the_content() {
    let (_member, mut client) = common::member().await;
    client.put("a", "1", None).await.unwrap();
    let first = client.hash_kv(0).await.unwrap();
    assert_eq!((first.hash_revision(), first.compact_version()), (2, -1));
    let whole = client.hash().await.unwrap().hash();
    client.put("a", "2", None).await.unwrap();
    assert_ne!(client.hash_kv(0).await.unwrap().hash(), first.hash());
    assert_ne!(client.hash().await.unwrap().hash(), whole);
    assert_eq!(client.hash_kv(2).await.unwrap().hash(), first.hash());
    assert!(client.hash_kv(99).await.is_err());
}

#[tokio::test]
async fn authentication_is_off() {
    let (_member, mut client) = common::member().await;
    client.auth_disable().await.unwrap();
    let refused = client.auth_enable().await.unwrap_err().to_string();
    assert!(refused.contains("etcdserver: root user does not exist"), "{refused}");
    assert!(client.user_list().await.unwrap().users().is_empty());
    assert!(client.role_list().await.unwrap().roles().is_empty());
    let refused = client.user_get("root").await.unwrap_err().to_string();
    assert!(refused.contains("etcdserver: user name not found"), "{refused}");
    let refused = client.role_get("root").await.unwrap_err().to_string();
    assert!(refused.contains("etcdserver: role name not found"), "{refused}");
}
