//! Password hashing off the async threads, a bounded number at a time.

use std::sync::Arc;

use argon2::password_hash::PasswordHasher as _;
use argon2::{Algorithm, Argon2, Params, Version};
use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::text;
use tokio::sync::Semaphore;

use crate::config::Passwords;

/// Hashes passwords with argon2id.
pub(crate) struct Hasher {
    argon: Argon2<'static>,
    /// How many compute.
    running: Arc<Semaphore>,
    /// How many compute or wait.
    admitted: Arc<Semaphore>,
}

impl Hasher {
    /// # Errors
    /// `INVALID_PARAMS` for a cost argon2 refuses.
    pub(crate) fn new(config: &Passwords) -> Result<Self> {
        let params = Params::new(config.memory_kib, config.passes, 1, None)
            .map_err(|e| Error::new(ErrorCode::InvalidParams, format!("passwords: {e}")))?;
        Ok(Self {
            argon: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            running: Arc::new(Semaphore::new(config.concurrency)),
            admitted: Arc::new(Semaphore::new(config.concurrency + config.queue)),
        })
    }

    /// The PHC string of a password in its one form (see [`text::password`]), with a fresh salt.
    ///
    /// # Errors
    /// `SERVICE_UNAVAILABLE` when too many passwords wait already.
    pub(crate) async fn hash(&self, password: String) -> Result<String> {
        let _place = self
            .admitted
            .try_acquire()
            .map_err(|_| ErrorCode::ServiceUnavailable)?;
        let permit = Arc::clone(&self.running).acquire_owned().await;
        let permit = permit.map_err(|_| ErrorCode::ServiceUnavailable)?;
        let argon = self.argon.clone();
        // The permit travels along: a caller who goes away doesn't make room for another hash.
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            argon
                .hash_password(text::password(&password).as_bytes())
                .map(|hash| hash.to_string())
        });
        match work.await {
            Ok(Ok(hash)) => Ok(hash),
            Ok(Err(error)) => {
                tracing::error!(%error, "a password can't be hashed");
                Err(ErrorCode::Internal.into())
            }
            Err(error) => {
                tracing::error!(%error, "the hashing task failed");
                Err(ErrorCode::Internal.into())
            }
        }
    }

    /// Takes as long as checking a password would, so that an unknown name can't be told from a
    /// wrong password by the clock.
    pub(crate) async fn pretend(&self, password: String) -> Result<()> {
        self.hash(password).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::PasswordVerifier as _;
    use argon2::password_hash::phc::PasswordHash;

    use super::*;

    fn cheap() -> Passwords {
        Passwords {
            memory_kib: 64,
            passes: 1,
            concurrency: 1,
            queue: 0,
        }
    }

    #[tokio::test]
    async fn a_hash_verifies_its_password_and_no_other() {
        let hasher = Hasher::new(&cheap()).unwrap();
        let phc = hasher.hash("correct horse".into()).await.unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
        let parsed = PasswordHash::new(&phc).unwrap();
        assert!(
            Argon2::default()
                .verify_password(b"correct horse", &parsed)
                .is_ok()
        );
        assert!(
            Argon2::default()
                .verify_password(b"battery staple", &parsed)
                .is_err()
        );
    }

    #[tokio::test]
    async fn the_same_password_gives_different_hashes() {
        let hasher = Hasher::new(&cheap()).unwrap();
        let one = hasher.hash("correct horse".into()).await.unwrap();
        assert_ne!(one, hasher.hash("correct horse".into()).await.unwrap());
    }

    #[tokio::test]
    async fn beyond_the_queue_sign_ins_are_refused_at_once() {
        let hasher = Hasher::new(&cheap()).unwrap();
        let _busy = Arc::clone(&hasher.admitted).acquire_owned().await.unwrap();
        let refusal = hasher.hash("correct horse".into()).await.unwrap_err();
        assert_eq!(refusal.code, ErrorCode::ServiceUnavailable);
        assert!(refusal.is_retryable());
    }
}
