//! One connection in its HTTP life: request after request until it ends, or becomes a WebSocket.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use gochat_core::error::{Error, ErrorCode};
use gochat_core::ids::UserId;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tower::Service as _;

use super::addresses::{AddressKey, Slot};
use super::gate::Visitor;
use super::held::{self, Reservation};
use super::linger::linger;
use super::stream::Stream;
use super::upload::Upload;
use super::{Server, admission};
use crate::http::extract::Caller;
use crate::http::middleware;
use crate::http::reply::ApiError;
use crate::metrics as names;
use crate::ws::handshake;
use admission::Entry;

/// Buffer of an HTTP connection; request heads beyond it are refused.
const HTTP_BUFFER: usize = 64 << 10;
/// Longest time a connection without a place of its own may take to send a request's head.
const PASSING_HEAD: Duration = Duration::from_secs(5);
/// Longest life of a connection without a place of its own.
const PASSING_LIFE: Duration = Duration::from_secs(15);
/// Unread bodies up to this size are read away, and the connection goes on.
const SMALL_BODY: u64 = 16 << 10;

/// Serves a connection until it ends, its place is needed, or the server stops.
pub(super) async fn serve<S>(server: Arc<Server>, stream: S, visitor: Arc<Visitor>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = &server.gw.config.connections;
    let mut header_timeout = Duration::from_millis(limits.header_timeout_ms);
    if visitor.is_passing() {
        header_timeout = header_timeout.min(PASSING_HEAD);
    }
    let stream = Stream::new(stream, Duration::from_secs(limits.write_timeout_s.into()));
    let service = service_fn({
        let (server, visitor) = (server.clone(), visitor.clone());
        move |request| answer(server.clone(), visitor.clone(), request)
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .keep_alive(!visitor.is_passing())
        .max_buf_size(HTTP_BUFFER);
    // Boxed: the future is gone after the upgrade and must not be part of anything that stays.
    let mut connection = Box::pin(
        builder
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades(),
    );
    let outcome = tokio::select! {
        outcome = &mut connection => Some(outcome),
        () = visitor.shed() => None,
        () = server.end.cancelled() => None,
        () = tokio::time::sleep(PASSING_LIFE), if visitor.is_passing() => None,
        () = server.stop.cancelled() => {
            Pin::as_mut(&mut connection).graceful_shutdown();
            server.end.run_until_cancelled(&mut connection).await
        }
    };
    if let Some(Err(error)) = &outcome {
        tracing::debug!(%error, peer = %visitor.peer(), "an HTTP connection ended");
    }
    // The peer may still be sending what was refused already: the answer must not be lost by a
    // reset.
    let is_refused = matches!(&outcome, Some(Err(error)) if error.is_parse());
    if (visitor.is_uploading() || is_refused)
        && outcome.is_some()
        && let Some(parts) = Pin::into_inner(connection).into_parts()
    {
        let mut stream = parts.io.into_inner();
        visitor.stop_waiting();
        visitor.wait();
        tokio::select! {
            () = linger(&mut stream, &server.gw.config.http) => {}
            () = visitor.shed() => {}
            () = server.end.cancelled() => {}
        }
    }
    visitor.stop_waiting();
}

/// Answers one request.
async fn answer(
    server: Arc<Server>,
    visitor: Arc<Visitor>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    visitor.stop_waiting();
    visitor.set_uploading(!request.body().is_end_stream());
    let address = server.proxies.client(visitor.peer(), request.headers());
    let trace = middleware::trace_of(request.headers());
    let origin = request.headers().get(header::ORIGIN).cloned();
    let length = request.body().size_hint().exact();
    let about = About {
        server: &server,
        visitor: &visitor,
        key: address.into(),
    };
    let answer = about.admitted(address, &trace, request).await;
    let answer = match answer {
        // The handler saw a body that broke off; what it made of that is not the reason.
        _ if visitor.is_stalled() => Err(stalled()),
        Ok(answer) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => return Ok(answer),
        Ok(answer) => held::hold(&server.budget, about.key, answer).await,
        Err(refused) => Err(refused),
    };
    let mut answer = answer.unwrap_or_else(|refused| {
        middleware::refusal(&server.gw, &refused, &trace, origin.as_ref())
    });
    let is_long = length.is_none_or(|length| length > SMALL_BODY);
    if visitor.is_stalled() || (visitor.is_uploading() && is_long) {
        let close = HeaderValue::from_static("close");
        answer.headers_mut().insert(header::CONNECTION, close);
    }
    visitor.wait();
    Ok(answer)
}

/// The refusal of a body that stopped coming.
fn stalled() -> ApiError {
    let sentence = "The request body stopped coming.";
    ApiError::from(Error::new(ErrorCode::Timeout, sentence))
        .with_status(StatusCode::REQUEST_TIMEOUT)
}

/// What is known of a request before it is read.
struct About<'a> {
    server: &'a Arc<Server>,
    visitor: &'a Arc<Visitor>,
    key: AddressKey,
}

impl About<'_> {
    /// Admits a request, and routes it.
    async fn admitted(
        &self,
        address: std::net::IpAddr,
        trace: &str,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, ApiError> {
        let (gw, visitor) = (&self.server.gw, self.visitor);
        let began = Instant::now();
        let method = middleware::method_name(request.method());
        let (uri, headers) = (request.uri(), request.headers());
        let caller = admission::admit(gw, visitor, address, uri, headers, trace)
            .await
            .inspect_err(|refused| {
                let status = refused.status().as_u16();
                names::http(method, "refused", status, began.elapsed());
            })?;
        if uri.path() == "/ws" {
            let answer = handshake::upgrade(gw, visitor, address, caller, request).await;
            let status = answer
                .as_ref()
                .map_or_else(ApiError::status, Response::status);
            names::http(method, "/ws", status.as_u16(), began.elapsed());
            return answer.inspect_err(|refused| {
                names::count(names::WS_REFUSED, "code", refused.error.code.code());
            });
        }
        let _under_way = self.begin(&caller)?;
        if *request.method() == Method::GET && self.server.budget.is_exhausted(self.key) {
            return Err(held::exhausted());
        }
        let is_known = matches!(caller, Some(Ok(_)));
        let is_door = matches!(Entry::of(uri.path()), Entry::Door(_));
        let reservation = is_known.then(|| self.reserve(request.body())).transpose()?;
        let patience = Duration::from_secs(gw.config.connections.read_timeout_s.into());
        let mut request =
            request.map(|body| Body::new(Upload::new(body, visitor.clone(), patience)));
        request.extensions_mut().insert(Caller {
            address,
            identity: caller,
        });
        let Ok(response) = self.server.router.clone().call(request).await;
        drop(reservation);
        if is_door && response.status() == StatusCode::UNAUTHORIZED {
            gw.limits.charge_guess(address);
        }
        Ok(response)
    }

    /// Counts the request for its account, as long as it is answered.
    fn begin(&self, caller: &admission::Caller) -> Result<Option<Slot<UserId>>, ApiError> {
        let (Some(in_flight), Some(Ok(identity))) = (&self.server.in_flight, caller) else {
            return Ok(None);
        };
        in_flight.enter(identity.user).map(Some).ok_or_else(|| {
            names::count(names::ADMISSION_REFUSED, "limit", "in-flight");
            let sentence = "Your account has as many requests under way as it may.";
            ApiError::from(Error::new(ErrorCode::RateLimited, sentence)).retry_after(1)
        })
    }

    /// Takes room for a body that will be read. Bodies of strangers are small.
    fn reserve(&self, body: &Incoming) -> Result<Option<Reservation>, ApiError> {
        let max = self.server.gw.config.http.max_body_bytes;
        let size = match body.size_hint().upper() {
            Some(size) => usize::try_from(size).unwrap_or(usize::MAX).min(max),
            None => max,
        };
        if size <= held::SMALL {
            return Ok(None);
        }
        self.server.budget.take(self.key, size).map(Some)
    }
}
