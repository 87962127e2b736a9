//! Counts and times calls.

use http::{Request, Response};
use tokio::time::Instant;
use tonic::body::Body;

use super::{Calls, forward, layer};
use crate::rpc::ended::{End, on_end};
use crate::rpc::meters::Side;

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
        let seconds = self.began.elapsed().as_secs_f64();
        self.side.note(&self.path, end.code(), seconds);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(End::Dropped { heard: false });
    }
}
