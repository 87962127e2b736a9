//! A cloneable connection to a service, whatever lies between.

use std::convert::Infallible;
use std::future::Future;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::body::Body;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};

use super::Local;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Connection to one service. Cheap to clone; generated clients take it by value.
///
/// In process it calls the callee's routes directly: the same encoding, the same interceptors, no
/// socket; and the methods of a [`Local`] without encoding. In a cluster it wraps a balanced HTTP/2
/// channel.
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
    local: Local,
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
            local: Local::default(),
        }
    }

    /// Calls these methods of a callee in the same process directly.
    #[must_use]
    pub fn with_local(mut self, local: Local) -> Self {
        self.local = local;
        self
    }

    /// Calls a method: directly if the callee is in the same process and lists it, else by `far`,
    /// which is a call of a generated client. The deadline is the caller's.
    ///
    /// # Errors
    /// Errors of the method, and of the way to the service.
    pub async fn call<Q, R, F, Fut>(
        &self,
        path: &'static str,
        request: Q,
        far: F,
    ) -> Result<tonic::Response<R>, tonic::Status>
    where
        Q: Send + 'static,
        R: Send + 'static,
        F: FnOnce(Self, Q) -> Fut,
        Fut: Future<Output = Result<tonic::Response<R>, tonic::Status>>,
    {
        // The layers of the long way make the spans of a sampled call.
        let near = self.local.find(path);
        match near.filter(|_| crate::telemetry::current().is_none()) {
            Some(method) => method.call(request).await,
            None => far(self.clone(), request).await,
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
