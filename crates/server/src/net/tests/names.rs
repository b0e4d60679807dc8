//! Who a client is by its certificate, and where it is.

use super::*;
use crate::tls::{CertificateName, OfThisMachine};

/// Answers with the name that the request carries.
async fn name_of(request: Request<Incoming>) -> Response<ResponseBody> {
    let name = request.extensions().get::<CertificateName>().map_or("nobody", CertificateName::as_str);
    Response::new(ResponseBody::Full(Some(Bytes::copy_from_slice(name.as_bytes()))))
}

#[tokio::test]
async fn every_request_carries_the_name_that_its_connection_has_proved_and_none_that_it_says() {
    for (proved, carried) in [(Some("alice"), "alice"), (None, "nobody")] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let (_keep, stop) = watch::channel(false);
        let (not_told, _) = mpsc::channel(1);
        let terms = Terms::new(settings(HOUR), Budgets::default());
        let name = proved.map(CertificateName::named);
        tokio::spawn(connection::serve(stream.into(), name, terms, Arc::new(name_of), stop, not_told));
        for last in ["keep-alive", "close"] {
            let head =
                format!("GET / HTTP/1.1\r\nHost: x\r\nCertificate-Name: root\r\nConnection: {last}\r\n\r\n");
            client.write_all(head.as_bytes()).await.unwrap();
        }
        let mut answers = String::new();
        client.read_to_string(&mut answers).await.unwrap();
        assert_eq!(answers.matches(carried).count(), 2, "{answers}");
    }
}

/// Answers whether the request is marked as one from this machine.
async fn place_of(request: Request<Incoming>) -> Response<ResponseBody> {
    let is_here = request.extensions().get::<OfThisMachine>().is_some();
    Response::new(ResponseBody::Full(Some(Bytes::from_static(if is_here { b"here" } else { b"elsewhere" }))))
}

#[tokio::test]
async fn a_request_over_loopback_is_marked() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let (_keep, stop) = watch::channel(false);
    let (not_told, _) = mpsc::channel(1);
    let terms = Terms::new(settings(HOUR), Budgets::default());
    tokio::spawn(connection::serve(stream.into(), None, terms, Arc::new(place_of), stop, not_told));
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("\r\n\r\nhere"), "{answer}");
}
