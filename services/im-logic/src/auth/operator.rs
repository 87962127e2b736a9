//! What an operator does to an account.

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::UserId;
use gochat_core::token::EndReason;
use gochat_proto::common::v1::{User, UserStatus};
use gochat_proto::im::repo::v1 as repo;

use super::sessions::{seconds, wide};
use super::{Auth, Key};
use crate::events::Ends;
use crate::repo::present;

impl Auth {
    /// Disables or enables an account. A disabled account has no live session, and every gateway
    /// has been told. A repeat does the same again.
    ///
    /// # Errors
    /// `INVALID_PARAMS` for another status; retryable ones: the account may be disabled while a
    /// gateway has not heard of it.
    pub(crate) async fn set_status(&self, user: UserId, status: UserStatus) -> Result<User> {
        if !matches!(status, UserStatus::Normal | UserStatus::Disabled) {
            let text = "An account is disabled or enabled.";
            return Err(Error::new(ErrorCode::InvalidParams, text));
        }
        let now = self.now();
        let request = repo::UpdateUserRequest {
            user_id: user.to_string(),
            status: status as i32,
            update_mask: vec!["status".to_owned()],
            tokens_expire_at_ms: wide(self.tokens_expire_at(now)),
            ..Default::default()
        };
        let after = present(self.repo.update_user(request).await?.user)?;
        if status == UserStatus::Disabled {
            self.end_sessions_of(user, EndReason::Disabled).await?;
        }
        Ok(after)
    }

    /// Ends a signing key: im-logic refuses its tokens from now on, gateways once they have loaded
    /// the keys again. Every access token that was issued until now must be renewed, so that no
    /// socket of such a token stays open. Answers the key that was made in its place, if one was.
    ///
    /// # Errors
    /// Those of [`Keys::revoke`](super::Keys::revoke); retryable ones of the log when the key has
    /// ended and gateways could not be told.
    pub(crate) async fn revoke_key(&self, kid: &str) -> Result<Option<Key>> {
        let successor = self.tokens.keys.revoke(kid).await?;
        let now = self.now();
        let moment = Ends {
            at: seconds(now),
            tokens_expire_at: seconds(self.tokens_expire_at(now)),
            reason: EndReason::Operator,
        };
        let told = self.events.renew_all_tokens(moment).await;
        told.map_err(|error| {
            let text = "The key has ended, but the gateways could not be told: sockets that its tokens opened live until these expire.";
            Error::new(error.code, text)
        })?;
        Ok(successor)
    }

    /// Sets a password whatever the old one was, and ends every session.
    ///
    /// # Errors
    /// `SERVICE_UNAVAILABLE` when too many passwords wait already; retryable ones of im-repo and
    /// the log.
    pub(crate) async fn reset_password(&self, user: UserId, password: String) -> Result<()> {
        let now = self.now();
        let request = repo::SetPasswordRequest {
            user_id: user.to_string(),
            password_hash: self.hasher.hash(password).await?,
            any_version: true,
            now_ms: wide(now),
            tokens_expire_at_ms: wide(self.tokens_expire_at(now)),
            ..Default::default()
        };
        self.repo.set_password(request).await?;
        self.end_sessions_of(user, EndReason::Operator).await
    }
}
