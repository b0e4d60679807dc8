//! Clients that ask for much and read little of it.

use super::super::backlog::Backlog;
use super::*;
use crate::limits::UNREAD_STREAM_BYTES;

/// A client that takes nothing of a reply, or all of it.
async fn begun(terms: &Terms, window: u32) -> Client {
    let mut client = Client::connect_under(terms.clone()).await;
    client.write(PREFACE).await;
    client.send(SETTINGS, 0, 0, &[&[0, 4][..], &window.to_be_bytes()].concat()).await;
    client.send(WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes()).await;
    client.send(HEADERS, END, 1, LONG).await;
    client.next(&[HEADERS]).await.expect("an answer");
    client
}

#[tokio::test]
async fn the_connection_with_the_oldest_unread_reply_makes_room() {
    // Room for one of them, and not for two.
    let budgets = Budgets { unread: Backlog::new(2 * LONG_BYTES - 1), ..Budgets::default() };
    let terms = Terms::new(settings(HOUR), budgets.clone());
    let mut first = begun(&terms, 0).await;
    assert!(is_answer(&first.ping().await));
    let mut second = begun(&terms, 0).await;
    assert_eq!(first.next(&[GOAWAY]).await, None, "it is closed");
    assert!(is_answer(&second.ping().await));
    assert_eq!(budgets.unread.bytes(), LONG_BYTES);
}

#[tokio::test]
async fn a_reply_that_is_read_is_counted_no_more() {
    let budgets = Budgets { unread: Backlog::new(LONG_BYTES), ..Budgets::default() };
    let terms = Terms::new(settings(HOUR), budgets.clone());
    let mut client = begun(&terms, 1 << 30).await;
    for stream in [1, 3] {
        let mut received = 0;
        while received < LONG_BYTES {
            received += client.next(&[DATA]).await.expect("the answer goes on").2.len();
        }
        assert!(is_answer(&client.ping().await));
        assert_eq!(budgets.unread.bytes(), 0, "stream {stream}");
        client.send(HEADERS, END, 3, LONG).await;
    }
}

/// A client that takes nothing of so many replies of a few bytes.
async fn with_small_ones(terms: &Terms, replies: u32) -> Client {
    let mut client = Client::connect_under(terms.clone()).await;
    client.write(PREFACE).await;
    client.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]).await;
    for number in 0..replies {
        client.send(HEADERS, END, 2 * number + 1, b"\x82\x86\x84").await;
    }
    client
}

#[tokio::test]
async fn small_replies_count_with_their_streams_when_there_are_many() {
    let budgets = Budgets { unread: Backlog::new(usize::MAX), ..Budgets::default() };
    let terms = Terms::new(settings(HOUR), budgets.clone());
    let mut client = with_small_ones(&terms, 40).await;
    for _ in 0..40 {
        client.next(&[HEADERS]).await.expect("an answer");
    }
    assert!(budgets.unread.bytes() > 36 * UNREAD_STREAM_BYTES, "all but those of the last 16 KiB");
    client.send(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]).await;
    for _ in 0..40 {
        client.next(&[DATA]).await.expect("an answer");
    }
    assert!(is_answer(&client.ping().await));
    assert_eq!(budgets.unread.bytes(), 0);
    client.is_served(81).await;
    assert_eq!(budgets.unread.bytes(), 0, "one after the other they are never many");
}

#[tokio::test]
async fn who_has_too_many_small_replies_is_closed() {
    let budgets = Budgets { unread: Backlog::new(20 * UNREAD_STREAM_BYTES), ..Budgets::default() };
    let terms = Terms::new(settings(HOUR), budgets.clone());
    let mut modest = with_small_ones(&terms, 3).await;
    let mut greedy = with_small_ones(&terms, 40).await;
    assert_eq!(greedy.next(&[GOAWAY]).await, None, "it is closed");
    assert!(is_answer(&modest.ping().await));
}
