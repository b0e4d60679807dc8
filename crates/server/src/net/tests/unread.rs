//! Clients that ask for much and read little of it.

use super::super::backlog::Backlog;
use super::*;

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
    let budgets = Budgets { unread: Backlog::new(LONG_BYTES), ..Budgets::default() };
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
