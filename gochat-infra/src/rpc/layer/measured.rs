//! Counts and times calls.

use std::borrow::Cow;

use http::{Request, Response};
use metrics::{counter, histogram};
use tokio::time::Instant;
use tonic::Code;
use tonic::body::Body;

use super::{Calls, forward, layer};
use crate::rpc::ended::{End, on_end};

/// The metrics of one side.
pub(crate) struct Side {
    handled: &'static str,
    seconds: &'static str,
}

/// Calls made.
pub(crate) const CLIENT: Side = Side {
    handled: "grpc_client_handled_total",
    seconds: "grpc_client_handling_seconds",
};

/// Calls served.
pub(crate) const SERVER: Side = Side {
    handled: "grpc_server_handled_total",
    seconds: "grpc_server_handling_seconds",
};

layer! {
    /// Counts calls by service, method and code, and times them.
    Measured { side: &'static Side } => Counted
}

impl Measured {
    async fn run<S: Calls>(self, inner: S, request: Request<Body>) -> Response<Body> {
        let mut call = Call {
            side: self.side,
            path: request.uri().path().to_owned(),
            began: Instant::now(),
            over: false,
        };
        // Dropped without an end, the caller went away before there was an answer.
        let response = forward(inner, request).await;
        on_end(response, move |end| call.end(end))
    }
}

struct Call {
    side: &'static Side,
    path: String,
    began: Instant,
    over: bool,
}

impl Call {
    fn end(&mut self, end: End) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        let code = end.code();
        let (service, method) = labels(&self.path, code);
        let labels = [
            ("grpc_service", service.to_string()),
            ("grpc_method", method.to_string()),
        ];
        histogram!(self.side.seconds, &labels).record(self.began.elapsed().as_secs_f64());
        let [service, method] = labels;
        let code = ("grpc_code", name(code).to_owned());
        counter!(self.side.handled, &[service, method, code]).increment(1);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(End::Dropped { heard: false });
    }
}

/// Service and method of a path. What nobody implements has no name here: callers could invent any number of them.
fn labels(path: &str, code: Code) -> (Cow<'_, str>, Cow<'_, str>) {
    let known = path.trim_start_matches('/').split_once('/');
    match known.filter(|_| code != Code::Unimplemented) {
        Some((service, method)) => (service.into(), method.into()),
        None => ("unknown".into(), "unknown".into()),
    }
}

/// The name of a code, as in gRPC's own metrics.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invented_methods_have_no_label_of_their_own() {
        let (service, method) = labels("/a.B/C", Code::Ok);
        assert_eq!((&*service, &*method), ("a.B", "C"));
        let (service, _) = labels("/made.Up/Name", Code::Unimplemented);
        assert_eq!(service, "unknown");
        assert_eq!(labels("nonsense", Code::Ok).0, "unknown");
    }
}
