//! Keys that verify, and the one verifier of tokens.

use std::fmt;
use std::sync::Arc;

use ahash::HashMap;
use arc_swap::ArcSwap;
use gochat_core::error::{Error, ErrorCode, Result};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};

use super::known::{Known, KnownTokens, digest};
use super::{Claims, Kind, MAX_TOKEN_BYTES, crypto};

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Forged, malformed, of another kind or of another issuer.
    Invalid,
    /// The token was good once.
    Expired,
    /// The token names a key that the verifier does not hold: a newer key may exist.
    UnknownKey,
    /// The token is HS256 and names no key, while the verifier holds named keys only: an earlier
    /// version may have signed it. Nothing of it was verified.
    Unnamed,
    /// The verifier holds no key yet.
    NoKeys,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid | Refusal::UnknownKey => ErrorCode::InvalidToken.into(),
            // Whoever holds such a token gets a new one for its refresh token, if that is good.
            Refusal::Expired | Refusal::Unnamed => ErrorCode::TokenExpired.into(),
            Refusal::NoKeys => ErrorCode::ServiceUnavailable.into(),
        }
    }
}

/// A key that verifies.
#[derive(Clone)]
pub struct VerifyingKey {
    kid: Option<Arc<str>>,
    bytes: Vec<u8>,
    key: DecodingKey,
    algorithm: Algorithm,
}

impl VerifyingKey {
    /// The shared secret of HS256; its tokens name no key.
    pub fn hs256(secret: &[u8]) -> Self {
        Self {
            kid: None,
            bytes: secret.to_vec(),
            key: DecodingKey::from_secret(secret),
            algorithm: Algorithm::HS256,
        }
    }

    /// A public Ed25519 key, named `kid` by its tokens.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` for a key of another length than 32 bytes, or without a name.
    pub fn ed25519(kid: &str, public: &[u8]) -> Result<Self> {
        if public.len() != 32 || kid.is_empty() {
            let text = "A public key has a name and 32 bytes.";
            return Err(Error::new(ErrorCode::Internal, text));
        }
        Ok(Self {
            kid: Some(kid.into()),
            bytes: public.to_vec(),
            key: DecodingKey::from_ed_der(public),
            algorithm: Algorithm::EdDSA,
        })
    }

    fn is(&self, other: &Self) -> bool {
        self.bytes == other.bytes && self.algorithm == other.algorithm
    }
}

type Keys = HashMap<Option<Arc<str>>, VerifyingKey>;

/// Verifies tokens of one issuer with the keys it holds; remembers verified ones in a
/// [`KnownTokens`].
pub struct Verifier {
    keys: ArcSwap<Keys>,
    hs256: Validation,
    eddsa: Validation,
    known: Option<KnownTokens>,
}

impl Verifier {
    /// A verifier without keys: every token is refused with [`Refusal::NoKeys`]. `remembered` is
    /// the maximum number of verified tokens that are remembered.
    pub fn new(issuer: &str, remembered: u64) -> Self {
        Self::with_known(
            issuer,
            (remembered > 0).then(|| KnownTokens::new(remembered)),
        )
    }

    /// A verifier without keys that shares what is known, for instance with the signer of this
    /// issuer in the same process.
    pub fn with_known(issuer: &str, known: Option<KnownTokens>) -> Self {
        crypto::install();
        Self {
            keys: ArcSwap::default(),
            hs256: validation(Algorithm::HS256, issuer),
            eddsa: validation(Algorithm::EdDSA, issuer),
            known,
        }
    }

    /// Whether the verifier holds a key.
    pub fn has_keys(&self) -> bool {
        !self.keys.load().is_empty()
    }

    /// Takes these keys in place of those held so far.
    pub fn replace(&self, keys: impl IntoIterator<Item = VerifyingKey>) {
        let keys: Keys = keys.into_iter().map(|k| (k.kid.clone(), k)).collect();
        let kept = |old: &VerifyingKey| keys.get(&old.kid).is_some_and(|new| new.is(old));
        let all_kept = self.keys.load().values().all(kept);
        self.keys.store(Arc::new(keys));
        // A token of a key that is gone must be judged again.
        if !all_kept && let Some(known) = &self.known {
            known.forget_all();
        }
    }

    /// What a token of this kind says, if a key held here signed it and it has not expired at the
    /// Unix second `now`.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn verify(&self, token: &str, kind: Kind, now: i64) -> Result<Arc<Claims>, Refusal> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Refusal::Invalid);
        }
        let claims = match &self.known {
            None => self.signed(token)?.claims,
            Some(known) => {
                let digest = digest(token);
                match known.get(&digest).filter(|found| self.holds(found)) {
                    Some(found) => found.claims,
                    None => {
                        let before = self.keys.load_full();
                        let found = self.signed(token)?;
                        known.insert(digest, found.clone());
                        // Keys that left meanwhile have emptied the memory before this entry.
                        if !Arc::ptr_eq(&before, &self.keys.load_full()) {
                            known.forget(&digest);
                        }
                        found.claims
                    }
                }
            }
        };
        if claims.kind != kind || claims.sub != claims.user_id {
            Err(Refusal::Invalid)
        } else if claims.exp <= now {
            Err(Refusal::Expired)
        } else {
            Ok(claims)
        }
    }

    /// Whether the key of a known token is held: a signer may finish after its key was taken away.
    fn holds(&self, found: &Known) -> bool {
        self.keys.load().contains_key(&found.kid)
    }

    /// The claims of a token whose signature and issuer are right.
    fn signed(&self, token: &str) -> Result<Known, Refusal> {
        let keys = self.keys.load();
        if keys.is_empty() {
            return Err(Refusal::NoKeys);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| Refusal::Invalid)?;
        let kid = header.kid.map(Arc::<str>::from);
        let key = keys.get(&kid).ok_or(match kid {
            Some(_) => Refusal::UnknownKey,
            None if header.alg == Algorithm::HS256 => Refusal::Unnamed,
            None => Refusal::Invalid,
        })?;
        let validation = match key.algorithm {
            Algorithm::EdDSA => &self.eddsa,
            _ => &self.hs256,
        };
        jsonwebtoken::decode::<Claims>(token, &key.key, validation)
            .map(|data| Known {
                kid: key.kid.clone(),
                claims: Arc::new(data.claims),
            })
            .map_err(|_| Refusal::Invalid)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("keys", &self.keys.load().keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Time is passed in, see [`Verifier::verify`]; the library looks at the rest.
fn validation(algorithm: Algorithm, issuer: &str) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.leeway = 0;
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.set_issuer(&[issuer]);
    validation.set_required_spec_claims(&["exp", "iss"]);
    validation
}
