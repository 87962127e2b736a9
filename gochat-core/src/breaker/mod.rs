//! Circuit breakers: stop asking a service that keeps failing, and ask again carefully.
//!
//! ```text
//! closed ── N failures in a row ──▶ open ── its time has passed ──▶ half-open ── M successes ──▶ closed
//!                                    ▲                                  │
//!                                    └───────────── one failure ────────┘
//! ```
//!
//! The caller asks [`Breaker::admit`] before a call and hands the ticket back to
//! [`Breaker::record`] after it, with the time of a clock that never goes back.

mod policy;

pub use policy::{BadPolicy, Policy};

use crate::error::GrpcCode;

/// Milliseconds of a clock that never goes back; where it starts doesn't matter.
pub type Millis = u64;

/// How a call ended, as far as the health of the callee goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The callee answered, be it with a refusal.
    Success,
    /// The callee could not do its work.
    Failure,
    /// The caller went away before there was an answer: says nothing about the callee.
    Abandoned,
}

impl Outcome {
    /// Judges a gRPC status. Only `UNAVAILABLE`, `DEADLINE_EXCEEDED`, `INTERNAL` and `RESOURCE_EXHAUSTED` are
    /// failures; the last not when it is a refusal of the catalogue (`refusal`), such as a full conversation: whoever
    /// gives that answer is well.
    ///
    /// ```
    /// use gochat_core::breaker::Outcome;
    /// use gochat_core::error::GrpcCode;
    /// assert_eq!(Outcome::of(GrpcCode::Unavailable as i32, false), Outcome::Failure);
    /// assert_eq!(Outcome::of(GrpcCode::NotFound as i32, false), Outcome::Success);
    /// ```
    pub fn of(grpc_code: i32, refusal: bool) -> Self {
        const DOWN: [GrpcCode; 3] = [
            GrpcCode::Unavailable,
            GrpcCode::DeadlineExceeded,
            GrpcCode::Internal,
        ];
        let exhausted = grpc_code == GrpcCode::ResourceExhausted as i32 && !refusal;
        if exhausted || DOWN.iter().any(|code| *code as i32 == grpc_code) {
            Self::Failure
        } else {
            Self::Success
        }
    }
}

/// What a breaker does with calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Lets everything through.
    Closed,
    /// Lets a few calls through to see whether the callee is back.
    HalfOpen,
    /// Lets nothing through.
    Open,
}

impl State {
    /// The stable name, for logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        }
    }
}

/// The right to make one call. Hand it back with the outcome: while half-open, a ticket that is lost keeps its place.
#[derive(Debug)]
#[must_use = "record the outcome of the call"]
pub struct Ticket {
    era: u64,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Closed { failures: u32 },
    Open { since: Millis },
    HalfOpen { successes: u32, trials: u32 },
}

/// The state of one breaker. Policies are passed in, so that a changed one counts at once.
///
/// ```
/// use gochat_core::breaker::{Breaker, Outcome, Policy, State};
/// let policy = Policy { failure_threshold: 1, success_threshold: 1, open_ms: 100 };
/// let mut breaker = Breaker::default();
/// let ticket = breaker.admit(policy, 0).unwrap();
/// assert_eq!(breaker.record(ticket, Outcome::Failure, policy, 5), Some(State::Open));
/// assert!(breaker.admit(policy, 104).is_none());
/// let trial = breaker.admit(policy, 105).unwrap();
/// assert_eq!(breaker.record(trial, Outcome::Success, policy, 106), Some(State::Closed));
/// ```
#[derive(Debug)]
pub struct Breaker {
    phase: Phase,
    /// Grows with every change of phase: outcomes of calls from before a change don't count after it.
    era: u64,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            phase: Phase::Closed { failures: 0 },
            era: 0,
        }
    }
}

impl Breaker {
    /// What the breaker does right now; an open one becomes half-open with the next call after its time.
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Closed { .. } => State::Closed,
            Phase::Open { .. } => State::Open,
            Phase::HalfOpen { .. } => State::HalfOpen,
        }
    }

    /// Whether [`Breaker::admit`] would let a call through, without asking for it.
    pub fn admits(&self, policy: Policy, now: Millis) -> bool {
        match self.phase {
            Phase::Closed { .. } => true,
            Phase::Open { since } => now.saturating_sub(since) >= policy.open_ms,
            Phase::HalfOpen { successes, trials } => {
                successes.saturating_add(trials) < policy.success_threshold
            }
        }
    }

    /// The right to make a call, or `None` when it must not be made. While half-open no more calls are on their way
    /// than successes are missing.
    pub fn admit(&mut self, policy: Policy, now: Millis) -> Option<Ticket> {
        if !self.admits(policy, now) {
            return None;
        }
        if let Phase::Open { .. } = self.phase {
            self.enter(Phase::HalfOpen {
                successes: 0,
                trials: 0,
            });
        }
        if let Phase::HalfOpen { trials, .. } = &mut self.phase {
            *trials += 1;
        }
        Some(Ticket { era: self.era })
    }

    /// Takes the outcome of an admitted call; answers the new state when it changed.
    pub fn record(
        &mut self,
        ticket: Ticket,
        outcome: Outcome,
        policy: Policy,
        now: Millis,
    ) -> Option<State> {
        if ticket.era != self.era {
            return None;
        }
        let before = self.state();
        match (&mut self.phase, outcome) {
            (Phase::Closed { failures }, Outcome::Success) => *failures = 0,
            (Phase::Closed { failures }, Outcome::Failure) => {
                *failures += 1;
                if *failures >= policy.failure_threshold {
                    self.enter(Phase::Open { since: now });
                }
            }
            (Phase::HalfOpen { successes, trials }, Outcome::Success) => {
                *trials = trials.saturating_sub(1);
                *successes += 1;
                if *successes >= policy.success_threshold {
                    self.enter(Phase::Closed { failures: 0 });
                }
            }
            (Phase::HalfOpen { .. }, Outcome::Failure) => self.enter(Phase::Open { since: now }),
            (Phase::HalfOpen { trials, .. }, Outcome::Abandoned) => {
                *trials = trials.saturating_sub(1);
            }
            (Phase::Closed { .. }, Outcome::Abandoned) | (Phase::Open { .. }, _) => {}
        }
        let after = self.state();
        (after != before).then_some(after)
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.era += 1;
    }
}

#[cfg(test)]
mod tests;
