//! TokenService: refresh tokens and revocations.
//!
//! The database is the truth: losing the cache loses no revocation. Two facts are cached per
//! check, both let go of exactly when they change: "this token was revoked" and "this user
//! has a user-wide revocation at all". Only for a user who has one, the question goes to
//! the database with the token's time.

use gochat_core::error::Result;
use gochat_core::ids::{UnixMillis, UserId};
use gochat_infra::port::db::{
    ConsumeOutcome, ConsumeRefresh, RefreshRecord, Revocation as Revoked, RevocationKey,
};
use gochat_proto::im::repo::v1::{token_service_server::TokenService, *};

use crate::rpc::{failed, serve};
use crate::services::api;
use crate::shared::forget;
use crate::{args, convert};

/// Most revocations of a page.
const PAGE: u32 = 1_000;
/// Longest description of a client, in characters.
const CLIENT_INFO_MAX: usize = 1_000;
/// Later than every token: asks about the token alone.
const NEVER: UnixMillis = i64::MAX as UnixMillis;

api!(
    /// Refresh tokens and revocations.
    TokenApi
);

serve!(impl TokenService => TokenApi {
    store_refresh_token(StoreRefreshTokenRequest) -> StoreRefreshTokenResponse;
    consume_refresh_token(ConsumeRefreshTokenRequest) -> ConsumeRefreshTokenResponse;
    blacklist_token(BlacklistTokenRequest) -> BlacklistTokenResponse;
    is_blacklisted(IsBlacklistedRequest) -> IsBlacklistedResponse;
    revoke_user_tokens(RevokeUserTokensRequest) -> RevokeUserTokensResponse;
    list_revocations(ListRevocationsRequest) -> ListRevocationsResponse;
});

/// A hex SHA-256. The form is checked, so that a token sent by mistake is never stored.
fn hash<'a>(text: &'a str, field: &str) -> Result<&'a str> {
    let hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    if text.len() == 64 && text.bytes().all(hex) {
        Ok(text)
    } else {
        Err(args::invalid(format!(
            "`{field}` is not a SHA-256 in lower-case hex."
        )))
    }
}

fn optional_hash<'a>(text: &'a str, field: &str) -> Result<&'a str> {
    if text.is_empty() {
        Ok(text)
    } else {
        hash(text, field)
    }
}

fn token_key(hash: &str) -> String {
    format!("token:blacklist:{hash}")
}

fn user_key(user: UserId) -> String {
    format!("user:revoked:{user}")
}

fn wire(record: RefreshRecord) -> RefreshToken {
    RefreshToken {
        token_hash: record.hash,
        user_id: record.user_id.to_string(),
        expires_at: convert::seconds(record.expires_at),
        access_token_hash: record.access_hash,
        access_token_jti: record.access_jti,
        access_expires_at: convert::seconds(record.access_expires_at),
        client_info: record.client_info,
    }
}

impl TokenApi {
    async fn store_refresh_token(
        &self,
        request: StoreRefreshTokenRequest,
    ) -> Result<StoreRefreshTokenResponse> {
        let token = request
            .token
            .ok_or_else(|| args::invalid("`token` is missing."))?;
        args::optional_text(&token.client_info, "client_info", CLIENT_INFO_MAX)?;
        args::optional_text(&token.access_token_jti, "access_token_jti", 64)?;
        let record = RefreshRecord {
            hash: hash(&token.token_hash, "token_hash")?.to_owned(),
            user_id: args::user(&token.user_id, "user_id")?,
            created_at: self.shared.now(),
            expires_at: args::millis_or_none(token.expires_at)
                .ok_or_else(|| args::invalid("`expires_at` is missing."))?,
            access_hash: optional_hash(&token.access_token_hash, "access_token_hash")?.to_owned(),
            access_jti: token.access_token_jti,
            access_expires_at: args::millis(token.access_expires_at),
            client_info: token.client_info,
        };
        self.shared.db.store_refresh(record).await.map_err(failed)?;
        Ok(StoreRefreshTokenResponse { success: true })
    }

    async fn consume_refresh_token(
        &self,
        request: ConsumeRefreshTokenRequest,
    ) -> Result<ConsumeRefreshTokenResponse> {
        let now = self.shared.now();
        let consume = ConsumeRefresh {
            hash: hash(&request.token_hash, "token_hash")?.to_owned(),
            now,
            revoke_until: now + self.shared.config.access_token_ms,
        };
        let outcome = self
            .shared
            .db
            .consume_refresh(consume)
            .await
            .map_err(failed)?;
        Ok(match outcome {
            ConsumeOutcome::Consumed(record) => ConsumeRefreshTokenResponse {
                user_id: record.user_id.to_string(),
                reused: false,
                token: Some(wire(record)),
            },
            ConsumeOutcome::Reused { user_id } => {
                forget(&self.shared.cached, &[user_key(user_id)]).await;
                tracing::warn!(user = %user_id, "a used refresh token came back; all tokens revoked");
                let user_id = user_id.to_string();
                ConsumeRefreshTokenResponse {
                    user_id,
                    reused: true,
                    token: None,
                }
            }
            ConsumeOutcome::Expired | ConsumeOutcome::Unknown => {
                ConsumeRefreshTokenResponse::default()
            }
        })
    }

    async fn blacklist_token(
        &self,
        request: BlacklistTokenRequest,
    ) -> Result<BlacklistTokenResponse> {
        let hash = hash(&request.token_hash, "token_hash")?.to_owned();
        let now = self.shared.now();
        let expires_at = args::millis_or_none(request.expires_at)
            .unwrap_or(now + self.shared.config.access_token_ms);
        // The refresh token first: after a failure between the two, the caller still holds an
        // access token that works and signs out again.
        if request.revoke_refresh_token {
            self.shared
                .db
                .delete_refresh_of_access(&hash)
                .await
                .map_err(failed)?;
        }
        let key = RevocationKey::Token(hash.clone());
        let revoked = Revoked {
            key,
            revoked_at: now,
            expires_at,
        };
        self.shared
            .db
            .add_revocation(revoked)
            .await
            .map_err(failed)?;
        forget(&self.shared.cached, &[token_key(&hash)]).await;
        Ok(BlacklistTokenResponse { success: true })
    }

    async fn is_blacklisted(&self, request: IsBlacklistedRequest) -> Result<IsBlacklistedResponse> {
        let hash = hash(&request.token_hash, "token_hash")?;
        let user = args::user_or_none(&request.user_id, "user_id")?;
        let issued_at = args::millis(request.issued_at);
        let blacklisted = self.is_token_revoked(hash).await?
            || match user {
                Some(user) => self.is_user_revoked(user, issued_at).await?,
                None => false,
            };
        Ok(IsBlacklistedResponse { blacklisted })
    }

    async fn is_token_revoked(&self, hash: &str) -> Result<bool> {
        let nobody = UserId::default();
        let now = self.shared.now();
        let load = || async {
            let revoked = self.shared.db.is_revoked(hash, nobody, NEVER, now).await;
            Ok(revoked.map_err(failed)?.then(bytes::Bytes::new))
        };
        let keep = self.shared.config.cache.tokens();
        let answer = self
            .shared
            .cached
            .get_or_load(&token_key(hash), keep, load)
            .await?;
        Ok(answer.value.is_some())
    }

    async fn is_user_revoked(&self, user: UserId, issued_at: UnixMillis) -> Result<bool> {
        let now = self.shared.now();
        let load = || async {
            // Issued at 0: hit by any revocation there is.
            let any = self.shared.db.is_revoked("", user, 0, now).await;
            Ok(any.map_err(failed)?.then(bytes::Bytes::new))
        };
        let keep = self.shared.config.cache.tokens();
        let answer = self
            .shared
            .cached
            .get_or_load(&user_key(user), keep, load)
            .await?;
        if answer.value.is_none() {
            return Ok(false);
        }
        self.shared
            .db
            .is_revoked("", user, issued_at, now)
            .await
            .map_err(failed)
    }

    async fn revoke_user_tokens(
        &self,
        request: RevokeUserTokensRequest,
    ) -> Result<RevokeUserTokensResponse> {
        let user = args::user(&request.user_id, "user_id")?;
        let now = self.shared.now();
        // The wire says "issued before", the store "issued at or before".
        let last_hit = args::millis_or_none(request.issued_before).map_or(now, |before| before - 1);
        let until = args::millis_or_none(request.expires_at)
            .unwrap_or(now + self.shared.config.access_token_ms);
        let gone = self
            .shared
            .db
            .revoke_user(user, last_hit, until)
            .await
            .map_err(failed)?;
        forget(&self.shared.cached, &[user_key(user)]).await;
        let refresh_tokens_revoked = i32::try_from(gone).unwrap_or(i32::MAX);
        Ok(RevokeUserTokensResponse {
            success: true,
            refresh_tokens_revoked,
        })
    }

    async fn list_revocations(
        &self,
        request: ListRevocationsRequest,
    ) -> Result<ListRevocationsResponse> {
        let after = parse_cursor(&request.cursor)?;
        let limit = args::limit(request.limit, PAGE, PAGE);
        let now = self.shared.now();
        let rows = self
            .shared
            .db
            .revocations(now, after, limit)
            .await
            .map_err(failed)?;
        let next_cursor = match rows.last() {
            Some(last) if rows.len() >= limit as usize => cursor(&last.key),
            _ => String::new(),
        };
        Ok(ListRevocationsResponse {
            revocations: rows.into_iter().map(revocation).collect(),
            next_cursor,
        })
    }
}

fn revocation(row: Revoked) -> Revocation {
    let expires_at = convert::seconds(row.expires_at);
    match row.key {
        RevocationKey::Token(token_hash) => Revocation {
            token_hash,
            expires_at,
            ..Default::default()
        },
        RevocationKey::User(user) => Revocation {
            user_id: user.to_string(),
            // The first second whose tokens are not all hit.
            issued_before: convert::seconds(row.revoked_at) + 1,
            expires_at,
            ..Default::default()
        },
    }
}

fn cursor(key: &RevocationKey) -> String {
    match key {
        RevocationKey::Token(hash) => format!("t:{hash}"),
        RevocationKey::User(user) => format!("u:{user}"),
    }
}

fn parse_cursor(text: &str) -> Result<Option<RevocationKey>> {
    match text.split_once(':') {
        None if text.is_empty() => Ok(None),
        Some(("t", text)) => Ok(Some(RevocationKey::Token(hash(text, "cursor")?.to_owned()))),
        Some(("u", text)) => Ok(Some(RevocationKey::User(args::user(text, "cursor")?))),
        _ => Err(args::invalid("`cursor` was not given by this service.")),
    }
}
