//! Private keys as they are stored: encrypted under a key that only im-logic can derive.

use std::fmt;

use gochat_core::error::{Error, ErrorCode, Result};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf;
use ring::rand::{SecureRandom as _, SystemRandom};

/// Separates this use of the secret from every other one.
const SALT: &[u8] = b"gochat signing keys";
const INFO: &[u8] = b"seal v1";

/// Encrypts and decrypts private keys with ChaCha20-Poly1305.
///
/// The key is derived from the secret of im-logic (`auth.secret`) with HKDF-SHA-256. A stolen
/// database therefore signs nothing, and im-repo stores bytes that im-repo can't read.
pub struct SealingKey(LessSafeKey);

impl SealingKey {
    /// Derives the key from a secret.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` when the derivation fails.
    pub fn derive(secret: &[u8]) -> Result<Self> {
        let failed = |_| Error::new(ErrorCode::Internal, "The sealing key can't be derived.");
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(secret);
        let okm = prk.expand(&[INFO], &CHACHA20_POLY1305).map_err(failed)?;
        Ok(Self(LessSafeKey::new(UnboundKey::from(okm))))
    }

    /// Encrypts the private key named `kid`: 12 bytes of nonce, then the ciphertext with its tag.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` when the system has no randomness.
    pub fn seal(&self, kid: &str, private: &[u8]) -> Result<Vec<u8>> {
        let failed = |_| Error::new(ErrorCode::Internal, "A signing key can't be sealed.");
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(failed)?;
        let mut text = private.to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        self.0
            .seal_in_place_append_tag(unique, Aad::from(kid.as_bytes()), &mut text)
            .map_err(failed)?;
        Ok([nonce.as_slice(), &text].concat())
    }

    /// Decrypts what [`seal`](Self::seal) made for the same `kid`; `None` when the bytes were
    /// changed, belong to another key, or were sealed under another secret.
    pub fn open(&self, kid: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let plain = self
            .0
            .open_in_place(nonce, Aad::from(kid.as_bytes()), &mut text)
            .ok()?;
        Some(plain.to_vec())
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey")
    }
}
