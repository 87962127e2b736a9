//! Carries the trace of a call from process to process, and makes spans of calls that are sampled.

use http::{Request, Response};
use tonic::Code;
use tonic::body::Body;
use tracing::Instrument as _;

use super::{Calls, forward, layer};
use crate::rpc::ended::{End, on_end};
use crate::rpc::trace;
use crate::telemetry::{self, Context, Kind, Span, TRACEPARENT};

layer! {
    /// Puts the trace of the call in hand into the headers.
    Outgoing {} => Injecting
}

impl Outgoing {
    async fn run<S: Calls>(self, inner: S, mut request: Request<Body>) -> Response<Body> {
        trace::inject(request.headers_mut());
        let Some(parent) = telemetry::current() else {
            return forward(inner, request).await;
        };
        let span = begin(parent, &request, Kind::Client);
        if let Some(value) = span.context().value() {
            request.headers_mut().insert(TRACEPARENT, value);
        }
        let response = forward(inner, request).await;
        on_end(response, move |end| finish(span, end))
    }
}

layer! {
    /// Runs the call under the trace it came with.
    Incoming {} => Extracting
}

impl Incoming {
    async fn run<S: Calls>(self, inner: S, request: Request<Body>) -> Response<Body> {
        let (id, lines) = trace::extract(request.headers(), request.uri().path());
        let Some(parent) = Context::of_call(request.headers()) else {
            return trace::scope(id, forward(inner, request).instrument(lines)).await;
        };
        let span = begin(parent, &request, Kind::Server);
        let context = span.context();
        lines.record(
            "span_id",
            tracing::field::display(format_args!("{:016x}", context.span_id())),
        );
        let call = trace::scope(id, forward(inner, request).instrument(lines));
        let response = telemetry::within(Some(context), call).await;
        on_end(response, move |end| finish(span, end))
    }
}

/// The span of a call, named after its method.
fn begin(parent: Context, request: &Request<Body>, kind: Kind) -> Span {
    let method = request.uri().path().trim_start_matches('/');
    let mut span = Span::child(parent, method.to_owned(), kind);
    span.set("rpc.system", "grpc");
    span
}

fn finish(mut span: Span, end: End) {
    let code = end.code();
    span.set("rpc.grpc.status_code", code as i64);
    match code {
        Code::Ok => span.end(),
        // The sentence of a status may quote what a user sent.
        code => span.fail(code.description()),
    }
}
