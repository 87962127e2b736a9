//! Changes of an account by its owner: the password, and what a guest becomes.

use gochat_core::account::{self, check_password};
use gochat_core::error::{ErrorCode, Result};
use gochat_core::ids::UserId;
use gochat_core::token::{EndReason, SessionId};
use gochat_proto::common::v1::{User, UserStatus};
use gochat_proto::im::repo::v1 as repo;

use super::ends::Which;
use super::sessions::{Entry, is_not_found, subject_of, wide};
use super::{Auth, Place};
use crate::budgets::Origin;
use crate::repo::present;

impl Auth {
    /// Changes the password and ends every other session. When the new password is the user's
    /// already, the request is taken for a repeat whose first answer was lost.
    ///
    /// # Errors
    /// `AUTH_INVALID_CREDENTIALS` for a wrong old password, `RATE_LIMITED` after too many of them,
    /// `WEAK_PASSWORD`, `GUEST_NOT_ALLOWED`, `VERSION_CONFLICT` when the password was changed at
    /// the same time.
    pub(crate) async fn change_password(
        &self,
        user: UserId,
        session: SessionId,
        old: String,
        new: String,
        origin: Origin<'_>,
    ) -> Result<()> {
        let account = self.active_user(user).await?;
        if account.is_guest {
            return Err(ErrorCode::GuestNotAllowed.into());
        }
        check_password(&new)?;
        let others = Which::AllBut(session);
        let version = match self.check_password(&account, old, origin).await {
            Ok(version) => version,
            Err(error) if error.code == ErrorCode::InvalidCredentials => {
                self.check_password(&account, new, origin).await?;
                return self
                    .end(user, others, EndReason::PasswordChanged)
                    .await
                    .map(drop);
            }
            Err(error) => return Err(error),
        };
        let now = self.now();
        let request = repo::SetPasswordRequest {
            user_id: user.to_string(),
            password_hash: self.hasher.hash(new).await?,
            password_version: version,
            any_version: false,
            keep_session_id: session.to_string(),
            now_ms: wide(now),
            tokens_expire_at_ms: wide(self.tokens_expire_at(now)),
        };
        self.repo.set_password(request).await?;
        // The sessions have ended with the password; this names them to the gateways.
        self.end(user, others, EndReason::PasswordChanged)
            .await
            .map(drop)
    }

    /// Judges the wish to delete an account; false when it is deleted already.
    ///
    /// # Errors
    /// `AUTH_INVALID_CREDENTIALS` for a wrong password (guests have none), `USER_DISABLED`,
    /// `USER_NOT_FOUND`.
    pub(crate) async fn may_delete(
        &self,
        user: UserId,
        password: String,
        origin: Origin<'_>,
    ) -> Result<bool> {
        let account = self.repo.user(user).await?;
        match account.status() {
            UserStatus::Deleted => return Ok(false),
            UserStatus::Disabled => return Err(ErrorCode::UserDisabled.into()),
            _ => {}
        }
        if !account.is_guest {
            self.check_password(&account, password, origin).await?;
        }
        Ok(true)
    }

    /// Deletes an account and ends its friendships, open requests and sessions everywhere. A repeat
    /// does the same again.
    ///
    /// # Errors
    /// `VERSION_CONFLICT` while the user is in a group; retryable ones.
    pub(crate) async fn delete(&self, user: UserId) -> Result<()> {
        let now = self.now();
        let before = self.repo.user(user).await?;
        // Looked up before the rows change: a repeat after a lost answer tells them again.
        let friends = self.repo.friends_of(user).await?;
        let request = repo::DeleteUserRequest {
            user_id: user.to_string(),
            now_ms: wide(now),
            tokens_expire_at_ms: wide(self.tokens_expire_at(now)),
        };
        let after = present(self.repo.delete_user(request).await?.user)?;
        if before.username != after.username {
            self.events.profile_updated(user, &before, &after).await;
        }
        self.events.friends_removed(user, &friends).await;
        self.end_sessions_of(user, EndReason::Deleted).await
    }

    /// Makes an account of a guest. The sessions go on; the answer holds tokens of this one that
    /// name the account. A repeat answers the same.
    ///
    /// # Errors
    /// `INVALID_USERNAME`, `WEAK_PASSWORD`, `USER_ALREADY_EXISTS`; `FORBIDDEN` for who is no guest;
    /// `INVALID_TOKEN` for a session that has ended; `REGISTRATION_CLOSED`.
    pub(crate) async fn upgrade(
        &self,
        user: UserId,
        session: SessionId,
        username: String,
        password: String,
    ) -> Result<Entry> {
        let username = account::username(&username)?;
        check_password(&password)?;
        let before = self.active_user(user).await?;
        let after = if before.is_guest {
            self.budgets.upgrade()?;
            let request = repo::UpgradeGuestRequest {
                user_id: user.to_string(),
                username,
                password_hash: self.hasher.hash(password).await?,
            };
            let after = present(self.repo.upgrade_guest(request).await?.user)?;
            self.events.profile_updated(user, &before, &after).await;
            after
        } else if before.username == username {
            let origin = Origin::default();
            self.check_password(&before, password, origin).await?;
            before
        } else {
            return Err(ErrorCode::Forbidden.into());
        };
        self.renamed(user, session, after).await
    }

    /// Tokens of the session's present generation for a user whose name changed.
    async fn renamed(&self, user: UserId, session: SessionId, after: User) -> Result<Entry> {
        let request = repo::GetSessionRequest {
            session_id: session.to_string(),
        };
        let row = match self.repo.get_session(request).await {
            Err(error) if is_not_found(&error) => return Err(ErrorCode::InvalidToken.into()),
            other => present(other?.session)?,
        };
        if row.ended_at_ms != 0 || row.user_id != after.id {
            return Err(ErrorCode::InvalidToken.into());
        }
        let place = Place {
            session,
            generation: u64::try_from(row.generation).unwrap_or(0),
            at: u64::try_from(row.rotated_at_ms).unwrap_or(0),
        };
        let pair = self.tokens.issue(subject_of(user, &after), place).await?;
        Ok(Entry { pair, user: after })
    }
}
