//! Own states of users. Loads, lets `gochat_core::own_state` judge, and writes.

use async_trait::async_trait;
use diesel::sqlite::SqliteConnection;
use gochat_core::error::ErrorCode;
use gochat_core::ids::{ConversationId, MessageId, SeqId, UnixMillis, UserId};
use gochat_core::own_state::{OwnChange, OwnState};

use super::query::{binds, execute, first, json_array, one, rows, statements};
use super::{SqliteDatabase, pointers};
use crate::port::db::{ClearOutcome, DbError, DbResult, HiddenRow, OwnOutcome, OwnStateStore};
use crate::sql::groups::refused;
use crate::sql::row::columns;

statements! {
    Get = concat!(
        "SELECT ", columns!(own "st"), " FROM conversation_states st \
         WHERE st.user_id = ?1 AND st.conversation_id = ?2"
    );
    IsMember = "SELECT 1 FROM conversation_members WHERE user_id = ?1 AND conversation_id = ?2";
    CountPinned = "SELECT count(*) FROM conversation_states WHERE user_id = ?1 AND pinned = 1";
    Put = "INSERT INTO conversation_states (user_id, conversation_id, version, mute_until, pinned, \
           archived, marked_unread, draft, cleared_up_to, hidden_count, updated_at) \
           VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) \
           ON CONFLICT DO UPDATE SET version = excluded.version, \
           mute_until = excluded.mute_until, pinned = excluded.pinned, \
           archived = excluded.archived, marked_unread = excluded.marked_unread, \
           draft = excluded.draft, cleared_up_to = excluded.cleared_up_to, \
           hidden_count = excluded.hidden_count, \
           updated_at = max(conversation_states.updated_at, excluded.updated_at)";
    IsHidden = "SELECT 1 FROM hidden_messages \
                WHERE user_id = ?1 AND conversation_id = ?2 AND seq_id = ?3";
    Hide = "INSERT INTO hidden_messages (user_id, conversation_id, seq_id, message_id, version) \
            VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET version = excluded.version";
    Forget = "DELETE FROM hidden_messages \
              WHERE user_id = ?1 AND conversation_id = ?2 AND seq_id <= ?3";
    Among = "SELECT h.seq_id FROM hidden_messages h WHERE h.user_id = ?1 \
             AND h.conversation_id = ?2 AND h.seq_id IN (SELECT value FROM json_each(?3)) \
             ORDER BY h.seq_id";
    HiddenAfter = "SELECT seq_id, message_id, version FROM hidden_messages \
                   WHERE user_id = ?1 AND conversation_id = ?2 AND version > ?3 \
                   ORDER BY version LIMIT 0 + ?4";
}

fn get(
    conn: &mut SqliteConnection,
    user: UserId,
    conversation: ConversationId,
) -> DbResult<OwnState> {
    let stored = first::<Get, _>(conn, &binds![user, conversation])?;
    Ok(stored.unwrap_or_default())
}

fn put(
    conn: &mut SqliteConnection,
    user: UserId,
    conversation: ConversationId,
    state: &OwnState,
    now: UnixMillis,
) -> DbResult<()> {
    let binds = binds![
        user,
        conversation,
        state.version,
        state.mute_until,
        state.is_pinned,
        state.is_archived,
        state.is_marked_unread,
        &state.draft,
        state.cleared_up_to,
        state.hidden_count,
        now
    ];
    execute::<Put>(conn, &binds).map(drop)
}

/// Refuses strangers. Everybody is in the world chat.
fn is_member(
    conn: &mut SqliteConnection,
    user: UserId,
    conversation: ConversationId,
) -> DbResult<()> {
    if conversation != ConversationId::World {
        let member: Option<i64> = first::<IsMember, _>(conn, &binds![user, conversation])?;
        member.ok_or_else(|| DbError::not_found(ErrorCode::NotConversationMember))?;
    }
    Ok(())
}

fn change(
    conn: &mut SqliteConnection,
    user: UserId,
    conversation: ConversationId,
    change: &OwnChange,
    now: UnixMillis,
) -> DbResult<OwnOutcome> {
    is_member(conn, user, conversation)?;
    let pinned: u32 = one::<CountPinned, _>(conn, &binds![user])?;
    let state = get(conn, user, conversation)?;
    let next = state.merged(change, pinned, now).map_err(refused)?;
    if let Some(next) = &next {
        put(conn, user, conversation, next, now)?;
    }
    Ok(OwnOutcome::of(state, next))
}

/// Ends the mark as unread of a conversation whose user has read; tells whether there was one.
pub(super) fn read(
    conn: &mut SqliteConnection,
    user: UserId,
    conversation: ConversationId,
    now: UnixMillis,
) -> DbResult<bool> {
    let next = get(conn, user, conversation)?.after_reading();
    if let Some(next) = &next {
        put(conn, user, conversation, next, now)?;
    }
    Ok(next.is_some())
}

fn hide(
    conn: &mut SqliteConnection,
    user: UserId,
    conversation: ConversationId,
    (seq, message): (SeqId, MessageId),
    now: UnixMillis,
) -> DbResult<OwnOutcome> {
    is_member(conn, user, conversation)?;
    let state = get(conn, user, conversation)?;
    // An older program that removed the member before left such a row, and no count.
    let hidden: Option<i64> = match state.hidden_count {
        0 => None,
        _ => first::<IsHidden, _>(conn, &binds![user, conversation, seq])?,
    };
    let next = match hidden {
        Some(_) => None,
        None => state.after_hiding(seq).map_err(refused)?,
    };
    if let Some(next) = &next {
        put(conn, user, conversation, next, now)?;
        let row = binds![user, conversation, seq, message, next.version];
        execute::<Hide>(conn, &row)?;
    }
    Ok(OwnOutcome::of(state, next))
}

fn clear(
    conn: &mut SqliteConnection,
    user: UserId,
    conversation: ConversationId,
    up_to: SeqId,
    now: UnixMillis,
) -> DbResult<ClearOutcome> {
    is_member(conn, user, conversation)?;
    let read = pointers::advance(conn, user, conversation, up_to, now)?;
    let state = get(conn, user, conversation)?;
    let up_to = read.wanted(up_to);
    let forgotten = execute::<Forget>(conn, &binds![user, conversation, up_to])?;
    let left = state.hidden_count.saturating_sub(forgotten as u32);
    let next = state.after_clearing(up_to, left);
    if let Some(next) = &next {
        put(conn, user, conversation, next, now)?;
    }
    let mut own = OwnOutcome::of(state, next);
    // Reading ends a mark as unread, and that is a change as well.
    own.changed |= read.unmarked;
    Ok(ClearOutcome { own, read })
}

#[async_trait]
impl OwnStateStore for SqliteDatabase {
    async fn change_own_state(
        &self,
        user: UserId,
        conversation: ConversationId,
        own: OwnChange,
        now: UnixMillis,
    ) -> DbResult<OwnOutcome> {
        self.write(1, move |conn| change(conn, user, conversation, &own, now))
            .await
    }

    async fn own_state(&self, user: UserId, conversation: ConversationId) -> DbResult<OwnState> {
        self.read(move |conn| get(conn, user, conversation)).await
    }

    async fn hide_message(
        &self,
        user: UserId,
        conversation: ConversationId,
        message: (SeqId, MessageId),
        now: UnixMillis,
    ) -> DbResult<OwnOutcome> {
        self.write(1, move |conn| hide(conn, user, conversation, message, now))
            .await
    }

    async fn clear_history(
        &self,
        user: UserId,
        conversation: ConversationId,
        up_to: SeqId,
        now: UnixMillis,
    ) -> DbResult<ClearOutcome> {
        self.write(1, move |conn| clear(conn, user, conversation, up_to, now))
            .await
    }

    async fn hidden_among(
        &self,
        user: UserId,
        conversation: ConversationId,
        seqs: &[SeqId],
    ) -> DbResult<Vec<SeqId>> {
        let seqs = json_array(seqs);
        self.read(move |conn| rows::<Among, _>(conn, &binds![user, conversation, &seqs]))
            .await
    }

    async fn hidden_messages(
        &self,
        user: UserId,
        conversation: ConversationId,
        after: u64,
        limit: u32,
    ) -> DbResult<Vec<HiddenRow>> {
        self.read(move |conn| {
            rows::<HiddenAfter, _>(conn, &binds![user, conversation, after, limit])
        })
        .await
    }
}
