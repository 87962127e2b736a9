//! A cloneable connection to a service, whatever lies between.

use std::convert::Infallible;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::body::Body;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Connection to one service. Cheap to clone; generated clients take it by value.
///
/// In process it calls the callee's routes directly: the same encoding, the same
/// interceptors, no socket. In a cluster it wraps a balanced HTTP/2 channel.
///
/// ```no_run
/// use gochat_infra::rpc::Channel;
/// use gochat_proto::im::repo::v1::user_service_client::UserServiceClient;
/// # fn demo(routes: tonic::service::Routes) {
/// let client = UserServiceClient::new(Channel::in_process(routes));
/// # let _ = client;
/// # }
/// ```
#[derive(Clone)]
pub struct Channel {
    inner: BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>,
}

impl Channel {
    /// Calls `routes` directly. With the feature `grpc` calls are traced and counted as over the network.
    #[cfg(feature = "grpc")]
    pub fn in_process(routes: tonic::service::Routes) -> Self {
        super::layer::in_process(routes.prepare())
    }

    /// Calls `routes` directly. With the feature `grpc` calls are traced and counted as over the network.
    #[cfg(not(feature = "grpc"))]
    pub fn in_process(routes: tonic::service::Routes) -> Self {
        Self::new(routes.prepare())
    }

    /// Wraps any service that speaks gRPC over `http` types.
    pub fn new<S, E>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = E>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
        E: Into<BoxError> + 'static,
    {
        Self {
            inner: BoxCloneSyncService::new(service.map_err(Into::into)),
        }
    }

    /// A channel to nowhere: every call answers `UNAVAILABLE`. For optional callees.
    pub fn unavailable(reason: &'static str) -> Self {
        Self::new(tower::service_fn(move |_: Request<Body>| async move {
            Ok::<_, Infallible>(tonic::Status::unavailable(reason).into_http())
        }))
    }
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Channel")
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = <BoxCloneSyncService<Request<Body>, Response<Body>, BoxError> as Service<
        Request<Body>,
    >>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.inner.call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_channel_to_nowhere_answers_unavailable() {
        let channel = Channel::unavailable("switched off");
        let response = channel.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.headers()["grpc-status"], "14");
    }
}
