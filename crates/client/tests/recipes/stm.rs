//! Transactions of any shape.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use quorate_client::recipes::{Isolation, Transaction};
use quorate_client::{Client, Error, Outcome, prefix, put};

use crate::setup::{connect_all, kill_leader, lone, three};

const ACCOUNTS: u32 = 6;
const TOTAL: i64 = 600;

fn amount(bytes: &[u8]) -> i64 {
    std::str::from_utf8(bytes).expect("text").parse().expect("a number")
}

async fn balance(transaction: &Transaction, account: u32) -> Result<i64, Error> {
    let value = transaction.get(format!("account/{account}")).await?;
    Ok(amount(&value.expect("an account")))
}

async fn transfer(client: &Client, from: u32, to: u32) -> Result<(), Error> {
    client
        .stm(move |transaction| async move {
            let (left, right) = (balance(&transaction, from).await?, balance(&transaction, to).await?);
            transaction.put(format!("account/{from}"), (left - 1).to_string());
            transaction.put(format!("account/{to}"), (right + 1).to_string());
            Ok(())
        })
        .await
}

/// Adds up all accounts in a transaction.
async fn audit(client: &Client) -> Result<i64, Error> {
    client
        .stm(|transaction| async move {
            let mut sum = 0;
            for account in 0..ACCOUNTS {
                sum += balance(&transaction, account).await?;
            }
            Ok(sum)
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn transfers_keep_the_sum_while_leaders_are_killed() {
    let mut cluster = three!();
    let client = connect_all(&cluster).await;
    let founding = (0..ACCOUNTS).map(|account| put(format!("account/{account}"), "100"));
    client.txn().then(founding).await.expect("a transaction");
    let (done, unknown) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let mut tasks = Vec::new();
    for task in 0..6 {
        let (client, done, unknown) = (connect_all(&cluster).await, done.clone(), unknown.clone());
        tasks.push(tokio::spawn(async move {
            for round in 0_u32.. {
                let (from, to) = ((task + round) % ACCOUNTS, (task + round * 5 + 1) % ACCOUNTS);
                if from == to {
                    continue;
                }
                match transfer(&client, from, to).await {
                    Ok(()) => done.fetch_add(1, Ordering::Relaxed),
                    Err(error) if error.outcome() == Outcome::Unknown => {
                        unknown.fetch_add(1, Ordering::Relaxed)
                    }
                    Err(error) => {
                        eprintln!("not done: {error}");
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        0
                    }
                };
                if let Ok(sum) = audit(&client).await {
                    assert_eq!(sum, TOTAL);
                }
            }
        }));
    }
    for _ in 0..2 {
        let before = done.load(Ordering::Relaxed);
        crate::setup::until(async || (done.load(Ordering::Relaxed) > before + 20).then_some(())).await;
        kill_leader(&client, &mut cluster).await;
    }
    for task in tasks {
        task.abort();
        let ended = task.await;
        assert!(ended.is_err_and(|error| error.is_cancelled()), "no task has panicked");
    }
    let sum: i64 =
        client.get(prefix("account/")).await.expect("a read").kvs.iter().map(|kv| amount(&kv.value)).sum();
    assert_eq!(sum, TOTAL);
    eprintln!("{} done, {} unknown", done.load(Ordering::Relaxed), unknown.load(Ordering::Relaxed));
}

/// How often a transaction runs that reads `read` and writes `written`, if somebody else changes `changed` meanwhile.
async fn runs(client: &Client, isolation: Isolation, changed: &'static str) -> u32 {
    let runs = Arc::new(AtomicU32::new(0));
    let (counted, other) = (runs.clone(), client.clone());
    let body = move |transaction: Transaction| {
        let (counted, other) = (counted.clone(), other.clone());
        async move {
            transaction.get("read").await?;
            transaction.put("written", "mine");
            if counted.fetch_add(1, Ordering::Relaxed) == 0 {
                other.put(changed, "theirs").await?;
            }
            Ok(())
        }
    };
    client.stm(body).isolation(isolation).await.expect("a transaction");
    assert_eq!(client.get("written").await.expect("a read").value().expect("a value"), "mine");
    runs.load(Ordering::Relaxed)
}

#[tokio::test]
async fn the_isolation_decides_what_is_in_the_way() {
    let (_server, client) = lone!();
    for (isolation, read, written) in [
        (Isolation::Serializable, 2, 1),
        (Isolation::SerializableSnapshot, 2, 2),
        (Isolation::Snapshot, 1, 2),
    ] {
        assert_eq!(runs(&client, isolation, "read").await, read, "{isolation:?}");
        assert_eq!(runs(&client, isolation, "written").await, written, "{isolation:?}");
        assert_eq!(runs(&client, isolation, "elsewhere").await, 1, "{isolation:?}");
    }
}

#[tokio::test]
async fn all_reads_are_as_of_one_revision_and_see_own_writes() {
    let (_server, client) = lone!();
    client.txn().then([put("a", "1"), put("b", "1")]).await.expect("a transaction");
    let other = client.clone();
    let read = client.stm(move |transaction| {
        let other = other.clone();
        async move {
            let a = transaction.get("a").await?;
            other.put("b", "2").await?;
            let b = transaction.get("b").await?;
            transaction.put("c", "3");
            transaction.delete("a");
            Ok((a, b, transaction.get("c").await?, transaction.get("a").await?))
        }
    });
    // Snapshot: what was only read may have changed.
    let read = read.isolation(Isolation::Snapshot).await.expect("a transaction");
    let some = |text: &'static str| Some(Bytes::from(text));
    assert_eq!(read, (some("1"), some("1"), some("3"), None));
    assert_eq!(client.get("a").count_only().await.expect("a count").count, 0);
}

#[tokio::test]
async fn the_error_of_the_closure_ends_the_transaction() {
    let (_server, client) = lone!();
    let refused = client.stm(|transaction| async move {
        transaction.put("a", "1");
        Err::<(), _>(Error::Malformed("not what was expected"))
    });
    assert!(matches!(refused.await, Err(Error::Malformed(_))));
    assert_eq!(client.get("a").count_only().await.expect("a count").count, 0);
}
