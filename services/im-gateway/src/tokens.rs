//! Access tokens, checked on the spot: signature, issuer, expiry, type. Revocations are asked
//! separately, see [`crate::revocations`].

use std::time::Instant;

use gochat_core::error::{Error, ErrorCode};
use gochat_core::ids::UserId;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::config::Auth;

/// Longer ones are refused before anything is computed.
const MAX_TOKEN_BYTES: usize = 4_096;

/// The first half of a token's SHA-256: enough to recognise it, useless to forge it.
pub(crate) type TokenHash = [u8; 16];

/// Who speaks, as the token says.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// The user.
    pub(crate) user: UserId,
    /// Whether the account is a guest's.
    pub(crate) guest: bool,
    /// Name at the time of the login; `None` when the token doesn't say.
    pub(crate) username: Option<Box<str>>,
    /// Which token.
    pub(crate) token: TokenHash,
    /// Unix seconds.
    pub(crate) issued_at: i64,
    /// Unix seconds.
    pub(crate) expires_at: i64,
}

#[derive(Deserialize)]
struct Claims {
    user_id: UserId,
    #[serde(rename = "type")]
    kind: Box<str>,
    exp: i64,
    #[serde(default)]
    iat: i64,
    #[serde(default, alias = "guest")]
    is_guest: bool,
    #[serde(default)]
    username: Option<Box<str>>,
}

/// Checks tokens of one issuer.
pub(crate) struct Verifier {
    key: DecodingKey,
    validation: Validation,
    usable: bool,
}

impl Verifier {
    pub(crate) fn new(auth: &Auth) -> Self {
        // Fails only when a provider is installed already, which is as good.
        let _ = jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER.install_default();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        validation.validate_aud = false;
        validation.set_issuer(&[&auth.issuer]);
        validation.set_required_spec_claims(&["exp", "iss"]);
        Self {
            key: DecodingKey::from_secret(auth.secret.as_bytes()),
            validation,
            usable: !auth.secret.is_empty(),
        }
    }

    /// Who the token speaks for.
    ///
    /// # Errors
    /// `TOKEN_EXPIRED` for a token that was good once, else `INVALID_TOKEN`.
    pub(crate) fn verify(&self, token: &str) -> Result<Identity, Error> {
        let began = Instant::now();
        let identity = self.identity(token);
        crate::metrics::token_checked(began.elapsed());
        identity
    }

    fn identity(&self, token: &str) -> Result<Identity, Error> {
        if !self.usable || token.len() > MAX_TOKEN_BYTES {
            return Err(ErrorCode::InvalidToken.into());
        }
        let claims = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation)
            .map_err(|e| match e.kind() {
                ErrorKind::ExpiredSignature => Error::from(ErrorCode::TokenExpired),
                _ => Error::from(ErrorCode::InvalidToken),
            })?
            .claims;
        // The library takes a token in the very second it expires; the socket is closed then already.
        if claims.exp <= crate::clock::now_s() {
            return Err(ErrorCode::TokenExpired.into());
        }
        if &*claims.kind != "access" {
            return Err(ErrorCode::InvalidToken.into());
        }
        Ok(Identity {
            user: claims.user_id,
            guest: claims.is_guest,
            username: claims.username.filter(|name| !name.is_empty()),
            token: hash_of(token),
            issued_at: claims.iat,
            expires_at: claims.exp,
        })
    }
}

/// The name a token goes by in revocations.
pub(crate) fn hash_of(token: &str) -> TokenHash {
    let full: [u8; 32] = Sha256::digest(token.as_bytes()).into();
    first_half(full)
}

/// Reads the hex SHA-256 of a revocation; `None` for anything else.
pub(crate) fn hash_from_hex(text: &str) -> Option<TokenHash> {
    let bytes = text.as_bytes();
    if bytes.len() != 64 {
        return None;
    }
    let digit = |b: u8| (b as char).to_digit(16).map(|d| d as u8);
    let mut hash = TokenHash::default();
    for (byte, pair) in hash.iter_mut().zip(bytes.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(hash)
}

fn first_half(full: [u8; 32]) -> TokenHash {
    let mut half = TokenHash::default();
    half.copy_from_slice(&full[..16]);
    half
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::json;

    pub(crate) fn sign(claims: &serde_json::Value, secret: &str) -> String {
        let _ = jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER.install_default();
        encode(
            &Header::default(),
            claims,
            &EncodingKey::from_secret(secret.as_bytes()),
        )
        .unwrap()
    }

    fn verifier() -> Verifier {
        Verifier::new(&Auth {
            secret: "s3cret".into(),
            ..Auth::default()
        })
    }

    fn claims() -> serde_json::Value {
        let now = crate::clock::now_s();
        json!({"user_id": "7", "type": "access", "iss": "im-logic", "iat": now, "exp": now + 60,
               "jti": "x", "sub": "7"})
    }

    fn refusal(claims: serde_json::Value, secret: &str) -> ErrorCode {
        verifier().verify(&sign(&claims, secret)).unwrap_err().code
    }

    #[test]
    fn a_good_token_names_its_user() {
        let token = sign(&claims(), "s3cret");
        let identity = verifier().verify(&token).unwrap();
        assert_eq!(identity.user.get(), 7);
        assert!(!identity.guest);
        assert_eq!(identity.token, hash_of(&token));
    }

    #[test]
    fn forged_foreign_refresh_and_expired_tokens_are_refused() {
        let with = |key: &str, value: serde_json::Value| {
            let mut c = claims();
            c[key] = value;
            c
        };
        assert_eq!(refusal(claims(), "other"), ErrorCode::InvalidToken);
        assert_eq!(
            refusal(with("type", json!("refresh")), "s3cret"),
            ErrorCode::InvalidToken
        );
        assert_eq!(
            refusal(with("iss", json!("evil")), "s3cret"),
            ErrorCode::InvalidToken
        );
        assert_eq!(
            refusal(with("user_id", json!(7)), "s3cret"),
            ErrorCode::InvalidToken
        );
        let past = json!(crate::clock::now_s() - 1);
        assert_eq!(
            refusal(with("exp", past), "s3cret"),
            ErrorCode::TokenExpired
        );
    }

    #[test]
    fn an_unsigned_token_is_refused() {
        // {"alg":"none","typ":"JWT"}
        let token = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJ1c2VyX2lkIjoiNyJ9.";
        assert_eq!(
            verifier().verify(token).unwrap_err().code,
            ErrorCode::InvalidToken
        );
        assert_eq!(
            verifier().verify("").unwrap_err().code,
            ErrorCode::InvalidToken
        );
        assert_eq!(
            verifier().verify(&"x".repeat(9_000)).unwrap_err().code,
            ErrorCode::InvalidToken
        );
    }

    #[test]
    fn without_a_secret_nobody_gets_in() {
        let open = Verifier::new(&Auth::default());
        assert!(open.verify(&sign(&claims(), "")).is_err());
    }

    #[test]
    fn the_hex_form_of_a_hash_is_the_same_hash() {
        let hex: String = Sha256::digest(b"token")
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hash_from_hex(&hex), Some(hash_of("token")));
        assert_eq!(hash_from_hex("zz"), None);
        assert_eq!(hash_from_hex(&"g".repeat(64)), None);
    }
}
