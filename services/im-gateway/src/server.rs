//! The listener: accepts, bounds, and serves HTTP/1.1 connections that may become WebSockets.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;

use crate::config::Connections;
use crate::http::{extract::Caller, middleware};
use crate::metrics as names;
use crate::state::Gw;
use crate::tls::Edge;
use crate::ws::handshake;

/// Files a process needs besides its sockets.
const SPARE_FILES: usize = 512;
/// Buffer of an HTTP connection; request heads beyond it are refused.
const HTTP_BUFFER: usize = 64 << 10;

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

/// Connections that have not proved who they are and wait for the client, oldest first. When too
/// many wait, the oldest goes: a flood of silent strangers pushes out strangers, nobody else.
pub(crate) struct Gate {
    waiting: Mutex<BTreeMap<u64, Arc<Visitor>>>,
    next: AtomicU64,
    max: usize,
}

/// One TCP connection in its HTTP life.
pub(crate) struct Visitor {
    gate: Arc<Gate>,
    place: AtomicU64,
    known: AtomicBool,
    shed: Notify,
    permit: Mutex<Option<OwnedSemaphorePermit>>,
    peer: SocketAddr,
}

impl Gate {
    fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            waiting: Mutex::default(),
            next: AtomicU64::new(1),
            max: max.max(1),
        })
    }

    fn enter(self: &Arc<Self>, peer: SocketAddr, permit: OwnedSemaphorePermit) -> Arc<Visitor> {
        let visitor = Arc::new(Visitor {
            gate: self.clone(),
            place: AtomicU64::new(0),
            known: AtomicBool::new(false),
            shed: Notify::new(),
            permit: Mutex::new(Some(permit)),
            peer,
        });
        visitor.wait();
        visitor
    }
}

impl Visitor {
    /// Takes the newest place among those who wait; the oldest may have to go for it.
    fn wait(self: &Arc<Self>) {
        if self.known.load(Ordering::Relaxed) {
            return;
        }
        let place = self.gate.next.fetch_add(1, Ordering::Relaxed);
        self.place.store(place, Ordering::Relaxed);
        let mut waiting = self.gate.waiting.lock();
        waiting.insert(place, self.clone());
        if waiting.len() > self.gate.max
            && let Some((_, oldest)) = waiting.pop_first()
        {
            names::add(names::SHED, 1);
            oldest.shed.notify_one();
        }
    }

    /// Leaves the waiting room: a request is being served, or the connection is over.
    fn stop_waiting(&self) {
        self.gate
            .waiting
            .lock()
            .remove(&self.place.load(Ordering::Relaxed));
    }

    /// The client has proved who it is.
    pub(crate) fn set_known(&self) {
        self.known.store(true, Ordering::Relaxed);
    }

    /// Takes the right to have a socket along into the connection's next life.
    pub(crate) fn take_permit(&self) -> Option<OwnedSemaphorePermit> {
        self.permit.lock().take()
    }
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
    let permits = Arc::new(Semaphore::new(max_connections(&limits)));
    let gate = Gate::new(limits.max_unauthenticated);
    let tracker = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &permits) => accepted,
        };
        match accepted {
            Ok((stream, peer, permit)) => {
                let visitor = gate.enter(peer, permit);
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

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = permits
        .clone()
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, peer, permit))
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
        () = visitor.shed.notified() => None,
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
    let header_timeout = Duration::from_millis(gw.config.connections.header_timeout_ms);
    let service = service_fn({
        let visitor = visitor.clone();
        move |request| answer(gw.clone(), router.clone(), visitor.clone(), request)
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(HTTP_BUFFER);
    // Boxed: the future is gone after the upgrade and must not be part of anything that stays.
    let mut connection = Box::pin(
        builder
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades(),
    );
    let outcome = tokio::select! {
        outcome = &mut connection => outcome,
        () = visitor.shed.notified() => Ok(()),
        () = stop.cancelled() => {
            std::pin::Pin::as_mut(&mut connection).graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, peer = %visitor.peer.ip(), "an HTTP connection ended");
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
    let address = client_address(&gw.config.connections, visitor.peer.ip(), request.headers());
    let response = if request.uri().path() == "/ws" {
        let (began, trace) = (Instant::now(), middleware::trace_of(request.headers()));
        let answer = match handshake::upgrade(&gw, &visitor, address, request).await {
            Ok(response) => response,
            Err(error) => {
                names::count(names::WS_REFUSED, "code", error.code.code());
                middleware::refusal(&error, &trace)
            }
        };
        names::http("GET", "/ws", answer.status().as_u16(), began.elapsed());
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

/// The configured bound, or what the process may open.
fn max_connections(limits: &Connections) -> usize {
    let allowed = std::fs::read_to_string("/proc/self/limits")
        .ok()
        .and_then(|text| open_files(&text));
    let files = allowed.map_or(usize::MAX, |n| n.saturating_sub(SPARE_FILES).max(64));
    limits.max.min(files).clamp(1, Semaphore::MAX_PERMITS)
}

fn open_files(limits: &str) -> Option<usize> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permit() -> OwnedSemaphorePermit {
        Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap()
    }

    fn peer() -> SocketAddr {
        "10.0.0.9:1".parse().unwrap()
    }

    #[tokio::test]
    async fn the_stranger_who_waits_longest_makes_room() {
        let gate = Gate::new(2);
        let first = gate.enter(peer(), permit());
        let _second = gate.enter(peer(), permit());
        let _third = gate.enter(peer(), permit());
        first.shed.notified().await;
        assert_eq!(gate.waiting.lock().len(), 2);
    }

    #[test]
    fn who_is_served_or_known_is_not_shed() {
        let gate = Gate::new(1);
        let first = gate.enter(peer(), permit());
        first.stop_waiting();
        first.set_known();
        first.wait();
        for _ in 0..10 {
            gate.enter(peer(), permit());
        }
        assert!(!gate.waiting.lock().values().any(|v| Arc::ptr_eq(v, &first)));
        assert_eq!(gate.waiting.lock().len(), 1);
    }

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

    #[test]
    fn the_file_limit_is_read() {
        let text = "Limit  Soft  Hard\nMax open files            20000     20000    files\n";
        assert_eq!(open_files(text), Some(20_000));
    }
}
