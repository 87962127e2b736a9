//! Sends each call to an instance.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use super::pool::Pool;
use crate::rpc::layer::breaker::Note;

/// Instances tried for a request that could not be sent.
const TRIES: usize = 8;

/// The service at the bottom of a channel. Failures are answers with a gRPC status.
#[derive(Clone)]
pub(super) struct Balance {
    pool: Arc<Pool>,
    only: Option<Arc<str>>,
}

impl Balance {
    /// Any instance.
    pub(super) fn any(pool: Arc<Pool>) -> Self {
        Self { pool, only: None }
    }

    /// This instance only.
    pub(super) fn only(pool: Arc<Pool>, name: Arc<str>) -> Self {
        let only = Some(name);
        Self { pool, only }
    }

    async fn send(self, mut request: Request<Body>) -> Response<Body> {
        for _ in 0..TRIES {
            let chosen = match self.pool.pick(self.only.as_deref()).await {
                Ok(chosen) => chosen,
                Err(status) => return status.into_http(),
            };
            if let Some(note) = request.extensions().get::<Note>() {
                note.sent(chosen.others);
            }
            match chosen.endpoint.send(request).await {
                Ok(response) => return response,
                // Its connection ended before the request left.
                Err(unsent) => request = unsent,
            }
        }
        Status::unavailable("every connection ended before the request left").into_http()
    }
}

impl Service<Request<Body>> for Balance {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { Ok(this.send(request).await) })
    }
}
