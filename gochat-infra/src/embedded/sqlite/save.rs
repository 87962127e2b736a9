//! Storing messages: the hot path of the database.
//!
//! Per message one insert; per conversation and author of the *transaction* one upsert each.
//! Changes of messages follow the messages. Every refusal is an outcome; every error gives the whole transaction up.

use std::time::{Duration, Instant};

use diesel::sqlite::SqliteConnection;
use gochat_core::ids::{ConversationId, ConversationKind, Rev, UnixMillis};
use hashbrown::HashMap;

use super::owed_messages::owe;
use super::query::{binds, execute, first, json_ids, statements};
use super::{changes, mentions, reactions};
use crate::port::db::{DbError, DbResult, NewChange, NewMessage, SaveOutcome};
use crate::sql::batch::{self, Pending, Touched};
use crate::sql::mentions::column;
use crate::sql::row::columns;

statements! {
    Insert = "INSERT INTO messages (conversation_id, seq_id, id, sender_id, message_type, \
              created_at, updated_at, client_msg_id, content, extra, rev, changed_rev, refs) \
              VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8, ?9, ?10, ?10, ?11) ON CONFLICT DO NOTHING";
    // The id stands under another place: the message keeps it, told apart by the number of the
    // copy.
    InsertCopy = "INSERT INTO messages (conversation_id, seq_id, id, sender_id, message_type, \
              created_at, updated_at, client_msg_id, content, extra, rev, changed_rev, refs, id_copy) \
              SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8, ?9, ?10, ?10, ?11, max(id_copy) + 1 \
              FROM messages WHERE id = ?3 HAVING count(*) > 0";
    IdAt = "SELECT id FROM messages WHERE conversation_id = ?1 AND seq_id = ?2";
    HeadRev = concat!(
        "SELECT ", columns!(last_rev "c"), " FROM conversations c WHERE c.id = ?1"
    );
    Number = "UPDATE messages SET rev = ?3, changed_rev = ?3 \
              WHERE conversation_id = ?1 AND seq_id = ?2";
    // `data_updated_at` is 0 when a message makes the row: nobody has edited it yet. Every change is
    // news of a sync by `changed_at`; only one of the newest message, which the list shows, is
    // activity.
    Bump = "INSERT INTO conversations (id, type, last_seq_id, last_message_id, created_at, \
            updated_at, data_updated_at, last_rev, changed_at) \
            VALUES (?1, ?2, ?3, ?4, ?5, ?5, 0, ?6, ?7) \
            ON CONFLICT DO UPDATE SET last_seq_id = max(last_seq_id, excluded.last_seq_id), \
            last_message_id = iif(excluded.last_seq_id > last_seq_id, \
                excluded.last_message_id, last_message_id), \
            updated_at = iif(excluded.last_seq_id >= last_seq_id, \
                max(updated_at, excluded.updated_at), updated_at), \
            last_rev = max(last_rev, excluded.last_rev), \
            changed_at = max(changed_at, excluded.changed_at) \
            WHERE excluded.last_seq_id > last_seq_id \
                OR excluded.last_rev > max(last_rev, last_seq_id)";
    ReadOwn = "INSERT INTO user_read_pointers \
            (user_id, conversation_id, last_read_seq_id, updated_at) VALUES (?1, ?2, ?3, ?4) \
            ON CONFLICT DO UPDATE SET last_read_seq_id = excluded.last_read_seq_id, \
            updated_at = max(user_read_pointers.updated_at, excluded.updated_at) \
            WHERE excluded.last_read_seq_id > user_read_pointers.last_read_seq_id";
    ReadNext = "UPDATE user_read_pointers SET last_read_seq_id = ?3, \
                updated_at = max(updated_at, ?4) \
                WHERE user_id = ?1 AND conversation_id = ?2 AND last_read_seq_id = ?3 - 1";
    // Few chats are hidden at any time, and a partial index holds just those.
    ShowAgain = "UPDATE conversation_members SET hidden = 0, updated_at = max(updated_at, ?2) \
            WHERE hidden = 1 AND conversation_id IN (SELECT value FROM json_each(?1))";
}

/// Stores the messages, then the changes; heads and pointers follow with [`flush`].
pub(super) fn store(
    conn: &mut SqliteConnection,
    messages: &[NewMessage],
    changes: &[NewChange],
    now: UnixMillis,
    pending: &mut Pending,
) -> DbResult<Vec<SaveOutcome>> {
    pending.at(now);
    let mut turn = Turn::begin();
    let mut outcomes = vec![SaveOutcome::Stored; messages.len()];
    for at in batch::order(messages) {
        let message = &messages[at];
        let touched = pending.of(message.conversation_id);
        outcomes[at] = insert(conn, &touched.text, message)?;
        turn.give_way();
    }
    mentions::insert(conn, messages, &outcomes)?;
    turn.give_way();
    let numbered = number(conn, messages, changes, &outcomes, pending)?;
    for (at, message) in messages.iter().enumerate() {
        if outcomes[at] != SaveOutcome::Conflict {
            let rev = numbered.get(&at).copied().unwrap_or(message.rev);
            pending.of(message.conversation_id).note(message, rev);
        }
    }
    if !changes.is_empty() {
        outcomes.extend(changes::store(conn, changes, pending, || turn.give_way())?);
    }
    Ok(outcomes)
}

/// Gives numbers to stored messages that came without one; returns the number of each.
fn number(
    conn: &mut SqliteConnection,
    messages: &[NewMessage],
    changes: &[NewChange],
    outcomes: &[SaveOutcome],
    pending: &mut Pending,
) -> DbResult<HashMap<usize, Rev>> {
    let wanted = batch::unnumbered(messages, outcomes);
    let mut heads: HashMap<ConversationId, Rev> = HashMap::new();
    for &at in &wanted {
        let id = messages[at].conversation_id;
        if !heads.contains_key(&id) {
            let touched = pending.of(id);
            let stored: Option<Rev> = first::<HeadRev, _>(conn, &binds![&touched.text])?;
            heads.insert(id, touched.rev.max(stored.unwrap_or(0)));
        }
    }
    let numbered = batch::number(messages, wanted, changes, heads);
    for &(at, rev) in &numbered {
        let message = &messages[at];
        // No number stands for the seq.
        if rev != message.seq_id {
            let binds = binds![message.conversation_id, message.seq_id, rev];
            execute::<Number>(conn, &binds)?;
        }
    }
    Ok(numbered.into_iter().collect())
}

/// Longest time for which the writer works without giving way to other threads.
const TURN: Duration = Duration::from_millis(1);

/// The time that the writer has worked without a pause. A scheduler that lets a running thread
/// finish its slice would else hold up deliveries for 4 ms on a busy core, however low the priority
/// of the writer.
struct Turn(Instant);

impl Turn {
    fn begin() -> Self {
        Self(Instant::now())
    }

    /// Lets threads that wait for this core go first, once a millisecond.
    fn give_way(&mut self) {
        if self.0.elapsed() >= TURN {
            std::thread::yield_now();
            *self = Self::begin();
        }
    }
}

fn insert(
    conn: &mut SqliteConnection,
    conversation: &str,
    message: &NewMessage,
) -> DbResult<SaveOutcome> {
    let values = binds![
        conversation,
        message.seq_id,
        message.id,
        message.sender_id,
        message.message_type,
        message.created_at,
        message.client_msg_id.as_ref(),
        &message.content,
        message.extra.as_ref(),
        message.rev,
        column(message),
    ];
    if execute::<Insert>(conn, &values)? > 0 {
        return Ok(SaveOutcome::Stored);
    }
    match first::<IdAt, _>(conn, &binds![conversation, message.seq_id])? {
        Some(id) if id == message.id => Ok(SaveOutcome::Duplicate),
        Some(id) => {
            batch::alert_place(message, id);
            Ok(SaveOutcome::Conflict)
        }
        None => {
            batch::alert_id(message);
            match execute::<InsertCopy>(conn, &values)? {
                0 => Err(DbError::internal(
                    "a message without a conflict was not stored",
                )),
                _ => Ok(SaveOutcome::Stored),
            }
        }
    }
}

/// Writes heads, pointers and hidden chats, and forgets them.
pub(super) fn flush(conn: &mut SqliteConnection, pending: &mut Pending) -> DbResult<()> {
    let (touched, now) = pending.take();
    if touched.is_empty() {
        return Ok(());
    }
    let mut turn = Turn::begin();
    for conversation in &touched {
        write(conn, conversation, now)?;
        turn.give_way();
    }
    let singles = touched
        .iter()
        .filter(|c| c.id.kind() == ConversationKind::Single && c.has_messages());
    let singles = json_ids(singles.map(|c| c.id));
    execute::<ShowAgain>(conn, &binds![&singles, now]).map(|_| ())
}

fn write(conn: &mut SqliteConnection, touched: &Touched, now: UnixMillis) -> DbResult<()> {
    let kind = touched.id.kind() as i32;
    execute::<Bump>(
        conn,
        &binds![
            &touched.text,
            kind,
            touched.head,
            touched.last,
            now,
            touched.rev,
            if touched.is_changed { now } else { 0 }
        ],
    )?;
    if touched.moves_pins {
        reactions::count_pins(conn, touched.id)?;
    }
    for (author, seq) in &touched.authors {
        execute::<ReadOwn>(conn, &binds![*author, &touched.text, *seq, now])?;
    }
    for (author, seq) in &touched.told {
        execute::<ReadNext>(conn, &binds![*author, &touched.text, *seq, now])?;
    }
    owe(conn, touched.id, &touched.owed, now)?;
    Ok(())
}
