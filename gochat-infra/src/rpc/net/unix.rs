//! A channel over a socket in the file system.

use std::convert::Infallible;
use std::path::Path;

use gochat_core::error::{Error, ErrorCode, Result};
use http::uri::{Authority, Scheme};
use http::{Request, Uri};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixStream;
use tonic::Status;
use tonic::body::Body;

use crate::rpc::Channel;

/// A channel over one connection to a socket; it is not opened again when the server ends.
///
/// # Errors
/// `SERVICE_UNAVAILABLE` when nothing listens there, with a sentence that names the path.
pub async fn over_unix(path: &Path) -> Result<Channel> {
    let away = |error: &dyn std::fmt::Display| {
        Error::new(
            ErrorCode::ServiceUnavailable,
            format!("{}: {error}", path.display()),
        )
    };
    let stream = UnixStream::connect(path).await.map_err(|e| away(&e))?;
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .map_err(|e| away(&e))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection to a socket ended badly");
        }
    });
    Ok(Channel::new(tower::service_fn(
        move |request: Request<Body>| {
            let mut sender = sender.clone();
            async move {
                Ok::<_, Infallible>(match sender.send_request(addressed(request)).await {
                    Ok(response) => response.map(Body::new),
                    Err(error) => Status::unavailable(error.to_string()).into_http(),
                })
            }
        },
    )))
}

/// HTTP/2 wants to know whom a request is for; on a socket there is only one.
fn addressed(mut request: Request<Body>) -> Request<Body> {
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(Authority::from_static("localhost"));
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    request
}
