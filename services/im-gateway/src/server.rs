//! The listener: accepts, bounds, and serves HTTP/1.1 connections that may become WebSockets.

mod gate;
mod places;

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;

use crate::config::Connections;
use crate::http::{extract::Caller, middleware};
use crate::metrics as names;
use crate::state::Gw;
use crate::tls::Edge;
use crate::ws::handshake;
use gate::Gate;
pub(crate) use gate::Visitor;
pub(crate) use places::Place;
use places::Places;

/// Buffer of an HTTP connection; request heads beyond it are refused.
const HTTP_BUFFER: usize = 64 << 10;

/// Longest a connection without a place of its own may take to send a request's head.
const PASSING_HEAD: Duration = Duration::from_secs(5);

/// Opens the listening socket.
///
/// # Errors
/// The address is taken or not ours.
pub(crate) fn listen(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(backlog)
}

/// Accepts until told to stop, then lets requests in progress finish.
pub(crate) async fn run(
    gw: Gw,
    listener: TcpListener,
    router: Router,
    tls: Option<Arc<Edge>>,
    stop: CancellationToken,
) {
    let limits = gw.config.connections.clone();
    let places = Places::new(&limits);
    let gate = Gate::new(limits.max_unauthenticated);
    let tracker = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = places.accept(&listener) => accepted,
        };
        match accepted {
            Ok((stream, peer, place)) => {
                let visitor = gate.enter(peer, place);
                let (gw, router, stop) = (gw.clone(), router.clone(), stop.clone());
                match &tls {
                    None => tracker.spawn(serve(gw, router, stream, visitor, stop)),
                    Some(edge) => {
                        let edge = edge.clone();
                        tracker.spawn(secure(edge, gw, router, stream, visitor, stop))
                    }
                };
            }
            Err(error) => {
                // Out of files, or the client gave up already: neither ends the listener.
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    drop(listener);
    tracker.close();
    tracker.wait().await;
}

/// Serves a connection under TLS. While it shakes hands it is a stranger among strangers.
async fn secure(
    edge: Arc<Edge>,
    gw: Gw,
    router: Router,
    stream: TcpStream,
    visitor: Arc<Visitor>,
    stop: CancellationToken,
) {
    let secured = tokio::select! {
        secured = Box::pin(edge.accept(stream)) => secured,
        () = visitor.shed() => None,
        () = stop.cancelled() => None,
    };
    // The certificate may be renewed many times before this connection ends.
    drop(edge);
    match secured {
        Some(stream) => serve(gw, router, stream, visitor, stop).await,
        None => visitor.stop_waiting(),
    }
}

async fn serve<S>(gw: Gw, router: Router, stream: S, visitor: Arc<Visitor>, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut header_timeout = Duration::from_millis(gw.config.connections.header_timeout_ms);
    if visitor.is_passing() {
        header_timeout = header_timeout.min(PASSING_HEAD);
    }
    let service = service_fn({
        let visitor = visitor.clone();
        move |request| answer(gw.clone(), router.clone(), visitor.clone(), request)
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
        outcome = &mut connection => outcome,
        () = visitor.shed() => Ok(()),
        () = stop.cancelled() => {
            std::pin::Pin::as_mut(&mut connection).graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, peer = %visitor.peer(), "an HTTP connection ended");
    }
    visitor.stop_waiting();
}

async fn answer(
    gw: Gw,
    mut router: Router,
    visitor: Arc<Visitor>,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    visitor.stop_waiting();
    let address = client_address(&gw.config.connections, visitor.peer(), request.headers());
    let response = if request.uri().path() == "/ws" {
        let (began, trace) = (Instant::now(), middleware::trace_of(request.headers()));
        let method = middleware::method_name(request.method());
        let answer = match handshake::upgrade(&gw, &visitor, address, request).await {
            Ok(response) => response,
            Err(refused) => {
                names::count(names::WS_REFUSED, "code", refused.error.code.code());
                middleware::refusal(&refused, &trace)
            }
        };
        names::http(method, "/ws", answer.status().as_u16(), began.elapsed());
        answer
    } else {
        request.extensions_mut().insert(Caller {
            address,
            visitor: visitor.clone(),
        });
        let Ok(response) = router.call(request).await;
        response
    };
    visitor.wait();
    Ok(response)
}

/// Who the request comes from: the peer, or what trusted proxies say about it.
fn client_address(limits: &Connections, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    if !limits.trusted_proxies.contains(&peer.to_canonical()) {
        return peer;
    }
    // From the right: every trusted proxy appended who it saw; the first stranger is the client.
    let hops = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok());
    let hops: Vec<_> = hops
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    hops.iter()
        .rev()
        .map_while(|hop| hop.parse::<IpAddr>().ok())
        .find(|hop| !limits.trusted_proxies.contains(&hop.to_canonical()))
        .unwrap_or(peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarded_addresses_are_believed_from_trusted_proxies_only() {
        let proxy: IpAddr = "10.0.0.1".parse().unwrap();
        let limits = Connections {
            trusted_proxies: vec![proxy],
            ..Connections::default()
        };
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", "6.6.6.6, 1.2.3.4".parse().unwrap());
        headers.append("x-forwarded-for", "10.0.0.1".parse().unwrap());
        let seen =
            |peer: &str| client_address(&limits, peer.parse().unwrap(), &headers).to_string();
        assert_eq!(seen("10.0.0.1"), "1.2.3.4");
        assert_eq!(seen("9.9.9.9"), "9.9.9.9");
    }
}
