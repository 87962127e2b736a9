//! Read pointers: forward only, never beyond the head.

use gochat_core::error::ErrorCode;
use gochat_core::ids::{ConversationId, SeqId, UnixMillis, UserId};
use gochat_core::receipt::MemberPointer;

use super::own_states;
use super::query::{At, Conn, binds, execute, first, rows, statements};
use crate::port::db::{DbError, DbResult, ReadOutcome};

statements! {
    Head = "SELECT c.last_seq_id, COALESCE(s.marked_unread, 0) FROM conversations c \
            LEFT JOIN conversation_states s ON s.user_id = ?1 AND s.conversation_id = c.id \
            WHERE c.id = ?2";
    // The pointer's row is held until the end, so what was there before is exact.
    Standing = "SELECT last_read_seq_id FROM user_read_pointers \
                WHERE user_id = ?1 AND conversation_id = ?2 FOR UPDATE";
    Begin = "INSERT INTO user_read_pointers (user_id, conversation_id, last_read_seq_id, updated_at) \
             VALUES (?1, ?2, 0, ?3) ON DUPLICATE KEY UPDATE last_read_seq_id = last_read_seq_id";
    Advance = "UPDATE user_read_pointers SET last_read_seq_id = ?3, \
               updated_at = GREATEST(updated_at, ?4) \
               WHERE user_id = ?1 AND conversation_id = ?2 AND last_read_seq_id < ?3";
    Get = "SELECT last_read_seq_id, updated_at FROM user_read_pointers \
           WHERE user_id = ?1 AND conversation_id = ?2";
    OfMembers = "SELECT m.user_id, m.joined_at, p.last_read_seq_id, p.updated_at \
                 FROM conversation_members m STRAIGHT_JOIN user_read_pointers p \
                      ON p.user_id = m.user_id AND p.conversation_id = m.conversation_id \
                 WHERE m.conversation_id = ?1 ORDER BY m.user_id LIMIT ?2";
}

pub(super) async fn advance(
    conn: &mut Conn,
    &(user, conversation, seq, now): &(UserId, ConversationId, SeqId, UnixMillis),
) -> DbResult<ReadOutcome> {
    let (head, is_marked): (SeqId, bool) = first::<Head, _>(conn, &binds![user, conversation])
        .await?
        .ok_or_else(|| DbError::not_found(ErrorCode::ConversationNotFound))?;
    let mut stored: Option<SeqId> = first::<Standing, _>(conn, &binds![user, conversation]).await?;
    if stored.is_none() {
        // The first pointer is written even at 0: it marks that the user opened the conversation.
        execute::<Begin>(conn, &binds![user, conversation, At(now)]).await?;
        stored = first::<Standing, _>(conn, &binds![user, conversation]).await?;
    }
    let previous = stored.unwrap_or(0);
    let wanted = if seq == 0 { head } else { seq.min(head) };
    let pointer = wanted.max(previous);
    if pointer > previous {
        execute::<Advance>(conn, &binds![user, conversation, pointer, At(now)]).await?;
    }
    let place = (user, conversation);
    let unmarked = is_marked && own_states::read(conn, &place, now).await?;
    // Another batch may have moved the pointer past the head that was read above.
    let head = head.max(pointer);
    Ok(ReadOutcome {
        previous,
        pointer,
        head,
        unread: head - pointer,
        changed: pointer > previous,
        unmarked,
    })
}

pub(super) async fn get(
    conn: &mut Conn,
    &(user, conversation): &(UserId, ConversationId),
) -> DbResult<Option<(SeqId, UnixMillis)>> {
    first::<Get, _>(conn, &binds![user, conversation]).await
}

pub(super) async fn of_members(
    conn: &mut Conn,
    &(conversation, limit): &(ConversationId, u32),
) -> DbResult<Vec<MemberPointer>> {
    rows::<OfMembers, _>(conn, &binds![conversation, limit]).await
}
