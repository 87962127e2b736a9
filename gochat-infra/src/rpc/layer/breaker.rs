//! One breaker per method.

use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;

use super::{Calls, forward, layer};
use crate::rpc::breakers::Breakers;
use crate::rpc::ended::on_end;

layer! {
    /// Refuses calls of methods that keep failing, with `UNAVAILABLE`.
    Breaking { breakers: Breakers } => Broken
}

impl Breaking {
    async fn run<S: Calls>(self, inner: S, request: Request<Body>) -> Response<Body> {
        let method = request.uri().path().trim_start_matches('/');
        let Some(permit) = self.breakers.admit(method) else {
            return Status::unavailable("breaker open").into_http();
        };
        // A caller that goes away drops the permit: abandoned.
        let response = forward(inner, request).await;
        on_end(response, move |end| permit.record(end.outcome()))
    }
}
