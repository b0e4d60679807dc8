//! Heads of requests: how long they may take, how much memory they share, and that their ends are not the connection's.

use super::super::heads::Head;
use super::*;
use crate::limits::HEAD_BYTES_FREE;

/// What all unfinished heads may have on a large machine.
const UNFINISHED_HEADS_BYTES_MAX: usize = 256 << 20;

const CONTINUATION: u8 = 9;
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn hasty() -> Http2Settings {
    Http2Settings { head_within: SHORT, ..settings(HOUR) }
}

impl Client {
    /// Reads an answer of HTTP/1.1 whose body is `none`.
    async fn http1_answer(&mut self) -> String {
        let mut answer = Vec::new();
        while !answer.ends_with(b"none") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).await.expect("an answer");
            answer.extend_from_slice(&byte);
        }
        String::from_utf8(answer).unwrap()
    }

    /// Returns when the server has closed the connection.
    async fn is_closed(&mut self) {
        let mut rest = Vec::new();
        let _ = self.0.read_to_end(&mut rest).await;
    }
}

/// `nc -N`, busybox's `nc`, `socat`.
#[tokio::test]
async fn a_client_that_closes_its_half_after_the_request_is_answered() {
    let mut client = Client::connect_to(settings(HOUR)).await;
    client.write(b"GET /later HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.0.shutdown().await.unwrap();
    assert!(client.http1_answer().await.starts_with("HTTP/1.1 200 OK\r\n"));
    client.is_closed().await;
}

#[tokio::test]
async fn a_client_of_http_1_may_be_idle_between_its_requests() {
    let mut client = Client::connect_to(hasty()).await;
    let with_body = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
    let with_bare_lines = b"GET / HTTP/1.1\nHost: a\n\n";
    for request in [GET, GET, with_body, with_bare_lines, GET] {
        client.write(request).await;
        client.http1_answer().await;
        // Longer than a head may take.
        tokio::time::sleep(5 * SHORT).await;
    }
}

#[tokio::test]
async fn half_a_head_is_not_waited_for() {
    let mut first = Client::connect_to(hasty()).await;
    first.write(&GET[..10]).await;
    first.is_closed().await;
    let mut second = Client::connect_to(hasty()).await;
    second.write(GET).await;
    second.http1_answer().await;
    second.write(&GET[..10]).await;
    second.is_closed().await;
    let mut pipelined = Client::connect_to(hasty()).await;
    pipelined.write(&[GET, &GET[..10]].concat()).await;
    pipelined.is_closed().await;
}

#[tokio::test]
async fn half_a_header_block_is_not_waited_for() {
    let mut client = Client::connect_to(hasty()).await;
    client.write(PREFACE).await;
    client.send(SETTINGS, 0, 0, &[]).await;
    client.send(HEADERS, 1, 1, b"\x82\x86\x84").await;
    client.is_closed().await;
}

#[tokio::test]
async fn a_request_of_http_1_may_have_hundreds_of_fields_and_hundreds_of_kilobytes() {
    let mut client = Client::connect_to(settings(HOUR)).await;
    let fields: String = (0..1_000).map(|number| format!("x-{number}: {}\r\n", "v".repeat(900))).collect();
    client.write(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes()).await;
    assert!(client.http1_answer().await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn large_heads_share_a_budget_and_ordinary_ones_do_not_need_it() {
    let budgets = Budgets::default();
    let terms = Terms::new(settings(HOUR), budgets.clone());
    let mut others = Head::new(budgets.heads);
    assert!(others.is_now(HEAD_BYTES_FREE + UNFINISHED_HEADS_BYTES_MAX));

    let mut large = Client::connect_under(terms.clone()).await;
    large.write(PREFACE).await;
    large.send(SETTINGS, 0, 0, &[]).await;
    large.send(HEADERS, 1, 1, b"\x82\x86\x84").await;
    let piece = frame(CONTINUATION, 0, 1, &[b'v'; 1 << 14]);
    // The server may have closed its end while these are on their way.
    let _ = large.0.write_all(&piece.repeat(5)).await;
    let (_, _, goaway) = large.next(&[GOAWAY]).await.expect("a reason");
    assert_eq!(&goaway[8..], b"too_many_header_bytes");

    let mut large = Client::connect_under(terms.clone()).await;
    let _ = large.0.write_all(&[b"GET / HTTP/1.1\r\nx: ", &[b'v'; 100_000][..]].concat()).await;
    large.is_closed().await;

    let mut ordinary = Client::connect_under(terms).await;
    ordinary.write(PREFACE).await;
    ordinary.send(SETTINGS, 0, 0, &[]).await;
    ordinary.is_served(1).await;
}

#[tokio::test]
async fn a_head_that_is_complete_leaves_the_budget() {
    let budgets = Budgets::default();
    let mut client = Client::connect_under(Terms::new(settings(HOUR), budgets.clone())).await;
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nx: {}\r\n\r\n", "v".repeat(500_000));
    for _ in 0..3 {
        client.write(large.as_bytes()).await;
        client.http1_answer().await;
        assert!(
            Head::new(budgets.heads.clone()).is_now(HEAD_BYTES_FREE + UNFINISHED_HEADS_BYTES_MAX),
            "nothing is taken"
        );
    }
}
