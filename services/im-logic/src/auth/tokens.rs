//! Tokens: how they are issued and judged.

use std::sync::Arc;

use gochat_core::error::Result;
use gochat_core::ids::UserId;
use gochat_infra::token::{Claims, Kind, Refusal, Signer, hash_of};

use super::keys::Keys;
use crate::config::Auth;

/// Whom a token is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) id: UserId,
    pub(crate) username: &'a str,
    pub(crate) is_guest: bool,
}

/// A signed token with what is remembered of it.
#[derive(Clone)]
pub(crate) struct Signed {
    pub(crate) text: String,
    pub(crate) jti: String,
    /// Unix seconds.
    pub(crate) expires_at: i64,
}

impl Signed {
    /// The name the token goes by in im-repo.
    pub(crate) fn hash(&self) -> String {
        hash_of(&self.text)
    }
}

/// An access token and the refresh token that renews it.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) access: Signed,
    pub(crate) refresh: Signed,
}

/// Signs and checks tokens.
pub(crate) struct Tokens {
    pub(crate) keys: Keys,
    issuer: String,
    access_ttl: i64,
    refresh_ttl: i64,
}

impl Tokens {
    pub(crate) fn new(keys: Keys, config: &Auth) -> Self {
        let seconds = |s: u64| i64::try_from(s).unwrap_or(i64::MAX);
        Self {
            keys,
            issuer: config.issuer.clone(),
            access_ttl: seconds(config.access_ttl_s),
            refresh_ttl: seconds(config.refresh_ttl_s),
        }
    }

    /// A fresh pair. `now` is in Unix seconds.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` when signing fails; those of im-repo while no key was ever loaded.
    pub(crate) async fn issue(&self, subject: Subject<'_>, now: i64) -> Result<Pair> {
        let signer = self.keys.signer().await?;
        let until = |life: i64| now.saturating_add(life);
        Ok(Pair {
            access: self.sign(&signer, subject, Kind::Access, now, until(self.access_ttl))?,
            refresh: self.sign(
                &signer,
                subject,
                Kind::Refresh,
                now,
                until(self.refresh_ttl),
            )?,
        })
    }

    /// When every token issued until `now` has expired.
    pub(crate) fn all_expired_at(&self, now: i64) -> i64 {
        now.saturating_add(self.access_ttl.max(self.refresh_ttl))
            .saturating_add(1)
    }

    /// What a token of this kind says, if it was signed here, not tampered with and not expired.
    ///
    /// # Errors
    /// `TOKEN_EXPIRED` for one that was good once, else `INVALID_TOKEN`; those of im-repo while no
    /// key was ever loaded.
    pub(crate) async fn verify(&self, token: &str, kind: Kind, now: i64) -> Result<Arc<Claims>> {
        if !self.keys.is_shared_secret() {
            self.keys.current().await?;
        }
        let verifier = &self.keys.verifier;
        match verifier.verify(token, kind, now) {
            Err(Refusal::UnknownKey) => {
                self.keys.load_for_unknown().await?;
                verifier.verify(token, kind, now).map_err(Into::into)
            }
            judged => judged.map_err(Into::into),
        }
    }

    fn sign(
        &self,
        signer: &Signer,
        subject: Subject<'_>,
        kind: Kind,
        now: i64,
        exp: i64,
    ) -> Result<Signed> {
        let claims = Claims {
            user_id: subject.id,
            kind,
            jti: uuid::Uuid::now_v7().to_string(),
            iat: now,
            exp,
            iss: self.issuer.clone(),
            sub: subject.id,
            username: subject.username.to_owned(),
            is_guest: subject.is_guest,
        };
        Ok(Signed {
            text: signer.sign(&claims)?,
            jti: claims.jti,
            expires_at: exp,
        })
    }
}
