//! Tokens whose signature needs no check.

use std::fmt;
use std::sync::Arc;

use moka::sync::Cache;

use super::{Claims, Signer};

type Digest = [u8; 32];

/// Tokens that this process verified or signed, up to a bound: looking one up costs a hash, where
/// an Ed25519 signature costs about a hundred times as much. Only good tokens enter, so that a
/// stranger can't fill the memory; beyond the bound the least used tokens are forgotten.
///
/// Clones share their tokens. Where the signer runs in the process of the verifier, both hold one:
/// a token that was signed here is never checked. An entry counts only while its verifier holds the
/// key of the token.
#[derive(Clone)]
pub struct KnownTokens(Cache<Digest, Known, ahash::RandomState>);

/// A token that is good while its key is held.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) kid: Option<Arc<str>>,
    pub(super) claims: Arc<Claims>,
}

impl KnownTokens {
    /// Remembers up to `max` tokens.
    pub fn new(max: u64) -> Self {
        Self(
            Cache::builder()
                .max_capacity(max)
                .build_with_hasher(ahash::RandomState::new()),
        )
    }

    /// Takes a token in that was just signed here, for verifiers of the same issuer.
    pub fn note_signed(&self, signer: &Signer, token: &str, claims: Claims) {
        let known = Known {
            kid: signer.kid().map(Arc::from),
            claims: Arc::new(claims),
        };
        self.insert(digest(token), known);
    }

    pub(super) fn get(&self, digest: &Digest) -> Option<Known> {
        self.0.get(digest)
    }

    pub(super) fn insert(&self, digest: Digest, known: Known) {
        self.0.insert(digest, known);
    }

    pub(super) fn forget(&self, digest: &Digest) {
        self.0.invalidate(digest);
    }

    pub(super) fn forget_all(&self) {
        self.0.invalidate_all();
    }
}

impl fmt::Debug for KnownTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KnownTokens")
    }
}

pub(super) fn digest(token: &str) -> Digest {
    let digest = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
    let mut bytes = Digest::default();
    bytes.copy_from_slice(digest.as_ref());
    bytes
}
