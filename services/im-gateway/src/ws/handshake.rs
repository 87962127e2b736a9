//! The handshake: everything that can be refused is refused with an HTTP status, before `101`.
//!
//! The connection is in the table and known to im-repo before the client hears `101`, so a client
//! that begins to sync then is already visible to fan-out. What is delivered meanwhile waits in the
//! connection's queue.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use gochat_core::error::{Error, ErrorCode};
use gochat_core::session::machine::CloseCode;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::conn::{About, Conn};
use super::io::ConnTask;
use super::socket::Socket;
use super::upgrade;
use crate::clock;
use crate::http::extract::bearer;
use crate::http::reply::ApiError;
use crate::presence;
use crate::server::{Place, Visitor};
use crate::state::Gw;
use crate::tokens::Identity;

/// Longest device name.
const DEVICE_MAX: usize = 64;
/// How much of `User-Agent` is kept.
const AGENT_MAX: usize = 120;

/// Answers a request for `/ws`.
///
/// # Errors
/// The refusal: 400, 401, 403, 405, 426, 429 or 503.
pub(crate) async fn upgrade(
    gw: &Gw,
    visitor: &Visitor,
    address: IpAddr,
    request: Request<Incoming>,
) -> Result<Response<Body>, ApiError> {
    if gw.health.is_draining() {
        return Err(ErrorCode::ServiceUnavailable.into());
    }
    if visitor.is_passing() {
        let full = "This gateway holds as many connections as it may; try again.";
        return Err(Error::new(ErrorCode::ServiceUnavailable, full).into());
    }
    let (parts, body) = request.into_parts();
    let offer = upgrade::check(&parts)?;
    let mut request = Request::from_parts(parts, body);
    check_origin(gw, request.headers())?;
    let query = Query::of(&request);
    let identity = authenticate(gw, request.headers(), &query).await?;
    let on_upgrade = request.extensions().get::<OnUpgrade>().cloned();
    let on_upgrade = on_upgrade.ok_or(ErrorCode::Internal)?;
    let (mut response, _) =
        fastwebsockets::upgrade::upgrade(&mut request).map_err(|_| ErrorCode::Internal)?;
    if offer.has_protocol {
        let protocol = HeaderValue::from_static(upgrade::PROTOCOL);
        let headers = response.headers_mut();
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }

    let about = About {
        username: identity.username.clone(),
        device: query.device,
        client_info: agent_of(request.headers()),
        address: Some(address),
        connected_at: clock::now_s(),
    };
    let conn = Arc::new(Conn::new(gw.new_conn_id(), &identity, about));
    spread_first_ping(gw, &conn);
    let admitted = Admitted::new(gw, conn);
    let deadline = Duration::from_millis(gw.config.websocket.handshake_timeout_ms);
    tokio::time::timeout(deadline, presence::register(gw, &admitted.conn))
        .await
        .unwrap_or_else(|_| Err(ErrorCode::ServiceUnavailable.into()))?;
    // Revoked or replaced while it was registering: its goodbye waits in the queue.
    visitor.set_known();
    let attach = attach(on_upgrade, deadline, admitted, visitor.take_place());
    gw.conn_tasks.spawn(attach);
    Ok(response.map(|_| Body::empty()))
}

/// Waits for hyper to let the socket go and gives it to the connection.
async fn attach(
    on_upgrade: OnUpgrade,
    deadline: Duration,
    admitted: Admitted,
    place: Option<Place>,
) {
    let Ok(Ok(upgraded)) = tokio::time::timeout(deadline, on_upgrade).await else {
        return;
    };
    let Some((socket, early)) = socket_of(upgraded) else {
        return tracing::error!("the upgraded connection is not one of this listener");
    };
    let (gw, conn) = admitted.into_parts();
    conn.attach(socket);
    let mut task = ConnTask::new(gw.clone(), conn.clone(), place);
    if !early.is_empty() {
        task.take_in(&mut early.to_vec());
    }
    gw.conn_tasks.spawn(task);
    if gw.health.is_draining() {
        gw.close(&conn, CloseCode::GoingAway, "draining");
    }
}

/// Takes the socket out of hyper, with what has been read of it already.
fn socket_of(upgraded: Upgraded) -> Option<(Socket, Bytes)> {
    match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => Some((Socket::Plain(parts.io.into_inner()), parts.read_buf)),
        Err(upgraded) => {
            let parts = upgraded.downcast::<TokioIo<TlsStream<TcpStream>>>().ok()?;
            let (tcp, session) = parts.io.into_inner().into_inner();
            Some((Socket::tls(tcp, session), parts.read_buf))
        }
    }
}

/// A connection in the table that has no task yet: takes it out again unless the task takes over.
struct Admitted {
    gw: Gw,
    conn: Arc<Conn>,
    armed: bool,
}

impl Admitted {
    fn new(gw: &Gw, conn: Arc<Conn>) -> Self {
        gw.recents.admit(gw, &conn);
        Self {
            gw: gw.clone(),
            conn,
            armed: true,
        }
    }

    fn into_parts(mut self) -> (Gw, Arc<Conn>) {
        self.armed = false;
        (self.gw.clone(), self.conn.clone())
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if self.armed {
            self.conn.kill();
            self.gw.retire(&self.conn);
        }
    }
}

/// Connections that come together should not be pinged together.
fn spread_first_ping(gw: &Gw, conn: &Conn) {
    let interval = gw.ws_rules.ping_every_s.max(1);
    let early = u32::try_from(conn.id() % u64::from(interval)).unwrap_or_default();
    conn.set_pinged_s(clock::ticks_s().saturating_sub(early));
}

fn check_origin(gw: &Gw, headers: &HeaderMap) -> Result<(), Error> {
    let allowed = &gw.config.websocket.allowed_origins;
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let fits = allowed.is_empty()
        || allowed
            .iter()
            .any(|a| a == "*" || a.as_bytes() == origin.as_bytes());
    if fits {
        Ok(())
    } else {
        Err(Error::new(
            ErrorCode::Forbidden,
            "This origin may not connect.",
        ))
    }
}

async fn authenticate(gw: &Gw, headers: &HeaderMap, query: &Query) -> Result<Identity, Error> {
    // Browsers and proxies put an `Authorization` of their own beside a token that was named: it says nothing then.
    let token = match upgrade::offered_token(headers).or(query.token.as_deref()) {
        Some(token) => token,
        None => bearer(headers)?.ok_or(ErrorCode::AuthFailed)?,
    };
    let identity = gw.identify(token).await?;
    gw.revocations.check(&identity)?;
    Ok(identity)
}

fn agent_of(headers: &HeaderMap) -> Box<str> {
    let agent = headers
        .get(header::USER_AGENT)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    let end = agent.len().min(AGENT_MAX);
    // Header text is ASCII: every position is a boundary.
    agent[..end].into()
}

/// The query parameters a handshake understands.
#[derive(Default)]
struct Query {
    token: Option<String>,
    device: Option<Box<str>>,
}

impl Query {
    fn of<B>(request: &Request<B>) -> Self {
        let mut query = Self::default();
        for pair in request.uri().query().unwrap_or_default().split('&') {
            match pair.split_once('=') {
                // Both alphabets need no escaping; what has been escaped anyway is not a token.
                Some(("token", token)) if !token.is_empty() => query.token = Some(token.to_owned()),
                Some(("device", device)) if is_device(device) => query.device = Some(device.into()),
                _ => {}
            }
        }
        query
    }
}

fn is_device(text: &str) -> bool {
    (1..=DEVICE_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(uri: &str) -> Query {
        Query::of(&Request::builder().uri(uri).body(()).unwrap())
    }

    #[test]
    fn token_and_device_are_read_from_the_query() {
        let q = query("/ws?device=phone-1&token=a.b-c_d.e&x=1");
        assert_eq!(q.token.as_deref(), Some("a.b-c_d.e"));
        assert_eq!(q.device.as_deref(), Some("phone-1"));
    }

    #[test]
    fn absurd_devices_are_ignored() {
        assert!(
            query(&format!("/ws?device={}", "x".repeat(65)))
                .device
                .is_none()
        );
        assert!(query("/ws?device=&token=").token.is_none());
        assert!(query("/ws").device.is_none());
    }
}
