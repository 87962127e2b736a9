//! Solving the challenge that a server may give to guests. [`Client`](crate::Client) does so by
//! itself; programs with their own HTTP call [`solve`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gochat_core::error::{Error as Refusal, ErrorCode};
use gochat_core::proof::{LIFE_MS, Solver};
use http::Method;
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::http::Http;
use crate::{Error, ErrorKind, Result};

/// Counters tried between two looks at the flag that cancels.
const STEP: u64 = 16_384;
/// Maximum number of searches at the same time in one process; further ones wait.
const SEARCHES: usize = 2;

static SEARCHING: Semaphore = Semaphore::const_new(SEARCHES);

#[derive(Deserialize)]
struct Challenge {
    #[serde(default)]
    challenge: String,
}

/// Gets a challenge and solves it.
pub(crate) async fn obtain(http: &Http) -> Result<String> {
    let none = None::<&()>;
    let path = "/auth/challenge";
    let given: Challenge = http.call(Method::GET, path, none, None).await?;
    if given.challenge.is_empty() {
        // The setting was changed in between: the next try needs no proof.
        return Ok(String::new());
    }
    solve(&given.challenge).await
}

/// Finds the proof for a challenge of `GET /auth/challenge`, to be sent as `proof` with
/// `POST /auth/guest`.
///
/// The search runs on a thread for blocking work, at most two searches at a time in one process.
/// Dropping the future ends the search within milliseconds.
///
/// # Errors
/// `INVALID_PARAMS` for what is no challenge and for one that asks for more than 24 bits; `Timeout`
/// when the search takes longer than a challenge lives.
pub async fn solve(challenge: &str) -> Result<String> {
    let mut solver = Solver::new(challenge)?;
    let _place = SEARCHING.acquire().await;
    let cancelled = Arc::new(AtomicBool::new(false));
    let _guard = CancelOnDrop(Arc::clone(&cancelled));
    let search = move || {
        let end = Instant::now() + Duration::from_millis(LIFE_MS);
        let mut left = solver.enough_tries();
        while left > 0 && !cancelled.load(Ordering::Relaxed) && Instant::now() < end {
            let step = STEP.min(left);
            if let Some(proof) = solver.run(step) {
                return Some(proof);
            }
            left -= step;
        }
        None
    };
    let found = tokio::task::spawn_blocking(search).await;
    let found = found.map_err(|_| Error::from(Refusal::from(ErrorCode::Internal)))?;
    found.ok_or_else(|| ErrorKind::Timeout.into())
}

/// Ends the search when nobody waits for it any more.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use gochat_core::proof::{Challenge, Purpose, judge};

    use super::*;

    fn challenge(bits: u8) -> String {
        let made = Challenge::new(Purpose::Guest, bits, 1_000, [1; 8]).unwrap();
        made.text(|_| [0; 32])
    }

    #[tokio::test]
    async fn a_challenge_is_solved() {
        let proof = solve(&challenge(10)).await.unwrap();
        assert!(judge(&proof, Purpose::Guest, 1_000, |_, _| true).is_ok());
        assert!(solve("nonsense").await.is_err());
    }

    #[tokio::test]
    async fn a_search_that_nobody_waits_for_ends() {
        // Hard enough to outlast the test many times; the runtime waits for its blocking threads
        // when it is dropped, so a search that went on would be seen as a test that hangs.
        let text = challenge(24);
        for _ in 0..2 * SEARCHES {
            let search = tokio::time::timeout(Duration::from_millis(5), solve(&text));
            let _ = search.await;
        }
        assert!(solve(&challenge(1)).await.is_ok());
    }
}
