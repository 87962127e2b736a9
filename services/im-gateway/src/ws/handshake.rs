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
use http::{HeaderMap, HeaderValue, Request, Response, Uri, header};
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
use crate::server::admission::Caller;
use crate::server::{Permit, Stream, Visitor};
use crate::state::Gw;

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
    caller: Caller,
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
    let device = device_of(request.uri());
    let identity = caller.unwrap_or_else(|| Err(ErrorCode::AuthFailed.into()))?;
    let permit = visitor.take_permit(address)?;
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
        device,
        client_info: agent_of(request.headers()),
        address: Some(address),
        connected_at: clock::now_s(),
    };
    let backlog = gw.backlog.clone();
    let conn = Arc::new(Conn::new(gw.new_conn_id(), &identity, about, backlog));
    spread_first_ping(gw, &conn);
    let admitted = Admitted::new(gw, conn);
    // An end that came between the first look and the table has closed no socket of this session.
    gw.revocations.check(&identity)?;
    let deadline = Duration::from_millis(gw.config.websocket.handshake_timeout_ms);
    tokio::time::timeout(deadline, presence::register(gw, &admitted.conn))
        .await
        .unwrap_or_else(|_| Err(ErrorCode::ServiceUnavailable.into()))?;
    // An end that came while im-repo was asked is an answer of its own; one that comes from here
    // on, or another device in its place, leaves a goodbye in the queue.
    gw.revocations.check(&identity)?;
    let attach = attach(on_upgrade, deadline, admitted, permit);
    gw.conn_tasks.spawn(attach);
    Ok(response.map(|_| Body::empty()))
}

/// Waits for hyper to let the socket go and gives it to the connection.
async fn attach(
    on_upgrade: OnUpgrade,
    deadline: Duration,
    admitted: Admitted,
    permit: Option<Permit>,
) {
    let Ok(Ok(upgraded)) = tokio::time::timeout(deadline, on_upgrade).await else {
        return;
    };
    let Some((socket, early)) = socket_of(upgraded) else {
        return tracing::error!("the upgraded connection is not one of this listener");
    };
    let (gw, conn) = admitted.into_parts();
    conn.attach(socket);
    let mut task = ConnTask::new(gw.clone(), conn.clone(), permit);
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
    match upgraded.downcast::<TokioIo<Stream<TcpStream>>>() {
        Ok(parts) => {
            let tcp = parts.io.into_inner().into_inner();
            Some((Socket::Plain(tcp), parts.read_buf))
        }
        Err(upgraded) => {
            let parts = upgraded
                .downcast::<TokioIo<Stream<TlsStream<TcpStream>>>>()
                .ok()?;
            let (tcp, session) = parts.io.into_inner().into_inner().into_inner();
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

/// The token of a request for `/ws`: from the subprotocols, the query or the header.
///
/// Browsers and proxies put an `Authorization` of their own beside a token that was named: it says
/// nothing then.
pub(crate) fn token_of<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<Result<&'a str, Error>> {
    let named = upgrade::offered_token(headers).or_else(|| token_in(uri));
    match named {
        Some(token) => Some(Ok(token)),
        None => bearer(headers).transpose(),
    }
}

/// The token in a query. Both alphabets of tokens need no escaping; what has been escaped anyway is
/// none.
fn token_in(uri: &Uri) -> Option<&str> {
    let pairs = uri.query()?.split('&');
    let mut tokens = pairs.filter_map(|pair| pair.strip_prefix("token="));
    tokens.rfind(|token| !token.is_empty())
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

/// The device a query names.
fn device_of(uri: &Uri) -> Option<Box<str>> {
    let pairs = uri.query()?.split('&');
    let mut devices = pairs.filter_map(|pair| pair.strip_prefix("device="));
    devices.rfind(|device| is_device(device)).map(Box::from)
}

fn is_device(text: &str) -> bool {
    (1..=DEVICE_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn token_and_device_are_read_from_the_query() {
        let uri = uri("/ws?device=phone-1&token=a.b-c_d.e&x=1");
        assert_eq!(token_in(&uri), Some("a.b-c_d.e"));
        assert_eq!(device_of(&uri).as_deref(), Some("phone-1"));
    }

    #[test]
    fn absurd_devices_are_ignored() {
        assert!(device_of(&uri(&format!("/ws?device={}", "x".repeat(65)))).is_none());
        assert!(token_in(&uri("/ws?device=&token=")).is_none());
        assert!(device_of(&uri("/ws")).is_none());
    }

    #[test]
    fn a_named_token_comes_before_the_header() {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, "Basic abc".parse().unwrap());
        assert_eq!(token_of(&uri("/ws?token=t"), &headers), Some(Ok("t")));
        let refusal = token_of(&uri("/ws"), &headers).unwrap().unwrap_err();
        assert_eq!(refusal.code, ErrorCode::InvalidTokenFormat);
        assert_eq!(token_of(&uri("/ws"), &HeaderMap::new()), None);
    }
}
