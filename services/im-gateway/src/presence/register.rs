//! Registering sessions: handshakes that arrive within a millisecond share one call.

use std::sync::Arc;
use std::time::Duration;

use gochat_core::error::{Error, ErrorCode};
use gochat_core::ids::{ConnId, UserId};
use gochat_core::session::machine::CloseCode;
use gochat_proto::im::repo::v1::{EvictedSession, SetUserOnlineResponse, SetUsersOnlineRequest};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{CALL_MAX, Gone, events, session_of};
use crate::pusher;
use crate::state::Gw;
use crate::ws::conn::Conn;

/// Calls in flight at once; while they run, newcomers gather for the next one.
const IN_FLIGHT: usize = 4;

/// A connection that wants to be known.
pub(crate) struct Registration {
    conn: Arc<Conn>,
    tell: oneshot::Sender<Result<(), Error>>,
}

/// Registers a connection that is in the table already; resolves when fan-out can see it.
///
/// # Errors
/// `SERVICE_UNAVAILABLE` when too many wait or im-repo is away; `RATE_LIMITED` for a user whose
/// connections replace each other too fast.
pub(crate) async fn register(gw: &Gw, conn: &Arc<Conn>) -> Result<(), Error> {
    let (tell, told) = oneshot::channel();
    let registration = Registration {
        conn: conn.clone(),
        tell,
    };
    gw.presence
        .registrations
        .try_send(registration)
        .map_err(|_| Error::from(ErrorCode::ServiceUnavailable))?;
    told.await
        .unwrap_or_else(|_| Err(ErrorCode::ServiceUnavailable.into()))
}

/// Merges registrations until the gateway stops.
pub(crate) async fn run(gw: Gw, mut queue: mpsc::Receiver<Registration>, stop: CancellationToken) {
    let linger = Duration::from_micros(gw.config.presence.linger_us);
    let max = gw.config.presence.batch.clamp(1, CALL_MAX);
    let mut calls = JoinSet::new();
    let mut batch = Vec::new();
    loop {
        let n = tokio::select! {
            () = stop.cancelled() => break,
            n = queue.recv_many(&mut batch, max) => n,
        };
        if n == 0 {
            break;
        }
        if batch.len() < max && !linger.is_zero() {
            tokio::time::sleep(linger).await;
            while batch.len() < max
                && let Ok(more) = queue.try_recv()
            {
                batch.push(more);
            }
        }
        while calls.len() >= IN_FLIGHT {
            calls.join_next().await;
        }
        calls.spawn(call(gw.clone(), std::mem::take(&mut batch)));
    }
    // Whoever waits in the queue learns from its dropped sender that there is no service any more.
    while calls.join_next().await.is_some() {}
}

async fn call(gw: Gw, batch: Vec<Registration>) {
    let sessions = batch
        .iter()
        .map(|r| session_of(&gw, &r.conn, false))
        .collect();
    let outcome = gw
        .backend
        .set_users_online(SetUsersOnlineRequest { sessions })
        .await;
    let (conns, tells): (Vec<_>, Vec<_>) = batch.into_iter().map(|r| (r.conn, r.tell)).unzip();
    let results = match outcome {
        Ok(response) if response.results.len() == conns.len() => response.results,
        Ok(_) => return tracing::error!("im-repo answered a different number of sessions"),
        Err(error) => {
            tracing::warn!(%error, sessions = conns.len(), "sessions could not be registered");
            for tell in tells {
                let _ = tell.send(Err(ErrorCode::ServiceUnavailable.into()));
            }
            return;
        }
    };
    for ((conn, tell), result) in conns.iter().zip(tells).zip(&results) {
        let outcome = if result.success { Ok(()) } else { Err(storm()) };
        // Nobody waits any more: the client is gone, and so must be its session.
        if tell.send(outcome).is_err() && result.success {
            gw.presence.leave(conn.user(), conn.id(), Gone::Disconnect);
        }
    }
    settle(&gw, &conns, results).await;
}

fn storm() -> Error {
    Error::new(
        ErrorCode::RateLimited,
        "Your connections replace each other too fast; wait a minute.",
    )
}

/// Closes evicted sessions, wherever they are, and publishes who came online.
pub(super) async fn settle(gw: &Gw, conns: &[Arc<Conn>], results: Vec<SetUserOnlineResponse>) {
    let mut online = Vec::new();
    for (conn, result) in conns.iter().zip(results) {
        for evicted in result.evicted {
            evict(gw, conn.user(), evicted);
        }
        let was_away = gw.presence.away.lock().note_back(&conn.user());
        if result.success && result.first_session && !was_away {
            online.push(events::online(gw, conn));
        }
    }
    events::publish(gw, online).await;
}

fn evict(gw: &Gw, user: UserId, evicted: EvictedSession) {
    if *evicted.gateway_id == *gw.id {
        replace(gw, user, evicted.conn_id);
    } else {
        let gw = gw.clone();
        tokio::spawn(async move { pusher::replace_remote(&gw, user, evicted).await });
    }
}

/// Closes a local connection whose place was taken.
pub(crate) fn replace(gw: &Gw, user: UserId, conn_id: ConnId) {
    if let Some(conn) = gw.table.find(user, conn_id) {
        let words = crate::frames::error(&ErrorCode::ConnectionReplaced.into(), None);
        gw.close_with(&conn, CloseCode::Replaced, Some(&words), "replaced");
    }
}
