//! Spans of calls, as a collector of OpenTelemetry gets them.

use std::collections::BTreeMap;

use hyper::server::conn::http2::Builder;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use proto::etcdserverpb as pb;
use proto::etcdserverpb::kv_client::KvClient;
use testkit::{Server, wait};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status};

use crate::client::{channel, put};
use crate::program;

/// A span of a client, and the trace that it belongs to.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// Hands on what it is sent.
struct Collector(mpsc::UnboundedSender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.send(request.into_inner()).expect("the test lives on");
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// Starts a collector; its address, and what it is sent.
async fn collector() -> (String, mpsc::UnboundedReceiver<ExportTraceServiceRequest>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let (sent, received) = mpsc::unbounded_channel();
    let service = TowerToHyperService::new(TraceServiceServer::new(Collector(sent)));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let connection = Builder::new(TokioExecutor::new());
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), service.clone()));
        }
    });
    (address, received)
}

/// A member that exports, with these flags more.
fn traced(address: &str, extra: &[&str]) -> Server {
    let address = format!("--distributed-tracing-address={address}");
    let flags = ["--enable-distributed-tracing", &address, "--distributed-tracing-service-name=a name"];
    Server::start(&program(), &[&flags, extra].concat())
}

/// The spans that have come when the member has stopped, and what they say of their service.
async fn spans_of(
    mut member: Server,
    received: &mut mpsc::UnboundedReceiver<ExportTraceServiceRequest>,
) -> (Vec<Span>, BTreeMap<String, String>) {
    let stopped = tokio::task::spawn_blocking(move || member.terminate()).await.expect("it stops");
    assert!(!stopped.success(), "by a signal");
    let (mut spans, mut resource) = (Vec::new(), BTreeMap::new());
    while let Ok(request) = received.try_recv() {
        for of_resource in request.resource_spans {
            for attribute in of_resource.resource.expect("a resource").attributes {
                if let Some(Value::StringValue(text)) = attribute.value.and_then(|value| value.value) {
                    resource.insert(attribute.key, text);
                }
            }
            spans.extend(of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
    }
    (spans, resource)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn of_client<T>(message: T, flags: &str) -> Request<T> {
    let mut request = Request::new(message);
    let parent = format!("00-{TRACE}-{PARENT}-{flags}");
    request.metadata_mut().insert("traceparent", parent.parse().expect("ASCII"));
    request
}

/// The span of a call and those of its stages, in the order in which they began.
fn call<'a>(spans: &'a [Span], name: &str) -> (&'a Span, Vec<&'a Span>) {
    let call = spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{name}: {spans:?}"));
    let mut stages: Vec<&Span> = spans.iter().filter(|span| span.parent_span_id == call.span_id).collect();
    stages.sort_by_key(|stage| (stage.start_time_unix_nano, stage.end_time_unix_nano));
    (call, stages)
}

#[tokio::test]
async fn a_call_of_a_span_of_its_client_has_a_span_for_each_stage() {
    let (address, mut received) = collector().await;
    let member = traced(&address, &["--distributed-tracing-instance-id=one"]);
    let mut kv = KvClient::new(channel(&member));
    let request = || pb::PutRequest { key: "key".into(), value: "value".into(), ..pb::PutRequest::default() };
    kv.put(request()).await.expect("a write that nobody traces");
    kv.put(of_client(request(), "00")).await.expect("a write that its client has decided not to trace");
    kv.put(of_client(request(), "01")).await.expect("a write that its client traces");
    let missing =
        pb::PutRequest { ignore_value: true, value: Vec::new().into(), key: "none".into(), ..request() };
    kv.put(of_client(missing, "01")).await.expect_err("there is no such key");
    let range = pb::RangeRequest { key: "key".into(), ..pb::RangeRequest::default() };
    kv.range(of_client(range, "01")).await.expect("a read that its client traces");
    let (spans, resource) = spans_of(member, &mut received).await;
    assert_eq!(resource["service.name"], "a name");
    assert_eq!(resource["service.instance.id"], "one");
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE), "{spans:?}");
    let calls: Vec<&str> =
        spans.iter().filter(|span| hex(&span.parent_span_id) == PARENT).map(|span| &span.name[..]).collect();
    assert_eq!(calls, ["etcdserverpb.KV/Put", "etcdserverpb.KV/Put", "etcdserverpb.KV/Range"]);
    let (put, stages) = call(&spans, "etcdserverpb.KV/Put");
    let names: Vec<&str> = stages.iter().map(|stage| &stage.name[..]).collect();
    assert_eq!(names, ["receive", "authorise", "raft", "apply", "reply"]);
    let (range, stages) = call(&spans, "etcdserverpb.KV/Range");
    let names: Vec<&str> = stages.iter().map(|stage| &stage.name[..]).collect();
    assert_eq!(names, ["receive", "authorise", "read barrier", "reply"]);
    for (call, code) in [(put, 0), (range, 0)] {
        let status = call.attributes.iter().find(|attribute| attribute.key == "rpc.grpc.status_code");
        let value = status.and_then(|status| status.value.clone()?.value);
        assert_eq!(value, Some(Value::IntValue(code)), "{call:?}");
    }
}

#[tokio::test]
async fn calls_of_no_client_that_traces_are_sampled_by_chance() {
    let (address, mut received) = collector().await;
    let member = traced(&address, &["--distributed-tracing-sampling-rate=1000000"]);
    for number in 0..10 {
        put(&member, "key", &number.to_string()).await.expect("a write");
    }
    let (spans, _) = spans_of(member, &mut received).await;
    assert_eq!(spans.iter().filter(|span| span.name == "etcdserverpb.KV/Put").count(), 10);
    assert!(spans.iter().all(|span| span.status.as_ref().is_none_or(|status| status.code == 0)));
}

/// Who traces nothing because the collector is not there serves all the same.
#[tokio::test]
async fn a_collector_that_is_not_there_holds_nobody_up() {
    let address = format!("127.0.0.1:{}", testkit::ports::free_port());
    let mut member = traced(&address, &["--distributed-tracing-sampling-rate=1000000"]);
    for number in 0..10 {
        put(&member, "key", &number.to_string()).await.expect("a write");
    }
    member.signal_terminate();
    wait::until("the member to stop", || member.has_ended().then_some(()));
}
