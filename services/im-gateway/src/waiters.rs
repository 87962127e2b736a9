//! HTTP sends that wait for the sequencer's word, found by trace id.
//!
//! Clients may choose trace ids, so an id alone proves nothing: the author and the client message
//! id have to be right too, and an id that somebody waits under already is replaced by a new one.

use gochat_core::error::{Error, ErrorCode};
use gochat_proto::mq::v1::DownstreamMessage;
use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// What came back.
pub(crate) type Answer = Result<DownstreamMessage, Error>;

struct Waiter {
    user_id: String,
    client_msg_id: String,
    tell: oneshot::Sender<Answer>,
}

/// All sends that wait.
pub(crate) struct Waiters {
    waiting: Mutex<HashMap<String, Waiter, ahash::RandomState>>,
    max: usize,
}

/// A place in the list; leaving it early gives the place back.
pub(crate) struct Ticket<'a> {
    waiters: &'a Waiters,
    /// The id to send under.
    pub(crate) trace: String,
    /// The answer.
    pub(crate) answer: oneshot::Receiver<Answer>,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.waiters.waiting.lock().remove(&self.trace);
    }
}

impl Waiters {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            max,
        }
    }

    /// Takes a place under `trace`, or under a new id when that one is taken.
    ///
    /// # Errors
    /// `SERVICE_UNAVAILABLE` when too many wait already.
    pub(crate) fn enter(
        &self,
        trace: &str,
        user_id: String,
        client_msg_id: String,
    ) -> Result<Ticket<'_>, Error> {
        let (tell, answer) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        if waiting.len() >= self.max {
            return Err(ErrorCode::ServiceUnavailable.into());
        }
        let mut trace = trace.to_owned();
        while waiting.contains_key(&trace) {
            trace = crate::upstream::new_trace();
        }
        waiting.insert(
            trace.clone(),
            Waiter {
                user_id,
                client_msg_id,
                tell,
            },
        );
        Ok(Ticket {
            waiters: self,
            trace,
            answer,
        })
    }

    /// Hands an answer to whoever waits for it; false when nobody does.
    pub(crate) fn settle(
        &self,
        trace: &str,
        user_id: &str,
        client_msg_id: &str,
        answer: Answer,
    ) -> bool {
        let mut waiting = self.waiting.lock();
        let right = waiting
            .get(trace)
            .is_some_and(|w| w.user_id == user_id && w.client_msg_id == client_msg_id);
        if !right {
            return false;
        }
        waiting
            .remove(trace)
            .is_some_and(|waiter| waiter.tell.send(answer).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Answer {
        Ok(DownstreamMessage {
            seq_id: 1,
            ..Default::default()
        })
    }

    #[test]
    fn an_answer_reaches_the_author_who_waits() {
        let waiters = Waiters::new(10);
        let mut ticket = waiters.enter("t", "7".into(), "c".into()).unwrap();
        assert!(
            !waiters.settle("t", "8", "c", answer()),
            "another user's answer"
        );
        assert!(
            !waiters.settle("t", "7", "d", answer()),
            "another message's answer"
        );
        assert!(waiters.settle("t", "7", "c", answer()));
        assert_eq!(ticket.answer.try_recv().unwrap().unwrap().seq_id, 1);
    }

    #[test]
    fn a_borrowed_trace_id_gets_a_place_of_its_own() {
        let waiters = Waiters::new(10);
        let first = waiters.enter("t", "7".into(), "c".into()).unwrap();
        let second = waiters.enter("t", "7".into(), "c".into()).unwrap();
        assert_ne!(first.trace, second.trace);
    }

    #[test]
    fn leaving_makes_room_and_too_many_are_refused() {
        let waiters = Waiters::new(1);
        let ticket = waiters.enter("t", "7".into(), "c".into()).unwrap();
        assert!(waiters.enter("u", "7".into(), "d".into()).is_err());
        drop(ticket);
        assert!(waiters.enter("u", "7".into(), "d".into()).is_ok());
    }
}
