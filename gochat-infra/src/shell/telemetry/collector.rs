//! The smallest collector: it takes spans over OTLP and keeps them, and draws a trace as a tree. For tests, and to look
//! at a trace without installing anything (`cargo run -p gochat-infra --features otel --example otlp_print`).

use std::fmt::Write as _;
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{self, status};
use parking_lot::Mutex;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

/// A span as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// `service.name` of the process.
    pub service: String,
    /// Id of the trace, 32 digits.
    pub trace: String,
    /// Id of the span, 16 digits.
    pub id: String,
    /// Id of its parent; empty = it is the first.
    pub parent: String,
    /// Name.
    pub name: String,
    /// Unix nanoseconds.
    pub start: u64,
    /// Unix nanoseconds.
    pub end: u64,
    /// Names and values, as text.
    pub attributes: Vec<(String, String)>,
    /// Why it failed.
    pub error: Option<String>,
}

impl Received {
    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let mut all = self.attributes.iter();
        all.find_map(|(key, value)| (key == name).then_some(value.as_str()))
    }
}

/// Keeps what it is sent. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Collector {
    spans: Arc<Mutex<Vec<Received>>>,
}

impl Collector {
    /// Its gRPC service, for [`serve`](fn@crate::rpc::serve).
    pub fn routes(&self) -> Routes {
        Routes::new(TraceServiceServer::new(self.clone()))
    }

    /// Everything that arrived so far.
    pub fn spans(&self) -> Vec<Received> {
        self.spans.lock().clone()
    }

    /// The spans of one trace, the earliest first.
    pub fn trace(&self, id: &str) -> Vec<Received> {
        let mut spans = self.spans();
        spans.retain(|span| span.trace == id);
        spans.sort_by_key(|span| span.start);
        spans
    }

    /// Forgets and gives everything that arrived so far.
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.spans.lock())
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut spans = self.spans.lock();
        for resource in request.into_inner().resource_spans {
            let attributes = resource.resource.map(|r| r.attributes).unwrap_or_default();
            let name = attributes.into_iter().find(|a| a.key == "service.name");
            let service = text(name.and_then(|a| a.value));
            let scopes = resource.scope_spans.into_iter();
            spans.extend(
                scopes
                    .flat_map(|scope| scope.spans)
                    .map(|span| received(&service, span)),
            );
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn received(service: &str, span: v1::Span) -> Received {
    let failed = |status: &v1::Status| status.code == status::StatusCode::Error as i32;
    let attributes = span.attributes.into_iter();
    Received {
        service: service.to_owned(),
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        name: span.name,
        start: span.start_time_unix_nano,
        end: span.end_time_unix_nano,
        attributes: attributes.map(|a| (a.key, text(a.value))).collect(),
        error: span.status.filter(failed).map(|status| status.message),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}

/// Draws the spans of one trace: when each began after the first, how long it took, and what it was.
pub fn tree(spans: &[Received]) -> String {
    let Some(first) = spans.iter().map(|span| span.start).min() else {
        return String::new();
    };
    let mut drawn = format!("trace {}\n     at      took\n", spans[0].trace);
    let known = |id: &str| spans.iter().any(|span| span.id == id);
    for span in spans.iter().filter(|span| !known(&span.parent)) {
        draw(spans, span, first, 0, &mut drawn);
    }
    drawn
}

fn draw(spans: &[Received], span: &Received, first: u64, depth: usize, out: &mut String) {
    let ms = |nanos: u64| nanos as f64 / 1e6;
    let (at, took) = (
        ms(span.start - first),
        ms(span.end.saturating_sub(span.start)),
    );
    let indent = "  ".repeat(depth);
    // Writing to a string can't fail.
    let _ = write!(
        out,
        "{at:7.2} {took:7.2} ms  {indent}{} [{}]",
        span.name, span.service
    );
    for (key, value) in &span.attributes {
        let _ = write!(out, " {key}={value}");
    }
    if let Some(error) = &span.error {
        let _ = write!(out, " FAILED: {error}");
    }
    out.push('\n');
    let mut below: Vec<_> = spans.iter().filter(|s| s.parent == span.id).collect();
    below.sort_by_key(|span| span.start);
    for child in below {
        draw(spans, child, first, depth + 1, out);
    }
}
