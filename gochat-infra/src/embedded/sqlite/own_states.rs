//! Own states of users. Loads, lets `gochat_core::own_state` judge, and writes.

use async_trait::async_trait;
use diesel::sqlite::SqliteConnection;
use gochat_core::error::ErrorCode;
use gochat_core::ids::{ConversationId, UnixMillis, UserId};
use gochat_core::own_state::{OwnChange, OwnState};

use super::SqliteDatabase;
use super::query::{binds, execute, first, one, statements};
use crate::port::db::{DbError, DbResult, OwnOutcome, OwnStateStore};
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
           archived, marked_unread, draft, updated_at) \
           VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
           ON CONFLICT DO UPDATE SET version = excluded.version, \
           mute_until = excluded.mute_until, pinned = excluded.pinned, \
           archived = excluded.archived, marked_unread = excluded.marked_unread, \
           draft = excluded.draft, \
           updated_at = max(conversation_states.updated_at, excluded.updated_at)";
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
        now
    ];
    execute::<Put>(conn, &binds).map(drop)
}

fn change(
    conn: &mut SqliteConnection,
    user: UserId,
    conversation: ConversationId,
    change: &OwnChange,
    now: UnixMillis,
) -> DbResult<OwnOutcome> {
    if conversation != ConversationId::World {
        let member: Option<i64> = first::<IsMember, _>(conn, &binds![user, conversation])?;
        member.ok_or_else(|| DbError::not_found(ErrorCode::NotConversationMember))?;
    }
    let pinned: u32 = one::<CountPinned, _>(conn, &binds![user])?;
    let state = get(conn, user, conversation)?;
    let next = state.merged(change, pinned, now).map_err(refused)?;
    if let Some(next) = &next {
        put(conn, user, conversation, next, now)?;
    }
    Ok(OwnOutcome {
        changed: next.is_some(),
        state: next.unwrap_or(state),
    })
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
}
