//! Revoked tokens: loaded from im-repo at the start, kept current by `gochat.token-events`,
//! forgotten when the token would have expired anyway.
//!
//! Order matters: the gateway first stands at the end of the topic, then loads, then follows;
//! so a revocation between the two is seen at least once. Until the first load is done every
//! token is answered `SERVICE_UNAVAILABLE`.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gochat_core::error::{Error, ErrorCode};
use gochat_core::ids::UserId;
use gochat_core::session::machine::CloseCode;
use gochat_infra::port::mq::{self, Consumer, MqError};
use gochat_infra::rpc::Backoff;
use gochat_infra::topics;
use gochat_proto::im::repo::v1::{ListRevocationsRequest, Revocation};
use gochat_proto::mq::v1::TokenEvent;
use hashbrown::HashMap;
use parking_lot::RwLock;
use prost::Message as _;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::presence::Gone;
use crate::state::Gw;
use crate::tokens::{Identity, TokenHash, hash_from_hex};

const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// What one revocation covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// One token.
    Token(TokenHash),
    /// Every token of the user issued before this Unix second.
    IssuedBefore(i64),
}

#[derive(Default)]
struct Known {
    tokens: HashMap<TokenHash, i64, ahash::RandomState>,
    users: HashMap<UserId, UserCut, ahash::RandomState>,
}

#[derive(Clone, Copy)]
struct UserCut {
    issued_before: i64,
    expires_at: i64,
}

/// The revocations that still matter.
pub(crate) struct Revocations {
    known: RwLock<Known>,
    loaded: AtomicBool,
    max: usize,
}

impl Revocations {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            known: RwLock::default(),
            loaded: AtomicBool::new(false),
            max,
        }
    }

    /// Whether the first load is done.
    pub(crate) fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    /// Refuses a revoked token.
    ///
    /// # Errors
    /// `INVALID_TOKEN`, or `SERVICE_UNAVAILABLE` before the first load.
    pub(crate) fn check(&self, identity: &Identity) -> Result<(), Error> {
        if !self.is_loaded() {
            return Err(ErrorCode::ServiceUnavailable.into());
        }
        let known = self.known.read();
        let cut = known.users.get(&identity.user);
        let revoked = cut.is_some_and(|cut| identity.issued_at < cut.issued_before)
            || known.tokens.contains_key(&identity.token);
        if revoked {
            Err(ErrorCode::InvalidToken.into())
        } else {
            Ok(())
        }
    }

    fn apply(&self, user: Option<UserId>, scope: Scope, expires_at: i64) {
        let mut known = self.known.write();
        if known.tokens.len() + known.users.len() >= self.max {
            known.forget(clock::now_s());
            if known.tokens.len() + known.users.len() >= self.max {
                tracing::error!(
                    max = self.max,
                    "too many revocations are in force: one is not kept"
                );
                return;
            }
        }
        match (scope, user) {
            (Scope::Token(hash), _) => {
                known.tokens.insert(hash, expires_at);
            }
            (Scope::IssuedBefore(issued_before), Some(user)) => {
                let cut = known.users.entry(user).or_insert(UserCut {
                    issued_before,
                    expires_at,
                });
                cut.issued_before = cut.issued_before.max(issued_before);
                cut.expires_at = cut.expires_at.max(expires_at);
            }
            (Scope::IssuedBefore(_), None) => {}
        }
    }
}

impl Known {
    fn forget(&mut self, now: i64) {
        self.tokens.retain(|_, expires_at| *expires_at > now);
        self.users.retain(|_, cut| cut.expires_at > now);
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
            follow(&gw, consumer).await
        };
        tokio::select! {
            () = stop.cancelled() => return,
            outcome = following => match outcome {
                Ok(never) => match never {},
                Err(error) => tracing::warn!(%error, "revocations can't be followed; trying again"),
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
                Ok(event) => {
                    revoke(gw, &Notice::from(event));
                }
                Err(error) => tracing::warn!(%error, "a token event can't be decoded"),
            }
        }
    }
    Ok(skipped)
}

async fn load(gw: &Gw) -> Result<(), Error> {
    let mut cursor = String::new();
    loop {
        let request = ListRevocationsRequest {
            cursor,
            limit: 1_000,
        };
        let page = gw.backend.list_revocations(request).await?;
        for r in page.revocations {
            revoke(gw, &Notice::from(r));
        }
        if page.next_cursor.is_empty() {
            return Ok(());
        }
        cursor = page.next_cursor;
    }
}

/// A revocation, whichever way it came.
struct Notice {
    user: String,
    token_hash: String,
    issued_before: i64,
    expires_at: i64,
    logout: bool,
}

impl From<TokenEvent> for Notice {
    fn from(e: TokenEvent) -> Self {
        Self {
            user: e.user_id,
            token_hash: e.token_hash,
            issued_before: e.issued_before,
            expires_at: e.expires_at,
            logout: e.reason == "logout",
        }
    }
}

impl From<Revocation> for Notice {
    fn from(r: Revocation) -> Self {
        Self {
            user: r.user_id,
            token_hash: r.token_hash,
            issued_before: r.issued_before,
            expires_at: r.expires_at,
            logout: false,
        }
    }
}

/// Revokes the token somebody has just signed out with.
pub(crate) fn sign_out(gw: &Gw, identity: &Identity) {
    let scope = Scope::Token(identity.token);
    enforce(gw, Some(identity.user), scope, identity.expires_at, true);
}

/// Applies what the topic or the list says.
fn revoke(gw: &Gw, notice: &Notice) {
    let user: Option<UserId> = notice.user.parse().ok();
    let scope = if notice.token_hash.is_empty() {
        Scope::IssuedBefore(notice.issued_before)
    } else {
        match hash_from_hex(&notice.token_hash) {
            Some(hash) => Scope::Token(hash),
            None => return tracing::warn!("a revocation carries a malformed hash"),
        }
    };
    enforce(gw, user, scope, notice.expires_at, notice.logout);
}

/// Remembers a revocation and closes the sockets it covers.
fn enforce(gw: &Gw, user: Option<UserId>, scope: Scope, expires_at: i64, logout: bool) {
    gw.revocations.apply(user, scope, expires_at);
    let Some(user) = user else { return };
    for conn in gw.table.of_user(user) {
        if conn.is_covered_by(scope) {
            if logout {
                conn.set_gone(Gone::Logout);
            }
            gw.close(&conn, CloseCode::TokenExpired, "revoked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(user: u64, token: u8, issued_at: i64) -> Identity {
        Identity {
            user: UserId::new(user).unwrap(),
            guest: false,
            username: None,
            token: [token; 16],
            issued_at,
            expires_at: i64::MAX,
        }
    }

    fn loaded(max: usize) -> Revocations {
        let revocations = Revocations::new(max);
        revocations.loaded.store(true, Ordering::Release);
        revocations
    }

    #[test]
    fn before_the_first_load_nobody_is_believed() {
        let refusal = Revocations::new(1).check(&identity(1, 1, 0)).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::ServiceUnavailable);
    }

    #[test]
    fn a_revoked_token_is_refused_and_its_sisters_are_not() {
        let revocations = loaded(10);
        revocations.apply(UserId::new(1), Scope::Token([1; 16]), i64::MAX);
        assert!(revocations.check(&identity(1, 1, 0)).is_err());
        assert!(revocations.check(&identity(1, 2, 0)).is_ok());
    }

    #[test]
    fn a_cut_covers_tokens_issued_before_it() {
        let revocations = loaded(10);
        revocations.apply(UserId::new(1), Scope::IssuedBefore(100), i64::MAX);
        assert!(revocations.check(&identity(1, 1, 99)).is_err());
        assert!(revocations.check(&identity(1, 1, 100)).is_ok());
        assert!(revocations.check(&identity(2, 1, 99)).is_ok());
    }

    #[test]
    fn what_has_expired_makes_room() {
        let revocations = loaded(2);
        for token in 0..5 {
            revocations.apply(None, Scope::Token([token; 16]), 1);
        }
        assert!(revocations.known.read().tokens.len() <= 2);
        revocations.apply(None, Scope::Token([9; 16]), i64::MAX);
        assert!(revocations.check(&identity(1, 9, 0)).is_err());
    }
}
