//! Carries the trace of a call from process to process; see [`crate::rpc::trace`] for the seam.

use http::{Request, Response};
use tonic::body::Body;
use tracing::Instrument as _;

use super::{Calls, forward, layer};
use crate::rpc::trace;

layer! {
    /// Puts the trace of the call in hand into the headers.
    Outgoing {} => Injecting
}

impl Outgoing {
    async fn run<S: Calls>(self, inner: S, mut request: Request<Body>) -> Response<Body> {
        trace::inject(request.headers_mut());
        forward(inner, request).await
    }
}

layer! {
    /// Runs the call under the trace it came with.
    Incoming {} => Extracting
}

impl Incoming {
    async fn run<S: Calls>(self, inner: S, request: Request<Body>) -> Response<Body> {
        let (id, span) = trace::extract(request.headers(), request.uri().path());
        trace::scope(id, forward(inner, request).instrument(span)).await
    }
}
