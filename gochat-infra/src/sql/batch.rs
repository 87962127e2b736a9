//! What a batch of messages means for its conversations.

use gochat_core::ids::{ConversationId, MessageId, SeqId, UnixMillis, UserId};
use hashbrown::HashMap;

use crate::port::db::NewMessage;

/// What the messages of one transaction mean for their conversations: written once, however many
/// batches touched the same conversation.
#[derive(Default)]
pub(crate) struct Pending {
    touched: Vec<Touched>,
    index: HashMap<ConversationId, usize, ahash::RandomState>,
    now: UnixMillis,
}

/// What they mean for one conversation.
pub(crate) struct Touched {
    pub(crate) id: ConversationId,
    /// The id as text.
    pub(crate) text: String,
    /// Newest seq.
    pub(crate) head: SeqId,
    /// Its message.
    pub(crate) last: MessageId,
    /// Newest own seq per author.
    pub(crate) authors: HashMap<UserId, SeqId, ahash::RandomState>,
}

impl Pending {
    /// A batch written at `now` follows.
    pub(crate) fn at(&mut self, now: UnixMillis) {
        self.now = self.now.max(now);
    }

    /// What is known of a conversation so far.
    pub(crate) fn of(&mut self, id: ConversationId) -> &mut Touched {
        let at = *self.index.entry(id).or_insert_with(|| {
            self.touched.push(Touched::new(id));
            self.touched.len() - 1
        });
        &mut self.touched[at]
    }

    /// Takes out the conversations that got messages, in the order every transaction writes them,
    /// and the time to stamp them with.
    pub(crate) fn take(&mut self) -> (Vec<Touched>, UnixMillis) {
        let Self {
            mut touched, now, ..
        } = std::mem::take(self);
        touched.retain(|conversation| conversation.head > 0);
        touched.sort_unstable_by_key(|conversation| conversation.id);
        (touched, now)
    }
}

impl Touched {
    fn new(id: ConversationId) -> Self {
        Self {
            id,
            text: id.to_string(),
            head: 0,
            last: MessageId::default(),
            authors: HashMap::default(),
        }
    }

    /// A message that is stored.
    pub(crate) fn note(&mut self, message: &NewMessage) {
        if message.seq_id > self.head {
            self.head = message.seq_id;
            self.last = message.id;
        }
        let own = self.authors.entry(message.sender_id).or_default();
        *own = (*own).max(message.seq_id);
    }
}

/// The order of the table: neighbours meet the same page while it is at hand. The sort is stable,
/// so of two claims to one place the first given still wins.
pub(crate) fn order(messages: &[NewMessage]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..messages.len()).collect();
    order.sort_by_key(|&at| (messages[at].conversation_id, messages[at].seq_id));
    order
}

/// Counts and logs that two messages claim one place: the sequencer must never let that happen.
pub(crate) fn alert_place(message: &NewMessage, stored: MessageId) {
    metrics::counter!("gochat_db_message_conflicts_total", "kind" => "place").increment(1);
    tracing::error!(
        conversation = %message.conversation_id,
        seq_id = message.seq_id,
        message_id = %message.id,
        %stored,
        "two messages claim one place; the newcomer is refused"
    );
}

/// Counts and logs that two messages carry one id: two processes made ids under one instance
/// number, or the floor of ids was lost.
pub(crate) fn alert_id(message: &NewMessage) {
    metrics::counter!("gochat_db_message_conflicts_total", "kind" => "id").increment(1);
    tracing::error!(
        conversation = %message.conversation_id,
        seq_id = message.seq_id,
        message_id = %message.id,
        "two messages carry one id; the newcomer is stored under its place all the same"
    );
}
