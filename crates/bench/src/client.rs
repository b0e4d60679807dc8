//! A gRPC client on raw `h2`, as thin as it can be.
//!
//! A [`Connection`] is one TCP connection with 16 MiB windows: a burst of small stream messages overruns h2's default
//! connection window, and large replies would wait for window updates. A [`Client`] is one caller on it: it has one call in flight, or one stream open. Everything that is
//! received is given back to the flow control at once, whether or not anybody looks at it.
//!
//! Request bodies are handed to h2 whole: it sends them as the server's window allows, and since each caller has one
//! request in flight, what waits in memory is bounded by the number of callers.

use crate::endpoint::Endpoint;
use crate::grpc::{self, Deframer, Failure, PREFIX_BYTES};
use crate::socket::Socket;
use anyhow::Context;
use bytes::{Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use std::future::poll_fn;
use std::rc::Rc;

/// How much the server may send ahead on one connection and, unless told otherwise, on one stream.
pub(crate) const WINDOW_BYTES: u32 = 16 << 20;

/// One HTTP/2 connection, driven by a task of the current runtime.
pub(crate) struct Connection {
    sender: SendRequest<Bytes>,
    endpoint: Endpoint,
}

impl Connection {
    /// Connects with the usual windows.
    pub(crate) async fn open(endpoint: &Endpoint) -> anyhow::Result<Connection> {
        Connection::with_stream_window(endpoint, WINDOW_BYTES).await
    }

    /// Connects; the server may have `stream_window` bytes under way on each stream.
    pub(crate) async fn with_stream_window(
        endpoint: &Endpoint,
        stream_window: u32,
    ) -> anyhow::Result<Connection> {
        let socket = Socket::connect(endpoint).await?;
        let (sender, connection) = h2::client::Builder::new()
            .initial_window_size(stream_window)
            .initial_connection_window_size(WINDOW_BYTES)
            .enable_push(false)
            .handshake(socket)
            .await
            .with_context(|| format!("HTTP/2 handshake with {endpoint}"))?;
        // Its error reaches every call that it breaks, so there is nothing to say here.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Connection { sender, endpoint: endpoint.clone() })
    }

    /// A caller of one method on this connection.
    pub(crate) fn client(&self, path: &str) -> Client {
        let uri = format!("{}://{}{path}", self.endpoint.scheme(), self.endpoint.address);
        let mut headers = HeaderMap::with_capacity(3);
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        if let Some(token) = self.endpoint.token() {
            headers.insert(header::AUTHORIZATION, token.clone());
        }
        Client {
            sender: self.sender.clone(),
            method: Rc::new(Template {
                uri: uri.parse().expect("an address and a constant path make a valid URI"),
                headers,
            }),
        }
    }
}

/// What every request of one method has in common.
struct Template {
    uri: Uri,
    headers: HeaderMap,
}

/// One caller of one method.
pub(crate) struct Client {
    sender: SendRequest<Bytes>,
    method: Rc<Template>,
}

/// How much of a reply the caller wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// The first DATA frame: enough for the response header, and free.
    Head,
    /// All of it.
    Whole,
}

/// A successful unary reply.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// The message, or its beginning (see [`Keep`]).
    pub(crate) message: Bytes,
    /// Length of the whole message in bytes.
    pub(crate) length: usize,
}

impl Client {
    /// Calls a unary method with a framed message.
    pub(crate) async fn call(&mut self, frame: Bytes, keep: Keep) -> Result<Reply, Failure> {
        let (response, mut body) = self.open().await?;
        body.send_data(frame, true)?;
        receive(response, keep).await
    }

    /// Opens a bidirectional stream with `first` as its first message. Some servers send headers only with their
    /// first message, so they are awaited with it.
    pub(crate) async fn stream(&mut self, first: Bytes) -> Result<Stream, Failure> {
        let (response, mut sender) = self.open().await?;
        sender.send_data(first, false)?;
        Ok(Stream { sender, receiver: Receiver::Opening(response), deframer: Deframer::default() })
    }

    async fn open(&mut self) -> Result<(ResponseFuture, SendStream<Bytes>), Failure> {
        poll_fn(|context| self.sender.poll_ready(context)).await?;
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.method.uri.clone();
        *request.headers_mut() = self.method.headers.clone();
        Ok(self.sender.send_request(request, false)?)
    }
}

/// Waits for a unary reply to its end.
async fn receive(mut response: ResponseFuture, keep: Keep) -> Result<Reply, Failure> {
    let (headers, mut body) = accept(&mut response).await?;
    let mut reply = Assembly::default();
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
        reply.push(chunk, keep);
    }
    let trailers = body.trailers().await?;
    let status = trailers.as_ref().and_then(grpc::status).or_else(|| grpc::status(&headers));
    status.unwrap_or_else(|| Err(Failure::malformed("a reply without grpc-status")))?;
    reply.finish()
}

async fn accept(response: &mut ResponseFuture) -> Result<(HeaderMap, RecvStream), Failure> {
    let (parts, body) = response.await?.into_parts();
    if parts.status != StatusCode::OK {
        return Err(Failure::malformed(format!("HTTP status {}", parts.status)));
    }
    Ok((parts.headers, body))
}

/// A unary reply in the making.
#[derive(Default)]
struct Assembly {
    first: Bytes,
    rest: BytesMut,
    received: usize,
}

impl Assembly {
    fn push(&mut self, chunk: Bytes, keep: Keep) {
        self.received += chunk.len();
        if self.first.len() < PREFIX_BYTES && !self.first.is_empty() {
            // The prefix itself was cut in two: rare enough to copy.
            self.first = [&self.first[..], &chunk].concat().into();
        } else if self.first.is_empty() {
            self.first = chunk;
        } else if keep == Keep::Whole {
            self.rest.extend_from_slice(&chunk);
        }
    }

    fn finish(self) -> Result<Reply, Failure> {
        let length = grpc::read_prefix(&self.first)?;
        if self.received != PREFIX_BYTES + length {
            return Err(Failure::malformed(format!("{length} bytes announced, {} came", self.received)));
        }
        let head = self.first.slice(PREFIX_BYTES..);
        let message = if self.rest.is_empty() { head } else { [&head[..], &self.rest].concat().into() };
        Ok(Reply { message, length })
    }
}

/// An open bidirectional stream.
pub(crate) struct Stream {
    sender: SendStream<Bytes>,
    receiver: Receiver,
    deframer: Deframer,
}

enum Receiver {
    Opening(ResponseFuture),
    Open { headers: HeaderMap, body: RecvStream },
}

impl Stream {
    /// Sends a framed message.
    pub(crate) fn send(&mut self, frame: Bytes) -> Result<(), Failure> {
        Ok(self.sender.send_data(frame, false)?)
    }

    /// The next message.
    ///
    /// # Errors
    /// When the stream ends: none of the streams that the workloads open is meant to.
    pub(crate) async fn next(&mut self) -> Result<Bytes, Failure> {
        loop {
            if let Some(message) = self.deframer.next()? {
                return Ok(message);
            }
            let chunk = self.chunk().await?;
            self.deframer.push(chunk);
        }
    }

    async fn chunk(&mut self) -> Result<Bytes, Failure> {
        if let Receiver::Opening(response) = &mut self.receiver {
            let (headers, body) = accept(response).await?;
            self.receiver = Receiver::Open { headers, body };
        }
        let Receiver::Open { headers, body } = &mut self.receiver else {
            unreachable!("opened just above");
        };
        match body.data().await {
            Some(chunk) => {
                let chunk = chunk?;
                body.flow_control().release_capacity(chunk.len())?;
                Ok(chunk)
            }
            None => {
                let trailers = body.trailers().await?;
                let status = trailers.as_ref().and_then(grpc::status).or_else(|| grpc::status(headers));
                status.unwrap_or(Ok(()))?;
                Err(Failure::malformed("the server ended the stream"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assemble(chunks: &[&'static [u8]], keep: Keep) -> Result<Reply, Failure> {
        let mut assembly = Assembly::default();
        for chunk in chunks {
            assembly.push(Bytes::from_static(chunk), keep);
        }
        assembly.finish()
    }

    #[test]
    fn a_reply_in_several_frames_is_put_together_or_only_counted() {
        let chunks: [&[u8]; 3] = [&[0, 0], &[0, 0, 6, b'a', b'b'], b"cdef"];
        let whole = assemble(&chunks, Keep::Whole).unwrap();
        assert_eq!((&whole.message[..], whole.length), (&b"abcdef"[..], 6));
        let head = assemble(&chunks, Keep::Head).unwrap();
        assert_eq!((&head.message[..], head.length), (&b"ab"[..], 6));
    }

    #[test]
    fn a_reply_of_another_length_than_announced_is_malformed() {
        assert!(assemble(&[&[0, 0, 0, 0, 2, b'a']], Keep::Head).is_err());
        assert!(assemble(&[], Keep::Head).is_err());
    }
}
