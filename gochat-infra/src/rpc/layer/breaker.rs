//! One breaker per method.
//!
//! A breaker judges the service, the picker judges its instances. So a call that found no instance, or failed on one
//! while another was to be had, says nothing here: the picker refuses at once or goes elsewhere by itself, and an open
//! breaker would only keep callers from a service that is back, or was never away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use gochat_core::breaker::Outcome;
use http::{Request, Response};
use tonic::body::Body;
use tonic::{Code, Status};

use super::{Calls, forward, layer};
use crate::rpc::breakers::Breakers;
use crate::rpc::ended::{End, on_end};

/// What the picker notes about a call, in the extensions of its request.
#[derive(Debug, Clone, Default)]
pub(in crate::rpc) struct Note(Arc<AtomicU8>);

const NOT_SENT: u8 = 0;
const TO_THE_ONLY_ONE: u8 = 1;
const TO_ONE_OF_SEVERAL: u8 = 2;

impl Note {
    /// The call goes to an instance; `others`: and could have gone to another one that is well.
    pub(in crate::rpc) fn sent(&self, others: bool) {
        let note = if others {
            TO_ONE_OF_SEVERAL
        } else {
            TO_THE_ONLY_ONE
        };
        self.0.store(note, Ordering::Relaxed);
    }

    /// What the end of the call says about the service.
    fn outcome(&self, end: End) -> Outcome {
        let outcome = end.outcome();
        let instance = matches!(end.code(), Code::Unavailable | Code::DeadlineExceeded);
        match self.0.load(Ordering::Relaxed) {
            NOT_SENT | TO_ONE_OF_SEVERAL if instance && outcome == Outcome::Failure => {
                Outcome::Abandoned
            }
            _ => outcome,
        }
    }
}

layer! {
    /// Refuses calls of methods that keep failing, with `UNAVAILABLE`.
    Breaking { breakers: Breakers } => Broken
}

impl Breaking {
    async fn run<S: Calls>(self, inner: S, mut request: Request<Body>) -> Response<Body> {
        let method = request.uri().path().trim_start_matches('/');
        let Some(permit) = self.breakers.admit(method) else {
            return Status::unavailable("breaker open").into_http();
        };
        let note = Note::default();
        request.extensions_mut().insert(note.clone());
        // A caller that goes away drops the permit: abandoned.
        let response = forward(inner, request).await;
        on_end(response, move |end| permit.record(note.outcome(end)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(code: Code) -> End {
        let refusal = false;
        End::Status { code, refusal }
    }

    #[test]
    fn one_bad_instance_of_several_does_not_count_against_the_service() {
        let note = Note::default();
        assert_eq!(
            note.outcome(end(Code::Unavailable)),
            Outcome::Abandoned,
            "nobody to send it to"
        );
        note.sent(true);
        for code in [Code::Unavailable, Code::DeadlineExceeded] {
            assert_eq!(note.outcome(end(code)), Outcome::Abandoned);
        }
        assert_eq!(note.outcome(End::Failed), Outcome::Abandoned);
        assert_eq!(
            note.outcome(end(Code::Internal)),
            Outcome::Failure,
            "all would do that"
        );
        assert_eq!(note.outcome(end(Code::Ok)), Outcome::Success);
        note.sent(false);
        for code in [Code::Unavailable, Code::DeadlineExceeded, Code::Internal] {
            assert_eq!(note.outcome(end(code)), Outcome::Failure);
        }
    }
}
