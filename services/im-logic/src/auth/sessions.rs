//! Register, sign in, refresh, sign out.

use std::sync::Arc;

use gochat_core::account::{
    self, check_avatar_url, check_password, guest_name, is_plausible_password,
};
use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::{UnixMillis, UserId};
use gochat_core::proof::Challenge;
use gochat_core::text;
use gochat_core::token::{EndReason, FIRST_GENERATION, Policy, SessionId};
use gochat_infra::token::{Kind, hash_of};
use gochat_proto::common::v1::{User, UserStatus};
use gochat_proto::im::repo::v1 as repo;
use rand::Rng as _;

use super::{Hasher, Keys, Pair, Place, Subject, Tokens};
use crate::budgets::{Budgets, Origin};
use crate::events::Events;
use crate::proofs::Proofs;
use crate::repo::{Repo, present};

/// Names tried for one guest before giving up; a second try is rare already.
const GUEST_NAME_TRIES: usize = 5;
/// Longest name that is looked up at all, in bytes.
const NAME_MAX_BYTES: usize = 1_024;
/// What a client may say about itself, in characters.
const CLIENT_INFO_MAX_CHARS: usize = 200;
/// Longest name of a device, in characters.
const DEVICE_MAX_CHARS: usize = 64;
/// Longest address, in characters.
const ADDRESS_MAX_CHARS: usize = 64;

/// Unix time in milliseconds, asked once per call.
pub(crate) type Clock = Arc<dyn Fn() -> UnixMillis + Send + Sync>;

/// Accounts and their tokens.
pub(crate) struct Auth {
    pub(super) repo: Repo,
    pub(super) events: Events,
    pub(super) tokens: Tokens,
    pub(super) hasher: Hasher,
    pub(super) budgets: Arc<Budgets>,
    proofs: Proofs,
    pub(super) clock: Clock,
    /// Live sessions per user.
    pub(super) cap: u32,
}

/// What is known of the client that signs in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Client {
    /// What the client says about itself.
    pub(crate) info: String,
    /// Name of the device.
    pub(crate) device: String,
    /// Network address.
    pub(crate) address: String,
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
        proofs: Proofs,
    ) -> Self {
        Self {
            repo,
            events,
            tokens,
            hasher,
            budgets,
            proofs,
            clock: Arc::new(crate::clock::now_ms),
            cap: crate::config::Auth::default().sessions_per_user,
        }
    }

    /// The keys of tokens.
    pub(crate) fn keys(&self) -> &Keys {
        &self.tokens.keys
    }

    /// Asks another clock.
    pub(crate) fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Lets users have so many live sessions.
    pub(crate) fn with_cap(self, cap: u32) -> Self {
        Self { cap, ..self }
    }

    /// Unix time in milliseconds.
    pub(super) fn now(&self) -> UnixMillis {
        (self.clock)()
    }

    /// Creates an account.
    ///
    /// # Errors
    /// `INVALID_USERNAME`, `WEAK_PASSWORD`, `INVALID_PARAMS`, `USER_ALREADY_EXISTS`,
    /// `RATE_LIMITED`, `REGISTRATION_CLOSED`, `INVITATION_INVALID`.
    pub(crate) async fn register(
        &self,
        username: String,
        password: String,
        avatar_url: String,
        invitation: &str,
        origin: Origin<'_>,
    ) -> Result<User> {
        let username = account::username(&username)?;
        check_password(&password)?;
        check_avatar_url(&avatar_url)?;
        self.budgets.may_register(invitation)?;
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
        let code = self.budgets.invitation(invitation).await?;
        // The unique key decides between two who want the name at once.
        match self.repo.create_user(request).await {
            Ok(created) => present(created.user),
            Err(error) => {
                self.budgets.return_invitation(code).await;
                Err(error)
            }
        }
    }

    /// Trades a name and a password for tokens.
    ///
    /// # Errors
    /// `AUTH_INVALID_CREDENTIALS` for unknown names and wrong passwords alike, `USER_DISABLED`;
    /// `RATE_LIMITED` after too many wrong passwords for this name.
    pub(crate) async fn login(
        &self,
        username: String,
        password: String,
        client: &Client,
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
        let version = self.check_password(&user, password, origin).await?;
        match user.status() {
            UserStatus::Disabled => Err(ErrorCode::UserDisabled.into()),
            UserStatus::Deleted => Err(ErrorCode::InvalidCredentials.into()),
            _ => self.enter(user, Some(version), client).await,
        }
    }

    /// Compares a password of an account, within the account's budget of wrong ones; the version of
    /// the password.
    ///
    /// # Errors
    /// `AUTH_INVALID_CREDENTIALS`; `RATE_LIMITED` with the time at which the next password is
    /// judged.
    pub(crate) async fn check_password(
        &self,
        user: &User,
        password: String,
        origin: Origin<'_>,
    ) -> Result<i64> {
        let id = user.id.parse().map_err(|_| ErrorCode::Internal)?;
        let guess = self.budgets.guess(&user.username, Some(id), origin).await?;
        let request = repo::VerifyPasswordRequest {
            user_id: user.id.clone(),
            password,
        };
        let judged = self.repo.verify_password(request).await?;
        if !judged.valid {
            return Err(ErrorCode::InvalidCredentials.into());
        }
        self.budgets.confirm(guess).await;
        Ok(judged.password_version)
    }

    /// A challenge for a guest, with its text; `None` where guests need none.
    ///
    /// # Errors
    /// None with settings that were checked.
    pub(crate) fn challenge(&self) -> Result<Option<(Challenge, String)>> {
        self.proofs.challenge(self.now())
    }

    /// Creates a guest and lets it in. Whoever has no proof costs nothing; a network that made
    /// too many guests keeps its proof; a proof is used up before all together pay for it.
    ///
    /// # Errors
    /// `RATE_LIMITED` when its network, or all together, made too many; `GUEST_NOT_ALLOWED`;
    /// `PROOF_REQUIRED`.
    pub(crate) async fn guest(
        &self,
        wish: &str,
        proof: &str,
        client: &Client,
        origin: Origin<'_>,
    ) -> Result<Entry> {
        self.budgets.may_be_guest()?;
        let proof = self.proofs.judge(proof, self.now())?;
        self.budgets.guest_of_network(origin).await?;
        if let Some(proof) = proof {
            self.proofs.use_up(&proof, self.now()).await?;
        }
        self.budgets.guest().await?;
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
                    return self.enter(user, None, client).await;
                }
                Err(error) if error.code == ErrorCode::UserAlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(ErrorCode::ServiceUnavailable.into())
    }

    /// Trades a refresh token for the pair that follows it. Two requests with the newest token get
    /// the same pair; an older token ends its session.
    ///
    /// # Errors
    /// `INVALID_TOKEN`, `TOKEN_EXPIRED`, `USER_DISABLED`.
    pub(crate) async fn refresh(&self, token: &str, address: &str) -> Result<Pair> {
        let now = self.now();
        let claims = self
            .tokens
            .verify(token, Kind::Refresh, seconds(now))
            .await?;
        let user = match self.active_user(claims.user_id).await {
            Err(error) if error.code == ErrorCode::UserDisabled => {
                self.events.refresh_refused(claims.user_id, address, &error);
                return Err(error);
            }
            user => user?,
        };
        let session = match claims.sid {
            Some(session) => session,
            None => inherited(token)?,
        };
        let issue = async |generation, at| {
            let place = Place {
                session,
                generation,
                at,
            };
            let subject = subject_of(claims.user_id, &user);
            self.tokens.issue(subject, place).await
        };
        let next = issue(claims.generation.saturating_add(1), now).await?;
        let request = repo::RefreshSessionRequest {
            session_id: session.to_string(),
            user_id: user.id.clone(),
            generation: wide(claims.generation),
            now_ms: wide(now),
            repeat_ms: wide(Policy::REPEAT_MS),
            refresh_ttl_ms: wide(self.tokens.refresh_ttl_ms()),
            refresh_hash: next.refresh.hash(),
            address: cut(address, ADDRESS_MAX_CHARS),
            tokens_expire_at_ms: wide(self.tokens_expire_at(now)),
        };
        let answer = self.repo.refresh_session(request).await?;
        use repo::RefreshVerdict as Verdict;
        match answer.verdict() {
            Verdict::Rotated => Ok(next),
            Verdict::Repeat => {
                let at = u64::try_from(answer.rotated_at_ms).unwrap_or(now);
                issue(u64::try_from(answer.generation).unwrap_or(0), at).await
            }
            // Told for a session that had ended before, too: the request that ended it may have
            // failed before it told the gateways.
            Verdict::Reuse | Verdict::Ended => {
                if answer.verdict() == Verdict::Reuse {
                    tracing::warn!(user = %claims.user_id, %session, "an old refresh token was presented: its session has ended");
                    metrics::counter!("gochat_auth_refresh_reuse_total").increment(1);
                    self.events
                        .refresh_reused(claims.user_id, &session.to_string(), address);
                }
                let reason = EndReason::from_i32(answer.end_reason).unwrap_or(EndReason::Reuse);
                let ended = vec![session.to_string()];
                self.tell_ended(claims.user_id, ended, reason, now).await?;
                Err(ErrorCode::InvalidToken.into())
            }
            Verdict::Expired => Err(ErrorCode::TokenExpired.into()),
            Verdict::Unknown | Verdict::Unspecified => Err(ErrorCode::InvalidToken.into()),
        }
    }

    /// Whose token this is and until when, if it is valid and its session is live.
    ///
    /// # Errors
    /// `INVALID_TOKEN`, `TOKEN_EXPIRED`, `USER_DISABLED`; others when it couldn't be found out.
    pub(crate) async fn validate(&self, token: &str) -> Result<(User, i64)> {
        let now = self.now();
        let claims = self
            .tokens
            .verify(token, Kind::Access, seconds(now))
            .await?;
        // A token from before sessions is renewed first; the row judges it then.
        let session = claims.sid.ok_or(ErrorCode::TokenExpired)?;
        if !self.is_live(claims.user_id, session, now).await? {
            return Err(ErrorCode::InvalidToken.into());
        }
        Ok((self.active_user(claims.user_id).await?, claims.exp))
    }

    /// Whether tokens of the session are good.
    pub(super) async fn is_live(
        &self,
        user: UserId,
        session: SessionId,
        now: UnixMillis,
    ) -> Result<bool> {
        let request = repo::GetSessionRequest {
            session_id: session.to_string(),
        };
        let row = match self.repo.get_session(request).await {
            Err(error) if is_not_found(&error) => return Ok(false),
            other => present(other?.session)?,
        };
        let is_live = row.ended_at_ms == 0 && wide(now) < row.expires_at_ms;
        Ok(is_live && row.user_id == user.to_string())
    }

    /// Makes a session. `password_version` is that of the password that let the user in.
    async fn enter(
        &self,
        user: User,
        password_version: Option<i64>,
        client: &Client,
    ) -> Result<Entry> {
        let id: UserId = user.id.parse().map_err(|_| ErrorCode::Internal)?;
        let now = self.now();
        let place = Place {
            session: SessionId::new(rand::rng().random()),
            generation: FIRST_GENERATION,
            at: now,
        };
        let pair = self.tokens.issue(subject_of(id, &user), place).await?;
        let session = repo::SessionRow {
            session_id: place.session.to_string(),
            user_id: user.id.clone(),
            device: cut(&client.device, DEVICE_MAX_CHARS),
            client: cut(&client.info, CLIENT_INFO_MAX_CHARS),
            address: cut(&client.address, ADDRESS_MAX_CHARS),
            created_at_ms: wide(now),
            last_used_at_ms: wide(now),
            expires_at_ms: wide(now.saturating_add(self.tokens.refresh_ttl_ms())),
            generation: wide(place.generation),
            rotated_at_ms: wide(now),
            refresh_hash: pair.refresh.hash(),
            ..Default::default()
        };
        let request = repo::CreateSessionRequest {
            session: Some(session),
            password_version: password_version.unwrap_or(0),
            without_password: password_version.is_none(),
            cap: i32::try_from(self.cap).unwrap_or(i32::MAX),
            tokens_expire_at_ms: wide(self.tokens_expire_at(now)),
        };
        let evicted = self.repo.create_session(request).await?.evicted_session_ids;
        self.tell_ended(id, evicted, EndReason::Evicted, now)
            .await?;
        Ok(Entry { pair, user })
    }

    pub(super) async fn find(&self, username: String) -> Result<Option<User>> {
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

    pub(super) async fn active_user(&self, id: UserId) -> Result<User> {
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

/// The session of a refresh token from before sessions: the migration made it under the first half
/// of the token's hash.
fn inherited(token: &str) -> Result<SessionId> {
    let hash = hash_of(token);
    let half = hash.get(..32).unwrap_or_default();
    half.parse().map_err(|_| ErrorCode::InvalidToken.into())
}

/// Whom the tokens of a user are for.
pub(super) fn subject_of(id: UserId, user: &User) -> Subject<'_> {
    Subject {
        id,
        username: &user.username,
        is_guest: user.is_guest,
    }
}

/// Unix seconds.
pub(super) fn seconds(millis: UnixMillis) -> i64 {
    wide(millis / 1_000)
}

/// A number as the wire writes it.
pub(super) fn wide(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The first characters of a text.
fn cut(text: &str, max_chars: usize) -> String {
    text.chars().take(max_chars).collect()
}

pub(super) fn is_not_found(error: &Error) -> bool {
    matches!(error.code, ErrorCode::NotFound | ErrorCode::UserNotFound)
}
