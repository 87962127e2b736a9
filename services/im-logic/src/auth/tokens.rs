//! Tokens: how they are issued and judged.

use std::sync::Arc;

use gochat_core::error::Result;
use gochat_core::ids::{UnixMillis, UserId};
use gochat_core::token::SessionId;
use gochat_infra::token::{Claims, Kind, KnownTokens, Refusal, Signer, hash_of};

use super::keys::Keys;
use crate::config::Auth;

/// Whom a token is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) id: UserId,
    pub(crate) username: &'a str,
    pub(crate) is_guest: bool,
}

/// Where in the life of a session a pair of tokens stands. The pair follows from this, from the
/// subject and from the key that signs: made twice, it is the same.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) session: SessionId,
    pub(crate) generation: u64,
    /// When the generation was made.
    pub(crate) at: UnixMillis,
}

/// A signed token with what is remembered of it.
#[derive(Clone)]
pub(crate) struct Signed {
    pub(crate) text: String,
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
    /// Takes in the access tokens that are signed.
    signed: Option<KnownTokens>,
}

impl Tokens {
    pub(crate) fn new(keys: Keys, config: &Auth, signed: Option<KnownTokens>) -> Self {
        let seconds = |s: u64| i64::try_from(s).unwrap_or(i64::MAX);
        Self {
            keys,
            issuer: config.issuer.clone(),
            access_ttl: seconds(config.access_ttl_s),
            refresh_ttl: seconds(config.refresh_ttl_s),
            signed,
        }
    }

    /// The pair of a place.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` when signing fails; those of im-repo while no key was ever loaded.
    pub(crate) async fn issue(&self, subject: Subject<'_>, place: Place) -> Result<Pair> {
        let signer = self.keys.signer().await?;
        Ok(Pair {
            access: self.sign(&signer, subject, Kind::Access, place)?,
            refresh: self.sign(&signer, subject, Kind::Refresh, place)?,
        })
    }

    /// Life of an access token in milliseconds.
    pub(crate) fn access_ttl_ms(&self) -> u64 {
        self.access_ttl.unsigned_abs().saturating_mul(1_000)
    }

    /// Life of a refresh token in milliseconds.
    pub(crate) fn refresh_ttl_ms(&self) -> u64 {
        self.refresh_ttl.unsigned_abs().saturating_mul(1_000)
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
        let judged = match verifier.verify(token, kind, now) {
            Err(Refusal::UnknownKey) => {
                self.keys.load_for_unknown().await?;
                verifier.verify(token, kind, now)
            }
            Err(Refusal::Unnamed) => self.keys.verify_former(token, kind, now),
            judged => judged,
        };
        judged.map_err(Into::into)
    }

    fn sign(
        &self,
        signer: &Signer,
        subject: Subject<'_>,
        kind: Kind,
        place: Place,
    ) -> Result<Signed> {
        let iat = i64::try_from(place.at / 1_000).unwrap_or(i64::MAX);
        let (letter, ttl, generation) = match kind {
            Kind::Access => ('a', self.access_ttl, 0),
            Kind::Refresh => ('r', self.refresh_ttl, place.generation),
        };
        let claims = Claims {
            user_id: subject.id,
            kind,
            jti: format!("{}-{}-{letter}", place.session, place.generation),
            iat,
            exp: iat.saturating_add(ttl),
            iss: self.issuer.clone(),
            sub: subject.id,
            username: subject.username.to_owned(),
            is_guest: subject.is_guest,
            sid: Some(place.session),
            generation,
        };
        let (text, expires_at) = (signer.sign(&claims)?, claims.exp);
        if kind == Kind::Access
            && let Some(signed) = &self.signed
        {
            signed.note_signed(signer, &text, claims);
        }
        Ok(Signed { text, expires_at })
    }
}
