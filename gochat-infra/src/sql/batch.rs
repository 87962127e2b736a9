//! What a batch of messages and changes means for its conversations.

use gochat_core::ids::{ConversationId, MessageId, Rev, SeqId, UnixMillis, UserId};
use gochat_core::message::{MessageType, SystemMessage};
use hashbrown::{HashMap, HashSet};

use crate::port::db::{NewChange, NewMessage, SaveOutcome};

/// What the messages and changes of one transaction mean for their conversations: written once, however many
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
    /// Newest seq that was stored or changed.
    pub(crate) head: SeqId,
    /// Its message.
    pub(crate) last: MessageId,
    /// Newest number over messages and changes.
    pub(crate) rev: Rev,
    /// It got changes of messages.
    pub(crate) is_changed: bool,
    /// Its pins are to be counted.
    pub(crate) moves_pins: bool,
    /// Newest own seq per author.
    pub(crate) authors: HashMap<UserId, SeqId, ahash::RandomState>,
    /// System messages and their authors: they have read their own where they had read all before.
    pub(crate) told: Vec<(UserId, SeqId)>,
    /// System messages that changes of this batch owe, and their authors.
    pub(crate) owed: Vec<(UserId, SystemMessage)>,
    has_messages: bool,
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
        for conversation in &mut touched {
            conversation.told.sort_unstable_by_key(|(_, seq)| *seq);
        }
        (touched, now)
    }
}

/// Whether the message tells what its author did to a group that is there: who did it may have read
/// nothing of what stands before, and may be no member any more.
fn tells(message: &NewMessage) -> bool {
    let created = |message| matches!(message, SystemMessage::Created { .. });
    message.message_type == MessageType::System.as_i32()
        && !SystemMessage::parse(&message.content).is_some_and(created)
}

impl Touched {
    fn new(id: ConversationId) -> Self {
        Self {
            id,
            text: id.to_string(),
            head: 0,
            last: MessageId::default(),
            rev: 0,
            is_changed: false,
            moves_pins: false,
            authors: HashMap::default(),
            told: Vec::new(),
            owed: Vec::new(),
            has_messages: false,
        }
    }

    /// A message that is stored under this `rev`.
    pub(crate) fn note(&mut self, message: &NewMessage, rev: Rev) {
        self.move_to(message.seq_id, message.id, rev.max(message.seq_id));
        self.has_messages = true;
        if tells(message) {
            self.told.push((message.sender_id, message.seq_id));
        } else {
            let own = self.authors.entry(message.sender_id).or_default();
            *own = (*own).max(message.seq_id);
        }
    }

    /// A change that was stored now.
    pub(crate) fn note_change(&mut self, change: &NewChange) {
        self.is_changed = true;
        if change.tells {
            let pinned = SystemMessage::Pinned {
                message_id: change.message_id,
                seq_id: change.seq_id,
            };
            self.owed.push((change.sender_id, pinned));
        }
        self.move_to(change.seq_id, change.message_id, change.rev);
    }

    fn move_to(&mut self, seq: SeqId, message: MessageId, rev: Rev) {
        if seq > self.head {
            (self.head, self.last) = (seq, message);
        }
        self.rev = self.rev.max(rev);
    }

    /// Whether it got messages, and not only changes.
    pub(crate) fn has_messages(&self) -> bool {
        self.has_messages
    }
}

/// Stored messages that came without a `rev`, in the order of the table.
pub(crate) fn unnumbered(messages: &[NewMessage], outcomes: &[SaveOutcome]) -> Vec<usize> {
    let is_wanted = |at: &usize| messages[*at].rev == 0 && outcomes[*at] == SaveOutcome::Stored;
    let mut wanted = order(messages);
    wanted.retain(is_wanted);
    wanted
}

/// Numbers for the [`unnumbered`] messages: for each the first one behind the message before it
/// that nothing of the batch has. `heads` are the newest numbers before the batch.
pub(crate) fn number(
    messages: &[NewMessage],
    unnumbered: Vec<usize>,
    changes: &[NewChange],
    mut heads: HashMap<ConversationId, Rev>,
) -> Vec<(usize, Rev)> {
    let of_messages = messages.iter().map(|m| (m.conversation_id, m.rev));
    let of_changes = changes.iter().map(|c| (c.conversation_id, c.rev));
    let taken: HashSet<(ConversationId, Rev)> = of_messages.chain(of_changes).collect();
    let next = |at: usize| {
        let id = messages[at].conversation_id;
        let head = heads.entry(id).or_default();
        *head += 1;
        while taken.contains(&(id, *head)) {
            *head += 1;
        }
        (at, *head)
    };
    unnumbered.into_iter().map(next).collect()
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

/// Counts and logs that a change is about a message that isn't stored: the sequencer must never let
/// that happen.
pub(crate) fn alert_missing(change: &NewChange) {
    metrics::counter!("gochat_db_message_conflicts_total", "kind" => "missing").increment(1);
    tracing::error!(
        conversation = %change.conversation_id,
        rev = change.rev,
        seq_id = change.seq_id,
        message_id = %change.message_id,
        "a change is about a message that is not stored; it is refused"
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

#[cfg(test)]
mod tests {
    use gochat_core::message::{ChangeKind, Tally};

    use super::*;

    fn message(seq: SeqId, rev: Rev) -> NewMessage {
        NewMessage {
            id: MessageId::new(seq).unwrap(),
            conversation_id: ConversationId::World,
            seq_id: seq,
            sender_id: UserId::new(1).unwrap(),
            message_type: 1,
            content: String::new(),
            client_msg_id: None,
            extra: None,
            created_at: 0,
            rev,
            references: None,
        }
    }

    fn change(rev: Rev) -> NewChange {
        NewChange {
            conversation_id: ConversationId::World,
            rev,
            kind: ChangeKind::Recall,
            message_id: MessageId::new(1).unwrap(),
            seq_id: 1,
            sender_id: UserId::new(1).unwrap(),
            client_msg_id: None,
            content: String::new(),
            extra: None,
            edit_count: 0,
            keeps_former: false,
            tells: false,
            pinned: false,
            reactions: Tally::default(),
            created_at: 0,
        }
    }

    fn numbers(messages: &[NewMessage], changes: &[NewChange], head: Rev) -> Vec<(usize, Rev)> {
        let stored = vec![SaveOutcome::Stored; messages.len()];
        let heads = HashMap::from([(ConversationId::World, head)]);
        number(messages, unnumbered(messages, &stored), changes, heads)
    }

    #[test]
    fn messages_without_a_number_get_those_that_are_free() {
        let plain = [message(5, 0), message(4, 0)];
        assert_eq!(numbers(&plain, &[], 3), [(1, 4), (0, 5)]);
        assert_eq!(numbers(&plain, &[], 9), [(1, 10), (0, 11)]);
        // A sequencer that numbers takes over, or was there before.
        let before = [message(4, 0), message(5, 5)];
        assert_eq!(numbers(&before, &[change(6)], 3), [(0, 4)]);
        let behind = [message(4, 4), message(5, 0)];
        assert_eq!(numbers(&behind, &[change(5), change(6)], 3), [(1, 7)]);
    }
}
