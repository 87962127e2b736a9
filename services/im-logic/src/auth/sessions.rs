//! Register, sign in, refresh, sign out.

use std::sync::Arc;
use std::time::Duration;

use gochat_core::account::{
    self, check_avatar_url, check_password, guest_name, is_plausible_password,
};
use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::UserId;
use gochat_core::text;
use gochat_infra::token::{Claims, Kind, hash_of};
use gochat_proto::common::v1::{User, UserStatus};
use gochat_proto::im::repo::v1 as repo;
use rand::Rng as _;

use super::{Hasher, Keys, Pair, Subject, Tokens};
use crate::budgets::{Budgets, Origin};
use crate::clock;
use crate::events::{Events, Revoked};
use crate::repo::{Repo, present};

/// Names tried for one guest before giving up; a second try is rare already.
const GUEST_NAME_TRIES: usize = 5;
/// Longest name that is looked up at all, in bytes.
const NAME_MAX_BYTES: usize = 1_024;
/// What a client may say about itself, in characters.
const CLIENT_INFO_MAX_CHARS: usize = 200;

/// Accounts and their tokens.
pub(crate) struct Auth {
    repo: Repo,
    events: Events,
    tokens: Tokens,
    hasher: Hasher,
    budgets: Arc<Budgets>,
}

/// Somebody who came in.
pub(crate) struct Entry {
    pub(crate) pair: Pair,
    pub(crate) user: User,
}

impl Auth {
    pub(crate) fn new(
        repo: Repo,
        events: Events,
        tokens: Tokens,
        hasher: Hasher,
        budgets: Arc<Budgets>,
    ) -> Self {
        Self {
            repo,
            events,
            tokens,
            hasher,
            budgets,
        }
    }

    /// The keys of tokens.
    pub(crate) fn keys(&self) -> &Keys {
        &self.tokens.keys
    }

    /// Creates an account.
    ///
    /// # Errors
    /// `INVALID_USERNAME`, `WEAK_PASSWORD`, `INVALID_PARAMS`, `USER_ALREADY_EXISTS`, `RATE_LIMITED`.
    pub(crate) async fn register(
        &self,
        username: String,
        password: String,
        avatar_url: String,
        origin: Origin<'_>,
    ) -> Result<User> {
        let username = account::username(&username)?;
        check_password(&password)?;
        check_avatar_url(&avatar_url)?;
        self.budgets.registration(origin).await?;
        if self.find(username.clone()).await?.is_some() {
            return Err(ErrorCode::UserAlreadyExists.into());
        }
        let password_hash = self.hasher.hash(password).await?;
        let request = repo::CreateUserRequest {
            username,
            password_hash,
            avatar_url,
            ..Default::default()
        };
        // The unique key decides between two who want the name at once.
        present(self.repo.create_user(request).await?.user)
    }

    /// Trades a name and a password for tokens.
    ///
    /// # Errors
    /// `AUTH_INVALID_CREDENTIALS` for unknown names and wrong passwords alike, `USER_DISABLED`; `RATE_LIMITED` after
    /// too many wrong passwords for this name.
    pub(crate) async fn login(
        &self,
        username: String,
        password: String,
        client_info: &str,
        origin: Origin<'_>,
    ) -> Result<Entry> {
        if !is_plausible_password(&password) || username.len() > NAME_MAX_BYTES {
            return Err(ErrorCode::InvalidCredentials.into());
        }
        let found = self.find(username.clone()).await?;
        let Some(user) = found.filter(|user| !user.is_guest) else {
            self.budgets.guess(&username, None, origin).await?;
            self.hasher.pretend(password).await?;
            return Err(ErrorCode::InvalidCredentials.into());
        };
        self.check_password(&user, password, origin).await?;
        match user.status() {
            UserStatus::Disabled => Err(ErrorCode::UserDisabled.into()),
            UserStatus::Deleted => Err(ErrorCode::InvalidCredentials.into()),
            _ => self.enter(user, client_info).await,
        }
    }

    /// Compares a password of an account, within the account's budget of wrong ones.
    ///
    /// # Errors
    /// `AUTH_INVALID_CREDENTIALS`; `RATE_LIMITED` with the time at which the next password is judged.
    pub(crate) async fn check_password(
        &self,
        user: &User,
        password: String,
        origin: Origin<'_>,
    ) -> Result<()> {
        let id = user.id.parse().map_err(|_| ErrorCode::Internal)?;
        let guess = self.budgets.guess(&user.username, Some(id), origin).await?;
        let request = repo::VerifyPasswordRequest {
            user_id: user.id.clone(),
            password,
        };
        if !self.repo.verify_password(request).await?.valid {
            return Err(ErrorCode::InvalidCredentials.into());
        }
        self.budgets.confirm(guess).await;
        Ok(())
    }

    /// Creates a guest and lets it in.
    ///
    /// # Errors
    /// `RATE_LIMITED` when its network, or all together, made too many.
    pub(crate) async fn guest(
        &self,
        wish: &str,
        client_info: &str,
        origin: Origin<'_>,
    ) -> Result<Entry> {
        self.budgets.guest(origin).await?;
        for _ in 0..GUEST_NAME_TRIES {
            let request = repo::CreateUserRequest {
                username: guest_name(wish, rand::rng().random()),
                is_guest: true,
                ..Default::default()
            };
            match self.repo.create_user(request).await {
                Ok(created) => {
                    let user = present(created.user)?;
                    self.events.guest_created(&user).await;
                    return self.enter(user, client_info).await;
                }
                Err(error) if error.code == ErrorCode::UserAlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(ErrorCode::ServiceUnavailable.into())
    }

    /// Trades a refresh token for a new pair. Each refresh token works once; using one again
    /// means that somebody else has it, so everything the user holds is revoked.
    ///
    /// # Errors
    /// `INVALID_TOKEN`, `TOKEN_EXPIRED`, `USER_DISABLED`.
    pub(crate) async fn refresh(&self, token: &str) -> Result<Pair> {
        let claims = self
            .tokens
            .verify(token, Kind::Refresh, clock::now_s())
            .await?;
        // Asked before the token is used up, so that a failure here costs nothing.
        let user = self.active_user(claims.user_id).await?;
        let request = repo::ConsumeRefreshTokenRequest {
            token_hash: hash_of(token),
        };
        let consumed = self.repo.consume_refresh(request).await?;
        if consumed.reused {
            self.revoke_all(claims.user_id).await?;
            return Err(ErrorCode::InvalidToken.into());
        }
        if consumed.user_id != user.id {
            return Err(ErrorCode::InvalidToken.into());
        }
        let client_info = consumed.token.map(|t| t.client_info).unwrap_or_default();
        Ok(self.enter(user, &client_info).await?.pair)
    }

    /// Revokes an access token everywhere, and the refresh token issued with it.
    ///
    /// # Errors
    /// `INVALID_TOKEN` for a token that isn't this user's or is revoked, `TOKEN_EXPIRED`.
    pub(crate) async fn logout(&self, user: UserId, token: &str) -> Result<()> {
        let claims = self
            .tokens
            .verify(token, Kind::Access, clock::now_s())
            .await?;
        if claims.user_id != user {
            return Err(ErrorCode::InvalidToken.into());
        }
        let token_hash = hash_of(token);
        let again = self.is_revoked(&claims, token_hash.clone()).await?;
        if !again {
            let request = repo::BlacklistTokenRequest {
                token_hash: token_hash.clone(),
                expires_at: claims.exp,
                user_id: user.to_string(),
                revoke_refresh_token: true,
            };
            self.repo.blacklist(request).await?;
        }
        // Told again for a second try: the first may have failed just here.
        let scope = Revoked::Token(token_hash);
        self.events
            .revoked(user, scope, claims.exp, "logout")
            .await?;
        if again {
            Err(ErrorCode::InvalidToken.into())
        } else {
            Ok(())
        }
    }

    /// Whose token this is and until when, if it is valid and not revoked.
    ///
    /// # Errors
    /// `INVALID_TOKEN`, `TOKEN_EXPIRED`, `USER_DISABLED`; others when it couldn't be found out.
    pub(crate) async fn validate(&self, token: &str) -> Result<(User, i64)> {
        let claims = self
            .tokens
            .verify(token, Kind::Access, clock::now_s())
            .await?;
        if self.is_revoked(&claims, hash_of(token)).await? {
            return Err(ErrorCode::InvalidToken.into());
        }
        Ok((self.active_user(claims.user_id).await?, claims.exp))
    }

    async fn is_revoked(&self, claims: &Claims, token_hash: String) -> Result<bool> {
        let request = repo::IsBlacklistedRequest {
            token_hash,
            user_id: claims.user_id.to_string(),
            issued_at: claims.iat,
        };
        Ok(self.repo.is_blacklisted(request).await?.blacklisted)
    }

    async fn enter(&self, user: User, client_info: &str) -> Result<Entry> {
        let id: UserId = user.id.parse().map_err(|_| ErrorCode::Internal)?;
        let subject = Subject {
            id,
            username: &user.username,
            is_guest: user.is_guest,
        };
        let pair = self.tokens.issue(subject, clock::now_s()).await?;
        let record = repo::RefreshToken {
            token_hash: pair.refresh.hash(),
            user_id: user.id.clone(),
            expires_at: pair.refresh.expires_at,
            access_token_hash: pair.access.hash(),
            access_token_jti: pair.access.jti.clone(),
            access_expires_at: pair.access.expires_at,
            client_info: client_info.chars().take(CLIENT_INFO_MAX_CHARS).collect(),
        };
        let request = repo::StoreRefreshTokenRequest {
            token: Some(record),
        };
        self.repo.store_refresh(request).await?;
        Ok(Entry { pair, user })
    }

    async fn revoke_all(&self, user: UserId) -> Result<()> {
        let now = clock::now_s();
        let (issued_before, expires_at) = (now.saturating_add(1), self.tokens.all_expired_at(now));
        tracing::warn!(%user, "a refresh token was used twice: all tokens of the user are revoked");
        let request = repo::RevokeUserTokensRequest {
            user_id: user.to_string(),
            issued_before,
            expires_at,
        };
        self.repo.revoke_user(request).await?;
        let scope = Revoked::IssuedBefore(issued_before);
        self.events
            .revoked(user, scope, expires_at, "refresh_reuse")
            .await?;
        // `iat` counts seconds. Answering within the revoked one would let the user sign in again
        // with a token that is revoked from birth.
        let next = u64::try_from(issued_before)
            .unwrap_or(0)
            .saturating_mul(1_000);
        let rest = next.saturating_sub(clock::now_ms()).min(1_000);
        tokio::time::sleep(Duration::from_millis(rest)).await;
        Ok(())
    }

    async fn find(&self, username: String) -> Result<Option<User>> {
        match self
            .repo
            .user_by_name(repo::GetUserByUsernameRequest {
                username: text::username_key(&username),
            })
            .await
        {
            Ok(found) => Ok(found.user),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn active_user(&self, id: UserId) -> Result<User> {
        let user = match self.repo.user(id).await {
            Err(error) if error.code == ErrorCode::UserNotFound => {
                return Err(ErrorCode::InvalidToken.into());
            }
            other => other?,
        };
        match user.status() {
            UserStatus::Disabled => Err(ErrorCode::UserDisabled.into()),
            UserStatus::Deleted => Err(ErrorCode::InvalidToken.into()),
            _ => Ok(user),
        }
    }
}

fn is_not_found(error: &Error) -> bool {
    matches!(error.code, ErrorCode::NotFound | ErrorCode::UserNotFound)
}
