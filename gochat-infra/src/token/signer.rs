//! Keys that sign.

use std::fmt;

use gochat_core::error::{Error, ErrorCode, Result};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::{Claims, crypto};

/// Bytes of an Ed25519 seed and of a public key.
const KEY_BYTES: usize = 32;

/// An Ed25519 key pair.
pub struct KeyPair {
    seed: [u8; KEY_BYTES],
    public: [u8; KEY_BYTES],
}

impl KeyPair {
    /// A new pair from the randomness of the system.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` when the system has no randomness.
    pub fn generate() -> Result<Self> {
        let mut seed = [0; KEY_BYTES];
        let filled = SystemRandom::new().fill(&mut seed);
        filled.map_err(|_| Error::new(ErrorCode::Internal, "The system gives no randomness."))?;
        Self::from_seed(&seed)
    }

    /// The pair of a seed.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` for a seed of another length than 32 bytes.
    pub fn from_seed(seed: &[u8]) -> Result<Self> {
        let wrong = || Error::new(ErrorCode::Internal, "A signing key has 32 bytes.");
        let seed: [u8; KEY_BYTES] = seed.try_into().map_err(|_| wrong())?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| wrong())?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| wrong())?;
        Ok(Self { seed, public })
    }

    /// The private half; never to be shown or stored unsealed.
    pub fn seed(&self) -> &[u8] {
        &self.seed
    }

    /// The public half.
    pub fn public(&self) -> &[u8] {
        &self.public
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyPair")
    }
}

/// Signs tokens with one key.
#[derive(Clone)]
pub struct Signer {
    header: Header,
    key: EncodingKey,
}

impl Signer {
    /// Signs with HMAC-SHA-256.
    pub fn hs256(secret: &[u8]) -> Self {
        crypto::install();
        Self {
            header: Header::new(Algorithm::HS256),
            key: EncodingKey::from_secret(secret),
        }
    }

    /// Signs with Ed25519; tokens name the key as `kid`.
    pub fn ed25519(kid: &str, pair: &KeyPair) -> Self {
        crypto::install();
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(kid.to_owned());
        Self {
            header,
            // The provider takes the seed as it is, without the envelope of PKCS#8.
            key: EncodingKey::from_ed_der(pair.seed()),
        }
    }

    /// Name of the key, as tokens name it.
    pub(super) fn kid(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// The token that says this. The same claims give the same token.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` when signing fails.
    pub fn sign(&self, claims: &Claims) -> Result<String> {
        jsonwebtoken::encode(&self.header, claims, &self.key).map_err(|error| {
            tracing::error!(%error, "a token can't be signed");
            ErrorCode::Internal.into()
        })
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("kid", &self.header.kid)
            .finish_non_exhaustive()
    }
}
