//! Sessions of this gateway in im-repo: registering, leaving, heartbeats; and the events that
//! tell the world that somebody came or went.

mod bury;
mod events;
mod leave;
mod register;

use std::sync::Arc;

use gochat_core::ids::{ConnId, UserId};
use gochat_proto::im::repo::v1::{
    Session, SetUserOnlineRequest, SetUsersOnlineRequest, UpdateHeartbeatsRequest,
};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

pub(crate) use bury::run as bury;
pub(crate) use leave::run as run_leaving;
pub(crate) use register::{Registration, register, replace, run as run_registering};

use crate::state::Gw;
use crate::ws::conn::Conn;

/// Most sessions in one call, as im-repo takes them.
const CALL_MAX: usize = 1_000;

/// Why a connection is gone; decides how soon friends hear of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gone {
    /// The socket ended; the user may be back in a moment.
    Disconnect,
    /// No sign of life.
    Timeout,
    /// The user signed out: told at once.
    Logout,
}

impl Gone {
    fn as_str(self) -> &'static str {
        match self {
            Self::Disconnect => "disconnect",
            Self::Timeout => "timeout",
            Self::Logout => "logout",
        }
    }
}

/// A session that ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leaver {
    user: UserId,
    conn_id: ConnId,
    why: Gone,
}

/// Handles of the presence tasks.
pub(crate) struct Presence {
    registrations: mpsc::Sender<Registration>,
    /// Never longer than there were connections.
    leavers: Mutex<Vec<Leaver>>,
    left: Notify,
    /// Users whose last session here is gone and whose friends don't know yet.
    away: Mutex<gochat_core::presence::OfflineDebounce<UserId>>,
}

impl Presence {
    pub(crate) fn new(queue: usize, offline_delay_ms: u64) -> (Self, mpsc::Receiver<Registration>) {
        let (registrations, rx) = mpsc::channel(queue.max(1));
        let presence = Self {
            registrations,
            leavers: Mutex::default(),
            left: Notify::new(),
            away: Mutex::new(gochat_core::presence::OfflineDebounce::new(
                offline_delay_ms,
            )),
        };
        (presence, rx)
    }

    /// A session ended; im-repo hears of it with the next batch.
    pub(crate) fn leave(&self, user: UserId, conn_id: ConnId, why: Gone) {
        self.leavers.lock().push(Leaver { user, conn_id, why });
        self.left.notify_one();
    }
}

/// What im-repo is told about a connection; `again` when it was told before.
fn session_of(gw: &Gw, conn: &Conn, again: bool) -> SetUserOnlineRequest {
    let about = conn.about();
    SetUserOnlineRequest {
        user_id: conn.user().to_string(),
        gateway_id: gw.id.to_string(),
        client_info: about.client_info.to_string(),
        conn_id: conn.id(),
        device_id: about.device.as_deref().unwrap_or_default().to_owned(),
        connected_at: about.connected_at,
        max_sessions: i32::try_from(gw.config.websocket.sessions_per_user).unwrap_or(i32::MAX),
        again,
    }
}

/// Refreshes sessions; those im-repo has forgotten are registered again. When that is most of them, presence has lost its
/// data: then all sessions are registered, because nobody here is reached until they are.
pub(crate) async fn heartbeat(gw: Gw, conns: Vec<Arc<Conn>>) {
    let forgotten = refresh(&gw, &conns).await;
    if forgotten * 2 <= conns.len() {
        return;
    }
    // Those without a socket are about to register by themselves.
    let mut all = gw.table.all();
    all.retain(|conn| conn.socket().is_some());
    if all.len() > conns.len() {
        let again = refresh(&gw, &all).await;
        tracing::warn!(
            sessions = forgotten + again,
            "presence had forgotten this gateway's sessions"
        );
    }
}

/// Gives how many were forgotten.
async fn refresh(gw: &Gw, conns: &[Arc<Conn>]) -> usize {
    let mut forgotten = 0;
    for chunk in conns.chunks(CALL_MAX) {
        let sessions = chunk
            .iter()
            .map(|c| Session {
                user_id: c.user().to_string(),
                conn_id: c.id(),
            })
            .collect();
        let request = UpdateHeartbeatsRequest {
            gateway_id: gw.id.to_string(),
            sessions,
        };
        let missing = match gw.backend.update_heartbeats(request).await {
            Ok(response) => response.missing,
            Err(error) => {
                tracing::warn!(%error, sessions = chunk.len(), "heartbeats could not be sent");
                continue;
            }
        };
        let again: Vec<_> = missing
            .iter()
            .filter_map(|m| gw.table.find(m.user_id.parse().ok()?, m.conn_id))
            .collect();
        forgotten += again.len();
        if again.is_empty() {
            continue;
        }
        let sessions = again.iter().map(|c| session_of(gw, c, true)).collect();
        match gw
            .backend
            .set_users_online(SetUsersOnlineRequest { sessions })
            .await
        {
            Ok(response) => register::settle(gw, &again, response.results).await,
            Err(error) => tracing::warn!(%error, "forgotten sessions could not be registered"),
        }
    }
    forgotten
}
