//! Tokens of the users of a run, and their renewal before they expire.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hyper::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use super::api::Api;

/// How often the tokens are looked through.
const EVERY: Duration = Duration::from_secs(1);
/// Refreshes under way at a time.
const AT_ONCE: usize = 16;
/// Longest wait for the answer to a refresh.
const PATIENCE: Duration = Duration::from_secs(10);

/// The tokens of one session. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Tokens(Arc<Held>);

#[derive(Debug)]
struct Held {
    pair: Mutex<Pair>,
    is_refused: AtomicBool,
}

#[derive(Debug, Clone)]
struct Pair {
    access: String,
    refresh: String,
    /// When half of the access token's life is over.
    renew_at: Instant,
}

impl Pair {
    /// The tokens of an answer of the server.
    fn of(data: &Value) -> Option<Self> {
        let text = |name: &str| data[name].as_str().map(str::to_owned);
        let unix = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = unix.unwrap_or_default().as_secs();
        let left = data["expiresIn"].as_u64()?.saturating_sub(now);
        Some(Self {
            access: text("accessToken")?,
            refresh: text("refreshToken")?,
            renew_at: Instant::now() + Duration::from_secs(left) / 2,
        })
    }
}

impl Tokens {
    /// The tokens of a sign-in's answer.
    pub(super) fn of(data: &Value) -> Option<Self> {
        let pair = Mutex::new(Pair::of(data)?);
        let is_refused = AtomicBool::new(false);
        Some(Self(Arc::new(Held { pair, is_refused })))
    }

    /// The access token that is good now.
    pub(crate) fn access(&self) -> String {
        self.pair().access.clone()
    }

    /// Whether the server refused to renew them.
    pub(crate) fn is_refused(&self) -> bool {
        self.0.is_refused.load(Ordering::Relaxed)
    }

    fn pair(&self) -> MutexGuard<'_, Pair> {
        self.0.pair.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_due(&self) -> bool {
        !self.is_refused() && self.pair().renew_at <= Instant::now()
    }

    /// Renews them; `true` when they are new. A refresh without an answer is repeated by the next
    /// call.
    async fn renew(&self, api: &Api) -> bool {
        let body = json!({ "refreshToken": self.pair().refresh });
        let asking = api.once(Method::POST, "/auth/refresh", "", Some(&body));
        match tokio::time::timeout(PATIENCE, asking).await {
            Ok(Ok((200, answer))) => {
                let Some(pair) = Pair::of(&answer["data"]) else {
                    return false;
                };
                *self.pair() = pair;
                true
            }
            Ok(Ok((401, answer))) => {
                eprintln!("tokens are not renewed: {}", answer["code"]);
                self.0.is_refused.store(true, Ordering::Relaxed);
                false
            }
            _ => false,
        }
    }
}

/// Keeps tokens alive until it is dropped.
pub(crate) struct Renewal(JoinHandle<()>);

impl Drop for Renewal {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Renews tokens whenever half of their life is over, by any of these servers; says which are new.
pub(crate) fn keep(
    apis: Vec<Api>,
    tokens: Vec<Tokens>,
    renewed: mpsc::UnboundedSender<Vec<usize>>,
) -> Renewal {
    Renewal(tokio::spawn(async move {
        for round in 0.. {
            if let Some(api) = apis.get(round % apis.len().max(1)) {
                let new = renew_due(api, &tokens).await;
                if !new.is_empty() {
                    // Who doesn't listen looks at the tokens whenever one is needed.
                    let _ = renewed.send(new);
                }
            }
            tokio::time::sleep(EVERY).await;
        }
    }))
}

/// Renews what is due now; which are new.
pub(super) async fn renew_due(api: &Api, tokens: &[Tokens]) -> Vec<usize> {
    let mut due = tokens.iter().enumerate().filter(|(_, t)| t.is_due());
    let (mut under_way, mut new) = (JoinSet::new(), Vec::new());
    loop {
        while under_way.len() < AT_ONCE
            && let Some((at, tokens)) = due.next()
        {
            let (api, tokens) = (api.clone(), tokens.clone());
            under_way.spawn(async move { tokens.renew(&api).await.then_some(at) });
        }
        match under_way.join_next().await {
            Some(done) => new.extend(done.ok().flatten()),
            None => return new,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(left: u64) -> Value {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let expires = unix.as_secs() + left;
        json!({ "accessToken": "a", "refreshToken": "r", "expiresIn": expires })
    }

    #[test]
    fn tokens_are_due_at_half_of_their_life() {
        let fresh = Tokens::of(&answer(900)).unwrap();
        assert!(!fresh.is_due());
        let at = fresh.pair().renew_at - Instant::now();
        assert!((440..=450).contains(&at.as_secs()), "{at:?}");
        assert!(Tokens::of(&answer(0)).unwrap().is_due());
        assert!(Tokens::of(&json!({ "accessToken": "a" })).is_none());
    }

    #[test]
    fn clones_share_what_is_renewed() {
        let one = Tokens::of(&answer(900)).unwrap();
        let other = one.clone();
        one.pair().access = "b".to_owned();
        assert_eq!(other.access(), "b");
        one.0.is_refused.store(true, Ordering::Relaxed);
        one.pair().renew_at = Instant::now();
        assert!(other.is_refused() && !other.is_due());
    }
}
