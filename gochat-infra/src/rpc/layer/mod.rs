//! What surrounds every call, one small layer per file.
//!
//! Client: trace → metrics → breaker → deadline → the instances. Server: trace → metrics → deadline → the services.

pub(super) mod breaker;
pub(super) mod deadline;
mod measured;
mod trace;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;

use http::{Request, Response};
use tonic::body::Body;
use tower::{Layer as _, Service};

use crate::rpc::Channel;
use crate::rpc::meters::{CLIENT, SERVER};
use crate::rpc::net::ChannelConfig;

/// What a layer's call returns.
type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// A service that answers every call, failures with a gRPC status.
pub(super) trait Calls:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Calls for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// A layer's service: declares the parts all of them share.
macro_rules! layer {
    ($(#[$doc:meta])* $layer:ident { $($field:ident: $type:ty),* } => $service:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub(crate) struct $layer {
            $(pub(crate) $field: $type,)*
        }

        impl<S> tower::Layer<S> for $layer {
            type Service = $service<S>;

            fn layer(&self, inner: S) -> $service<S> {
                $service { inner, layer: self.clone() }
            }
        }

        /// The layer around a service.
        #[derive(Clone)]
        pub(crate) struct $service<S> {
            inner: S,
            layer: $layer,
        }

        impl<S: crate::rpc::layer::Calls> tower::Service<http::Request<tonic::body::Body>> for $service<S> {
            type Response = http::Response<tonic::body::Body>;
            type Error = std::convert::Infallible;
            type Future = crate::rpc::layer::Answer;

            fn poll_ready(
                &mut self,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Result<(), std::convert::Infallible>> {
                self.inner.poll_ready(cx)
            }

            fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
                // The one that was asked to be ready makes the call.
                let fresh = self.inner.clone();
                let ready = std::mem::replace(&mut self.inner, fresh);
                let layer = self.layer.clone();
                Box::pin(async move { Ok(layer.run(ready, request).await) })
            }
        }
    };
}
use layer;

/// Calls the service within a layer.
async fn forward<S: Calls>(mut inner: S, request: Request<Body>) -> Response<Body> {
    match inner.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// The layers of a client. `broken`: with a breaker.
pub(super) fn client<S: Calls>(calls: S, config: &ChannelConfig, broken: bool) -> Channel {
    let standard = config.deadline();
    let calls = deadline::Deadline {
        standard: Some(standard),
    }
    .layer(calls);
    let measured = measured::Measured { side: &CLIENT };
    let trace = trace::Outgoing {};
    if broken {
        let breakers = config.breakers.clone().unwrap_or_default();
        let calls = breaker::Breaking { breakers }.layer(calls);
        Channel::new(trace.layer(measured.layer(calls)))
    } else {
        Channel::new(trace.layer(measured.layer(calls)))
    }
}

/// The layers around a callee in the same process.
pub(super) fn in_process<S: Calls>(calls: S) -> Channel {
    Channel::new(trace::Outgoing {}.layer(server(calls)))
}

/// The layers of a server.
pub(super) fn server<S: Calls>(calls: S) -> impl Calls {
    let calls = deadline::Deadline { standard: None }.layer(calls);
    let measured = measured::Measured { side: &SERVER };
    trace::Incoming {}.layer(measured.layer(calls))
}
