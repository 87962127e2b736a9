//! Counters that several instances share: rate limits and claims on work done once.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use gochat_core::error::Result;
use gochat_core::guess::GuessRule;
use gochat_core::ratelimit::Rule;

/// The judgement of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Allowed,
    /// Over the limit.
    Limited {
        /// When a token will be there.
        retry_after: Duration,
    },
}

impl Verdict {
    /// Whether the request may go on.
    pub const fn is_allowed(self) -> bool {
        matches!(self, Self::Allowed)
    }
}

/// Token buckets by rule and resource.
///
/// There is no error: a store that is away is the adapter's to bridge (rules that begin
/// with `auth_` deny, the others fall back to buckets in this process). A rule that nobody
/// defined denies and is logged once.
#[async_trait]
pub trait RateLimiter: Send + Sync + 'static {
    /// Takes one token of `rule` for `resource` (`user:{id}`, `ip:{addr}`, `api:{path}`,
    /// `device:{id}`, `machine`). A refusal takes nothing.
    async fn allow(&self, resource: &str, rule: &str) -> Verdict;

    /// As [`allow`](Self::allow), by the numbers of a caller that has the rules itself: the bucket is the one of
    /// that name, whatever numbers it was judged by before, and no rule has to be defined here. `numbers` are
    /// [`validated`](Rule::validated).
    async fn allow_by(&self, resource: &str, rule: &str, numbers: Rule) -> Verdict {
        self.charge(resource, rule, numbers, 1).await
    }

    /// As [`allow_by`](Self::allow_by), for `cost` tokens at once: all or none. A cost above the
    /// capacity takes a full bucket.
    async fn charge(&self, resource: &str, rule: &str, numbers: Rule, cost: u64) -> Verdict;

    /// Counts a failed password against `budget` before it is compared, or says when one is judged
    /// again, by [`Guesses`](gochat_core::guess::Guesses). While the store is away each instance
    /// judges by the [widened](GuessRule::widened) rule. `rule` is
    /// [`validated`](GuessRule::validated).
    async fn guess(&self, budget: &str, rule: GuessRule) -> Verdict;

    /// Takes one guess back: its password was right. An unknown budget is fine.
    async fn forgive(&self, budget: &str);
}

/// What a claim found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Nobody else works on it: the caller does, and calls [`Once::complete`] or [`Once::release`].
    First,
    /// Somebody works on it; the note they left.
    Pending(Bytes),
    /// It is done; the result they stored.
    Done(Bytes),
}

/// Claims on keys whose work must happen once.
///
/// A claim or result lives for its `ttl` and is then forgotten. Bounded: an adapter that
/// has no room refuses new claims with `SERVICE_UNAVAILABLE`; it never forgets early.
#[async_trait]
pub trait Once: Send + Sync + 'static {
    /// Claims `key`, leaving `note` for others, or tells what stands there. Atomic.
    async fn claim(&self, key: &str, note: Bytes, ttl: Duration) -> Result<Claim>;

    /// Reads what stands under `key`; `None` when nothing does.
    async fn look(&self, key: &str) -> Result<Option<Claim>>;

    /// Stores the result of the work, for `ttl` from now. `false` when no claim stood.
    async fn complete(&self, key: &str, result: Bytes, ttl: Duration) -> Result<bool>;

    /// Gives an unfinished claim back after a failure, if it still carries `note`:
    /// a claim that ran out and was taken by another is left alone.
    async fn release(&self, key: &str, note: &[u8]) -> Result<()>;

    /// Forgets a key, finished or not.
    async fn clear(&self, key: &str) -> Result<()>;
}

/// Counters by name that only grow.
///
/// For numbers that must differ from those given before, as long as the counter lives; a
/// store that was lost starts again at the floor its caller passes.
#[async_trait]
pub trait Counters: Send + Sync + 'static {
    /// Takes the next `count` numbers (at least 1) and answers the first. The counter first
    /// rises to `floor`, so the answer is above it.
    async fn take(&self, name: &str, floor: u64, count: u32) -> Result<u64>;

    /// The number given last, at least `floor`. Takes nothing.
    async fn current(&self, name: &str, floor: u64) -> Result<u64>;
}
