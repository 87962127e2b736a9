//! How lively the world chat is, as its owner sees it.

use std::collections::VecDeque;
use std::time::Duration;

use gochat_core::ids::UserId;
use hashbrown::HashMap;
use tokio::time::Instant;

/// The rate is the mean of this long.
const RATE_OVER: Duration = Duration::from_secs(60);
/// Who wrote within this long is active.
const ACTIVE_FOR: Duration = Duration::from_secs(300);
/// How exactly it is remembered when.
const GRAIN: Duration = Duration::from_secs(1);
/// Authors remembered; beyond it newcomers are not counted.
const AUTHORS_MAX: usize = 100_000;

/// Messages and authors of the world chat lately. One per worker; the gauges are their sum, and the one
/// who owns the world's partition has all of it.
#[derive(Debug, Default)]
pub(super) struct World {
    /// When how many messages were sequenced, oldest first, in steps of [`GRAIN`].
    messages: VecDeque<(Instant, u32)>,
    authors: HashMap<UserId, Instant>,
    published: (f64, f64),
}

impl World {
    /// Notes the authors of a batch that stands, once per message.
    pub(super) fn note(&mut self, authors: &[UserId]) {
        if authors.is_empty() {
            return;
        }
        let now = Instant::now();
        let count = u32::try_from(authors.len()).unwrap_or(u32::MAX);
        match self.messages.back_mut() {
            Some((at, n)) if now.duration_since(*at) < GRAIN => *n = n.saturating_add(count),
            _ => self.messages.push_back((now, count)),
        }
        for author in authors {
            if self.authors.len() < AUTHORS_MAX || self.authors.contains_key(author) {
                self.authors.insert(*author, now);
            }
        }
    }

    /// Brings the gauges up to date; called about every second.
    pub(super) fn publish(&mut self) {
        self.forget(Instant::now());
        let messages: f64 = self.messages.iter().map(|(_, n)| f64::from(*n)).sum();
        let rate = messages / RATE_OVER.as_secs_f64();
        self.show(rate, self.authors.len() as f64);
    }

    fn forget(&mut self, now: Instant) {
        while let Some((at, _)) = self.messages.front()
            && now.duration_since(*at) >= RATE_OVER
        {
            self.messages.pop_front();
        }
        self.authors
            .retain(|_, at| now.duration_since(*at) < ACTIVE_FOR);
    }

    /// Other workers of the process add to the same gauges: only the difference is added.
    fn show(&mut self, rate: f64, active: f64) {
        let (shown_rate, shown_active) = self.published;
        metrics::gauge!("world_chat_message_rate").increment(rate - shown_rate);
        metrics::gauge!("world_chat_active_users").increment(active - shown_active);
        self.published = (rate, active);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.show(0.0, 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_rate_looks_back_a_minute_and_authors_stay_active_for_five() {
        let user = |n| UserId::new(n).unwrap();
        let mut world = World::default();
        world.note(&[user(1), user(2), user(1)]);
        world.publish();
        assert_eq!(world.published, (3.0 / 60.0, 2.0));
        tokio::time::advance(RATE_OVER).await;
        world.note(&[user(2)]);
        world.publish();
        assert_eq!(world.published, (1.0 / 60.0, 2.0));
        tokio::time::advance(ACTIVE_FOR - RATE_OVER).await;
        world.publish();
        assert_eq!(world.published, (0.0, 1.0));
    }
}
