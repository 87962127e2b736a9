//! Serves gRPC, and beside it HTTP/1.1 for probes and scrapers, on one port.

mod config;
mod connection;
mod route;
mod unix;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use gochat_core::error::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use config::{ServeError, ServerConfig};
pub use route::Services;
pub use unix::serve_unix;

use crate::rpc::tls::Acceptor;
use connection::Server;

/// The pause after a connection could not be accepted, because files ran out.
const PAUSE: Duration = Duration::from_millis(5);

/// Serves until `shutdown`, then lets calls on their way finish for as long as the configuration says.
///
/// Health says "not serving" from the shutdown on, so that callers move on before their connections end.
///
/// ```no_run
/// # async fn demo(routes: tonic::service::Routes) -> Result<(), Box<dyn std::error::Error>> {
/// use gochat_infra::rpc::{ServerConfig, serve};
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:9002").await?;
/// let shutdown = tokio_util::sync::CancellationToken::new();
/// serve(listener, routes, ServerConfig::default(), shutdown).await?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// A configuration that must not or can't be served, see [`ServerConfig::check`].
pub async fn serve(
    listener: TcpListener,
    services: impl Into<Services>,
    config: ServerConfig,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    config.check(listener.local_addr().map_err(ServeError::Listener)?)?;
    let tls = config.tls.as_ref().map(Acceptor::new).transpose();
    let tls = tls.map_err(|Error { message, .. }| ServeError::Tls(message.into_owned()))?;
    let (draining, health) = watch::channel(false);
    let server = services
        .into()
        .build(health)
        .map(|app| Server::new(app, &config))?;

    let tracker = TaskTracker::new();
    let closing = CancellationToken::new();
    let accepting = accept_all(
        &listener,
        &server,
        tls.as_ref(),
        &config,
        &tracker,
        &closing,
    );
    let reloading = async {
        match &tls {
            Some(tls) => tls.reload().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = accepting => {}
        () = reloading => {}
    }
    draining.send_replace(true);
    drop(listener);
    closing.cancel();
    tracker.close();
    let patience = Duration::from_millis(config.drain_ms);
    if timeout(patience, tracker.wait()).await.is_err() {
        tracing::warn!(
            connections = tracker.len(),
            "connections were cut after the drain time"
        );
        server.abort();
        tracker.wait().await;
    }
    Ok(())
}

async fn accept_all(
    listener: &TcpListener,
    server: &Server,
    tls: Option<&Acceptor>,
    config: &ServerConfig,
    tracker: &TaskTracker,
    closing: &CancellationToken,
) {
    let permits = Arc::new(Semaphore::new(config.max_connections.max(1)));
    let hello = Duration::from_millis(config.handshake_ms);
    loop {
        let (stream, permit) = match accept(listener, &permits).await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (server, tls, closing) = (server.clone(), tls.cloned(), closing.clone());
        tracker.spawn(async move {
            match tls {
                Some(tls) => match timeout(hello, tls.accept(stream)).await {
                    Ok(Ok(stream)) => server.hold(stream, closing).await,
                    Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                    Err(_) => tracing::debug!("a TLS handshake took too long"),
                },
                None => server.hold(stream, closing).await,
            }
            drop(permit);
        });
    }
}

/// Accepts while there is room; more connections wait in the kernel.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let permit = permits.clone().acquire_owned().await;
    let permit = permit.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, permit))
}
