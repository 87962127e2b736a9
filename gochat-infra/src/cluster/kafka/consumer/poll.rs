//! The loop of one `poll`.
//!
//! One piece of driver work at a time, in this order: what a rebalance asks for, how a step of unknown outcome ended,
//! positions, pauses. Records are taken from the client only when no such work is under way: by then the client reads
//! where this consumer believes it does.

use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use tokio::time::Instant;

use super::driver::{Outcome, Task};
use super::{KafkaConsumer, ended};
use crate::port::mq::{MqError, MqResult, Poll};

/// The client's queue wakes the poll; this is how long a missed wake-up can cost.
const TICK: Duration = Duration::from_millis(100);
/// Pause before work that failed is begun again.
const AGAIN: Duration = Duration::from_millis(20);

impl KafkaConsumer {
    pub(super) async fn take(&mut self, max: usize, wait: Duration) -> MqResult<Poll> {
        self.shared.check()?;
        let deadline = Instant::now() + wait;
        loop {
            if self.running.is_some() {
                if !self.finish(deadline).await? {
                    return Ok(self.tell_news());
                }
                continue;
            }
            if self.next.is_none() {
                self.next = self.work(max);
            }
            match self.next.take() {
                Some(Task::Rebuild) => self.rebuild().await?,
                Some(task) => {
                    if matches!(task, Task::Assign(..)) {
                        // Nothing is assigned, so nothing can come but events: a sign of life for the client.
                        self.drain(max)?;
                    }
                    self.begin(task);
                    continue;
                }
                None => {}
            }
            self.drain(max)?;
            if self.next.is_some() || self.client.context().has_news() {
                continue;
            }
            let skipped = self.owned.iter().any(|owned| owned.skipped > 0);
            let records = max > 0 && (self.in_hand > 0 || skipped);
            if records || !self.news.is_empty() {
                return Ok(self.hand_out(max));
            }
            self.next = self.look(max);
            if self.next.is_some() {
                continue;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Poll::default());
            }
            self.check_topics()?;
            // Woken or not: the queue is looked at again.
            drop(tokio::time::timeout(left.min(TICK), self.wake.notified()).await);
        }
    }

    /// Waits for the work under way; `false` when the time is up. Dropped, the work goes on and is waited for next time.
    async fn finish(&mut self, deadline: Instant) -> MqResult<bool> {
        let Some(running) = &mut self.running else {
            return Ok(true);
        };
        let until = deadline.min(self.answer_by);
        let Ok(outcome) = tokio::time::timeout_at(until, running).await else {
            let gone = Instant::now() >= self.answer_by;
            if gone {
                self.give_up("an assignment");
            }
            return Ok(gone);
        };
        self.running = None;
        let outcome = outcome.unwrap_or_else(|_| Outcome::Failed(ended(), Some(Task::Rebuild)));
        let failure = match &outcome {
            Outcome::Failed(error, _) => Some(error.clone()),
            _ => None,
        };
        self.apply(outcome);
        self.note_work(failure.as_ref());
        if let Some(error) = failure {
            tracing::debug!(%error, "a consumer's work failed and is done again");
            if Instant::now() + AGAIN >= deadline {
                return Err(error);
            }
            tokio::time::sleep(AGAIN).await;
        }
        Ok(true)
    }

    /// What has to be done before records are handed out.
    fn work(&mut self, max: usize) -> Option<Task> {
        if let Some(rebalance) = self.client.context().next() {
            return Some(self.react(rebalance));
        }
        let of = |which: fn(&super::Owned) -> bool| self.owned.iter().filter(move |o| which(o));
        let in_doubt: Vec<_> = of(|o| o.in_doubt).map(|o| o.place.clone()).collect();
        if !in_doubt.is_empty() {
            return Some(Task::Settle(in_doubt));
        }
        let all = || of(|_| true);
        let moved: Vec<_> = of(|o| o.moved)
            .map(|o| (o.place.clone(), o.position))
            .collect();
        if !moved.is_empty() {
            let all = all().map(|o| (o.place.clone(), o.next())).collect();
            return Some(Task::Move { moved, all });
        }
        let full = self.in_hand_bytes >= self.config.max_poll_bytes;
        if self.paused && max > 0 && !full || !self.paused && max == 0 && full {
            let places = all().map(|o| o.place.clone()).collect();
            return Some(Task::Pause(!self.paused, places));
        }
        None
    }

    /// What has to be done after the client gave nothing.
    fn look(&mut self, max: usize) -> Option<Task> {
        if max == 0 || self.in_hand > 0 {
            self.silence.end();
            return None;
        }
        if !self.silence.is_long(Instant::now()) {
            return None;
        }
        if self.owned.is_empty() {
            let grouped = self.config.group.is_some();
            return self.some_place().filter(|_| grouped).map(Task::Ask);
        }
        let next = |owned: &super::Owned| (owned.place.clone(), owned.next());
        Some(Task::Look(self.owned.iter().map(next).collect()))
    }

    /// Changes may be told while work is under way; records may not.
    fn tell_news(&mut self) -> Poll {
        std::mem::take(&mut self.news)
    }

    fn check_topics(&self) -> MqResult<()> {
        let gone = |topic: &&std::sync::Arc<str>| self.shared.topics.find(topic).is_none();
        match self.config.topics.iter().find(gone) {
            Some(topic) => Err(MqError::unknown_topic(topic)),
            None => Ok(()),
        }
    }
}
