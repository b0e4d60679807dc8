//! How much memory a server has, as its metrics say.

use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tonic::body::Body;

use crate::ctl::connect::{Channel, Session};

/// The metric. Its unit is bytes.
const RESIDENT: &str = "process_resident_memory_bytes";

const PATH: &str = "/metrics";

/// Returns the resident memory of the server at `endpoint`, in bytes.
///
/// # Errors
/// What is wrong with its metrics, in etcdctl's words.
pub(super) async fn resident_bytes(session: &Session, endpoint: &str) -> Result<f64, String> {
    let fetched = match endpoint.strip_prefix("https://") {
        Some(_) => fetch_encrypted(session, endpoint).await,
        None => fetch(endpoint.trim_start_matches("http://")).await,
    };
    let text = fetched.map_err(|error| format!("fetch error: {error}"))?;
    parse(&text)
}

/// Reads the metrics over HTTP/1.1. Without encryption, etcd takes everything that is HTTP/2 for gRPC.
async fn fetch(address: &str) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(PATH).header("host", address).body(Empty::<Bytes>::new())?;
    // The connection is driven until the answer is read, and dropped then.
    let answer = async {
        let body = sender.send_request(request).await?.into_body();
        Ok::<_, hyper::Error>(body.collect().await?.to_bytes())
    };
    let body = tokio::select! {
        body = answer => body?,
        ended = connection => return Err(ended.err().map_or_else(|| "connection closed".into(), Into::into)),
    };
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// Reads the metrics over the connection of the client: with encryption, calls and metrics share HTTP/2.
async fn fetch_encrypted(
    session: &Session,
    endpoint: &str,
) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let mut channel: Channel = session.client.at(endpoint).channel();
    let request = tonic::codegen::http::Request::get(format!("{endpoint}{PATH}")).body(Body::empty())?;
    std::future::poll_fn(|context| tower_service::Service::poll_ready(&mut channel, context)).await?;
    let answer = tower_service::Service::call(&mut channel, request).await?;
    let body = answer.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&body).into_owned())
}

fn parse(text: &str) -> Result<f64, String> {
    let value = text.lines().find_map(|line| line.strip_prefix(RESIDENT)?.strip_prefix(' '));
    let value = value.ok_or_else(|| format!("could not find: {RESIDENT}"))?;
    value.trim().parse().map_err(|error| format!("parse error: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metric_is_found_among_others() {
        let text = "# HELP process_resident_memory_bytes Resident memory.\n# TYPE process_resident_memory_bytes gauge\n\
                    process_resident_memory_bytes_max 1\nprocess_resident_memory_bytes 4.2319872e+07\n";
        assert_eq!(parse(text), Ok(42_319_872.0));
        assert_eq!(parse("go_info 1\n"), Err("could not find: process_resident_memory_bytes".to_owned()));
        assert!(parse("process_resident_memory_bytes much\n").unwrap_err().starts_with("parse error: "));
    }
}
