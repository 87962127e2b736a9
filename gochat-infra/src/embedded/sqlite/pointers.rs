//! Read pointers: forward only, never beyond the head.

use diesel::sqlite::SqliteConnection;
use gochat_core::error::ErrorCode;
use gochat_core::ids::{ConversationId, SeqId, UnixMillis, UserId};
use gochat_core::receipt::MemberPointer;

use super::own_states;
use super::query::{binds, execute, first, rows, statements};
use crate::port::db::{DbError, DbResult, ReadOutcome};

statements! {
    Standing = "SELECT c.last_seq_id, coalesce(s.marked_unread, 0), p.last_read_seq_id \
                FROM conversations c \
                LEFT JOIN user_read_pointers p ON p.user_id = ?1 AND p.conversation_id = c.id \
                LEFT JOIN conversation_states s ON s.user_id = ?1 AND s.conversation_id = c.id \
                WHERE c.id = ?2";
    Advance = "INSERT INTO user_read_pointers \
               (user_id, conversation_id, last_read_seq_id, updated_at) VALUES (?1, ?2, ?3, ?4) \
               ON CONFLICT DO UPDATE SET last_read_seq_id = excluded.last_read_seq_id, \
               updated_at = max(user_read_pointers.updated_at, excluded.updated_at) \
               WHERE excluded.last_read_seq_id > user_read_pointers.last_read_seq_id";
    Get = "SELECT last_read_seq_id, updated_at FROM user_read_pointers \
           WHERE user_id = ?1 AND conversation_id = ?2";
    OfMembers = "SELECT m.user_id, m.joined_at, p.last_read_seq_id, p.updated_at \
                 FROM conversation_members m CROSS JOIN user_read_pointers p \
                      ON p.user_id = m.user_id AND p.conversation_id = m.conversation_id \
                 WHERE m.conversation_id = ?1 ORDER BY m.user_id LIMIT 0 + ?2";
}

pub(super) fn advance(
    conn: &mut SqliteConnection,
    user: UserId,
    conversation: ConversationId,
    seq: SeqId,
    now: UnixMillis,
) -> DbResult<ReadOutcome> {
    let (head, is_marked, stored): (SeqId, bool, Option<SeqId>) =
        first::<Standing, _>(conn, &binds![user, conversation])?
            .ok_or_else(|| DbError::not_found(ErrorCode::ConversationNotFound))?;
    let previous = stored.unwrap_or(0);
    let wanted = if seq == 0 { head } else { seq.min(head) };
    let pointer = wanted.max(previous);
    // The first pointer is written even at 0: it marks that the user opened the conversation.
    if pointer > previous || stored.is_none() {
        execute::<Advance>(conn, &binds![user, conversation, pointer, now])?;
    }
    let unmarked = is_marked && own_states::read(conn, user, conversation, now)?;
    Ok(ReadOutcome {
        previous,
        pointer,
        head,
        unread: head.saturating_sub(pointer),
        changed: pointer > previous,
        unmarked,
    })
}

pub(super) fn get(
    conn: &mut SqliteConnection,
    user: UserId,
    conversation: ConversationId,
) -> DbResult<Option<(SeqId, UnixMillis)>> {
    first::<Get, _>(conn, &binds![user, conversation])
}

pub(super) fn of_members(
    conn: &mut SqliteConnection,
    conversation: ConversationId,
    limit: u32,
) -> DbResult<Vec<MemberPointer>> {
    rows::<OfMembers, _>(conn, &binds![conversation, limit])
}
