//! Exchanging refresh tokens without losing one.
//!
//! The server gives the same pair again to the newest used refresh token for a minute; presented
//! later, or an older one, it ends the session, because a thief may hold a copy. So when an answer
//! is lost, the same token is presented again soon, until the server has said something.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use http::Method;
use serde_json::json;

use super::{Held, Pair, Shared, StoredSession, lifespan, storage};
use crate::{Cause, Credentials, Error, ErrorKind, Result};

/// Maximum time that one exchange may take: several must fit into the server's minute.
const EXCHANGE: Duration = Duration::from_secs(12);
/// Pauses before the repetitions of an exchange whose answer was lost; with the exchanges they fit
/// into the server's minute as long as the network answers or refuses.
const REPEATS: [Duration; 6] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(8),
    Duration::from_secs(8),
];

impl Shared {
    /// Makes a session durable, then takes it into use. When it can't be kept, the one before stays
    /// in use, and this one is kept by the next call.
    pub(super) async fn keep(&self, held: &mut Held, session: StoredSession) -> Result<()> {
        if held.unsaved.as_ref() != Some(&session) {
            held.made_at = Some(Instant::now());
        }
        // A store that panics loses nothing.
        held.unsaved = Some(session.clone());
        let saved = self.store.save(&session).await;
        match saved {
            Ok(()) => {
                self.take_up(held, Some(session));
                held.unsaved = None;
                self.unsaved.send_replace(None);
                Ok(())
            }
            Err(error) => {
                let cause = Cause::from(storage(error));
                self.unsaved.send_replace(Some(cause.clone()));
                Err(cause.into())
            }
        }
    }

    /// Exchanges the refresh token; signs in by password when the server doesn't take it any more.
    pub(super) async fn renew(self: &Arc<Self>, held: &mut Held) -> Result<()> {
        if let Some(session) = held.unsaved.clone() {
            return self.keep(held, session).await;
        }
        let Some(mut session) = held.session.clone() else {
            return Ok(());
        };
        if let Some(newer) = self.renewed_elsewhere(&session).await? {
            self.take_up(held, Some(newer.clone()));
            held.made_at = None;
            if lifespan::of(&newer.access_token).is_some_and(|s| s.rest_ms(SystemTime::now()) > 0) {
                return Ok(());
            }
            session = newer;
        }
        match self.exchange(held, &session).await {
            Err(error) if error.refusal().is_some() && error.is_final() => {
                let has_password = matches!(held.credentials, Some(Credentials::Password { .. }));
                if has_password && !self.is_leaving.load(Ordering::Acquire) {
                    self.sign_in(held).await
                } else {
                    Err(error)
                }
            }
            Err(error) => {
                if is_open(&error) {
                    self.repeat(session.refresh_token);
                }
                Err(error)
            }
            Ok(()) => Ok(()),
        }
    }

    /// The session that another client on the same store has put there. To present the token that
    /// it has used up would end the session for both.
    async fn renewed_elsewhere(&self, session: &StoredSession) -> Result<Option<StoredSession>> {
        let stored = self.store.load().await.map_err(storage)?;
        let is_other = |stored: &StoredSession| {
            stored.refresh_token != session.refresh_token && stored.user_id == session.user_id
        };
        Ok(stored.filter(is_other))
    }

    async fn exchange(&self, held: &mut Held, session: &StoredSession) -> Result<()> {
        let body = json!({ "refreshToken": session.refresh_token });
        let limit = EXCHANGE.min(self.http.timeout);
        let pair: Pair = self
            .http
            .call_within(limit, Method::POST, "/auth/refresh", Some(&body), None)
            .await?;
        let next = StoredSession {
            access_token: pair.access_token,
            refresh_token: pair.refresh_token,
            ..session.clone()
        };
        self.keep(held, next).await
    }

    /// Presents a refresh token again whose answer was lost, beside everything else.
    fn repeat(self: &Arc<Self>, refresh_token: String) {
        if self.is_repeating.swap(true, Ordering::AcqRel) {
            return;
        }
        let shared = Arc::downgrade(self);
        tokio::spawn(async move {
            for pause in REPEATS {
                tokio::time::sleep(pause).await;
                // Ends with the last handle.
                let Some(shared) = shared.upgrade() else {
                    return;
                };
                if !shared.is_answer_missing(&refresh_token).await {
                    shared.is_repeating.store(false, Ordering::Release);
                    return;
                }
            }
            if let Some(shared) = shared.upgrade() {
                shared.is_repeating.store(false, Ordering::Release);
            }
        });
    }

    /// Presents the token once more unless another call got further; whether there is still no
    /// answer.
    async fn is_answer_missing(&self, refresh_token: &str) -> bool {
        let mut held = self.state.lock().await;
        let Some(session) = held.session.clone() else {
            return false;
        };
        if held.unsaved.is_some() || session.refresh_token != refresh_token {
            return false;
        }
        match self.exchange(&mut held, &session).await {
            Ok(()) => false,
            Err(error) => !error.is_final() && *error.kind() != ErrorKind::Storage,
        }
    }
}

/// Whether the server may have answered, also when somebody between says that it didn't: the token
/// is used up then.
fn is_open(error: &Error) -> bool {
    !error.is_unsent() && !error.is_final() && *error.kind() != ErrorKind::Storage
}
