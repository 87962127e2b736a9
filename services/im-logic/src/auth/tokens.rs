//! JSON Web Tokens, HS256.

use gochat_core::error::{ErrorCode, Result};
use gochat_core::ids::UserId;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::Auth;

/// Longer ones are refused before anything is computed.
const MAX_BYTES: usize = 4_096;

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// For requests.
    Access,
    /// For new tokens.
    Refresh,
}

/// What a token says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) user_id: UserId,
    #[serde(rename = "type")]
    pub(crate) kind: Kind,
    pub(crate) jti: String,
    pub(crate) iat: i64,
    pub(crate) exp: i64,
    pub(crate) iss: String,
    pub(crate) sub: UserId,
    #[serde(default)]
    pub(crate) username: String,
    #[serde(default)]
    pub(crate) is_guest: bool,
}

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
    signing: EncodingKey,
    checking: DecodingKey,
    validation: Validation,
    issuer: String,
    access_ttl: i64,
    refresh_ttl: i64,
}

impl Tokens {
    pub(crate) fn new(config: &Auth) -> Self {
        // Fails only when a provider is installed already, which is as good.
        let _ = jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER.install_default();
        let mut validation = Validation::new(Algorithm::HS256);
        // Time is passed in, see `verify`.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.set_issuer(&[&config.issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        let seconds = |n: u64| i64::try_from(n).unwrap_or(i64::MAX / 2);
        Self {
            signing: EncodingKey::from_secret(config.secret.as_bytes()),
            checking: DecodingKey::from_secret(config.secret.as_bytes()),
            validation,
            issuer: config.issuer.clone(),
            access_ttl: seconds(config.access_ttl_s),
            refresh_ttl: seconds(config.refresh_ttl_s),
        }
    }

    /// A fresh pair. `now` is in Unix seconds.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` when signing fails.
    pub(crate) fn issue(&self, subject: Subject<'_>, now: i64) -> Result<Pair> {
        Ok(Pair {
            access: self.sign(
                subject,
                Kind::Access,
                now,
                now.saturating_add(self.access_ttl),
            )?,
            refresh: self.sign(
                subject,
                Kind::Refresh,
                now,
                now.saturating_add(self.refresh_ttl),
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
    /// `TOKEN_EXPIRED` for one that was good once, else `INVALID_TOKEN`.
    pub(crate) fn verify(&self, token: &str, kind: Kind, now: i64) -> Result<Claims> {
        if token.len() > MAX_BYTES {
            return Err(ErrorCode::InvalidToken.into());
        }
        let claims = jsonwebtoken::decode::<Claims>(token, &self.checking, &self.validation)
            .map_err(|_| ErrorCode::InvalidToken)?
            .claims;
        if claims.kind != kind || claims.sub != claims.user_id {
            return Err(ErrorCode::InvalidToken.into());
        }
        if claims.exp <= now {
            return Err(ErrorCode::TokenExpired.into());
        }
        Ok(claims)
    }

    fn sign(&self, subject: Subject<'_>, kind: Kind, now: i64, exp: i64) -> Result<Signed> {
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
        let text = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing);
        match text {
            Ok(text) => Ok(Signed {
                text,
                jti: claims.jti,
                expires_at: exp,
            }),
            Err(error) => {
                tracing::error!(%error, "a token can't be signed");
                Err(ErrorCode::Internal.into())
            }
        }
    }
}

/// Hexadecimal SHA-256: how tokens are named where they must not be readable.
pub(crate) fn hash_of(token: &str) -> String {
    use std::fmt::Write as _;
    let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
    digest
        .iter()
        .fold(String::with_capacity(64), |mut hex, byte| {
            // Writing to a string can't fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn tokens(secret: &str) -> Tokens {
        Tokens::new(&Auth {
            secret: secret.into(),
            ..Auth::default()
        })
    }

    fn pair(tokens: &Tokens) -> Pair {
        let id = UserId::new(7).unwrap();
        tokens
            .issue(
                Subject {
                    id,
                    username: "ann",
                    is_guest: false,
                },
                NOW,
            )
            .unwrap()
    }

    fn refusal(tokens: &Tokens, token: &str, kind: Kind, now: i64) -> ErrorCode {
        tokens.verify(token, kind, now).unwrap_err().code
    }

    #[test]
    fn a_token_says_whose_it_is_and_what_for() {
        let tokens = tokens("secret");
        let claims = tokens
            .verify(&pair(&tokens).access.text, Kind::Access, NOW)
            .unwrap();
        assert_eq!((claims.user_id.get(), claims.username.as_str()), (7, "ann"));
        assert_eq!((claims.iat, claims.exp), (NOW, NOW + 86_400));
    }

    #[test]
    fn an_access_token_refreshes_nothing_and_a_refresh_token_opens_nothing() {
        let tokens = tokens("secret");
        let pair = pair(&tokens);
        let code = refusal(&tokens, &pair.access.text, Kind::Refresh, NOW);
        assert_eq!(code, ErrorCode::InvalidToken);
        let code = refusal(&tokens, &pair.refresh.text, Kind::Access, NOW);
        assert_eq!(code, ErrorCode::InvalidToken);
    }

    #[test]
    fn tokens_expire_to_the_second() {
        let tokens = tokens("secret");
        let pair = pair(&tokens);
        let end = pair.access.expires_at;
        assert!(
            tokens
                .verify(&pair.access.text, Kind::Access, end - 1)
                .is_ok()
        );
        assert_eq!(
            refusal(&tokens, &pair.access.text, Kind::Access, end),
            ErrorCode::TokenExpired
        );
        assert!(
            tokens
                .verify(&pair.refresh.text, Kind::Refresh, end)
                .is_ok(),
            "outlives it"
        );
    }

    #[test]
    fn forged_and_unsigned_tokens_are_refused() {
        let ours = tokens("secret");
        let forged = pair(&tokens("another")).access.text;
        assert_eq!(
            refusal(&ours, &forged, Kind::Access, NOW),
            ErrorCode::InvalidToken
        );

        // {"alg":"none","typ":"JWT"} before the claims of a good token, without a signature.
        let good = pair(&ours).access.text;
        let claims = good.split('.').nth(1).unwrap();
        let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.");
        assert_eq!(
            refusal(&ours, &unsigned, Kind::Access, NOW),
            ErrorCode::InvalidToken
        );
        assert_eq!(
            refusal(&ours, "", Kind::Access, NOW),
            ErrorCode::InvalidToken
        );
        assert_eq!(
            refusal(&ours, &"x".repeat(9_999), Kind::Access, NOW),
            ErrorCode::InvalidToken
        );
    }

    #[test]
    fn a_foreign_issuer_is_refused() {
        let config = Auth {
            secret: "secret".into(),
            issuer: "evil".into(),
            ..Auth::default()
        };
        let foreign = pair(&Tokens::new(&config)).access.text;
        assert_eq!(
            refusal(&tokens("secret"), &foreign, Kind::Access, NOW),
            ErrorCode::InvalidToken
        );
    }

    #[test]
    fn two_tokens_of_one_second_differ() {
        let tokens = tokens("secret");
        assert_ne!(pair(&tokens).access.hash(), pair(&tokens).access.hash());
    }

    #[test]
    fn the_hash_is_the_hex_sha256() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash_of("abc"), abc);
    }
}
