//! Ended sessions: loaded from im-repo at the start, kept current by `gochat.token-events`,
//! forgotten when every access token of theirs has expired.
//!
//! Order matters: the gateway first stands at the end of the topic, then loads, then follows;
//! so an end between the two is seen at least once. Until the first load is done every token is
//! answered `SERVICE_UNAVAILABLE`. An event that can't be understood widens what is refused.

mod known;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gochat_core::error::{Error, ErrorCode};
use gochat_core::ids::UserId;
use gochat_core::session::machine::CloseCode;
use gochat_core::token::{EndReason, SessionId};
use gochat_infra::port::mq::{self, Consumer, MqError};
use gochat_infra::rpc::Backoff;
use gochat_infra::topics;
use gochat_proto::im::repo::v1::{EndedSession, ListEndedSessionsRequest};
use gochat_proto::mq::v1::TokenEvent;
use parking_lot::RwLock;
use prost::Message as _;
use tokio_util::sync::CancellationToken;

use self::known::Known;
pub(crate) use self::known::Scope;
use crate::clock;
use crate::presence::Gone;
use crate::state::Gw;
use crate::tokens::Identity;
use crate::ws::conn::Conn;
use crate::ws::table::SHARDS;

/// Seconds for which an end is kept that doesn't say how long.
const KEPT_S: i64 = 86_400;
/// Seconds for which an end is kept until its event comes.
const LOCAL_S: i64 = 60;
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// The ends of sessions that still matter.
pub(crate) struct Revocations {
    known: RwLock<Known>,
    loaded: AtomicBool,
}

impl Revocations {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            known: RwLock::new(Known::new(max)),
            loaded: AtomicBool::new(false),
        }
    }

    /// Whether the first load is done.
    pub(crate) fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    /// Refuses a token of a session that has ended.
    ///
    /// # Errors
    /// `INVALID_TOKEN`; `TOKEN_EXPIRED` for a token that must be renewed before it is believed;
    /// `SERVICE_UNAVAILABLE` before the first load.
    pub(crate) fn check(&self, identity: &Identity) -> Result<(), Error> {
        if !self.is_loaded() {
            return Err(ErrorCode::ServiceUnavailable.into());
        }
        match self.known.read().refusal(identity) {
            Some(code) => Err(code.into()),
            None => Ok(()),
        }
    }
}

/// Stands at the end of the topic and loads what came before; from then on tokens are believed.
///
/// # Errors
/// The log or im-repo is away.
pub(crate) async fn subscribe(gw: &Gw) -> Result<Box<dyn Consumer>, Error> {
    // Takes the position at the end before the load begins.
    let (consumer, _) = mq::tail(&*gw.mq, [topics::TOKEN_EVENTS]).await?;
    load(gw).await?;
    gw.revocations.loaded.store(true, Ordering::Release);
    Ok(consumer)
}

/// Follows the topic until the gateway stops. `first` is a subscription that exists already.
pub(crate) async fn run(gw: Gw, mut first: Option<Box<dyn Consumer>>, stop: CancellationToken) {
    let mut backoff = Backoff::default();
    loop {
        let following = async {
            let consumer = match first.take() {
                Some(consumer) => consumer,
                None => subscribe(&gw).await?,
            };
            // A gateway hears of no end during a pause: an old outage must not lengthen it.
            backoff.reset();
            follow(&gw, consumer).await
        };
        tokio::select! {
            () = stop.cancelled() => return,
            outcome = following => match outcome {
                Ok(never) => match never {},
                Err(error) => tracing::warn!(%error, "ends of sessions can't be followed; trying again"),
            },
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(backoff.next_delay()) => {}
        }
    }
}

async fn follow(gw: &Gw, mut consumer: Box<dyn Consumer>) -> Result<Infallible, Error> {
    let mut swept = clock::ticks_s();
    loop {
        let skipped = poll(gw, consumer.as_mut(), Duration::from_secs(5)).await?;
        if skipped {
            load(gw).await?;
        }
        if u64::from(clock::ticks_s() - swept) >= SWEEP_EVERY.as_secs() {
            swept = clock::ticks_s();
            gw.revocations.known.write().forget(clock::now_s());
        }
    }
}

/// Applies what the topic holds; true when records were lost and the list must be loaded again.
async fn poll(gw: &Gw, consumer: &mut dyn Consumer, wait: Duration) -> Result<bool, MqError> {
    let poll = consumer.poll(1_000, wait).await?;
    let mut skipped = false;
    for batch in poll.batches {
        skipped |= batch.skipped > 0;
        for record in batch.records {
            match TokenEvent::decode(record.record.value) {
                Ok(event) => enforce_all(gw, &Notice::from(event)),
                Err(error) => {
                    tracing::error!(%error, "an end of sessions can't be decoded: all tokens must be renewed");
                    enforce_all(gw, &Notice::default());
                }
            }
        }
    }
    Ok(skipped)
}

async fn load(gw: &Gw) -> Result<(), Error> {
    let mut cursor = String::new();
    loop {
        let request = ListEndedSessionsRequest {
            cursor,
            limit: 1_000,
        };
        let page = gw.backend.list_ended_sessions(request).await?;
        for session in page.sessions {
            enforce_all(gw, &Notice::from(session));
        }
        if page.next_cursor.is_empty() {
            return Ok(());
        }
        cursor = page.next_cursor;
    }
}

/// Ends of sessions, whichever way they came.
#[derive(Default)]
struct Notice {
    user: String,
    sessions: Vec<String>,
    issued_before: i64,
    at: i64,
    expires_at: i64,
    logout: bool,
}

impl From<TokenEvent> for Notice {
    fn from(e: TokenEvent) -> Self {
        Self {
            user: e.user_id,
            sessions: e.session_ids,
            issued_before: e.issued_before,
            at: e.timestamp,
            expires_at: e.expires_at,
            logout: e.reason == EndReason::Logout.as_str(),
        }
    }
}

impl From<EndedSession> for Notice {
    fn from(e: EndedSession) -> Self {
        Self {
            user: e.user_id,
            sessions: vec![e.session_id],
            issued_before: 0,
            at: e.ended_at,
            expires_at: e.expires_at,
            logout: false,
        }
    }
}

impl Notice {
    /// What it covers, and the user whose sockets it may close; `None` means any user.
    fn scopes(&self, now: i64) -> (Option<UserId>, Vec<Scope>) {
        let at = if self.at > 0 { self.at } else { now };
        // The next second: `iat` has no smaller unit.
        let before = self.issued_before.max(at.saturating_add(1));
        let Ok(user) = self.user.parse::<UserId>() else {
            return (None, vec![Scope::Everyone(before)]);
        };
        if self.sessions.is_empty() {
            return (Some(user), vec![Scope::User(user, before)]);
        }
        let scope = |text: &String| match text.parse() {
            Ok(session) => Scope::Session(session),
            Err(_) => Scope::User(user, before),
        };
        (Some(user), self.sessions.iter().map(scope).collect())
    }
}

/// Ends the session that somebody has just signed out of, before the event comes.
pub(crate) fn sign_out(gw: &Gw, identity: &Identity) {
    let now = clock::now_s();
    let scope = Scope::Session(identity.session);
    enforce(
        gw,
        Some(identity.user),
        scope,
        now,
        identity.expires_at,
        true,
    );
}

/// Ends a session that its user has just ended, before the event comes.
pub(crate) fn end_here(gw: &Gw, user: UserId, session: SessionId) {
    let now = clock::now_s();
    // The event that is under way says how long it matters.
    let expires_at = now.saturating_add(LOCAL_S);
    enforce(
        gw,
        Some(user),
        Scope::Session(session),
        now,
        expires_at,
        false,
    );
}

/// Applies what the topic or the list says.
fn enforce_all(gw: &Gw, notice: &Notice) {
    let now = clock::now_s();
    let (user, scopes) = notice.scopes(now);
    let at = if notice.at > 0 { notice.at } else { now };
    // An end that doesn't say how long it matters is kept for a day.
    let expires_at = if notice.expires_at > 0 {
        notice.expires_at
    } else {
        now.saturating_add(KEPT_S)
    };
    for scope in scopes {
        enforce(gw, user, scope, at, expires_at, notice.logout);
    }
}

/// Remembers an end and closes the sockets it covers.
fn enforce(gw: &Gw, user: Option<UserId>, scope: Scope, at: i64, expires_at: i64, logout: bool) {
    let now = clock::now_s();
    gw.revocations.known.write().add(scope, at, expires_at, now);
    let close = |conn: &Arc<Conn>| {
        if conn.is_covered_by(scope) {
            if logout {
                conn.set_gone(Gone::Logout);
            }
            gw.close(conn, CloseCode::TokenExpired, "revoked");
        }
    };
    match user {
        Some(user) => gw.table.of_user(user).iter().for_each(close),
        None => {
            let mut conns = Vec::new();
            for shard in 0..SHARDS {
                gw.table.snapshot(shard, &mut conns);
                conns.drain(..).for_each(|conn| close(&conn));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(session: u128) -> Identity {
        Identity {
            user: UserId::new(1).unwrap(),
            guest: false,
            username: None,
            session: SessionId::new(session),
            issued_at: 0,
            expires_at: i64::MAX,
        }
    }

    #[test]
    fn before_the_first_load_nobody_is_believed() {
        let refusal = Revocations::new(1).check(&identity(1)).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::ServiceUnavailable);
    }

    #[test]
    fn what_can_not_be_understood_covers_more_and_not_less() {
        let user = UserId::new(7).unwrap();
        let notice = |user: &str, sessions: &[&str]| Notice {
            user: user.to_owned(),
            sessions: sessions.iter().map(|s| (*s).to_owned()).collect(),
            at: 100,
            ..Notice::default()
        };
        let good = SessionId::new(5).to_string();
        assert_eq!(
            notice("7", &[&good, "x"]).scopes(200),
            (
                Some(user),
                vec![Scope::Session(SessionId::new(5)), Scope::User(user, 101)]
            )
        );
        let whole = (Some(user), vec![Scope::User(user, 101)]);
        assert_eq!(notice("7", &[]).scopes(200), whole);
        let everyone = (None, vec![Scope::Everyone(101)]);
        assert_eq!(notice("?", &[&good]).scopes(200), everyone);
        let undecodable = Notice::default().scopes(200);
        assert_eq!(undecodable, (None, vec![Scope::Everyone(201)]));
    }
}
