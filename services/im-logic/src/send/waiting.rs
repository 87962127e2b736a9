//! Calls that wait for their answer, by trace id.

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_proto::mq::v1::DownstreamMessage;
use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// A bounded table of waiting calls.
pub(super) struct Waiting {
    calls: Mutex<HashMap<String, oneshot::Sender<DownstreamMessage>>>,
    most: usize,
}

/// A place in the table; dropping it frees the place.
pub(super) struct Answer<'a> {
    waiting: &'a Waiting,
    trace_id: &'a str,
    receiver: Option<oneshot::Receiver<DownstreamMessage>>,
}

impl Waiting {
    pub(super) fn new(most: usize) -> Self {
        Self {
            calls: Mutex::default(),
            most,
        }
    }

    pub(super) fn is_taken(&self, trace_id: &str) -> bool {
        self.calls.lock().contains_key(trace_id)
    }

    /// A place for a call; must be taken before the message is produced.
    ///
    /// # Errors
    /// `SERVICE_UNAVAILABLE` when the table is full or the id was taken a moment ago.
    pub(super) fn register<'a>(&'a self, trace_id: &'a str) -> Result<Answer<'a>> {
        let mut calls = self.calls.lock();
        if calls.len() >= self.most || calls.contains_key(trace_id) {
            return Err(Error::new(
                ErrorCode::ServiceUnavailable,
                "Too many messages wait for their ack; try again.",
            ));
        }
        let (sender, receiver) = oneshot::channel();
        calls.insert(trace_id.to_owned(), sender);
        Ok(Answer {
            waiting: self,
            trace_id,
            receiver: Some(receiver),
        })
    }

    /// Hands an answer to its call; nobody waits for one that comes too late.
    pub(super) fn answer(&self, answer: DownstreamMessage) {
        let trace_id = answer
            .origin
            .as_ref()
            .map_or(&answer.trace_id, |origin| &origin.trace_id);
        let call = self.calls.lock().remove(trace_id.as_str());
        match call {
            Some(call) => drop(call.send(answer)),
            None => metrics::counter!("gochat_logic_late_acks_total").increment(1),
        }
    }
}

impl Answer<'_> {
    /// The answer.
    ///
    /// # Errors
    /// `SERVICE_UNAVAILABLE` when the reader of answers is gone.
    pub(super) async fn wait(mut self) -> Result<DownstreamMessage> {
        let gone = || Error::from(ErrorCode::ServiceUnavailable);
        let receiver = self.receiver.take().ok_or_else(gone)?;
        receiver.await.map_err(|_| gone())
    }
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        self.waiting.calls.lock().remove(self.trace_id);
    }
}

#[cfg(test)]
mod tests {
    use gochat_proto::mq::v1::Origin;

    use super::*;

    fn ack(trace_id: &str) -> DownstreamMessage {
        let origin = Some(Origin {
            trace_id: trace_id.into(),
            ..Default::default()
        });
        DownstreamMessage {
            seq_id: 4,
            origin,
            ..Default::default()
        }
    }

    #[tokio::test]
    async fn an_answer_finds_its_call_and_a_late_one_is_dropped() {
        let waiting = Waiting::new(10);
        let call = waiting.register("t-1").unwrap();
        waiting.answer(ack("t-2"));
        waiting.answer(ack("t-1"));
        assert_eq!(call.wait().await.unwrap().seq_id, 4);
        waiting.answer(ack("t-1"));
    }

    #[test]
    fn the_table_is_bounded_and_a_place_is_freed_by_dropping_it() {
        let waiting = Waiting::new(1);
        let call = waiting.register("t-1").unwrap();
        assert!(waiting.register("t-2").is_err());
        drop(call);
        assert!(waiting.register("t-2").is_ok());
        assert!(!waiting.is_taken("t-1"));
    }
}
