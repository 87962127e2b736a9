//! Storing messages: the hot path of the database.
//!
//! Per message one insert; per conversation and author of the *transaction* one upsert each. Every
//! refusal is an outcome; every error gives the whole transaction up.

use diesel::sqlite::SqliteConnection;
use gochat_core::ids::{ConversationId, ConversationKind, MessageId, SeqId, UnixMillis, UserId};
use hashbrown::HashMap;

use super::query::{binds, execute, first, json_ids, statements};
use crate::port::db::{DbResult, NewMessage, SaveOutcome};

statements! {
    Insert = "INSERT INTO messages (conversation_id, seq_id, id, sender_id, message_type, \
              created_at, updated_at, client_msg_id, content, extra) \
              VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING";
    IdAt = "SELECT id FROM messages WHERE conversation_id = ?1 AND seq_id = ?2";
    // `data_updated_at` is 0 when a message makes the row: nobody has edited it yet.
    Bump = "INSERT INTO conversations (id, type, last_seq_id, last_message_id, created_at, \
            updated_at, data_updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5, 0) \
            ON CONFLICT DO UPDATE SET last_seq_id = excluded.last_seq_id, \
            last_message_id = excluded.last_message_id, \
            updated_at = max(conversations.updated_at, excluded.updated_at) \
            WHERE excluded.last_seq_id > conversations.last_seq_id";
    ReadOwn = "INSERT INTO user_read_pointers \
            (user_id, conversation_id, last_read_seq_id, updated_at) VALUES (?1, ?2, ?3, ?4) \
            ON CONFLICT DO UPDATE SET last_read_seq_id = excluded.last_read_seq_id, \
            updated_at = max(user_read_pointers.updated_at, excluded.updated_at) \
            WHERE excluded.last_read_seq_id > user_read_pointers.last_read_seq_id";
    // Few chats are hidden at any time, and a partial index holds just those.
    ShowAgain = "UPDATE conversation_members SET hidden = 0, updated_at = max(updated_at, ?2) \
            WHERE hidden = 1 AND conversation_id IN (SELECT value FROM json_each(?1))";
}

/// What the messages of one transaction mean for their conversations: written once, however many
/// batches touched the same conversation.
#[derive(Default)]
pub(super) struct Pending {
    touched: Vec<Touched>,
    index: HashMap<ConversationId, usize, ahash::RandomState>,
    now: UnixMillis,
}

/// What they mean for one conversation.
struct Touched {
    id: ConversationId,
    text: String,
    head: SeqId,
    last: MessageId,
    /// Newest own seq per author.
    authors: HashMap<UserId, SeqId, ahash::RandomState>,
}

/// Stores the messages; heads and pointers follow with [`Pending::flush`].
pub(super) fn batch(
    conn: &mut SqliteConnection,
    messages: &[NewMessage],
    now: UnixMillis,
    pending: &mut Pending,
) -> DbResult<Vec<SaveOutcome>> {
    pending.now = pending.now.max(now);
    // In the order of the table: neighbours meet the same page while it is at hand. The sort is
    // stable, so of two claims to one place the first given still wins.
    let mut order: Vec<usize> = (0..messages.len()).collect();
    order.sort_by_key(|&at| (messages[at].conversation_id, messages[at].seq_id));
    let mut outcomes = vec![SaveOutcome::Stored; messages.len()];
    for at in order {
        let message = &messages[at];
        let touched = pending.of(message.conversation_id);
        outcomes[at] = insert(conn, &touched.text, message)?;
        if outcomes[at] != SaveOutcome::Conflict {
            touched.note(message);
        }
    }
    Ok(outcomes)
}

fn insert(
    conn: &mut SqliteConnection,
    conversation: &str,
    message: &NewMessage,
) -> DbResult<SaveOutcome> {
    let inserted = execute::<Insert>(
        conn,
        &binds![
            conversation,
            message.seq_id,
            message.id,
            message.sender_id,
            message.message_type,
            message.created_at,
            message.client_msg_id.as_ref(),
            &message.content,
            message.extra.as_ref(),
        ],
    )?;
    if inserted > 0 {
        return Ok(SaveOutcome::Stored);
    }
    let there: Option<MessageId> = first::<IdAt, _>(conn, &binds![conversation, message.seq_id])?;
    if there == Some(message.id) {
        return Ok(SaveOutcome::Duplicate);
    }
    metrics::counter!("gochat_db_message_conflicts_total").increment(1);
    tracing::error!(
        conversation,
        seq_id = message.seq_id,
        message_id = %message.id,
        stored = ?there,
        "two messages claim one place; the newcomer is refused"
    );
    Ok(SaveOutcome::Conflict)
}

impl Pending {
    fn of(&mut self, id: ConversationId) -> &mut Touched {
        let at = *self.index.entry(id).or_insert_with(|| {
            self.touched.push(Touched::new(id));
            self.touched.len() - 1
        });
        &mut self.touched[at]
    }

    /// Writes heads, pointers and hidden chats, and forgets them.
    pub(super) fn flush(&mut self, conn: &mut SqliteConnection) -> DbResult<()> {
        let Self {
            mut touched, now, ..
        } = std::mem::take(self);
        touched.retain(|conversation| conversation.head > 0);
        touched.sort_unstable_by_key(|conversation| conversation.id);
        if touched.is_empty() {
            return Ok(());
        }
        for conversation in &touched {
            conversation.write(conn, now)?;
        }
        let singles = touched
            .iter()
            .filter(|c| c.id.kind() == ConversationKind::Single);
        let singles = json_ids(singles.map(|c| c.id));
        execute::<ShowAgain>(conn, &binds![&singles, now]).map(|_| ())
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

    fn note(&mut self, message: &NewMessage) {
        if message.seq_id > self.head {
            self.head = message.seq_id;
            self.last = message.id;
        }
        let own = self.authors.entry(message.sender_id).or_default();
        *own = (*own).max(message.seq_id);
    }

    fn write(&self, conn: &mut SqliteConnection, now: UnixMillis) -> DbResult<()> {
        let kind = self.id.kind() as i32;
        execute::<Bump>(conn, &binds![&self.text, kind, self.head, self.last, now])?;
        for (author, seq) in &self.authors {
            execute::<ReadOwn>(conn, &binds![*author, &self.text, *seq, now])?;
        }
        Ok(())
    }
}
