//! Messages that wait for their acknowledgement.

use std::collections::{BTreeMap, VecDeque};

use super::{Backoff, Millis, Outgoing};
use crate::error::{Error, ErrorCode};
use crate::ids::ConversationId;

/// Bounds and times of an [`Outbox`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxLimits {
    /// Most messages waiting.
    pub capacity: usize,
    /// Time without an answer after which a message is sent again.
    pub resend_after: Millis,
    /// Age at which a message is given up.
    pub give_up_after: Millis,
}

impl Default for OutboxLimits {
    /// 1,000 messages, resend after 5 s, give up after 12 h.
    fn default() -> Self {
        Self {
            capacity: 1000,
            resend_after: 5000,
            give_up_after: 12 * 3600 * 1000,
        }
    }
}

/// The outbox holds as many messages as it may; try again after some were acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many messages wait to be sent")]
pub struct OutboxFull;

/// The end of a message's wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The message that was waiting.
    pub message: Outgoing,
    /// `Err` when it was refused for good or given up.
    pub result: Result<(), Error>,
}

#[derive(Debug)]
struct Entry {
    message: Outgoing,
    since: Millis,
    /// When it is to be sent (again).
    due: Millis,
    /// Whether it was ever sent: nobody can acknowledge what never left.
    sent: bool,
    backoff: Backoff,
}

/// Messages that wait for their acknowledgement.
///
/// * A message keeps its client id through every repetition; the server sees one message.
/// * Per conversation one message is on its way at a time and the next one follows its
///   acknowledgement, so messages arrive in the order they were handed in even when one of
///   them has to be repeated. Conversations don't wait for each other.
/// * No answer within [`OutboxLimits::resend_after`]: sent again. A retryable refusal: sent
///   again after a back-off. A final refusal, or too long a time: given up, and said so.
/// * Repetitions say so ([`Outgoing::resend`]): the server then looks beyond the window in which it knows client ids
///   by heart, so a repetition can't double however many messages others sent meanwhile.
#[derive(Debug)]
pub struct Outbox {
    limits: OutboxLimits,
    lanes: BTreeMap<ConversationId, VecDeque<Entry>>,
    index: BTreeMap<String, ConversationId>,
    seed: u64,
}

impl Outbox {
    /// An empty outbox; `seed` spreads its retries.
    pub const fn new(limits: OutboxLimits, seed: u64) -> Self {
        Self {
            limits,
            lanes: BTreeMap::new(),
            index: BTreeMap::new(),
            seed,
        }
    }

    /// Messages waiting.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Puts a message at the end of its conversation's lane.
    ///
    /// A client id that is already waiting is taken for the same message and changes nothing.
    pub fn push(&mut self, message: Outgoing, now: Millis) -> Result<(), OutboxFull> {
        if self.index.contains_key(&message.client_msg_id) {
            return Ok(());
        }
        if self.index.len() >= self.limits.capacity {
            return Err(OutboxFull);
        }
        self.index
            .insert(message.client_msg_id.clone(), message.conversation_id);
        self.seed = self.seed.wrapping_add(1);
        let backoff = Backoff::reconnect(self.seed);
        let lane = self.lanes.entry(message.conversation_id).or_default();
        lane.push_back(Entry {
            message,
            since: now,
            due: now,
            sent: false,
            backoff,
        });
        Ok(())
    }

    /// The next message to put on the wire now; it counts as sent.
    pub fn poll_send(&mut self, now: Millis) -> Option<&Outgoing> {
        let heads = self.lanes.values_mut().filter_map(VecDeque::front_mut);
        let entry = heads
            .filter(|e| e.due <= now)
            .min_by_key(|e| (e.due, e.since))?;
        entry.due = now.saturating_add(self.limits.resend_after);
        entry.message.resend |= entry.sent;
        entry.sent = true;
        Some(&entry.message)
    }

    /// When [`poll_send`](Self::poll_send) or [`poll_expired`](Self::poll_expired) will next have something.
    pub fn poll_timeout(&self) -> Option<Millis> {
        let give_up = self.limits.give_up_after;
        self.heads()
            .map(|e| e.due.min(e.since.saturating_add(give_up)))
            .min()
    }

    /// When [`poll_expired`](Self::poll_expired) will next have something; what counts while nothing can be sent.
    pub fn poll_expiry(&self) -> Option<Millis> {
        let since = self.heads().map(|e| e.since).min()?;
        Some(since.saturating_add(self.limits.give_up_after))
    }

    /// Gives up one message that is too old.
    pub fn poll_expired(&mut self, now: Millis) -> Option<Settled> {
        let give_up = self.limits.give_up_after;
        let id = self
            .heads()
            .find(|e| e.since.saturating_add(give_up) <= now)?;
        let id = id.message.client_msg_id.clone();
        self.settle(&id, now, Err(ErrorCode::Timeout.into()))
    }

    /// An acknowledgement arrived. `None` when nothing waits under this id (a repeated ack).
    pub fn handle_ack(&mut self, client_msg_id: &str, now: Millis) -> Option<Settled> {
        self.sent(client_msg_id)
            .then(|| self.settle(client_msg_id, now, Ok(())))?
    }

    /// A refusal arrived: a retryable one delays the message, at least as long as it says; a final
    /// one ends its wait.
    pub fn handle_error(
        &mut self,
        client_msg_id: &str,
        error: Error,
        now: Millis,
    ) -> Option<Settled> {
        if !self.sent(client_msg_id) {
            return None;
        }
        if !error.is_retryable() {
            return self.settle(client_msg_id, now, Err(error));
        }
        let entry = self
            .lanes
            .get_mut(self.index.get(client_msg_id)?)?
            .front_mut()?;
        if entry.message.client_msg_id == client_msg_id {
            // The server may know better than the back-off when it takes the next one.
            let told = Millis::from(error.retry_after_ms);
            entry.due = now.saturating_add(entry.backoff.next_delay().max(told));
        }
        None
    }

    /// The connection is gone: what was on its way goes out again on the next one.
    pub fn handle_disconnected(&mut self, now: Millis) {
        for entry in self.lanes.values_mut().filter_map(VecDeque::front_mut) {
            entry.due = entry.due.min(now);
        }
    }

    /// Ends the wait of everything. What was sent may have arrived all the same.
    pub fn cancel_all(&mut self, now: Millis, error: &Error) -> Vec<Settled> {
        let ids: Vec<String> = self.index.keys().cloned().collect();
        ids.iter()
            .filter_map(|id| self.settle(id, now, Err(error.clone())))
            .collect()
    }

    fn heads(&self) -> impl Iterator<Item = &Entry> {
        self.lanes.values().filter_map(VecDeque::front)
    }

    fn sent(&self, client_msg_id: &str) -> bool {
        let lane = self
            .index
            .get(client_msg_id)
            .and_then(|c| self.lanes.get(c));
        lane.into_iter()
            .flatten()
            .any(|e| e.sent && e.message.client_msg_id == client_msg_id)
    }

    fn settle(&mut self, id: &str, now: Millis, result: Result<(), Error>) -> Option<Settled> {
        let conversation = self.index.remove(id)?;
        let lane = self.lanes.get_mut(&conversation)?;
        let at = lane.iter().position(|e| e.message.client_msg_id == id)?;
        let entry = lane.remove(at)?;
        match lane.front_mut() {
            // The next one was waiting for its turn, not for an answer.
            Some(next) if at == 0 => next.due = now,
            Some(_) => {}
            None => {
                self.lanes.remove(&conversation);
            }
        }
        Some(Settled {
            message: entry.message,
            result,
        })
    }
}
