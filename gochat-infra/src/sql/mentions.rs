//! What messages refer to, as it is stored: a column of the message, and rows of the users they
//! name.

use gochat_core::ids::{ConversationId, SeqId, UserId};
use gochat_core::message::{MessageType, Reply, excerpt};

use super::changes::Changed;
use super::text::json_array;
use crate::port::db::{NewMessage, SaveOutcome};

/// The `user_id` of a row that names everybody.
const EVERYBODY: i64 = 0;

/// A row of `mentions`: user or [`EVERYBODY`], conversation, position and author of the message.
pub(crate) type Mention = (i64, ConversationId, SeqId, UserId);

/// The column of a message; `None` when it refers to nothing.
pub(crate) fn column(message: &NewMessage) -> Option<String> {
    let references = message.references.as_deref()?;
    if references.is_empty() {
        return None;
    }
    // Strings and numbers always have a JSON form.
    serde_json::to_string(references).ok()
}

/// Rows for the messages that were stored now, in the order of the table. A message that was stored
/// before has had its rows, and may have lost them to a recall.
pub(crate) fn added(messages: &[NewMessage], outcomes: &[SaveOutcome]) -> Vec<Mention> {
    let all = messages.iter().zip(outcomes);
    let stored = all.filter(|(_, outcome)| **outcome == SaveOutcome::Stored);
    let mut added: Vec<Mention> = stored.flat_map(|(message, _)| named_by(message)).collect();
    added.sort_unstable();
    added
}

fn named_by(message: &NewMessage) -> Vec<Mention> {
    let (id, seq, author) = (message.conversation_id, message.seq_id, message.sender_id);
    let Some(references) = message.references.as_deref() else {
        return Vec::new();
    };
    if references.mention_all {
        return vec![(EVERYBODY, id, seq, author)];
    }
    let others = references.mentions.iter().filter(|user| **user != author);
    let mut named: Vec<Mention> = others
        .map(|user| (user.as_i64(), id, seq, author))
        .collect();
    named.sort_unstable();
    named.dedup();
    named
}

/// Places of the messages that are recalled after a batch: their rows are deleted.
pub(crate) fn erased(changed: &[Changed<'_>]) -> Vec<(ConversationId, SeqId)> {
    let recalled = changed.iter().filter(|row| row.stand.deleted);
    recalled
        .map(|row| (row.stand.conversation_id, row.stand.seq_id))
        .collect()
}

/// Places of messages that are answered, each once: a JSON array of `[seq, id]`.
pub(crate) fn places(replies: &[Reply]) -> String {
    let mut places: Vec<_> = replies.iter().map(|reply| (reply.seq, reply.id)).collect();
    places.sort_unstable();
    places.dedup();
    json_array(places.into_iter().map(|(seq, id)| format!("[{seq},{id}]")))
}

/// The excerpt of a message whose content begins so.
pub(crate) fn excerpt_of(message_type: i32, beginning: &str) -> String {
    let kind = MessageType::from_i32(message_type);
    kind.map_or("", |kind| excerpt(kind, beginning)).to_owned()
}

/// Leaves out the conversations without mentions.
pub(crate) fn found(
    read: &[(ConversationId, SeqId)],
    counts: Vec<u64>,
) -> Vec<(ConversationId, u64)> {
    let counted = read.iter().map(|(id, _)| *id).zip(counts);
    counted.filter(|(_, count)| *count > 0).collect()
}

#[cfg(test)]
mod tests {
    use gochat_core::ids::MessageId;
    use gochat_core::message::References;

    use super::*;

    fn user(n: u64) -> UserId {
        UserId::new(n).unwrap()
    }

    fn message(seq: SeqId, mentions: &[u64], mention_all: bool) -> NewMessage {
        let references = References {
            mentions: mentions.iter().copied().map(user).collect(),
            mention_all,
            ..References::default()
        };
        NewMessage {
            id: MessageId::new(seq).unwrap(),
            conversation_id: ConversationId::World,
            seq_id: seq,
            sender_id: user(1),
            message_type: 1,
            content: String::new(),
            client_msg_id: None,
            extra: None,
            created_at: 0,
            rev: seq,
            references: Some(Box::new(references)),
        }
    }

    #[test]
    fn rows_name_others_or_everybody_and_only_of_what_was_stored_now() {
        use SaveOutcome::{Conflict, Duplicate, Stored};
        let messages = [
            message(5, &[3, 1, 2], false),
            message(6, &[2, 3], true),
            message(7, &[], false),
            message(8, &[2], false),
            message(9, &[2], false),
        ];
        let outcomes = [Stored, Stored, Stored, Duplicate, Conflict];
        let rows = added(&messages, &outcomes);
        let rows: Vec<_> = rows.iter().map(|(user, _, seq, _)| (*user, *seq)).collect();
        assert_eq!(rows, [(EVERYBODY, 6), (2, 5), (3, 5)]);
        assert_eq!(column(&messages[2]), None);
        let stored = column(&messages[1]).unwrap();
        assert_eq!(stored, r#"{"mentions":["2","3"],"all":true}"#);
    }
}
