//! Comparing passwords: slow by design, so off the async threads and bounded.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use gochat_core::account::is_plausible_password;
use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::text;
use tokio::sync::Semaphore;

use crate::config::Password;

/// Compared against when there is no hash, so that an unknown user takes as long as a wrong
/// password. Parameters are those im-logic hashes with; nobody knows a password for it.
const DECOY: &str = "$argon2id$v=19$m=19456,t=2,p=1$Z29jaGF0LWRlY295LXNhbHQ$\
                     AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Compares passwords with stored hashes.
pub(crate) struct Verifier {
    workers: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Verifier {
    pub(crate) fn new(config: &Password) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = if config.workers == 0 {
            processors
        } else {
            config.workers
        };
        Self {
            workers: Arc::new(Semaphore::new(workers)),
            places: Arc::new(Semaphore::new(workers + config.queue)),
        }
    }

    /// Whether `password` belongs to `hash`; without a hash false, after the same work.
    ///
    /// # Errors
    /// `SERVICE_UNAVAILABLE` when too many checks wait.
    pub(crate) async fn verify(&self, hash: Option<String>, password: String) -> Result<bool> {
        if !is_plausible_password(&password) {
            return Ok(false);
        }
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| busy())?;
        let worker = Arc::clone(&self.workers)
            .acquire_owned()
            .await
            .map_err(|_| busy())?;
        let check = move || {
            // Held by the thread: a caller that goes away doesn't free a worker that works.
            let _held = (place, worker);
            matches(hash.as_deref(), &password)
        };
        tokio::task::spawn_blocking(check)
            .await
            .map_err(|_| Error::from(ErrorCode::Internal))
    }
}

fn busy() -> Error {
    Error::new(
        ErrorCode::ServiceUnavailable,
        "Too many sign-ins at once; try again.",
    )
}

fn matches(hash: Option<&str>, password: &str) -> bool {
    let fits = |stored: &str, password: &str| match PasswordHash::new(stored) {
        Ok(parsed) => Argon2::default()
            .verify_password(password.as_bytes(), &parsed)
            .is_ok(),
        Err(_) => false,
    };
    let prepared = text::password(password);
    let stored = hash.unwrap_or(DECOY);
    // Passwords from before the one form were hashed as they were typed.
    let fits = fits(stored, &prepared) || (*prepared != *password && fits(stored, password));
    fits && hash.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::password_hash::PasswordHasher;

    fn hash(password: &str) -> String {
        Argon2::default()
            .hash_password(password.as_bytes())
            .unwrap()
            .to_string()
    }

    #[tokio::test]
    async fn only_the_right_password_fits() {
        let verifier = Verifier::new(&Password::default());
        let hash = hash("correct horse");
        assert_eq!(
            verifier
                .verify(Some(hash.clone()), "correct horse".into())
                .await,
            Ok(true)
        );
        assert_eq!(
            verifier.verify(Some(hash), "battery staple".into()).await,
            Ok(false)
        );
        assert_eq!(
            verifier.verify(None, "correct horse".into()).await,
            Ok(false)
        );
        assert_eq!(
            verifier
                .verify(Some("not phc".into()), "correct horse".into())
                .await,
            Ok(false)
        );
    }

    #[test]
    fn the_normal_form_of_a_password_does_not_matter() {
        let (composed, decomposed) = ("p\u{e4}ssw\u{f6}rd 12", "pa\u{308}sswo\u{308}rd 12");
        let today = hash(&text::password(decomposed));
        assert!(matches(Some(&today), composed) && matches(Some(&today), decomposed));
        // Hashed by a program that did not map passwords.
        assert!(matches(Some(&hash(decomposed)), decomposed));
        assert!(!matches(Some(&today), "passwort 12"));
    }

    #[test]
    fn the_decoy_costs_a_real_check() {
        let decoy = PasswordHash::new(DECOY).unwrap();
        let real = hash("x");
        let real = PasswordHash::new(&real).unwrap();
        assert_eq!(decoy.params, real.params);
        assert_eq!(decoy.algorithm, real.algorithm);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once() {
        let verifier = Verifier::new(&Password {
            workers: 1,
            queue: 0,
        });
        let _taken = verifier.places.try_acquire().unwrap();
        let refusal = verifier
            .verify(None, "correct horse".into())
            .await
            .unwrap_err();
        assert!(refusal.is_retryable());
    }
}
