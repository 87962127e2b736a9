//! The listener: accepts, bounds, and serves HTTP/1.1 connections that may become WebSockets.

mod addresses;
pub(crate) mod admission;
mod gate;
mod held;
mod http1;
mod linger;
mod places;
mod proxies;
mod proxy_header;
mod stream;
mod upload;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::metrics as names;
use crate::state::Gw;
use crate::tls::Edge;
use addresses::{Accounts, Addresses};
use gate::{Gate, WaitingLimits};
use held::BodyBudget;
use places::Places;
use proxies::Proxies;

pub(crate) use gate::Visitor;
pub(crate) use places::Permit;
pub use proxies::TrustedProxy;
pub(crate) use stream::Stream;

/// Longest time a proxy may take to send the header of the PROXY protocol.
const PROXY_HEADER: Duration = Duration::from_secs(5);

/// What all connections of the listener share.
struct Server {
    gw: Gw,
    router: Router,
    tls: Option<Arc<Edge>>,
    proxies: Proxies,
    gate: Arc<Gate>,
    budget: Arc<BodyBudget>,
    /// Requests under way by account; none where limits are off.
    in_flight: Option<Arc<Accounts>>,
    /// Nothing new is begun.
    stop: CancellationToken,
    /// Connections end where they stand.
    end: CancellationToken,
}

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

/// Accepts until told to stop, then lets requests in progress finish, until `end` cuts what is
/// left.
pub(crate) async fn run(
    gw: Gw,
    listener: TcpListener,
    router: Router,
    tls: Option<Arc<Edge>>,
    stop: CancellationToken,
    end: CancellationToken,
) {
    let limits = gw.config.connections.clone();
    let places = Places::new(&limits);
    let waiting = WaitingLimits {
        // Strangers alone never take all places.
        max: limits.max_unauthenticated.min(places.max() / 2).max(1),
        max_per_address: limits.max_unauthenticated_per_address.max(1),
    };
    let counts = (!gw.config.rates.disabled).then(|| {
        let addresses = Addresses::new(limits.max_per_address.max(1));
        (addresses, Accounts::new(limits.max_per_account.max(1)))
    });
    let server = Arc::new(Server {
        proxies: Proxies::new(&limits.trusted_proxies),
        gate: Gate::new(waiting, counts),
        budget: BodyBudget::new(&gw.config.http),
        in_flight: (!gw.config.rates.disabled)
            .then(|| Accounts::new(gw.config.http.max_in_flight_per_account.max(1))),
        gw,
        router,
        tls,
        stop,
        end,
    });
    let tracker = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = server.stop.cancelled() => break,
            accepted = places.accept(&listener) => accepted,
        };
        match accepted {
            Ok((stream, peer, place)) => {
                let is_trusted = server.proxies.trusts(peer.ip());
                let is_full = matches!(place, places::Place::Passing(_));
                let visitor = server.gate.enter(peer.ip(), place, is_trusted);
                if is_full {
                    server.gate.make_room();
                }
                // Nothing has been spent on it yet: this is where a flood of connections ends.
                if !is_trusted && !server.admits(&visitor) {
                    visitor.stop_waiting();
                    continue;
                }
                tracker.spawn(attend(server.clone(), stream, visitor));
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

impl Server {
    /// Whether a connection may begin, by its client's address.
    fn admits(&self, visitor: &Visitor) -> bool {
        let refused = if self.gw.limits.admit_connection(visitor.peer()).is_err() {
            "rate"
        } else if visitor.take_address() {
            return true;
        } else {
            "address"
        };
        names::count(names::CONNECTIONS_REFUSED, "reason", refused);
        false
    }

    /// Hears from a trusted peer who the client is, where that is agreed. False when the connection
    /// is over.
    async fn hear_proxy(&self, stream: &mut TcpStream, visitor: &Arc<Visitor>) -> bool {
        if !self.gw.config.connections.proxy_protocol || !self.proxies.trusts(visitor.peer()) {
            return true;
        }
        let read = tokio::time::timeout(PROXY_HEADER, proxy_header::read(stream));
        let heard = tokio::select! {
            heard = read => heard.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
            () = visitor.shed() => return false,
            () = self.end.cancelled() => return false,
        };
        match heard {
            Ok(None) => true,
            Ok(Some(client)) => {
                let is_proxy = self.proxies.trusts(client);
                visitor.set_client(client, is_proxy);
                visitor.wait();
                is_proxy || self.admits(visitor)
            }
            Err(error) => {
                names::count(names::CONNECTIONS_REFUSED, "reason", "proxy-header");
                tracing::debug!(%error, peer = %visitor.peer(), "a proxy did not name its client");
                false
            }
        }
    }
}

/// A connection from its first byte on.
async fn attend(server: Arc<Server>, mut stream: TcpStream, visitor: Arc<Visitor>) {
    if !server.hear_proxy(&mut stream, &visitor).await {
        return visitor.stop_waiting();
    }
    let Some(edge) = server.tls.clone() else {
        return http1::serve(server, stream, visitor).await;
    };
    // While it shakes hands it is a stranger among strangers.
    let secured = tokio::select! {
        secured = Box::pin(edge.accept(stream)) => secured,
        () = visitor.shed() => None,
        () = server.end.cancelled() => None,
    };
    // The certificate may be renewed many times before this connection ends.
    drop(edge);
    match secured {
        Some(stream) => http1::serve(server, stream, visitor).await,
        None => visitor.stop_waiting(),
    }
}
