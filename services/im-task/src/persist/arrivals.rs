//! Who registered a session lately, as far as this process has read the list.

use std::collections::VecDeque;
use std::sync::Arc;

use gochat_core::error::Result;
use gochat_proto::im::repo::v1::{Arrival, ListArrivalsRequest};
use hashbrown::HashMap;

use crate::clock;
use crate::repo::Repo;

/// Arrivals per call.
const PAGE: i32 = 10_000;
/// Arrivals kept; who came before the oldest of them is unknown.
const KEPT: usize = 200_000;
/// Clocks of different machines may differ by this much, in milliseconds.
const SKEW_MS: i64 = 1_000;

/// When the list was lost, presence was: for so long gateways may be registering again whom they hold, in milliseconds.
/// They notice within a second or two.
const HEALING_MS: i64 = 3_000;

/// A copy of the newest part of the list of arrivals.
#[derive(Default)]
pub(super) struct Arrivals {
    /// Where to go on reading; empty before the first call.
    position: String,
    /// In the order of the list.
    kept: VecDeque<Came>,
    by_user: HashMap<u64, Vec<(i64, Arc<str>)>>,
    /// Everybody who came from this moment on is in the copy, Unix milliseconds.
    complete_from: i64,
    /// Until then presence is filling up again.
    healing_until: i64,
}

struct Came {
    user: u64,
    at_ms: i64,
    gateway: Arc<str>,
}

impl Arrivals {
    /// Reads what is new. What was registered before this call is known after it.
    ///
    /// # Errors
    /// Presence is away.
    pub(super) async fn catch_up(&mut self, repo: &Repo) -> Result<()> {
        loop {
            let request = ListArrivalsRequest {
                after: self.position.clone(),
                limit: PAGE,
            };
            let answer = match repo.arrivals(request).await {
                Ok(answer) => answer,
                Err(error) if error.is_retryable() => return Err(error),
                Err(error) => {
                    // An im-repo of before this list: everybody has to be looked up.
                    tracing::debug!(%error, "arrivals are not listed");
                    self.complete_from = i64::MAX;
                    return Ok(());
                }
            };
            if answer.gap {
                self.note_gap(clock::now_ms());
            }
            let more = answer.arrivals.len() >= PAGE as usize;
            answer.arrivals.into_iter().for_each(|a| self.push(a));
            self.position = answer.next;
            if !more {
                return Ok(());
            }
        }
    }

    /// Arrivals are missing. At the very beginning all are; later on the list was lost.
    fn note_gap(&mut self, now_ms: i64) {
        self.complete_from = now_ms + SKEW_MS;
        if !self.position.is_empty() {
            self.healing_until = now_ms + HEALING_MS;
        }
    }

    /// Whether presence lost its data a moment ago: who seems to be away may only not be registered again yet.
    pub(super) fn is_healing(&self, now_ms: i64) -> bool {
        now_ms < self.healing_until
    }

    /// Whether everybody is known who came from this moment on.
    pub(super) fn is_complete_since(&self, moment_ms: i64) -> bool {
        moment_ms >= self.complete_from
    }

    /// Whether nobody came from this moment on; the usual answer for a message that was just sent.
    pub(super) fn is_quiet_since(&self, moment_ms: i64) -> bool {
        // Entries are nearly in order of time: several machines write the list.
        let newest = self.kept.iter().rev();
        newest
            .take_while(|came| came.at_ms + SKEW_MS >= moment_ms)
            .all(|came| came.at_ms < moment_ms)
    }

    /// The gateways a user came to from this moment on; one may be named twice.
    pub(super) fn of(&self, user: u64, moment_ms: i64) -> impl Iterator<Item = &Arc<str>> {
        let came = self.by_user.get(&user).into_iter().flatten();
        came.filter(move |(at_ms, _)| *at_ms >= moment_ms)
            .map(|(_, gateway)| gateway)
    }

    /// Everybody who came from this moment on, with their gateway.
    pub(super) fn since(&self, moment_ms: i64) -> impl Iterator<Item = (u64, &Arc<str>)> {
        // Entries are nearly in order of time: what is older by more than the skew ends the search.
        let newest = self.kept.iter().rev();
        let newest = newest.take_while(move |came| came.at_ms + SKEW_MS >= moment_ms);
        newest
            .filter(move |came| came.at_ms >= moment_ms)
            .map(|came| (came.user, &came.gateway))
    }

    fn push(&mut self, arrival: Arrival) {
        let Ok(user) = arrival.user_id.parse() else {
            return;
        };
        // Neighbours share the name: gateways are few.
        let gateway = match self.kept.back() {
            Some(last) if *last.gateway == *arrival.gateway_id => last.gateway.clone(),
            _ => arrival.gateway_id.into(),
        };
        let at_ms = arrival.at_ms;
        self.by_user
            .entry(user)
            .or_default()
            .push((at_ms, gateway.clone()));
        self.kept.push_back(Came {
            user,
            at_ms,
            gateway,
        });
        if self.kept.len() > KEPT
            && let Some(oldest) = self.kept.pop_front()
        {
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, oldest: &Came) {
        self.complete_from = self.complete_from.max(oldest.at_ms + SKEW_MS);
        if let Some(came) = self.by_user.get_mut(&oldest.user) {
            // The list is in order, so the user's first entry is this one.
            came.remove(0);
            if came.is_empty() {
                self.by_user.remove(&oldest.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(user: u64, gateway: &str, at_ms: i64) -> Arrival {
        Arrival {
            user_id: user.to_string(),
            gateway_id: gateway.to_owned(),
            at_ms,
        }
    }

    #[test]
    fn who_came_since_a_moment_is_found_by_user_and_altogether() {
        let mut arrivals = Arrivals::default();
        for (user, gateway, at) in [(1, "a", 10), (2, "b", 20), (1, "b", 30)] {
            arrivals.push(arrival(user, gateway, at));
        }
        let of = |user, moment| -> Vec<&str> { arrivals.of(user, moment).map(|g| &**g).collect() };
        assert_eq!(of(1, 10), ["a", "b"]);
        assert_eq!(of(1, 11), ["b"]);
        assert!(of(2, 21).is_empty() && of(3, 0).is_empty());
        assert_eq!(
            arrivals.since(20).map(|(u, _)| u).collect::<Vec<_>>(),
            [1, 2]
        );
        assert!(arrivals.is_quiet_since(31) && !arrivals.is_quiet_since(30));
    }

    #[test]
    fn a_lost_list_heals_and_the_first_reading_is_no_loss() {
        let mut arrivals = Arrivals::default();
        arrivals.note_gap(10_000);
        assert!(!arrivals.is_healing(10_000) && !arrivals.is_complete_since(10_000));
        arrivals.position = "1-1".into();
        arrivals.note_gap(20_000);
        assert!(arrivals.is_healing(22_999) && !arrivals.is_healing(23_000));
        assert!(arrivals.is_complete_since(21_000));
    }

    #[test]
    fn memory_is_bounded_and_says_from_when_on_it_is_complete() {
        let mut arrivals = Arrivals::default();
        assert!(arrivals.is_complete_since(0));
        for at in 0..=KEPT as i64 {
            arrivals.push(arrival(at as u64 % 7, "a", at));
        }
        assert_eq!(arrivals.kept.len(), KEPT);
        let by_user: usize = arrivals.by_user.values().map(Vec::len).sum();
        assert_eq!(by_user, KEPT);
        assert!(!arrivals.is_complete_since(0) && arrivals.is_complete_since(SKEW_MS));
    }
}
