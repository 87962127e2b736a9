//! Signed tokens: what they say, who signs them, who verifies them.
//!
//! im-logic holds a [`Signer`]; gateways hold a [`Verifier`] with public keys only. Both are made
//! of [`Claims`] and of one cryptography provider, which knows EdDSA (Ed25519) and HS256 and
//! nothing else.
//!
//! ```
//! use gochat_infra::token::{Claims, KeyPair, Kind, Signer, Verifier, VerifyingKey};
//!
//! let pair = KeyPair::generate()?;
//! let verifier = Verifier::new("im-logic", 0);
//! verifier.replace([VerifyingKey::ed25519("k1", pair.public())?]);
//! let claims = Claims {
//!     user_id: "7".parse().unwrap(), kind: Kind::Access, jti: "1".into(), iat: 100, exp: 200,
//!     iss: "im-logic".into(), sub: "7".parse().unwrap(), username: "ann".into(), is_guest: false,
//!     sid: None, generation: 0,
//! };
//! let token = Signer::ed25519("k1", &pair).sign(&claims)?;
//! assert_eq!(verifier.verify(&token, Kind::Access, 150).unwrap().user_id, claims.user_id);
//! # Ok::<(), gochat_core::error::Error>(())
//! ```

mod claims;
mod crypto;
mod known;
mod seal;
mod signer;
mod tag;
mod verifier;

pub use claims::{Claims, Kind, hash_of};
pub use known::KnownTokens;
pub use seal::SealingKey;
pub use signer::{KeyPair, Signer};
pub use tag::TagKey;
pub use verifier::{Refusal, Verifier, VerifyingKey};

use serde::{Deserialize, Serialize};

/// How tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// Ed25519: im-logic signs, gateways hold public keys only. Keys are made by themselves and
    /// can be rotated.
    #[default]
    EdDsa,
    /// HMAC with the secret of `JWT_SECRET`, which every gateway shares and could sign with.
    Hs256,
}

/// Longest token that is looked at, in bytes; longer ones are refused before anything is computed.
pub const MAX_TOKEN_BYTES: usize = 4_096;

/// The key that a token names, if it names one. Nothing is verified.
pub fn key_of(token: &str) -> Option<String> {
    jsonwebtoken::decode_header(token).ok()?.kid
}

/// Lower-case hexadecimal.
pub fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

/// The bytes behind [`to_hex`]; `None` for any other text.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect()
}

#[cfg(test)]
mod tests;
