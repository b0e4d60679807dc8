//! Which calls are sampled, and the way of their spans to the collector.

use std::sync::Arc;
use std::time::Duration;

use engine::spawn;
use http::HeaderMap;
use opentelemetry::KeyValue;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use tokio::sync::oneshot;

use super::CallSpan;
use crate::config::DistributedTracing;

/// How long a member that stops waits for its collector.
const LAST_EXPORT: Duration = Duration::from_secs(2);

/// Bytes of a value of the W3C's headers: a `traceparent` has 55, and of a `tracestate` at least 512 are to be taken.
const CONTEXT_BYTES_MAX: usize = 512;

/// A million samples of a million.
const EVERY_CALL: f64 = 1_000_000.0;

/// Samples calls, and sends their spans to the collector: what waits for it is bounded by the library, and dropped beyond that.
#[derive(Debug)]
pub(crate) struct Spans {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    propagator: TraceContextPropagator,
    /// Ends the thread of the connection when it is dropped.
    _connection: oneshot::Sender<()>,
}

/// Why there can be no spans.
#[derive(Debug, thiserror::Error)]
pub enum SpansError {
    /// The address of the collector is none.
    #[error("--distributed-tracing-address: {0}")]
    Address(#[from] ExporterBuildError),
    /// There is no thread for the connection.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

impl Spans {
    /// Starts to export as the flags say. Whether the collector is there shows later, and keeps nobody from being served.
    ///
    /// # Errors
    /// [`SpansError`].
    pub(crate) fn start(settings: &DistributedTracing) -> Result<Arc<Self>, SpansError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let exporter = {
            // The connection lives on this runtime, whichever thread exports.
            let _entered = runtime.enter();
            let endpoint = format!("http://{}", settings.address);
            SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?
        };
        let (connection, is_over) = oneshot::channel::<()>();
        spawn::thread("spans", move || {
            // An error: who held the other end is gone, which is what is waited for.
            let _ = runtime.block_on(is_over);
        })?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource(settings))
            .with_sampler(sampler(settings.sampling_rate))
            .build();
        tracing::debug!(
            address = settings.address,
            "service-name" = settings.service_name,
            "service-instance-id" = settings.instance_id,
            "sampling-rate" = settings.sampling_rate,
            "distributed tracing enabled"
        );
        let tracer = provider.tracer("quorate");
        Ok(Arc::new(Self {
            provider,
            tracer,
            propagator: TraceContextPropagator::new(),
            _connection: connection,
        }))
    }

    /// Begins the span of a call with these headers; `None` if it is not sampled.
    pub(crate) fn begin(&self, service: &str, method: &str, headers: &HeaderMap) -> Option<CallSpan> {
        let parent = self.propagator.extract(&Headers(headers));
        CallSpan::begin(&self.tracer, &parent, service, method)
    }
}

impl Drop for Spans {
    fn drop(&mut self) {
        if let Err(error) = self.provider.shutdown_with_timeout(LAST_EXPORT) {
            tracing::warn!(error = %error, "the last spans were not sent");
        }
    }
}

fn resource(settings: &DistributedTracing) -> Resource {
    let resource = Resource::builder_empty().with_service_name(settings.service_name.clone());
    // Ids are unique, so none is better than an empty one.
    let id = Some(&settings.instance_id).filter(|id| !id.is_empty());
    resource.with_attributes(id.map(|id| KeyValue::new("service.instance.id", id.clone()))).build()
}

/// What a client has decided counts; a call without a client's span is sampled with this chance of a million.
fn sampler(rate: u32) -> Sampler {
    let own =
        if rate == 0 { Sampler::AlwaysOff } else { Sampler::TraceIdRatioBased(f64::from(rate) / EVERY_CALL) };
    Sampler::ParentBased(Box::new(own))
}

/// The headers of a request, as the library reads them.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    /// A longer value than the standard asks for is none: the library takes it apart before it looks at it.
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok().filter(|value| value.len() <= CONTEXT_BYTES_MAX)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}
