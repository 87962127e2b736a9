//! Our spans as OpenTelemetry's.

use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use crate::telemetry::{Finished, Kind, Value};

/// Makes exportable spans.
pub(super) struct Converter {
    scope: InstrumentationScope,
}

impl Converter {
    pub(super) fn new() -> Self {
        let scope = InstrumentationScope::builder("gochat")
            .with_version(crate::shell::build::VERSION)
            .build();
        Self { scope }
    }

    pub(super) fn span(&self, span: Finished) -> SpanData {
        let status = match span.error {
            Some(why) => Status::error(why),
            None => Status::Unset,
        };
        let attributes = span.attributes.into_iter();
        SpanData {
            span_context: SpanContext::new(
                TraceId::from(span.context.trace_id()),
                SpanId::from(span.context.span_id()),
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent_span_id: SpanId::from(span.parent),
            parent_span_is_remote: matches!(span.kind, Kind::Server | Kind::Consumer),
            span_kind: kind(span.kind),
            name: span.name,
            start_time: span.start,
            end_time: span.end,
            attributes: attributes.map(|(name, value)| pair(name, value)).collect(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status,
            instrumentation_scope: self.scope.clone(),
        }
    }
}

fn kind(kind: Kind) -> SpanKind {
    match kind {
        Kind::Internal => SpanKind::Internal,
        Kind::Server => SpanKind::Server,
        Kind::Client => SpanKind::Client,
        Kind::Producer => SpanKind::Producer,
        Kind::Consumer => SpanKind::Consumer,
    }
}

fn pair(name: &'static str, value: Value) -> KeyValue {
    match value {
        Value::Text(text) => KeyValue::new(name, text),
        Value::Number(number) => KeyValue::new(name, number),
    }
}
