//! One connection: HTTP/2 or HTTP/1.1, whichever the client speaks.

use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::Service as _;

use super::config::ServerConfig;
use super::route::App;

/// Buffer of an HTTP/1.1 connection; request heads beyond it are refused.
const HTTP1_BUFFER: usize = 64 << 10;

/// Serves connections. Cheap to clone.
#[derive(Clone)]
pub(super) struct Server {
    app: App,
    http: Builder<TokioExecutor>,
    abort: CancellationToken,
}

impl Server {
    pub(super) fn new(app: App, config: &ServerConfig) -> Self {
        let mut http = Builder::new(TokioExecutor::new());
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(config.max_concurrent_streams)
            .keep_alive_interval(Duration::from_millis(config.keep_alive_ms))
            .keep_alive_timeout(Duration::from_millis(config.keep_alive_timeout_ms));
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_millis(config.handshake_ms))
            .max_buf_size(HTTP1_BUFFER);
        Self {
            app,
            http,
            abort: CancellationToken::new(),
        }
    }

    /// Cuts all connections.
    pub(super) fn abort(&self) {
        self.abort.cancel();
    }

    /// Serves a connection until it ends; after `closing` only the calls on their way.
    pub(super) async fn hold(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        closing: CancellationToken,
    ) {
        let app = self.app.clone();
        let service =
            service_fn(move |request: Request<Incoming>| app.clone().call(request.map(Body::new)));
        let connection = self.http.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let outcome = tokio::select! {
            outcome = connection.as_mut() => outcome,
            () = closing.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    outcome = connection.as_mut() => outcome,
                    () = self.abort.cancelled() => return,
                }
            }
        };
        if let Err(error) = outcome {
            tracing::debug!(error, "a connection ended badly");
        }
    }
}
