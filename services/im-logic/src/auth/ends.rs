//! The ends of sessions: each is written first and told to every gateway before it is answered.

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::{UnixMillis, UserId};
use gochat_core::token::{EndReason, SessionId};
use gochat_infra::token::Kind;
use gochat_proto::im::repo::v1 as repo;

use super::Auth;
use super::sessions::{seconds, wide};
use crate::events::Ends;

/// How far the clocks of instances may differ, in milliseconds: ends are remembered longer by this.
const SKEW_MS: u64 = 60_000;

/// Which sessions of a user.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Which {
    /// This one.
    One(SessionId),
    /// Every one but this one.
    AllBut(SessionId),
    /// Every one.
    All,
}

impl Auth {
    /// Live sessions of a user, the most recently used first.
    pub(crate) async fn sessions(&self, user: UserId) -> Result<Vec<repo::SessionRow>> {
        let request = repo::ListSessionsRequest {
            user_id: user.to_string(),
        };
        Ok(self.repo.list_sessions(request).await?.sessions)
    }

    /// Ends the session of an access token everywhere.
    ///
    /// # Errors
    /// `INVALID_TOKEN` for a token that isn't this user's or whose session has ended,
    /// `TOKEN_EXPIRED`.
    pub(crate) async fn logout(&self, user: UserId, token: &str) -> Result<()> {
        let now = self.now();
        let claims = self
            .tokens
            .verify(token, Kind::Access, seconds(now))
            .await?;
        if claims.user_id != user {
            return Err(ErrorCode::InvalidToken.into());
        }
        let session = claims.sid.ok_or(ErrorCode::TokenExpired)?;
        let was_live = self.is_live(user, session, now).await?;
        // Told again for a second try: the first may have failed just here.
        self.end(user, Which::One(session), EndReason::Logout)
            .await?;
        if was_live {
            Ok(())
        } else {
            Err(ErrorCode::InvalidToken.into())
        }
    }

    /// Ends one session of a user, or the others. A repeat does the same again.
    ///
    /// # Errors
    /// `NOT_FOUND` for a session that the user doesn't have.
    pub(crate) async fn sign_out(&self, user: UserId, which: Which) -> Result<()> {
        let ended = self.end(user, which, EndReason::SignedOut).await?;
        if matches!(which, Which::One(_)) && ended == 0 {
            return Err(Error::new(ErrorCode::NotFound, "There is no such session."));
        }
        Ok(())
    }

    /// Ends every session of a user. A repeat does the same again.
    ///
    /// # Errors
    /// Retryable ones: the sessions may have ended while a gateway has not heard of it.
    pub(crate) async fn end_sessions_of(&self, user: UserId, reason: EndReason) -> Result<()> {
        self.end(user, Which::All, reason).await.map(drop)
    }

    /// Ends sessions and tells every gateway; how many have ended, now or before.
    pub(super) async fn end(&self, user: UserId, which: Which, reason: EndReason) -> Result<usize> {
        let now = self.now();
        let (session_id, except_session_id) = match which {
            Which::One(id) => (id.to_string(), String::new()),
            Which::AllBut(id) => (String::new(), id.to_string()),
            Which::All => (String::new(), String::new()),
        };
        let request = repo::EndSessionsRequest {
            user_id: user.to_string(),
            session_id,
            except_session_id,
            reason: reason as i32,
            now_ms: wide(now),
            tokens_expire_at_ms: wide(self.tokens_expire_at(now)),
        };
        let ended = self.repo.end_sessions(request).await?.session_ids;
        let count = ended.len();
        self.tell_ended(user, ended, reason, now).await?;
        Ok(count)
    }

    /// Tells every gateway that sessions have ended.
    pub(super) async fn tell_ended(
        &self,
        user: UserId,
        sessions: Vec<String>,
        reason: EndReason,
        now: UnixMillis,
    ) -> Result<()> {
        let moment = Ends {
            at: seconds(now),
            tokens_expire_at: seconds(self.tokens_expire_at(now)),
            reason,
        };
        self.events.sessions_ended(user, sessions, moment).await
    }

    /// When the last access token of a session that ends now has expired, by every clock.
    pub(super) fn tokens_expire_at(&self, now: UnixMillis) -> UnixMillis {
        now.saturating_add(self.tokens.access_ttl_ms())
            .saturating_add(SKEW_MS)
    }
}
