//! A call on its way, and what its end says about the instance.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gochat_core::breaker::{Outcome, Ticket};
use http::HeaderMap;
use tokio::time::Instant;

use super::Endpoint;
use super::conduct::Verdict;
use crate::rpc::ended::End;
use crate::rpc::layer::deadline;

/// A call that was given up after this long without an answer, or shortly before its deadline if that is sooner, speaks
/// against the instance.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a call may wait before giving it up says something about the instance.
pub(super) fn patience(headers: &HeaderMap) -> Duration {
    // A deadline, unlike a caller who loses interest, ends a call when all of its time is over.
    let deadline = deadline::given(headers).map(|limit| limit * 9 / 10);
    deadline.map_or(PATIENCE, |deadline| deadline.min(PATIENCE))
}

/// A call on its way.
pub(super) struct Flight {
    endpoint: Arc<Endpoint>,
    ticket: Option<Ticket>,
    began: Instant,
    patience: Duration,
}

impl Flight {
    pub(super) fn begin(endpoint: &Arc<Endpoint>, patience: Duration) -> Self {
        endpoint.in_flight.fetch_add(1, Ordering::Relaxed);
        endpoint.note_use();
        Self {
            ticket: endpoint.conduct.admit(endpoint.now_ms()),
            endpoint: endpoint.clone(),
            began: Instant::now(),
            patience,
        }
    }

    pub(super) fn land(mut self, end: End) {
        match end {
            // It lived: a watch or a keep-alive that is over says nothing against the instance.
            End::Dropped { heard: true } => self.judge(Outcome::Abandoned, false),
            End::Dropped { heard: false } => self.give_up(),
            End::Failed => self.judge(Outcome::Failure, false),
            // INTERNAL and RESOURCE_EXHAUSTED would come from any other instance as well.
            End::Status {
                code: tonic::Code::Unavailable,
                ..
            } => self.judge(Outcome::Failure, false),
            End::Status { .. } => self.judge(Outcome::Success, false),
        }
    }

    pub(super) fn unsent(mut self) {
        self.judge(Outcome::Abandoned, false);
    }

    /// Without an answer. One that took all the time there was is enough to look elsewhere: each further one would
    /// cost somebody as much.
    fn give_up(&mut self) {
        let outcome = if self.began.elapsed() >= self.patience {
            Outcome::Failure
        } else {
            Outcome::Abandoned
        };
        self.judge(outcome, true);
    }

    /// Records how the call went.
    fn judge(&mut self, outcome: Outcome, grave: bool) {
        let Some(ticket) = self.ticket.take() else {
            return;
        };
        let endpoint = &self.endpoint;
        let now = endpoint.now_ms();
        match endpoint.conduct.judge(ticket, outcome, grave, now) {
            Some(Verdict::Ejected(times)) => {
                tracing::warn!(service = %endpoint.service, id = %endpoint.id, address = %endpoint.address,
                    times, "ejected: its calls fail");
            }
            Some(Verdict::Back) => {
                tracing::info!(service = %endpoint.service, id = %endpoint.id, "back after an ejection");
            }
            None => {}
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.give_up();
        self.endpoint.note_use();
        self.endpoint.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
