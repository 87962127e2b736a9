//! Circuit breakers by name, with policies that change while they work.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use gochat_core::breaker::{Breaker, Outcome, Policy, State, Ticket};
use metrics::{counter, gauge};
use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::port::coord::{ConfigCenter, ConfigState};
use crate::rules::follow_states;

/// More names than this share one breaker: names come from code, so this many are a mistake.
const MAX_NAMES: usize = 4_096;
/// The policy of all names that have none.
const DEFAULT: &str = "default";

/// Policies by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policies {
    default: Policy,
    by_name: BTreeMap<String, Policy>,
}

impl Policies {
    /// The same policy for everything.
    pub fn all(default: Policy) -> Self {
        Self {
            default,
            by_name: BTreeMap::new(),
        }
    }

    /// Reads the keys below `prefix`: a key is the prefix and a name, with or without `.json`. Names are full methods
    /// (`im.repo.v1.UserService/GetUser`), services (`im.repo.v1.UserService`) or `default`. A policy that can't be read is logged and
    /// left out.
    pub fn read(state: &ConfigState, prefix: &str) -> Self {
        let mut policies = Self::default();
        for (key, stored) in state.iter() {
            let name = key.strip_prefix(prefix).unwrap_or(key).trim_matches('/');
            let name = name.strip_suffix(".json").unwrap_or(name);
            match Policy::from_json(&stored.value) {
                Ok(policy) if name == DEFAULT => policies.default = policy,
                Ok(policy) => drop(policies.by_name.insert(name.to_owned(), policy)),
                Err(error) => tracing::error!(key, %error, "a breaker policy was left out"),
            }
        }
        policies
    }

    /// The policy of a name: its own, its service's, or the default.
    pub fn find(&self, name: &str) -> Policy {
        let service = || name.rsplit_once('/').map(|(service, _)| service);
        let own = self.by_name.get(name);
        *own.or_else(|| self.by_name.get(service()?))
            .unwrap_or(&self.default)
    }
}

/// Breakers by name, made when they are first asked for. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Breakers {
    shared: Arc<Shared>,
}

struct Shared {
    policies: ArcSwap<Policies>,
    named: RwLock<BTreeMap<Arc<str>, Arc<Named>>>,
    born: Instant,
}

struct Named {
    name: Arc<str>,
    breaker: Mutex<Breaker>,
}

impl std::fmt::Debug for Breakers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Breakers")
    }
}

impl Default for Breakers {
    fn default() -> Self {
        Self::new(Policies::default())
    }
}

impl Breakers {
    /// Breakers with these policies.
    pub fn new(policies: Policies) -> Self {
        Self {
            shared: Arc::new(Shared {
                policies: ArcSwap::from_pointee(policies),
                named: RwLock::default(),
                born: Instant::now(),
            }),
        }
    }

    /// Changes the policies of all breakers, standing ones included.
    pub fn set_policies(&self, policies: Policies) {
        self.shared.policies.store(Arc::new(policies));
    }

    /// Follows the policies below `prefix` (`/config/{env}/{service}/breakers/`) until `shutdown`. While the config
    /// centre is away the last ones stay.
    pub async fn follow(
        &self,
        config: Arc<dyn ConfigCenter>,
        prefix: String,
        shutdown: CancellationToken,
    ) {
        let apply = |state: &ConfigState| self.set_policies(Policies::read(state, &prefix));
        follow_states(config, &prefix, "breaker policies", apply, shutdown).await;
    }

    /// What the breaker of this name does right now.
    pub fn state(&self, name: &str) -> State {
        let named = self.shared.named.read().get(name).cloned();
        named.map_or(State::Closed, |named| named.breaker.lock().state())
    }

    /// The right to make a call, or `None` while the breaker is open.
    pub fn admit(&self, name: &str) -> Option<Permit> {
        let named = self.named(name);
        let policy = self.shared.policies.load().find(&named.name);
        let (ticket, changed) = {
            let mut breaker = named.breaker.lock();
            let before = breaker.state();
            let ticket = breaker.admit(policy, self.now_ms());
            let after = breaker.state();
            (ticket, (after != before).then_some(after))
        };
        if let Some(state) = changed {
            named.tell(state);
        }
        match ticket {
            Some(ticket) => Some(Permit {
                breakers: self.clone(),
                named,
                ticket: Some(ticket),
            }),
            None => {
                named.count("rejected");
                None
            }
        }
    }

    fn named(&self, name: &str) -> Arc<Named> {
        if let Some(named) = self.shared.named.read().get(name) {
            return named.clone();
        }
        let mut all = self.shared.named.write();
        let name = if all.len() < MAX_NAMES { name } else { "other" };
        if let Some(named) = all.get(name) {
            return named.clone();
        }
        let named = Arc::new(Named {
            name: name.into(),
            breaker: Mutex::default(),
        });
        gauge!("breaker_state", "name" => named.name.to_string()).set(0.0);
        all.insert(named.name.clone(), named.clone());
        named
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.shared.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Named {
    fn tell(&self, state: State) {
        let figure = match state {
            State::Closed => 0.0,
            State::HalfOpen => 1.0,
            State::Open => 2.0,
        };
        gauge!("breaker_state", "name" => self.name.to_string()).set(figure);
        match state {
            State::Open => tracing::warn!(name = %self.name, "breaker opened"),
            _ => tracing::info!(name = %self.name, state = state.name(), "breaker changed"),
        }
    }

    fn count(&self, result: &'static str) {
        counter!("breaker_calls_total", "name" => self.name.to_string(), "result" => result)
            .increment(1);
    }
}

/// The right to make one call; record its outcome. One that is dropped counts as abandoned.
pub struct Permit {
    breakers: Breakers,
    named: Arc<Named>,
    ticket: Option<Ticket>,
}

impl Permit {
    /// Hands it back.
    pub fn record(mut self, outcome: Outcome) {
        self.settle(outcome);
    }

    fn settle(&mut self, outcome: Outcome) {
        let Some(ticket) = self.ticket.take() else {
            return;
        };
        let shared = &self.breakers.shared;
        let policy = shared.policies.load().find(&self.named.name);
        let now = self.breakers.now_ms();
        let changed = self
            .named
            .breaker
            .lock()
            .record(ticket, outcome, policy, now);
        self.named.count(match outcome {
            Outcome::Success => "success",
            Outcome::Failure => "failure",
            Outcome::Abandoned => "abandoned",
        });
        if let Some(state) = changed {
            self.named.tell(state);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.settle(Outcome::Abandoned);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::embedded::coord::MemoryCoord;

    const PREFIX: &str = "/config/dev/im-logic/breakers/";

    #[test]
    fn a_method_has_its_own_policy_or_its_services_or_the_default() {
        let versioned = |value: &str| crate::port::coord::Versioned {
            value: value.into(),
            version: 1,
        };
        let state: ConfigState = Arc::new(BTreeMap::from([
            (
                format!("{PREFIX}default.json"),
                versioned(r#"{"failureThreshold": 9}"#),
            ),
            (
                format!("{PREFIX}a.B"),
                versioned(r#"{"failureThreshold": 8}"#),
            ),
            (
                format!("{PREFIX}a.B/C.json"),
                versioned(r#"{"failureThreshold": 7}"#),
            ),
            (format!("{PREFIX}a.B/Broken"), versioned("no json")),
        ]));
        let policies = Policies::read(&state, PREFIX);
        let threshold = |name| policies.find(name).failure_threshold;
        assert_eq!(
            [
                threshold("a.B/C"),
                threshold("a.B/D"),
                threshold("x.Y/Z"),
                threshold("a.B/Broken")
            ],
            [7, 8, 9, 8]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_policy_from_the_config_centre_opens_a_breaker_that_stands() {
        let coord = Arc::new(MemoryCoord::new());
        let breakers = Breakers::default();
        breakers.admit("a.B/C").unwrap().record(Outcome::Failure);
        assert_eq!(breakers.state("a.B/C"), State::Closed);

        let strict = r#"{"failureThreshold": 1, "successThreshold": 1, "openStateTimeout": "10s"}"#;
        coord
            .set(&format!("{PREFIX}a.B/C.json"), strict)
            .await
            .unwrap();
        let shutdown = CancellationToken::new();
        let follower = tokio::spawn({
            let (breakers, coord, shutdown) = (breakers.clone(), coord.clone(), shutdown.clone());
            async move { breakers.follow(coord, PREFIX.into(), shutdown).await }
        });
        while breakers
            .shared
            .policies
            .load()
            .find("a.B/C")
            .failure_threshold
            != 1
        {
            tokio::task::yield_now().await;
        }
        breakers.admit("a.B/C").unwrap().record(Outcome::Failure);
        assert!(breakers.admit("a.B/C").is_none());
        assert!(breakers.admit("a.B/D").is_some(), "another method");

        tokio::time::advance(Duration::from_secs(10)).await;
        let trial = breakers.admit("a.B/C").expect("half-open");
        assert!(breakers.admit("a.B/C").is_none(), "one trial at a time");
        drop(trial);
        breakers
            .admit("a.B/C")
            .expect("the trial was given up")
            .record(Outcome::Success);
        assert_eq!(breakers.state("a.B/C"), State::Closed);
        shutdown.cancel();
        follower.await.unwrap();
    }
}
