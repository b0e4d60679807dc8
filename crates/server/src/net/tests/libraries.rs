//! What the HTTP libraries count and etcd does not: none of it may end a connection of a client that does nothing wrong.

use super::super::huffman;
use super::*;

const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const CANCEL: &[u8] = &8_u32.to_be_bytes();

/// `:method: GET`, `:scheme: http`, `:path: /`.
const ROOT: &[u8] = b"\x82\x86\x84";

/// A literal field that is not put into the table, with a value of so many bytes.
fn field(name: &str, value: usize) -> Vec<u8> {
    let mut field = vec![0, name.len() as u8];
    field.extend_from_slice(name.as_bytes());
    // RFC 7541, section 5.1.
    field.push(0x7f);
    let mut rest = value.checked_sub(0x7f).expect("a long value");
    while rest >= 0x80 {
        field.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    field.push(rest as u8);
    field.resize(field.len() + value, b'v');
    field
}

/// A header block in frames of the greatest length.
fn block(stream: u32, block: &[u8]) -> Vec<u8> {
    let pieces: Vec<&[u8]> = block.chunks(16 << 10).collect();
    let mut frames = Vec::new();
    for (number, piece) in pieces.iter().enumerate() {
        let is_last = number + 1 == pieces.len();
        let flags = if number == 0 { END_STREAM } else { 0 } | if is_last { END_HEADERS } else { 0 };
        frames.extend(frame(if number == 0 { HEADERS } else { CONTINUATION }, flags, stream, piece));
    }
    frames
}

/// hyperium/h2#668, etcd-io/etcd#16740: what a client with short deadlines does when the server has been busy for a while.
#[tokio::test]
async fn requests_that_were_given_up_before_they_were_read_end_no_connection() {
    let mut client = Client::http2(HOUR).await;
    let mut burst = Vec::new();
    for stream in (1..10_000).step_by(2) {
        burst.extend(frame(HEADERS, END, stream, ROOT));
        burst.extend(frame(RST_STREAM, 0, stream, CANCEL));
    }
    client.write(&burst).await;
    client.is_served(10_001).await;
}

/// A client that sends keepalives while the process is paused, or while there is no leader.
#[tokio::test]
async fn small_messages_that_nobody_reads_end_no_connection() {
    let mut client = Client::http2(HOUR).await;
    let window = client.stream_window().await;
    client.send(HEADERS, END_HEADERS, 1, WAIT).await;
    // As short as a message of gRPC can be; more of them than were ever seen.
    let message = frame(DATA, 0, 1, &[0; 5]);
    client.write(&message.repeat((window / 5).min(100_000))).await;
    client.is_served(3).await;
}

#[tokio::test]
async fn data_frames_without_data_end_no_connection() {
    let mut client = Client::http2(HOUR).await;
    client.send(HEADERS, END_HEADERS, 1, WAIT).await;
    client.write(&frame(DATA, 0, 1, &[]).repeat(1_000)).await;
    client.is_served(3).await;
    // The empty frame that ends a stream is not left out.
    client.send(HEADERS, END_HEADERS, 5, ROOT).await;
    client.send(DATA, END_STREAM, 5, &[]).await;
    client.is_served(7).await;
}

#[tokio::test]
async fn malformed_requests_are_reset_and_end_no_connection() {
    let mut client = Client::http2(HOUR).await;
    for stream in (1..4_000).step_by(2) {
        // No scheme and no path.
        client.send(HEADERS, END, stream, &ROOT[..1]).await;
        assert_eq!(client.next(&[RST_STREAM, GOAWAY]).await.map(|frame| frame.0), Some(RST_STREAM));
    }
    client.is_served(4_001).await;
}

/// grpc/grpc-java#2601.
#[tokio::test]
async fn metadata_may_have_megabytes() {
    let mut client = Client::http2(HOUR).await;
    let head = [ROOT, &field("x-large", 15 << 20)].concat();
    client.write(&block(1, &head)).await;
    assert_eq!(client.body().await, b"none");
    client.is_served(3).await;
    // Beyond the limit, the request is refused, and nothing else.
    let head = [ROOT, &field("x-large", 17 << 20)].concat();
    client.write(&block(5, &head)).await;
    let (_, _, refusal) = client.next(&[HEADERS, GOAWAY]).await.expect("an answer");
    let status = huffman::decode(&refusal[refusal.len() - 3..]);
    assert_eq!(status.as_deref(), Some(&b"431"[..]));
}

/// `:authority` of gRPC's C++ core for two endpoints.
const AUTHORITY: &[u8] = b"\x41\x07a:1,b:1";

#[tokio::test]
async fn an_authority_is_put_right_in_a_block_of_several_frames() {
    let mut client = Client::http2(HOUR).await;
    client.write(&block(1, &[ROOT, AUTHORITY, &field("x-large", 100_000)].concat())).await;
    assert_eq!(client.body().await, b"a-1-b-1");
    client.send(HEADERS, END, 3, &[ROOT, b"\xbe"].concat()).await;
    assert_eq!(client.body().await, b"a-1-b-1");
}

/// One in Huffman code takes more bytes when it is put right.
#[tokio::test]
async fn an_authority_is_put_right_where_a_frame_has_no_room_for_it() {
    let mut client = Client::http2(HOUR).await;
    // `http://127.0.0.1:2379`.
    let url = b"\x41\x8f\x9d\x29\xae\xe3\x0c\x04\x4e\xae\x05\xc0\xb8\x6e\x09\x97\x5f";
    let start = [ROOT, url].concat();
    let overhead = start.len() + field("x", 16_000).len() - 16_000;
    let whole = [start, field("x", (16 << 10) - overhead)].concat();
    assert_eq!(whole.len(), 16 << 10);
    client.send(HEADERS, END, 1, &whole).await;
    assert_eq!(client.body().await, b"http---127-0-0-1-2379");
    // Not the end of the stream, and a trailer of its own.
    client.send(HEADERS, END_HEADERS, 3, &whole).await;
    client.send(DATA, END_STREAM, 3, &[7; 10]).await;
    assert_eq!(client.body().await, b"http---127-0-0-1-2379");
}

impl Client {
    /// Returns how much may be sent in a stream: SETTINGS_INITIAL_WINDOW_SIZE of the server's first frame.
    async fn stream_window(&mut self) -> usize {
        let (_, _, settings) = self.next(&[SETTINGS]).await.expect("the server's settings");
        let window = settings.chunks(6).find(|setting| setting[..2] == [0, 4]).expect("a window");
        u32::from_be_bytes(window[2..].try_into().unwrap()) as usize
    }
}
