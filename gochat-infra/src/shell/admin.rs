//! The small HTTP server beside a service: health and metrics.

use std::net::SocketAddr;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A bound server that does not serve yet.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    addr: SocketAddr,
}

impl Admin {
    /// Binds an address; port 0 takes any free one.
    ///
    /// # Errors
    /// A sentence that names the address.
    pub async fn bind(
        listen: impl tokio::net::ToSocketAddrs + std::fmt::Display,
    ) -> Result<Self, String> {
        let failed = |e: std::io::Error| crate::os::explain("listen on", &listen, &e);
        let listener = TcpListener::bind(&listen).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, addr })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `stop`.
    ///
    /// # Errors
    /// When accepting fails for good.
    pub async fn run(self, routes: Router, stop: CancellationToken) -> Result<(), String> {
        axum::serve(self.listener, routes)
            // A prober that keeps its connection open must not hold up the stop of the process.
            .with_graceful_shutdown(stop.cancelled_owned())
            .await
            .map_err(|e| e.to_string())
    }
}
