//! What is served: gRPC services with health and reflection, and a router for everything else.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use http::header::CONTENT_TYPE;
use http::{Request, Response, StatusCode};
use tokio::sync::watch;
use tonic::body::Body;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower::Service;
use tower::util::BoxCloneSyncService;

use super::ServeError;
use crate::rpc::layer;

/// The services of a port.
#[derive(Default)]
pub struct Services {
    routes: Routes,
    http: Option<Router>,
    ready: Option<watch::Receiver<bool>>,
    reflection: bool,
}

impl Services {
    /// These gRPC services, with `grpc.health.v1`.
    pub fn new(routes: Routes) -> Self {
        Self {
            routes,
            ..Self::default()
        }
    }

    /// Answers requests that are not gRPC, such as `/health` and `/metrics` over HTTP/1.1. Without it they get 404.
    #[must_use]
    pub fn http(mut self, router: Router) -> Self {
        self.http = Some(router);
        self
    }

    /// Health follows this. Without it the services are healthy from the first moment until the shutdown.
    #[must_use]
    pub fn ready(mut self, ready: watch::Receiver<bool>) -> Self {
        self.ready = Some(ready);
        self
    }

    /// Adds reflection over all of GoChat's services.
    #[must_use]
    pub fn reflection(mut self) -> Self {
        self.reflection = true;
        self
    }

    /// The application; `draining` becomes true when the server stops.
    pub(super) fn build(self, draining: watch::Receiver<bool>) -> Result<App, ServeError> {
        let (reporter, health) = tonic_health::server::health_reporter();
        let mut routes = self.routes.add_service(health);
        if self.reflection {
            let reflection = tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(gochat_proto::FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                .build_v1()
                .map_err(|error| ServeError::Reflection(error.to_string()))?;
            routes = routes.add_service(reflection);
        }
        // Ends with the server, whose handle the sender of `draining` is.
        tokio::spawn(report(reporter, self.ready, draining));
        Ok(App {
            grpc: BoxCloneSyncService::new(layer::server(routes.prepare())),
            http: self.http.map(|router| router.with_state(())),
        })
    }
}

impl From<Routes> for Services {
    fn from(routes: Routes) -> Self {
        Self::new(routes)
    }
}

/// Keeps the health of the server up to date.
async fn report(
    reporter: HealthReporter,
    mut ready: Option<watch::Receiver<bool>>,
    mut draining: watch::Receiver<bool>,
) {
    loop {
        let well = ready
            .as_mut()
            .is_none_or(|ready| *ready.borrow_and_update());
        let stopping = *draining.borrow_and_update();
        let status = if well && !stopping {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        reporter.set_service_status("", status).await;
        let changed = async {
            match &mut ready {
                Some(ready) => ready.changed().await.is_ok(),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            told = changed => {
                if !told {
                    // Nobody reports any more: the last word stays.
                    let last = ready.take().is_none_or(|ready| *ready.borrow());
                    if !last {
                        return;
                    }
                }
            }
            told = draining.changed() => {
                if told.is_err() {
                    return;
                }
            }
        }
    }
}

/// Everything a connection may ask for.
#[derive(Clone)]
pub(super) struct App {
    grpc: BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>,
    http: Option<Router>,
}

impl Service<Request<Body>> for App {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if is_grpc(&request) {
            // Routes and layers are always ready.
            return Box::pin(self.grpc.call(request));
        }
        match self.http.clone() {
            Some(mut router) => Box::pin(async move {
                let answer = router.call(request).await;
                answer.map(|response| response.map(Body::new))
            }),
            None => Box::pin(async {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::NOT_FOUND;
                Ok(response)
            }),
        }
    }
}

fn is_grpc(request: &Request<Body>) -> bool {
    let kind = request.headers().get(CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}
