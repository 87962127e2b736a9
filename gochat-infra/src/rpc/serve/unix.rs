//! Serves gRPC on a socket in the file system, for callers on the same machine.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::Server;
use super::{PAUSE, ServeError, ServerConfig, Services};

/// Serves until `shutdown`, then lets calls on their way finish for as long as the configuration
/// says. Who may connect is decided by the permissions of the socket's file; `tls` and `insecure`
/// of the configuration are not looked at.
///
/// # Errors
/// Services that can't be put together.
pub async fn serve_unix(
    listener: UnixListener,
    services: impl Into<Services>,
    config: ServerConfig,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let (draining, health) = watch::channel(false);
    let server = Server::new(services.into().build(health)?, &config);
    let tracker = TaskTracker::new();
    let closing = CancellationToken::new();
    let permits = Arc::new(Semaphore::new(config.max_connections.max(1)));
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = async {
                let permit = Arc::clone(&permits).acquire_owned().await;
                (permit, listener.accept().await)
            } => accepted,
        };
        let (permit, stream) = match accepted {
            (permit, Ok((stream, _))) => (permit, stream),
            (_, Err(error)) => {
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (server, closing) = (server.clone(), closing.clone());
        tracker.spawn(async move {
            server.hold(stream, closing).await;
            drop(permit);
        });
    }
    draining.send_replace(true);
    drop(listener);
    closing.cancel();
    tracker.close();
    if timeout(Duration::from_millis(config.drain_ms), tracker.wait())
        .await
        .is_err()
    {
        server.abort();
        tracker.wait().await;
    }
    Ok(())
}
