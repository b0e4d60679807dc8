//! A server that answers every call with the request: what the generator can do when the server costs next to nothing.
//!
//! Raw h2 on one thread, about the least that a gRPC server can do. `quorate-bench echo` runs it against the generator to
//! show that the generator is not what limits a measurement, and the tests use it as a peer.

use crate::cores;
use crate::socket::Socket;
use anyhow::Context;
use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;
use tokio::net::{TcpListener, TcpStream};

/// Starts the server on a thread of its own, pinned to `cores`, for the rest of the process; gives its address.
pub(crate) fn start(cores: &[usize]) -> anyhow::Result<SocketAddr> {
    let (sender, receiver) = mpsc::channel();
    let cores = cores.to_vec();
    std::thread::spawn(move || {
        let ready = cores::pin_thread(&cores).and_then(|()| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
            Ok((listener.local_addr()?, runtime, listener))
        });
        match ready {
            Ok((address, runtime, listener)) => {
                if sender.send(Ok(address)).is_ok() {
                    runtime.block_on(accept(listener));
                }
            }
            Err(error) => drop(sender.send(Err(error))),
        }
    });
    receiver.recv().context("the echo thread ended")?.context("starting the echo server")
}

async fn accept(listener: TcpListener) {
    while let Ok((socket, _)) = listener.accept().await {
        // A connection ends with an error when the client goes away: that is how every run ends.
        tokio::spawn(async move { drop(serve(socket).await) });
    }
}

async fn serve(socket: TcpStream) -> anyhow::Result<()> {
    let mut connection = h2::server::Builder::new()
        .initial_window_size(1 << 20)
        .initial_connection_window_size(16 << 20)
        .max_concurrent_streams(1 << 20)
        .handshake(Socket::new(socket)?)
        .await?;
    while let Some(call) = connection.accept().await {
        let (request, respond) = call?;
        tokio::spawn(async move { drop(echo(request, respond).await) });
    }
    Ok(())
}

async fn echo(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Result<(), h2::Error> {
    let frame = read(request.into_body()).await?;
    let mut response = Response::new(());
    let content_type = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    let mut body = respond.send_response(response, false)?;
    body.send_data(frame, false)?;
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    body.send_trailers(trailers)
}

async fn read(mut body: RecvStream) -> Result<Bytes, h2::Error> {
    let mut whole = Bytes::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
        whole = match whole.is_empty() {
            true => chunk,
            false => {
                let mut joined = BytesMut::from(whole);
                joined.extend_from_slice(&chunk);
                joined.freeze()
            }
        };
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{Callers, Requests};
    use crate::harness::{self, Job, Plan, Share, Site};
    use crate::tickets::{Pace, Span, Tickets};
    use crate::workload::put::{Order, Put};
    use crate::workload::{KeyShape, Shape, UnaryJob};
    use std::rc::Rc;
    use std::time::{Duration, Instant};

    fn shape(pace: Pace) -> Shape {
        Shape {
            connections: 2,
            clients: 8,
            pace,
            keys: KeyShape { bytes: 16, space: 100 },
            value_bytes: 100_000, // several frames, more than h2's default windows
        }
    }

    #[test]
    fn every_call_of_a_run_is_counted_on_any_number_of_threads_and_at_any_pace() {
        let site = Site {
            addresses: vec![start(&[]).unwrap().into()],
            processes: Vec::new(),
            placement: Default::default(),
        };
        for (threads, pace) in [(1, Pace::Closed), (3, Pace::Closed), (2, Pace::Open { per_second: 5_000.0 })]
        {
            let plan = Plan { warm_up: Duration::from_millis(1), span: Span::Operations(300), threads };
            let job = UnaryJob { shape: shape(pace), workload: &Put { order: Order::Random } };
            let (load, _) = harness::run(&site, &plan, &job).unwrap();
            assert_eq!((load.operations, load.failures.total()), (300, 0), "{threads} threads, {pace:?}");
            assert_eq!(load.latencies.count(), 300);
            assert!(load.received_bytes > 300 * 100_000);
            let open = matches!(pace, Pace::Open { .. });
            assert_eq!(load.lateness.count(), if open { 300 } else { 0 });
        }
    }

    #[test]
    fn a_server_that_goes_away_is_a_failure_of_each_caller_and_not_a_hang() {
        struct Nothing;
        impl Requests for Nothing {
            fn next(&mut self, _due: Instant) -> Bytes {
                Bytes::from_static(&[0; 5])
            }
        }
        let load = crate::process::block_on(async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(async move {
                let (socket, _) = listener.accept().await.unwrap();
                let mut connection = h2::server::handshake(socket).await.unwrap();
                // Reads one call and hangs up.
                drop(connection.accept().await);
            });
            let requests = (0..4).map(|_| Box::new(Nothing) as Box<dyn Requests>);
            let mut callers = Callers::connect(&[address.into()], 1, "/a/b", requests).await.unwrap();
            callers.run(Rc::new(Tickets::new(Pace::Closed, Span::Stopped))).await
        })
        .unwrap();
        assert_eq!((load.operations, load.failures.total()), (0, 4));
    }

    #[test]
    fn a_job_that_cannot_connect_is_an_error() {
        let job = UnaryJob { shape: shape(Pace::Closed), workload: &Put { order: Order::Random } };
        let nobody = [SocketAddr::from((Ipv4Addr::LOCALHOST, 1)).into()];
        assert!(crate::process::block_on(job.prepare(&nobody, Share::WHOLE)).unwrap().is_err());
    }
}
