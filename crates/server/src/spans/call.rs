//! The span of one call, and those of its stages.

use std::time::{Instant, SystemTime};

use engine::timing::Timing;
use opentelemetry::trace::{Span as _, SpanKind, Status as SpanStatus, TraceContextExt, Tracer as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, Span};
use tonic::Code;

/// The span of a call that is sampled. It ends with the last clone.
#[derive(Debug, Clone)]
pub(crate) struct CallSpan {
    tracer: SdkTracer,
    context: Context,
}

tokio::task_local! {
    /// The span of the call that this task serves at the moment.
    static CURRENT: Option<CallSpan>;
}

/// Serves a call; what it awaits are stages of this span.
pub(crate) fn within<F: Future>(span: Option<CallSpan>, call: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(span, call)
}

fn current() -> Option<CallSpan> {
    CURRENT.try_with(Clone::clone).ok().flatten()
}

/// Returns whether the call that this task serves is sampled.
pub(crate) fn is_wanted() -> bool {
    CURRENT.try_with(Option::is_some).unwrap_or(false)
}

/// Begins a stage of the call that this task serves; it ends when what is returned is dropped. `None`: the call is not sampled.
pub(crate) fn stage(name: &'static str) -> Option<Span> {
    let CallSpan { tracer, context } = current()?;
    Some(tracer.start_with_context(name, &context))
}

/// Notes the stages of a command that was proposed at `proposed`, whose answer has just come.
pub(crate) fn command_stages(proposed: Instant, timing: &Timing) {
    let Some(span) = current() else { return };
    match timing.applied() {
        Some((began, ended)) => {
            span.past_stage("raft", proposed, began);
            span.past_stage("apply", began, ended);
        }
        // It was refused, or is not known to be applied.
        None => span.past_stage("raft", proposed, Instant::now()),
    }
}

impl CallSpan {
    /// Begins the span of a call of this name, below the span that its client has named; `None` if it is not sampled.
    pub(super) fn begin(tracer: &SdkTracer, parent: &Context, service: &str, method: &str) -> Option<Self> {
        let attributes = [
            KeyValue::new("rpc.system", "grpc"),
            KeyValue::new("rpc.service", service.to_owned()),
            KeyValue::new("rpc.method", method.to_owned()),
        ];
        let builder = tracer.span_builder(format!("{service}/{method}"));
        let builder = builder.with_kind(SpanKind::Server).with_attributes(attributes);
        let span = builder.start_with_context(tracer, parent);
        let is_sampled = span.is_recording();
        is_sampled.then(|| Self { tracer: tracer.clone(), context: parent.with_span(span) })
    }

    /// Ends the span with the code of the answer.
    pub(crate) fn end(&self, code: Code) {
        let span = self.context.span();
        span.set_attribute(KeyValue::new("rpc.grpc.status_code", i64::from(code as i32)));
        if is_fault_of_server(code) {
            span.set_status(SpanStatus::error(code.description()));
        }
        span.end();
    }

    fn past_stage(&self, name: &'static str, from: Instant, to: Instant) {
        let (now, clock) = (SystemTime::now(), Instant::now());
        let time_of = |then: Instant| now - clock.saturating_duration_since(then);
        let builder = self.tracer.span_builder(name).with_start_time(time_of(from));
        builder.start_with_context(&self.tracer, &self.context).end_with_timestamp(time_of(to));
    }
}

/// Returns whether a code makes the span of a server an error (OpenTelemetry's conventions for gRPC): the others are the
/// caller's doing.
fn is_fault_of_server(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}
