//! Storing messages: the hot path of the database.
//!
//! Per message one insert; per conversation and author of the batch one upsert each. The batch is
//! its own all-or-nothing: every refusal is an outcome, every error gives the transaction up.

use diesel::sqlite::SqliteConnection;
use gochat_core::ids::{ConversationId, ConversationKind, MessageId, SeqId, UnixMillis, UserId};
use hashbrown::HashMap;

use super::query::{binds, execute, first, statements};
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
    ShowAgain = "UPDATE conversation_members SET hidden = 0, updated_at = ?2 \
            WHERE conversation_id = ?1 AND hidden = 1";
}

/// What a batch means for one conversation.
struct Touched {
    id: ConversationId,
    text: String,
    head: SeqId,
    last: MessageId,
    /// Newest own seq per author.
    authors: HashMap<UserId, SeqId, ahash::RandomState>,
}

pub(super) fn batch(
    conn: &mut SqliteConnection,
    messages: &[NewMessage],
    now: UnixMillis,
) -> DbResult<Vec<SaveOutcome>> {
    let mut touched: Vec<Touched> = Vec::new();
    let mut index: HashMap<ConversationId, usize, ahash::RandomState> = HashMap::default();
    let mut outcomes = Vec::with_capacity(messages.len());
    for message in messages {
        let at = *index.entry(message.conversation_id).or_insert_with(|| {
            touched.push(Touched::new(message.conversation_id));
            touched.len() - 1
        });
        let outcome = insert(conn, &touched[at].text, message)?;
        if outcome != SaveOutcome::Conflict {
            touched[at].note(message);
        }
        outcomes.push(outcome);
    }
    for conversation in &touched {
        conversation.write(conn, now)?;
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
        if self.head == 0 {
            return Ok(());
        }
        let kind = self.id.kind();
        execute::<Bump>(
            conn,
            &binds![&self.text, kind as i32, self.head, self.last, now],
        )?;
        for (author, seq) in &self.authors {
            execute::<ReadOwn>(conn, &binds![*author, &self.text, *seq, now])?;
        }
        if kind == ConversationKind::Single {
            execute::<ShowAgain>(conn, &binds![&self.text, now])?;
        }
        Ok(())
    }
}
