//! When to ask again for what is missing.

use super::{Backoff, Millis};

/// A push leaves so much of the wait for another fetch: 4 s of 30. In an outage many clients have
/// gaps and are pushed to all the time; their fetches must stay rare.
const WITH_NEWS: Millis = 8;
/// How long a gap may close by itself: pushes that the server tells together interleave for a moment.
const CLOSES_WITHIN: Millis = 100;
/// No sooner than this after a fetch that brought nothing.
const AGAIN_AFTER_EMPTY: Millis = 1_000;
/// The same after a fetch that failed: the server may be busy.
const AGAIN_AFTER_FAILURE: Millis = 5_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// What is missing may still come by itself: the first look at it starts the wait.
    Fresh,
    /// A push that arrives meanwhile brings `not_before` forward to `with_news`.
    Idle {
        not_before: Millis,
        with_news: Millis,
    },
    Waiting,
}

impl State {
    const fn idle(at: Millis) -> Self {
        Self::Idle {
            not_before: at,
            with_news: at,
        }
    }
}

/// The fetches that close one gap: one at a time, at once while they bring something, else with a
/// back-off that a push cuts short.
#[derive(Debug)]
pub(super) struct Attempts {
    state: State,
    backoff: Backoff,
}

impl Attempts {
    pub(super) const fn new(seed: u64) -> Self {
        Self {
            state: State::idle(0),
            backoff: Backoff::fetch(seed),
        }
    }

    /// Whether a fetch is under way.
    pub(super) const fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting)
    }

    /// Whether the first round isn't over: nothing came back empty or failed since the last
    /// success.
    pub(super) const fn is_first_round(&self) -> bool {
        self.is_waiting() || self.backoff.is_fresh()
    }

    /// When to look at the gap next; `None` while a fetch is under way.
    pub(super) const fn due(&self) -> Option<Millis> {
        match self.state {
            State::Fresh => Some(0),
            State::Idle { not_before, .. } => Some(not_before),
            State::Waiting => None,
        }
    }

    /// Looks at the gap: starts a fetch, if it is time for one.
    pub(super) fn poll_start(&mut self, now: Millis) -> bool {
        if self.state == State::Fresh {
            self.state = State::idle(now.saturating_add(CLOSES_WITHIN));
        }
        let starts = self.due().is_some_and(|at| at <= now);
        if starts {
            self.state = State::Waiting;
        }
        starts
    }

    /// Another number is the first that is missing, and it may still come by itself. What was asked
    /// for without success goes on waiting.
    pub(super) fn handle_gap(&mut self) {
        if !self.is_waiting() && self.backoff.is_fresh() {
            self.state = State::Fresh;
        }
    }

    /// A fetch brought something.
    pub(super) const fn handle_progress(&mut self, now: Millis) {
        self.backoff.reset();
        self.state = State::idle(now);
    }

    /// A fetch brought nothing: the rows are on their way.
    pub(super) fn handle_nothing(&mut self, now: Millis) {
        self.wait(now, AGAIN_AFTER_EMPTY);
    }

    /// A fetch failed.
    pub(super) fn handle_failure(&mut self, now: Millis) {
        self.wait(now, AGAIN_AFTER_FAILURE);
    }

    /// A push arrived: where messages come again, rows are written again.
    pub(super) const fn handle_news(&mut self) {
        if let State::Idle {
            not_before,
            with_news,
        } = &mut self.state
        {
            *not_before = *with_news;
        }
    }

    /// Whatever kept fetches from bringing something may be over.
    pub(super) const fn retry_soon(&mut self) {
        if !self.is_waiting() {
            self.state = State::idle(0);
            self.backoff.reset();
        }
    }

    /// The next fetch waits as long as the back-off says, or with news only a part of that and at
    /// least `again_after`.
    fn wait(&mut self, now: Millis, again_after: Millis) {
        let delay = self.backoff.next_delay();
        let with_news = delay.min(again_after.max(delay / WITH_NEWS));
        self.state = State::Idle {
            not_before: now.saturating_add(delay),
            with_news: now.saturating_add(with_news),
        };
    }
}
